//! The coverage record: what happened to an owner's cover, with receipts, for the owner alone.

use std::collections::BTreeMap;

use contracts::encoding::Bytes32;
use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Balance, Event, Span, State, Transition};
use contracts::receipt::{Entry, Receipt};
use contracts::units::Day;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agency::application_of;
use super::{Taken, not_watched};
use crate::service::Service;
use crate::store::StoredProfile;

/// Events of one page at most.
const PAGE: u32 = 100;

/// Answer of `GET /v1/profiles/{profile}/coverage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Whose every day is, in order.
    #[schema(value_type = Vec<Object>)]
    pub days: Vec<Span>,
    /// The days counted up to today.
    #[schema(value_type = Object)]
    pub balance: Balance,
    /// Where it stands.
    #[schema(value_type = Object)]
    pub state: State,
    /// Each agency's reference for the latest application there, which its staff ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub applications: BTreeMap<Jurisdiction, String>,
    /// Events of this page, oldest first.
    pub events: Vec<CoverageEvent>,
    /// What to ask for the next page with, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One event of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverageEvent {
    /// Its place, from 1.
    pub seq: i64,
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub date: Day,
    /// What happened.
    #[schema(value_type = Object)]
    pub event: Event,
    /// The grant of the representative who replied, where the owner did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub by: Option<Bytes32>,
    /// What the ledger entry commits to.
    #[schema(value_type = Object)]
    pub transition: Transition,
    /// Opens the commitment.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub salt: Bytes32,
    /// The entry.
    #[schema(value_type = Object)]
    pub entry: Entry,
    /// Proof that the ledger holds it, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Receipt>,
}

impl Service {
    /// The record after a place.
    ///
    /// # Errors
    /// 409 when the profile's cover is not looked after.
    pub async fn coverage(
        &self,
        profile: &StoredProfile,
        after: i64,
        limit: u32,
    ) -> Result<Coverage, Problem> {
        let stored = self.store.lifecycle(&profile.profile).await?;
        let stored = stored.ok_or_else(not_watched)?;
        let key = self.lifecycle_key(profile, &stored)?;
        let state: State = stored.state(&key)?;
        let limit = limit.clamp(1, PAGE);
        let events = self
            .store
            .lifecycle_events::<Taken>(&key, &profile.profile, after, limit)
            .await?;
        let full = events.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = events.last().map(|event| event.seq).filter(|_| full);
        let balance = state.days.balance(self.clock.today()).map_err(|error| {
            tracing::error!(%error, "a coverage record does not balance");
            Problem::internal()
        })?;
        let mut applications = BTreeMap::new();
        for agency in self.agencies.iter().filter_map(|one| one.jurisdiction()) {
            let name = application_of(agency);
            let document = self
                .store
                .lifecycle_document(&key, &profile.profile, &name)
                .await?;
            applications.extend(document.map(|application| (agency, application)));
        }
        Ok(Coverage {
            applications,
            days: state.days.spans().to_vec(),
            balance,
            state,
            events: events
                .into_iter()
                .map(|stored| CoverageEvent {
                    seq: stored.seq,
                    date: stored.event.date,
                    event: stored.event.event,
                    by: stored.event.by,
                    transition: stored.event.transition,
                    salt: stored.event.salt,
                    entry: stored.entry,
                    receipt: stored.receipt,
                })
                .collect(),
            next,
        })
    }

    /// Whether Medicaid or a gap policy covers the owner on a day: all that a provider may know.
    ///
    /// # Errors
    /// 409 when the profile's cover is not looked after.
    pub async fn covered_on(&self, profile: &StoredProfile, day: Day) -> Result<bool, Problem> {
        use contracts::lifecycle::Payer;
        let state = self.lifecycle_state(profile).await?;
        Ok(matches!(
            state.days.payer(day),
            Some(Payer::Medicaid { .. } | Payer::Gap { .. })
        ))
    }
}
