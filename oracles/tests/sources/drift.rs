//! A source that drifts shows in the node's metrics and in its score while the others still bear the fact out.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use actix_web::HttpResponse;
use contracts::catalogue::catalogue;
use oracles::agreement::agree;
use oracles::metrics::Metrics;
use oracles::sources::{
    AttributeConfig, BreakerState, HttpConfig, JsonRead, Limits, ReadConfig, SourceConfig,
    SourceHealth, Sources,
};
use serde_json::json;

use crate::server::{http, keys, limits, period, serve};

const READ: &str = "path = \"x\"\npointer = \"/v\"\nvalue = { as = \"integer\" }\nsource = ";

fn sources(urls: &[String], attribute: &str, limits: &Limits) -> Sources {
    let name = |at: usize| format!("s{at}");
    let configs: Vec<_> = urls
        .iter()
        .enumerate()
        .map(|(at, url)| -> SourceConfig {
            let config: HttpConfig = http(&name(at), url.clone(), limits.clone());
            SourceConfig::Json(config)
        })
        .collect();
    let read =
        |at: usize| -> JsonRead { toml::from_str(&format!("{READ}\"{}\"", name(at))).unwrap() };
    let mapping = AttributeConfig {
        id: attribute.into(),
        read: (0..urls.len())
            .map(|at| ReadConfig::Json(read(at)))
            .collect(),
        review: None,
    };
    Sources::new(&configs, &[mapping]).unwrap()
}

fn steady(value: i64) -> String {
    serve(move |_| HttpResponse::Ok().json(json!({ "v": value })))
}

async fn agreed(sources: &Sources, attribute: &str) -> Option<i64> {
    let attribute = catalogue().get(&attribute.into()).unwrap();
    let readings = sources.read(attribute, &keys(&[]), period()).await;
    agree(attribute.formula, &readings).value
}

fn health(sources: &Sources, name: &str) -> SourceHealth {
    let all = sources.health();
    all.into_iter().find(|health| health.name == name).unwrap()
}

#[actix_web::test]
async fn a_source_whose_error_rate_rises_shows_before_it_breaks_quorum() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Sound for ten reads, then refusing two of three.
    let failing = serve(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        at if at >= 10 && at % 3 != 0 => HttpResponse::Forbidden().finish(),
        _ => HttpResponse::Ok().json(json!({ "v": 6 })),
    });
    let metrics = Metrics::default();
    let residence = "residence.state";
    let sources = sources(&[steady(6), steady(6), failing], residence, &limits())
        .with_metrics(metrics.clone());
    let mut scores = Vec::new();
    for _ in 0..40 {
        assert_eq!(
            agreed(&sources, residence).await,
            Some(6),
            "quorum holds throughout"
        );
        scores.push(health(&sources, "s2").score);
    }
    assert_eq!(scores[9], 1.0);
    assert!(scores[39] < 0.6, "{scores:?}");
    assert_eq!(health(&sources, "s0").score, 1.0);
    let text = metrics.text();
    let error_rate = health(&sources, "s2").error_rate;
    for line in [
        format!("oracle_source_health{{source=\"s2\",figure=\"error_rate\"}} {error_rate:?}"),
        "oracle_source_health{source=\"s0\",figure=\"error_rate\"} 0.0".to_owned(),
        "oracle_source_breaker{source=\"s2\",state=\"closed\"} 1".to_owned(),
        "oracle_source_reads_total{source=\"s2\",outcome=\"refused\"} 20".to_owned(),
        "oracle_source_reads_total{source=\"s0\",outcome=\"value\"} 40".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[actix_web::test]
async fn a_source_that_wanders_off_shows_while_it_is_within_the_tolerance() {
    let value = Arc::new(AtomicI64::new(100_000));
    let said = Arc::clone(&value);
    let wandering =
        serve(move |_| HttpResponse::Ok().json(json!({ "v": said.load(Ordering::SeqCst) })));
    let income = "income.magi_monthly";
    let sources = sources(&[steady(100_000), wandering], income, &limits());
    for _ in 0..4 {
        assert!(agreed(&sources, income).await.is_some());
    }
    assert_eq!(health(&sources, "s1").drift, 0.0);
    value.store(104_000, Ordering::SeqCst);
    for _ in 0..4 {
        assert!(
            agreed(&sources, income).await.is_some(),
            "4 % of 5 are allowed"
        );
    }
    assert!((health(&sources, "s1").drift - 0.4).abs() < 1e-9);
    assert_eq!(health(&sources, "s1").disagreement_rate, 0.0);
    value.store(106_000, Ordering::SeqCst);
    assert_eq!(agreed(&sources, income).await, None);
    assert!(health(&sources, "s1").disagreement_rate > 0.0);
}

#[actix_web::test]
async fn a_source_that_is_down_is_left_alone_and_tried_again() {
    let down = Arc::new(AtomicI64::new(1));
    let (state, asked) = (Arc::clone(&down), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let url = serve(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        match state.load(Ordering::SeqCst) {
            1 => HttpResponse::ServiceUnavailable().finish(),
            _ => HttpResponse::Ok().json(json!({ "v": 1 })),
        }
    });
    let limits = Limits {
        retries: 0,
        breaker_failures: 3,
        breaker_open_ms: 3_600_000,
        ..limits()
    };
    let medicare = "identity.medicare";
    let left_alone = sources(std::slice::from_ref(&url), medicare, &limits);
    for _ in 0..6 {
        assert_eq!(agreed(&left_alone, medicare).await, None);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(health(&left_alone, "s0").breaker, BreakerState::Open);
    assert_eq!(health(&left_alone, "s0").error_rate, 1.0);

    // With no rest at all, each read is the one try that may close it.
    let limits = Limits {
        breaker_open_ms: 0,
        ..limits
    };
    let tried = sources(&[url], medicare, &limits);
    for _ in 0..4 {
        assert_eq!(agreed(&tried, medicare).await, None);
    }
    assert_eq!(health(&tried, "s0").breaker, BreakerState::HalfOpen);
    down.store(0, Ordering::SeqCst);
    assert_eq!(agreed(&tried, medicare).await, Some(1));
    assert_eq!(health(&tried, "s0").breaker, BreakerState::Closed);
}
