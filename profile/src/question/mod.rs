//! Questions: asked once, advanced one durable step at a time, resumable after any crash.
//!
//! `asked → attested → proved → decided → texted → approved → filed → done`. Every step reads the stored state, does
//! work that is safe to repeat, and stores its result with a compare-and-set; what a step sends carries a key under
//! which the receiver does it once. A NO ends after `proved`, a NEEDS-INFO after `attested`.

mod approve;
mod ask;
mod attest;
mod decide;
mod file;
mod openings;
mod prove;
mod view;

use std::time::Duration;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::presentation::Presentation;
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::rules::{Compiled, registry};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::api::types::{Outcome, Question, State};
use crate::enrol::{not_enrolled, reused_key};
use crate::oracle::random32;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::idempotency::remember;
use crate::store::questions::{enqueue, mark_sent, put_document, save};
use crate::store::{Remembered, StoreError, StoredProfile, StoredQuestion, Tx};
use crate::wallet::Wallet;

pub(crate) use ask::rule_problem;
pub(crate) use attest::{domain_of, refuse};

/// Kinds of document that a question keeps.
pub(crate) mod kind {
    /// [`super::Proved`].
    pub(crate) const PROVED: &str = "proved";
    /// [`crate::oracle::Decision`].
    pub(crate) const DECISION: &str = "decision";
    /// Reason codes of a NO.
    pub(crate) const REASONS: &str = "reasons";
    /// Attributes that are missing.
    pub(crate) const MISSING: &str = "missing";
    /// `contracts::application::Approval`.
    pub(crate) const APPROVAL: &str = "approval";
    /// Receipt of the approval entry.
    pub(crate) const APPROVAL_RECEIPT: &str = "approval-receipt";
    /// [`crate::agency::Acceptance`].
    pub(crate) const ACCEPTANCE: &str = "acceptance";
    /// Receipt of the application entry.
    pub(crate) const APPLICATION_RECEIPT: &str = "application-receipt";
    /// The code of an agency's refusal, or why the notifier closed the question.
    pub(crate) const REFUSAL: &str = "refusal";
}

/// Kinds of outbox item.
mod outbox {
    /// The text that asks.
    pub(super) const ASK: &str = "ask";
    /// The text that tells.
    pub(super) const TELL: &str = "tell";
    /// The ledger entry of the approval.
    pub(super) const APPROVAL_ENTRY: &str = "approval-entry";
    /// The ledger entry of the application.
    pub(super) const APPLICATION_ENTRY: &str = "application-entry";
}

/// A presentation with the index of the wallet key that its token is bound to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proved {
    pub(crate) presentation: Presentation,
    pub(crate) confirmation: u32,
}

/// A ledger entry to be appended, with what opens it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Salted {
    entry: Entry,
    salt: Bytes32,
}

impl Salted {
    fn new<T: Serialize>(kind: EntryKind, payload: &T) -> Self {
        let salt = random32();
        Self {
            entry: Entry::new(kind, &salt, payload),
            salt,
        }
    }
}

/// Steps that a question takes at most to its verdict, those made anew included.
const STEPS: usize = 12;

/// One question being advanced, with the keys of its profile.
struct Work<'a> {
    service: &'a Service,
    profile: StoredProfile,
    wallet: Wallet,
    key: SealKey,
    question: StoredQuestion,
    /// How long a reply is waited for.
    wait: Duration,
}

impl Service {
    /// Does a question's next step and stores it; what it waits for is in the answer. The same
    /// idempotency key again does no further step.
    ///
    /// # Errors
    /// What kept the step from being done; the question stands where it stood, or at an earlier step to be done again.
    pub async fn advance(
        &self,
        profile: StoredProfile,
        question: &Bytes32,
        key: &str,
    ) -> Result<Question, Problem> {
        let wait = Duration::from_secs(self.approval.wait_seconds);
        self.advance_once(profile, question, wait, Some(key)).await
    }

    /// As [`Service::advance`], with a bound of the caller's on the wait for a reply.
    pub(crate) async fn advance_within(
        &self,
        profile: StoredProfile,
        question: &Bytes32,
        wait: Duration,
    ) -> Result<Question, Problem> {
        self.advance_once(profile, question, wait, None).await
    }

    /// As [`Service::advance_within`]; under an idempotency key whose step is done, it only looks.
    async fn advance_once(
        &self,
        profile: StoredProfile,
        question: &Bytes32,
        wait: Duration,
        key: Option<&str>,
    ) -> Result<Question, Problem> {
        let _lock = self.locks.hold(*question).await;
        let stored = self
            .store
            .question(&profile.profile, question)
            .await?
            .ok_or_else(no_question)?;
        if let Some(key) = key
            && self.stepped(&stored, key).await?
        {
            return self.question_view(&profile, question).await;
        }
        let wallet = self.wallet(&profile)?;
        let key = wallet.question(stored.wallet_index)?;
        let mut work = Work {
            service: self,
            profile,
            wallet,
            key,
            question: stored,
            wait,
        };
        let before = work.question.state;
        let waiting = match before {
            State::Asked => work.attest().await.map(|()| None),
            State::Attested => work.prove().await.map(|()| None),
            State::Proved => work.decide().await.map(|()| None),
            State::Decided => work.ask_owner().await.map(|()| None),
            State::Texted => work.await_reply().await,
            State::Approved => work.file().await.map(|()| None),
            State::Filed => work.record().await.map(|()| None),
            State::Done => Ok(None),
        }?;
        tracing::info!(?before, after = ?work.question.state, "a question was advanced");
        let mut view = self.view(&work.question, &work.key).await?;
        view.waiting = waiting;
        Ok(view)
    }

    /// Whether a question has gone on since a key was first sent. The key is noted before the step, so that a step that
    /// failed, or that the process did not live to finish, is done by the repeated call.
    async fn stepped(&self, stored: &StoredQuestion, key: &str) -> Result<bool, Problem> {
        let scope = format!("{} advance", stored.question);
        let version = stored.version.to_string();
        let mut tx = self.store.begin().await?;
        let now = self.clock.now();
        match remember(&mut tx, &scope, key, b"", &version, now).await? {
            Remembered::First => {
                tx.commit().await.map_err(StoreError::from)?;
                Ok(false)
            }
            Remembered::Again(before) => Ok(before != version),
            Remembered::Other => Err(reused_key()),
        }
    }

    /// Advances until the committee has decided, or there is nothing to decide.
    pub(crate) async fn to_verdict(
        &self,
        profile: &StoredProfile,
        mut question: Question,
    ) -> Result<Question, Problem> {
        for _ in 0..STEPS {
            if question.state >= State::Decided {
                return Ok(question);
            }
            question = self
                .advance_within(profile.clone(), &question.question, Duration::ZERO)
                .await?;
        }
        Err(Problem::conflict(
            "not-decided",
            "the question did not come to a verdict in one go: it is tried again",
        ))
    }
}

impl Work<'_> {
    /// The contract as it was when the question was asked.
    fn compiled(&self) -> Result<Compiled, Problem> {
        let question = &self.question;
        let compiled = registry()
            .compile(
                &question.contract.id,
                &question.jurisdiction,
                question.as_of,
            )
            .map_err(|error| ask::rule_problem(&error))?;
        if compiled.contract != question.contract {
            return Err(Problem::conflict(
                "contract-changed",
                "the contract has changed since the question was asked: ask again",
            ));
        }
        Ok(compiled)
    }

    async fn document<T: serde::de::DeserializeOwned>(
        &self,
        kind: &'static str,
    ) -> Result<T, Problem> {
        self.service
            .store
            .document(&self.key, &self.question.question, kind)
            .await?
            .ok_or_else(|| {
                tracing::error!(kind, "a question lacks a document that its state implies");
                Problem::internal()
            })
    }

    async fn put<T: Serialize>(&self, tx: &mut Tx, kind: &str, value: &T) -> Result<(), Problem> {
        Ok(put_document(tx, &self.key, &self.question.question, kind, value).await?)
    }

    /// A key under which the receiver does one thing of this question once. Tells the receiver nothing.
    fn once(&self, kind: &str) -> String {
        let question = &self.question;
        let decision = question.decision.as_deref().unwrap_or_default();
        let hash = tagged_hash(
            "shp/v1/once",
            &[&question.question.0, kind.as_bytes(), decision.as_bytes()],
        );
        Bytes32::from(hash).to_string()
    }

    /// Queues something to send; false where it is queued already.
    async fn queue<T: Serialize>(
        &self,
        tx: &mut Tx,
        kind: &str,
        item: &T,
    ) -> Result<bool, Problem> {
        let (id, once, now) = (
            &self.question.question,
            self.once(kind),
            self.service.clock.now(),
        );
        Ok(enqueue(tx, &self.key, id, kind, &once, item, now).await?)
    }

    /// Stores the changed state, if nobody else changed it.
    async fn save(&mut self, mut tx: Tx, state: State) -> Result<(), Problem> {
        let mut changed = self.question.clone();
        changed.state = state;
        save(&mut tx, &mut changed, self.service.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.question = changed;
        Ok(())
    }

    async fn finish(&mut self, tx: Tx, outcome: Outcome) -> Result<(), Problem> {
        self.question.outcome = Some(outcome);
        self.save(tx, State::Done).await
    }

    /// Appends a queued ledger entry and keeps its receipt; does nothing when that is done already.
    async fn append(&self, item: &'static str, receipt: &'static str) -> Result<(), Problem> {
        let store = &self.service.store;
        let id = &self.question.question;
        let queued = store
            .outbox::<Salted>(&self.key, id, item)
            .await?
            .ok_or_else(Problem::internal)?;
        if queued.sent {
            return Ok(());
        }
        let got: Receipt = self.service.oracles.append(queued.payload.entry).await?;
        let mut tx = store.begin().await?;
        self.put(&mut tx, receipt, &got).await?;
        mark_sent(&mut tx, id, item, self.service.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    fn require_enrolled(&self) -> Result<(), Problem> {
        match self.service.is_enrolled(&self.profile) {
            true => Ok(()),
            false => Err(not_enrolled()),
        }
    }
}

/// 404: no such question under this token.
pub(crate) fn no_question() -> Problem {
    Problem::not_found("no such question under this owner's token")
}
