//! Verifying presentations on all cores: those that wait while others are verified are taken together.

use std::sync::Arc;
use std::time::Duration;

use contracts::presentation::{self, Presentation};
use contracts::rules::Compiled;
use contracts::units::UnixTime;
use rand_core::OsRng;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::check::{self, Keys, Refused};

/// Presentations that wait; more are told that the node is busy.
const WAITING: usize = 256;
/// Presentations verified together at most: the gain levels off, and one bad one has all halves tried.
const TOGETHER: usize = 64;
/// How long a presentation waits for a place in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(3);
/// How long one in the queue waits for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

type Verified = Result<(Presentation, Compiled), Refused>;

struct Job {
    presentation: Presentation,
    keys: Keys,
    now: UnixTime,
    answer: oneshot::Sender<Verified>,
}

/// The queue of presentations to be verified, with a worker per core. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Verifier(mpsc::Sender<Job>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job(..)")
    }
}

impl Verifier {
    /// Starts the workers.
    pub(super) fn start(runtime: &Handle) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            runtime.spawn(work(runtime.clone(), waiting.clone()));
        }
        Self(queue)
    }

    /// Compiles the contract and verifies the presentation, now and as of its own instant.
    ///
    /// # Errors
    /// [`Refused`], naming the check, or [`Refused::Busy`].
    pub(super) async fn verify(
        &self,
        presentation: Presentation,
        keys: Keys,
        now: UnixTime,
    ) -> Verified {
        let (answer, verified) = oneshot::channel();
        let job = Job {
            presentation,
            keys,
            now,
            answer,
        };
        let queued = timeout(QUEUE_WAIT, self.0.send(job)).await;
        if !matches!(queued, Ok(Ok(()))) {
            return Err(Refused::Busy);
        }
        match timeout(ANSWER_WAIT, verified).await {
            Ok(Ok(verified)) => verified,
            _ => Err(Refused::Busy),
        }
    }
}

async fn work(runtime: Handle, waiting: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let mut jobs = Vec::new();
        if waiting.lock().await.recv_many(&mut jobs, TOGETHER).await == 0 {
            return;
        }
        let done = runtime.spawn_blocking(move || answer(jobs)).await;
        if let Err(error) = done {
            tracing::error!(%error, "presentations could not be verified");
        }
    }
}

/// Verifies what was waiting, and answers each. A caller that is gone is none to answer.
fn answer(jobs: Vec<Job>) {
    // One node's keys and clock: the latest look at them is as good for all.
    let Some((keys, now)) = jobs.last().map(|job| (job.keys.clone(), job.now)) else {
        return;
    };
    let mut compiled = Vec::with_capacity(jobs.len());
    for job in jobs {
        match check::compile(&job.presentation) {
            Ok(contract) => compiled.push((job, contract)),
            Err(refused) => drop(job.answer.send(Err(refused))),
        }
    }
    let together: Vec<_> = compiled
        .iter()
        .map(|(job, contract)| (&job.presentation, contract))
        .collect();
    let verdicts = presentation::verify_batch(&together, &keys, now, &mut OsRng);
    for ((job, contract), verdict) in compiled.into_iter().zip(verdicts) {
        let verdict = verdict
            .and_then(|()| check::verify_at_its_instant(&job.presentation, &contract, &keys, now));
        let verified = match verdict {
            Ok(()) => Ok((job.presentation, contract)),
            Err(error) => Err(error.into()),
        };
        drop(job.answer.send(verified));
    }
}
