//! `decided → texted → approved`: a text asks the owner; only a reply that the notifier signed for this decision counts.
//!
//! The notifier keeps the undo window: it signs a YES when the window has passed, so that a YES taken back was never
//! signed and cannot be used by anybody.

use contracts::application::Answer;
use contracts::encoding::Bytes32;
use contracts::receipt::EntryKind;
use contracts::token::{Claims, MAX_SKEW};
use contracts::units::UnixTime;
use oracles::problem::Problem;

use super::{Proved, Salted, Work, kind, outbox};
use crate::api::types::{Outcome, State, Waiting, WaitingFor};
use crate::grant::{Purpose, Settled};
use crate::notifier::{Params, Reply, Text};
use crate::oracle::Decision;
use crate::store::StoreError;
use crate::store::questions::mark_sent;

/// The notifier's word for a question whose last day is over.
const EXPIRED: &str = "expired";
/// Seconds in a day.
const DAY: i64 = 86_400;

impl Work<'_> {
    /// Hands a queued text to the notifier; does nothing when that is done already.
    pub(super) async fn send_text(&self, item: &'static str) -> Result<(), Problem> {
        let service = self.service;
        let id = &self.question.question;
        let queued = service
            .store
            .outbox::<Text>(&self.key, id, item)
            .await?
            .ok_or_else(Problem::internal)?;
        if queued.sent {
            return Ok(());
        }
        service.notifier.send(&queued.payload).await?;
        let mut tx = service.store.begin().await?;
        mark_sent(&mut tx, id, item, service.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Queues the text that asks, to whom it is found to go now; one that is queued goes to the same phone at every attempt.
    async fn queue_ask(&self, claims: &Claims, deadline: UnixTime) -> Result<(), Problem> {
        let service = self.service;
        let asked = service.asked(&self.profile, Purpose::Apply).await?;
        if asked.grant.is_none() {
            service.reachable(&self.profile).await?;
        }
        let label = service.label_for(&self.profile, &asked).await?;
        let approval = &service.approval;
        let text = Text {
            template: asked.template(self.question.template),
            contact: asked.contact.clone(),
            params: Params {
                jurisdiction: self.question.jurisdiction,
                label,
            },
            decision_id: Some(claims.jti),
            deadline: Some(deadline),
            undo_seconds: Some(approval.undo_seconds),
            idempotency_key: self.once(outbox::ASK),
        };
        let mut tx = service.store.begin().await?;
        if self.queue(&mut tx, outbox::ASK, &text).await? {
            service
                .note_asked(&mut tx, &claims.jti, &asked, Purpose::Apply)
                .await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    pub(super) async fn ask_owner(&mut self) -> Result<(), Problem> {
        let (store, id) = (&self.service.store, &self.question.question);
        let queued = store.outbox::<Text>(&self.key, id, outbox::ASK);
        let queued = match queued.await? {
            Some(queued) => queued,
            None => {
                let decision: Decision = self.document(kind::DECISION).await?;
                let claims = self.service.oracles.claims(&decision.token)?;
                // Counted from the decision, however long nobody could be asked.
                let days = i64::from(self.service.approval.deadline_days);
                let deadline = UnixTime((claims.iat.0 + days * DAY).min(claims.exp.0));
                if deadline <= self.service.clock.now() {
                    return self.expired().await;
                }
                self.queue_ask(&claims, deadline).await?;
                let queued = store.outbox(&self.key, id, outbox::ASK).await?;
                queued.ok_or_else(Problem::internal)?
            }
        };
        match self.asked_of().await? {
            // Who is asked in the owner's place could be reached when that was found.
            Some(_) => {}
            None => self.service.reachable(&self.profile).await?,
        }
        let over = |until: UnixTime| until <= self.service.clock.now();
        match self.send_text(outbox::ASK).await {
            // Not to be asked any more: no phone could be, as long as there was time.
            Err(problem) if problem.status == 409 && queued.payload.deadline.is_some_and(over) => {
                return self.expired().await;
            }
            sent => sent?,
        }
        self.question.deadline = queued.payload.deadline;
        let tx = self.service.store.begin().await?;
        self.save(tx, State::Texted).await
    }

    /// Nobody could be asked in time.
    async fn expired(&mut self) -> Result<(), Problem> {
        let mut tx = self.service.store.begin().await?;
        self.put(&mut tx, kind::REFUSAL, &EXPIRED).await?;
        self.finish(tx, Outcome::NoReply).await
    }

    pub(super) async fn await_reply(&mut self) -> Result<Option<Waiting>, Problem> {
        let service = self.service;
        let Proved { presentation, .. } = self.document(kind::PROVED).await?;
        let decision: Decision = self.document(kind::DECISION).await?;
        let claims = service.oracles.claims(&decision.token)?;
        let jti: Bytes32 = presentation.digest();
        let reply = service
            .notifier
            .reply(&jti, self.wait, claims.iat, || service.clock.now())
            .await?;
        if reply != Reply::Waiting {
            return self.settle(&jti, &reply).await.map(|()| None);
        }
        let until = self.question.deadline.unwrap_or(claims.exp);
        // The notifier closes a question in time; if it does not, a reply that never comes must not keep it.
        let undo = i64::from(service.approval.undo_seconds);
        if service.clock.now().0 > until.0 + undo + MAX_SKEW {
            self.settle(&jti, &Reply::Closed(EXPIRED.to_owned()))
                .await?;
            return Ok(None);
        }
        Ok(Some(Waiting {
            what: WaitingFor::Reply,
            until,
        }))
    }

    /// The representative's grant under which the question is asked; none where the owner is asked.
    async fn asked_of(&self) -> Result<Option<Bytes32>, Problem> {
        let decision = self.question.decision.as_deref().map(Bytes32::parse);
        let Some(Ok(decision)) = decision else {
            return Ok(None);
        };
        let used = self.service.store.grant_use(&decision).await?;
        Ok(used.map(|used| used.grant))
    }

    /// Takes a reply, or that none came. One by a representative whose grant does not permit it counts for nothing.
    async fn settle(&mut self, jti: &Bytes32, reply: &Reply) -> Result<(), Problem> {
        let mut tx = self.service.store.begin().await?;
        let settled = self
            .service
            .settle_reply(&mut tx, &self.profile, jti, reply)
            .await?;
        if let Settled::Void(why) = settled {
            self.put(&mut tx, kind::REFUSAL, &why.code()).await?;
            return self.finish(tx, Outcome::NoReply).await;
        }
        match reply {
            Reply::Answered(approval) if approval.answer == Answer::Yes => {
                let entry = Salted::new(EntryKind::Approval, approval);
                self.put(&mut tx, kind::APPROVAL, approval).await?;
                self.queue(&mut tx, outbox::APPROVAL_ENTRY, &entry).await?;
                self.save(tx, State::Approved).await
            }
            Reply::Answered(approval) => {
                self.put(&mut tx, kind::APPROVAL, approval).await?;
                self.finish(tx, Outcome::Declined).await
            }
            Reply::Closed(why) => {
                self.put(&mut tx, kind::REFUSAL, why).await?;
                self.finish(tx, Outcome::NoReply).await
            }
            Reply::Waiting => Ok(()),
        }
    }
}
