//! Looking after grants: both parties are asked, each is told, what is over is ended. Every step may be repeated after a crash.

use std::time::Duration;

use contracts::application::{Answer, Approval};
use contracts::encoding::{Bytes32, tagged_hash};
use contracts::receipt::{Entry, EntryKind};
use contracts::token::MAX_SKEW;
use contracts::units::UnixTime;
use oracles::problem::Problem;
use serde::Serialize;

use super::{Standing, Terms, context, is_over};
use crate::lifecycle::backoff;
use crate::notifier::{Params, Reply, Template, Text};
use crate::service::Service;
use crate::store::grants::{StoredGrant, keep_grant_document, move_grant};
use crate::store::{StoreError, StoredProfile};

/// Seconds in a day.
const DAY: i64 = 86_400;
/// Kinds of document that a grant keeps: the signed replies that made it.
const DESIGNATED: &str = "designated";
const AGREED: &str = "agreed";

/// What the ledger entry of a grant commits to.
#[derive(Debug, Serialize)]
struct Entered<'a> {
    /// Hash of its terms.
    grant: Bytes32,
    standing: Standing,
    /// The reply that led there, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a Approval>,
}

/// A grant with whose it is and what it says.
struct Held<'a> {
    service: &'a Service,
    profile: StoredProfile,
    stored: StoredGrant,
    terms: Terms,
}

impl Service {
    /// Looks after one grant that is due; says whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn grant_next(&self, now: UnixTime, until: UnixTime) -> Result<bool, Problem> {
        let Some(stored) = self.store.claim_grant(now, until).await? else {
            return Ok(false);
        };
        let profile = self.store.profile(&stored.profile).await?;
        let profile = profile.ok_or_else(Problem::internal)?;
        let terms = self.grant_terms(&profile, &stored)?;
        let held = Held {
            service: self,
            profile,
            stored,
            terms,
        };
        let (due, failures) = match held.step().await {
            Ok(due) => (due, 0),
            Err(problem) => {
                let wait = backoff(held.stored.failures);
                let code = problem.code();
                tracing::warn!(
                    code,
                    wait,
                    "a grant was not looked after; it is tried again"
                );
                let due = UnixTime(self.clock.now().0.saturating_add(wait));
                (Some(due), held.stored.failures.saturating_add(1))
            }
        };
        self.store
            .put_off_grant(&held.stored, due, failures)
            .await?;
        Ok(true)
    }
}

impl Held<'_> {
    /// Does what is due, and says when to look again.
    async fn step(&self) -> Result<Option<UnixTime>, Problem> {
        let profile = &self.profile.profile;
        let today = self.service.clock.today();
        if self.stored.standing.is_live() && is_over(&self.terms, today) {
            self.becomes(Standing::Ended, None).await?;
            return Ok(None);
        }
        match self.stored.standing {
            Standing::Proposed => {
                let decision = self.terms.designation(profile);
                let contact = self.profile.contact.as_deref();
                let contact = contact.ok_or_else(Problem::internal)?;
                let next = (Standing::Offered, DESIGNATED);
                self.ask(Template::Designate, contact, decision, next).await
            }
            Standing::Offered => {
                let decision = self.terms.digest(profile);
                let next = (Standing::Active, AGREED);
                self.ask(Template::Represent, &self.terms.contact, decision, next)
                    .await
            }
            Standing::Active => {
                self.enter().await?;
                let since = self.stored.standing_at;
                self.tell_owner(Template::GrantGiven, b"given", since)
                    .await?;
                self.tell_uses().await?;
                let over = self.terms.until.plus(1).map_err(|_| Problem::internal())?;
                Ok(Some(over.start()))
            }
            Standing::Revoked | Standing::Ended => {
                self.enter().await?;
                self.withdraw().await?;
                let mut told = vec![self.tell_uses().await];
                // Who was never told of it needs not be told of its end.
                let agreed = self
                    .service
                    .store
                    .grant_document(&self.stored.grant, AGREED);
                if agreed.await?.is_some() {
                    let (contact, since) = (&self.terms.contact, self.stored.standing_at);
                    let over = self.tell(Template::GrantOver, contact, b"over", since);
                    told.push(over.await);
                    let ended = self.tell_owner(Template::GrantEnded, b"ended", since);
                    told.push(ended.await);
                }
                // One phone that cannot be told yet keeps the other from nothing.
                told.into_iter().collect::<Result<(), _>>()?;
                Ok(None)
            }
            Standing::Declined => Ok(None),
        }
    }

    /// Asks one party by text, and takes the reply that the notifier signed for these terms.
    async fn ask(
        &self,
        template: Template,
        contact: &str,
        decision: Bytes32,
        (next, kind): (Standing, &'static str),
    ) -> Result<Option<UnixTime>, Problem> {
        let service = self.service;
        let since = self.stored.standing_at;
        let approval = &service.approval;
        let deadline = UnixTime(since.0 + i64::from(approval.deadline_days) * DAY);
        let text = Text {
            decision_id: Some(decision),
            deadline: Some(deadline),
            undo_seconds: Some(approval.undo_seconds),
            ..self.text(template, contact, b"ask")
        };
        let now = service.clock.now();
        let late = now.0 > deadline.0 + i64::from(approval.undo_seconds) + MAX_SKEW;
        let reply = match service.notifier.send(&text).await {
            Ok(()) => {
                let clock = service.clock;
                service
                    .notifier
                    .reply(&decision, Duration::ZERO, since, || clock.now())
                    .await?
            }
            // The phone may yet be verified, and another decision be answered.
            Err(problem) if problem.status == 409 => Reply::Waiting,
            Err(problem) => return Err(problem),
        };
        match reply {
            Reply::Answered(approval) if approval.answer == Answer::Yes => {
                self.becomes(next, Some((kind, &approval))).await?;
            }
            Reply::Answered(_) | Reply::Closed(_) => self.becomes(Standing::Declined, None).await?,
            Reply::Waiting if late => self.becomes(Standing::Declined, None).await?,
            Reply::Waiting => {
                let poll = i64::from(service.worker.poll_seconds);
                return Ok(Some(UnixTime(now.0 + poll)));
            }
        }
        Ok(None)
    }

    /// Moves the grant on, unless it was revoked in the meantime; it is looked after again at once.
    async fn becomes(
        &self,
        next: Standing,
        reply: Option<(&'static str, &Approval)>,
    ) -> Result<(), Problem> {
        let store = &self.service.store;
        let grant = &self.stored.grant;
        let now = self.service.clock.now();
        let mut tx = store.begin().await?;
        if move_grant(&mut tx, grant, self.stored.standing, next, now).await? {
            if let Some((kind, approval)) = reply {
                let key = self.service.grant_key(&self.profile, &self.stored)?;
                let plain = serde_json::to_vec(approval).map_err(|_| Problem::internal())?;
                let sealed = key.seal(&context(grant, kind), &plain);
                keep_grant_document(&mut tx, grant, kind, &sealed).await?;
            }
            tx.commit().await.map_err(StoreError::from)?;
            tracing::info!(standing = next.as_str(), "a grant's standing changed");
        }
        Ok(())
    }

    /// Enters where the grant stands in the ledger; the same at every attempt.
    async fn enter(&self) -> Result<(), Problem> {
        let key = self.service.grant_key(&self.profile, &self.stored)?;
        let grant = &self.stored.grant;
        let sealed = self.service.store.grant_document(grant, AGREED).await?;
        let approval: Option<Approval> = match &sealed {
            Some(sealed) => {
                let plain = key.open(&context(grant, AGREED), sealed).ok();
                let approval = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
                Some(approval.ok_or_else(Problem::internal)?)
            }
            // Nobody agreed: it never was in force.
            None => return Ok(()),
        };
        let active = self.stored.standing == Standing::Active;
        let entered = Entered {
            grant: self.terms.digest(&self.profile.profile),
            standing: self.stored.standing,
            approval: approval.as_ref().filter(|_| active),
        };
        let salt = self.service.root.derive(
            "shp/v1/grant-salt",
            &self.once(entered.standing.as_str().as_bytes()),
        );
        let entry = Entry::new(EntryKind::Grant, &Bytes32::from(*salt), &entered);
        self.service.oracles.append(entry).await?;
        Ok(())
    }

    /// Takes back what the representative was asked and has not answered for good.
    async fn withdraw(&self) -> Result<(), Problem> {
        for used in self.service.store.grant_uses(&self.stored.grant).await? {
            if used.outcome.is_none() {
                self.service.notifier.withdraw(&used.decision).await?;
            }
        }
        // What was asked before anybody agreed.
        for decision in [
            self.terms.designation(&self.profile.profile),
            self.terms.digest(&self.profile.profile),
        ] {
            self.service.notifier.withdraw(&decision).await?;
        }
        Ok(())
    }

    async fn tell_uses(&self) -> Result<(), Problem> {
        let store = &self.service.store;
        for (decision, since) in store.untold_uses(&self.stored.grant).await? {
            self.tell_owner(Template::GrantUsed, &decision.0, since)
                .await?;
            store.use_told(&decision, self.service.clock.now()).await?;
        }
        Ok(())
    }

    /// Tells the owner, where they have a phone.
    async fn tell_owner(
        &self,
        template: Template,
        once: &[u8],
        since: UnixTime,
    ) -> Result<(), Problem> {
        match &self.profile.contact {
            Some(contact) => self.tell(template, contact, once, since).await,
            None => Ok(()),
        }
    }

    async fn tell(
        &self,
        template: Template,
        contact: &str,
        once: &[u8],
        since: UnixTime,
    ) -> Result<(), Problem> {
        let text = self.text(template, contact, once);
        let now = self.service.clock.now();
        self.service.notifier.tell(&text, since, now).await
    }

    fn text(&self, template: Template, contact: &str, once: &[u8]) -> Text {
        Text {
            contact: contact.to_owned(),
            template,
            params: Params {
                jurisdiction: self.terms.jurisdiction,
                // The owner needs none, and is told without.
                label: (template == Template::Represent)
                    .then(|| self.terms.label.clone())
                    .flatten(),
            },
            decision_id: None,
            deadline: None,
            undo_seconds: None,
            idempotency_key: Bytes32::from(self.once(&[once, b" ", contact.as_bytes()].concat()))
                .to_string(),
        }
    }

    /// A key under which something is done once. Tells the receiver nothing.
    fn once(&self, what: &[u8]) -> [u8; 32] {
        tagged_hash("shp/v1/grant-once", &[&self.stored.grant.0, what])
    }
}
