//! Answers made to hurt a reader, for every kind of HTTP source: each is a failure in time, and none a fact.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use oracles::sources::{
    Coding, ConfigError, FhirRead, HttpConfig, JsonRead, ReadConfig, Reading, SourceConfig,
    SourceError, Sources,
};

use crate::emmy::reading;
use crate::server::{hasty, http, limits, period, read};
use oracles::sources::{Basis, Limits, Measure};

/// Answers every connection with these bytes, as they are, and closes it; `then` waits for the client to go first.
fn raw(answer: Vec<u8>, wait: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(&answer);
            if wait {
                let _ = stream.read(&mut byte);
            }
        }
    });
    url
}

fn whole(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The same server asked as each kind of source.
async fn every_kind(url: &str, limits: Limits) -> [Reading; 3] {
    let config = || -> HttpConfig { http("s", url.to_owned(), limits.clone()) };
    let emmy = ReadConfig::Emmy(oracles::sources::EmmyRead {
        source: "s".into(),
        ..reading(Measure::Income, Basis::Paid)
    });
    let json: JsonRead = toml::from_str(
        "source = \"s\"\npath = \"x\"\nrecords = \"/r\"\npointer = \"/v\"\nvalue = { as = \"dollars\" }\nreduce = \"sum\"",
    )
    .unwrap();
    let fhir: FhirRead = toml::from_str(
        "source = \"s\"\nidentifier_system = \"m\"\nidentifier_key = \"ehr_id\"\ncodes = [{ system = \"c\", code = \"1\" }]",
    )
    .unwrap();
    assert_eq!(
        fhir.codes,
        [Coding {
            system: "c".into(),
            code: "1".into()
        }]
    );
    let keys = [
        ("case_number", "C-1"),
        ("ssn_last4", "4321"),
        ("ehr_id", "p"),
    ];
    let income = "income.magi_monthly";
    [
        read(SourceConfig::Emmy(config()), emmy, income, &keys, period()).await,
        read(
            SourceConfig::Json(config()),
            ReadConfig::Json(json),
            income,
            &keys,
            period(),
        )
        .await,
        read(
            SourceConfig::Fhir(config()),
            ReadConfig::Fhir(fhir),
            "medical.pregnant",
            &keys,
            period(),
        )
        .await,
    ]
}

#[tokio::test]
async fn bombs_and_broken_text_are_malformed_and_never_a_fact() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5_000), close.repeat(5_000));
    for body in [
        String::new(),
        "null".into(),
        "0".into(),
        "\"[]\"".into(),
        "[".repeat(60_000),
        deep("[", "]"),
        deep("{\"a\":", "}").replace(":}", ":0}"),
        format!("[{}]", "9".repeat(60_000)),
        format!("{{\"r\":[{{\"v\":1e{}}}]}}", "9".repeat(20)),
        "{\"r\":[],\"r\":[]}".into(),
        "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"type\":\"searchset\"}".into(),
        "{\"r\":[{\"v\":1,\"v\":2}]}".into(),
        "[] []".into(),
        "{\"r\":[{\"v\":\"\\ud800\"}]}".into(),
        "{'r':[]}".into(),
        "<html></html>".into(),
    ] {
        for reading in every_kind(&raw(whole(&body), false), limits()).await {
            let short: String = body.chars().take(40).collect();
            match reading {
                Err(SourceError::Malformed { .. }) => {}
                other => panic!("{short}: {other:?}"),
            }
        }
    }
    let mut latin = whole("{\"r\":[{\"v\":\"xx\"}]}");
    let length = latin.len();
    latin[length - 6] = 0xff;
    for reading in every_kind(&raw(latin, false), limits()).await {
        assert!(matches!(reading, Err(SourceError::Malformed { .. })));
    }
}

#[tokio::test]
async fn an_answer_that_stops_early_grows_too_large_or_never_ends_fails_in_time() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"r\":[]}".to_vec();
    for reading in every_kind(&raw(cut.clone(), false), limits()).await {
        assert!(
            matches!(reading, Err(SourceError::Unavailable { .. })),
            "{reading:?}"
        );
    }
    for reading in every_kind(&raw(cut, true), hasty()).await {
        assert!(
            matches!(reading, Err(SourceError::TimedOut { .. })),
            "{reading:?}"
        );
    }
    let boast = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n[".to_vec();
    let chunks = "FFFF\r\n".to_owned() + &" ".repeat(0xFFFF) + "\r\n";
    let flood = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        chunks.repeat(4)
    );
    for answer in [boast, flood.into_bytes()] {
        for reading in every_kind(&raw(answer, false), limits()).await {
            assert!(
                matches!(reading, Err(SourceError::TooLarge { .. })),
                "{reading:?}"
            );
        }
    }
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        for reading in every_kind(&raw(answer.into(), false), limits()).await {
            let error = reading.unwrap_err();
            assert!(error.is_transient(), "{answer}: {error}");
        }
    }
}

#[test]
fn an_address_that_is_none_is_refused_at_start() {
    for url in [
        "",
        "ftp://h",
        "file:///etc/passwd",
        "http://u:p@h",
        "http://h?x",
        "http://h#x",
    ] {
        let config = HttpConfig {
            ..http("s", url.to_owned(), limits())
        };
        let error: ConfigError = Sources::new(&[SourceConfig::Json(config)], &[])
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("source s: "), "{error}");
    }
}
