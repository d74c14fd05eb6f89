//! A desk's real server, filled in as a browser does, and read as a node does.

mod form;
mod process;
mod reading;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::HttpResponse;
use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::units::{Day, UnixTime};
use oracles::agreement::agree;
use oracles::clock::Clock;
use oracles::desk::{
    Answer, DeskConfig, Entry, EntryKind, FormConfig, Question, RunningDesk, StaffConfig, StaffKey,
    Statement, start,
};
use oracles::sources::{
    AttributeConfig, DeskRead, DeskSourceConfig, Reading, SourceConfig, SourceError, Sources,
};
use sha2::{Digest as _, Sha256};

use crate::server::{hasty, keys, limits, serve};

const DESK: &str = "Riverside clinic";
const READER: &str = "node-1-reads";
const BLOOD_PRESSURE: &str = "medical.systolic_mmhg";
const MRN: &str = "A-<1>&\"'";

struct Staff {
    clinician: StaffKey,
    caseworker: StaffKey,
}

impl Staff {
    fn new() -> Self {
        Self {
            clinician: StaffKey::generate(),
            caseworker: StaffKey::generate(),
        }
    }

    fn listed(&self) -> Vec<StaffConfig> {
        [
            (&self.clinician, "clinician"),
            (&self.caseworker, "caseworker"),
        ]
        .map(|(key, role)| StaffConfig {
            name: format!("a {role}"),
            key: key.public(DESK),
            role: role.into(),
        })
        .into()
    }
}

fn config(staff: &Staff, folder: &Path) -> DeskConfig {
    let form = |attribute: &str| FormConfig {
        attribute: attribute.into(),
        label: None,
        key: "mrn".into(),
        key_label: "Medical record number".into(),
        roles: vec!["clinician".into()],
        review_roles: vec!["caseworker".into()],
        value: None,
    };
    DeskConfig {
        name: DESK.into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        plain_http: false,
        data_dir: folder.to_owned(),
        database_url: None,
        reader_key_sha256: vec![Bytes32::from(<[u8; 32]>::from(Sha256::digest(READER)))],
        keep_days: 366,
        clock_offset_seconds: 0,
        staff: staff.listed(),
        form: vec![
            form(BLOOD_PRESSURE),
            form("medical.asthma"),
            form("income.magi_monthly"),
        ],
    }
}

fn today() -> Day {
    Clock::system().now().day().unwrap()
}

/// A browser: it sends what the page's form holds, with some fields filled in.
struct Browser {
    http: reqwest::Client,
    url: String,
}

impl Browser {
    fn at(url: String) -> Self {
        let http = oracles::http::client();
        Self { http, url }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let form = self.http.post(format!("{}{path}", self.url));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A fresh form's number.
    async fn once(&self, attribute: &str) -> String {
        let (status, page) = self.get(&format!("/form/{attribute}")).await;
        assert_eq!(status, 200, "{page}");
        let (_, rest) = page.split_once("name=\"once\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    async fn enter(
        &self,
        attribute: &str,
        kind: &str,
        value: &str,
        day: Day,
        key: &StaffKey,
    ) -> (u16, String) {
        let once = self.once(attribute).await;
        let day = day.to_string();
        let withdraw = if value.is_empty() { "yes" } else { "" };
        let fields = [
            ("once", once.as_str()),
            ("kind", kind),
            ("key_value", MRN),
            ("value", value),
            ("withdraw", withdraw),
            ("observed", &day),
        ];
        let (status, page) = self.post(&format!("/form/{attribute}"), &fields).await;
        if status != 200 {
            return (status, page);
        }
        let text = key.text();
        let signed: Vec<_> = fields
            .into_iter()
            .chain([("staff_key", text.as_str())])
            .collect();
        self.post(&format!("/form/{attribute}/sign"), &signed).await
    }
}

async fn desk(staff: &Staff, folder: &Path) -> (RunningDesk, Browser) {
    let running = start(config(staff, folder)).await.unwrap();
    let browser = Browser::at(format!("http://{}", running.address()));
    (running, browser)
}

fn source(staff: &Staff, url: String) -> SourceConfig {
    SourceConfig::Desk(DeskSourceConfig {
        name: "clinic".into(),
        url,
        api_key: READER.into(),
        desk: DESK.into(),
        staff: staff.listed(),
        limits: limits(),
    })
}

fn mapping(role: &str) -> DeskRead {
    DeskRead {
        source: "clinic".into(),
        key: "mrn".into(),
        roles: vec![role.into()],
        max_age_days: 30,
    }
}

async fn read(source: SourceConfig, review: bool) -> Vec<Reading> {
    let entry = catalogue().get(&BLOOD_PRESSURE.into()).unwrap();
    let attribute = AttributeConfig {
        id: BLOOD_PRESSURE.into(),
        read: vec![oracles::sources::ReadConfig::Desk(mapping("clinician"))],
        review: review.then(|| mapping("caseworker")),
    };
    let sources = Sources::new(&[source], &[attribute]).unwrap();
    let period = entry.period.period(today()).unwrap();
    sources.read(entry, &keys(&[("mrn", MRN)]), period).await
}
