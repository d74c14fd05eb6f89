//! What the owner may see of a question.

use std::collections::BTreeSet;

use contracts::bundle::Bundle;
use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain, Verdict};
use oracles::problem::Problem;
use serde::de::DeserializeOwned;

use super::{Proved, kind, no_question};
use crate::api::types::{Outcome, Question, State, TokenAnswer};
use crate::consent::is_refused;
use crate::oracle::Decision;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::{StoredProfile, StoredQuestion};

impl Service {
    /// A question as its owner sees it.
    ///
    /// # Errors
    /// 404 for another profile's.
    pub async fn question_view(
        &self,
        profile: &StoredProfile,
        id: &Bytes32,
    ) -> Result<Question, Problem> {
        let (question, key) = self.keyed(profile, id).await?;
        self.view(&question, &key).await
    }

    /// The token.
    ///
    /// # Errors
    /// 404 for another profile's question, 409 before there is a token.
    pub async fn token(
        &self,
        profile: &StoredProfile,
        id: &Bytes32,
    ) -> Result<TokenAnswer, Problem> {
        let (question, key) = self.keyed(profile, id).await?;
        let decision: Decision = self.decided(&question, &key, kind::DECISION).await?;
        Ok(TokenAnswer {
            token: decision.token,
        })
    }

    /// The decision bundle: RFC 8785 JSON, for offline audit.
    ///
    /// # Errors
    /// 404 for another profile's question, 409 before there is a decision.
    pub async fn bundle(&self, profile: &StoredProfile, id: &Bytes32) -> Result<Vec<u8>, Problem> {
        let (question, key) = self.keyed(profile, id).await?;
        let decision: Decision = self.decided(&question, &key, kind::DECISION).await?;
        let proved: Proved = self.decided(&question, &key, kind::PROVED).await?;
        let bundle = Bundle::new(
            proved.presentation,
            decision.token,
            decision.receipt,
            decision.roots,
        );
        Ok(bundle.to_bytes())
    }

    pub(crate) async fn keyed(
        &self,
        profile: &StoredProfile,
        id: &Bytes32,
    ) -> Result<(StoredQuestion, SealKey), Problem> {
        let question = self
            .store
            .question(&profile.profile, id)
            .await?
            .ok_or_else(no_question)?;
        let key = self.wallet(profile)?.question(question.wallet_index)?;
        Ok((question, key))
    }

    pub(crate) async fn decided<T: DeserializeOwned>(
        &self,
        question: &StoredQuestion,
        key: &SealKey,
        kind: &'static str,
    ) -> Result<T, Problem> {
        self.store
            .document(key, &question.question, kind)
            .await?
            .ok_or_else(|| {
                Problem::conflict(
                    "not-decided",
                    "the question is not decided yet: advance it first",
                )
            })
    }

    pub(super) async fn view(
        &self,
        question: &StoredQuestion,
        key: &SealKey,
    ) -> Result<Question, Problem> {
        let id = &question.question;
        let kinds = self.store.document_kinds(id).await?;
        let receipts = [
            (kind::DECISION, "decision"),
            (kind::APPROVAL_RECEIPT, "approval"),
            (kind::APPLICATION_RECEIPT, "application"),
        ];
        // A question that had to be proved anew may keep documents of an earlier verdict.
        let reasons: Option<Vec<String>> = match question.verdict {
            Some(Verdict::No) => self.store.document(key, id, kind::REASONS).await?,
            _ => None,
        };
        let missing: Option<Vec<AttributeId>> = match question.outcome {
            Some(Outcome::NeedsInfo) => self.store.document(key, id, kind::MISSING).await?,
            _ => None,
        };
        let refusal = match question.state {
            State::Done | State::Filed => self.store.document(key, id, kind::REFUSAL).await?,
            _ => None,
        };
        let decision = question.decision.as_deref().map(Bytes32::parse);
        let asked_of = match decision {
            Some(Ok(decision)) => self.store.grant_use(&decision).await?,
            _ => None,
        };
        let refused = self.refused(&question.profile).await?;
        let unread = missing.iter().flatten().filter_map(|attribute| {
            let domain = catalogue().get(attribute)?.domain;
            is_refused(&refused, domain, attribute).then_some(domain)
        });
        let consent_missing: BTreeSet<Domain> = unread.collect();
        Ok(Question {
            question: *id,
            profile: question.profile,
            contract: question.contract.clone(),
            jurisdiction: question.jurisdiction,
            as_of: question.as_of,
            audience: question.audience.clone(),
            state: question.state,
            outcome: question.outcome,
            verdict: question.verdict,
            refusal,
            asked_of: asked_of.map(|used| used.grant),
            reasons: reasons.unwrap_or_default(),
            consent_missing: consent_missing.into_iter().collect(),
            missing: missing.unwrap_or_default(),
            decision: question.decision.clone(),
            waiting: None,
            application: question.application.clone(),
            receipts: receipts
                .into_iter()
                .filter(|(kind, _)| kinds.iter().any(|held| held == kind))
                .map(|(_, name)| name.to_owned())
                .collect(),
        })
    }
}
