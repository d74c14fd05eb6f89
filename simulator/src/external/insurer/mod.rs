//! An insurer that sells gap cover: it publishes its plans, quotes by them, sells one policy for an enquiry, and ends it on a day.
//!
//! It learns bands, a state and a day, and that a decision committee said YES; no person, no pseudonym, no health. Requests are
//! HPKE boxes to its key (RFC 9180), answers are boxes to the enquiry's one-time key, both bound to what they are for
//! (`contracts::gap::Exchange`). A refusal is a problem document (RFC 9457) that names the check.
//!
//! `GET /v1/key` · `GET /v1/plans` · `POST /v1/enquiries` · `POST /v1/policies` · `POST /v1/endings`. Each is safe to repeat: an enquiry's id, a
//! purchase and a policy are their own idempotency keys.

mod store;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use contracts::application::{ApplicationError, Possession, Relying, verify_approved};
use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::gap::{
    Ending, Enquiry, Exchange, MAX_ENQUIRY_AGE, Offer, PlanFile, Policy, PolicyTerms, Published,
    Purchase, Statement, StatementTerms, padded, purchase_id, settle,
};
use contracts::ids::ContractRef;
use contracts::jwk::ed25519_key;
use contracts::units::{Day, UnixTime};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use oracles::hpke::{self, NodeKeyPair, Sealed};
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::http::{now, problem, serve};
use super::keys::{Oracles, Unsure};
use super::{ExternalError, Result, Running};
use store::{Answered, Sale, Store};

/// Most bytes of a request.
const MAX_REQUEST: usize = 64 << 10;
/// Days for which an offer stands.
const OFFER_DAYS: i64 = 14;

/// What the insurer is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; by default loopback, any port.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// Folder for its database and keys.
    pub data: PathBuf,
    /// Its plan file, which names its audience id.
    pub plans: PathBuf,
    /// Seconds added to the system clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// `iss` of the tokens it accepts.
    pub issuer: String,
    /// Base URLs of the decision oracles.
    pub oracles: Vec<String>,
    /// The notifier's Ed25519 key.
    pub notifier_key: Bytes32,
    /// The contracts whose YES it sells on.
    pub contracts: Vec<ContractRef>,
}

struct State {
    config: Config,
    file: PlanFile,
    notifier_key: VerifyingKey,
    signing_key: SigningKey,
    keys: NodeKeyPair,
    oracles: Oracles,
    store: Store,
}

/// Why a request was refused: the check that failed, as a problem.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    check: &'static str,
    detail: String,
}

type Answer<T> = std::result::Result<T, Refusal>;

/// Starts the service.
///
/// # Errors
/// An address that cannot be bound, a plan file or key that cannot be used, a database that cannot be opened.
pub async fn start(config: Config) -> Result<Running> {
    let notifier_key = ed25519_key(&config.notifier_key.0)
        .map_err(|error| ExternalError::Data(format!("notifier_key: {error}")))?;
    let plans = std::fs::read(&config.plans).map_err(|source| ExternalError::Io {
        what: format!("reading {}", config.plans.display()),
        source,
    })?;
    let file = PlanFile::parse(&plans)
        .map_err(|error| ExternalError::Data(format!("{}: {error}", config.plans.display())))?;
    let store = Store::open(&config.data).await?;
    let listen = config.listen;
    let state = Data::new(Arc::new(State {
        notifier_key,
        file,
        signing_key: SigningKey::from_bytes(&*store.secret("signing").await?),
        keys: NodeKeyPair::from_secret(store.secret("hpke").await?),
        oracles: Oracles::new(&config.oracles)?,
        store,
        config,
    }));
    serve(listen, move |service: &mut ServiceConfig| {
        service
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(MAX_REQUEST))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/v1/key", web::get().to(key))
            .route("/v1/plans", web::get().to(plans_of))
            .route(Exchange::Enquiry.path(), web::post().to(enquire))
            .route(Exchange::Purchase.path(), web::post().to(buy))
            .route(Exchange::Ending.path(), web::post().to(end));
    })
}

async fn key(state: Data<Arc<State>>) -> HttpResponse {
    let key = Bytes(state.signing_key.verifying_key().to_bytes());
    HttpResponse::Ok().json(serde_json::json!({ "key": key }))
}

async fn plans_of(state: Data<Arc<State>>) -> HttpResponse {
    let message = Published::message(&state.file, state.keys.public());
    HttpResponse::Ok().json(Published {
        file: state.file.clone(),
        hpke_key: *state.keys.public(),
        signature: Bytes(state.signing_key.sign(&message).to_bytes()),
    })
}

async fn enquire(body: web::Bytes, state: Data<Arc<State>>) -> HttpResponse {
    respond(state.enquire(&body).await)
}

async fn buy(body: web::Bytes, state: Data<Arc<State>>) -> HttpResponse {
    respond(state.buy(&body).await)
}

async fn end(body: web::Bytes, state: Data<Arc<State>>) -> HttpResponse {
    respond(state.end(&body).await)
}

fn respond(answer: Answer<Sealed>) -> HttpResponse {
    match answer {
        Ok(sealed) => HttpResponse::Ok().json(sealed),
        Err(Refusal {
            status,
            check,
            detail,
        }) => problem(status, check, &detail),
    }
}

impl State {
    fn insurer(&self) -> &str {
        &self.file.insurer
    }

    fn now(&self) -> UnixTime {
        now(self.config.clock_offset_seconds)
    }

    fn today(&self) -> Answer<Day> {
        self.now()
            .day()
            .map_err(|_| Refusal::unprocessable("clock", "the clock is out of range"))
    }

    /// Opens a request; the plaintext is what the answer is bound to.
    fn open<T: DeserializeOwned>(&self, exchange: Exchange, body: &[u8]) -> Answer<(T, Vec<u8>)> {
        let bad = |detail: &str| Refusal {
            status: StatusCode::BAD_REQUEST,
            check: "request",
            detail: detail.to_owned(),
        };
        let sealed: Sealed = serde_json::from_slice(body)
            .map_err(|_| bad("give {\"enc\": …, \"ciphertext\": …}"))?;
        let info = exchange.request_info(self.insurer());
        let plain = self
            .keys
            .open(&info, &[], &sealed)
            .map_err(|_| bad("the box does not open: seal it to hpke_key for this route"))?;
        let value = serde_json::from_slice(&plain).map_err(|error| bad(&error.to_string()))?;
        Ok((value, plain.to_vec()))
    }

    fn seal<T: Serialize>(
        &self,
        exchange: Exchange,
        request: &[u8],
        reply_key: &Bytes32,
        answer: &T,
    ) -> Answer<Sealed> {
        let info = exchange.answer_info(self.insurer(), request);
        hpke::seal(reply_key, &info, &[], &padded(answer))
            .map_err(|_| Refusal::unprocessable("reply_key", "no usable X25519 key"))
    }

    async fn enquire(&self, body: &[u8]) -> Answer<Sealed> {
        let (enquiry, plain): (Enquiry, _) = self.open(Exchange::Enquiry, body)?;
        let digest = tagged_hash("shp/v1/gap-enquiry", &[&plain]).into();
        let answered = match self.store.answered(&enquiry.enquiry).await? {
            Some(answered) => answered,
            None => {
                let new = Answered {
                    digest,
                    reply_key: enquiry.reply_key,
                    offers: self.offers(&enquiry)?,
                };
                let asked = enquiry.asked.to_string();
                self.store.answer(&enquiry.enquiry, &new, &asked).await?
            }
        };
        if answered.digest != digest {
            return Err(Refusal::conflict(
                "enquiry",
                "another enquiry has this id: draw a fresh one",
            ));
        }
        self.seal(
            Exchange::Enquiry,
            &plain,
            &answered.reply_key,
            &answered.offers,
        )
    }

    /// Offers of every plan that can be had.
    fn offers(&self, enquiry: &Enquiry) -> Answer<Vec<Offer>> {
        if enquiry.insurer != self.insurer() {
            return Err(Refusal::unprocessable(
                "insurer",
                "the enquiry is for another insurer",
            ));
        }
        let today = self.today()?;
        let age = today.number() - enquiry.asked.number();
        if !(0..=MAX_ENQUIRY_AGE).contains(&age) {
            return Err(Refusal::unprocessable(
                "asked",
                "the enquiry is not of today: make a new one",
            ));
        }
        let range = |_| Refusal::unprocessable("start", "a day from 1900 to 2199");
        let mut offers = Vec::new();
        for plan in &self.file.plans {
            let Ok(premium) = plan.quote(enquiry) else {
                continue;
            };
            let days = i64::from(plan.end.longest);
            offers.push(Offer {
                offer: Offer::id(&enquiry.enquiry, &plan.id),
                enquiry: enquiry.enquiry,
                file: self.file.hash(),
                plan: plan.id.clone(),
                premium,
                start: enquiry.start,
                latest_end: enquiry.start.plus(days).map_err(range)?,
                until: enquiry.start.min(today.plus(OFFER_DAYS).map_err(range)?),
            });
        }
        Ok(offers)
    }

    async fn buy(&self, body: &[u8]) -> Answer<Sealed> {
        let (purchase, plain): (Purchase, _) = self.open(Exchange::Purchase, body)?;
        let Purchase { offer, application } = &purchase;
        let answered = self.store.answered(&offer.enquiry).await?;
        let answered = answered
            .filter(|answered| answered.offers.contains(offer))
            .ok_or_else(|| Refusal::unprocessable("offer", "not one that was made"))?;
        let keys = self.oracles.keys_for(&application.token).await?;
        let time = self.now();
        let claims = verify_approved(
            application,
            |claims| purchase_id(&claims.jti, offer),
            &Relying {
                issuer: &self.config.issuer,
                audience: self.insurer(),
                keys: &keys,
                notifier_key: &self.notifier_key,
                now: time,
            },
        )?;
        if !self.config.contracts.contains(&claims.contract) {
            return Err(Refusal::unprocessable(
                "contract",
                "not one that is sold on",
            ));
        }
        let id = purchase_id(&claims.jti, offer);
        // What was sold is answered as it was, late or revoked as the token may be by now.
        let policy = match self.store.bought(&id).await? {
            Some(policy) => policy,
            None => {
                if self.today()? > offer.until {
                    return Err(Refusal::unprocessable(
                        "offer",
                        "it has run out: enquire again",
                    ));
                }
                self.oracles.check_status(&claims, &keys, time).await?;
                let sale = Sale {
                    policy: &self.issue(offer, time),
                    jti: &claims.jti,
                    purchase: &id,
                    cnf: &claims.cnf.jwk.public_key().serialize(),
                };
                self.store.sell(&sale).await?.ok_or_else(|| {
                    Refusal::conflict(
                        "policy",
                        "this enquiry, or this token, has brought a policy: one each",
                    )
                })?
            }
        };
        self.seal(Exchange::Purchase, &plain, &answered.reply_key, &policy)
    }

    /// A policy with a number of its own.
    fn issue(&self, offer: &Offer, issued_at: UnixTime) -> Policy {
        let mut policy = Bytes32::from([0; 32]);
        OsRng.fill_bytes(&mut policy.0);
        let terms = PolicyTerms {
            policy,
            offer: offer.clone(),
            issued_at,
        };
        let signature = Bytes(self.signing_key.sign(&terms.message()).to_bytes());
        Policy { terms, signature }
    }

    async fn end(&self, body: &[u8]) -> Answer<Sealed> {
        let (ending, plain): (Ending, _) = self.open(Exchange::Ending, body)?;
        let unknown = || Refusal {
            status: StatusCode::NOT_FOUND,
            check: "policy",
            detail: "no such policy".to_owned(),
        };
        let sold = self.store.sold(&ending.policy).await?.ok_or_else(unknown)?;
        let terms = &sold.policy.terms;
        let answered = self.store.answered(&terms.offer.enquiry).await?;
        let answered = answered.ok_or_else(unknown)?;
        let key = secp256k1::PublicKey::from_slice(&sold.cnf)
            .map_err(|_| Refusal::unprocessable("policy", "its key is damaged"))?;
        let possession = Possession {
            audience: self.insurer(),
            jti: &sold.jti,
            about: &Ending::id(&ending.policy, ending.end),
            key: &key,
            after: terms.issued_at,
            now: self.now(),
        };
        possession.verify(&ending.proof)?;
        let statement = match self.store.ended(&ending.policy).await? {
            Some(statement) => statement,
            None => {
                self.store
                    .end(&self.close(&sold.policy, ending.end)?)
                    .await?
            }
        };
        if statement.terms.end != ending.end {
            return Err(Refusal::conflict(
                "ended",
                format!("the policy has ended, on {}", statement.terms.end),
            ));
        }
        self.seal(Exchange::Ending, &plain, &answered.reply_key, &statement)
    }

    /// The statement of a policy that ends on a day.
    fn close(&self, policy: &Policy, end: Day) -> Answer<Statement> {
        let Offer {
            plan,
            premium,
            start,
            latest_end,
            ..
        } = &policy.terms.offer;
        let plan = self
            .file
            .plan(plan)
            .ok_or_else(|| Refusal::unprocessable("plan", "no longer in the plan file"))?;
        let today = self.today()?;
        let earliest = today.number() - i64::from(plan.end.back);
        if end < *start || end > *latest_end || end.number() < earliest {
            return Err(Refusal::unprocessable(
                "end",
                format!(
                    "from {start} to {latest_end}, and at most {} days back",
                    plan.end.back
                ),
            ));
        }
        let settlement = settle(*premium, *start, *latest_end, end, today, &plan.end)
            .map_err(|_| Refusal::unprocessable("end", "a day from 1900 to 2199"))?;
        let terms = StatementTerms {
            policy: policy.terms.policy,
            start: *start,
            end,
            settlement,
        };
        let signature = Bytes(self.signing_key.sign(&terms.message()).to_bytes());
        Ok(Statement { terms, signature })
    }
}

impl Refusal {
    fn unprocessable(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            check,
            detail: detail.into(),
        }
    }

    fn conflict(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            check,
            detail: detail.into(),
        }
    }
}

impl From<ApplicationError> for Refusal {
    fn from(error: ApplicationError) -> Self {
        use ApplicationError as E;
        let check = match error {
            E::Token(_) => "token",
            E::Verdict => "verdict",
            E::Decision { .. } | E::Declined | E::Notifier | E::ApprovalTime { .. } => "approval",
            _ => "wallet-proof",
        };
        Self::unprocessable(check, error.to_string())
    }
}

impl From<Unsure> for Refusal {
    fn from(error: Unsure) -> Self {
        let detail = error.to_string();
        match error {
            Unsure::Keys { .. } | Unsure::Status => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                check: "oracles",
                detail,
            },
            Unsure::Revoked => Self::unprocessable("status", detail),
        }
    }
}

impl From<ExternalError> for Refusal {
    fn from(error: ExternalError) -> Self {
        tracing::error!(%error, "insurer");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            check: "internal",
            detail: "the database failed; send the request again".to_owned(),
        }
    }
}
