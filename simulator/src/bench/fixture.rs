//! People of `fixtures/cases` with attested leaves of every fact, made by the same calls that owners and oracles make.

use std::collections::BTreeMap;
use std::fs;

use contracts::attestation::{AttestationKey, Batch, SignedRoot};
use contracts::bip340;
use contracts::catalogue::{Unit, catalogue};
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::{PEDERSEN, Point};
use contracts::ids::{AttributeId, Domain, Jurisdiction, NodeId, Verdict};
use contracts::issuance::{
    Blindings, EnrolSecrets, IssueContext, LeafRequest, Opening, build_leaf, purpose,
};
use contracts::leaf::{Leaf, PERSON};
use contracts::presentation::{Held, PresentContext, Witness};
use contracts::rules::{Compiled, Outcome, registry};
use contracts::units::Day;
use curve25519_dalek::scalar::Scalar;
use frost_secp256k1::{SigningKey, VerifyingKey};
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use serde::Deserialize;
use toml::Value;
use zeroize::Zeroizing;

/// Why there is nothing to measure.
pub type Error = Box<dyn std::error::Error>;

/// The state whose rules are measured.
const STATE: &str = "CA";
/// The audience of every presentation.
const AUDIENCE: &str = "us.ca.dhcs";
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases");

type Facts = BTreeMap<String, Value>;

#[derive(Deserialize)]
struct File {
    state: Jurisdiction,
    as_of: Day,
    base: Facts,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    state: Option<Jurisdiction>,
    as_of: Option<Day>,
    #[serde(default)]
    facts: Facts,
}

/// Somebody about whom a contract says YES or NO.
pub struct Person {
    /// The contract's file and the verdict, such as `us.medicaid.adult-group/YES`.
    pub name: String,
    pub compiled: Compiled,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub values: Vec<Option<i64>>,
}

/// For each contract that the state offers, the first case of its file that gets a YES and the first that gets a NO.
pub fn people() -> Result<Vec<Person>, Error> {
    let state: Jurisdiction = STATE.parse()?;
    let mut people = Vec::new();
    for (contract, _) in registry().iter() {
        let file = contract.file.as_str();
        let stem = file.strip_suffix(".toml").unwrap_or(file);
        let text = fs::read_to_string(format!("{CASES}/{stem}.toml"))
            .map_err(|error| format!("{CASES}/{stem}.toml: {error}"))?;
        let cases: File = toml::from_str(&text)?;
        let Ok(compiled) = registry().compile(&contract.id, &state, cases.as_of) else {
            eprintln!("{stem}: not offered in {STATE} on {}", cases.as_of);
            continue;
        };
        for wanted in [Verdict::Yes, Verdict::No] {
            let same_day = cases.case.iter().filter(|case| case.as_of.is_none());
            let found = same_day.into_iter().find_map(|case| {
                let home = case.state.unwrap_or(cases.state);
                let values = values(&compiled, &cases.base, &case.facts, (home, state));
                match compiled.evaluate(&values).verdict {
                    Outcome::Yes if wanted == Verdict::Yes => Some((values, Vec::new())),
                    Outcome::No { reasons } if wanted == Verdict::No => Some((values, reasons)),
                    _ => None,
                }
            });
            let Some((values, reasons)) = found else {
                eprintln!("{stem}: no case that gets a {wanted} in {STATE}");
                continue;
            };
            people.push(Person {
                name: format!("{stem}/{wanted}"),
                compiled: compiled.clone(),
                verdict: wanted,
                reasons,
                values,
            });
        }
    }
    Ok(people)
}

/// The values of a case, moved from the state in which it plays to another; those of an earlier period are written `before income.magi_monthly`.
fn values(
    compiled: &Compiled,
    base: &Facts,
    case: &Facts,
    (home, state): (Jurisdiction, Jurisdiction),
) -> Vec<Option<i64>> {
    let value = |fact: &contracts::rules::Fact| {
        let id = &fact.attribute.0;
        let mut periods = compiled.facts.iter().filter(|f| f.attribute.0 == *id);
        let earlier = periods.any(|other| other.period > fact.period);
        let key = if earlier {
            format!("before {id}")
        } else {
            id.clone()
        };
        let value = integer(&fact.attribute, case.get(&key).or(base.get(&key))?)?;
        let at_home = id == "residence.state" && value == i64::from(home.fips());
        Some(if at_home {
            i64::from(state.fips())
        } else {
            value
        })
    };
    compiled.facts.iter().map(value).collect()
}

/// A fact as people write it: a date, `$1,835.40`, a state, true, a number; none for "unknown".
fn integer(id: &AttributeId, value: &Value) -> Option<i64> {
    match (value, catalogue().get(id)?.unit) {
        (Value::Boolean(flag), Unit::Flag) => Some(i64::from(*flag)),
        (Value::Integer(number), _) => Some(*number),
        (Value::String(text), Unit::Days) => Some(text.parse::<Day>().ok()?.number()),
        (Value::String(text), Unit::Code) => {
            Some(i64::from(text.parse::<Jurisdiction>().ok()?.fips()))
        }
        (Value::String(text), Unit::Cents) => {
            let digits = text.strip_prefix('$')?.replace(',', "");
            let (dollars, cents) = digits.split_once('.').unwrap_or((&digits, "00"));
            Some(dollars.parse::<i64>().ok()? * 100 + cents.parse::<i64>().ok()?)
        }
        _ => None,
    }
}

/// The fact committees. A threshold signature is a plain one under the group's key, so one holder of each key will do.
pub struct Committees(BTreeMap<Domain, SigningKey>);

impl Committees {
    pub fn new(rng: &mut StdRng) -> Self {
        Self(
            Domain::ALL
                .map(|domain| (domain, SigningKey::new(rng)))
                .into(),
        )
    }

    pub fn keys(&self) -> BTreeMap<(Domain, u64), AttestationKey> {
        let keys = self.0.iter();
        keys.map(|(domain, key)| ((*domain, 1), VerifyingKey::from(key).into()))
            .collect()
    }

    fn attest(
        &self,
        domain: Domain,
        day: Day,
        leaves: &[Leaf],
        rng: &mut StdRng,
    ) -> Result<(Batch, SignedRoot), Error> {
        let hashes: Vec<Bytes32> = leaves.iter().map(Leaf::hash).collect();
        let dummies: Vec<Bytes32> = (0..Batch::dummies_for(leaves.len()))
            .map(|_| Bytes(rng.r#gen()))
            .collect();
        let batch = Batch::new(&hashes, &dummies)?;
        let statement = batch.statement(domain, 1, day);
        let key = self.0.get(&domain).ok_or("no such committee")?;
        let signature = key.sign(&mut *rng, &statement.message());
        let signature = Bytes::from_slice(&signature.serialize()?)?;
        Ok((
            batch,
            SignedRoot {
                statement,
                signature,
            },
        ))
    }

    /// Attested leaves of every fact of a person's contract, with all that opens them.
    pub fn issue(&self, person: &Person, rng: &mut StdRng) -> Result<Witness, Error> {
        let compiled = &person.compiled;
        let day = compiled.as_of;
        let subject = Scalar::random(rng);
        let enrolment = EnrolSecrets::random(Scalar::random(rng), rng);
        let c_person = enrolment.points()?.c_person;
        let mut leaves: BTreeMap<Domain, Vec<Leaf>> = BTreeMap::new();
        let mut held = Vec::new();
        for (fact, value) in compiled.facts.iter().zip(&person.values) {
            let attribute = catalogue().get(&fact.attribute).ok_or("no such fact")?;
            let domain = attribute.domain;
            let is_person = fact.attribute.0 == PERSON;
            let (key, purpose_salt) = (secret(rng), Bytes(rng.r#gen()));
            let blindings = Blindings::random(is_person, rng);
            let (r_value, r_known, r_subject, r_person) = blindings.points()?;
            let request = LeafRequest {
                attribute: fact.attribute.clone(),
                period: fact.period,
                index: 0,
                key: bip340::public_key(&key)?,
                seal_key: Bytes(rng.r#gen()),
                purpose: purpose(&purpose_salt, &compiled.contract.hash, AUDIENCE),
                r_value,
                r_known,
                r_subject,
                r_person,
                withheld: false,
            };
            let context = IssueContext {
                committee: domain,
                epoch: 1,
                nonces: vec![(NodeId::new(1)?, Bytes(rng.r#gen()))],
                authorisation_key: bip340::public_key(&secret(rng))?,
                request_id: Bytes(rng.r#gen()),
                observed: day,
            };
            let r_d = *enrolment.subject_blinding(domain).ok_or("no such domain")?;
            let s_d = Point::new(PEDERSEN.commit(subject, r_d))?;
            let (number, known) = (value.unwrap_or(0), value.is_some());
            let expires = day.plus(i64::from(attribute.freshness_days))?;
            let c_person = is_person.then_some(&c_person);
            let leaf = build_leaf(&context, &request, number, known, &s_d, c_person, expires)?;
            leaves.entry(domain).or_default().push(leaf.clone());
            let opening = Opening {
                value: number,
                known,
                blindings,
            };
            held.push((leaf, purpose_salt, key, opening, r_d));
        }
        let mut batches = BTreeMap::new();
        for (domain, leaves) in &leaves {
            batches.insert(*domain, self.attest(*domain, day, leaves, rng)?);
        }
        let mut witness = Witness {
            held: Vec::new(),
            k: enrolment.k,
            person: enrolment.person,
        };
        for (leaf, purpose_salt, key, opening, r_d) in held {
            let (batch, root) = batches.get(&leaf.committee).ok_or("no batch")?;
            witness.held.push(Held {
                attestation: batch
                    .attestation(leaf, root.clone())
                    .ok_or("not in the batch")?,
                purpose_salt,
                key: Zeroizing::new(key),
                opening,
                subject_blinding: Zeroizing::new(r_d),
            });
        }
        Ok(witness)
    }
}

fn secret(rng: &mut StdRng) -> [u8; 32] {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    secret
}

/// What the owner chooses anew for every presentation.
pub fn present_context(rng: &mut StdRng) -> Result<PresentContext, Error> {
    let mut nonces = Vec::new();
    for node in 1..=3 {
        nonces.push((NodeId::new(node)?, Bytes(rng.r#gen())));
    }
    let cnf = secp256k1::SecretKey::from_slice(&secret(rng))?;
    Ok(PresentContext {
        audience: AUDIENCE.to_owned(),
        enquiry: None,
        nonces,
        cnf: cnf.public_key(secp256k1::SECP256K1).serialize().into(),
        ledger_salt: Bytes(rng.r#gen()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_contract_of_the_state_has_somebody_for_each_verdict() {
        let people = people().unwrap();
        let has = |name: String| people.iter().any(|person| person.name == name);
        let state = STATE.parse().unwrap();
        let mut contracts = 0;
        for (contract, _) in registry().iter() {
            let day = "2026-11-20".parse::<Day>().unwrap().max(contract.from);
            if registry().compile(&contract.id, &state, day).is_ok() {
                let stem = contract.file.strip_suffix(".toml").unwrap();
                for verdict in [Verdict::Yes, Verdict::No] {
                    assert!(has(format!("{stem}/{verdict}")), "{stem}/{verdict}");
                }
                contracts += 1;
            }
        }
        assert!(contracts > 20, "{contracts}");
    }

    #[test]
    fn a_person_of_the_bench_is_proved_and_verified() {
        let mut rng = StdRng::seed_from_u64(1);
        let committees = Committees::new(&mut rng);
        let people = people().unwrap();
        let person = people.first().unwrap();
        let witness = committees.issue(person, &mut rng).unwrap();
        let shown = contracts::presentation::prove(
            &person.compiled,
            person.verdict,
            &person.reasons,
            &witness,
            &present_context(&mut rng).unwrap(),
            &mut rng,
        )
        .unwrap();
        let now = contracts::units::UnixTime(person.compiled.as_of.start().0 + 3_600);
        let keys = committees.keys();
        contracts::presentation::verify(&shown, &person.compiled, &keys, now).unwrap();
    }
}
