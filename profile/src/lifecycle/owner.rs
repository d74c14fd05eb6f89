//! Texts to the owner, and the replies that the notifier signs.

use std::time::Duration;

use contracts::application::Answer;
use contracts::encoding::Bytes32;
use contracts::lifecycle::{
    Event, FreeOption, Gap, Matter, Reply, Template as Told, Text as Wanted,
};
use contracts::token::MAX_SKEW;
use contracts::units::UnixTime;
use oracles::problem::Problem;
use serde_json::json;

use super::effects::question_of;
use super::worker::{Done, Job};
use super::{Task, await_lane, open_matters};
use crate::api::types::{Outcome, State};
use crate::grant::{Asked, Purpose, Settled};
use crate::notifier::{Params, Reply as Heard, Template, Text, UNVERIFIED};
use crate::store::StoreError;
use crate::store::lifecycle::keep_document;

/// Seconds in a day.
const DAY: i64 = 86_400;

/// The notifier's name for a text; none for what the notifier says by itself.
fn template(told: Told) -> Option<Template> {
    Some(match told {
        Told::Apply => Template::Apply,
        Told::Move => Template::Move,
        Told::Renew => Template::Renew,
        Told::Change => Template::Change,
        Told::Gap => Template::Gap,
        Told::Accepted => Template::Accepted,
        Told::NotFiled => Template::NotFiled,
        Told::Refusal => Template::Refusal,
        Told::NotEligible => Template::NotEligible,
        Told::NeedsInfo => Template::NeedsInfo,
        Told::Show => Template::Show,
        Told::Ending => Template::Ending,
        Told::Overdue => Template::Overdue,
        Told::GapBegins => Template::GapBegins,
        Told::GapEnds => Template::GapEnds,
        Told::NoGap => Template::NoGap,
        // The notifier answers unclear replies itself, and names whom to call.
        _ => return None,
    })
}

/// The text that names what is free, before anything is sold.
fn free(wanted: &Wanted) -> Option<Template> {
    let market = wanted.free.contains(&FreeOption::MarketplaceEnrolment);
    match (wanted.free.is_empty(), market) {
        (true, _) => None,
        (false, true) => Some(Template::FreeMarket),
        (false, false) => Some(Template::Free),
    }
}

impl Job<'_> {
    /// Sends a text; one that asks is followed by a task that takes the reply.
    pub(super) async fn text(&self, wanted: &Wanted) -> Result<Done, Problem> {
        let Some(template) = template(wanted.template) else {
            return Ok(Done::default());
        };
        let state = self.service.lifecycle_state(self.profile).await?;
        if state.died.is_some() {
            return Ok(Done::default());
        }
        if let Some(matter) = wanted.asks {
            // What was asked is over, and another text may wait behind this one.
            if !open_matters(&state).contains(&matter) {
                return Ok(Done::default());
            }
        }
        match wanted.asks {
            Some(matter @ Matter::Apply { case }) => self.ask_to_apply(matter, case).await,
            Some(matter) => self.ask_about(wanted, template, matter).await,
            None => self.tell(wanted, template, "").await,
        }
    }

    /// The question itself asks: its token's `jti` is the decision that the reply is signed for.
    async fn ask_to_apply(&self, matter: Matter, case: u32) -> Result<Done, Problem> {
        let question: Option<Bytes32> = self.document(&question_of(case)).await?;
        let question = question.ok_or_else(Problem::internal)?;
        let asked = self.service.question_view(self.profile, &question).await?;
        let asked = self.service.to_verdict(self.profile, asked).await?;
        let decision = asked.decision.as_deref().unwrap_or_default();
        let decision = Bytes32::parse(decision).map_err(|_| Problem::internal())?;
        self.keep_decision(&matter, &decision).await?;
        if asked.state == State::Decided {
            self.advance(&question).await?;
        }
        let now = self.service.clock.now();
        let task = Task::Await {
            matter,
            decision,
            issued: now,
            closes: now,
            question: Some(question),
        };
        Ok(then_await(&matter, task))
    }

    /// A text about something that is not filed: a change, or an offer.
    async fn ask_about(
        &self,
        wanted: &Wanted,
        template: Template,
        matter: Matter,
    ) -> Result<Done, Problem> {
        let now = self.service.clock.now();
        let decision = match matter {
            Matter::Change { case } => {
                let question: Option<Bytes32> = self.document(&question_of(case)).await?;
                let question = question.ok_or_else(Problem::internal)?;
                let asked = self.service.question_view(self.profile, &question).await?;
                let jti = asked.decision.unwrap_or_default();
                Bytes32::parse(&jti).map_err(|_| Problem::internal())?
            }
            _ => {
                let state = self.service.lifecycle_state(self.profile).await?;
                let Gap::Offered { quote, .. } = &state.gap else {
                    return Ok(Done::default());
                };
                self.service.plan_decision(self.profile, quote).await?
            }
        };
        self.keep_decision(&matter, &decision).await?;
        let told = match free(wanted) {
            Some(free) => self.tell(wanted, free, "free").await?,
            None => Done::default(),
        };
        let asked = self.whom(&matter, decision, Purpose::of(template)).await?;
        let label = self.service.label_for(self.profile, &asked).await?;
        let template = asked.template(template);
        let mut text = self.text_to(
            asked.contact,
            wanted,
            template,
            Some(decision),
            String::new(),
        );
        text.params.label = label;
        self.service.notifier.send(&text).await?;
        let task = Task::Await {
            matter,
            decision,
            issued: UnixTime(now.0 - DAY),
            closes: self.deadline(wanted),
            question: None,
        };
        let mut done = then_await(&matter, task);
        done.follow_up.extend(told.follow_up);
        Ok(done)
    }

    /// Keeps which decision a text asks about, before it leaves: whatever happens then, it can be taken back.
    async fn keep_decision(&self, matter: &Matter, decision: &Bytes32) -> Result<(), Problem> {
        let mut tx = self.service.store.begin().await?;
        let (profile, name) = (&self.profile.profile, decision_of(matter));
        keep_document(&mut tx, &self.key, profile, &name, decision).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The end of the last day: the same at every attempt, for the text must be.
    fn deadline(&self, wanted: &Wanted) -> UnixTime {
        let day = wanted.day.unwrap_or_else(|| self.service.clock.today());
        UnixTime(day.start().0 + DAY)
    }

    /// Tells the owner, and representatives that there is something to hear. Phones that are not verified are told later, and
    /// hold up nothing until then.
    async fn tell(
        &self,
        wanted: &Wanted,
        template: Template,
        which: &str,
    ) -> Result<Done, Problem> {
        let mut texts = Vec::new();
        if let Some(contact) = self.profile.contact.clone() {
            texts.push(self.text_to(contact, wanted, template, None, which.to_owned()));
        }
        for told in self.service.told_too(self.profile).await? {
            let (grant, contact, label) = told;
            let which = format!("{which}{grant}");
            let mut text = self.text_to(contact, wanted, Template::News, None, which);
            text.params.label = label;
            texts.push(text);
        }
        let since = self.service.clock.now();
        let texts = self.tell_each(texts, since).await?;
        let task = &self.claimed.task;
        let mut follow_up = Vec::new();
        if !texts.is_empty() {
            follow_up.push((format!("tell {task}"), Task::Tell { texts, since }));
        }
        Ok(Done {
            follow_up,
            ..Done::default()
        })
    }

    /// Tells what phones that were not verified have not heard yet.
    pub(super) async fn tell_later(
        &self,
        texts: &[Text],
        since: UnixTime,
    ) -> Result<Done, Problem> {
        let state = self.service.lifecycle_state(self.profile).await?;
        if state.died.is_some() || self.tell_each(texts.to_vec(), since).await?.is_empty() {
            return Ok(Done::default());
        }
        Err(Problem::conflict(
            UNVERIFIED,
            "a phone has not said YES to the verification text: it is told when it has",
        ))
    }

    /// Hands over texts that only tell, and gives back those whose phones are not verified.
    async fn tell_each(&self, texts: Vec<Text>, since: UnixTime) -> Result<Vec<Text>, Problem> {
        let now = self.service.clock.now();
        let mut left = Vec::new();
        for text in texts {
            match self.service.notifier.tell(&text, since, now).await {
                Err(problem) if problem.code() == UNVERIFIED => left.push(text),
                told => told?,
            }
        }
        Ok(left)
    }

    /// Whom a text about a matter asks: decided once, before it leaves, so that it is the same at every attempt.
    async fn whom(
        &self,
        matter: &Matter,
        decision: Bytes32,
        purpose: Purpose,
    ) -> Result<Asked, Problem> {
        let service = self.service;
        let name = format!("asked {decision}");
        if let Some(asked) = self.document(&name).await? {
            return Ok(asked);
        }
        let asked = service.asked(self.profile, purpose).await?;
        let profile = &self.profile.profile;
        let mut tx = service.store.begin().await?;
        service
            .note_asked(&mut tx, &decision, &asked, purpose)
            .await?;
        keep_document(&mut tx, &self.key, profile, &name, &json!(asked)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::debug!(?matter, "somebody is asked");
        Ok(asked)
    }

    fn text_to(
        &self,
        contact: String,
        wanted: &Wanted,
        template: Template,
        decision: Option<Bytes32>,
        which: String,
    ) -> Text {
        let asks = decision.is_some();
        let undo = self.service.approval.undo_seconds;
        // Nothing is done on a YES to a change, so there is nothing to undo.
        let nothing = matches!(template, Template::Change | Template::ChangeFor);
        Text {
            contact,
            template,
            params: Params {
                jurisdiction: wanted.jurisdiction,
                label: None,
            },
            decision_id: decision,
            deadline: asks.then(|| self.deadline(wanted)),
            undo_seconds: (asks && !nothing).then_some(undo),
            idempotency_key: format!("{}{which}", self.claimed.task),
        }
    }

    /// Takes the reply to a text, when there is one.
    pub(super) async fn reply(&self, task: &Task) -> Result<Done, Problem> {
        let Task::Await {
            matter,
            decision,
            issued,
            closes,
            question,
        } = task
        else {
            return Err(Problem::internal());
        };
        let mut documents = Vec::new();
        let mut by = None;
        let reply = match question {
            Some(question) => {
                let asked = self.advance(question).await?;
                by = asked.asked_of;
                match (asked.state, asked.outcome) {
                    (State::Approved | State::Filed, _) => Some(Reply::Yes),
                    (State::Done, Some(Outcome::Accepted | Outcome::Refused)) => Some(Reply::Yes),
                    (State::Done, Some(Outcome::Declined)) => Some(Reply::No),
                    // WRONG: it is not asked again.
                    (State::Done, Some(Outcome::NoReply))
                        if self.heard(decision, *issued).await?.is_disputed() =>
                    {
                        Some(Reply::No)
                    }
                    (State::Done, _) => Some(Reply::Closed),
                    _ => None,
                }
            }
            None => {
                let heard = self.heard(decision, *issued).await?;
                let undo = i64::from(self.service.approval.undo_seconds);
                // The notifier closes in time; if it does not, a reply that never comes must not keep this open.
                let late = self.service.clock.now().0 > closes.0 + undo + MAX_SKEW;
                let heard = match heard {
                    Heard::Waiting if late => Heard::Closed("expired".to_owned()),
                    heard => heard,
                };
                let settled = self.settle_heard(decision, &heard).await?;
                if let Settled::By(grant) = settled {
                    by = Some(grant);
                }
                match heard {
                    // A representative's whose grant does not permit it counts for nothing.
                    _ if matches!(settled, Settled::Void(_)) => Some(Reply::Closed),
                    Heard::Answered(approval) => {
                        documents.push((approval_of(matter), json!(approval)));
                        Some(match approval.answer {
                            Answer::Yes => Reply::Yes,
                            Answer::No => Reply::No,
                        })
                    }
                    // WRONG closes the decision: about a change it is the answer.
                    heard if heard.is_disputed() => Some(Reply::No),
                    Heard::Closed(_) => Some(Reply::Closed),
                    Heard::Waiting => None,
                }
            }
        };
        let Some(reply) = reply else {
            return Ok(Done {
                again: self.again(task),
                ..Done::default()
            });
        };
        let matter = *matter;
        Ok(Done {
            documents,
            by: by.filter(|_| matches!(reply, Reply::Yes | Reply::No)),
            events: vec![(self.source(), Event::Replied { matter, reply })],
            ..Done::default()
        })
    }

    /// What the notifier knows of a reply by now.
    async fn heard(&self, decision: &Bytes32, issued: UnixTime) -> Result<Heard, Problem> {
        let clock = self.service.clock;
        let heard = self
            .service
            .notifier
            .reply(decision, Duration::ZERO, issued, || clock.now());
        heard.await
    }

    /// Notes what became of a representative's reply.
    async fn settle_heard(&self, decision: &Bytes32, heard: &Heard) -> Result<Settled, Problem> {
        let service = self.service;
        if *heard == Heard::Waiting || service.store.grant_use(decision).await?.is_none() {
            return Ok(Settled::Owners);
        }
        let mut tx = service.store.begin().await?;
        let settled = service
            .settle_reply(&mut tx, self.profile, decision, heard)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(settled)
    }

    /// Closes the decision at the notifier, so that the next can be asked.
    pub(super) async fn withdraw(&self, matter: &Matter) -> Result<Done, Problem> {
        let name = decision_of(matter);
        let decision: Option<Bytes32> = self.document(&name).await?;
        if let Some(decision) = decision {
            self.service.notifier.withdraw(&decision).await?;
        }
        Ok(Done::default())
    }
}

fn then_await(matter: &Matter, task: Task) -> Done {
    Done {
        follow_up: vec![(await_lane(matter), task)],
        ..Done::default()
    }
}

/// The document that holds the owner's signed answer about a matter.
pub(super) fn approval_of(matter: &Matter) -> String {
    format!("approval {}", await_lane(matter))
}

/// The document that names the decision about a matter at the notifier.
pub(super) fn decision_of(matter: &Matter) -> String {
    format!("decision {}", await_lane(matter))
}
