//! One effect per task.

use contracts::encoding::Bytes32;
use contracts::lifecycle::{Action, Event, Finding};
use oracles::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::boundary::{BOUNDARY, CALENDAR};
use super::worker::{Done, Job};
use super::{Task, agency};
use crate::api::types::{AskQuestion, Outcome, Question, State};
use crate::notifier::Template;

impl Job<'_> {
    pub(super) async fn effect(&self, task: &Task) -> Result<Done, Problem> {
        match task {
            Task::Append { seq, entry } => {
                let receipt = self.service.oracles.append(*entry).await?;
                Ok(Done {
                    receipt: Some((*seq, receipt)),
                    ..Done::default()
                })
            }
            Task::Await { .. } => self.reply(task).await,
            Task::Tell { texts, since } => self.tell_later(texts, *since).await,
            Task::Follow { .. } => self.follow(task).await,
            Task::Lapse { policy, on, .. } => Ok(self.lapse(policy, *on)),
            Task::Boundary { on } => self.at_boundary(*on).await,
            Task::Act { action } => self.act(action).await,
        }
    }

    async fn act(&self, action: &Action) -> Result<Done, Problem> {
        match action {
            Action::Ask { .. } => self.ask(action).await,
            Action::Text { text } => self.text(text).await,
            Action::Withdraw { matter } => self.withdraw(matter).await,
            Action::File { case, round, .. } => self.file(*case, *round).await,
            Action::Notify {
                jurisdiction,
                case,
                notice,
            } => self.notify(*jurisdiction, *case, notice).await,
            Action::Quote { .. } | Action::Enrol { .. } | Action::EndGap { .. } => {
                self.gap(action).await
            }
            Action::AlertPcp { on } => self.alert(*on).await,
            _ => Ok(Done::default()),
        }
    }

    /// What an earlier task left.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let store = &self.service.store;
        Ok(store
            .lifecycle_document(&self.key, &self.profile.profile, name)
            .await?)
    }

    /// A number under which this task's event counts once.
    pub(super) fn source(&self) -> String {
        format!("task {}", self.claimed.task)
    }

    /// Asks the question, once, and takes it to its verdict.
    async fn ask(&self, action: &Action) -> Result<Done, Problem> {
        let Action::Ask {
            case,
            round,
            contract,
            jurisdiction,
            ..
        } = action
        else {
            return Err(Problem::internal());
        };
        let service = self.service;
        let state = service.lifecycle_state(self.profile).await?;
        let Some(open) = state
            .case
            .filter(|open| (open.id, open.round) == (*case, *round))
        else {
            return Ok(Done::default());
        };
        let ask = AskQuestion {
            contract: contract.clone(),
            jurisdiction: *jurisdiction,
            as_of: service.clock.today(),
            audience: agency::of(service, *jurisdiction)?.audience().to_owned(),
            withhold: Vec::new(),
            anew: true,
        };
        let template = match open.kind {
            contracts::lifecycle::Kind::Move => Template::Move,
            contracts::lifecycle::Kind::Renewal | contracts::lifecycle::Kind::Engagement => {
                Template::Renew
            }
            _ => Template::Apply,
        };
        // The same case and round find the same question, on whatever day.
        let key = format!("lifecycle {case} {round}");
        let body = key.clone().into_bytes();
        let (question, _) = service
            .ask_with(self.profile, &key, &body, &ask, template)
            .await?;
        let question = service.to_verdict(self.profile, question).await?;
        let finding = match (question.state, question.outcome) {
            (State::Done, Some(Outcome::No)) => Finding::No,
            (State::Done, Some(Outcome::NeedsInfo)) => Finding::NeedsInfo,
            _ => Finding::Yes,
        };
        let mut documents = vec![(question_of(*case), json!(question.question))];
        let boundary = self.boundary(&question.question).await?;
        documents.extend(boundary.map(|on| (BOUNDARY.to_owned(), json!(on))));
        Ok(Done {
            documents,
            follow_up: boundary
                .map(|on| (CALENDAR.to_owned(), Task::Boundary { on }))
                .into_iter()
                .collect(),
            events: vec![(
                self.source(),
                Event::Answered {
                    case: *case,
                    finding,
                },
            )],
            ..Done::default()
        })
    }

    pub(super) async fn advance(&self, question: &Bytes32) -> Result<Question, Problem> {
        self.service
            .advance_within(self.profile.clone(), question, std::time::Duration::ZERO)
            .await
    }
}

/// The document that names a case's latest question.
pub(crate) fn question_of(case: u32) -> String {
    format!("question {case}")
}
