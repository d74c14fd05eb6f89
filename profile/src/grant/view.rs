//! JSON of grants.

use contracts::encoding::Bytes32;
use contracts::ids::Jurisdiction;
use contracts::representation::Basis;
use contracts::units::{Day, UnixTime};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Grantor, Label, Scope, Standing};
use crate::service::Service;
use crate::store::StoredProfile;
use crate::store::grants::{StoredGrant, StoredUse};

/// What a grant is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The notifier's opaque handle of the representative's own phone; at most 200 bytes.
    pub contact: String,
    /// What they may do.
    pub scope: Scope,
    /// First day; today or later.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day; at most ten years later.
    #[schema(value_type = String, format = Date)]
    pub until: Day,
    /// By what authority: `designation` by an owner; `guardianship-order`, `power-of-attorney` or `parent` by an agency or operator.
    #[schema(value_type = String)]
    pub basis: Basis,
    /// Where that authority is recorded; none for a designation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// The state that texts about it name.
    #[schema(value_type = String)]
    pub jurisdiction: Jurisdiction,
    /// What the representative knows the person by, for texts to that representative alone: 1 to 12 letters, single spaces and at
    /// most 2 digits. None where nobody needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 12)]
    pub label: Option<String>,
}

/// A grant, as those see it who may revoke it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Random id; what audit events call the representative.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub grant: Bytes32,
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    #[schema(value_type = i64)]
    pub since: UnixTime,
    /// `owner`; or `agency` or `operator`, a space, and which.
    pub made_by: String,
    /// What the representative may do.
    pub scope: Scope,
    /// First day.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day.
    #[schema(value_type = String, format = Date)]
    pub until: Day,
    /// By what authority.
    #[schema(value_type = String)]
    pub basis: Basis,
    /// Where that is recorded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// What the representative knows the person by; shown to whom made the grant, and to the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 12)]
    pub label: Option<Label>,
    /// The representative's pseudonym: a BIP-340 key that no other grant has.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub key: Bytes32,
    /// Hash of the terms, which approvals under the grant name.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub digest: Bytes32,
    /// What it was used for, latest first, at most 100; of an agency's, what was asked about applications to itself alone.
    pub uses: Vec<GrantUse>,
}

/// What a representative was asked in the owner's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantUse {
    /// The decision asked about: of a question, its `decision`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub decision: Bytes32,
    /// `apply`, `change` or `gap`.
    pub purpose: String,
    /// When it was to be asked.
    #[schema(value_type = i64)]
    pub asked_at: UnixTime,
    /// `yes`, `no`, `closed` without an answer, or why the reply counted for nothing, such as `grant-revoked`; absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub settled_at: Option<UnixTime>,
}

impl From<StoredUse> for GrantUse {
    fn from(stored: StoredUse) -> Self {
        Self {
            decision: stored.decision,
            purpose: stored.purpose,
            asked_at: stored.asked_at,
            outcome: stored.outcome,
            settled_at: stored.settled_at,
        }
    }
}

/// Answer of `GET /v1/profiles/{profile}/grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantList {
    /// Grants, latest first; at most 100.
    pub grants: Vec<Grant>,
}

impl Service {
    /// A grant as one of those sees it who may revoke it.
    pub(crate) async fn grant_view(
        &self,
        profile: &StoredProfile,
        stored: &StoredGrant,
        reader: Grantor<'_>,
    ) -> Result<Grant, Problem> {
        let terms = self.grant_terms(profile, stored)?;
        let uses = match reader {
            // What others are asked is not its to know: an insurer holds the decision of a purchase.
            Grantor::Agency(audience) => self.store.grant_uses_at(&stored.grant, audience).await?,
            Grantor::Owner | Grantor::Operator(_) => self.store.grant_uses(&stored.grant).await?,
        };
        let over = stored.standing.is_live() && super::is_over(&terms, self.clock.today());
        Ok(Grant {
            grant: stored.grant,
            // A worker may not have come to it yet.
            standing: if over {
                Standing::Ended
            } else {
                stored.standing
            },
            since: stored.standing_at,
            made_by: stored.made_by.clone(),
            scope: terms.scope,
            from: terms.from,
            until: terms.until,
            basis: terms.basis,
            digest: terms.digest(&profile.profile),
            reference: terms.reference,
            label: terms.label,
            key: terms.key,
            uses: uses.into_iter().map(GrantUse::from).collect(),
        })
    }

    /// Every grant of a profile.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn grant_list(&self, profile: &StoredProfile) -> Result<GrantList, Problem> {
        let mut grants = Vec::new();
        for stored in self.store.grants(&profile.profile).await? {
            grants.push(self.grant_view(profile, &stored, Grantor::Owner).await?);
        }
        Ok(GrantList { grants })
    }
}
