//! `bench decide`: whole private decisions, from the owner's question over sources, attestations and proof to a token, by
//! the processes of the demo; which share of their processor time is cryptography; and what a profile that nobody asks
//! about takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use contracts::ids::{Verdict, quorum};
use contracts::presentation;
use contracts::units::UnixTime;
use futures::future::try_join_all;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::cpu::{self, micros};
use super::fixture::{Committees, people, present_context};
use super::frost::Bare;
use super::{Figure, bare, block_on};
use crate::demo::decisions::Decisions;
use crate::demo::folder::Folder;
use crate::demo::{CONTRACT, DemoOptions, ORACLES};

const NAME: &str = "decide";
/// How long is asked.
const ASKING: Duration = Duration::from_secs(30);
/// Questions under way at once.
const AT_ONCE: usize = 8;
/// Profiles that nobody asks about.
const IDLE: usize = 1_000;
/// Seconds of a month of 30 days.
const MONTH: f64 = 30.0 * 86_400.0;

pub fn run() -> Result<Vec<Figure>, String> {
    block_on(measure())
}

/// What was used up so far.
struct Used {
    cpu: Duration,
    leaves: i64,
    signatures: u64,
    calls: BTreeMap<String, u64>,
}

async fn used(decisions: &Decisions<'_>) -> Result<Used, String> {
    let mut sum = Duration::ZERO;
    for process in decisions.processes() {
        sum += cpu::used(&process.to_string())?;
    }
    Ok(Used {
        cpu: sum,
        leaves: leaves(decisions).await?,
        signatures: decisions.ceremonies().await?,
        calls: decisions.peer_calls().await?,
    })
}

/// Attested leaves that the profile service holds.
async fn leaves(decisions: &Decisions<'_>) -> Result<i64, String> {
    let options = SqliteConnectOptions::new()
        .filename(decisions.database())
        .read_only(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await;
    let pool = pool.map_err(|error| error.to_string())?;
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM attestation")
        .fetch_one(&pool)
        .await
        .map_err(|error| error.to_string())?;
    pool.close().await;
    Ok(count)
}

async fn measure() -> Result<Vec<Figure>, String> {
    let folder = Folder::open(None).map_err(|error| error.to_string())?;
    let options = DemoOptions {
        aside: true,
        ..DemoOptions::default()
    };
    let started = Decisions::start(&options, &folder).await;
    let mut decisions = started.map_err(|error| error.to_string())?;
    let measured = over(&decisions).await;
    decisions.end().await;
    measured
}

async fn over(decisions: &Decisions<'_>) -> Result<Vec<Figure>, String> {
    // Once before, so that connections and caches are there.
    for number in 0..decisions.people() {
        decisions.decide(number).await?;
    }
    let next = AtomicUsize::new(0);
    let (yes, no) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let before = used(decisions).await?;
    let began = Instant::now();
    let askers = (0..AT_ONCE).map(|_| async {
        while began.elapsed() < ASKING {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let count = match decisions.decide(number).await? {
                Verdict::Yes => &yes,
                Verdict::No => &no,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, String>(())
    });
    try_join_all(askers).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = used(decisions).await?;
    let (yes, no) = (yes.into_inner() as f64, no.into_inner() as f64);
    let decided = yes + no;
    let each = (after.cpu - before.cpu).as_secs_f64() * 1e6 / decided;
    let leaves = (after.leaves - before.leaves) as f64 / decided;
    let signatures = (after.signatures - before.signatures) as f64 / decided;
    let calls = after.calls.iter().map(|(topic, calls)| {
        let earlier = before.calls.get(topic).copied().unwrap_or(0);
        (topic, (calls - earlier) as f64 / decided)
    });
    let calls_by_topic: Vec<(&String, f64)> = calls.collect();
    let calls: f64 = calls_by_topic.iter().map(|(_, calls)| calls).sum();

    let mut parts = needed(yes / decided, leaves, signatures)?;
    let of_calls = calls * bare::peer_call()?;
    parts.push(("nodes: what they tell each other".to_owned(), of_calls));
    let crypto: f64 = parts.iter().map(|(_, micros)| micros).sum();
    eprintln!(
        "{yes} YES, {no} NO, a decision took {leaves:.1} leaves, {signatures:.1} threshold signatures and {calls:.0} calls between nodes"
    );
    for (topic, calls) in calls_by_topic {
        eprintln!("  calls {calls:>10.1}     {topic}");
    }
    for (name, micros) in &parts {
        eprintln!("  needs {micros:>10.1} us  {name}");
    }
    let (memory, disk) = idle(decisions).await?;

    let case = format!("{CONTRACT}, {ORACLES} oracles");
    let figure = |metric, value, ratio, against| Figure {
        bench: NAME,
        case: case.clone(),
        metric,
        value,
        ratio,
        against,
    };
    let against = "processor time of all processes but the caller's";
    Ok(vec![
        figure("decisions_per_s", decided / seconds, None, None),
        figure("cpu_us_per_decision", each, None, None),
        figure(
            "crypto_us_per_decision",
            crypto,
            Some(crypto / each),
            Some(against),
        ),
        figure("cores_for_a_million_a_month", each / MONTH, None, None),
        figure("idle_profile_memory_bytes", memory, None, None),
        figure("idle_profile_disk_bytes", disk, None, None),
    ])
}

/// The cryptography of one decision by the libraries alone: leaves as `bench attest` counts them, the statement proved and
/// checked by its owner, checked by a quorum of decision nodes, and every threshold signature made on the way.
fn needed(yes: f64, leaves: f64, signatures: f64) -> Result<Vec<(String, f64)>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut rng = StdRng::from_entropy();
    let committees = Committees::new(&mut rng);
    let keys = committees.keys();
    let everybody = people().map_err(|error| text(&error))?;
    let mut parts = Vec::new();
    for (verdict, share) in [(Verdict::Yes, yes), (Verdict::No, 1.0 - yes)] {
        let name = format!("{CONTRACT}/{verdict}");
        let person = everybody.iter().find(|person| person.name == name);
        let person = person.ok_or_else(|| format!("no case {name}"))?;
        let witness = committees
            .issue(person, &mut rng)
            .map_err(|error| text(&error))?;
        let context = present_context(&mut rng).map_err(|error| text(&error))?;
        let mut prove = || {
            let (compiled, reasons) = (&person.compiled, &person.reasons);
            presentation::prove(compiled, verdict, reasons, &witness, &context, &mut rng)
        };
        let shown = prove().map_err(|error| text(&error))?;
        let proving = micros(&mut prove)?;
        let now = UnixTime(person.compiled.as_of.start().0 + 12 * 3_600);
        let checking = micros(|| presentation::verify(&shown, &person.compiled, &keys, now))?;
        let checks = 1.0 + f64::from(quorum(ORACLES));
        parts.push((format!("owner: {verdict} proved"), share * proving));
        parts.push((
            format!("owner, nodes: {verdict} verified"),
            share * checks * checking,
        ));
        if verdict == Verdict::Yes {
            let facts = &person.compiled.facts;
            let domains: BTreeSet<_> = facts
                .iter()
                .map(|fact| fact.attribute.0.split('.').next())
                .collect();
            let request = (leaves.ceil() as usize).div_ceil(domains.len().max(1));
            // Its ceremony is counted with the others.
            let leaf = bare::per_attestation(ORACLES, request.max(1), f64::INFINITY)?;
            parts.push((
                "owner, nodes: leaves attested".to_owned(),
                leaves * leaf.micros,
            ));
        }
    }
    let bare = Bare::new(ORACLES)?;
    let ceremony = micros(|| bare.sign(|| vec![7; 32]))?;
    parts.push((
        "nodes: threshold signatures".to_owned(),
        signatures * ceremony,
    ));
    Ok(parts)
}

/// Bytes of memory and of disk that a profile adds while nobody asks about it.
async fn idle(decisions: &Decisions<'_>) -> Result<(f64, f64), String> {
    let process = decisions.profile().ok_or("the profile service has died")?;
    let size = || {
        let sizes = ["profile.db", "profile.db-wal"].map(|name| {
            let path = decisions.database().with_file_name(name);
            std::fs::metadata(path).map_or(0, |file| file.len())
        });
        sizes.iter().sum::<u64>() as f64
    };
    let (memory, disk) = (cpu::resident(process)?, size());
    for _ in 0..IDLE {
        decisions.create_profile().await?;
    }
    let added = |before: f64, after: f64| (after - before).max(0.0) / IDLE as f64;
    Ok((added(memory, cpu::resident(process)?), added(disk, size())))
}
