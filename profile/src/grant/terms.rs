//! What a grant says, and whether a reply counts under it: pure, without clock or database.

use contracts::encoding::{Bytes32, tagged_hash, to_jcs};
use contracts::ids::Jurisdiction;
use contracts::representation::Basis;
use contracts::units::Day;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Label;
use crate::notifier::Template;

/// What a representative may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Sign applications and renewals, 42 CFR 435.923(b)(1) and (2).
    ApplyRenew,
    /// Receive notices, 42 CFR 435.923(b)(3).
    Notices,
    /// Act in every matter, 42 CFR 435.923(b)(4): the above, disputes of a change, and gap cover.
    All,
}

/// What something is asked or told for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// An application or renewal.
    Apply,
    /// Whether a change that may end cover is right.
    Change,
    /// A gap policy.
    Gap,
    /// Something is told.
    Notice,
}

impl Purpose {
    /// What a text that asks is for.
    pub(crate) fn of(template: Template) -> Self {
        match template {
            Template::Change => Self::Change,
            Template::Gap => Self::Gap,
            _ => Self::Apply,
        }
    }

    /// The name in JSON and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Change => "change",
            Self::Gap => "gap",
            Self::Notice => "notice",
        }
    }
}

impl Scope {
    /// Whether a purpose lies within it.
    pub fn covers(self, purpose: Purpose) -> bool {
        match self {
            Self::All => true,
            Self::ApplyRenew => purpose == Purpose::Apply,
            Self::Notices => purpose == Purpose::Notice,
        }
    }
}

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The owner is asked by text whether somebody may act.
    Proposed,
    /// The representative is asked by text whether they will, and keep confidential what they learn.
    Offered,
    /// Replies of the representative count.
    Active,
    /// Owner or representative said NO, or nothing in time.
    Declined,
    /// Taken back.
    Revoked,
    /// Its last day is over.
    Ended,
}

impl Standing {
    /// The name in JSON and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Offered => "offered",
            Self::Active => "active",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
        }
    }

    /// From the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Proposed,
            Self::Offered,
            Self::Active,
            Self::Declined,
            Self::Revoked,
            Self::Ended,
        ]
        .into_iter()
        .find(|standing| standing.as_str() == name)
    }

    /// Whether it is in force or may come to be.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Proposed | Self::Offered | Self::Active)
    }
}

/// Why a representative's reply counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Void {
    /// The representative never said YES to acting.
    #[error("the representative has not agreed to act")]
    NotAccepted,
    /// Taken back before the reply was used.
    #[error("the grant was revoked")]
    Revoked,
    /// After the last day.
    #[error("the grant's last day is over")]
    Expired,
    /// Before the first day.
    #[error("the grant's first day has not come")]
    NotYet,
    /// Another matter than the grant is for.
    #[error("the grant is not for this")]
    Scope,
}

impl Void {
    /// Every reason.
    const ALL: [Self; 5] = [
        Self::NotAccepted,
        Self::Revoked,
        Self::Expired,
        Self::NotYet,
        Self::Scope,
    ];

    /// From its code.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|void| void.code() == code)
    }

    /// What the record and a question's `refusal` call it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAccepted => "grant-not-accepted",
            Self::Revoked => "grant-revoked",
            Self::Expired => "grant-expired",
            Self::NotYet => "grant-not-begun",
            Self::Scope => "grant-scope",
        }
    }
}

/// What a grant says; sealed at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    /// The notifier's handle of the representative's phone.
    pub(crate) contact: String,
    pub(crate) scope: Scope,
    /// First and last day.
    pub(crate) from: Day,
    pub(crate) until: Day,
    pub(crate) basis: Basis,
    /// Where the authority is recorded, such as a court's case number; empty for a designation.
    pub(crate) reference: String,
    /// The state that texts about it name.
    pub(crate) jurisdiction: Jurisdiction,
    /// What the representative knows the person by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<Label>,
    /// The representative's pseudonym key.
    pub(crate) key: Bytes32,
    pub(crate) salt: Bytes32,
}

impl Terms {
    /// What the representative says YES to, and approvals under the grant name.
    pub(crate) fn digest(&self, profile: &Bytes32) -> Bytes32 {
        let json = to_jcs(self).expect("terms hold strings");
        tagged_hash("shp/v1/grant", &[&profile.0, &json]).into()
    }

    /// What the owner says YES to.
    pub(crate) fn designation(&self, profile: &Bytes32) -> Bytes32 {
        let digest = self.digest(profile);
        tagged_hash("shp/v1/grant-designation", &[&digest.0]).into()
    }

    /// Whether the representative may act for a purpose: on the day of the reply, and still today.
    ///
    /// # Errors
    /// [`Void`].
    pub(crate) fn permits(
        &self,
        standing: Standing,
        purpose: Purpose,
        replied: Day,
        today: Day,
    ) -> Result<(), Void> {
        match standing {
            Standing::Active => {}
            Standing::Revoked => return Err(Void::Revoked),
            Standing::Ended => return Err(Void::Expired),
            Standing::Proposed | Standing::Offered | Standing::Declined => {
                return Err(Void::NotAccepted);
            }
        }
        if !self.scope.covers(purpose) {
            return Err(Void::Scope);
        }
        if replied < self.from {
            return Err(Void::NotYet);
        }
        match replied.max(today) > self.until {
            true => Err(Void::Expired),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn terms(scope: Scope) -> Terms {
        Terms {
            contact: "c".to_owned(),
            scope,
            from: day("2026-12-01"),
            until: day("2026-12-31"),
            basis: Basis::GuardianshipOrder,
            reference: "PR-17".to_owned(),
            jurisdiction: "CA".parse().unwrap(),
            label: None,
            key: [1; 32].into(),
            salt: [2; 32].into(),
        }
    }

    #[test]
    fn attack_a_reply_of_another_scope_day_or_standing_counts_for_nothing() {
        let permits = |scope, standing, purpose, replied, today| {
            terms(scope).permits(standing, purpose, day(replied), day(today))
        };
        use Purpose::{Apply, Change, Gap, Notice};
        use Scope::{All, ApplyRenew, Notices};
        let active =
            |scope, purpose| permits(scope, Standing::Active, purpose, "2026-12-05", "2026-12-06");
        for purpose in [Apply, Change, Gap, Notice] {
            assert_eq!(active(All, purpose), Ok(()));
            let applies = active(ApplyRenew, purpose);
            assert_eq!(applies.is_ok(), purpose == Apply, "{purpose:?}");
            let reads = active(Notices, purpose);
            assert_eq!(reads.is_ok(), purpose == Notice, "{purpose:?}");
        }
        let on = |replied, today| permits(All, Standing::Active, Apply, replied, today);
        assert_eq!(on("2026-12-01", "2026-12-31"), Ok(()));
        assert_eq!(on("2026-11-30", "2026-12-01"), Err(Void::NotYet));
        assert_eq!(on("2027-01-01", "2027-01-01"), Err(Void::Expired));
        // Said in time, and used too late.
        assert_eq!(on("2026-12-31", "2027-01-01"), Err(Void::Expired));
        for (standing, why) in [
            (Standing::Proposed, Void::NotAccepted),
            (Standing::Offered, Void::NotAccepted),
            (Standing::Declined, Void::NotAccepted),
            (Standing::Revoked, Void::Revoked),
            (Standing::Ended, Void::Expired),
        ] {
            let refused = permits(All, standing, Apply, "2026-12-05", "2026-12-05");
            assert_eq!(refused, Err(why));
            assert_eq!(Void::parse(why.code()), Some(why));
            assert_eq!(Standing::parse(standing.as_str()), Some(standing));
        }
    }

    #[test]
    fn attack_a_yes_to_other_terms_of_another_owner_or_as_another_party_is_none_to_these() {
        let (one, two) = (Bytes32::from([1; 32]), Bytes32::from([2; 32]));
        let first = terms(Scope::All);
        let digest = first.digest(&one);
        assert_ne!(digest, first.digest(&two));
        assert_ne!(digest, first.designation(&one));
        let mut other = first.clone();
        other.until = day("2027-12-31");
        assert_ne!(digest, other.digest(&one));
        assert_ne!(digest, terms(Scope::ApplyRenew).digest(&one));
        let mut labelled = first.clone();
        labelled.label = Label::parse("Mom");
        assert_ne!(digest, labelled.digest(&one));
        // Terms that were sealed before there were labels are read, and are the same.
        let json = serde_json::to_value(&first).unwrap();
        assert!(json.get("label").is_none());
        assert_eq!(serde_json::from_value::<Terms>(json).unwrap(), first);
    }
}
