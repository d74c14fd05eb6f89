//! Taking in what the notifier tells: replies that are there, disputes, and phones that cannot be texted.
//!
//! The place reached and what the events do are one transaction: an event is taken in once, whatever process dies when, and
//! by one of several processes on a database.

use std::time::Duration;

use actix_web::web;
use contracts::encoding::{Bytes32, to_base64url};
use contracts::lifecycle::{Event as Happened, Matter, Reply};
use oracles::problem::Problem;

use crate::lifecycle::question_of;
use crate::notifier::Event;
use crate::service::Service;
use crate::store::heard::{apply, hear_until};
use crate::store::{Effect, OwnerDispute, StoreError, StoredProfile, Tx};

/// How long the notifier is asked to wait for the next event.
const WAIT: Duration = Duration::from_secs(20);
/// First and longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Listens until the service ends.
pub(crate) async fn run(service: web::Data<Service>) {
    let mut wait = BACKOFF.0;
    loop {
        match service.hear(WAIT).await {
            Ok(_) => wait = BACKOFF.0,
            Err(problem) => {
                tracing::warn!(code = problem.code(), "the notifier's events were not read");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(BACKOFF.1);
            }
        }
    }
}

impl Event {
    /// What it does here. An event that this version does not know does nothing.
    fn effects(&self) -> Vec<Effect> {
        let decision = || Bytes32::parse(&self.subject).ok();
        let contact = || self.subject.clone();
        match (self.kind.as_str(), self.detail.as_str()) {
            ("reply", _) => decision().map(Effect::Heard).into_iter().collect(),
            ("closed", "disputed") => decision()
                .into_iter()
                .flat_map(|id| [Effect::Heard(id), Effect::Disputed(id, false)])
                .collect(),
            ("closed", _) => decision().map(Effect::Heard).into_iter().collect(),
            // It asks anew and decides nothing, which `Service::heard_late` sees to.
            ("late", _) => vec![Effect::Nothing],
            ("dispute", _) => decision()
                .map(|id| Effect::Disputed(id, true))
                .into_iter()
                .collect(),
            ("contact", "verified") => vec![Effect::Phone(contact(), None)],
            ("contact", "refused") => vec![Effect::Phone(contact(), Some("refused"))],
            ("contact", "suspended") => vec![Effect::Phone(contact(), Some("suspended"))],
            ("contact", "stopped") => vec![Effect::Stopped(contact(), true)],
            ("contact", "started") => vec![Effect::Stopped(contact(), false)],
            ("contact", "shared") => vec![Effect::Shared(contact())],
            // Its last state: what hangs on it is closed by an event of its own.
            ("message", state) => {
                if state != "delivered" {
                    tracing::warn!(text = self.subject, state, "a text did not arrive");
                }
                vec![Effect::Nothing]
            }
            (kind, detail) => {
                tracing::warn!(
                    kind,
                    detail,
                    "the notifier told what this version does not know"
                );
                vec![Effect::Nothing]
            }
        }
    }
}

impl Service {
    /// Takes in the events after the last one taken in, waiting up to `wait` for one. Returns how many there were.
    ///
    /// # Errors
    /// 503 `notifier-unavailable`; 502 `events-refused` for events that are not the next ones.
    pub(crate) async fn hear(&self, wait: Duration) -> Result<usize, Problem> {
        let notifier = to_base64url(self.notifier.key().as_bytes());
        let after = self.store.heard_until(&notifier).await?;
        let events = self.notifier.events(after, wait).await?;
        let Some(last) = events.last() else {
            return Ok(0);
        };
        let mut tx = self.store.begin().await?;
        if !hear_until(&mut tx, &notifier, after, last.seq).await? {
            // Another process took them in.
            return Ok(0);
        }
        for event in &events {
            for effect in event.effects() {
                apply(&mut tx, &effect, event.at).await?;
            }
            if event.kind == "late" && event.detail == "YES" {
                self.heard_late(&mut tx, &event.subject).await?;
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(events.len())
    }

    /// Takes a YES that came after the deadline of the last case's latest question: it asks anew. The event is not signed, so
    /// nothing may be done on it that a signed reply is needed for.
    async fn heard_late(&self, tx: &mut Tx, decision: &str) -> Result<(), Problem> {
        let Some((profile, question)) = self.store.question_of_decision(decision).await? else {
            return Ok(());
        };
        let (Some(profile), Some(stored)) = (
            self.store.profile(&profile).await?,
            self.store.lifecycle(&profile).await?,
        ) else {
            return Ok(());
        };
        let Some(last) = self.lifecycle_state(&profile).await?.last else {
            return Ok(());
        };
        let key = self.lifecycle_key(&profile, &stored)?;
        let latest: Option<Bytes32> = self
            .store
            .lifecycle_document(&key, &profile.profile, &question_of(last.case))
            .await?;
        if latest != Some(question) {
            return Ok(());
        }
        let event = Happened::Replied {
            matter: Matter::Apply { case: last.case },
            reply: Reply::Yes,
        };
        let source = format!("late {decision}");
        self.take(tx, &profile, &source, &event).await?;
        Ok(())
    }

    /// What keeps texts from reaching the owner.
    ///
    /// # Errors
    /// 409 `not-reachable` with what to do about it.
    pub(crate) async fn reachable(&self, profile: &StoredProfile) -> Result<(), Problem> {
        let Some(contact) = &profile.contact else {
            return Ok(());
        };
        let standing = self.store.standing(contact).await?;
        let detail = match (standing.not_theirs, standing.stopped) {
            (true, _) => {
                "the phone is somebody else's or out of service: have the owner register another one with the notifier"
            }
            (_, true) => {
                "the owner's phone said STOP: nothing is asked until it says START to the notifier's number"
            }
            _ => return Ok(()),
        };
        Err(Problem::conflict("not-reachable", detail))
    }

    /// Whether, and when, the owner replied WRONG to the text about a question's decision.
    ///
    /// # Errors
    /// The database's; 404 `no-question`.
    pub async fn owner_disputes(
        &self,
        profile: &StoredProfile,
        question: &Bytes32,
    ) -> Result<Option<OwnerDispute>, Problem> {
        let stored = self
            .store
            .question(&profile.profile, question)
            .await?
            .ok_or_else(crate::question::no_question)?;
        match &stored.decision {
            Some(decision) => Ok(self.store.owner_dispute(decision).await?),
            None => Ok(None),
        }
    }

    /// Profile and question of those whose owner has answered, or whose text came to nothing, and that wait to be advanced.
    ///
    /// # Errors
    /// The database's.
    pub async fn answered(&self, limit: u32) -> Result<Vec<(Bytes32, Bytes32)>, Problem> {
        Ok(self.store.answered(limit).await?)
    }
}
