//! Notifier, agency and a physician's practice.

use actix_web::{HttpRequest, HttpResponse, web};
use contracts::application::{Answer, Application, Relying, reply_message, verify_application};
use contracts::encoding::{Bytes, Bytes32, to_base64url};
use ed25519_dalek::{Signer, SigningKey};
use oracles::problem::Problem;
use serde_json::{Value, json};

use super::{AUDIENCE, ISSUER, Lie, Network, OTHER_AUDIENCE, World, lost};
use crate::agency::Acceptance;
use crate::notifier::Text;

type Net = web::Data<Network>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/notifier/v1/messages", web::post().to(message))
        .route("/notifier/v1/contacts", web::post().to(register))
        .route("/notifier/v1/contacts/{contact}", web::get().to(contact))
        .route("/notifier/v1/replies/{decision}", web::get().to(reply))
        .route("/notifier/v1/events", web::get().to(events))
        .route(
            "/notifier/v1/replies/{decision}",
            web::delete().to(withdraw),
        )
        .route("/agency/applications", web::post().to(apply))
        .route("/agency/applications/{id}/notices", web::post().to(notice))
        .route(
            "/agency/applications/{id}/statements",
            web::get().to(statements),
        )
        .route("/practice/{flag}", web::post().to(alerted));
}

fn authorised(request: &HttpRequest) {
    let header = request.headers().get("authorization").unwrap();
    assert_eq!(header.to_str().unwrap(), "Bearer notifier-token");
}

fn navigator(request: &HttpRequest) {
    let header = request.headers().get("authorization").unwrap();
    assert_eq!(header.to_str().unwrap(), "Bearer contacts-token");
}

async fn register(net: Net, request: HttpRequest, body: web::Json<Value>) -> HttpResponse {
    navigator(&request);
    assert!(body["phone"].is_string() && body["language"].is_string());
    let contact = net.with(|memory| {
        let calls = memory.calls.entry("contact".to_owned()).or_default();
        *calls += 1;
        let contact = format!("registered-{calls}");
        memory.unverified.insert(contact.clone());
        contact
    });
    HttpResponse::Created()
        .json(json!({"contact": contact, "state": "unverified", "recovery_code": "KMNP-QRST-VWXY"}))
}

async fn contact(net: Net, request: HttpRequest, contact: web::Path<String>) -> HttpResponse {
    navigator(&request);
    let waits = net.with(|memory| memory.unverified.contains(&*contact));
    let state = if waits { "unverified" } else { "verified" };
    HttpResponse::Ok()
        .json(json!({"contact": *contact, "state": state, "stopped": false, "shared": false}))
}

async fn message(
    net: Net,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    authorised(&request);
    net.with(|memory| *memory.calls.entry("text".to_owned()).or_default() += 1);
    if net.lies(Lie::TokenUnknown) {
        let status = actix_web::http::StatusCode::UNAUTHORIZED;
        return Err(Problem::new(
            status,
            "unauthorised",
            "Unknown",
            "no such token",
        ));
    }
    let text: Text = serde_json::from_slice(&body).unwrap();
    let value: Value = serde_json::from_slice(&body).unwrap();
    if net.with(|memory| memory.unverified.contains(&text.contact)) {
        let status = actix_web::http::StatusCode::CONFLICT;
        return Err(Problem::new(
            status,
            "unverified",
            "Not verified",
            "not yet",
        ));
    }
    let known = net.with(|memory| {
        memory.heard.push(body.to_vec());
        memory
            .texts
            .entry(text.idempotency_key)
            .or_insert(value.clone())
            .clone()
    });
    assert_eq!(known, value, "one key, one text");
    let asks = value.get("decision_id").is_some();
    if net.loses(Lie::TextAnswerLost) || asks && net.lies(Lie::AskAnswersLost) {
        return Err(lost());
    }
    Ok(HttpResponse::Accepted().json(json!({"id": "m", "state": "queued", "code": "K7"})))
}

async fn reply(net: Net, request: HttpRequest, decision: web::Path<Bytes32>) -> HttpResponse {
    authorised(&request);
    if net.lies(Lie::ClosedReply) {
        let problem = Problem::new(
            actix_web::http::StatusCode::GONE,
            "expired",
            "Gone",
            "ended without a reply",
        );
        return HttpResponse::Gone().json(problem);
    }
    if net.with(|memory| memory.withdrawn.contains(&*decision)) {
        let status = actix_web::http::StatusCode::GONE;
        return HttpResponse::Gone().json(Problem::new(status, "withdrawn", "Gone", "taken back"));
    }
    let Some(answer) = net.with(|memory| memory.answer(&decision)) else {
        return HttpResponse::NoContent().finish();
    };
    let about = match net.lies(Lie::ReplayedReply) {
        true => Bytes32::from([9; 32]),
        false => *decision,
    };
    let at = net.clock.now();
    let key = match net.lies(Lie::ForgedReply) {
        true => SigningKey::from_bytes(&[99; 32]),
        false => net.notifier_key.clone(),
    };
    let signed = match net.lies(Lie::TurnedReply) {
        true => Answer::No,
        false => answer,
    };
    let message = reply_message(&about.to_string(), &signed.to_string(), at);
    let signature = Bytes(key.sign(message.as_bytes()).to_bytes());
    HttpResponse::Ok().json(json!({
        "decision_id": about, "answer": answer, "replied_at": at, "signature": signature,
    }))
}

#[derive(serde::Deserialize)]
struct After {
    after: usize,
    wait: u64,
}

/// Events as the notifier numbers them: from 1, without gaps.
async fn events(net: Net, request: HttpRequest, query: web::Query<After>) -> HttpResponse {
    authorised(&request);
    assert!(query.wait <= 20);
    let events = net.with(|memory| {
        *memory.calls.entry("events".to_owned()).or_default() += 1;
        memory.events.clone()
    });
    let skip = usize::from(net.lies(Lie::EventMissing));
    let numbered: Vec<Value> = events
        .iter()
        .enumerate()
        .skip(query.after + skip)
        .map(|(at, (kind, subject, detail))| {
            json!({
                "seq": at + 1, "at": net.clock.now(), "kind": kind, "subject": subject, "detail": detail,
            })
        })
        .take(100)
        .collect();
    if numbered.is_empty() {
        // As a long poll would.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    HttpResponse::Ok().json(json!({ "events": numbered }))
}

async fn withdraw(net: Net, request: HttpRequest, decision: web::Path<Bytes32>) -> HttpResponse {
    authorised(&request);
    // What was answered for good stays answered.
    net.with(|memory| match memory.own_answer(&decision) {
        Some(Some(_)) => false,
        _ => memory.withdrawn.insert(*decision),
    });
    HttpResponse::NoContent().finish()
}

async fn notice(
    net: Net,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let key = request.headers().get("idempotency-key").unwrap();
    let key = key.to_str().unwrap().to_owned();
    use actix_web::http::StatusCode;
    for (lie, status) in [
        (Lie::NoticeRefused, StatusCode::UNPROCESSABLE_ENTITY),
        (Lie::NoticeUnknown, StatusCode::NOT_FOUND),
        (Lie::NoticesDown, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        if net.lies(lie) {
            net.with(|memory| *memory.calls.entry("refused notice".to_owned()).or_default() += 1);
            return Err(Problem::new(status, "verdict", "Refused", "not so"));
        }
    }
    let told: crate::agency::StatusNotice = serde_json::from_slice(&body).unwrap();
    net.with(|memory| {
        memory.heard.push(body.to_vec());
        let known = memory.notices.iter().any(|(known, ..)| *known == key);
        if !known {
            memory.notices.push((key, id.into_inner(), told));
        }
    });
    if net.loses(Lie::NoticeAnswerLost) {
        return Err(lost());
    }
    Ok(HttpResponse::Accepted().json(json!({"taken": true})))
}

#[derive(serde::Deserialize)]
struct Since {
    after: u64,
}

async fn statements(net: Net, id: web::Path<String>, query: web::Query<Since>) -> HttpResponse {
    let said = net.with(|memory| memory.said.get(&*id).cloned().unwrap_or_default());
    let signed: Vec<_> = (1u64..)
        .zip(said)
        .filter(|(number, _)| *number > query.after)
        .map(|(number, what)| {
            let mut statement = crate::agency::Statement {
                number,
                application_id: id.clone(),
                what,
                signature: Bytes([0; 64]),
            };
            let key = match net.lies(Lie::ForgedStatement) {
                true => SigningKey::from_bytes(&[99; 32]),
                false => net.agency_key.clone(),
            };
            statement.signature = Bytes(key.sign(statement.message().as_bytes()).to_bytes());
            statement
        })
        .collect();
    HttpResponse::Ok().json(json!({ "statements": signed }))
}

async fn apply(net: Net, body: web::Bytes) -> Result<HttpResponse, Problem> {
    net.with(|memory| {
        memory.heard.push(body.to_vec());
        *memory.calls.entry("apply".to_owned()).or_default() += 1;
    });
    if net.lies(Lie::AgencyRefuses) {
        let problem = Problem::new(
            actix_web::http::StatusCode::UNPROCESSABLE_ENTITY,
            "jurisdiction",
            "Refused",
            "not ours",
        );
        return Err(problem);
    }
    let application = Application::parse(&body).unwrap();
    let keys = net.trust.decision_keys();
    let notifier_key = net.notifier_key.verifying_key();
    // One server is both states' agency here.
    let verified = [AUDIENCE, OTHER_AUDIENCE].map(|audience| {
        let relying = Relying {
            issuer: ISSUER,
            audience,
            keys: &keys,
            notifier_key: &notifier_key,
            now: net.clock.now(),
        };
        verify_application(&application, &relying)
    });
    let claims = verified.into_iter().find_map(Result::ok).unwrap();
    let acceptance = net.with(|memory| {
        let next = memory.filed.len();
        let new = || {
            let mut acceptance = Acceptance {
                application_id: format!("CA-{next}"),
                jti: claims.jti,
                accepted_at: net.clock.now(),
                signature: Bytes([0; 64]),
            };
            let signature = net.agency_key.sign(acceptance.message().as_bytes());
            acceptance.signature = Bytes(signature.to_bytes());
            acceptance
        };
        memory.filed.entry(claims.jti).or_insert_with(new).clone()
    });
    if net.loses(Lie::AgencyAnswerLost) {
        return Err(lost());
    }
    let mut answer = acceptance;
    if net.lies(Lie::ForgedAcceptance) {
        answer.application_id = "CA-forged".to_owned();
    }
    if net.lies(Lie::OtherAcceptance) {
        answer.jti = Bytes32::from([1; 32]);
        let signature = net.agency_key.sign(answer.message().as_bytes());
        answer.signature = Bytes(signature.to_bytes());
    }
    Ok(HttpResponse::Created().json(answer))
}

async fn alerted(
    net: Net,
    request: HttpRequest,
    flag: web::Path<String>,
    body: web::Bytes,
) -> HttpResponse {
    let token = request.headers().get("authorization").unwrap();
    assert_eq!(token.to_str().unwrap(), "Bearer practice-token");
    assert!(body.is_empty() && request.query_string().is_empty());
    net.with(|memory| *memory.calls.entry("alert".to_owned()).or_default() += 1);
    if net.lies(Lie::PracticeDown) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    if net.lies(Lie::PracticeGone) {
        return HttpResponse::Gone().finish();
    }
    net.with(|memory| memory.alerts.push(flag.into_inner()));
    HttpResponse::NoContent().finish()
}

impl super::Memory {
    /// What the phone that was asked about a decision answers by itself.
    fn own_answer(&self, decision: &Bytes32) -> Option<Option<Answer>> {
        let id = json!(decision);
        let mut texts = self.texts.values();
        let text = texts.find(|text| text["decision_id"] == id)?;
        self.replies.get(text["contact"].as_str()?).copied()
    }

    fn answer(&self, decision: &Bytes32) -> Option<Answer> {
        self.own_answer(decision).unwrap_or(self.reply)
    }
}

impl World {
    /// Every phone that was registered says YES.
    pub(crate) fn verify_contacts(&self) {
        self.network.with(|memory| memory.unverified.clear());
    }

    /// Members of the identity committee, as its operators publish their keys.
    pub(crate) fn recipients(&self) -> Vec<oracles::wire::enrol::Recipient> {
        let keys = self.network.hpke.iter();
        keys.map(|(node, keys)| oracles::wire::enrol::Recipient {
            node: *node,
            key_epoch: 1,
            hpke_key: *keys.public(),
        })
        .collect()
    }

    /// The notifier has something to tell.
    pub(crate) fn event(&self, kind: &str, subject: &str, detail: &str) {
        let event = (kind.to_owned(), subject.to_owned(), detail.to_owned());
        self.network.with(|memory| memory.events.push(event));
    }

    /// Waits until everything that the notifier told was taken in.
    pub(crate) async fn heard_all(&self) {
        let notifier = to_base64url(self.network.notifier_key.verifying_key().as_bytes());
        let told = self.network.with(|memory| memory.events.len());
        for _ in 0..1_000 {
            let heard = self.store.store.heard_until(&notifier).await.unwrap();
            if usize::try_from(heard).unwrap() == told {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the notifier's events were not taken in");
    }
}
