//! The browser on a navigator's device: gets pages, fills in forms, and sends them with the headers that browsers send.

use std::net::SocketAddr;

use reqwest::header;
use url::form_urlencoded;

use crate::external::Person;

/// What came back: a page, or where a form leads.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    /// Where it leads; empty for a page.
    pub(super) leads: String,
    pub(super) text: String,
}

/// A browser that has the form open.
pub(super) struct Browser {
    client: reqwest::Client,
    site: String,
}

impl Browser {
    pub(super) fn at(address: SocketAddr) -> Result<Self, String> {
        let client = oracles::http::client_builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        let site = format!("http://{address}");
        Ok(Self { client, site })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Page, String> {
        Self::read(self.client.get(format!("{}{path}", self.site))).await
    }

    /// Sends a form of the page at `/`, whose policy says which origin goes along (Fetch, "append a request `Origin` header").
    pub(super) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page, String> {
        let page = self.client.get(&self.site).send().await;
        let page = page.map_err(|error| error.to_string())?;
        let policy = page.headers().get(header::REFERRER_POLICY);
        let origin = match policy.and_then(|value| value.to_str().ok()) {
            Some("no-referrer") => "null",
            _ => &self.site,
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.client.post(format!("{}{path}", self.site));
        let request = request
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        Self::read(request.body(body)).await
    }

    async fn read(request: reqwest::RequestBuilder) -> Result<Page, String> {
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let leads = answer.headers().get(header::LOCATION);
        let leads = leads.and_then(|value| value.to_str().ok());
        Ok(Page {
            status,
            leads: leads.unwrap_or_default().to_owned(),
            text: answer.text().await.map_err(|error| error.to_string())?,
        })
    }

    /// What a fresh form carries so that it is taken once.
    pub(super) async fn once(&self) -> Result<String, String> {
        let page = self.get("/").await?.text;
        between(&page, "name=\"once\" value=\"", "\"").map(str::to_owned)
    }
}

/// The fields as a navigator fills them in, every kind of record ticked.
pub(super) fn fields<'a>(once: &'a str, person: &'a Person) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("once", once),
        ("phone", person.phone.as_str()),
        ("language", person.language.as_str()),
        ("given_name", person.given_name.as_str()),
        ("family_name", person.family_name.as_str()),
        ("birth_date", person.birth_date.as_str()),
        ("ssn", person.ssn.as_str()),
        ("state", person.state.code()),
    ];
    fields.extend(contracts::ids::Domain::ALL.map(|domain| (domain.as_str(), "yes")));
    fields
}

/// What a page shows for a term.
pub(super) fn shown<'a>(page: &'a str, term: &str) -> Result<&'a str, String> {
    between(page, &format!("<dt>{term}</dt><dd>"), "</dd>")
}

fn between<'a>(page: &'a str, before: &str, after: &str) -> Result<&'a str, String> {
    let rest = page.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(after));
    found
        .map(|(found, _)| found)
        .ok_or_else(|| format!("a page without {before:?}: {page}"))
}
