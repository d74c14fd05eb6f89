//! `proved → decided`: the decision committee signs what was proved. Shown again, a presentation gets the same token.

use contracts::ids::Verdict;
use oracles::problem::Problem;

use super::{Proved, Work, kind};
use crate::api::types::{Outcome, State};
use crate::oracle::Decided;

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
        oracles
            .check_decision(&presentation, &decision)
            .map_err(|_| Problem::internal())?;
        let mut tx = self.service.store.begin().await?;
        self.put(&mut tx, kind::DECISION, &*decision).await?;
        if presentation.verdict == Verdict::No {
            return self.finish(tx, Outcome::No).await;
        }
        // Nothing is filed where no cases are kept.
        if presentation.enquiry.is_some() {
            return self.finish(tx, Outcome::Yes).await;
        }
        self.save(tx, State::Decided).await
    }
}
