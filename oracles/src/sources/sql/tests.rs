//! Each database that is at hand: SQLite always, Postgres and MariaDB where the environment names one.

use std::str::FromStr as _;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::*;

async fn registry(dir: &std::path::Path) -> String {
    let url = format!("sqlite://{}/registry.db", dir.display());
    let options = SqliteConnectOptions::from_str(&url)
        .unwrap()
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    sqlx::raw_sql(
        "CREATE TABLE person (ssn TEXT, name TEXT, age INTEGER, born DATE, weight REAL);
         INSERT INTO person VALUES ('987654321', 'Ana', 34, '1992-02-29', 1.5);
         INSERT INTO person VALUES ('987654322', 'Bo', NULL, '1990-01-01', 1.5);
         INSERT INTO person VALUES ('987654322', 'Bo', NULL, '1990-01-01', 1.5);",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    url
}

#[tokio::test]
async fn a_row_is_read_by_its_bound_key() {
    let dir = tempfile::tempdir().unwrap();
    let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
    let query = "SELECT age, born, name FROM person WHERE ssn = $1";
    let row = source.row(query, &["987654321"]).await.unwrap().unwrap();
    assert!(row.first() == Some(&Cell::Integer(34)));
    assert_eq!(row.text("born"), Some("1992-02-29"));
    assert!(source.row(query, &["000000000"]).await.unwrap().is_none());
    assert!(matches!(
        source.row(query, &["987654322"]).await,
        Err(SourceError::Ambiguous { .. })
    ));
    let weight = "SELECT weight FROM person WHERE ssn = $1";
    assert!(matches!(
        source.row(weight, &["987654321"]).await,
        Err(SourceError::Malformed { .. })
    ));
}

#[tokio::test]
async fn sql_metacharacters_in_a_key_match_nothing_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
    let query = "SELECT age FROM person WHERE ssn = $1";
    for attack in [
        "' OR '1'='1",
        "987654321'; DROP TABLE person; --",
        "%",
        "\0",
        "$1",
    ] {
        assert!(
            source.row(query, &[attack]).await.unwrap().is_none(),
            "{attack}"
        );
    }
    assert!(source.row(query, &["987654321"]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_source_cannot_be_written_through_its_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
    let write = source
        .row("UPDATE person SET age = 64 RETURNING age", &[])
        .await;
    assert!(matches!(write, Err(SourceError::Refused { .. })));
    let read = source
        .row("SELECT age FROM person WHERE ssn = $1", &["987654321"])
        .await;
    assert!(read.unwrap().unwrap().first() == Some(&Cell::Integer(34)));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_failure_and_not_an_empty_answer() {
    let source = SqlSource::new("r", "sqlite:///nonexistent/r.db", &Limits::default()).unwrap();
    assert!(source.row("SELECT 1", &[]).await.is_err());
    for address in ["oracle://x", "x", "postgres://h:port/db"] {
        assert!(SqlSource::new("r", address, &Limits::default()).is_err());
    }
}

#[tokio::test]
async fn postgres_is_read_alike_and_read_only() {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        return;
    };
    let source = SqlSource::new("r", &url, &Limits::default()).unwrap();
    let query = "SELECT a, b, c, d, e, f FROM (VALUES
        ('x'::text, 7::bigint, 7::int, true, DATE '1992-02-29', NULL::text)) AS t (a, b, c, d, e, f)
        WHERE a = $1";
    let row = source.row(query, &["x"]).await.unwrap().unwrap();
    assert_eq!(row.text("a"), Some("x"));
    assert_eq!(row.text("e"), Some("1992-02-29"));
    let cells: Vec<_> = row.0.into_iter().map(|(_, cell)| cell).collect();
    assert!(cells.get(1..4) == Some(&[Cell::Integer(7), Cell::Integer(7), Cell::Flag(true)]));
    assert!(cells.last() == Some(&Cell::Null));
    assert!(source.row(query, &["' OR '1'='1"]).await.unwrap().is_none());
    let write = source.row("CREATE TABLE t (x INT)", &[]).await;
    assert!(matches!(write, Err(SourceError::Refused { .. })));
}

/// A database of the environment; none where it is not named.
fn named(variable: &str, limits: &Limits) -> Option<SqlSource> {
    let url = std::env::var(variable).ok()?;
    Some(SqlSource::new("r", &url, limits).unwrap())
}

#[tokio::test]
async fn mariadb_is_read_alike_and_read_only() {
    let Some(source) = named("MYSQL_URL", &Limits::default()) else {
        return;
    };
    let query = "SELECT a, b, c, d, e, f, g, h, i, j FROM (SELECT
        CONVERT('x' USING utf8mb4) a, CAST(7 AS SIGNED) b, TRUE c, DATE '1992-02-29' d, NULL e,
        CAST(18446744073709551615 AS UNSIGNED) h, CAST(612.37 AS DECIMAL(9, 2)) f, CAST(7 AS UNSIGNED) g,
        CONVERT('Peña' USING latin1) i, YEAR('1992-02-29') j) t WHERE a = ?";
    let wide = source.row(query, &["x"]).await;
    assert!(
        matches!(wide, Err(SourceError::Malformed { field, .. }) if field == "column h"),
        "a number beyond 64 bits is no fact"
    );
    let query = query.replace("g, h, i, j", "g, i, j").replacen(
        "CAST(18446744073709551615 AS UNSIGNED) h,",
        "",
        1,
    );
    let row = source.row(&query, &["x"]).await.unwrap().unwrap();
    assert_eq!(row.text("d"), Some("1992-02-29"));
    assert_eq!(row.text("f"), Some("612.37"));
    assert_eq!(row.text("i"), Some("Peña"));
    let cell = |name: &str| {
        row.0
            .iter()
            .find(|(column, _)| column == name)
            .map(|(_, cell)| cell)
    };
    assert!(cell("b") == Some(&Cell::Integer(7)) && cell("g") == Some(&Cell::Integer(7)));
    assert!(cell("c") == Some(&Cell::Integer(1)) && cell("e") == Some(&Cell::Null));
    assert!(cell("j") == Some(&Cell::Integer(1992)));
    for attack in ["' OR '1'='1", "x' -- ", "x\\' OR 1=1 #", "\0"] {
        assert!(
            source.row(&query, &[attack]).await.unwrap().is_none(),
            "{attack}"
        );
    }
    let two = source
        .row("SELECT 1 UNION SELECT 2 UNION SELECT 3", &[])
        .await;
    assert!(matches!(two, Err(SourceError::Ambiguous { .. })));
    for write in [
        "CREATE TABLE shp_probe (x INT)",
        "DROP TABLE IF EXISTS shp_probe",
        "CREATE TEMPORARY TABLE shp_probe SELECT 1 AS x",
        "SELECT 1; CREATE TABLE shp_probe (x INT)",
    ] {
        let write_outcome = source.row(write, &[]).await;
        let made = source.row("SELECT x FROM shp_probe", &[]).await;
        assert!(
            matches!(made, Err(SourceError::Refused { .. })),
            "{write}: {}",
            write_outcome.is_ok()
        );
    }
}

/// A query that its own server ends: the connection it ran on is busy with nothing afterwards.
async fn ends_by_itself(variable: Option<&str>, slow: &str, busy: Option<&str>) {
    let limits = Limits {
        timeout_ms: 700,
        retries: 0,
        deadline_ms: 60_000,
        ..Limits::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let source = match variable {
        Some(variable) => named(variable, &limits),
        None => {
            let url = registry(folder.path()).await;
            Some(SqlSource::new("r", &url, &limits).unwrap())
        }
    };
    let Some(source) = source else { return };
    let outcome = source.row(slow, &[]).await;
    assert!(
        matches!(outcome, Err(SourceError::TimedOut { .. })),
        "{:?}",
        outcome.err()
    );
    let Some(busy) = busy else { return };
    // The server may take a moment; a query that ran on would take minutes.
    let patient = SqlSource::new(
        "r",
        &std::env::var(variable.unwrap()).unwrap(),
        &Limits::default(),
    );
    let patient = patient.unwrap();
    for _ in 0..100 {
        let row = patient.row(busy, &[]).await.unwrap().unwrap();
        if row.first() == Some(&Cell::Integer(0)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the query goes on at the server");
}

#[tokio::test]
async fn sqlite_ends_a_query_that_takes_too_long() {
    let slow =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    // Would never end: if it were not interrupted, closing the database would wait for it for ever.
    ends_by_itself(None, slow, None).await;
}

#[tokio::test]
async fn postgres_ends_a_query_that_takes_too_long() {
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT 7::text FROM pg_sleep%'
        AND state = 'active'";
    let slow = "SELECT 7::text FROM pg_sleep(300)";
    ends_by_itself(Some("DATABASE_URL"), slow, Some(busy)).await;
}

#[tokio::test]
async fn mariadb_ends_a_query_that_takes_too_long() {
    let busy =
        "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT 7, SLEEP%'";
    let slow = "SELECT 7, SLEEP(300)";
    ends_by_itself(Some("MYSQL_URL"), slow, Some(busy)).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = registry(folder.path()).await;
    let source = SqlSource::new("r", &url, &Limits::default()).unwrap();
    let long = source.row("SELECT printf('%300c', 'x')", &[]).await;
    assert!(matches!(
        long,
        Err(SourceError::TooLarge {
            field: "a cell",
            ..
        })
    ));
    let columns = vec!["1"; 33].join(", ");
    let wide = source.row(&format!("SELECT {columns}"), &[]).await;
    assert!(matches!(
        wide,
        Err(SourceError::TooLarge { field: "a row", .. })
    ));
    let real = source.row("SELECT 1.5", &[]).await;
    assert!(matches!(real, Err(SourceError::Malformed { .. })));
}

#[tokio::test]
async fn the_only_row_of_three_databases_is_the_same_fact() {
    let limits = Limits::default();
    let folder = tempfile::tempdir().unwrap();
    let url = registry(folder.path()).await;
    let sqlite = SqlSource::new("r", &url, &limits).unwrap();
    let sources = [
        (Some(sqlite), "$1"),
        (named("DATABASE_URL", &limits), "$1"),
        (named("MYSQL_URL", &limits), "?"),
    ];
    let keys = [("person_id".to_owned(), "p' OR '1'='1".to_owned())].into();
    let filling = Filling {
        source_name: "r",
        keys: &keys,
        period: "2026-10-22/2026-11-20".parse().unwrap(),
    };
    for (source, placeholder) in sources {
        let Some(source) = source else { continue };
        let read = |query: &str, bind: &[&str], value: Conversion| SqlRead {
            source: "r".into(),
            query: query.replace('@', placeholder),
            bind: bind.iter().map(|name| (*name).to_owned()).collect(),
            value,
        };
        let day = read(
            "SELECT '2026-10-22' AS d WHERE '2026-10-22' = @",
            &["period.start"],
            Conversion::Date,
        );
        assert_eq!(source.value(&day, &filling).await, Ok(Some(46_315)));
        let state = read(
            "SELECT 'CA' AS s WHERE 'p' = @",
            &["person_id"],
            Conversion::State,
        );
        assert_eq!(source.value(&state, &filling).await, Ok(None));
        let dollars = read("SELECT '612.375' AS m", &[], Conversion::Dollars);
        let refused = source
            .value(&dollars, &filling)
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "source r: column m is not dollars with at most two decimals: correct the source, or its mapping"
        );
        let no_key = read("SELECT 1", &["ssn"], Conversion::Flag);
        assert!(matches!(
            source.value(&no_key, &filling).await,
            Err(SourceError::NoKey { .. })
        ));
    }
}
