//! A desk's real server, filled in as a browser does, and read as a node does.

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

#[actix_web::test]
async fn what_a_clinician_signs_is_what_a_node_reads() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let url = browser.url.clone();
    let said = async || read(source(&staff, url.clone()), false).await.remove(0);
    assert_eq!(said().await, Ok(None), "nothing is entered");
    let enter = async |value: &str, ago: i64| {
        let day = today().plus(-ago).unwrap();
        browser
            .enter(BLOOD_PRESSURE, "observation", value, day, &staff.clinician)
            .await
    };
    let (status, page) = enter("151", 2).await;
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("Entered as number 1, signed as clinician"),
        "{page}"
    );
    assert_eq!(said().await, Ok(Some(151)));
    enter("139", 3).await;
    assert_eq!(
        said().await,
        Ok(Some(151)),
        "an earlier day does not count for more"
    );
    enter("141", 2).await;
    assert_eq!(
        said().await,
        Ok(Some(141)),
        "the correction of the same day does"
    );
    enter("", 2).await;
    assert_eq!(said().await, Ok(None), "withdrawn");
    running.drain().await;
}

#[actix_web::test]
async fn the_outcome_of_a_review_stands_in_place_of_the_sources() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let url = browser.url.clone();
    let said = async || read(source(&staff, url.clone()), true).await;
    browser
        .enter(
            BLOOD_PRESSURE,
            "observation",
            "151",
            today(),
            &staff.clinician,
        )
        .await;
    assert_eq!(said().await, [Ok(Some(151))]);
    let (status, page) = browser
        .enter(BLOOD_PRESSURE, "review", "128", today(), &staff.caseworker)
        .await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(said().await, [Ok(Some(128))]);
    browser
        .enter(BLOOD_PRESSURE, "review", "", today(), &staff.caseworker)
        .await;
    let formula = catalogue().get(&BLOOD_PRESSURE.into()).unwrap().formula;
    assert_eq!(
        agree(formula, &said().await).value,
        None,
        "found to be unknowable"
    );
    running.drain().await;
    let gone = said().await;
    assert!(
        matches!(gone.as_slice(), [Err(SourceError::Unavailable { .. })]),
        "{gone:?}: not the old value"
    );
}

#[actix_web::test]
async fn a_fault_is_named_beside_its_field_and_nothing_typed_is_lost() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let tomorrow = today().plus(1).unwrap();
    let (status, page) = browser
        .enter(BLOOD_PRESSURE, "other", "12.5", tomorrow, &staff.clinician)
        .await;
    assert_eq!(status, 422);
    for part in [
        "<title>Error: ",
        "role=\"alert\"",
        "href=\"#kind\"",
        "href=\"#value\"",
        "Write it as a whole number.",
        "Write today or a day before it.",
        "aria-describedby=\"value-hint value-fault\"",
        "value=\"12.5\"",
        "A-&lt;1&gt;&amp;&quot;",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains(MRN), "a record number is never markup");
    let cases = [
        (BLOOD_PRESSURE, "9999999", "more or less than can be"),
        ("medical.asthma", "maybe", "Write it as 0 or 1"),
        ("income.magi_monthly", "612.375", "Write it as dollars"),
    ];
    for (attribute, value, fix) in cases {
        let (status, page) = browser
            .enter(attribute, "observation", value, today(), &staff.clinician)
            .await;
        assert!(status == 422 && page.contains(fix), "{attribute}: {page}");
    }
    let day = today().to_string();
    let sent = [
        ("kind", "observation"),
        ("key_value", "A\u{0}1"),
        ("value", "120"),
        ("observed", day.as_str()),
    ];
    let form = format!("/form/{BLOOD_PRESSURE}");
    let (status, page) = browser.post(&form, &sent).await;
    assert!(
        status == 422 && page.contains("href=\"#key_value\""),
        "{page}"
    );
    let key = staff.clinician.text();
    let sent = [
        ("once", "stale"),
        ("kind", "observation"),
        ("key_value", "A1"),
        ("value", "120"),
        ("observed", day.as_str()),
        ("staff_key", key.as_str()),
    ];
    let (status, page) = browser.post(&format!("{form}/sign"), &sent).await;
    assert!(
        status == 422 && page.contains("This form is too old"),
        "{page}"
    );
    let (status, _) = browser.get("/form/medical.nothing").await;
    assert_eq!(status, 404);
    let long = "x".repeat(20_000);
    let (status, problem) = browser
        .post(&format!("/form/{BLOOD_PRESSURE}"), &[("value", &long)])
        .await;
    assert!(
        (400..500).contains(&status) && !problem.contains("xxxx"),
        "{status}"
    );
    running.drain().await;
}

#[actix_web::test]
async fn a_form_without_faults_has_a_label_for_every_field() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let (_, page) = browser.get(&format!("/form/{BLOOD_PRESSURE}")).await;
    let ids = |marker: &str| -> Vec<String> {
        let parts = page.split(marker).skip(1);
        parts
            .map(|part| part.split('"').next().unwrap().to_owned())
            .collect()
    };
    let labels = ids("label for=\"");
    for input in page
        .split("<input")
        .skip(1)
        .filter(|input| !input.contains("type=\"hidden\""))
    {
        let id = input
            .split("id=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(labels.contains(&id.to_owned()), "{id} has no label");
    }
    assert!(page.contains("<html lang=\"en\">") && !page.contains("<script"));
    let answer = browser.http.get(&browser.url).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    running.drain().await;
}

#[actix_web::test]
async fn attack_a_key_that_is_nobodys_or_of_another_role_signs_nothing() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let stranger = StaffKey::generate();
    let tries = [
        (
            "observation",
            &stranger,
            "This desk does not know that key.",
        ),
        (
            "observation",
            &staff.caseworker,
            "A caseworker may not make this entry",
        ),
        (
            "review",
            &staff.clinician,
            "A clinician may not make this entry",
        ),
    ];
    for (kind, key, fix) in tries {
        let (status, page) = browser
            .enter(BLOOD_PRESSURE, kind, "151", today(), key)
            .await;
        assert!(status == 422 && page.contains(fix), "{page}");
        assert!(
            !page.contains(key.text().as_str()),
            "a key is not sent back"
        );
    }
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(None)]
    );
    running.drain().await;
}

#[actix_web::test]
async fn attack_a_form_sent_twice_makes_one_entry_and_sent_again_with_another_value_none() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let (once, day, key) = (
        browser.once(BLOOD_PRESSURE).await,
        today().to_string(),
        staff.clinician.text(),
    );
    let send = async |value: &str| {
        let fields = [
            ("once", once.as_str()),
            ("kind", "observation"),
            ("key_value", MRN),
            ("value", value),
            ("observed", &day),
            ("staff_key", key.as_str()),
        ];
        browser
            .post(&format!("/form/{BLOOD_PRESSURE}/sign"), &fields)
            .await
    };
    let (first, again) = futures::join!(send("151"), send("151"));
    assert_eq!((first.0, &first.1), (200, &again.1));
    let (status, page) = send("110").await;
    assert!(
        status == 422 && page.contains("sent before with something else"),
        "{page}"
    );
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(Some(151))]
    );
    running.drain().await;
}

#[actix_web::test]
async fn attack_entries_are_told_to_nobody_without_a_readers_key() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let question = Question {
        key_name: "mrn".into(),
        key_value: MRN.into(),
        attribute: BLOOD_PRESSURE.into(),
    };
    let ask = async |key: Option<&str>| {
        let call = browser
            .http
            .post(format!("{}/v1/entries", browser.url))
            .json(&question);
        let call = match key {
            Some(key) => call.bearer_auth(key),
            None => call,
        };
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(Some(READER)).await, 200);
    for wrong in [None, Some(""), Some("node-2-reads")] {
        assert_eq!(ask(wrong).await, 401, "{wrong:?}");
    }
    running.drain().await;
}

fn stated(value: i64, number: u64) -> Statement {
    Statement {
        desk: DESK.into(),
        number,
        role: "clinician".into(),
        kind: EntryKind::Observation,
        key_name: "mrn".into(),
        key_value: MRN.into(),
        attribute: BLOOD_PRESSURE.into(),
        value: Some(value),
        observed: today(),
        recorded: UnixTime(1_795_000_000),
    }
}

/// What a node makes of a desk that answers with these entries.
async fn told(staff: &Staff, entries: Vec<Entry>) -> Reading {
    let answer = Answer { entries };
    let url = serve(move |_| HttpResponse::Ok().json(&answer));
    read(source(staff, url), false).await.remove(0)
}

#[actix_web::test]
async fn attack_a_lying_desk_makes_no_fact() {
    let staff = Staff::new();
    let signed = |statement: Statement| statement.sign(&staff.clinician);
    let honest = signed(stated(151, 1));
    assert_eq!(told(&staff, vec![honest.clone()]).await, Ok(Some(151)));

    let mut edited = honest.clone();
    edited.statement.value = Some(110);
    let malformed = |reading: Reading| matches!(reading, Err(SourceError::Malformed { .. }));
    assert!(
        malformed(told(&staff, vec![edited]).await),
        "an edited value"
    );
    let other = signed(Statement {
        desk: "Hillside".into(),
        ..stated(110, 2)
    });
    assert!(malformed(told(&staff, vec![other]).await), "another desk's");
    let other = signed(Statement {
        attribute: "medical.asthma".into(),
        ..stated(1, 2)
    });
    assert!(
        malformed(told(&staff, vec![other]).await),
        "another attribute's"
    );
    let other = signed(Statement {
        key_value: "B2".into(),
        ..stated(110, 2)
    });
    let reading = told(&staff, vec![other]).await;
    assert!(
        matches!(reading, Err(SourceError::WrongPerson { .. })),
        "a neighbour's"
    );
    let twice = vec![honest.clone(), signed(stated(110, 1))];
    assert!(
        matches!(
            told(&staff, twice).await,
            Err(SourceError::Ambiguous { .. })
        ),
        "one number for two"
    );

    let own = StaffKey::generate();
    let made_up = stated(110, 9).sign(&own);
    assert_eq!(
        told(&staff, vec![made_up, honest.clone()]).await,
        Ok(Some(151)),
        "a key that no node knows"
    );
    let usurped = stated(110, 9).sign(&staff.caseworker);
    assert_eq!(
        told(&staff, vec![usurped, honest.clone()]).await,
        Ok(Some(151)),
        "a role that is another's"
    );
    let review = signed(Statement {
        kind: EntryKind::Review,
        ..stated(110, 9)
    });
    assert_eq!(
        told(&staff, vec![review, honest.clone()]).await,
        Ok(Some(151)),
        "no review by a clinician"
    );
    let day = |day: i64| today().plus(day).unwrap();
    for outside in [-31, 1] {
        let outside = signed(Statement {
            observed: day(outside),
            ..stated(110, 9)
        });
        assert_eq!(
            told(&staff, vec![outside, honest.clone()]).await,
            Ok(Some(151)),
            "out of time"
        );
    }
    let many = (1..=201)
        .map(|number| signed(stated(151, number)))
        .collect();
    let reading = told(&staff, many).await;
    assert!(
        matches!(reading, Err(SourceError::TooLarge { .. })),
        "{reading:?}"
    );
    let url = serve(|_| HttpResponse::Ok().body(r#"{"entries":[],"more":1}"#));
    assert!(
        malformed(read(source(&staff, url), false).await.remove(0)),
        "an unknown field"
    );
    let url = serve(|_| {
        std::thread::sleep(Duration::from_secs(3));
        HttpResponse::Ok().finish()
    });
    let SourceConfig::Desk(slow) = source(&staff, url) else {
        unreachable!()
    };
    let slow = SourceConfig::Desk(DeskSourceConfig {
        limits: hasty(),
        ..slow
    });
    assert!(matches!(
        read(slow, false).await.remove(0),
        Err(SourceError::TimedOut { .. })
    ));
}

#[actix_web::test]
async fn a_mapping_that_nobody_can_fill_is_refused_at_start() {
    let staff = Staff::new();
    let opened = |read: DeskRead, review: Option<DeskRead>| {
        let attribute = AttributeConfig {
            id: BLOOD_PRESSURE.into(),
            read: vec![oracles::sources::ReadConfig::Desk(read)],
            review,
        };
        let sources = Sources::new(&[source(&staff, "http://127.0.0.1:1".into())], &[attribute]);
        sources
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(
        opened(mapping("clinician"), Some(mapping("caseworker"))),
        ""
    );
    insta::assert_snapshot!([
        opened(mapping("nurse"), None),
        opened(DeskRead { roles: vec![], ..mapping("nurse") }, None),
        opened(mapping("clinician"), Some(mapping("judge"))),
        opened(mapping("clinician"), Some(DeskRead { source: "none".into(), ..mapping("caseworker") })),
    ].join("\n"), @r"
    attribute medical.systolic_mmhg, read 1: nobody of the source has the role nurse: add [[source.staff]] with it
    attribute medical.systolic_mmhg, read 1: nobody's entries count: name roles
    attribute medical.systolic_mmhg, review: nobody of the source has the role judge: add [[source.staff]] with it
    attribute medical.systolic_mmhg, review: the source is no desk: name a [[source]] of kind desk
    ");
}

#[test]
fn the_commented_example_is_a_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("desk.example.toml");
    let config = DeskConfig::load(&path).unwrap();
    assert_eq!((config.staff.len(), config.form.len()), (2, 1));
    let refused = |edit: fn(&mut DeskConfig)| {
        let mut config = config.clone();
        edit(&mut config);
        config.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!([
        refused(|it| it.name.clear()),
        refused(|it| it.listen = "0.0.0.0:80".parse().unwrap()),
        refused(|it| it.keep_days = 0),
        refused(|it| it.reader_key_sha256.clear()),
        refused(|it| it.staff[1].key = it.staff[0].key),
        refused(|it| it.form[0].attribute = "medical.luck".into()),
        refused(|it| it.form[0].roles = vec!["nurse".into()]),
        refused(|it| { it.form[0].roles.clear(); it.form[0].review_roles.clear(); }),
        refused(|it| it.form.push(it.form[0].clone())),
        refused(|it| it.form.clear()),
    ].join("\n"), @r"
    configuration field name: write 1 to 128 bytes
    configuration field listen: not a loopback address: set plain_http = true behind a proxy that ends TLS
    configuration field keep_days: write 1 to 3660
    configuration field reader_key_sha256: missing; write the SHA-256 of each node's bearer key
    configuration field staff (Sam Ortiz): key: another has the same; make a key for each
    configuration field form (medical.luck): write an id of contracts/rules/catalogue.toml
    configuration field form (medical.pregnant): role nurse: no member of staff has it
    configuration field form (medical.pregnant): roles: name who may enter it
    configuration field form (medical.pregnant): listed twice
    configuration field form: missing; add a [[form]] for what can be entered
    ");
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(file: &Path) -> Process {
    let oracle = Command::new(env!("CARGO_BIN_EXE_oracle"))
        .args(["desk", "run", "--config"])
        .arg(file)
        .stderr(Stdio::null())
        .spawn();
    Process(oracle.unwrap())
}

#[actix_web::test]
async fn what_was_entered_survives_kill_9_of_the_process() {
    let (folder, mut staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let made = Command::new(env!("CARGO_BIN_EXE_oracle"))
        .args(["desk", "key", "--desk", DESK])
        .output()
        .unwrap();
    let mut lines = BufReader::new(made.stdout.as_slice())
        .lines()
        .map(Result::unwrap);
    let (secret, public) = (lines.next().unwrap(), lines.next().unwrap());
    staff.clinician = StaffKey::parse(secret.rsplit(' ').next().unwrap()).unwrap();
    assert_eq!(
        public,
        format!("key = \"{}\"", staff.clinician.public(DESK))
    );

    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = DeskConfig {
        listen: port,
        ..config(&staff, Path::new("data"))
    };
    let file = folder.path().join("desk.toml");
    std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let browser = Browser::at(format!("http://{port}"));
    let up = async || {
        for _ in 0..200 {
            if browser
                .http
                .get(format!("{}/healthz", browser.url))
                .send()
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the desk does not answer");
    };
    let mut process = spawn(&file);
    up().await;
    let (status, page) = browser
        .enter(
            BLOOD_PRESSURE,
            "observation",
            "151",
            today(),
            &staff.clinician,
        )
        .await;
    assert_eq!(status, 200, "{page}");
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let _process = spawn(&file);
    up().await;
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(Some(151))]
    );
    browser
        .enter(
            BLOOD_PRESSURE,
            "observation",
            "140",
            today(),
            &staff.clinician,
        )
        .await;
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(Some(140))]
    );
}
