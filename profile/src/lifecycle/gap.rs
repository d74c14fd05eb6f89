//! Gap cover: what the machine asks of insurers.

use contracts::application::{Answer, Approval};
use contracts::encoding::Bytes32;
use contracts::lifecycle::{Action, Event, Gap, LAPSE_DAYS, Matter};
use contracts::receipt::{Entry, EntryKind};
use contracts::units::Day;
use oracles::problem::Problem;

use super::Task;
use super::owner::approval_of;
use super::worker::{Done, Job};
use crate::gap::Term;

impl Job<'_> {
    pub(super) async fn gap(&self, action: &Action) -> Result<Done, Problem> {
        let (service, profile) = (self.service, self.profile);
        let mut follow_up = Vec::new();
        let event = match action {
            Action::Quote {
                offer,
                attempt,
                jurisdiction,
                from,
            } => {
                let state = service.lifecycle_state(profile).await?;
                let waited_for =
                    matches!(state.gap, Gap::Quoting { offer: open, .. } if open == *offer);
                if !waited_for {
                    return Ok(Done::default());
                }
                let key = &self.claimed.task;
                let chosen = service.choose_plan(profile, *attempt, *jurisdiction, *from, key);
                match chosen.await? {
                    Some(quote) => Event::GapQuoted {
                        offer: *offer,
                        quote,
                    },
                    None => Event::GapRefused { offer: *offer },
                }
            }
            Action::Enrol {
                offer,
                quote,
                from,
                until,
            } => {
                let state = service.lifecycle_state(profile).await?;
                let waited_for =
                    matches!(state.gap, Gap::Enrolling { offer: open, .. } if open == *offer);
                if !waited_for && !service.is_buying(profile, quote).await? {
                    // Nothing has left, and nobody waits for it any more.
                    return Ok(Done::default());
                }
                let approval = self.approval(*offer).await?;
                let term = Term {
                    from: *from,
                    until: *until,
                    expiring: state.expiring.map(|it| (it.policy, it.until)),
                };
                match service.buy_plan(profile, quote, &term, &approval).await? {
                    Some((policy, from, on)) => {
                        let ahead = on.plus(-LAPSE_DAYS).unwrap_or(on);
                        let lapse = Task::Lapse {
                            policy: policy.clone(),
                            on,
                            tell: Some(ahead.max(from)),
                        };
                        follow_up.push((format!("lapse {policy}"), lapse));
                        Event::GapEnrolled {
                            offer: *offer,
                            policy,
                            from,
                        }
                    }
                    None => Event::GapRefused { offer: *offer },
                }
            }
            Action::EndGap { policy, on } => {
                service.end_plan(profile, policy, *on).await?;
                return Ok(Done::default());
            }
            _ => return Err(Problem::internal()),
        };
        Ok(Done {
            events: vec![(self.source(), event)],
            follow_up,
            ..Done::default()
        })
    }

    /// A policy that nobody ended comes to the end of its longest term.
    pub(super) fn lapse(&self, policy: &str, on: Day) -> Done {
        let event = Event::GapLapsed {
            policy: policy.to_owned(),
            on,
        };
        Done {
            events: vec![(self.source(), event)],
            ..Done::default()
        }
    }

    /// The owner's YES to an offer, entered in the ledger before anything is bought with it.
    async fn approval(&self, offer: u32) -> Result<Approval, Problem> {
        let name = approval_of(&Matter::Gap { offer });
        let approval: Option<Approval> = self.document(&name).await?;
        let approval = approval
            .filter(|approval| approval.answer == Answer::Yes)
            .ok_or_else(|| {
                Problem::conflict(
                    "not-approved",
                    "the owner's signed YES to this offer is missing",
                )
            })?;
        // The same salt at every attempt, so that a repeated call enters the same.
        let salt = self.key_salt();
        let entry = Entry::new(EntryKind::Approval, &salt, &approval);
        self.service.oracles.append(entry).await?;
        Ok(approval)
    }

    fn key_salt(&self) -> Bytes32 {
        let secret = self
            .service
            .root
            .derive("shp/v1/approval-salt", &self.claimed.task.0);
        Bytes32::from(*secret)
    }
}
