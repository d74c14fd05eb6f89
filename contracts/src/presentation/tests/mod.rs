//! Presentations of a real contract over really issued leaves, and everything that somebody might do to them.

mod batches;
mod bindings;
mod contracts;
mod enquiries;
mod leaves;
mod verdicts;

use std::sync::LazyLock;

use curve25519_dalek::scalar::Scalar;
use rand::rngs::StdRng;

use super::prove::prove_unchecked;
use super::*;
use crate::bip340;
use crate::leaf::Leaf;
use crate::rules::{Compiled, Outcome, registry};
use crate::statement::StatementError;
use crate::testing::{Owner, Purpose, World, bits, bytes32, keypair, nonces, rng};
use crate::units::UnixTime;

const ADULT: &str = "us.medicaid.adult-group";
const AUDIENCE: &str = "us.ca.dhcs";

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn compile(state: &str, as_of: &str) -> Compiled {
    registry()
        .compile(ADULT, &state.parse().unwrap(), day(as_of))
        .unwrap()
}

/// A single adult of 34 in California with $1,500 a month, by attribute.
fn adult(attribute: &str) -> i64 {
    match attribute {
        "identity.person" | "identity.medicaid_immigration_status" | "household.size" => 1,
        "identity.birth_date" => day("1992-03-14").number(),
        "residence.state" => 6,
        "income.magi_monthly" => 150000,
        _ => 0,
    }
}

fn values(compiled: &Compiled, edit: impl Fn(&str) -> Option<Option<i64>>) -> Vec<Option<i64>> {
    let facts = compiled.facts.iter().map(|fact| fact.attribute.0.as_str());
    facts
        .map(|attribute| edit(attribute).unwrap_or(Some(adult(attribute))))
        .collect()
}

/// Somebody with a verdict to show.
struct Stage {
    world: World,
    owner: Owner,
    compiled: Compiled,
    verdict: Verdict,
    reasons: Vec<String>,
    witness: Witness,
    context: PresentContext,
    now: UnixTime,
}

impl Stage {
    fn new(values: &[Option<i64>], edit: impl Fn(&mut Leaf)) -> Self {
        Self::edited_of(compile("CA", "2026-11-20"), values, 1, edit)
    }

    /// Somebody with these values, who is decided on a contract.
    fn of(compiled: Compiled, values: &[Option<i64>], seed: u64) -> Self {
        Self::edited_of(compiled, values, seed, |_| ())
    }

    fn edited_of(
        compiled: Compiled,
        values: &[Option<i64>],
        seed: u64,
        edit: impl Fn(&mut Leaf),
    ) -> Self {
        let mut rng = rng(seed);
        let (verdict, reasons) = match compiled.evaluate(values).verdict {
            Outcome::Yes => (Verdict::Yes, Vec::new()),
            Outcome::No { reasons } => (Verdict::No, reasons),
            Outcome::NeedsInfo { missing } => panic!("needs {missing:?}"),
        };
        let world = World::new(2, &mut rng);
        let owner = Owner::enrol(Scalar::random(&mut rng), &mut rng);
        let purpose = Purpose {
            contract: compiled.contract.hash,
            audience: AUDIENCE,
            observed: compiled.as_of,
        };
        let witness = world.issue(&owner, &compiled, values, &purpose, edit, &mut rng);
        Self {
            context: present_context(&mut rng),
            now: UnixTime(compiled.as_of.start().0 + 3_600),
            world,
            owner,
            compiled,
            verdict,
            reasons,
            witness,
        }
    }

    /// The adult above, who gets a YES.
    fn yes() -> Self {
        Self::edited(|_| ())
    }

    /// A contract of few facts, with a slot and a choice in its proof.
    fn small() -> Self {
        let (state, day) = ("CA".parse().unwrap(), day("2026-11-20"));
        let compiled = registry().compile("event.age-boundary", &state, day);
        let compiled = compiled.unwrap();
        let values = values(&compiled, |_| None);
        let small = Self::of(compiled, &values, 6);
        let shape = shape(&small.compiled, small.verdict, &small.reasons).unwrap();
        assert!(shape.slots() > 0 && shape.selectors() > 0);
        small
    }

    /// The same with leaves that their committees signed after an edit.
    fn edited(edit: impl Fn(&mut Leaf)) -> Self {
        Self::new(&values(&compile("CA", "2026-11-20"), |_| None), edit)
    }

    fn prove(&self) -> Result<Presentation, PresentationError> {
        let (compiled, witness) = (&self.compiled, &self.witness);
        prove(
            compiled,
            self.verdict,
            &self.reasons,
            witness,
            &self.context,
            &mut rng(2),
        )
    }

    /// As a prover who does not check first.
    fn forge(&self) -> Presentation {
        let (compiled, witness) = (&self.compiled, &self.witness);
        prove_unchecked(
            compiled,
            self.verdict,
            &self.reasons,
            witness,
            &self.context,
            &mut rng(2),
        )
        .unwrap()
    }

    fn verify(&self, presentation: &Presentation) -> Result<(), PresentationError> {
        verify(presentation, &self.compiled, &self.world.keys(), self.now)
    }

    /// Signs again with every leaf's key, as the owner could after changing something.
    fn resign(&self, presentation: &mut Presentation) {
        let digest = presentation.digest();
        for presented in &mut presentation.attestations {
            let key = presented.attestation.leaf.key;
            let held = self
                .witness
                .held
                .iter()
                .find(|held| held.attestation.leaf.key == key);
            let held = held.expect("leaves shown are held");
            presented.holder_signature = bip340::sign(&held.key, &digest.0, &mut rng(3)).unwrap();
        }
    }

    fn changed(&self, edit: impl FnOnce(&mut Presentation)) -> Presentation {
        let mut presentation = honest().clone();
        edit(&mut presentation);
        self.resign(&mut presentation);
        presentation
    }
}

fn present_context(rng: &mut StdRng) -> PresentContext {
    let (secret, _) = keypair(rng);
    let secret = secp256k1::SecretKey::from_slice(&*secret).unwrap();
    PresentContext {
        audience: AUDIENCE.to_owned(),
        enquiry: None,
        nonces: nonces(rng),
        cnf: secret.public_key(secp256k1::SECP256K1).serialize().into(),
        ledger_salt: bytes32(rng),
    }
}

/// One stage for the tests that only change what is shown.
fn stage() -> &'static Stage {
    static STAGE: LazyLock<Stage> = LazyLock::new(Stage::yes);
    &STAGE
}

fn honest() -> &'static Presentation {
    static HONEST: LazyLock<Presentation> = LazyLock::new(|| stage().prove().unwrap());
    &HONEST
}

fn place(attribute: &str) -> usize {
    stage().compiled.fact_index(attribute).unwrap()
}

fn proof_error() -> Result<(), PresentationError> {
    Err(PresentationError::Statement(StatementError::Range))
}
