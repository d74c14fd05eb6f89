//! The records that the oracles of all scenarios read, true and doctored.

use std::path::{Path, PathBuf};

use contracts::units::Day;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::bounds::Bounds;
use crate::demo::folder::Folder;
use crate::demo::network::Network;
use crate::demo::oracle_config::SourceAccess;
use crate::demo::setup::to_toml;
use crate::demo::{DemoError, calendar};
use crate::external::{self, Person, RoleConfig, Secret};

/// Who is asked about: employed over the limit, or out of work and under it.
pub const ASKED_ABOUT: &str = "ana";

/// Two payroll services, one of which knows of the job that was lost, an EHR, a registry, and a doctored copy of it.
pub struct Sources<'a> {
    network: Network<'a>,
    /// The time-outs of the scenarios.
    pub bounds: Bounds,
    /// The day of the scenarios.
    pub today: Day,
    /// Seconds that clocks are moved by.
    pub clock_offset: i64,
    /// The people in the records.
    pub people: Vec<Person>,
    registry: PathBuf,
    doctored: PathBuf,
    payroll_key: String,
    ehr_key: String,
}

/// Which records an oracle reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Payroll knows that the job was lost.
    pub job_lost: bool,
    /// The registry's households are three persons larger than they are.
    pub doctored: bool,
}

impl<'a> Sources<'a> {
    /// Starts them.
    ///
    /// # Errors
    /// A file, a process or a fixture.
    pub async fn start(folder: &'a Folder, bounds: Bounds) -> Result<Self, DemoError> {
        let now = oracles::clock::Clock::system().now();
        let day = now
            .day()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let (today, clock_offset) = calendar(day)?;
        let parties = ["payroll", "payroll-lost", "ehr"].map(str::to_owned);
        let network = Network::open(folder, &parties).await?;
        let registry = external::registry::create(&folder.path("sources"), today).await?;
        let doctored = folder.path("sources/doctored.db");
        doctor(&registry, &doctored).await?;
        let (payroll_key, _) = folder.secret("payroll-reader")?;
        let (admin_key, _) = folder.secret("payroll-operator")?;
        let (ehr_key, _) = folder.secret("ehr-reader")?;
        for party in ["payroll", "payroll-lost"] {
            let config = RoleConfig::Payroll(external::payroll::Config {
                listen: ([127, 0, 0, 1], 0).into(),
                day_zero: today,
                clock_offset_seconds: clock_offset,
                data: folder.make(&format!("sources/{party}"))?,
                api_key: Secret::new(&payroll_key),
                admin_key: Secret::new(admin_key.clone()),
                doubles: Vec::new(),
            });
            network.start("external", party, &to_toml(&config)?).await?;
        }
        let ehr = external::ehr::Config::new(today, Secret::new(&ehr_key));
        let ehr = RoleConfig::Ehr(ehr);
        network.start("external", "ehr", &to_toml(&ehr)?).await?;
        let people = external::people(today)?;
        let asked_about = people
            .iter()
            .find(|person| person.id == ASKED_ABOUT)
            .ok_or_else(|| DemoError::Other(format!("no {ASKED_ABOUT} in the fixtures")))?;
        let case_number = external::registry::case_number(&registry, &asked_about.ssn).await?;
        let event = json!({"event": "job-lost", "case_number": case_number});
        let _: serde_json::Value = network
            .post(
                "payroll-lost",
                "/admin/events",
                Some(&admin_key),
                None,
                &event,
            )
            .await
            .map_err(DemoError::Other)?;
        Ok(Self {
            network,
            bounds,
            today,
            clock_offset,
            people,
            registry,
            doctored,
            payroll_key,
            ehr_key,
        })
    }

    /// Where an oracle reads.
    pub fn access(&self, reads: Reads) -> SourceAccess<'_> {
        let payroll = if reads.job_lost {
            "payroll-lost"
        } else {
            "payroll"
        };
        SourceAccess {
            registry: if reads.doctored {
                &self.doctored
            } else {
                &self.registry
            },
            payroll: self.network.url(payroll),
            payroll_key: &self.payroll_key,
            ehr: self.network.url("ehr"),
            ehr_key: &self.ehr_key,
        }
    }

    /// Ends the processes.
    pub async fn end(&mut self) {
        self.network.end().await;
    }
}

async fn doctor(registry: &Path, doctored: &Path) -> Result<(), DemoError> {
    std::fs::copy(registry, doctored).map_err(DemoError::file(doctored))?;
    let failed = |error: sqlx::Error| DemoError::Other(format!("doctored.db: {error}"));
    let mut connection = SqliteConnectOptions::new()
        .filename(doctored)
        .connect()
        .await
        .map_err(failed)?;
    sqlx::query("UPDATE household SET size = size + 3")
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)
}
