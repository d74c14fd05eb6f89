//! Mappings that are configuration alone, and those that cannot work.

use actix_web::HttpResponse;
use contracts::catalogue::catalogue;
use oracles::sources::{AttributeConfig, SourceConfig, Sources};
use serde_json::json;

use crate::server::{keys, period, serve};

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    source: Vec<SourceConfig>,
    #[serde(default)]
    attribute: Vec<AttributeConfig>,
}

#[test]
fn a_mapping_that_cannot_work_is_refused_at_start_by_name() {
    let refused = |text: &str| {
        let file: File = toml::from_str(text).unwrap();
        Sources::new(&file.source, &file.attribute)
            .err()
            .unwrap()
            .to_string()
    };
    let payroll =
        "[[source]]\nname = \"p\"\nkind = \"emmy\"\nurl = \"http://h\"\napi_key = \"hunter2\"\n";
    let reading = |id: &str, kind: &str, source: &str| {
        format!(
            "{payroll}[[attribute]]\nid = \"{id}\"\n[[attribute.read]]\nkind = \"{kind}\"\nsource = \"{source}\"\n"
        )
    };
    assert!(refused(&reading("income.nothing", "emmy", "p")).contains("income.nothing"));
    assert!(refused(&reading("income.magi_monthly", "emmy", "q")).contains("unknown source"));
    let fhir = reading("medical.pregnant", "fhir", "p");
    let fhir = format!("{fhir}identifier_system = \"s\"\nidentifier_key = \"k\"\ncodes = []\n");
    assert!(refused(&fhir).contains("another kind"));
    assert!(refused(&format!("{payroll}{payroll}")).contains("twice"));
    assert!(refused(&payroll.replace("http://h", "file:///etc/passwd")).contains("http(s)"));
    let file: File = toml::from_str(payroll).unwrap();
    assert!(
        !format!("{:?}", file.source).contains("hunter2"),
        "a key is not printed"
    );
}

#[test]
fn a_json_or_fhir_mapping_that_cannot_work_is_refused_with_what_to_write() {
    let refused = |kind: &str, rest: &str| {
        let text = format!(
            "[[source]]\nname = \"s\"\nkind = \"{kind}\"\nurl = \"http://h\"\n[[attribute]]\nid = \"income.deposits_monthly\"\n[[attribute.read]]\nkind = \"{kind}\"\nsource = \"s\"\n{rest}"
        );
        let file: File = toml::from_str(&text).unwrap();
        let error = Sources::new(&file.source, &file.attribute).err();
        error.map_or(String::new(), |error| error.to_string())
    };
    let json = |rest: &str| refused("json", &format!("value = {{ as = \"dollars\" }}\n{rest}"));
    assert_eq!(json("path = \"a/{b}\"\npointer = \"/c\""), "");
    for (rest, told) in [
        ("path = \"a/{b\"", "no template"),
        ("path = \"/a\"", "slash"),
        ("path = \"\"", "empty"),
        ("path = \"a\"\npointer = \"c\"", "JSON Pointer"),
        ("path = \"a\"\nrecords = \"/~2\"", "JSON Pointer"),
        ("path = \"a\"\nreduce = \"latest\"", "`time`"),
        (
            "path = \"a\"\ntime = { as = \"span\", start = \"/s\", end = \"/e\" }",
            "reduce = \"sum\"",
        ),
        ("path = \"a\"\nsame = { \"/s\" = \"}\" }", "no template"),
    ] {
        let error = json(rest);
        assert!(error.contains(told), "{rest}: {error}");
        assert!(
            error.starts_with("attribute income.deposits_monthly, read 1"),
            "{error}"
        );
    }
    let patient = "identifier_system = \"m\"\nidentifier_key = \"k\"\n";
    let fhir = |rest: &str| refused("fhir", &format!("{patient}{rest}"));
    assert!(fhir("").contains("no codes"));
    assert!(
        fhir("resource = \"observation\"\ncodes = [{ system = \"s\", code = \"c\" }]")
            .contains("no unit")
    );
    assert_eq!(fhir("resource = \"patient\""), "");
    assert!(fhir("resource = \"patient\"\nrequired = [\"birthDate\"]").contains("/recordedDate"));
    // What is misspelt is not passed over.
    for misspelt in ["pathh = \"a\"", "path = \"a\"\nvalue = { as = \"dollar\" }"] {
        let text =
            format!("kind = \"json\"\nsource = \"s\"\nvalue = {{ as = \"flag\" }}\n{misspelt}");
        assert!(toml::from_str::<oracles::sources::ReadConfig>(&text).is_err());
    }
}

/// The example, with a source that nobody has written code for.
fn configuration(url: &str) -> String {
    format!(
        r#"{}
[[roles.attest.source]]
name = "county"
kind = "json"
url = "{url}"

[[roles.attest.attribute]]
id = "household.size"
[[roles.attest.attribute.read]]
source = "county"
kind = "json"
path = "cases/{{case}}/people"
records = "/data/members"
same = {{ "/case" = "{{case}}" }}
only = {{ "/counts" = ["true"] }}
pointer = "/weight"
value = {{ as = "integer" }}
reduce = "sum"
"#,
        include_str!("../../oracle.example.toml")
    )
}

fn county() -> String {
    serve(|request| {
        assert_eq!(request.path(), "/cases/C-1/people");
        let member = |counts: bool| json!({ "case": "C-1", "counts": counts, "weight": 1 });
        let members = [member(true), member(false), member(true)];
        HttpResponse::Ok().json(json!({ "data": { "members": members } }))
    })
}

#[actix_web::test]
async fn a_source_of_a_known_kind_needs_configuration_and_no_code() {
    let config = oracles::config::NodeConfig::parse(&configuration(&county())).unwrap();
    let attest: oracles::attest::AttestConfig = config.role("attest").unwrap().unwrap();
    let sources = Sources::new(&attest.source, &attest.attribute).unwrap();
    let size = catalogue().get(&"household.size".into()).unwrap();
    let readings = sources
        .read(size, &keys(&[("case", "C-1")]), period())
        .await;
    assert_eq!(readings, [Ok(Some(2))]);
    let again = toml::to_string(&attest).unwrap();
    assert!(toml::from_str::<oracles::attest::AttestConfig>(&again).unwrap() == attest);
}

#[actix_web::test]
async fn the_probe_shows_every_step_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, configuration(&county())).unwrap();
    let probe = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oracle"));
        command
            .args(["probe", "--config"])
            .arg(&file)
            .args(arguments);
        command.current_dir(folder.path());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let known = [
        "--attribute",
        "household.size",
        "--key",
        "case=C-1",
        "--period",
        "2026-11-20/2026-11-20",
    ];
    let (success, shown, told) = probe(&known).await;
    assert!(success, "{told}");
    for step in [
        "attribute  household.size: Number of people in this person's MAGI household",
        "unit       Count, 1 to 20",
        "period     2026-11-20/2026-11-20",
        "source     county",
        "/cases/C-1/people",
        "  conversion /weight as Integer: Some(1)",
        "  records  3, of which 2 count",
        "  gives    2",
        "formula    every source gives the same value",
        "agreement  1 of 1 sources agree, 0 disagree, 0 failed",
        "value      2",
    ] {
        assert!(shown.contains(step), "{step}\n{shown}");
    }
    let (success, shown, told) = probe(&["--attribute", "household.size"]).await;
    assert!(
        !success && told.contains("household.size is not known"),
        "{told}"
    );
    assert!(
        shown.contains("source county: the handle holds no case"),
        "{shown}"
    );
    let (success, _, told) = probe(&["--attribute", "household.sise"]).await;
    assert!(!success && told.contains("not in the catalogue"), "{told}");
    let (success, _, told) = probe(&["--attribute", "medical.blind"]).await;
    assert!(!success && told.contains("no source is mapped"), "{told}");
    let (success, _, told) = probe(&["--attribute", "household.size", "--key", "case"]).await;
    assert!(!success && told.contains("NAME=VALUE"), "{told}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no database, no folder, no key");
}
