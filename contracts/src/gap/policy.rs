//! What passes between an enquirer and an insurer. All of it travels sealed; signed parts are signed by the insurer's Ed25519
//! key over a tagged hash of their JCS form.

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::money::Settlement;
use super::plan::PlanFile;
use crate::application::Application;
use crate::encoding::{Bytes, Bytes32, tagged_hash, to_jcs};
use crate::ids::Jurisdiction;
use crate::token::ed25519_verifies;
use crate::units::{Cents, Day, UnixTime};

/// Most members of a household that is quoted for.
pub const MAX_MEMBERS: usize = 20;
/// How old an enquiry may be when it arrives, in days.
pub const MAX_ENQUIRY_AGE: i64 = 1;

/// What an insurer publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its plans.
    pub file: PlanFile,
    /// X25519 key that requests are sealed to.
    pub hpke_key: Bytes32,
    /// Ed25519 over [`Published::message`].
    pub signature: Bytes<64>,
}

impl Published {
    /// The bytes that are signed.
    pub fn message(file: &PlanFile, hpke_key: &Bytes32) -> [u8; 32] {
        tagged_hash("shp/v1/gap-published", &[&file.hash().0, &hpke_key.0])
    }

    /// Whether the insurer signed it.
    pub fn verifies(&self, insurer: &VerifyingKey) -> bool {
        let message = Self::message(&self.file, &self.hpke_key);
        ed25519_verifies(insurer, &message, &self.signature)
    }
}

/// What an insurer is asked: bands, a state and a day; no person, no pseudonym, no health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enquiry {
    /// 32 random bytes.
    pub enquiry: Bytes32,
    /// The insurer's audience id.
    pub insurer: String,
    /// Where the household lives.
    pub jurisdiction: Jurisdiction,
    /// First day of cover.
    pub start: Day,
    /// Lower bounds of the members' age bands.
    pub members: Vec<u8>,
    /// Lower bound of the band of the income, in percent of the poverty guideline.
    pub income: u16,
    /// The day it was made.
    pub asked: Day,
    /// One-time X25519 key that every answer about it is sealed to.
    pub reply_key: Bytes32,
}

/// A plan that can be had, at a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Follows from enquiry and plan.
    pub offer: Bytes32,
    /// The enquiry.
    pub enquiry: Bytes32,
    /// Hash of the plan file quoted from.
    pub file: Bytes32,
    /// The plan.
    pub plan: String,
    /// Cents a month.
    pub premium: Cents,
    /// First day of cover.
    pub start: Day,
    /// First day without, at the latest.
    pub latest_end: Day,
    /// The last day on which it can be taken.
    pub until: Day,
}

impl Offer {
    /// The id of a plan's offer to an enquiry.
    pub fn id(enquiry: &Bytes32, plan: &str) -> Bytes32 {
        tagged_hash("shp/v1/gap-offer", &[&enquiry.0, plan.as_bytes()]).into()
    }
}

/// The decision id that an owner's YES to a purchase is about: this token, this offer, at this price, from this day.
///
/// # Panics
/// Never: an offer is plain JSON.
pub fn purchase_id(jti: &Bytes32, offer: &Offer) -> Bytes32 {
    let json = to_jcs(offer).expect("an offer holds strings and integers");
    tagged_hash("shp/v1/gap-purchase", &[&jti.0, &json]).into()
}

/// Takes an offer: sealed, answered with a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// The offer, as it was made.
    pub offer: Offer,
    /// Token, the owner's YES to [`purchase_id`], and the wallet's proof.
    pub application: Application,
}

/// What an insurer undertakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTerms {
    /// The insurer's number for it, which nobody can guess.
    pub policy: Bytes32,
    /// The offer taken.
    pub offer: Offer,
    /// When.
    pub issued_at: UnixTime,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What is undertaken.
    pub terms: PolicyTerms,
    /// Ed25519 over [`PolicyTerms::message`].
    pub signature: Bytes<64>,
}

/// Ends a policy: sealed, answered with a [`Statement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// The policy.
    pub policy: Bytes32,
    /// First day without cover.
    pub end: Day,
    /// Compact JWS by the `cnf` key of the token that it was bought with, as `contracts::application::wallet_proof`, its
    /// `approval` being [`Ending::id`].
    pub proof: String,
}

impl Ending {
    /// What the wallet's proof is about.
    pub fn id(policy: &Bytes32, end: Day) -> Bytes32 {
        tagged_hash(
            "shp/v1/gap-ending",
            &[&policy.0, end.to_string().as_bytes()],
        )
        .into()
    }
}

/// How a policy ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementTerms {
    /// The policy.
    pub policy: Bytes32,
    /// First day of cover.
    pub start: Day,
    /// First day without.
    pub end: Day,
    /// The account.
    pub settlement: Settlement,
}

/// A signed [`StatementTerms`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// How it ended.
    pub terms: StatementTerms,
    /// Ed25519 over [`StatementTerms::message`].
    pub signature: Bytes<64>,
}

/// What a sealed message between enquirer and insurer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// An [`Enquiry`], answered with offers.
    Enquiry,
    /// A [`Purchase`], answered with a [`Policy`].
    Purchase,
    /// An [`Ending`], answered with a [`Statement`].
    Ending,
}

impl Exchange {
    /// The path that it is posted to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Enquiry => "/v1/enquiries",
            Self::Purchase => "/v1/policies",
            Self::Ending => "/v1/endings",
        }
    }

    /// HPKE `info` of a request: sealed for this use at this insurer, it opens nowhere else.
    pub fn request_info(self, insurer: &str) -> Vec<u8> {
        format!("shp/v1/gap-request\n{}\n{insurer}", self.path()).into_bytes()
    }

    /// HPKE `info` of the answer to a request, given by its plaintext: an answer to another one does not open.
    pub fn answer_info(self, insurer: &str, request: &[u8]) -> Vec<u8> {
        let hash = Bytes32::from(tagged_hash("shp/v1/gap-request", &[request]));
        format!("shp/v1/gap-answer\n{}\n{insurer}\n{hash}", self.path()).into_bytes()
    }
}

/// Bytes that plaintexts are filled up to a multiple of, with spaces, so that their length says little.
const PAD: usize = 1024;

/// A plaintext as it is sealed: JSON, filled up with spaces.
///
/// # Panics
/// Never: what passes is plain JSON.
pub fn padded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut json = to_jcs(value).expect("what passes holds strings and integers");
    json.resize(json.len().next_multiple_of(PAD), b' ');
    json
}

fn message<T: Serialize>(tag: &str, value: &T) -> [u8; 32] {
    let json = to_jcs(value).expect("what an insurer signs holds strings and integers");
    tagged_hash(tag, &[&json])
}

impl PolicyTerms {
    /// The bytes that are signed.
    ///
    /// # Panics
    /// Never: terms are plain JSON.
    pub fn message(&self) -> [u8; 32] {
        message("shp/v1/gap-policy", self)
    }
}

impl StatementTerms {
    /// The bytes that are signed.
    ///
    /// # Panics
    /// Never: terms are plain JSON.
    pub fn message(&self) -> [u8; 32] {
        message("shp/v1/gap-statement", self)
    }
}

impl Policy {
    /// Whether the insurer signed it.
    pub fn verifies(&self, insurer: &VerifyingKey) -> bool {
        ed25519_verifies(insurer, &self.terms.message(), &self.signature)
    }
}

impl Statement {
    /// Whether the insurer signed it.
    pub fn verifies(&self, insurer: &VerifyingKey) -> bool {
        ed25519_verifies(insurer, &self.terms.message(), &self.signature)
    }
}
