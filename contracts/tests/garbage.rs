//! Decoders of untrusted bytes: an error for garbage, never a panic, never more memory than is stated.
//!
//! Replays the corpus of `fuzz/` and bounded random and mutated runs over it; `GARBAGE_CASES` sets how many a target.
//! `WRITE_CORPUS=1` writes the seeds anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use common::{Keys, NOW, claims};
use contracts::encoding::to_jcs;
use contracts::openings::{LeafOpening, Openings};
use contracts::receipt::{Entry, EntryKind};
use contracts::rules::registry;
use contracts::status::StatusList;
use peak_alloc::PeakAlloc;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that reading one message may hold at a time, whatever it says: 24 times the longest that is read.
const MAX_MEMORY: usize = 8 << 20;
/// Most bytes of the messages tried here: somewhat more than the longest that is read.
const MAX_INPUT: usize = 320 << 10;

fn folder(target: &str) -> PathBuf {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
    PathBuf::from(corpus).join(target)
}

/// Real messages, by target.
fn seeds() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let keys = Keys::new(1);
    let entry = Entry {
        kind: EntryKind::Decision,
        commitment: contracts::encoding::Bytes([1; 32]),
    };
    let receipt = keys.receipt(2, entry, 2);
    let compiled = registry()
        .compile(
            "event.qualifying-disability",
            &"CA".parse().unwrap(),
            NOW.day().unwrap(),
        )
        .unwrap();
    let values = vec![Some(1); compiled.facts.len()];
    let (shown, witness) = issue::present_of(&keys, &compiled, &values, None);
    let held = &witness.held[0];
    let openings = LeafOpening::new(&held.attestation.leaf, &held.opening);
    let rule = include_str!("../rules/event.recovery.toml");
    let json = |value: &dyn erased::Json| value.json();
    let bundle = issue::bundle(&keys, shown.clone(), |_| ());
    BTreeMap::from([
        ("bundle", vec![bundle.to_bytes()]),
        ("presentation", vec![json(&shown)]),
        (
            "openings",
            vec![
                Openings::new(&shown, vec![openings]).to_bytes(),
                held.opening.to_bytes().to_vec(),
            ],
        ),
        (
            "token",
            vec![
                keys.token(&claims(&keys)).into_bytes(),
                json(&keys.jwks()),
                json(&keys.application(&claims(&keys))),
            ],
        ),
        ("trust", vec![json(&keys.trust())]),
        (
            "ledger",
            vec![
                entry.to_cbor(),
                receipt.checkpoint.clone().into_bytes(),
                json(&receipt),
            ],
        ),
        ("status", vec![StatusList::all_valid().compress().0]),
        (
            "proof",
            vec![
                [
                    shown
                        .slacks
                        .first()
                        .map_or(*shown.pseudonym.as_bytes(), |s| *s.as_bytes())
                        .as_slice(),
                    &shown.proof.0,
                ]
                .concat(),
            ],
        ),
        (
            "attested",
            vec![
                json(&held.attestation.leaf),
                json(&held.attestation),
                json(&held.attestation.root),
            ],
        ),
        ("contract", vec![rule.as_bytes().to_vec()]),
    ])
}

mod erased {
    /// Anything with a canonical JSON form.
    pub trait Json {
        fn json(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Vec<u8> {
            super::to_jcs(self).unwrap()
        }
    }
}

/// The committed corpus of every target.
static CORPUS: LazyLock<BTreeMap<&'static str, Vec<Vec<u8>>>> = LazyLock::new(|| {
    if std::env::var_os("WRITE_CORPUS").is_some() {
        for (target, seeds) in seeds() {
            fs::create_dir_all(folder(target)).unwrap();
            for (index, seed) in seeds.iter().enumerate() {
                fs::write(folder(target).join(format!("seed-{index}")), seed).unwrap();
            }
        }
    }
    let read = |(target, _): (&'static str, fn(&[u8]))| {
        let mut files: Vec<PathBuf> = fs::read_dir(folder(target))
            .unwrap_or_else(|error| panic!("{target}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        (
            target,
            files.iter().map(|file| fs::read(file).unwrap()).collect(),
        )
    };
    targets::ALL.into_iter().map(read).collect()
});

/// Runs a target and refuses what it held beyond [`MAX_MEMORY`]; one at a time, as memory is counted for the process.
fn run(target: fn(&[u8]), bytes: &[u8]) -> usize {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    target(bytes);
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        held <= MAX_MEMORY,
        "{held} bytes for an input of {}",
        bytes.len()
    );
    held
}

/// Builds what is built once per process, so that it is not counted.
fn warm() {
    for (name, target) in targets::ALL {
        CORPUS[name].iter().for_each(|seed| target(seed));
    }
}

fn cases() -> usize {
    let cases = std::env::var("GARBAGE_CASES").ok();
    cases.map_or(150, |cases| cases.parse().unwrap())
}

fn mutated(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[rng.gen_range(0..seeds.len())].clone();
    for _ in 0..rng.gen_range(1..6) {
        let at = rng.gen_range(0..bytes.len().max(1)).min(bytes.len());
        let to = rng.gen_range(at..=bytes.len());
        match rng.gen_range(0..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.insert(at, rng.r#gen()),
            3 => {
                let digits: Vec<u8> = (0..rng.gen_range(1..30)).map(|_| b'9').collect();
                bytes.splice(at..at, digits);
            }
            4 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let deep = vec![*b"[{(".get(rng.gen_range(0..3)).unwrap(); 300];
                bytes.splice(at..at, deep);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.gen_range(0..8);
                }
            }
        }
    }
    bytes.truncate(MAX_INPUT);
    bytes
}

#[test]
fn the_corpus_is_read_or_refused_in_peace() {
    warm();
    for (name, target) in targets::ALL {
        assert!(!CORPUS[name].is_empty(), "{name} has no seeds");
        for seed in &CORPUS[name] {
            run(target, seed);
        }
    }
}

#[test]
fn the_seeds_are_messages_that_are_read() {
    assert!(contracts::bundle::Bundle::parse(&CORPUS["bundle"][0]).is_ok());
    assert!(contracts::presentation::Presentation::parse(&CORPUS["presentation"][0]).is_ok());
    assert!(Openings::parse(&CORPUS["openings"][0]).is_ok());
    assert!(contracts::trust::Trust::parse(&CORPUS["trust"][0]).is_ok());
    assert!(Entry::from_cbor(&CORPUS["ledger"][0]).is_ok());
    let status = contracts::encoding::Blob(CORPUS["status"][0].clone());
    assert!(StatusList::decompress(&status).is_ok());
}

#[test]
fn mutated_messages_are_refused_in_peace() {
    warm();
    for (name, target) in targets::ALL {
        let mut rng = StdRng::seed_from_u64(name.len() as u64);
        for _ in 0..cases() {
            run(target, &mutated(&CORPUS[name], &mut rng));
        }
    }
}

#[test]
fn random_bytes_are_refused_in_peace() {
    warm();
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..cases() {
        let length = rng.gen_range(0..600);
        let bytes: Vec<u8> = (0..length).map(|_| rng.r#gen()).collect();
        for (_, target) in targets::ALL {
            run(target, &bytes);
        }
    }
}

#[test]
fn attack_messages_that_claim_or_repeat_much() {
    warm();
    let open = |byte: u8| vec![byte; MAX_INPUT];
    let mut messages = vec![
        open(b'['),
        open(b'{'),
        open(b'"'),
        open(b' '),
        open(b'9'),
        open(b'('),
        open(0xff),
        open(0),
    ];
    let many = |head: &str, item: &str, tail: &str| {
        let items = vec![item; (MAX_INPUT - 200) / (item.len() + 1)].join(",");
        format!("{head}{items}{tail}").into_bytes()
    };
    messages.push(many("{\"reasons\":[", "\"A\"", "]}"));
    messages.push(many("{\"version\":1,\"slacks\":[", "\"A\"", "]}"));
    messages.push(many("{\"version\":1,\"openings\":[", "{}", "]}"));
    messages.push(many(
        "{\"nonces\":[",
        "[1,\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]",
        "]}",
    ));
    // CBOR that claims 2⁶³ bytes, or a map of as many; a DEFLATE stream of zeros, which grows a thousand times.
    messages.push([&[0x7b, 0x7f][..], &[0xff; 7], b"ab"].concat());
    messages.push([&[0x5b, 0x7f][..], &[0xff; 7]].concat());
    messages.push([&[0xbb, 0x7f][..], &[0xff; 7]].concat());
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1_024 {
        // Piece by piece: memory is counted for the whole process.
        std::io::Write::write_all(&mut zeros, &[0; 64 << 10]).unwrap();
    }
    messages.push(zeros.finish().unwrap());
    for message in &messages {
        for (_, target) in targets::ALL {
            run(target, message);
        }
    }
}
