//! A fresh database for a test: a SQLite file, or a new Postgres database beside the one of `DATABASE_URL`.

use rand::RngCore as _;
use sqlx::AnyPool;

use crate::db;

/// Its folder, which goes with the test, and its address.
pub(crate) async fn database_url() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let Ok(existing) = std::env::var("DATABASE_URL") else {
        let url = db::sqlite_url(&dir.path().join("node.db"));
        return (dir, url);
    };
    let name = format!("oracles_{:016x}", rand_core::OsRng.next_u64());
    let admin = db::connect(&existing).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&admin)
        .await
        .unwrap();
    let mut url = url::Url::parse(&existing).unwrap();
    url.set_path(&name);
    (dir, url.into())
}

/// Its folder, which goes with the test, and connections to it.
pub(crate) async fn database() -> (tempfile::TempDir, AnyPool) {
    let (dir, url) = database_url().await;
    (dir, db::connect(&url).await.unwrap())
}
