//! The mappings of `oracles/oracle.example.toml`, as they stand there, against the bank and the offices.

use std::collections::BTreeMap;

use contracts::catalogue::catalogue;
use contracts::units::Period;
use oracles::attest::AttestConfig;
use oracles::config::NodeConfig;
use oracles::sources::{Reading, SourceConfig, SourceError, Sources};

use super::*;

const EXAMPLE: &str = include_str!("../../../../oracles/oracle.example.toml");

fn today() -> Day {
    "2026-11-20".parse().unwrap()
}

async fn service() -> Running {
    let (running, _) = service_and_state(300).await;
    running
}

/// The service, and a config that differs from the oracles' where `token_seconds` says so.
async fn service_and_state(token_seconds: u64) -> (Running, Config) {
    let config = Config {
        listen: crate::external::any_port(),
        day_zero: today(),
        client_id: "oracle-1".to_owned(),
        client_secret: Secret::new("secret"),
        token_seconds,
        api_key: Secret::new("key"),
    };
    (start(config.clone()).await.unwrap(), config)
}

/// The example's sources, with this service in the place of the bank and the offices.
fn sources(service: &Running, edit: impl Fn(&mut SourceConfig)) -> Sources {
    let url = service.url();
    let text = ["wages", "ssa", "dmv", "addresses"].iter().fold(
        EXAMPLE.replace("https://bank.example", &url),
        |text, name| text.replace(&format!("https://{name}.example"), &url),
    );
    let config = NodeConfig::parse(&text).unwrap();
    let mut attest: AttestConfig = config.role("attest").unwrap().unwrap();
    attest.source.iter_mut().for_each(edit);
    Sources::new(&attest.source, &attest.attribute).unwrap()
}

fn keys(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn ana() -> BTreeMap<String, String> {
    keys(&[
        ("account_id", "CHK-88/1"),
        ("person_id", "P-30417"),
        ("licence", "F7741209"),
        ("ssn", "987-65-4321"),
        ("full_name", "ana quillavera"),
        ("birth_date", "1992-07-31"),
    ])
}

async fn read(sources: &Sources, attribute: &str, keys: &BTreeMap<String, String>) -> Vec<Reading> {
    let attribute = catalogue().get(&attribute.into()).unwrap();
    let period: Period = attribute.period.period(today()).unwrap();
    sources.read(attribute, keys, period).await
}

#[actix_web::test]
async fn deposits_and_accounts_are_read_from_the_bank_page_by_page() {
    let bank = service().await;
    let sources = sources(&bank, |_| {});
    // 8.03 + 1405 + 1405.10 within thirty days; withdrawals, machines, what is pending and older days do not count.
    let deposits = read(&sources, "income.deposits_monthly", &ana()).await;
    assert_eq!(deposits, [Ok(Some(281_813))]);
    let linked = async |account: &str| {
        let keys = keys(&[("account_id", account)]);
        read(&sources, "income.deposit_account_linked", &keys).await
    };
    assert_eq!(linked("CHK-88/1").await, [Ok(Some(1))]);
    assert_eq!(linked("CHK-91").await, [Ok(Some(1))], "on the second page");
    assert_eq!(linked("CHK-90").await, [Ok(Some(0))], "closed");
    assert_eq!(
        linked("LN-12").await,
        [Ok(Some(0))],
        "a loan is no deposit account"
    );
    let unknown = keys(&[("account_id", "CHK-88")]);
    let unknown = read(&sources, "income.deposits_monthly", &unknown).await;
    assert!(
        matches!(unknown[0], Err(SourceError::Refused { .. })),
        "not 0 dollars"
    );
    bank.shutdown().await;
}

#[actix_web::test]
async fn an_expired_token_is_replaced_and_a_wrong_client_gets_none() {
    let (bank, _) = service_and_state(0).await;
    let expiring = sources(&bank, |_| {});
    let refused = read(&expiring, "income.deposits_monthly", &ana()).await;
    // Good for no time at all: the second try is refused as well, and that is said.
    assert!(matches!(refused[0], Err(SourceError::Refused { .. })));
    let wrong = sources(&bank, |source| {
        if let SourceConfig::Json(config) = source
            && let Some(oauth) = &mut config.oauth
        {
            oauth.client_secret = "other".to_owned();
        }
    });
    let refused = read(&wrong, "income.deposits_monthly", &ana()).await;
    let told = refused[0].as_ref().unwrap_err().to_string();
    assert!(
        told.contains("token endpoint answers with status 401"),
        "{told}"
    );
    bank.shutdown().await;
}

#[test]
fn tokens_are_good_until_they_expire_or_are_revoked() {
    let tokens = Tokens::default();
    let good = |token: &str| {
        let request = actix_web::test::TestRequest::default()
            .insert_header(("authorization", format!("Bearer {token}")));
        tokens.admits(&request.to_http_request())
    };
    let token = tokens.issue(std::time::Duration::from_secs(60)).unwrap();
    assert!(good(&token) && !good("") && !good(&token[1..]));
    let expired = tokens.issue(std::time::Duration::ZERO).unwrap();
    assert!(!good(&expired));
    tokens.revoke_all();
    assert!(!good(&token));
}

#[actix_web::test]
async fn the_offices_answer_about_one_person_and_their_registers_agree() {
    let offices = service().await;
    let sources = sources(&offices, |_| {});
    assert_eq!(
        read(&sources, "identity.ssn_valid", &ana()).await,
        [Ok(Some(1))]
    );
    let mut stolen = ana();
    stolen.insert("full_name".to_owned(), "Bruno Zastrowski".to_owned());
    assert_eq!(
        read(&sources, "identity.ssn_valid", &stolen).await,
        [Ok(Some(0))]
    );
    // The driver's licence and the register of addresses, where she moved from Nevada.
    let state = read(&sources, "residence.state", &ana()).await;
    assert_eq!(state, [Ok(Some(6)), Ok(Some(6))]);
    let nobody = keys(&[("licence", "X"), ("person_id", "P-1")]);
    let nobody = read(&sources, "residence.state", &nobody).await;
    assert_eq!(nobody[0], Ok(None));
    assert!(
        nobody[1].is_err(),
        "the register has no such mapping of 404"
    );
    // The last quarter, of both employers: 30 of its 92 days.
    let wages = read(&sources, "income.earned_monthly", &ana()).await;
    let share = |cents: i64| cents - cents * 62 / 92;
    assert_eq!(wages, [Ok(Some(share(1_012_452) + share(36_800)))]);
    // The birth date of the licence, in the form of the United States. The registry's database is not there.
    let born = read(&sources, "identity.birth_date", &ana()).await;
    assert!(born[0].is_err());
    assert_eq!(
        born[1],
        Ok(Some("1992-07-31".parse::<Day>().unwrap().number()))
    );
    let wrong_key = self::sources(&offices, |source| {
        if let SourceConfig::Json(config) = source {
            config.api_key = config.api_key.as_ref().map(|_| "other".to_owned());
        }
    });
    let refused = read(&wrong_key, "residence.state", &ana()).await;
    assert!(
        refused
            .iter()
            .all(|it| matches!(it, Err(SourceError::Refused { .. })))
    );
    offices.shutdown().await;
}

#[test]
fn quarters_are_counted_back_over_years() {
    let back = |ago| data::quarters_before(today(), ago);
    assert_eq!(
        (back(0), back(1), back(4), back(7)),
        ((2026, 4), (2026, 3), (2025, 4), (2025, 1))
    );
}
