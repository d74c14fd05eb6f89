//! The navigator's form, as its browser sees it, over the network.

use contracts::encoding::to_base64url;
use reqwest::StatusCode;
use reqwest::header;
use serde_json::json;
use url::form_urlencoded;

use crate::api::types::Profile;
use crate::navigator::{NavigatorConfig, RunningForm, start};
use crate::testing::{CONTRACT, NAVIGATOR, World, parse};

const SSN: &str = "987-65-4399";
const PHONE: &str = "+14155550199";

/// A browser on the navigator's device.
struct Browser {
    form: RunningForm,
    client: reqwest::Client,
}

impl World {
    /// A form whose configuration names `key` for the first identity oracle.
    fn navigator(&self, key: Option<[u8; 32]>) -> Browser {
        let folder = self.folder.path();
        let secret = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            json!({ "file": path })
        };
        let mut identity = self.recipients();
        if let Some(key) = key {
            identity[0].hpke_key = key.into();
        }
        let config = json!({
            "name": "Bay Community Clinic",
            "contract": CONTRACT,
            "profile": {"url": self.service.url(), "token": secret("navigator-profile", NAVIGATOR)},
            "notifier": {"url": self.config.notifier.url.as_str(), "token": secret("contacts", "contacts-token")},
            "identity": identity,
        });
        let config = NavigatorConfig::parse(&toml::to_string(&config).unwrap()).unwrap();
        Browser {
            form: start(&config).unwrap(),
            // It follows no redirect by itself.
            client: oracles::http::client(),
        }
    }
}

impl Browser {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.form.address())
    }

    async fn page(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Sends a form: where it leads, or what is shown.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        // A form is sent with its page's origin, unless the page's policy withholds it (Fetch, "append a request Origin header").
        let page = self.client.get(self.url("/")).send().await.unwrap();
        let policy = page.headers().get(header::REFERRER_POLICY).unwrap();
        let origin = match policy.to_str().unwrap() {
            "no-referrer" => "null".to_owned(),
            _ => format!("http://{}", self.form.address()),
        };
        let request = self
            .client
            .post(self.url(path))
            .header(header::ORIGIN, origin)
            .body(body)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        match answer.headers().get(header::LOCATION) {
            Some(to) => (status, to.to_str().unwrap().to_owned()),
            None => (status, answer.text().await.unwrap()),
        }
    }

    async fn once(&self) -> String {
        let (_, page) = self.page("/").await;
        let (_, rest) = page.split_once("name=\"once\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

fn person<'a>(once: &'a str, ssn: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("once", once),
        ("phone", PHONE),
        ("language", "es"),
        ("given_name", "Marisol"),
        ("family_name", "Quintanilla"),
        ("birth_date", "1992-02-29"),
        ("ssn", ssn),
        ("state", "ca"),
        ("identity", "yes"),
        ("residence", "yes"),
        ("income", "yes"),
        ("household", "yes"),
        ("medical", "yes"),
    ]
}

/// What stands between a tag after a term and its end.
fn shown<'a>(page: &'a str, term: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<dt>{term}</dt><dd>")).unwrap();
    rest.split("</dd>").next().unwrap()
}

#[actix_web::test]
async fn a_navigator_enrols_a_person_by_the_form_and_nobody_else_learns_who_it_is() {
    let world = World::new().await;
    let browser = world.navigator(None);
    let once = browser.once().await;
    let (status, page) = browser.send("/enrol", &person(&once, "98765439")).await;
    assert_eq!(status, 422);
    assert!(page.contains("Enter nine digits") && !page.contains("98765439"));
    assert!(page.contains("Marisol"), "what was right is kept");

    let (status, to) = browser.send("/enrol", &person(&once, SSN)).await;
    assert_eq!(
        (status.as_u16(), to.clone()),
        (303, format!("/enrol/{once}"))
    );
    // Sent twice, it is one person.
    assert_eq!(browser.send("/enrol", &person(&once, SSN)).await.1, to);
    assert_eq!(world.calls("contact"), 1);
    let (status, page) = browser.send(&to, &[]).await;
    assert_eq!(status, 409);
    assert!(page.contains("has not replied yet"));
    assert_eq!(
        shown(&page, "Recovery code, for a new phone number"),
        "KMNP-QRST-VWXY",
        "what a form that ends too early would lose"
    );
    world.verify_contacts();
    assert_eq!(
        browser.send(&to, &[]).await,
        (StatusCode::SEE_OTHER, to.clone())
    );
    let (_, page) = browser.page(&to).await;
    let (profile, token) = (
        shown(&page, "Profile"),
        shown(&page, "Key of the profile, to be kept secret"),
    );
    assert_eq!(
        shown(&page, "Recovery code, for a new phone number"),
        "KMNP-QRST-VWXY"
    );
    assert!(!page.contains("not looked after"), "{page}");
    let path = format!("/v1/profiles/{profile}");
    let (status, body) = world.call("GET", &path, Some(token), None, None).await;
    assert_eq!(status, 200);
    assert!(parse::<Profile>(body).enrolled);
    let (status, _) = world
        .call("GET", &format!("{path}/coverage"), Some(token), None, None)
        .await;
    assert_eq!(status, 200);

    let tables = world.tables().await;
    for secret in [PHONE, "Marisol", "Quintanilla", SSN, "987654399"] {
        assert!(!tables.contains(secret), "{secret}");
    }
    for heard in world.network_heard() {
        let heard = String::from_utf8_lossy(&heard).into_owned();
        for secret in ["Marisol", "Quintanilla", SSN, "987654399"] {
            assert!(!heard.contains(secret), "{secret}");
        }
    }
    let (status, _) = browser.send(&format!("{to}/close"), &[]).await;
    assert_eq!(status, 303);
    assert_eq!(browser.page(&to).await.0, 404, "it is shown once");
    browser.form.stop().await;
    world.end().await;
}

#[actix_web::test]
async fn attack_a_profile_service_that_names_its_own_keys_gets_no_claims() {
    let world = World::new().await;
    let browser = world.navigator(Some([9; 32]));
    let once = browser.once().await;
    let (status, page) = browser.send("/enrol", &person(&once, SSN)).await;
    assert_eq!(status, 422);
    assert!(page.contains("other oracles or keys"), "{page}");
    assert_eq!(world.calls("contact"), 0, "the phone is not texted either");
    browser.form.stop().await;
    world.end().await;
}

#[actix_web::test]
async fn attack_another_sites_page_can_neither_read_nor_send_the_form() {
    let world = World::new().await;
    let browser = world.navigator(None);
    let rebound = browser
        .client
        .get(browser.url("/"))
        .header(header::HOST, "clinic.example");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
    let once = to_base64url([7; 32]);
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(person(&once, SSN))
        .finish();
    // `null` is what a sandboxed page sends.
    for origin in ["https://clinic.example", "null"] {
        let forged = browser
            .client
            .post(browser.url("/enrol"))
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.clone());
        assert_eq!(forged.send().await.unwrap().status(), 403);
    }
    assert_eq!(world.calls("contact"), 0);
    let (_, page) = browser.page("/style.css").await;
    assert!(page.starts_with("body"), "its own pages are served");
    browser.form.stop().await;
    world.end().await;
}
