//! Client credentials (RFC 6749 §4.4) against an authorisation server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{HttpRequest, HttpResponse};
use contracts::catalogue::catalogue;
use oracles::sources::{
    AttributeConfig, HttpConfig, JsonRead, OAuthConfig, ReadConfig, Reading, SourceConfig,
    SourceError, Sources,
};
use serde_json::{Value, json};

use crate::server::{http, keys, limits, period, serve_bodies};

const SECRET: &str = "s3cret:/+%";

/// A server that hands out tokens and takes those that `good` takes.
fn bank<G, T>(grant: G, good: T) -> (String, Arc<AtomicUsize>)
where
    G: Fn(usize) -> Value + Clone + Send + 'static,
    T: Fn(&str) -> bool + Clone + Send + 'static,
{
    let granted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&granted);
    let url = serve_bodies(move |request: &HttpRequest, body| {
        let header = request.headers().get("authorization");
        let header = header.map_or("", |it| it.to_str().unwrap());
        if request.path() == "/token" {
            // Basic of `oracle 1` and the secret, both form-encoded first (RFC 6749 §2.3.1).
            assert_eq!(header, "Basic b3JhY2xlKzE6czNjcmV0JTNBJTJGJTJCJTI1");
            assert_eq!(body, "grant_type=client_credentials&scope=accounts");
            return HttpResponse::Ok().json(grant(count.fetch_add(1, Ordering::SeqCst)));
        }
        match header.strip_prefix("Bearer ").is_some_and(&good) {
            true => HttpResponse::Ok().json(json!({ "linked": true })),
            false => HttpResponse::Unauthorized().finish(),
        }
    });
    (url, granted)
}

fn sources(url: &str) -> Sources {
    let source = SourceConfig::Json(HttpConfig {
        oauth: Some(OAuthConfig {
            token_url: format!("{url}/token"),
            client_id: "oracle 1".into(),
            client_secret: SECRET.into(),
            scope: Some("accounts".into()),
        }),
        ..http("bank", url.to_owned(), limits())
    });
    let read: JsonRead = toml::from_str(
        "source = \"bank\"\npath = \"link\"\npointer = \"/linked\"\nvalue = { as = \"flag\" }",
    )
    .unwrap();
    let attribute = AttributeConfig {
        id: "income.deposit_account_linked".into(),
        read: vec![ReadConfig::Json(read)],
        review: None,
    };
    Sources::new(&[source], &[attribute]).unwrap()
}

async fn linked(sources: &Sources) -> Reading {
    let attribute = catalogue().get(&"income.deposit_account_linked".into());
    sources
        .read(attribute.unwrap(), &keys(&[]), period())
        .await
        .remove(0)
}

fn bearer(life: u64) -> impl Fn(usize) -> Value + Clone {
    move |number| json!({ "access_token": format!("t{number}"), "token_type": "bearer", "expires_in": life })
}

#[actix_web::test]
async fn a_token_serves_all_reads_until_it_expires() {
    let (url, granted) = bank(bearer(3_600), |token| token == "t0");
    let bank_sources = sources(&url);
    for _ in 0..3 {
        assert_eq!(linked(&bank_sources).await, Ok(Some(1)));
    }
    assert_eq!(granted.load(Ordering::SeqCst), 1);

    let (url, granted) = bank(bearer(0), |_| true);
    let bank_sources = sources(&url);
    for _ in 0..3 {
        assert_eq!(linked(&bank_sources).await, Ok(Some(1)));
    }
    assert_eq!(granted.load(Ordering::SeqCst), 3, "it expired at once");
}

#[actix_web::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let (url, granted) = bank(bearer(3_600), |token| token == "t1");
    let bank_sources = sources(&url);
    assert_eq!(linked(&bank_sources).await, Ok(Some(1)), "t0 was revoked");
    assert_eq!(granted.load(Ordering::SeqCst), 2);

    let (url, granted) = bank(bearer(3_600), |_| false);
    let refused = linked(&sources(&url)).await.unwrap_err();
    assert!(matches!(refused, SourceError::Refused { .. }), "{refused}");
    assert_eq!(granted.load(Ordering::SeqCst), 2, "and not again and again");
}

#[actix_web::test]
async fn a_token_answer_that_is_none_is_a_failed_source_whose_error_tells_no_secret() {
    for grant in [
        json!({ "access_token": "t", "token_type": "mac" }),
        json!({ "access_token": "", "token_type": "Bearer" }),
        json!({ "access_token": "t\r\nx: y", "token_type": "Bearer" }),
        json!({ "access_token": "t".repeat(9_000), "token_type": "Bearer" }),
        json!({ "token_type": "Bearer" }),
        json!({ "access_token": "t", "token_type": "Bearer", "expires_in": -1 }),
        json!([]),
    ] {
        let (url, _) = bank(move |_| grant.clone(), |_| true);
        let error = linked(&sources(&url)).await.unwrap_err().to_string();
        assert!(error.contains("the token answer"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_secret_is_not_sent_in_the_clear_nor_printed() {
    let config = |token_url: &str| HttpConfig {
        oauth: Some(OAuthConfig {
            token_url: token_url.into(),
            client_id: "c".into(),
            client_secret: SECRET.into(),
            scope: None,
        }),
        ..http("bank", "https://bank.example".into(), limits())
    };
    let refused = |config: HttpConfig| {
        let refused = Sources::new(&[SourceConfig::Json(config)], &[]).err();
        refused.map(|error| error.to_string())
    };
    let clear = refused(config("http://bank.example/token")).unwrap();
    assert!(clear.contains("token_url is not https"), "{clear}");
    assert_eq!(refused(config("https://bank.example/token")), None);
    let both = HttpConfig {
        api_key: Some("k".into()),
        ..config("https://bank.example/token")
    };
    assert!(refused(both).unwrap().contains("exclude"));
    let printed = format!("{:?}", SourceConfig::Json(config("https://x")));
    assert!(!printed.contains(SECRET), "{printed}");
    assert!(!format!("{:?}", config("https://x").oauth).contains(SECRET));
}
