//! The worker that hands queued texts to providers.
//!
//! A hand-over is noted before it is made. If nobody noted how it ended (the answer was lost, or the process died), the text is
//! looked up once the provider's list has settled; only what was certainly not taken is handed over again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::OsRng;
use tokio::sync::{Semaphore, mpsc};

use super::Service;
use super::requests::BEFORE_LABEL;
use crate::conversation::code::Code;
use crate::phone::Phone;
use crate::provider::{Delivery, Found, NoAnswer, Outgoing, Provider, SendError};
use crate::rules::backoff;
use crate::rules::plan::{Due, Plan, plan};
use crate::store::{Claimed, Message, MessageState, StoreError, Write};
use crate::text::label::Label;
use crate::text::{Params, Template, render};

/// How often the outbox is looked at when nothing rings.
const TICK: Duration = Duration::from_millis(250);
/// How long a provider is waited for at most, whatever its own limits.
const HAND_OVER_TIME_OUT: Duration = Duration::from_secs(25);
/// How long a hand-over is left to its sender, seconds; longer than it may take.
const LEASE: i64 = 30;
/// Look-ups without an answer before a text is a dead letter.
const MAX_LOOKS: i64 = 20;
/// Results written in one transaction.
const RECORDS: usize = 64;

/// How a hand-over or a look-up ended.
struct Outcome {
    message: Message,
    provider: String,
    result: Handed,
}

enum Handed {
    Sent(Result<String, SendError>),
    LookedUp(Result<Found, NoAnswer>),
}

/// A text that goes to a provider now.
struct Job {
    message: Message,
    phone: Phone,
    text: String,
    /// Since when it may be on the provider's list; nothing where it was never handed over.
    since: Option<i64>,
    provider: Arc<dyn Provider>,
}

/// Sends until aborted.
pub(super) async fn run(service: Arc<Service>) {
    let permits = Arc::new(Semaphore::new(service.retry.concurrency));
    let (report, mut outcomes) = mpsc::channel::<Outcome>(service.retry.concurrency);
    loop {
        let free = permits.available_permits();
        let claimed = if free == 0 {
            Ok(Vec::new())
        } else {
            service.claim(free).await
        };
        let jobs = match claimed {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(%error, "the outbox");
                tokio::time::sleep(TICK).await;
                Vec::new()
            }
        };
        let idle = jobs.is_empty();
        for job in jobs {
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            let report = report.clone();
            tokio::spawn(async move {
                let outcome = hand_over(job).await;
                // The receiver ends with the service; the next one looks the text up.
                let _ = report.send(outcome).await;
                drop(permit);
            });
        }
        let mut done = Vec::with_capacity(RECORDS);
        if idle {
            tokio::select! {
                _ = outcomes.recv_many(&mut done, RECORDS) => {}
                () = service.queued.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        } else {
            tokio::task::yield_now().await;
        }
        while done.len() < RECORDS {
            match outcomes.try_recv() {
                Ok(outcome) => done.push(outcome),
                Err(_) => break,
            }
        }
        while let Err(error) = service.record(&done).await {
            tracing::error!(%error, "results of hand-overs could not be stored; trying again");
            tokio::time::sleep(TICK).await;
        }
    }
}

async fn hand_over(job: Job) -> Outcome {
    let outgoing = Outgoing {
        reference: &job.message.id,
        to: &job.phone,
        text: &job.text,
    };
    let late = "no answer in time".to_owned();
    let result = match job.since {
        None => {
            let sent = tokio::time::timeout(HAND_OVER_TIME_OUT, job.provider.send(&outgoing)).await;
            Handed::Sent(sent.unwrap_or(Err(SendError::Unknown(late))))
        }
        Some(since) => {
            let found =
                tokio::time::timeout(HAND_OVER_TIME_OUT, job.provider.look_up(&outgoing, since))
                    .await;
            Handed::LookedUp(found.unwrap_or(Err(NoAnswer(late))))
        }
    };
    Outcome {
        provider: job.provider.name().to_owned(),
        message: job.message,
        result,
    }
}

impl Service {
    /// Takes what is due, ends or postpones what may not go, and notes the rest as handed over.
    async fn claim(&self, free: usize) -> Result<Vec<Job>, StoreError> {
        let now = self.now();
        let limit = i64::try_from(free).unwrap_or(i64::MAX);
        let mut write = self.store.write().await?;
        let mut jobs = Vec::new();
        for claimed in self
            .store
            .due(&mut write, MessageState::Sending, now, limit)
            .await?
        {
            jobs.extend(self.look(&mut write, claimed, now).await?);
        }
        let mut by_provider: HashMap<String, Vec<Job>> = HashMap::new();
        let left = limit - i64::try_from(jobs.len()).unwrap_or(limit);
        for claimed in self
            .store
            .due(&mut write, MessageState::Queued, now, left)
            .await?
        {
            if let Some(job) = self.prepare(&mut write, claimed, now).await? {
                by_provider
                    .entry(job.provider.name().to_owned())
                    .or_default()
                    .push(job);
            }
        }
        for (provider, handed) in by_provider {
            let ids: Vec<&str> = handed.iter().map(|job| job.message.id.as_str()).collect();
            self.store
                .hand_over(&mut write, &ids, &provider, now, now + LEASE)
                .await?;
            jobs.extend(handed);
        }
        write.commit().await?;
        Ok(jobs)
    }

    /// A text that was handed over with unknown result: looked up, once the provider's list has settled.
    async fn look(
        &self,
        write: &mut Write,
        claimed: Claimed,
        now: i64,
    ) -> Result<Option<Job>, StoreError> {
        let attempted = claimed.message.attempted_at.unwrap_or(now);
        let provider = claimed
            .message
            .provider
            .as_deref()
            .and_then(|name| self.providers.named(name));
        let Some(provider) = provider else {
            tracing::error!(
                text = claimed.message.id,
                "its provider is no longer configured"
            );
            self.end(write, &claimed.message, MessageState::Dead, "unknown", now)
                .await?;
            return Ok(None);
        };
        // The next whole second after it has settled: times are kept in seconds.
        let settled = attempted
            .saturating_add(i64::try_from(provider.settle().as_secs()).unwrap_or(i64::MAX))
            .saturating_add(i64::from(!provider.settle().is_zero()));
        if now < settled {
            self.store
                .wait_until(write, &claimed.message.id, settled)
                .await?;
            return Ok(None);
        }
        self.store
            .wait_until(write, &claimed.message.id, now + LEASE)
            .await?;
        let Some((phone, text)) = self.words(&claimed, attempted) else {
            self.end(write, &claimed.message, MessageState::Dead, "sealed", now)
                .await?;
            return Ok(None);
        };
        let since = attempted.saturating_sub(self.offset());
        Ok(Some(Job {
            message: claimed.message,
            phone,
            text,
            since: Some(since),
            provider,
        }))
    }

    async fn prepare(
        &self,
        write: &mut Write,
        claimed: Claimed,
        now: i64,
    ) -> Result<Option<Job>, StoreError> {
        let message = &claimed.message;
        let Some((phone, text)) = self.words(&claimed, now) else {
            tracing::error!(text = message.id, "it does not open under the operator key");
            self.end(write, message, MessageState::Dead, "sealed", now)
                .await?;
            return Ok(None);
        };
        let jurisdiction = self.jurisdiction(&message.id, &message.sealed_params);
        let due = Due {
            template: message.template,
            phone: &phone,
            blocked: claimed.contact.blocked,
            suspended: claimed.contact.state == crate::store::ContactState::Suspended,
            jurisdiction: jurisdiction.as_deref(),
            decision: claimed.decision.as_ref().map(|row| &row.decision),
            lately: claimed.lately,
            lately_since: claimed.lately_since,
        };
        let state = match plan(&due, &self.limits, now) {
            Plan::Send => {
                let named = message
                    .provider
                    .as_deref()
                    .and_then(|name| self.providers.named(name));
                let Some(provider) = named.or_else(|| self.providers.preferred()) else {
                    return Ok(None);
                };
                return Ok(Some(Job {
                    message: claimed.message,
                    phone,
                    text,
                    since: None,
                    provider,
                }));
            }
            Plan::Wait(until) => {
                self.store.wait_until(write, &message.id, until).await?;
                return Ok(None);
            }
            Plan::Stale => MessageState::Expired,
            Plan::Blocked => MessageState::Blocked,
            Plan::Suspended => MessageState::Suspended,
        };
        self.end(write, message, state, state.as_str(), now).await?;
        Ok(None)
    }

    /// Number and words of a message, as they were at `now`: a look-up compares what was sent then.
    fn words(&self, claimed: &Claimed, now: i64) -> Option<(Phone, String)> {
        let phone = self
            .phones
            .open(&claimed.contact.id, &claimed.contact.sealed_phone)
            .ok()?;
        let (jurisdiction, label) =
            self.filled_in(&claimed.message.id, &claimed.message.sealed_params);
        let label = label.and_then(|label| Label::parse(&label));
        let label = label.map(|label| label.shown());
        let decision = claimed.decision.as_ref().map(|row| &row.decision);
        let code: Option<&Code> = decision.map(|decision| &decision.code);
        let template = match claimed.message.template {
            template if claimed.contact.shared && !template.is_safe_on_shared_phone() => {
                Template::Message
            }
            template => template,
        };
        let params = Params {
            jurisdiction: jurisdiction.as_deref(),
            label: label.as_deref(),
            question: decision.map(|decision| decision.question),
            code,
            deadline: decision.map(|decision| decision.deadline),
            undo_seconds: decision.map(|decision| decision.undo_seconds),
            help: &self.help_line,
            now,
        };
        Some((phone, render(template, claimed.contact.language, &params)))
    }

    /// The state that a message or decision is about.
    pub(super) fn jurisdiction(&self, place: &str, sealed: &str) -> Option<String> {
        self.filled_in(place, sealed).0
    }

    /// What a message is filled in with: the state, and what a representative knows the person by.
    fn filled_in(&self, place: &str, sealed: &str) -> (Option<String>, Option<String>) {
        let opened = self.phones.open_text(place, sealed).unwrap_or_default();
        let (state, label) = match opened.split_once(BEFORE_LABEL) {
            Some((state, label)) => (state, Some(label.to_owned())),
            None => (opened.as_str(), None),
        };
        let state = Some(state.to_owned()).filter(|state| !state.is_empty());
        (state, label)
    }

    /// Writes how hand-overs ended, all or none.
    async fn record(&self, outcomes: &[Outcome]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut write = self.store.write().await?;
        let messages = outcomes.iter().map(|outcome| &outcome.message);
        self.store.lock_phones(&mut write, messages).await?;
        for outcome in outcomes {
            self.record_one(&mut write, outcome, now).await?;
        }
        write.commit().await
    }

    async fn record_one(
        &self,
        write: &mut Write,
        outcome: &Outcome,
        now: i64,
    ) -> Result<(), StoreError> {
        let Outcome {
            message,
            provider,
            result,
        } = outcome;
        match result {
            Handed::Sent(Ok(id)) => {
                self.handed(provider, "taken", true);
                let taken = (provider.as_str(), id.as_str());
                self.progress(
                    write,
                    message,
                    Some(taken),
                    Delivery::Sent,
                    crate::provider::Cause::Other,
                    now,
                )
                .await
            }
            Handed::Sent(Err(SendError::Refused(cause))) => {
                self.handed(provider, "refused", true);
                self.progress(write, message, None, Delivery::Failed, *cause, now)
                    .await
            }
            Handed::Sent(Err(SendError::NotTaken(problem))) => {
                self.handed(provider, "not_taken", false);
                tracing::warn!(text = message.id, provider, problem, "a text was not taken");
                self.again(write, message, provider, message.attempts + 1, now)
                    .await
            }
            Handed::Sent(Err(SendError::Unknown(problem))) => {
                self.handed(provider, "unknown", false);
                tracing::warn!(
                    text = message.id,
                    provider,
                    problem,
                    "a text may have been taken; it is looked up"
                );
                // `look` knows when the list has settled.
                self.store.wait_until(write, &message.id, now).await
            }
            Handed::LookedUp(Ok(Found::Texts(texts))) => {
                for (id, delivery) in texts {
                    let other = self.store.message_of_provider(write, provider, id).await?;
                    if other.is_none_or(|other| other.id == message.id) {
                        self.handed(provider, "found", true);
                        let taken = (provider.as_str(), id.as_str());
                        // Why a text failed is not on the list; the clock asks about what was only sent.
                        return self
                            .progress(
                                write,
                                message,
                                Some(taken),
                                match delivery {
                                    Delivery::Delivered => Delivery::Delivered,
                                    Delivery::Sent | Delivery::Failed => Delivery::Sent,
                                },
                                crate::provider::Cause::Other,
                                now,
                            )
                            .await;
                    }
                }
                self.handed(provider, "absent", true);
                self.again(write, message, provider, message.attempts, now)
                    .await
            }
            Handed::LookedUp(Ok(Found::CannotTell)) => {
                self.handed(provider, "cannot_tell", true);
                tracing::error!(
                    text = message.id,
                    provider,
                    "nobody can say whether a text was taken: a dead letter"
                );
                self.end(write, message, MessageState::Dead, "unknown", now)
                    .await
            }
            Handed::LookedUp(Err(NoAnswer(problem))) => {
                self.handed(provider, "no_answer", false);
                if message.looks + 1 >= MAX_LOOKS {
                    tracing::error!(
                        text = message.id,
                        provider,
                        problem,
                        "no look-up was answered: a dead letter"
                    );
                    return self
                        .end(write, message, MessageState::Dead, "unknown", now)
                        .await;
                }
                let wait = backoff::wait(self.retry.base_seconds, message.looks + 1, &mut OsRng);
                self.store.look_again(write, &message.id, now + wait).await
            }
        }
    }

    fn handed(&self, provider: &str, result: &'static str, well: bool) {
        self.metrics.handed(provider, result);
        self.providers.took(provider, well);
    }

    /// Another attempt at a text that was certainly not taken, by the next provider: at once, until each has been asked.
    async fn again(
        &self,
        write: &mut Write,
        message: &Message,
        provider: &str,
        attempts: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        if attempts >= self.retry.max_attempts {
            tracing::error!(text = message.id, "no provider took a text: a dead letter");
            return self
                .end(write, message, MessageState::Dead, "exhausted", now)
                .await;
        }
        let (next, round) = self
            .providers
            .after(provider)
            .map_or((None, true), |(next, first)| (Some(next), first));
        let wait = if round {
            backoff::wait(self.retry.base_seconds, attempts, &mut OsRng)
        } else {
            0
        };
        self.store.retry(write, &message.id, next, now + wait).await
    }
}
