//! `[roles.enrol]` of a node's configuration.
//!
//! ```toml
//! [[roles.enrol.proof]]
//! source = "registry"
//! query = "SELECT ssn, given_name, family_name, birth_date, person_id FROM person WHERE ssn = $1"
//!
//! [roles.enrol.handle.identity]
//! ssn = "claims.ssn"
//! person_id = "person_id"
//! ```

use std::collections::BTreeMap;

use contracts::handle::{MAX_SOURCE_KEY_LENGTH, MAX_SOURCE_KEYS};
use contracts::ids::Domain;
use serde::{Deserialize, Serialize};

use super::reproofing::Terms;
use crate::sources::{ConfigError, Sources};

/// How people are proofed and what goes into their handles. The same at every node of the committee: handles that differ
/// are not signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolConfig {
    /// Days for which handles are taken.
    #[serde(default = "default_handle_days")]
    pub handle_days: u16,
    /// Seconds for which an enrolment that is not signed yet keeps others of the same person away.
    #[serde(default = "default_lease")]
    pub lease_seconds: u32,
    /// Evaluations of the pseudorandom function per day for owners together, and for each other node.
    #[serde(default = "default_quota")]
    pub evaluations_per_day: u32,
    /// Claims per day that may turn out not to be borne out; above it nobody is proofed here until the next day (UTC).
    /// It bounds how many SSNs somebody who knows a name and a birth date can try.
    #[serde(default = "default_refused_claims")]
    pub refused_claims_per_day: u32,
    /// Days from a re-proofing's notice until it may go on. The old seed's holder has so long to object.
    #[serde(default = "default_reproof_wait")]
    pub reproof_wait_days: u16,
    /// Days after a replacement in which there is no other, and for which a notice stands once its wait is over.
    #[serde(default = "default_reproof_period")]
    pub reproof_period_days: u16,
    /// Records that must all bear the claims out.
    pub proof: Vec<ProofConfig>,
    /// Source keys of each domain's handle: by name, a text column of the first proof, `claims.ssn` or `claims.ssn_last4`.
    pub handle: BTreeMap<Domain, BTreeMap<String, String>>,
}

/// One record that a claim is held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofConfig {
    /// A SQL `[[roles.attest.source]]`.
    pub source: String,
    /// A SELECT of one row with the columns `ssn`, `given_name`, `family_name` and `birth_date`; `$1` is the SSN as nine digits.
    pub query: String,
}

fn default_reproof_wait() -> u16 {
    14
}

fn default_reproof_period() -> u16 {
    365
}

fn default_handle_days() -> u16 {
    365
}

fn default_lease() -> u32 {
    600
}

fn default_quota() -> u32 {
    10_000
}

fn default_refused_claims() -> u32 {
    1_000
}

impl EnrolConfig {
    /// The terms of re-proofing.
    pub(super) fn terms(&self) -> Terms {
        Terms {
            wait: i64::from(self.reproof_wait_days) * 86_400,
            period: i64::from(self.reproof_period_days) * 86_400,
        }
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError`], naming the place.
    pub(crate) fn check(&self, sources: &Sources) -> Result<(), ConfigError> {
        let error = |at: &str, problem: &str, fix: &str| ConfigError {
            at: at.to_owned(),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        };
        if self.proof.is_empty() {
            let fix = "add a [[roles.enrol.proof]]";
            return Err(error("roles.enrol", "nothing to proof claims against", fix));
        }
        for proof in &self.proof {
            if sources.sql(&proof.source).is_none() {
                let fix = "name a [[roles.attest.source]] of kind sql";
                return Err(error("roles.enrol.proof", "unknown source", fix));
            }
        }
        let zero = [
            self.lease_seconds,
            self.evaluations_per_day,
            self.refused_claims_per_day,
        ]
        .contains(&0);
        if self.handle_days == 0 || zero {
            let fix = "write positive numbers";
            return Err(error(
                "roles.enrol",
                "handle_days, lease_seconds, evaluations_per_day or refused_claims_per_day is 0",
                fix,
            ));
        }
        let long = |text: &String| text.len() > MAX_SOURCE_KEY_LENGTH;
        for keys in self.handle.values() {
            // Two more go into identity handles.
            if keys.len() + 2 > MAX_SOURCE_KEYS || keys.keys().any(long) {
                return Err(error(
                    "roles.enrol.handle",
                    "too many or too long source keys",
                    "name fewer",
                ));
            }
        }
        Ok(())
    }
}
