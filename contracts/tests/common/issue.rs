//! People and the bundles of decisions about them, issued by the committees of the test world.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use contracts::attestation::{Batch, SignedRoot};
use contracts::bip340;
use contracts::bundle::Bundle;
use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::{PEDERSEN, Point};
use contracts::ids::{Domain, NodeId, Verdict};
use contracts::issuance::{
    Blindings, EnrolSecrets, IssueContext, LeafRequest, Opening, build_leaf, purpose,
};
use contracts::jwk::EcJwk;
use contracts::leaf::{Leaf, PERSON};
use contracts::presentation::{Enquiry, Held, PresentContext, Presentation, Witness, prove};
use contracts::receipt::{Entry, EntryKind};
use contracts::rules::{Compiled, Outcome, registry};
use contracts::token::{Cnf, DecisionClaims};
use contracts::units::{Day, UnixTime};
use curve25519_dalek::scalar::Scalar;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use zeroize::Zeroizing;

use crate::common::{AUDIENCE, ISSUER, Keys, NOW, ORIGIN};

pub const CONTRACT: &str = "us.medicaid.adult-group";
pub const SALT: Bytes32 = Bytes([9; 32]);

/// A Californian of 34 without children; income in cents a month.
pub fn value(attribute: &str, income: i64) -> i64 {
    match attribute {
        "identity.person" | "identity.medicaid_immigration_status" | "household.size" => 1,
        "identity.birth_date" => "1992-03-14".parse::<Day>().unwrap().number(),
        "residence.state" => 6,
        "income.magi_monthly" => income,
        _ => 0,
    }
}

pub fn compiled() -> Compiled {
    registry()
        .compile(CONTRACT, &"CA".parse().unwrap(), NOW.day().unwrap())
        .unwrap()
}

fn secret(rng: &mut StdRng) -> [u8; 32] {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    secret
}

fn attest(
    keys: &Keys,
    domain: Domain,
    day: Day,
    leaves: &[Leaf],
    rng: &mut StdRng,
) -> (Batch, SignedRoot) {
    let hashes: Vec<Bytes32> = leaves.iter().map(Leaf::hash).collect();
    let dummies: Vec<Bytes32> = (0..Batch::dummies_for(leaves.len()))
        .map(|_| Bytes(rng.r#gen()))
        .collect();
    let batch = Batch::new(&hashes, &dummies).unwrap();
    let statement = batch.statement(domain, keys.epoch, day);
    let (_, key) = keys.facts.iter().find(|(of, _)| *of == domain).unwrap();
    let signature = key.sign(&mut *rng, &statement.message());
    let signature = Bytes::from_slice(&signature.serialize().unwrap()).unwrap();
    (
        batch,
        SignedRoot {
            statement,
            signature,
        },
    )
}

/// Leaves of every fact of the contract, attested, with what opens them.
fn witness(keys: &Keys, compiled: &Compiled, values: &[Option<i64>], rng: &mut StdRng) -> Witness {
    let today = compiled.as_of;
    let subject = Scalar::random(rng);
    let enrolment = EnrolSecrets::random(Scalar::random(rng), rng);
    let c_person = enrolment.points().unwrap().c_person;
    let mut leaves: BTreeMap<Domain, Vec<Leaf>> = BTreeMap::new();
    let mut held = Vec::new();
    for (fact, known) in compiled.facts.iter().zip(values) {
        let attribute = catalogue().get(&fact.attribute).unwrap();
        let person = fact.attribute.0 == PERSON;
        let (key, purpose_salt) = (secret(rng), Bytes(rng.r#gen()));
        let blindings = Blindings::random(person, rng);
        let (r_value, r_known, r_subject, r_person) = blindings.points().unwrap();
        let request = LeafRequest {
            attribute: fact.attribute.clone(),
            period: fact.period,
            index: 0,
            key: bip340::public_key(&key).unwrap(),
            seal_key: Bytes(rng.r#gen()),
            purpose: purpose(&purpose_salt, &compiled.contract.hash, AUDIENCE),
            r_value,
            r_known,
            r_subject,
            r_person,
            withheld: false,
        };
        let context = IssueContext {
            committee: attribute.domain,
            epoch: keys.epoch,
            nonces: vec![(NodeId::new(1).unwrap(), Bytes([1; 32]))],
            authorisation_key: bip340::public_key(&[5; 32]).unwrap(),
            request_id: Bytes([6; 32]),
            observed: today,
        };
        let r_d = *enrolment.subject_blinding(attribute.domain).unwrap();
        let s_d = Point::new(PEDERSEN.commit(subject, r_d)).unwrap();
        let (value, known) = (known.unwrap_or(0), known.is_some());
        let expires = today.plus(i64::from(attribute.freshness_days)).unwrap();
        let person = person.then_some(&c_person);
        let leaf = build_leaf(&context, &request, value, known, &s_d, person, expires).unwrap();
        leaves
            .entry(attribute.domain)
            .or_default()
            .push(leaf.clone());
        let opening = Opening {
            value,
            known,
            blindings,
        };
        held.push((leaf, purpose_salt, key, opening, r_d));
    }
    let batches: BTreeMap<Domain, (Batch, SignedRoot)> = leaves
        .iter()
        .map(|(domain, leaves)| (*domain, attest(keys, *domain, today, leaves, rng)))
        .collect();
    let held = held
        .into_iter()
        .map(|(leaf, purpose_salt, key, opening, r_d)| {
            let (batch, root) = &batches[&leaf.committee];
            Held {
                attestation: batch.attestation(leaf, root.clone()).unwrap(),
                purpose_salt,
                key: Zeroizing::new(key),
                opening,
                subject_blinding: Zeroizing::new(r_d),
            }
        });
    Witness {
        held: held.collect(),
        k: enrolment.k,
        person: enrolment.person,
    }
}

/// The presentation of whatever follows from an income.
pub fn present(keys: &Keys, income: i64) -> Presentation {
    show(keys, income, None)
}

/// The same for an audience that keeps no cases.
pub fn enquire(keys: &Keys, income: i64) -> Presentation {
    show(
        keys,
        income,
        Some(Enquiry::at(NOW, Bytes([8; 32])).unwrap()),
    )
}

fn show(keys: &Keys, income: i64, enquiry: Option<Enquiry>) -> Presentation {
    let compiled = compiled();
    let values: Vec<Option<i64>> = compiled
        .facts
        .iter()
        .map(|fact| Some(value(&fact.attribute.0, income)))
        .collect();
    present_of(keys, &compiled, &values, enquiry).0
}

/// The presentation of whatever follows from values of a contract's facts, and what its owner knows.
pub fn present_of(
    keys: &Keys,
    compiled: &Compiled,
    values: &[Option<i64>],
    enquiry: Option<Enquiry>,
) -> (Presentation, Witness) {
    let mut rng = StdRng::from_seed([42; 32]);
    let (verdict, reasons) = match compiled.evaluate(values).verdict {
        Outcome::Yes => (Verdict::Yes, Vec::new()),
        Outcome::No { reasons } => (Verdict::No, reasons),
        Outcome::NeedsInfo { missing } => panic!("{missing:?}"),
    };
    let witness = witness(keys, compiled, values, &mut rng);
    let nonces = (1..=3).map(|n| (NodeId::new(n).unwrap(), Bytes([n as u8; 32])));
    let context = PresentContext {
        audience: AUDIENCE.to_owned(),
        enquiry,
        nonces: nonces.collect(),
        cnf: keys.cnf().jwk.to_compressed(),
        ledger_salt: SALT,
    };
    let shown = prove(compiled, verdict, &reasons, &witness, &context, &mut rng).unwrap();
    (shown, witness)
}

/// What the decision committee would sign for a presentation at noon of its day, which is [`NOW`] for most.
pub fn decide(presentation: &Presentation) -> DecisionClaims {
    let noon = UnixTime(presentation.as_of.start().0 + 12 * 3_600);
    DecisionClaims {
        iss: ISSUER.to_owned(),
        sub: presentation.subject(),
        aud: presentation.audience.clone(),
        iat: noon,
        exp: UnixTime(noon.0 + 45 * 86_400),
        jti: presentation.digest(),
        cnf: Cnf {
            jwk: EcJwk::from_compressed(&presentation.cnf).unwrap(),
        },
        contract: presentation.contract.clone(),
        jurisdiction: presentation.jurisdiction,
        as_of: presentation.as_of,
        verdict: presentation.verdict,
        reasons: presentation.reasons.clone(),
    }
}

/// The bundle of a presentation, with claims changed before they are recorded and signed.
pub fn bundle(
    keys: &Keys,
    presentation: Presentation,
    change: impl FnOnce(&mut DecisionClaims),
) -> Bundle {
    let mut decision = decide(&presentation);
    change(&mut decision);
    let entry = Entry::new(EntryKind::Decision, &presentation.ledger_salt, &decision);
    let receipt = keys.receipt(5, entry, 7);
    let token = keys.token(&decision.recorded_at(ORIGIN, 5));
    let roots = (20..).zip(presentation.roots());
    let roots = roots.map(|(index, root)| keys.receipt(index, root.entry(), 3));
    let roots = roots.collect();
    Bundle::new(presentation, token, receipt, roots)
}
