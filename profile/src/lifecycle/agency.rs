//! What agencies are told, and what they say.

use contracts::encoding::Bytes32;
use contracts::ids::{Jurisdiction, Verdict};
use contracts::lifecycle::{Case, Event, Medicaid, Notice, Phase};
use contracts::units::Day;
use oracles::problem::Problem;
use serde_json::json;

use super::Task;
use super::effects::question_of;
use super::worker::{Done, Job};
use crate::agency::{Agency, StatusNotice, What};
use crate::api::types::{Outcome, State};
use crate::oracle::Decision;
use crate::question::kind;
use crate::service::Service;

/// Days after a closure in which a renewal form still counts as one, 42 CFR 435.916(a)(3)(iii), and the agency may say more.
const RECONSIDERATION_DAYS: i64 = 90;

/// The agency that keeps a state's cases.
pub(crate) fn of(service: &Service, jurisdiction: Jurisdiction) -> Result<&Agency, Problem> {
    let found = service
        .agencies
        .iter()
        .find(|agency| agency.jurisdiction() == Some(jurisdiction));
    found.ok_or_else(|| {
        Problem::conflict(
            "no-agency",
            format!("agencies.jurisdiction: no agency of {jurisdiction} is configured"),
        )
    })
}

/// The document that holds an agency's reference for the owner's latest application.
pub(super) fn application_of(jurisdiction: Jurisdiction) -> String {
    format!("application {jurisdiction}")
}

impl Job<'_> {
    /// Files what the owner said YES to: both signatures are the question's to check.
    pub(super) async fn file(&self, case: u32, round: u8) -> Result<Done, Problem> {
        let state = self.service.lifecycle_state(self.profile).await?;
        let filing = |open: &Case| open.id == case && matches!(open.phase, Phase::Filing { .. });
        if !state.case.as_ref().is_some_and(filing) {
            // The agency was away too long, or the owner has died: the case has ended without it.
            return Ok(Done::default());
        }
        let question: Option<Bytes32> = self.document(&question_of(case)).await?;
        let question = question.ok_or_else(Problem::internal)?;
        let mut asked = self.service.question_view(self.profile, &question).await?;
        for _ in 0..2 {
            if matches!(asked.state, State::Approved | State::Filed) {
                asked = self.advance(&question).await?;
            }
        }
        let source = format!("filed {case} {round}");
        match (asked.state, asked.outcome, asked.application) {
            (State::Done, Some(Outcome::Accepted), Some(application)) => Ok(Done {
                documents: vec![(application_of(asked.jurisdiction), json!(application))],
                events: vec![(source, Event::Filed { case })],
                follow_up: vec![(
                    format!("follow {application}"),
                    Task::Follow {
                        jurisdiction: asked.jurisdiction,
                        application,
                        after: 0,
                        until: None,
                    },
                )],
                ..Done::default()
            }),
            (State::Done, Some(Outcome::Refused), _) => Ok(Done {
                events: vec![(source, Event::NotFiled { case })],
                ..Done::default()
            }),
            _ => Err(Problem::conflict(
                "not-approved",
                "the question is not approved by the owner's signed YES",
            )),
        }
    }

    /// Tells an agency that holds an application of this owner; one that holds none has no case to tell of.
    pub(super) async fn notify(
        &self,
        jurisdiction: Jurisdiction,
        case: Option<u32>,
        notice: &Notice,
    ) -> Result<Done, Problem> {
        let application: Option<String> = self.document(&application_of(jurisdiction)).await?;
        let Some(application) = application else {
            tracing::info!(%jurisdiction, "no application is known to this agency: nothing to tell");
            return Ok(Done::default());
        };
        let evidence = match notice {
            Notice::Loss { .. } => self.evidence(case, Verdict::No).await?,
            // A dispute that ends so has shown nothing; another answer has.
            Notice::Withdrawn => self.evidence(case, Verdict::Yes).await?,
            _ => None,
        };
        let told = StatusNotice {
            notice: *notice,
            token: evidence,
        };
        let agency = of(self.service, jurisdiction)?;
        // What it refuses stands in its feed all the same, and does not hold up what comes after.
        agency.tell(&application, &self.claimed.task, &told).await?;
        Ok(Done {
            notice: Some((agency.audience().to_owned(), application, told)),
            ..Done::default()
        })
    }

    /// The token of a case's question, which the agency can check for itself: of this verdict, and not expired.
    async fn evidence(
        &self,
        case: Option<u32>,
        verdict: Verdict,
    ) -> Result<Option<String>, Problem> {
        let Some(case) = case else { return Ok(None) };
        let question: Option<Bytes32> = self.document(&question_of(case)).await?;
        let Some(question) = question else {
            return Ok(None);
        };
        let store = &self.service.store;
        let Some(stored) = store.question(&self.profile.profile, &question).await? else {
            return Ok(None);
        };
        let key = self.service.wallet(self.profile)?;
        let key = key.question(stored.wallet_index)?;
        let decision: Option<Decision> = store.document(&key, &question, kind::DECISION).await?;
        let Some(Decision { token, .. }) = decision else {
            return Ok(None);
        };
        let claims = self.service.oracles.claims(&token)?;
        let stands = claims.verdict == verdict && self.service.clock.now() < claims.exp;
        Ok(stands.then_some(token))
    }

    /// Takes what the agency has said since. It goes on until another application takes this one's place, or the days are
    /// over in which a closed case can be taken up again.
    pub(super) async fn follow(&self, task: &Task) -> Result<Done, Problem> {
        let Task::Follow {
            jurisdiction,
            application,
            after,
            until,
        } = task
        else {
            return Err(Problem::internal());
        };
        let latest: Option<String> = self.document(&application_of(*jurisdiction)).await?;
        let today = self.service.clock.today();
        if is_over(application, latest.as_deref(), *until, today) {
            return Ok(Done::default());
        }
        let said = of(self.service, *jurisdiction)?
            .statements(application, *after)
            .await?;
        let (mut after, mut until) = (*after, *until);
        let mut events = Vec::new();
        for statement in said {
            let source = format!("agency {application} {}", statement.number);
            let event = self.event(*jurisdiction, statement.what).await?;
            events.extend(event.map(|event| (source, event)));
            after = statement.number;
            if !matches!(statement.what, What::Protected { .. }) {
                until = followed_until(statement.what, today);
            }
        }
        let next = Task::Follow {
            jurisdiction: *jurisdiction,
            application: application.clone(),
            after,
            until,
        };
        Ok(Done {
            events,
            again: self.again(&next),
            ..Done::default()
        })
    }

    /// What a statement means here; nothing for the end of a review that is over.
    async fn event(
        &self,
        jurisdiction: Jurisdiction,
        what: What,
    ) -> Result<Option<Event>, Problem> {
        Ok(Some(match what {
            What::Accepted { from, period_end } => Event::Accepted {
                jurisdiction,
                from,
                period_end,
            },
            What::Denied => Event::Denied { jurisdiction },
            What::InfoRequested { until } => Event::InfoRequested {
                jurisdiction,
                until,
            },
            What::Kept => Event::Kept { jurisdiction },
            // Each agency protects the cover that it gives.
            What::Protected { until } => {
                let state = self.service.lifecycle_state(self.profile).await?;
                let gives = |cover: &Medicaid| cover.jurisdiction == jurisdiction;
                return Ok(state
                    .medicaid
                    .filter(gives)
                    .map(|_| Event::Protected { until }));
            }
            What::Closed { on } => Event::Closed { jurisdiction, on },
            What::Died { on } => Event::Died { on },
            What::Lives => Event::Lives { jurisdiction },
            What::Reviewed { upheld } => {
                let state = self.service.lifecycle_state(self.profile).await?;
                let case = state.case.filter(|case| case.jurisdiction == jurisdiction);
                return Ok(case.map(|case| Event::Reviewed {
                    case: case.id,
                    upheld,
                }));
            }
        }))
    }
}

/// The last day on which an agency that said this can be expected to say more of the application: a closed case can be taken
/// up again, and a statement of death be found wrong.
fn followed_until(what: What, heard: Day) -> Option<Day> {
    match what {
        What::Closed { on } => on.plus(RECONSIDERATION_DAYS).ok(),
        What::Died { .. } => heard.plus(RECONSIDERATION_DAYS).ok(),
        _ => None,
    }
}

/// Whether nothing more is to be heard of an application: a later one took its place, or its last day is over.
fn is_over(application: &str, latest: Option<&str>, until: Option<Day>, today: Day) -> bool {
    latest.is_some_and(|latest| latest != application) || until.is_some_and(|until| until < today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_is_followed_until_another_application_or_ninety_days_after_it_closed_the_case() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let closed = What::Closed {
            on: day("2026-12-01"),
        };
        let heard = day("2026-11-20");
        let until = followed_until(closed, heard);
        assert_eq!(until, Some(day("2027-03-01")));
        assert_eq!(followed_until(What::Kept, heard), None);
        let died = What::Died {
            on: day("2026-08-01"),
        };
        assert_eq!(followed_until(died, heard), Some(day("2027-02-18")));
        let over = |latest, until, today| is_over("CA-1", latest, until, day(today));
        assert!(!over(Some("CA-1"), None, "2030-01-01"));
        assert!(!over(Some("CA-1"), until, "2027-03-01"));
        assert!(over(Some("CA-1"), until, "2027-03-02"));
        assert!(over(Some("CA-2"), None, "2026-12-01"));
        assert!(!over(None, None, "2026-12-01"));
    }
}
