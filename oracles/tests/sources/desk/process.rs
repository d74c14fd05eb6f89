//! A desk as a process, with its configuration.

use super::*;

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
