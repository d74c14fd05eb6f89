//! The owner's side of the oracle network: ask every member, need a quorum, trust no coordinator, check every answer.

mod attest;
mod decide;
mod enrol;
mod epochs;
mod gather;
mod ledger;
mod notice;
mod reseal;
mod watch;

pub use attest::{AttestedLeaf, Owner, Wanted};
pub use decide::{Decided, Decision};
pub use enrol::{Applicant, Enrolled};
pub use gather::{Answers, Failure};
pub use watch::{Granting, Reader};

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use contracts::encoding::Bytes32;
use contracts::ids::{Committee, Domain, NodeId, max_faults};
use contracts::token::{self, Claims};
use contracts::trust::Trust;
use oracles::clock::Clock;
use oracles::hpke::{self, HpkeError};
use oracles::http::{self, HttpError};
use oracles::problem::{Problem, QuorumFailure};
use oracles::wire::HpkeBox;
use oracles::wire::enrol::Recipient;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{AskConfig, NodeConfig, ProfileConfig};

/// A question to a committee that brought no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// Too few members gave a good answer.
    #[error("{step} by the {committee} committee: {} good answers, {needed} needed", answered.len())]
    Quorum {
        /// What was asked.
        step: &'static str,
        /// Who was asked.
        committee: Committee,
        /// How many good answers make a quorum.
        needed: u16,
        /// Members whose answer was good.
        answered: Vec<NodeId>,
        /// Members that did not answer in time.
        silent: Vec<NodeId>,
        /// Members that answered and refused, and how.
        refused: Vec<(NodeId, String)>,
        /// Members whose answer was wrong.
        wrong: Vec<NodeId>,
    },
    /// The request is refused in a way that asking again will not change.
    #[error("{step}: the {committee} committee refuses: {code}")]
    Refused {
        /// What was asked.
        step: &'static str,
        /// Who was asked.
        committee: Committee,
        /// The code of its problem.
        code: String,
    },
    /// The profile does not hold what it needs.
    #[error("{0}")]
    NotReady(&'static str),
    /// A secret of the wallet or a proof could not be made.
    #[error("internal: {0}")]
    Internal(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

impl OracleError {
    fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// A coordinator's own account of a failed quorum says more than that it refused: it becomes the error, with the
    /// coordinators that were silent towards us added.
    fn explained_by(self, inner: Option<Box<QuorumFailure>>) -> Self {
        match (self, inner) {
            (
                Self::Quorum {
                    step,
                    committee,
                    mut silent,
                    mut wrong,
                    ..
                },
                Some(inner),
            ) => {
                silent.extend(inner.silent);
                silent.sort_unstable();
                silent.dedup();
                wrong.extend(inner.culprits);
                wrong.sort_unstable();
                wrong.dedup();
                Self::Quorum {
                    step,
                    committee,
                    needed: inner.needed,
                    answered: inner.answered,
                    silent,
                    refused: inner
                        .refused
                        .into_iter()
                        .map(|node| (node, "refused".to_owned()))
                        .collect(),
                    wrong,
                }
            }
            (error, _) => error,
        }
    }
}

impl From<OracleError> for Problem {
    fn from(error: OracleError) -> Self {
        match error {
            OracleError::Quorum {
                step,
                committee,
                needed,
                answered,
                silent,
                refused,
                wrong,
            } => {
                let reasons: Vec<_> = refused
                    .iter()
                    .map(|(node, code)| format!("{node}: {code}"))
                    .collect();
                let mut problem = Self::quorum(QuorumFailure {
                    committee: committee.to_string(),
                    needed,
                    answered,
                    silent,
                    refused: refused.into_iter().map(|(node, _)| node).collect(),
                    culprits: wrong,
                });
                problem.detail = format!("{step}, {}", problem.detail);
                if !reasons.is_empty() {
                    problem.detail = format!("{} ({})", problem.detail, reasons.join("; "));
                }
                problem
            }
            OracleError::Refused {
                step,
                committee,
                code,
            } => Self::new(
                actix_web::http::StatusCode::FORBIDDEN,
                "committee-refused",
                "A committee refused the request",
                format!("{step}, committee {committee}: {code}"),
            ),
            OracleError::NotReady(detail) => Self::conflict("not-ready", detail),
            OracleError::Internal(cause) => {
                tracing::error!(%cause, "a request could not be made");
                Self::internal()
            }
            OracleError::Store(error) => error.into(),
        }
    }
}

/// What changes with the committees' epochs.
#[derive(Debug)]
struct Known {
    trust: Arc<Trust>,
    committees: BTreeMap<Committee, (Vec<NodeId>, u16)>,
    /// The latest epoch followed.
    epochs: BTreeMap<Committee, u64>,
}

/// The network as configured, with the keys it is checked against.
#[derive(Debug)]
pub struct Oracles {
    http: reqwest::Client,
    nodes: BTreeMap<NodeId, NodeConfig>,
    known: RwLock<Known>,
    ask: AskConfig,
    /// The service's clock.
    pub clock: Clock,
}

impl Oracles {
    /// The network of a checked configuration.
    pub fn new(config: &ProfileConfig, trust: Trust, clock: Clock) -> Self {
        let committees = config
            .committees
            .iter()
            .map(|entry| {
                let mut members = entry.members.clone();
                members.sort_unstable();
                (entry.committee, (members, entry.threshold()))
            })
            .collect();
        Self {
            http: http::client(),
            nodes: config
                .nodes
                .iter()
                .map(|node| (node.id, node.clone()))
                .collect(),
            known: RwLock::new(Known {
                trust: Arc::new(trust),
                committees,
                epochs: BTreeMap::new(),
            }),
            ask: config.ask.clone(),
            clock,
        }
    }

    /// Members of a committee, ascending, and how many make a quorum.
    pub fn committee(&self, committee: Committee) -> (Vec<NodeId>, u16) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.committees.get(&committee);
        found.map_or((Vec::new(), u16::MAX), Clone::clone)
    }

    /// What every answer is checked against: the trust file, and the changes of epoch that followed from it.
    pub fn trust(&self) -> Arc<Trust> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known.trust)
    }

    /// The claims of a token that was checked when it came.
    ///
    /// # Errors
    /// It does not open under the committee's keys.
    pub(crate) fn claims(&self, token: &str) -> Result<Claims, Problem> {
        token::open(token, &self.trust().decision_keys()).map_err(|error| {
            tracing::error!(%error, "a stored token does not open");
            Problem::internal()
        })
    }

    /// Members of the identity committee, as a navigator's device needs to know them.
    pub fn recipients(&self) -> Vec<Recipient> {
        let (members, _) = self.committee(Committee::Identity);
        members
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .map(|node| Recipient {
                node: node.id,
                key_epoch: node.hpke_epoch,
                hpke_key: node.hpke_key,
            })
            .collect()
    }

    /// Leaves asked for per fact.
    pub fn indexes(&self) -> u32 {
        self.ask.indexes
    }

    /// Attempts before asking a committee fails.
    pub fn attempts(&self) -> u32 {
        self.ask.attempts
    }

    fn node(&self, id: NodeId) -> Result<&NodeConfig, Failure> {
        self.nodes.get(&id).ok_or(Failure::Silent)
    }

    /// Posts to one node, within a time-out and with a cap on the answer.
    async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        id: NodeId,
        path: &str,
        body: &B,
        timeout: Duration,
        cap: usize,
    ) -> Result<T, Failure> {
        let url = self.node(id)?.url.endpoint(path);
        let request = self.http.post(url).timeout(timeout).json(body);
        http::send_json(request, cap).await.map_err(Failure::from)
    }

    fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.ask.call_timeout_ms)
    }

    fn coordinate_timeout(&self) -> Duration {
        Duration::from_millis(self.ask.coordinate_timeout_ms)
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.ask.nonce_wait_ms)
    }

    /// Seals a message to one node under the key that the configuration pins.
    fn seal_to(
        &self,
        id: NodeId,
        info: impl FnOnce(u64) -> [u8; 32],
        plaintext: &[u8],
    ) -> Result<HpkeBox, HpkeError> {
        let node = self.nodes.get(&id).ok_or(HpkeError::RecipientKey)?;
        Ok(HpkeBox {
            key_epoch: node.hpke_epoch,
            sealed: hpke::seal(&node.hpke_key, &info(node.hpke_epoch), &[], plaintext)?,
        })
    }

    /// Asks the members of a committee in turn to coordinate, until one brings what `check` accepts.
    async fn coordinate<B, T, U>(
        &self,
        step: &'static str,
        committee: Committee,
        coordinators: &[NodeId],
        path: &str,
        body: &B,
        check: impl Fn(NodeId, T) -> Result<U, Failure>,
    ) -> Result<U, OracleError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned,
    {
        let mut answers = Answers::<()>::default();
        let mut inner = None;
        for &node in coordinators {
            let answer = self
                .post(node, path, body, self.coordinate_timeout(), ANSWER_CAP)
                .await
                .and_then(|answer| check(node, answer));
            match answer {
                Ok(good) => return Ok(good),
                Err(failure) => {
                    tracing::warn!(%committee, %node, step, %failure, "asking another node to coordinate");
                    if let Failure::Refused(problem) = &failure {
                        inner = problem.quorum.clone().or(inner);
                    }
                    answers.fail(node, failure);
                }
            }
        }
        // One honest node at least among so many: what they refuse, asking again does not change.
        let (members, quorum) = self.committee(committee);
        let enough = max_faults(u16::try_from(members.len()).unwrap_or(u16::MAX)) + 1;
        let error = answers.into_error_unless(step, committee, quorum, enough);
        Err(error.explained_by(inner))
    }
}

/// Largest answer read from a node, in bytes: that of the call with the largest.
const ANSWER_CAP: usize = oracles::wire::enrol::MAX_ANSWER_BODY;

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Transport(_) => Self::Silent,
            HttpError::Problem(problem) => Self::Refused(problem),
            // Too large, or not the JSON of the protocol.
            error => Self::Wrong(error.to_string()),
        }
    }
}

/// Refusals that a fresh request (other nonces, a later moment) may turn.
const PASSING: [&str; 6] = [
    "stale-nonce",
    "not-found",
    "hpke-key-epoch",
    "committee-epoch",
    "other-leaf",
    "unattested",
];

/// Whether a refusal says that the fault is the request's and lasts: asking others would bring the same.
fn is_final(problem: &Problem) -> bool {
    let status = StatusCode::from_u16(problem.status);
    let of_moment = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_ok_and(|status| status.is_client_error() && !of_moment.contains(&status))
        && !PASSING.contains(&problem.code())
}

/// The code of a node's problem. The rest of what it says is neither logged nor passed on: a node that would speak of
/// its facts there must find no ear.
fn code_of(problem: &Problem) -> String {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    problem.code().chars().filter(plain).take(40).collect()
}

/// The committee of a domain.
fn committee_of(domain: Domain) -> Committee {
    domain.into()
}

/// Draws 32 random bytes.
pub(crate) fn random32() -> Bytes32 {
    use rand_core::{OsRng, RngCore};
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committees_refusal_is_forbidden_and_says_whose_it_is() {
        let problem = Problem::from(OracleError::Refused {
            step: "enrol",
            committee: Committee::Identity,
            code: "waiting".to_owned(),
        });
        assert_eq!((problem.status, problem.code()), (403, "committee-refused"));
        assert!(problem.detail.ends_with(": waiting"), "{problem:?}");
    }
}
