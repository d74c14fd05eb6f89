//! JSON of the profile's HTTP API; unknown fields are refused.

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, ContractRef, Domain, Jurisdiction, Verdict};
use contracts::units::{Day, UnixTime};
use oracles::wire::enrol::{ClaimsBox, Recipient};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Header that makes a `POST` safe to send again: same key and same body, same answer.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest `Idempotency-Key`, in bytes.
pub const MAX_IDEMPOTENCY_KEY: usize = 128;
/// Largest body of any call but enrolment, in bytes.
pub const MAX_SMALL_BODY: usize = 4 << 10;
/// Largest body of `enrol`, in bytes: a claims box for each of at most 32 members.
pub const MAX_ENROL_BODY: usize = 64 << 10;
/// Longest contact handle, in bytes.
pub const MAX_CONTACT: usize = 200;
/// Longest audience id, in bytes.
pub const MAX_AUDIENCE: usize = 200;

/// Answer of `POST /v1/profiles` (navigator's token): a new profile with a wallet, not yet enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatedProfile {
    /// The profile, a random id.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub profile: Bytes32,
    /// Bearer token for every route of this profile. Only its hash is stored.
    pub owner_token: String,
    /// What the navigator's device puts into the claims before sealing them.
    pub enrolment: Enrolment,
}

/// What claims are for, and whom to seal them to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The enrolment that the claims must name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub enrol_id: Bytes32,
    /// The identity authorisation key (BIP-340, x-only) that the claims must name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub authorisation_key: Bytes32,
    /// Members of the identity committee, with their HPKE keys.
    #[schema(value_type = Vec<Object>)]
    pub recipients: Vec<Recipient>,
}

/// Body of `POST /v1/profiles/{profile}/enrol`.
///
/// After a failure the same boxes may be sent again: the enrolment goes on with fresh nonces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolProfile {
    /// Claims sealed on the navigator's device, a box for each member of the identity committee. Opaque to the profile.
    #[schema(value_type = Vec<Object>)]
    pub claims: Vec<ClaimsBox>,
    /// The notifier's opaque contact handle; at most [`MAX_CONTACT`] bytes. None for somebody without a phone, such as a
    /// child: who is asked then takes a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Whether the person was enrolled before and lost the seed. The first call brings `committee-refused`, with `waiting`
    /// in its detail; after the wait the same call with fresh claims goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// Answer of `GET /v1/profiles/{profile}` and of `POST /v1/profiles/{profile}/enrol`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub profile: Bytes32,
    /// Whether handles are held.
    pub enrolled: bool,
    /// The last day on which the handles are taken, once enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub handles_expire: Option<Day>,
    /// Domains with a handle for at least a quorum of members.
    #[schema(value_type = Vec<String>)]
    pub domains: Vec<Domain>,
    /// What claims are for, until enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
}

/// Answer of `GET /v1/profiles/{profile}/reproofing`, and of a `POST` there, which objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reproofing {
    /// When somebody who was proofed as this profile's person may take its place; none when nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ready: Option<UnixTime>,
    /// Whether enough nodes took note of an objection.
    pub objected: bool,
}

/// Body of `POST /v1/profiles/{profile}/questions`; an [`IDEMPOTENCY_KEY`] header is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskQuestion {
    /// Contract id, such as `us.medicaid.adult-group`.
    pub contract: String,
    /// The state whose rules are asked.
    #[schema(value_type = String)]
    pub jurisdiction: Jurisdiction,
    /// The day decided for; within a few days of today.
    #[schema(value_type = String, format = Date)]
    pub as_of: Day,
    /// Registered id of the one who gets the token; one of the configuration.
    pub audience: String,
    /// Facts that the committees are to attest as withheld without reading a source; never `identity.person`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub withhold: Vec<AttributeId>,
    /// Whether every fact is read anew: to be set when something has changed. Else leaves that were attested ahead for
    /// this contract and audience serve while they are fresh.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// Where a question stands. Each `POST /v1/questions/{question}/advance` does the next step and stores it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Stored; nothing fetched yet.
    Asked,
    /// Every fact of the contract is attested and its opening sealed.
    Attested,
    /// The presentation is made and its leaves are used up.
    Proved,
    /// The decision committee signed a YES token.
    Decided,
    /// The text that asks for approval is with the notifier.
    Texted,
    /// The owner said YES and did not take it back within the undo window, which the notifier keeps.
    Approved,
    /// The agency holds the application.
    Filed,
    /// Nothing follows; [`Question::outcome`] says how it ended.
    Done,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// YES, approved, and the agency accepted the application.
    Accepted,
    /// YES, approved, and the agency refused the application.
    Refused,
    /// YES, and the owner replied NO, or took a YES back in time.
    Declined,
    /// YES, and no reply came before the deadline, or the notifier closed the question without one.
    NoReply,
    /// A YES token for an audience that keeps no cases, with which nothing is filed.
    Yes,
    /// A NO token.
    No,
    /// Facts are missing; nothing was proved.
    NeedsInfo,
}

/// What a question waits for, when `advance` could not finish a step yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// What for.
    #[serde(rename = "for")]
    pub what: WaitingFor,
    /// Until when at the latest.
    #[schema(value_type = i64)]
    pub until: UnixTime,
}

/// See [`Waiting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitingFor {
    /// The owner's reply to the text, and the end of the undo window after a YES.
    Reply,
}

/// A question, as `GET /v1/questions/{question}`, `advance` and `questions` answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question, a random id.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub question: Bytes32,
    /// Its profile.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub profile: Bytes32,
    /// The contract.
    #[schema(value_type = Object)]
    pub contract: ContractRef,
    /// The state whose rules are asked.
    #[schema(value_type = String)]
    pub jurisdiction: Jurisdiction,
    /// The day decided for.
    #[schema(value_type = String, format = Date)]
    pub as_of: Day,
    /// Who gets the token.
    pub audience: String,
    /// Where it stands.
    pub state: State,
    /// How it ended; present exactly when `state` is `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What the proof says, from `proved` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub verdict: Option<Verdict>,
    /// Why an answer counted for nothing or none came, in the notifier's words or as a grant's; or the code of an agency's refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Reason codes of a NO under a group contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The grant of the representative who is or was asked in the owner's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub asked_of: Option<Bytes32>,
    /// Facts that are missing, when the outcome is `needs-info`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub missing: Vec<AttributeId>,
    /// Domains to whose sources consent is missing, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub consent_missing: Vec<Domain>,
    /// The decision id: the token's `jti`, from `proved` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The agency's reference for the application, from `filed` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Kinds of ledger entry whose receipts are held: `decision`, `approval`, `application`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<String>,
}

/// Answer of `GET /v1/questions/{question}/token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenAnswer {
    /// The compact JWS.
    pub token: String,
}

/// Body of `POST /v1/questions/{question}/openings`: what the owner chooses to open to whom they show the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAttributes {
    /// Attributes of the question; a leaf of each is opened, and no other.
    #[schema(value_type = Vec<String>)]
    pub attributes: Vec<AttributeId>,
}

/// Entries of a page at most.
pub const MAX_PAGE: u32 = 100;
/// Entries of a page where the caller names no number.
const PAGE: u32 = 50;

/// How many entries a page has.
pub(crate) fn page_limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(PAGE).clamp(1, MAX_PAGE)
}

/// Query of what is paged by number.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The number after which entries are wanted.
    #[param(minimum = 0)]
    #[serde(default)]
    pub after: i64,
    /// Entries wanted, 1 to 100; fewer may come.
    #[param(minimum = 1, maximum = 100)]
    #[serde(default)]
    pub limit: Option<u32>,
}

impl Page {
    pub(crate) fn limit(&self) -> u32 {
        page_limit(self.limit)
    }

    /// What to ask for the next page with: the last entry's number, if the page is full.
    pub(crate) fn next(&self, entries: usize, last: Option<i64>) -> Option<i64> {
        last.filter(|_| entries == usize::try_from(self.limit()).unwrap_or(usize::MAX))
    }
}

/// A call to the API, in `GET /v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When it came.
    #[schema(value_type = i64)]
    pub at: UnixTime,
    /// `operator`, `navigator`, `agency`, `insurer`, `owner`, `provider`, `representative` for a reply by text in an owner's place,
    /// or `unknown` for a token that is nobody's.
    pub kind: String,
    /// The configured name of a caller, the random id of an owner's or a flag's profile, or that of a representative's grant.
    pub who: String,
    /// The method.
    pub method: String,
    /// The route, with names in place of ids.
    pub route: String,
    /// Status of the answer; 0 while there is none.
    pub status: u32,
}

/// Answer of `GET /v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPage {
    /// Events, oldest first.
    pub events: Vec<AuditEvent>,
    /// What to ask for the next page with, where there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Query of `GET /v1/insurer/policies`.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PolicyPageQuery {
    /// The policy after which entries are wanted.
    #[serde(default)]
    pub after: Option<String>,
    /// Entries wanted, 1 to 100; fewer may come.
    #[param(minimum = 1, maximum = 100)]
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A policy that the calling insurer sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SoldPolicy {
    /// The insurer's number for it.
    pub policy: String,
    /// `held`, `ending` (the ending may not have reached the insurer yet) or `ended`.
    pub state: String,
    /// First day of cover.
    #[schema(value_type = String, format = Date)]
    pub start: Day,
    /// First day without.
    #[schema(value_type = String, format = Date)]
    pub end: Day,
}

/// Answer of `GET /v1/insurer/policies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPage {
    /// Policies in the order of their numbers' text.
    pub policies: Vec<SoldPolicy>,
    /// What to ask for the next page with, where there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
