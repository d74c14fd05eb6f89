//! Servers, limits and the way a reading is asked for.

use std::collections::BTreeMap;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use contracts::catalogue::catalogue;
use contracts::units::Period;
use oracles::sources::{
    AttributeConfig, HttpConfig, Limits, ReadConfig, Reading, SourceConfig, Sources,
};

/// Serves every request, with its body, by `answer`.
pub fn serve_bodies<F>(answer: F) -> String
where
    F: Fn(&HttpRequest, &str) -> HttpResponse + Clone + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let answer = answer.clone();
        App::new().default_service(web::to(move |request: HttpRequest, body: String| {
            let response = answer(&request, &body);
            async move { response }
        }))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    tokio::spawn(server);
    url
}

/// Serves every request with `answer`.
pub fn serve<F>(answer: F) -> String
where
    F: Fn(&HttpRequest) -> HttpResponse + Clone + Send + 'static,
{
    serve_bodies(move |request, _| answer(request))
}

pub fn limits() -> Limits {
    Limits {
        timeout_ms: 5_000,
        retries: 1,
        deadline_ms: 20_000,
        max_bytes: 64 << 10,
        max_pages: 4,
        max_entries: 20,
        ..Limits::default()
    }
}

/// For servers that are meant to be too slow.
pub fn hasty() -> Limits {
    Limits {
        timeout_ms: 300,
        deadline_ms: 1_000,
        ..limits()
    }
}

pub fn http(name: &str, url: String, limits: Limits) -> HttpConfig {
    HttpConfig {
        name: name.into(),
        url,
        api_key: None,
        oauth: None,
        limits,
    }
}

pub fn period() -> Period {
    "2026-10-22/2026-11-20".parse().unwrap()
}

pub fn keys(keys: &[(&str, &str)]) -> BTreeMap<String, String> {
    keys.iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

pub async fn read(
    source: SourceConfig,
    reading: ReadConfig,
    attribute: &str,
    held: &[(&str, &str)],
    period: Period,
) -> Reading {
    let mapping = AttributeConfig {
        id: attribute.into(),
        read: vec![reading],
        review: None,
    };
    let sources = Sources::new(&[source], &[mapping]).unwrap();
    let attribute = catalogue().get(&attribute.into()).unwrap();
    sources.read(attribute, &keys(held), period).await.remove(0)
}
