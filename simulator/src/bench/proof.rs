//! `bench proof`: the statement of every contract and verdict against the range proof inside it.
//!
//! The reference is the library's own aggregated range proof of as many values (after padding) of the same width: what
//! any proof of so many inequalities costs before it says what they are about. Runs of both are interleaved.

use std::hint::black_box;
use std::time::Instant;

use bulletproofs::{BulletproofGens, PedersenGens, RangeProof};
use contracts::presentation::{
    self, Presentation, PresentationError, Witness, pseudonym_base, shape,
};
use contracts::statement::{self, Claim, Commitments, LeafSecret, Public, Secrets, Shape};
use contracts::units::UnixTime;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::Figure;
use super::fixture::{Committees, Error, Person, people, present_context};

const BENCH: &str = "proof";
const BARE: &str = "bare aggregated RangeProof, same n·m";
const BARE_BYTES: &str = "bare aggregated RangeProof with its commitments, same n·m";
const SINGLY: &str = "the same ones verified one by one";
/// The contract whose presentations are verified in batches.
const BATCHED: &str = "us.medicaid.adult-group/YES";
const BATCHES: [usize; 3] = [1, 16, 256];
/// Runs of which the quickest counts.
const RUNS: usize = 9;
/// Runs of a batch: a batch is an average already.
const BATCH_RUNS: usize = 5;

/// Measures every contract that the state offers, then batches.
///
/// # Errors
/// What kept it from being set up: a case file, or a proof that does not verify.
pub fn run() -> Result<Vec<Figure>, String> {
    measure().map_err(|error| error.to_string())
}

fn measure() -> Result<Vec<Figure>, Error> {
    let mut rng = StdRng::from_entropy();
    let committees = Committees::new(&mut rng);
    let mut bench = Measure {
        generators: BulletproofGens::new(64, statement::MAX_SLOTS),
        committees: &committees,
        figures: Vec::new(),
    };
    let people = people()?;
    for person in &people {
        bench.contract(person, &mut rng)?;
    }
    if let Some(person) = people.iter().find(|person| person.name == BATCHED) {
        bench.batches(person, &mut rng)?;
    }
    Ok(bench.figures)
}

/// Seconds that one thing took, over several runs.
#[derive(Default)]
struct Samples(Vec<f64>);

impl Samples {
    /// Runs and times once.
    fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.0.push(start.elapsed().as_secs_f64());
        result
    }

    /// The least of the runs: whatever else the machine does only adds.
    fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The least in microseconds of one of `each`.
    fn micros(&self, each: usize) -> f64 {
        (self.least() * 1e6 / each as f64).round()
    }

    /// Our least over a reference's.
    fn ratio(&self, reference: &Self) -> f64 {
        self.least() / reference.least()
    }
}

/// A statement with its witness, apart from what a presentation binds around it.
struct Stated {
    shape: Shape,
    public: Public,
    secrets: Secrets,
}

impl Stated {
    fn new(person: &Person, witness: &Witness, audience: &str) -> Result<Self, Error> {
        let leaves = || witness.held.iter().map(|held| &held.attestation.leaf);
        let base = pseudonym_base(audience);
        let person_leaf = leaves().find_map(|leaf| leaf.c_person);
        let person_blinding = witness.held.iter().find_map(|h| h.opening.blindings.person);
        let secret = |held: &presentation::Held| LeafSecret {
            value: held.opening.value,
            known: held.opening.known,
            value_blinding: held.opening.blindings.value,
            known_blinding: held.opening.blindings.known,
            subject_blinding: *held.subject_blinding + held.opening.blindings.subject,
        };
        Ok(Self {
            shape: shape(&person.compiled, person.verdict, &person.reasons)?,
            public: Public {
                leaves: leaves()
                    .map(|leaf| Commitments {
                        value: leaf.c_value,
                        known: leaf.c_known,
                        subject: leaf.c_subject,
                    })
                    .collect(),
                person: person_leaf.ok_or("no identity.person leaf")?,
                pseudonym: contracts::group::Point::new(witness.k * base)?,
                base,
            },
            secrets: Secrets {
                leaves: witness.held.iter().map(secret).collect(),
                k: witness.k,
                person_blinding: witness.person + person_blinding.ok_or("no person blinding")?,
            },
        })
    }

    fn prove(&self, rng: &mut StdRng) -> Result<Proof, statement::StatementError> {
        let mut transcript = transcript();
        statement::prove(
            &mut transcript,
            &self.shape,
            &self.public,
            &self.secrets,
            rng,
        )
    }

    fn verify(&self, (slacks, proof): &Proof) -> Result<(), statement::StatementError> {
        statement::verify(&mut transcript(), &self.shape, &self.public, slacks, proof)
    }

    fn claim<'a>(&'a self, (slacks, proof): &'a Proof) -> Claim<'a> {
        Claim {
            transcript: transcript(),
            shape: &self.shape,
            public: &self.public,
            slacks,
            proof,
        }
    }
}

type Proof = (Vec<contracts::group::Point>, Vec<u8>);

fn transcript() -> Transcript {
    Transcript::new(b"bench")
}

/// The reference: values of the same width, as many.
struct Bare<'a> {
    generators: &'a BulletproofGens,
    pedersen: PedersenGens,
    values: Vec<u64>,
    blindings: Vec<Scalar>,
    bits: usize,
}

impl<'a> Bare<'a> {
    /// None for a statement without inequalities.
    fn new(shape: &Shape, generators: &'a BulletproofGens, rng: &mut StdRng) -> Option<Self> {
        let (count, bits) = (shape.padded(), usize::from(shape.bits()));
        (count > 0).then(|| Self {
            generators,
            pedersen: PedersenGens::default(),
            values: (0..count).map(|_| rng.next_u64() >> (64 - bits)).collect(),
            blindings: (0..count).map(|_| Scalar::random(rng)).collect(),
            bits,
        })
    }

    fn prove(
        &self,
        rng: &mut StdRng,
    ) -> Result<(RangeProof, Vec<CompressedRistretto>), bulletproofs::ProofError> {
        RangeProof::prove_multiple_with_rng(
            self.generators,
            &self.pedersen,
            &mut transcript(),
            &self.values,
            &self.blindings,
            self.bits,
            rng,
        )
    }

    fn verify(
        &self,
        bytes: &[u8],
        commitments: &[CompressedRistretto],
    ) -> Result<(), bulletproofs::ProofError> {
        RangeProof::from_bytes(bytes)?.verify_multiple(
            self.generators,
            &self.pedersen,
            &mut transcript(),
            commitments,
            self.bits,
        )
    }
}

struct Measure<'a> {
    generators: BulletproofGens,
    committees: &'a Committees,
    figures: Vec<Figure>,
}

impl Measure<'_> {
    fn contract(&mut self, person: &Person, rng: &mut StdRng) -> Result<(), Error> {
        let witness = self.committees.issue(person, rng)?;
        let context = present_context(rng)?;
        let stated = Stated::new(person, &witness, &context.audience)?;
        let bare = Bare::new(&stated.shape, &self.generators, rng);
        let (keys, now) = (self.committees.keys(), noon(person));

        let [
            mut prove,
            mut verify,
            mut bare_prove,
            mut bare_verify,
            mut present,
            mut check,
        ] = <[Samples; 6]>::default();
        let mut bytes = [0; 3];
        for _ in 0..RUNS {
            let proof = prove.time(|| stated.prove(rng))?;
            let reference = match &bare {
                Some(bare) => {
                    let (proof, commitments) = bare_prove.time(|| bare.prove(rng))?;
                    Some((bare, proof.to_bytes(), commitments))
                }
                None => None,
            };
            verify.time(|| stated.verify(&proof))?;
            if let Some((bare, proof, commitments)) = &reference {
                bare_verify.time(|| bare.verify(proof, commitments))?;
            }
            let shown = present.time(|| {
                let (verdict, reasons) = (person.verdict, &person.reasons);
                presentation::prove(&person.compiled, verdict, reasons, &witness, &context, rng)
            })?;
            check.time(|| presentation::verify(&shown, &person.compiled, &keys, now))?;
            bytes = [
                proof.1.len() + 32 * proof.0.len(),
                serde_json::to_vec(&shown)?.len(),
                reference.map_or(0, |(_, proof, points)| proof.len() + 32 * points.len()),
            ];
        }
        let [proof_bytes, whole_bytes, bare_bytes] = bytes;
        let against = |text| bare.as_ref().map(|_| text);
        let prove_ratio = bare.as_ref().map(|_| prove.ratio(&bare_prove));
        let verify_ratio = bare.as_ref().map(|_| verify.ratio(&bare_verify));
        let bytes_ratio = bare
            .as_ref()
            .map(|_| proof_bytes as f64 / bare_bytes as f64);
        let figures = [
            ("prove_us", prove.micros(1), prove_ratio, against(BARE)),
            ("verify_us", verify.micros(1), verify_ratio, against(BARE)),
            (
                "proof_bytes",
                proof_bytes as f64,
                bytes_ratio,
                against(BARE_BYTES),
            ),
            ("presentation_bytes", whole_bytes as f64, None, None),
            ("presentation_prove_us", present.micros(1), None, None),
            ("presentation_verify_us", check.micros(1), None, None),
        ];
        for (metric, value, ratio, against) in figures {
            self.figure(person.name.clone(), metric, value, ratio, against);
        }
        Ok(())
    }

    fn figure(
        &mut self,
        case: String,
        metric: &'static str,
        value: f64,
        ratio: Option<f64>,
        against: Option<&'static str>,
    ) {
        self.figures.push(Figure {
            bench: BENCH,
            case,
            metric,
            value,
            ratio: ratio.map(|ratio| (ratio * 1000.0).round() / 1000.0),
            against,
        });
    }

    /// Times are of one proof or presentation; the witness is the same in all, everything drawn for a proof is not.
    fn batches(&mut self, person: &Person, rng: &mut StdRng) -> Result<(), Error> {
        let largest = BATCHES.into_iter().max().unwrap_or_default();
        let witness = self.committees.issue(person, rng)?;
        let audience = present_context(rng)?.audience;
        let stated = Stated::new(person, &witness, &audience)?;
        let mut proofs = Vec::with_capacity(largest);
        let mut presentations = Vec::with_capacity(largest);
        for _ in 0..largest {
            proofs.push(stated.prove(rng)?);
            let (compiled, context) = (&person.compiled, present_context(rng)?);
            let (verdict, reasons) = (person.verdict, &person.reasons);
            presentations.push(presentation::prove(
                compiled, verdict, reasons, &witness, &context, rng,
            )?);
        }
        for size in BATCHES {
            let (mut alone, mut together) = <(Samples, Samples)>::default();
            let claims: Vec<_> = proofs.iter().take(size).map(|p| stated.claim(p)).collect();
            for _ in 0..BATCH_RUNS {
                let proofs = proofs.iter().take(size);
                alone.time(|| proofs.clone().try_for_each(|p| stated.verify(p)))?;
                let results = together.time(|| statement::verify_batch(&claims, rng));
                black_box(results).into_iter().collect::<Result<(), _>>()?;
            }
            let (value, ratio) = (together.micros(size), together.ratio(&alone));
            let case = format!("{}/{size}", person.name);
            self.figure(case, "batch_verify_us", value, Some(ratio), Some(SINGLY));
        }
        let (keys, now) = (self.committees.keys(), noon(person));
        for size in BATCHES {
            let (mut alone, mut together) = <(Samples, Samples)>::default();
            let batch: Vec<(&Presentation, _)> = presentations
                .iter()
                .take(size)
                .map(|one| (one, &person.compiled))
                .collect();
            for _ in 0..BATCH_RUNS {
                alone.time(|| {
                    let mut batch = batch.iter();
                    batch.try_for_each(|(one, compiled)| {
                        presentation::verify(one, compiled, &keys, now)
                    })
                })?;
                let results = together.time(|| presentation::verify_batch(&batch, &keys, now, rng));
                let all: Result<(), PresentationError> = results.into_iter().collect();
                all?;
            }
            let (value, ratio) = (together.micros(size), together.ratio(&alone));
            let case = format!("{}/{size}", person.name);
            self.figure(
                case,
                "presentation_batch_verify_us",
                value,
                Some(ratio),
                Some(SINGLY),
            );
        }
        Ok(())
    }
}

/// Noon of the as-of day.
fn noon(person: &Person) -> UnixTime {
    UnixTime(person.compiled.as_of.start().0 + 12 * 3_600)
}
