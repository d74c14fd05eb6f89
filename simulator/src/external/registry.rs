//! A state benefits registry and a vital records office in one SQL database, `registry.db`: identity, residence, household.
//!
//! It is a database and nothing more, because that is what an oracle finds at a state agency; oracles read it with their SQL
//! source adapter.

use std::path::{Path, PathBuf};

use contracts::units::Day;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use super::double::Double;
use super::fixture::{parse, relative_day};
use super::{ExternalError, Result};

/// Tables as the registry's vendor made them; codes are explained in `fixtures/README.md`.
const SCHEMA: &str = include_str!("registry.sql");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    person: Vec<PersonRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonRow {
    person_id: String,
    ssn: String,
    given_name: String,
    family_name: String,
    birth_date: String,
    status_code: String,
    medicare: i64,
    ssi: i64,
    former_foster_care: i64,
    case_number: String,
    ehr_id: String,
    vital_record: VitalRow,
    residence: ResidenceRow,
    household: HouseholdRow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VitalRow {
    ssn: String,
    birth_date: String,
    given_name: String,
    family_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResidenceRow {
    street: String,
    city: String,
    state: String,
    since: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HouseholdRow {
    size: i64,
    caretaker_relative: i64,
}

/// Makes `registry.db` in `directory` as it stands on `day_zero`, and returns its path. A database that is there already is left
/// as it is. The file appears whole or not at all.
///
/// # Errors
/// A fixture that does not parse, or a file that cannot be written.
pub async fn create(directory: &Path, day_zero: Day) -> Result<PathBuf> {
    let path = directory.join("registry.db");
    if path.exists() {
        return Ok(path);
    }
    let rows: Rows = parse(
        "registry.toml",
        include_str!("../../../fixtures/registry.toml"),
    )?;
    let draft = directory.join(format!(".registry-{}.db", std::process::id()));
    remove(&draft)?;
    fill(&draft, &rows, day_zero).await?;
    std::fs::rename(&draft, &path).map_err(|source| ExternalError::Io {
        what: format!("placing {}", path.display()),
        source,
    })?;
    Ok(path)
}

/// A registry that is there already.
fn existing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path)
}

/// What failed at which file.
fn failed<'a>(path: &'a Path, doing: &'a str) -> impl Fn(sqlx::Error) -> ExternalError + Copy + 'a {
    move |source| ExternalError::Database {
        what: format!("{}: {doing}", path.display()),
        source,
    }
}

/// The case number that the registry keeps for an SSN, written as it writes them.
///
/// # Errors
/// A file that is no registry, or no such person.
pub async fn case_number(path: &Path, ssn: &str) -> Result<String> {
    let database = failed(path, "reading a case number");
    let read_only = existing(path).read_only(true);
    let mut connection = read_only.connect().await.map_err(database)?;
    sqlx::query_scalar("SELECT case_number FROM person WHERE ssn = $1")
        .bind(ssn)
        .fetch_one(&mut connection)
        .await
        .map_err(database)
}

/// Writes down that somebody lives in another state.
///
/// # Errors
/// A file that is no registry, or cannot be written.
pub async fn moved(
    path: &Path,
    ssn: &str,
    to: contracts::ids::Jurisdiction,
    since: Day,
) -> Result<()> {
    let database = failed(path, "writing a residence");
    let mut connection = existing(path).connect().await.map_err(database)?;
    sqlx::query(
        "UPDATE residence SET state = $1, since = $2
         WHERE person_id = (SELECT person_id FROM person WHERE ssn = $3)",
    )
    .bind(to.code())
    .bind(since.to_string())
    .bind(ssn)
    .execute(&mut connection)
    .await
    .map(|_| ())
    .map_err(database)
}

/// Writes down somebody who has the records of another.
///
/// # Errors
/// A file that is no registry, or cannot be written; a double that is there already.
pub async fn add_double(path: &Path, of: &str, double: &Double) -> Result<()> {
    let database = failed(path, "writing a double");
    let mut connection = existing(path).connect().await.map_err(database)?;
    let mut transaction = connection.begin().await.map_err(database)?;
    let (id, ssn) = (double.person_id(), double.ssn());
    sqlx::query(
        "INSERT INTO person SELECT $1, $2, given_name, family_name, birth_date, status_code, medicare, ssi,
         former_foster_care, $3, $4 FROM person WHERE ssn = $5",
    )
    .bind(&id)
    .bind(&ssn)
    .bind(double.case_number())
    .bind(double.mrn())
    .bind(of)
    .execute(&mut *transaction)
    .await
    .map_err(database)?;
    sqlx::query(
        "INSERT INTO vital_record SELECT $1, birth_date, given_name, family_name FROM vital_record WHERE ssn = $2",
    )
    .bind(&ssn)
    .bind(of)
    .execute(&mut *transaction)
    .await
    .map_err(database)?;
    sqlx::query(
        "INSERT INTO residence SELECT $1, street, city, $2, since FROM residence
         WHERE person_id = (SELECT person_id FROM person WHERE ssn = $3)",
    )
    .bind(&id)
    .bind(double.state.code())
    .bind(of)
    .execute(&mut *transaction)
    .await
    .map_err(database)?;
    transaction.commit().await.map_err(database)?;
    household(path, &ssn, double.household).await
}

/// Writes down how many live in somebody's household; no record where that is not known.
///
/// # Errors
/// A file that is no registry, or cannot be written.
pub async fn household(path: &Path, ssn: &str, size: Option<u8>) -> Result<()> {
    let database = failed(path, "writing a household");
    let mut connection = existing(path).connect().await.map_err(database)?;
    let query = match size {
        Some(size) => sqlx::query(
            "INSERT INTO household SELECT person_id, $2, 0 FROM person WHERE ssn = $1 AND true
             ON CONFLICT (person_id) DO UPDATE SET size = excluded.size",
        )
        .bind(ssn)
        .bind(i64::from(size)),
        None => sqlx::query(
            "DELETE FROM household WHERE person_id = (SELECT person_id FROM person WHERE ssn = $1)",
        )
        .bind(ssn),
    };
    query
        .execute(&mut connection)
        .await
        .map(|_| ())
        .map_err(database)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ExternalError::Io {
            what: format!("removing {}", path.display()),
            source,
        }),
        _ => Ok(()),
    }
}

async fn fill(path: &Path, rows: &Rows, day_zero: Day) -> Result<()> {
    let database = |what: &'static str| {
        move |source| ExternalError::Database {
            what: format!("registry.db: {what}"),
            source,
        }
    };
    // No write-ahead log: the file is renamed when done, and readers get one file.
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete)
        .connect()
        .await
        .map_err(database("opening"))?;
    sqlx::raw_sql(SCHEMA)
        .execute(&mut connection)
        .await
        .map_err(database("making tables"))?;
    for row in &rows.person {
        insert(&mut connection, row, day_zero).await?;
    }
    connection.close().await.map_err(database("closing"))
}

async fn insert(connection: &mut SqliteConnection, row: &PersonRow, day_zero: Day) -> Result<()> {
    let day = |text: &str| relative_day(text, day_zero).map(|day| day.to_string());
    let database = |source| ExternalError::Database {
        what: format!("registry.db: inserting {}", row.person_id),
        source,
    };
    sqlx::query("INSERT INTO person VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)")
        .bind(&row.person_id)
        .bind(&row.ssn)
        .bind(&row.given_name)
        .bind(&row.family_name)
        .bind(day(&row.birth_date)?)
        .bind(&row.status_code)
        .bind(row.medicare)
        .bind(row.ssi)
        .bind(row.former_foster_care)
        .bind(&row.case_number)
        .bind(&row.ehr_id)
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    sqlx::query("INSERT INTO vital_record VALUES ($1,$2,$3,$4)")
        .bind(&row.vital_record.ssn)
        .bind(day(&row.vital_record.birth_date)?)
        .bind(&row.vital_record.given_name)
        .bind(&row.vital_record.family_name)
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    sqlx::query("INSERT INTO residence VALUES ($1,$2,$3,$4,$5)")
        .bind(&row.person_id)
        .bind(&row.residence.street)
        .bind(&row.residence.city)
        .bind(&row.residence.state)
        .bind(day(&row.residence.since)?)
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    sqlx::query("INSERT INTO household VALUES ($1,$2,$3)")
        .bind(&row.person_id)
        .bind(row.household.size)
        .bind(row.household.caretaker_relative)
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;

    #[tokio::test]
    async fn the_registry_knows_every_person_and_keeps_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let zero: Day = "2026-11-20".parse().unwrap();
        let path = create(directory.path(), zero).await.unwrap();
        // A second start, on another day, leaves the database alone.
        assert_eq!(
            create(directory.path(), zero.plus(9).unwrap())
                .await
                .unwrap(),
            path
        );
        let mut db = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .connect()
            .await
            .unwrap();
        for person in super::super::people(zero).unwrap() {
            let row = sqlx::query(
                "SELECT p.given_name, p.family_name, p.birth_date, v.birth_date AS vital, r.state, h.size FROM person p \
                 JOIN vital_record v ON v.ssn = p.ssn JOIN residence r ON r.person_id = p.person_id \
                 JOIN household h ON h.person_id = p.person_id WHERE p.ssn = $1",
            )
            .bind(&person.ssn)
            .fetch_one(&mut db)
            .await
            .unwrap();
            assert_eq!(row.get::<String, _>("family_name"), person.family_name);
            assert_eq!(row.get::<String, _>("given_name"), person.given_name);
            assert_eq!(row.get::<String, _>("birth_date"), person.birth_date);
            assert_eq!(row.get::<String, _>("state"), person.state.code());
            assert_eq!(
                row.get::<String, _>("vital") == person.birth_date,
                person.id != "ines"
            );
        }
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "no draft or journal is left behind");
    }
}
