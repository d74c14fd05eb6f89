//! A state Medicaid agency's endpoint: accepts applications made by token, keyed on the applicant's pseudonym.
//!
//! The agency trusts what it configured itself and nothing that an applicant sends: its own id, the issuer, the notifier's key,
//! the contracts it decides by, and the addresses of the oracles. Decision keys come from those oracles, each believed only when
//! more of them serve it than may be faulty.
//!
//! What becomes of an application is said by a caseworker and signed by the agency (`cases`).
//!
//! `POST /applications` · `GET /applications/{id}` · `POST /tokens/verify` (a NO verifies just as well) · `GET /v1/key`.

mod cases;
mod ledger;
mod store;
#[cfg(test)]
pub(super) mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use contracts::application::{self, Application, ApplicationError, Relying};
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{ContractRef, Jurisdiction};
use contracts::jwk::ed25519_key;
use contracts::token::{self, Claims, TokenError};
use contracts::units::UnixTime;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::http::{now, problem, serve};
use super::keys::{Oracles, Unsure};
use super::{ExternalError, Result, Running, Secret};
pub use cases::CaseView;
use store::{Filed, Store};

/// What the agency is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; by default loopback, any port.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// Folder for the case store and the agency's signing key.
    pub data: PathBuf,
    /// Seconds added to the system clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// The agency's registered id, the `aud` of tokens made for it.
    pub audience: String,
    /// `iss` of the tokens it accepts.
    pub issuer: String,
    /// Base URLs of the decision oracles.
    pub oracles: Vec<String>,
    /// The notifier's Ed25519 key.
    pub notifier_key: Bytes32,
    /// The state it serves.
    pub jurisdiction: Jurisdiction,
    /// The contracts it accepts decisions under.
    pub contracts: Vec<ContractRef>,
    /// Key of the caseworkers who say what becomes of applications; nobody may without one.
    #[serde(default)]
    pub caseworker_key: Option<Secret>,
}

struct State {
    config: Config,
    notifier_key: VerifyingKey,
    signing_key: SigningKey,
    oracles: Oracles,
    store: Store,
}

/// What an accepted application is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The agency's number for the application.
    pub application_id: String,
    /// `jti` of the token filed.
    pub jti: Bytes32,
    /// When it was accepted.
    pub accepted_at: UnixTime,
    /// Ed25519, by the agency's key, over [`Acceptance::message`].
    pub signature: Bytes<64>,
}

impl Acceptance {
    /// The bytes the agency signs.
    pub fn message(&self) -> String {
        format!(
            "shp/v1/acceptance\n{}\n{}\n{}",
            self.application_id, self.jti, self.accepted_at.0
        )
    }
}

/// Why something presented was not relied on: the check that failed, as a problem.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    check: &'static str,
    detail: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    token: String,
}

/// Starts the service.
///
/// # Errors
/// An address that cannot be bound, a case store or key that cannot be opened, a notifier key that is none.
pub async fn start(config: Config) -> Result<Running> {
    let notifier_key = ed25519_key(&config.notifier_key.0)
        .map_err(|error| ExternalError::Data(format!("notifier_key: {error}")))?;
    let store = Store::open(&config.data).await?;
    let listen = config.listen;
    let state = Data::new(Arc::new(State {
        notifier_key,
        signing_key: store.signing_key().await?,
        oracles: Oracles::new(&config.oracles)?,
        store,
        config,
    }));
    serve(listen, move |service: &mut ServiceConfig| {
        service
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(application::MAX_APPLICATION_BYTES))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/v1/key", web::get().to(key))
            .route("/applications", web::post().to(apply))
            .route("/applications/{id}", web::get().to(filed))
            .route("/applications/{id}/notices", web::post().to(cases::notice))
            .route(
                "/applications/{id}/statements",
                web::get().to(cases::statements),
            )
            .route("/admin/applications", web::get().to(cases::all))
            .route(
                "/admin/applications/{id}/statements",
                web::post().to(cases::say),
            )
            .route("/tokens/verify", web::post().to(verify_token));
    })
}

async fn key(state: Data<Arc<State>>) -> HttpResponse {
    let key = Bytes(state.signing_key.verifying_key().to_bytes());
    HttpResponse::Ok().json(json!({ "key": key }))
}

async fn apply(body: web::Bytes, state: Data<Arc<State>>) -> HttpResponse {
    match state.accept(&body).await {
        Ok(acceptance) => HttpResponse::Created()
            .insert_header((
                "location",
                format!("/applications/{}", acceptance.application_id),
            ))
            .json(acceptance),
        Err(refusal) => refusal.into(),
    }
}

async fn filed(id: web::Path<String>, state: Data<Arc<State>>) -> HttpResponse {
    match state.store.application(&id).await {
        Ok(Some(filed)) => HttpResponse::Ok().json(filed),
        Ok(None) => problem(StatusCode::NOT_FOUND, "not-found", "no such application"),
        Err(error) => Refusal::from(error).into(),
    }
}

async fn verify_token(
    _request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    let Ok(query) = serde_json::from_slice::<TokenQuery>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "request", "give {\"token\": …}");
    };
    match state.standing(&query.token).await {
        Ok(claims) => HttpResponse::Ok().json(json!({
            "jti": claims.jti,
            "sub": claims.sub,
            "contract": claims.contract,
            "jurisdiction": claims.jurisdiction,
            "as_of": claims.as_of,
            "verdict": claims.verdict,
            "reasons": claims.reasons,
        })),
        Err(refusal) => refusal.into(),
    }
}

impl State {
    /// Checks an application and files it; what was filed before is answered as before.
    async fn accept(&self, body: &[u8]) -> std::result::Result<Acceptance, Refusal> {
        let digest = Bytes(Sha256::digest(body).into());
        // The very bytes that were verified once need not be fresh still: a client that lost our answer sends them again.
        if let Some(acceptance) = self.store.by_digest(&digest).await? {
            return Ok(acceptance);
        }
        let application = Application::parse(body).map_err(Refusal::from)?;
        let keys = self.oracles.keys_for(&application.token).await?;
        let time = now(self.config.clock_offset_seconds);
        let claims = application::verify_application(
            &application,
            &Relying {
                issuer: &self.config.issuer,
                audience: &self.config.audience,
                keys: &keys,
                notifier_key: &self.notifier_key,
                now: time,
            },
        )?;
        self.check_scope(&claims)?;
        self.oracles.check_status(&claims, &keys, time).await?;
        let filed = Filed {
            digest,
            jti: claims.jti,
            sub: claims.sub,
            contract: claims.contract.id,
            accepted_at: time,
        };
        let sign = |mut acceptance: Acceptance| {
            acceptance.signature = Bytes(
                self.signing_key
                    .sign(acceptance.message().as_bytes())
                    .to_bytes(),
            );
            acceptance
        };
        Ok(self.store.file(&filed, sign).await?)
    }

    /// The claims of a token that stands, whatever its verdict.
    async fn standing(&self, jws: &str) -> std::result::Result<Claims, Refusal> {
        let keys = self.oracles.keys_for(jws).await?;
        let time = now(self.config.clock_offset_seconds);
        let Config {
            issuer, audience, ..
        } = &self.config;
        let claims = token::verify(jws, &keys, issuer, audience, time)?;
        self.check_scope(&claims)?;
        self.oracles.check_status(&claims, &keys, time).await?;
        Ok(claims)
    }

    fn check_scope(&self, claims: &Claims) -> std::result::Result<(), Refusal> {
        if claims.jurisdiction != self.config.jurisdiction {
            return Err(Refusal::unprocessable(
                "jurisdiction",
                format!(
                    "the token is for {}; this agency serves {}",
                    claims.jurisdiction, self.config.jurisdiction
                ),
            ));
        }
        if !self.config.contracts.contains(&claims.contract) {
            return Err(Refusal::unprocessable(
                "contract",
                format!(
                    "{} with this hash is not a contract this agency decides by",
                    claims.contract.id
                ),
            ));
        }
        Ok(())
    }
}

impl Refusal {
    fn unprocessable(check: &'static str, detail: String) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            check,
            detail,
        }
    }
}

impl From<ApplicationError> for Refusal {
    fn from(error: ApplicationError) -> Self {
        use ApplicationError as E;
        let detail = error.to_string();
        let check = match error {
            E::TooLarge(_) | E::Json(_) => {
                return Self {
                    status: StatusCode::BAD_REQUEST,
                    check: "request",
                    detail,
                };
            }
            E::Token(error) => return error.into(),
            E::Verdict => "verdict",
            E::Decision { .. } | E::Declined | E::Notifier | E::ApprovalTime { .. } => "approval",
            E::Proof(_) | E::ProofSignature | E::ProofClaim(_) | E::ProofTime { .. } => {
                "wallet-proof"
            }
            _ => "application",
        };
        Self::unprocessable(check, detail)
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let check = match error {
            TokenError::Audience { .. } => "audience",
            TokenError::Expired { .. } | TokenError::NotYet { .. } => "time",
            TokenError::Issuer { .. } => "issuer",
            _ => "token",
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
        tracing::error!(%error, "agency");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            check: "internal",
            detail: "the case store failed; send the application again".to_owned(),
        }
    }
}

impl From<Refusal> for HttpResponse {
    fn from(refusal: Refusal) -> Self {
        problem(refusal.status, refusal.check, &refusal.detail)
    }
}
