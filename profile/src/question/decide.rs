//! `proved → decided`: the decision committee signs what was proved. Shown again, a presentation gets the same token.

use contracts::ids::Verdict;
use oracles::problem::Problem;

use super::{Proved, Work, kind, outbox};
use crate::api::types::{Outcome, State};
use crate::grant::Purpose;
use crate::notifier::{Params, Text};
use crate::oracle::Decided;

/// Seconds in a day.
const DAY: i64 = 86_400;

impl Work<'_> {
    pub(super) async fn decide(&mut self) -> Result<(), Problem> {
        let Proved { presentation, .. } = self.document(kind::PROVED).await?;
        let oracles = &self.service.oracles;
        let decision = match oracles.decide(&presentation).await? {
            Decided::Token(decision) => decision,
            Decided::Spent(code) => {
                // Its leaves stay used: decision nodes refuse them under another jti. Fetch others and prove anew.
                tracing::warn!(code, "a presentation came too late; it is made anew");
                let tx = self.service.store.begin().await?;
                self.question.verdict = None;
                self.question.decision = None;
                return self.save(tx, State::Asked).await;
            }
        };
        let claims = oracles
            .check_decision(&presentation, &decision)
            .map_err(|_| Problem::internal())?;
        // Nothing is filed where no cases are kept.
        let asks = presentation.verdict == Verdict::Yes && presentation.enquiry.is_none();
        let asked = match asks {
            true => Some(self.service.asked(&self.profile, Purpose::Apply).await?),
            false => None,
        };
        let label = match &asked {
            Some(asked) => self.service.label_for(&self.profile, asked).await?,
            None => None,
        };
        let mut tx = self.service.store.begin().await?;
        self.put(&mut tx, kind::DECISION, &*decision).await?;
        if presentation.verdict == Verdict::No {
            return self.finish(tx, Outcome::No).await;
        }
        let Some(asked) = asked else {
            return self.finish(tx, Outcome::Yes).await;
        };
        self.service
            .note_asked(&mut tx, &claims.jti, &asked, Purpose::Apply)
            .await?;
        let approval = &self.service.approval;
        let days = i64::from(approval.deadline_days);
        let deadline = self.service.clock.now().0 + days * DAY;
        let deadline = contracts::units::UnixTime(deadline.min(claims.exp.0));
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
        self.queue(&mut tx, outbox::ASK, &text).await?;
        self.question.deadline = Some(deadline);
        self.save(tx, State::Decided).await
    }
}
