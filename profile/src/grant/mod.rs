//! Grants: a parent, guardian or authorised representative acts for an owner (42 CFR 435.923), visibly and revocably.
//!
//! `proposed → offered → active → revoked | ended`, or `declined`. A designation is the owner's own YES by text; any other
//! basis is recorded by an agency or operator that has seen it. Either way the representative says YES from a phone of their own
//! to acting and to confidentiality (42 CFR 435.923(d)) before a reply of theirs counts. A representative holds no token: they
//! are asked, and cannot grant, revoke or read anything.

mod act;
mod label;
mod terms;
mod view;
mod work;

use contracts::encoding::Bytes32;
use contracts::representation::Basis;
use contracts::units::Day;
use oracles::problem::Problem;

pub(crate) use act::{Asked, Settled};
pub use label::{LABEL_FIX, Label, MAX_LABEL};
pub(crate) use terms::Terms;
pub use terms::{Purpose, Scope, Standing, Void};
pub use view::{Grant, GrantList, GrantUse, NewGrant};

use crate::enrol::{check_contact, not_enrolled, reused_key};
use crate::oracle::random32;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::grants::{StoredGrant, insert_grant, move_grant};
use crate::store::idempotency::remember;
use crate::store::{Remembered, StoreError, StoredProfile};
use crate::wallet::Use;

/// Longest reference to where an authority is recorded, in bytes.
pub const MAX_REFERENCE: usize = 120;
/// Most grants of a profile that are in force or may come to be.
pub const MAX_LIVE: usize = 8;
/// Longest time from a grant's first day to its last, in days: ten years.
pub const MAX_DAYS: i64 = 3_653;

/// Who makes or revokes a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grantor<'a> {
    Owner,
    /// By its registered id.
    Agency(&'a str),
    /// By its configured name.
    Operator(&'a str),
}

impl Grantor<'_> {
    fn made_by(self) -> String {
        match self {
            Self::Owner => "owner".to_owned(),
            Self::Agency(audience) => format!("agency {audience}"),
            Self::Operator(name) => format!("operator {name}"),
        }
    }

    /// Whether it may see and revoke a grant: an owner all of theirs, an operator all, an agency what it recorded itself.
    fn may_revoke(self, grant: &StoredGrant) -> bool {
        match self {
            Self::Owner | Self::Operator(_) => true,
            Self::Agency(_) => grant.made_by == self.made_by(),
        }
    }
}

/// 404: no such grant for this caller.
fn no_grant() -> Problem {
    Problem::not_found("no such grant under this token")
}

fn context<'a>(grant: &'a Bytes32, what: &'a str) -> [&'a [u8]; 3] {
    [b"grant", &grant.0, what.as_bytes()]
}

impl Service {
    pub(crate) fn grant_key(
        &self,
        profile: &StoredProfile,
        grant: &StoredGrant,
    ) -> Result<SealKey, Problem> {
        Ok(self.wallet(profile)?.question(grant.wallet_index)?)
    }

    /// A grant's terms.
    pub(crate) fn grant_terms(
        &self,
        profile: &StoredProfile,
        grant: &StoredGrant,
    ) -> Result<Terms, Problem> {
        let key = self.grant_key(profile, grant)?;
        let opened = key.open(&context(&grant.grant, "terms"), &grant.terms).ok();
        let terms = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        terms.ok_or_else(Problem::internal)
    }

    /// Makes a grant; the same key finds it again. Says whether it is new.
    ///
    /// # Errors
    /// 400 naming the field; 409 `not-enrolled`, `no-phone` for a designation by somebody without one, `too-many-grants`; 422 for a
    /// key of another grant.
    pub(crate) async fn make_grant(
        &self,
        profile: &StoredProfile,
        grantor: Grantor<'_>,
        key: &str,
        body: &[u8],
        new: &NewGrant,
    ) -> Result<(Grant, bool), Problem> {
        let _lock = self.locks.hold(profile.profile).await;
        let held = self.store.grants(&profile.profile).await?;
        let id = random32();
        let text_id = profile.profile.to_string();
        // The profile is in the body of the others' calls, and there a key belongs to whoever calls.
        let scope = match grantor {
            Grantor::Owner => format!("{text_id} grants owner"),
            _ => format!("grants {}", grantor.made_by()),
        };
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        match remember(&mut tx, &scope, key, body, &id.to_string(), now).await? {
            Remembered::First => {}
            Remembered::Again(first) => {
                drop(tx);
                let first = Bytes32::parse(&first).map_err(|_| Problem::internal())?;
                let stored = self.store.grant(&first).await?.ok_or_else(no_grant)?;
                return Ok((self.grant_view(profile, &stored, grantor).await?, false));
            }
            Remembered::Other => return Err(reused_key()),
        }
        self.check_grant(profile, grantor, new)?;
        if held.iter().filter(|it| it.standing.is_live()).count() >= MAX_LIVE {
            return Err(Problem::conflict(
                "too-many-grants",
                format!("at most {MAX_LIVE} at a time: revoke one first"),
            ));
        }
        let store = &self.store;
        let wallet_index = store.reserve(&mut tx, &text_id, Use::Question, 1).await?;
        let key_index = store
            .reserve(&mut tx, &text_id, Use::Representative, 1)
            .await?;
        let wallet = self.wallet(profile)?;
        let terms = Terms {
            contact: new.contact.clone(),
            scope: new.scope,
            from: new.from,
            until: new.until,
            basis: new.basis,
            reference: new.reference.clone(),
            jurisdiction: new.jurisdiction,
            label: new.label.as_deref().and_then(Label::parse),
            key: wallet.representative(key_index)?.x_only(),
            salt: random32(),
        };
        let plain = serde_json::to_vec(&terms).map_err(|_| Problem::internal())?;
        let stored = StoredGrant {
            grant: id,
            profile: profile.profile,
            made_by: grantor.made_by(),
            wallet_index,
            key_index,
            terms: wallet
                .question(wallet_index)?
                .seal(&context(&id, "terms"), &plain),
            standing: match new.basis {
                Basis::Designation => Standing::Proposed,
                _ => Standing::Offered,
            },
            standing_at: now,
            created_at: now,
            due_at: Some(now),
            failures: 0,
        };
        insert_grant(&mut tx, &stored).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!("a grant is made");
        Ok((self.grant_view(profile, &stored, grantor).await?, true))
    }

    fn check_grant(
        &self,
        profile: &StoredProfile,
        grantor: Grantor<'_>,
        new: &NewGrant,
    ) -> Result<(), Problem> {
        if !self.is_enrolled(profile) {
            return Err(not_enrolled());
        }
        check_contact(&new.contact)?;
        if profile.contact.as_ref() == Some(&new.contact) {
            return Err(Problem::bad_request(
                "contact: this is the owner's own phone; name the representative's",
            ));
        }
        if new
            .label
            .as_deref()
            .is_some_and(|label| Label::parse(label).is_none())
        {
            return Err(Problem::bad_request(format!("label: {LABEL_FIX}")));
        }
        let today = self.clock.today();
        let last = new.from.plus(MAX_DAYS).map_err(|_| bad_days())?;
        if new.from < today || new.until < new.from || new.until > last {
            return Err(bad_days());
        }
        let reference = &new.reference;
        let fits = reference.len() <= MAX_REFERENCE && !reference.chars().any(char::is_control);
        let recorded = !reference.is_empty();
        match (grantor, new.basis) {
            (Grantor::Owner, Basis::Designation) if !fits || recorded => Err(Problem::bad_request(
                "reference: leave it out; the owner's own YES is the basis",
            )),
            (Grantor::Owner, Basis::Designation) if profile.contact.is_none() => {
                Err(Problem::conflict(
                    "no-phone",
                    "the owner has no phone to say YES from: have an agency or the operator record another basis",
                ))
            }
            (Grantor::Owner, Basis::Designation) => Ok(()),
            (Grantor::Owner, _) => Err(Problem::bad_request(
                "basis: an owner designates; an agency or the operator records what else it has seen (42 CFR 435.923(a))",
            )),
            (_, Basis::Designation) => Err(Problem::bad_request(
                "basis: only the owner designates; name the legal authority that was seen",
            )),
            _ if !fits || !recorded => Err(Problem::bad_request(format!(
                "reference: 1 to {MAX_REFERENCE} bytes that say where the authority is recorded, such as a court's case number",
            ))),
            _ => Ok(()),
        }
    }

    /// A grant and the profile that it is of, for whoever may revoke it.
    ///
    /// # Errors
    /// 404.
    pub(crate) async fn revocable(
        &self,
        grantor: Grantor<'_>,
        profile: Option<&Bytes32>,
        grant: &str,
    ) -> Result<(StoredProfile, StoredGrant), Problem> {
        let id = Bytes32::parse(grant).map_err(|_| no_grant())?;
        let stored = self.store.grant(&id).await?.ok_or_else(no_grant)?;
        let theirs = profile.is_none_or(|profile| *profile == stored.profile);
        if !theirs || !grantor.may_revoke(&stored) {
            return Err(no_grant());
        }
        let owner = self.store.profile(&stored.profile).await?;
        Ok((owner.ok_or_else(Problem::internal)?, stored))
    }

    /// Revokes a grant: from when this returns, no reply of the representative counts. One that is over stays as it ended.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn revoke_grant(
        &self,
        profile: &StoredProfile,
        grantor: Grantor<'_>,
        grant: &StoredGrant,
    ) -> Result<Grant, Problem> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        for from in [Standing::Proposed, Standing::Offered, Standing::Active] {
            move_grant(&mut tx, &grant.grant, from, Standing::Revoked, now).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        let stored = self.store.grant(&grant.grant).await?.ok_or_else(no_grant)?;
        self.grant_view(profile, &stored, grantor).await
    }
}

fn bad_days() -> Problem {
    Problem::bad_request(
        "from, until: first and last day, from today on and at most ten years apart",
    )
}

/// Whether a day is a grant's last or later.
fn is_over(terms: &Terms, today: Day) -> bool {
    today > terms.until
}
