//! What a relying party learns from the decision oracles: the committee's keys, and whether a token was revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use contracts::encoding::from_base64url;
use contracts::ids::max_faults;
use contracts::jwk::{JwkSet, MAX_JWKS_BYTES};
use contracts::status::{LIST_SIZE, MAX_STATUS_TOKEN_BYTES, Status, status_of};
use contracts::token::Claims;
use contracts::units::UnixTime;
use futures::future::join_all;
use reqwest::Client;

use super::{ExternalError, Result};

/// How long keys are used before they are asked for again.
const KEY_LIFETIME: Duration = Duration::from_secs(600);
/// How soon an unknown key id may make the agency ask again.
const MIN_REFRESH: Duration = Duration::from_secs(2);
/// How long one oracle is waited for.
const TIME_OUT: Duration = Duration::from_secs(3);

/// Why nobody can rely on a token now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsure {
    /// Too few oracles serve one and the same key.
    #[error("{answered} of {asked} oracles served their keys; {needed} must serve the same one")]
    Keys {
        asked: usize,
        answered: usize,
        needed: usize,
    },
    /// No oracle served a status list that verifies.
    #[error("no oracle served a status list that verifies for this token")]
    Status,
    /// The token was revoked.
    #[error("the status list says that the token was revoked")]
    Revoked,
}

/// The oracles that are asked.
pub(super) struct Oracles {
    urls: Vec<String>,
    /// Oracles that must serve a key before it is believed: one more than may be faulty.
    needed: usize,
    client: Client,
    cache: RwLock<Option<(Instant, Arc<JwkSet>)>>,
}

impl Oracles {
    pub(super) fn new(urls: &[String]) -> Result<Self> {
        let count = u16::try_from(urls.len()).unwrap_or(u16::MAX);
        let client = oracles::http::client_builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIME_OUT)
            .timeout(TIME_OUT)
            .build()
            .map_err(|error| ExternalError::Data(format!("HTTP client: {error}")))?;
        Ok(Self {
            urls: urls
                .iter()
                .map(|url| url.trim_end_matches('/').to_owned())
                .collect(),
            needed: usize::from(max_faults(count)) + 1,
            client,
            cache: RwLock::new(None),
        })
    }

    /// The committee's keys, asked for afresh when the cache is old or lacks the token's key.
    pub(super) async fn keys_for(&self, jws: &str) -> std::result::Result<Arc<JwkSet>, Unsure> {
        let cached = self
            .cache
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((since, keys)) = cached {
            let known = key_id(jws).is_some_and(|kid| keys.get(&kid).is_some());
            let age = since.elapsed();
            if (known && age < KEY_LIFETIME) || age < MIN_REFRESH {
                return Ok(keys);
            }
        }
        let keys = Arc::new(self.fetch_keys().await?);
        *self.cache.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), keys.clone()));
        Ok(keys)
    }

    async fn fetch_keys(&self) -> std::result::Result<JwkSet, Unsure> {
        let answers = join_all(self.urls.iter().map(|url| async move {
            let body = self
                .get(&format!("{url}/.well-known/jwks.json"), MAX_JWKS_BYTES)
                .await?;
            JwkSet::parse(&body).ok()
        }))
        .await;
        let answered = answers.iter().flatten().count();
        let mut served: BTreeMap<&str, usize> = BTreeMap::new();
        for jwk in answers.iter().flatten().flat_map(JwkSet::keys) {
            // A set holds a key id once, so an oracle counts once.
            *served.entry(&jwk.kid).or_default() += 1;
        }
        let believed: Vec<_> = answers
            .iter()
            .flatten()
            .flat_map(|set| {
                set.keys()
                    .iter()
                    .filter_map(|jwk| set.get(&jwk.kid).map(|key| (&jwk.kid, key)))
            })
            .filter(|(kid, _)| {
                served
                    .get(kid.as_str())
                    .is_some_and(|count| *count >= self.needed)
            })
            .map(|(_, key)| key)
            .collect();
        if believed.is_empty() {
            return Err(Unsure::Keys {
                asked: self.urls.len(),
                answered,
                needed: self.needed,
            });
        }
        Ok(JwkSet::new(&believed))
    }

    /// Refuses a revoked token. The list is signed, so one good answer is enough to rely on, and one that says revoked is
    /// enough to refuse: an oracle that keeps to an old list is overruled by any that does not.
    pub(super) async fn check_status(
        &self,
        claims: &Claims,
        keys: &JwkSet,
        time: UnixTime,
    ) -> std::result::Result<(), Unsure> {
        let list = claims.ledger.index / LIST_SIZE;
        let answers = join_all(self.urls.iter().map(|url| async move {
            let body = self
                .get(&format!("{url}/status/{list}"), MAX_STATUS_TOKEN_BYTES)
                .await?;
            let jws = std::str::from_utf8(&body).ok()?;
            status_of(jws, keys, &claims.status.status_list, time).ok()
        }))
        .await;
        let mut standing = answers.into_iter().flatten().peekable();
        if standing.peek().is_none() {
            return Err(Unsure::Status);
        }
        if standing.any(|status| status == Status::Invalid) {
            return Err(Unsure::Revoked);
        }
        Ok(())
    }

    /// A body of at most `cap` bytes.
    async fn get(&self, url: &str, cap: usize) -> Option<Vec<u8>> {
        let mut response = self
            .client
            .get(url)
            .send()
            .await
            .ok()?
            .error_for_status()
            .ok()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if body.len() + chunk.len() > cap {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        Some(body)
    }
}

/// The key id a token names, before anything of it is verified.
fn key_id(jws: &str) -> Option<String> {
    let header = from_base64url(jws.split('.').next()?).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.get("kid")?.as_str().map(str::to_owned)
}
