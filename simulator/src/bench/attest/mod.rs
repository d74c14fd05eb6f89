//! `bench attest`: attestations by four oracle processes for owners who ask as a profile does, against the curve
//! operations that each attestation needs; and what a batch of 10,000 leaves adds to one threshold signature.

mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contracts::attestation::Batch;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::units::Day;
use futures::future::join_all;
use rand::RngCore as _;
use rand::rngs::OsRng;

use self::network::{Asker, Network};
use super::frost::Bare;
use super::{Figure, bare, block_on, median};

const NAME: &str = "attest";
/// How long owners ask.
const ASKING: Duration = Duration::from_secs(20);
/// Questions under way at once.
const AT_ONCE: usize = 24;
/// Leaves of the large batch.
const LARGE: usize = 10_000;
/// Times the large batch is signed.
const ROUNDS: usize = 25;

pub fn run() -> Result<Vec<Figure>, String> {
    let mut figures = large_batch()?;
    figures.extend(block_on(rate())?);
    Ok(figures)
}

fn random() -> Bytes32 {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes.into()
}

/// Every signer of a quorum rebuilds the tree over 10,000 leaf hashes that it holds, then signs.
fn large_batch() -> Result<Vec<Figure>, String> {
    let bare = Bare::new(4)?;
    let hashes: Vec<Bytes32> = (0..LARGE).map(|_| random()).collect();
    let day = Day::from_ymd(2026, 11, 20).map_err(|error| error.to_string())?;
    let root = || {
        let batch = Batch::new(&hashes, &[]).map_err(|error| error.to_string());
        batch.map(|batch| batch.statement(Domain::Income, 1, day).message())
    };
    let message = root()?;
    let (mut ours, mut theirs, mut trees) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        bare.sign(|| root().unwrap_or_default())?;
        ours.push(began.elapsed().as_secs_f64() * 1e6);
        let began = Instant::now();
        bare.sign(|| message.clone())?;
        theirs.push(began.elapsed().as_secs_f64() * 1e6);
        let began = Instant::now();
        root()?;
        trees.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let against = "one bare FROST ceremony of the same signers";
    Ok(vec![
        Figure {
            bench: NAME,
            case: format!("{LARGE} leaves, 3 of 4 signers, one after the other"),
            metric: "signing_us",
            value: ours,
            ratio: Some(ours / theirs),
            against: Some(against),
        },
        Figure {
            bench: NAME,
            case: format!("{LARGE} leaves, one signer's tree"),
            metric: "tree_us",
            value: median(trees),
            ratio: None,
            against: None,
        },
    ])
}

/// Attestations per second, and the processor time of one in all processes together.
async fn rate() -> Result<Vec<Figure>, String> {
    let mut network = Network::start().await?;
    let askers = network.enrol().await?;
    // Once before, so that connections and caches are there.
    for asker in &askers {
        asker.ask(0).await?;
    }
    let next = Arc::new(AtomicU32::new(1));
    let (leaves, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let before = network.cpu()?;
    let began = Instant::now();
    let asking = (0..AT_ONCE).map(|at| {
        let asker: Option<Asker> = askers.get(at % askers.len().max(1)).cloned();
        let (next, leaves, asked) = (next.clone(), leaves.clone(), asked.clone());
        tokio::spawn(async move {
            let asker = asker.ok_or("nobody is enrolled")?;
            while began.elapsed() < ASKING {
                let got = asker.ask(next.fetch_add(1, Ordering::Relaxed)).await?;
                leaves.fetch_add(got, Ordering::Relaxed);
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, String>(())
        })
    });
    for done in join_all(asking).await {
        done.map_err(|error| error.to_string())??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let used = network.cpu()? - before;
    let (leaves, asked) = (
        leaves.load(Ordering::Relaxed) as f64,
        asked.load(Ordering::Relaxed),
    );
    let (batches, batch) = network.batches();
    network.end().await;

    let needed = bare::per_attestation(network::NODES, network::LEAVES, batch)?;
    let each = used.as_secs_f64() * 1e6 / leaves;
    let case = format!("4 nodes, {} leaves a question", network::LEAVES);
    let figure = |metric, value, ratio, against| Figure {
        bench: NAME,
        case: case.clone(),
        metric,
        value,
        ratio,
        against,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!(
        "{asked} questions, {batches} batches of {batch:.0} leaves each, {cores} cores, {:.1} of them in use",
        used.as_secs_f64() / seconds
    );
    for (name, micros) in &needed.parts {
        eprintln!("  needs {micros:>8.1} us  {name}");
    }
    let against = "processor time of the bare operations that an attestation needs";
    Ok(vec![
        figure("attestations_per_s", leaves / seconds, None, None),
        figure(
            "cpu_us_per_attestation",
            each,
            Some(needed.micros / each),
            Some(against),
        ),
        figure("bare_us_per_attestation", needed.micros, None, None),
        figure("leaves_per_batch", batch, None, None),
    ])
}
