//! An owner with attested leaves: the fact committees are single keys here, the decision and ledger committees real.

use std::collections::BTreeMap;

use contracts::attestation::{Batch, SignedRoot};
use contracts::bip340;
use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::{PEDERSEN, Point};
use contracts::ids::{Domain, NodeId, Verdict};
use contracts::issuance::{
    Blindings, EnrolSecrets, IssueContext, LeafRequest, Opening, build_leaf, purpose,
};
use contracts::leaf::{Leaf, PERSON};
use contracts::presentation::{Enquiry, Held, PresentContext, Presentation, Witness, prove};
use contracts::receipt::Entry;
use contracts::rules::{Compiled, Outcome, registry};
use contracts::trust::CommitteeKey;
use contracts::units::{Day, UnixTime};
use curve25519_dalek::scalar::Scalar;
use oracles::wire::decision::decided_at;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zeroize::Zeroizing;

/// The secret of the key that may use the tokens.
pub const CONFIRMATION: [u8; 32] = [3; 32];
/// 2026-11-20T12:00:00Z, when these tests happen.
pub const NOW: UnixTime = UnixTime(1_795_176_000);

/// The fact committees' keys.
pub struct Facts(Vec<(Domain, frost_secp256k1::SigningKey)>);

impl Facts {
    pub fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        Self(
            Domain::ALL
                .into_iter()
                .map(|domain| (domain, frost_secp256k1::SigningKey::new(&mut rng)))
                .collect(),
        )
    }

    /// Their public halves.
    pub fn public(&self) -> Vec<CommitteeKey> {
        self.0
            .iter()
            .map(|(domain, key)| CommitteeKey::fact(*domain, 1, &key.into()))
            .collect()
    }

    fn sign(&self, domain: Domain, leaves: &[Leaf], rng: &mut StdRng) -> (Batch, SignedRoot) {
        let hashes: Vec<Bytes32> = leaves.iter().map(Leaf::hash).collect();
        let dummies: Vec<Bytes32> = (0..Batch::dummies_for(leaves.len()))
            .map(|_| Bytes(rng.r#gen()))
            .collect();
        let batch = Batch::new(&hashes, &dummies).unwrap();
        let statement = batch.statement(domain, 1, NOW.day().unwrap());
        let (_, key) = self.0.iter().find(|(of, _)| *of == domain).unwrap();
        let signature = key.sign(&mut *rng, &statement.message());
        let signature = Bytes::from_slice(&signature.serialize().unwrap()).unwrap();
        let root = SignedRoot {
            statement,
            signature,
        };
        (batch, root)
    }
}

/// Leaves for one contract and state, ready to be shown.
pub struct Attested {
    compiled: Compiled,
    verdict: Verdict,
    reasons: Vec<String>,
    witness: Witness,
    pub audience: String,
}

impl Attested {
    /// The ledger entries of the roots that the leaves stand under.
    pub fn roots(&self) -> Vec<Entry> {
        let mut roots: Vec<Entry> = Vec::new();
        for held in &self.witness.held {
            let entry = held.attestation.root.entry();
            if !roots.contains(&entry) {
                roots.push(entry);
            }
        }
        roots
    }
}

/// A person.
pub struct Owner {
    /// Cents a month.
    pub income: i64,
    rng: StdRng,
    subject: Scalar,
    enrolment: EnrolSecrets,
}

fn value(attribute: &str, income: i64) -> i64 {
    match attribute {
        "identity.person" | "identity.medicaid_immigration_status" | "household.size" => 1,
        "identity.birth_date" => "1992-03-14".parse::<Day>().unwrap().number(),
        "residence.state" => 6,
        "income.magi_monthly" => income,
        _ => 0,
    }
}

impl Owner {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let subject = Scalar::random(&mut rng);
        let enrolment = EnrolSecrets::random(Scalar::random(&mut rng), &mut rng);
        Self {
            income: 61_237,
            rng,
            subject,
            enrolment,
        }
    }

    /// Has the facts of the adult group in a state attested for an audience.
    pub fn attest(&mut self, facts: &Facts, state: &str, audience: &str) -> Attested {
        let rng = &mut self.rng;
        let today = NOW.day().unwrap();
        let compiled = registry()
            .compile("us.medicaid.adult-group", &state.parse().unwrap(), today)
            .unwrap();
        let values: Vec<Option<i64>> = compiled
            .facts
            .iter()
            .map(|fact| Some(value(&fact.attribute.0, self.income)))
            .collect();
        let (verdict, reasons) = match compiled.evaluate(&values).verdict {
            Outcome::Yes => (Verdict::Yes, Vec::new()),
            Outcome::No { reasons } => (Verdict::No, reasons),
            Outcome::NeedsInfo { missing } => panic!("{missing:?}"),
        };
        let c_person = self.enrolment.points().unwrap().c_person;
        let mut leaves: BTreeMap<Domain, Vec<Leaf>> = BTreeMap::new();
        let mut held = Vec::new();
        for fact in &compiled.facts {
            let attribute = catalogue().get(&fact.attribute).unwrap();
            let person = fact.attribute.0 == PERSON;
            let (key, purpose_salt): ([u8; 32], _) = (rng.r#gen(), Bytes(rng.r#gen()));
            let blindings = Blindings::random(person, rng);
            let (r_value, r_known, r_subject, r_person) = blindings.points().unwrap();
            let request = LeafRequest {
                attribute: fact.attribute.clone(),
                period: fact.period,
                index: 0,
                key: bip340::public_key(&key).unwrap(),
                seal_key: Bytes(rng.r#gen()),
                purpose: purpose(&purpose_salt, &compiled.contract.hash, audience),
                r_value,
                r_known,
                r_subject,
                r_person,
                withheld: false,
            };
            let context = IssueContext {
                committee: attribute.domain,
                epoch: 1,
                nonces: vec![(NodeId::new(1).unwrap(), Bytes([1; 32]))],
                authorisation_key: bip340::public_key(&[5; 32]).unwrap(),
                request_id: Bytes([6; 32]),
                observed: today,
            };
            let r_d = *self.enrolment.subject_blinding(attribute.domain).unwrap();
            let s_d = Point::new(PEDERSEN.commit(self.subject, r_d)).unwrap();
            let value = value(&fact.attribute.0, self.income);
            let expires = today.plus(i64::from(attribute.freshness_days)).unwrap();
            let person = person.then_some(&c_person);
            let leaf = build_leaf(&context, &request, value, true, &s_d, person, expires).unwrap();
            leaves
                .entry(attribute.domain)
                .or_default()
                .push(leaf.clone());
            let opening = Opening {
                value,
                known: true,
                blindings,
            };
            held.push((leaf, purpose_salt, key, opening, r_d));
        }
        let batches: BTreeMap<Domain, (Batch, SignedRoot)> = leaves
            .iter()
            .map(|(domain, leaves)| (*domain, facts.sign(*domain, leaves, rng)))
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
            })
            .collect();
        Attested {
            compiled,
            verdict,
            reasons,
            witness: Witness {
                held,
                k: self.enrolment.k,
                person: self.enrolment.person,
            },
            audience: audience.to_owned(),
        }
    }

    /// Shows leaves to the nodes that gave these nonces, with `T`.
    pub fn present(&mut self, attested: &Attested, nonces: Vec<(NodeId, Bytes32)>) -> Presentation {
        self.show(attested, nonces, None)
    }

    /// The same without `T`, for an audience that keeps no cases.
    pub fn enquire(&mut self, attested: &Attested, nonces: Vec<(NodeId, Bytes32)>) -> Presentation {
        let enquiry = Enquiry::at(decided_at(&nonces), Bytes(self.rng.r#gen()));
        self.show(attested, nonces, Some(enquiry.unwrap()))
    }

    /// Shows leaves as an enquiry, or as a case.
    pub fn show(
        &mut self,
        attested: &Attested,
        nonces: Vec<(NodeId, Bytes32)>,
        enquiry: Option<Enquiry>,
    ) -> Presentation {
        let secret = secp256k1::SecretKey::from_slice(&CONFIRMATION).unwrap();
        let cnf = secp256k1::PublicKey::from_secret_key(secp256k1::SECP256K1, &secret);
        let context = PresentContext {
            audience: attested.audience.clone(),
            enquiry,
            nonces,
            cnf: Bytes(cnf.serialize()),
            ledger_salt: Bytes(self.rng.r#gen()),
        };
        prove(
            &attested.compiled,
            attested.verdict,
            &attested.reasons,
            &attested.witness,
            &context,
            &mut self.rng,
        )
        .unwrap()
    }
}
