//! `attested → proved`: a presentation in zero knowledge; its leaves are used up in the transaction that stores it.

use contracts::ids::Verdict;
use contracts::presentation::{Held, PresentContext, Presentation, Witness, prove, verify};
use contracts::rules::{Compiled, Outcome as Evaluated};
use oracles::problem::Problem;
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::{Proved, Work, kind};
use crate::api::types::{Outcome, State};
use crate::oracle::random32;
use crate::store::{StoreError, facts, reserve};
use crate::wallet::Use;

impl Work<'_> {
    pub(super) async fn prove(&mut self) -> Result<(), Problem> {
        let compiled = self.compiled()?;
        let held: Option<Vec<Held>> = self.held(&compiled).await?.into_iter().collect();
        let store = &self.service.store;
        let Some(held) = held else {
            // A leaf has expired, or another presentation used it: fetch what is lacking.
            let tx = store.begin().await?;
            return self.save(tx, State::Asked).await;
        };
        let values: Zeroizing<Vec<Option<i64>>> = Zeroizing::new(
            held.iter()
                .map(|held| held.opening.known.then_some(held.opening.value))
                .collect(),
        );
        let (verdict, reasons) = match compiled.evaluate(&values).verdict {
            Evaluated::Yes => (Verdict::Yes, vec![]),
            Evaluated::No { reasons } => (Verdict::No, reasons),
            Evaluated::NeedsInfo { missing } => {
                let missing: Vec<_> = missing.into_iter().map(|fact| fact.attribute).collect();
                let mut tx = store.begin().await?;
                self.put(&mut tx, kind::MISSING, &missing).await?;
                return self.finish(tx, Outcome::NeedsInfo).await;
            }
        };
        drop(values);

        let nonces = self.service.oracles.decision_nonces().await?;
        let profile = self.profile.profile.to_string();
        let mut tx = store.begin().await?;
        let confirmation = reserve(&mut tx, &profile, Use::Confirmation, 1).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let context = PresentContext {
            audience: self.question.audience.clone(),
            enquiry: None,
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
        let proved = tokio::task::spawn_blocking(move || {
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
