//! `approved → filed → done`: the approval goes to the ledger, the application to the agency, its acceptance to the
//! ledger, and the owner is told.

use contracts::application::{Application, Approval, ProofClaims, approved, wallet_proof};
use contracts::encoding::Bytes32;
use contracts::receipt::EntryKind;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Proved, Salted, Work, kind, outbox};
use crate::agency::{Acceptance, Filed};
use crate::api::types::{Outcome, State};
use crate::grant::Label;
use crate::notifier::{Params, Template, Text};
use crate::oracle::Decision;
use crate::store::agency::put_agency_case;

/// What the `application` entry commits to. The wallet's proof is made afresh at each attempt and is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filing {
    /// `jti` of the token filed.
    jti: Bytes32,
    /// Hash of the approval, and of who gave it where that was not the owner.
    approval: Bytes32,
    /// The agency's signed answer.
    acceptance: Acceptance,
}

impl Work<'_> {
    pub(super) async fn file(&mut self) -> Result<(), Problem> {
        self.append(outbox::APPROVAL_ENTRY, kind::APPROVAL_RECEIPT)
            .await?;
        let service = self.service;
        let Proved {
            presentation,
            confirmation,
        } = self.document(kind::PROVED).await?;
        let decision: Decision = self.document(kind::DECISION).await?;
        let approval: Approval = self.document(kind::APPROVAL).await?;
        let jti = presentation.digest();
        let representation = service.representation(&self.profile, &approval).await?;
        let claims = ProofClaims {
            aud: self.question.audience.clone(),
            jti,
            approval: approved(&approval, representation.as_ref()),
            iat: service.clock.now(),
        };
        let application = Application {
            wallet_proof: self
                .wallet
                .confirmation(confirmation)?
                .with(|secret, _| wallet_proof(&claims, secret)),
            token: decision.token,
            approval,
            representation,
        };
        let agency = service.agency(&self.question.audience)?;
        let filed = agency.file(&jti, &application).await?;

        let mut tx = service.store.begin().await?;
        match filed {
            Filed::Accepted(acceptance) => {
                let filing = Filing {
                    jti,
                    approval: claims.approval,
                    acceptance: acceptance.clone(),
                };
                let entry = Salted::new(EntryKind::Application, &filing);
                self.put(&mut tx, kind::ACCEPTANCE, &acceptance).await?;
                self.queue(&mut tx, outbox::APPLICATION_ENTRY, &entry)
                    .await?;
                self.queue_tell(&mut tx, Template::Filed).await?;
                let pseudonym = presentation.pseudonym.as_bytes();
                let digest = service.case_digest(&self.question.audience, pseudonym);
                let profile = &self.profile.profile;
                put_agency_case(&mut tx, &digest, profile, &self.question.question).await?;
                self.question.application = Some(acceptance.application_id);
            }
            Filed::Refused(code) => {
                self.put(&mut tx, kind::REFUSAL, &code).await?;
                self.queue_tell(&mut tx, Template::NotFiled).await?;
            }
        }
        self.save(tx, State::Filed).await
    }

    async fn queue_tell(
        &self,
        tx: &mut crate::store::Tx,
        template: Template,
    ) -> Result<(), Problem> {
        let Some(contact) = self.profile.contact.clone() else {
            // Representatives are told, in `record`.
            return Ok(());
        };
        let text = self.tells(contact, template, None, self.once(outbox::TELL));
        self.queue(tx, outbox::TELL, &text).await?;
        Ok(())
    }

    fn tells(
        &self,
        contact: String,
        template: Template,
        label: Option<Label>,
        idempotency_key: String,
    ) -> Text {
        Text {
            contact,
            template,
            params: Params {
                jurisdiction: self.question.jurisdiction,
                label,
            },
            decision_id: None,
            deadline: None,
            undo_seconds: None,
            idempotency_key,
        }
    }

    /// Tells the owner, and representatives that there is something to hear. A phone that the notifier sends nothing to (a blocked
    /// one, say) must not keep the question open; whoever replied has another.
    async fn tell(&self) -> Result<(), Problem> {
        let taken = |sent: Result<(), Problem>| match sent {
            Err(problem) if problem.status == 409 => {
                tracing::warn!(code = problem.code(), "a text was not taken");
                Ok(())
            }
            other => other,
        };
        if self.profile.contact.is_some() {
            taken(self.send_text(outbox::TELL).await)?;
        }
        for told in self.service.told_too(&self.profile).await? {
            let (grant, contact, label) = told;
            let once = self.once(&format!("{} {grant}", outbox::TELL));
            let text = self.tells(contact, Template::News, label, once);
            taken(self.service.notifier.send(&text).await)?;
        }
        Ok(())
    }

    pub(super) async fn record(&mut self) -> Result<(), Problem> {
        let accepted = self.question.application.is_some();
        if accepted {
            self.append(outbox::APPLICATION_ENTRY, kind::APPLICATION_RECEIPT)
                .await?;
        }
        self.tell().await?;
        let outcome = match accepted {
            true => Outcome::Accepted,
            false => Outcome::Refused,
        };
        let tx = self.service.store.begin().await?;
        self.finish(tx, outcome).await
    }
}
