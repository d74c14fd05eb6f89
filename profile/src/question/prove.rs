//! `attested → proved`: a presentation in zero knowledge; its leaves are used up in the transaction that stores it.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::StatusCode;
use contracts::encoding::Bytes32;
use contracts::ids::{Domain, NodeId, Verdict};
use contracts::presentation::{
    AudienceKind, Enquiry, Held, PresentContext, Presentation, Witness, prove, verify,
};
use contracts::rules::{Compiled, Outcome as Evaluated};
use oracles::problem::Problem;
use oracles::wire::decision::decided_at;
use rand_core::OsRng;

use super::attest::{Shown, values_of};
use super::{Proved, Work, kind};
use crate::api::types::{Outcome, State};
use crate::oracle::random32;
use crate::store::stock::schedule;
use crate::store::{StoreError, Tx, facts};
use crate::wallet::Use;

/// How long a proof waits for a core.
const TURN: Duration = Duration::from_secs(30);

/// 503: every core is at work on other proofs.
fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "Too many proofs are being made",
        "nothing was lost: advance the question again",
    )
}

impl Work<'_> {
    pub(super) async fn prove(&mut self) -> Result<(), Problem> {
        let compiled = self.compiled()?;
        let shown: Option<Vec<Shown>> = self.held(&compiled).await?.into_iter().collect();
        let store = &self.service.store;
        let Some(shown) = shown else {
            // A leaf has expired: fetch what is lacking.
            let tx = store.begin().await?;
            return self.save(tx, State::Asked).await;
        };
        let stands_in = shown.iter().any(|shown| shown.stands_in);
        let held: Vec<Held> = shown.into_iter().map(|shown| shown.held).collect();
        let (verdict, reasons) = match compiled.evaluate(&values_of(&held)).verdict {
            Evaluated::Yes => (Verdict::Yes, vec![]),
            Evaluated::No { reasons } => (Verdict::No, reasons),
            // What a withheld leaf stands in for is not missing: it could not be asked for yet.
            Evaluated::NeedsInfo { .. } if stands_in => {
                let tx = store.begin().await?;
                return self.save(tx, State::Asked).await;
            }
            Evaluated::NeedsInfo { missing } => {
                let missing: Vec<_> = missing.into_iter().map(|fact| fact.attribute).collect();
                let mut tx = store.begin().await?;
                self.put(&mut tx, kind::MISSING, &missing).await?;
                return self.finish(tx, Outcome::NeedsInfo).await;
            }
        };

        let nonces = self.service.oracles.decision_nonces().await?;
        let profile = self.profile.profile.to_string();
        let mut tx = store.begin().await?;
        let confirmation = store
            .reserve(&mut tx, &profile, Use::Confirmation, 1)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        let enquiry = self.enquiry(&nonces)?;
        let context = PresentContext {
            audience: self.question.audience.clone(),
            enquiry,
            nonces,
            cnf: self.wallet.confirmation(confirmation)?.compressed(),
            ledger_salt: random32(),
        };
        let witness = Witness {
            held,
            k: *self.wallet.pseudonym(self.profile.registration)?,
            person: *self.wallet.registration(self.profile.registration)?,
        };
        let presentation = self
            .present(compiled, verdict, reasons, witness, context)
            .await?;

        let leaves: Vec<_> = presentation
            .attestations
            .iter()
            .map(|presented| presented.attestation.leaf.hash())
            .collect();
        let jti = presentation.jti();
        let mut tx = store.begin().await?;
        facts::use_leaves(&mut tx, &profile, &leaves, &jti).await?;
        self.replace_used(&mut tx, &presentation).await?;
        if verdict == Verdict::No {
            self.put(&mut tx, kind::REASONS, &presentation.reasons)
                .await?;
        }
        let proved = Proved {
            presentation,
            confirmation,
        };
        self.put(&mut tx, kind::PROVED, &proved).await?;
        self.question.verdict = Some(verdict);
        self.question.decision = Some(jti);
        self.save(tx, State::Proved).await
    }

    /// What an audience that keeps no cases is shown in place of `T`: a subject drawn anew for every presentation.
    fn enquiry(&self, nonces: &[(NodeId, Bytes32)]) -> Result<Option<Enquiry>, Problem> {
        let kind = self.service.kind(&self.question.audience);
        if kind.is_none_or(AudienceKind::keeps_cases) {
            return Ok(None);
        }
        Enquiry::at(decided_at(nonces), random32())
            .map(Some)
            .map_err(|_| Problem::internal())
    }

    /// Has the leaves that a presentation uses up replaced, in the transaction that uses them up.
    async fn replace_used(&self, tx: &mut Tx, presentation: &Presentation) -> Result<(), Problem> {
        let stock = &self.service.stock;
        if stock.low_water == 0 {
            return Ok(());
        }
        let domains: BTreeSet<Domain> = presentation
            .attestations
            .iter()
            .map(|presented| presented.attestation.leaf.committee)
            .collect();
        let profile = self.profile.profile.to_string();
        for domain in domains {
            let due = stock.due_after(self.service.clock.now());
            schedule(tx, &profile, domain, due).await?;
        }
        Ok(())
    }

    /// Proves on a thread of its own, and checks the proof as a decision node will before any leaf is used up.
    async fn present(
        &self,
        compiled: Compiled,
        verdict: Verdict,
        reasons: Vec<String>,
        witness: Witness,
        context: PresentContext,
    ) -> Result<Presentation, Problem> {
        let trust = (*self.service.oracles.trust()).clone();
        let now = self.service.clock.now();
        let turn = tokio::time::timeout(TURN, self.service.provers.clone().acquire_owned());
        let turn = turn.await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let proved = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let made = prove(&compiled, verdict, &reasons, &witness, &context, &mut OsRng)?;
            verify(&made, &compiled, &trust, now)?;
            Ok::<_, contracts::presentation::PresentationError>(made)
        });
        proved
            .await
            .map_err(|_| Problem::internal())?
            .map_err(|error| {
                tracing::error!(%error, "a presentation could not be made");
                Problem::internal()
            })
    }
}
