//! Databases on a Postgres server: one that every run begins with, and a copy for each run.

use std::sync::Mutex;

use oracles::db;
use sqlx::AnyPool;

use crate::demo::DemoError;
use crate::demo::story::Setting;

/// A server on which databases may be made.
pub struct Server {
    pool: AnyPool,
    url: url::Url,
    name: String,
    copies: Mutex<u32>,
}

fn other(error: impl std::fmt::Display) -> DemoError {
    DemoError::Other(format!("postgres: {error}"))
}

/// Two profile services that share the first database of a server; without one, a single service on SQLite.
pub fn shared(setting: Setting, server: Option<&Server>) -> Setting {
    Setting {
        profiles: if server.is_some() { 2 } else { 1 },
        database: server.map(Server::beginning),
        ..setting
    }
}

impl Server {
    /// The server at `url` with a first database of its own; without an address, none.
    ///
    /// # Errors
    /// The server cannot be reached, or the user may not make databases.
    pub async fn at(url: Option<&str>) -> Result<Option<Self>, DemoError> {
        match url {
            Some(url) => Ok(Some(Self::new(url).await?)),
            None => Ok(None),
        }
    }

    async fn new(url: &str) -> Result<Self, DemoError> {
        let server = Self {
            pool: db::connect(url).await.map_err(other)?,
            url: url::Url::parse(url).map_err(other)?,
            name: format!("drill_{:016x}", rand::random::<u64>()),
            copies: Mutex::new(0),
        };
        let name = &server.name;
        server.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(server)
    }

    async fn execute(&self, sql: String) -> Result<(), DemoError> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(other)
    }

    fn database(&self, name: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(name);
        url.to_string()
    }

    /// The database that every run begins with.
    pub fn beginning(&self) -> String {
        self.database(&self.name)
    }

    /// A copy of it. Nobody may be connected to it.
    ///
    /// # Errors
    /// The server's.
    pub async fn again(&self) -> Result<String, DemoError> {
        let number = {
            let mut copies = self.copies.lock().map_err(other)?;
            *copies += 1;
            *copies
        };
        let copy = format!("{}_{number}", self.name);
        let sql = format!("CREATE DATABASE {copy} TEMPLATE {}", self.name);
        self.execute(sql).await?;
        Ok(self.database(&copy))
    }

    /// Removes all of them.
    pub async fn clean(self) {
        let copies = self.copies.lock().map_or(0, |copies| *copies);
        let copies = (1..=copies).map(|number| format!("{}_{number}", self.name));
        for name in copies.chain([self.name.clone()]) {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            if let Err(error) = self.execute(sql).await {
                eprintln!("{error}");
            }
        }
    }
}
