//! Asking: everything that can be refused is refused before anything is stored.

use actix_web::http::StatusCode;
use contracts::encoding::Bytes32;
use contracts::leaf::PERSON;
use contracts::presentation::MAX_AS_OF_AGE_DAYS;
use contracts::rules::{RuleError, registry};
use oracles::problem::Problem;

use crate::api::types::{AskQuestion, Question};
use crate::enrol::{not_enrolled, reused_key};
use crate::notifier::Template;
use crate::oracle::random32;
use crate::service::Service;
use crate::store::idempotency::remember;
use crate::store::questions::insert_question;
use crate::store::{NewQuestion, Remembered, StoreError, StoredProfile};
use crate::wallet::Use;

/// 422: the rules do not give this question an answer.
pub(crate) fn rule_problem(error: &RuleError) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "contract",
        "The contract does not apply",
        error.to_string(),
    )
}

impl Service {
    /// Stores a question; the same idempotency key finds it again. Says whether it is new.
    ///
    /// # Errors
    /// 400 or 422, naming the field; 409 when not enrolled.
    pub async fn ask(
        &self,
        profile: &StoredProfile,
        idempotency_key: &str,
        body: &[u8],
        ask: &AskQuestion,
    ) -> Result<(Question, bool), Problem> {
        self.ask_with(profile, idempotency_key, body, ask, Template::Apply)
            .await
    }

    /// As [`Service::ask`], with the text that asks the owner.
    pub(crate) async fn ask_with(
        &self,
        profile: &StoredProfile,
        idempotency_key: &str,
        body: &[u8],
        ask: &AskQuestion,
        template: Template,
    ) -> Result<(Question, bool), Problem> {
        let id = random32();
        let scope = profile.profile.to_string();
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let text_id = id.to_string();
        match remember(&mut tx, &scope, idempotency_key, body, &text_id, now).await? {
            Remembered::First => {}
            Remembered::Again(first) => {
                drop(tx);
                let first = Bytes32::parse(&first).map_err(|_| Problem::internal())?;
                return Ok((self.question_view(profile, &first).await?, false));
            }
            Remembered::Other => return Err(reused_key()),
        }
        if !self.is_enrolled(profile) {
            return Err(not_enrolled());
        }
        let compiled = self.check_question(ask)?;
        let wallet_index = self
            .store
            .reserve(&mut tx, &scope, Use::Question, 1)
            .await?;
        let new = NewQuestion {
            question: id,
            profile: profile.profile,
            contract: &compiled.contract,
            jurisdiction: ask.jurisdiction,
            as_of: ask.as_of,
            audience: &ask.audience,
            withhold: &ask.withhold,
            anew: ask.anew,
            template,
            wallet_index,
            created_at: now,
        };
        insert_question(&mut tx, &new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok((self.question_view(profile, &id).await?, true))
    }

    fn check_question(&self, ask: &AskQuestion) -> Result<contracts::rules::Compiled, Problem> {
        if self.kind(&ask.audience).is_none() {
            return Err(Problem::bad_request(
                "audience: not one that this service is configured for",
            ));
        }
        let today = self.clock.today();
        if ask.as_of > today || today.number() - ask.as_of.number() > MAX_AS_OF_AGE_DAYS {
            return Err(Problem::bad_request(format!(
                "as_of: today or at most {MAX_AS_OF_AGE_DAYS} days before"
            )));
        }
        let compiled = registry()
            .compile(&ask.contract, &ask.jurisdiction, ask.as_of)
            .map_err(|error| rule_problem(&error))?;
        for (at, attribute) in ask.withhold.iter().enumerate() {
            let known = compiled
                .facts
                .iter()
                .any(|fact| fact.attribute == *attribute);
            let twice = ask.withhold.iter().take(at).any(|other| other == attribute);
            if !known || twice || attribute.0 == PERSON {
                return Err(Problem::bad_request(
                    "withhold: name facts of the contract, each once, and not identity.person",
                ));
            }
        }
        Ok(compiled)
    }
}
