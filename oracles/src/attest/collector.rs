//! Where requests meet: a batch closes when it is old enough or large enough, and holds many requests.
//!
//! Leaves under one root are known to belong to one of the requests in it, no closer. So the age buys company at the
//! price of waiting.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::encoding::Bytes32;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::AttestError;
use super::coordinate::Pending;
use super::plan::MAX_REQUESTS;
use crate::problem::Problem;
use crate::wire::attest::AttestBatches;

/// Callers that wait for one request at most.
const MAX_CALLERS: usize = 16;

/// When a batch closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    /// How long its first request waits at most.
    pub(super) age: Duration,
    /// How many leaves are enough.
    pub(super) leaves: usize,
}

type Answer = Result<AttestBatches, Problem>;

struct Open {
    pending: Pending,
    callers: Vec<oneshot::Sender<Answer>>,
}

#[derive(Default)]
struct State {
    /// Counts batches, so that a batch that closed full is not closed again by its age.
    number: u64,
    leaves: usize,
    open: BTreeMap<Bytes32, Open>,
}

impl State {
    fn close(&mut self) -> Vec<Open> {
        self.number += 1;
        self.leaves = 0;
        std::mem::take(&mut self.open).into_values().collect()
    }
}

/// The open batch of one committee at one node.
pub(super) struct Collector {
    closing: Closing,
    state: Mutex<State>,
}

impl Collector {
    pub(super) fn new(closing: Closing) -> Arc<Self> {
        Arc::new(Self {
            closing,
            state: Mutex::default(),
        })
    }

    /// Puts a request of `leaves` leaves into the open batch and waits until it is signed. `sign` runs on the runtime,
    /// to its end, whether or not callers stay.
    ///
    /// # Errors
    /// The request's own problem, or its batch's.
    pub(super) async fn join<F, Fut>(
        self: &Arc<Self>,
        runtime: &Handle,
        pending: Pending,
        leaves: usize,
        sign: F,
    ) -> Answer
    where
        F: FnOnce(Vec<Pending>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<Answer>, Problem>> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let closing = self.closing;
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let first = state.open.is_empty();
            match state.open.get_mut(&pending.request) {
                Some(open) if open.callers.len() >= MAX_CALLERS => {
                    return Err(AttestError::Busy.into());
                }
                Some(open) => open.callers.push(caller),
                None => {
                    state.leaves += leaves.max(1);
                    let callers = vec![caller];
                    state
                        .open
                        .insert(pending.request, Open { pending, callers });
                }
            }
            let full = state.leaves >= closing.leaves || state.open.len() >= MAX_REQUESTS;
            if full {
                runtime.spawn(settle(state.close(), sign));
            } else if first {
                let (number, collector) = (state.number, Arc::clone(self));
                runtime.spawn(async move {
                    tokio::time::sleep(closing.age).await;
                    let open = {
                        let mut state = collector
                            .state
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner);
                        (state.number == number).then(|| state.close())
                    };
                    if let Some(open) = open {
                        settle(open, sign).await;
                    }
                });
            }
        }
        answer.await.map_err(|_| Problem::internal())?
    }
}

/// Signs a closed batch and tells every caller.
async fn settle<F, Fut>(open: Vec<Open>, sign: F)
where
    F: FnOnce(Vec<Pending>) -> Fut,
    Fut: Future<Output = Result<Vec<Answer>, Problem>>,
{
    let (pending, callers): (Vec<_>, Vec<_>) = open
        .into_iter()
        .map(|open| (open.pending, open.callers))
        .unzip();
    let count = pending.len();
    let answers = match sign(pending).await {
        Ok(answers) => answers,
        Err(problem) => vec![Err(problem); count],
    };
    for (callers, answer) in callers.into_iter().zip(answers) {
        for caller in callers {
            // A caller that hung up asks again.
            let _ = caller.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: Duration = Duration::from_secs(3_600);

    fn collector(age: Duration, leaves: usize) -> Arc<Collector> {
        Collector::new(Closing { age, leaves })
    }

    fn none() -> AttestBatches {
        AttestBatches {
            batches: vec![],
            unattested: vec![],
            silent: vec![],
            differing: vec![],
        }
    }

    /// Has a request signed; the answer's `silent` tells how many requests were signed with it.
    async fn ask(
        collector: &Arc<Collector>,
        fill: u8,
        leaves: usize,
        signed: &Arc<AtomicUsize>,
    ) -> usize {
        let pending = Pending {
            request: Bytes32::from([fill; 32]),
            earlier: vec![],
        };
        let signed = Arc::clone(signed);
        let sign = move |all: Vec<Pending>| async move {
            signed.fetch_add(1, Ordering::SeqCst);
            let company = contracts::ids::NodeId::new(u16::try_from(all.len()).unwrap()).unwrap();
            let answer = AttestBatches {
                silent: vec![company],
                ..none()
            };
            Ok(vec![Ok(answer); all.len()])
        };
        let answer = collector
            .join(&Handle::current(), pending, leaves, sign)
            .await;
        usize::from(answer.unwrap().silent[0].get())
    }

    #[tokio::test]
    async fn a_batch_closes_when_it_is_full_and_holds_what_came_meanwhile() {
        let (collector, signed) = (collector(LONG, 30), Arc::default());
        let asked = [1, 2, 3].map(|fill| ask(&collector, fill, 10, &signed));
        assert_eq!(futures::future::join_all(asked).await, [3, 3, 3]);
        assert_eq!(signed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_batch_closes_by_age_and_the_next_one_starts_anew() {
        let (collector, signed) = (collector(Duration::from_millis(20), 1_000), Arc::default());
        let asked = [1, 2].map(|fill| ask(&collector, fill, 10, &signed));
        assert_eq!(futures::future::join_all(asked).await, [2, 2]);
        assert_eq!(ask(&collector, 3, 10, &signed).await, 1);
        assert_eq!(signed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_request_asked_twice_at_once_is_signed_once_and_answered_twice() {
        let (collector, signed) = (collector(Duration::from_millis(20), 1_000), Arc::default());
        let asked = [1, 1].map(|fill| ask(&collector, fill, 10, &signed));
        assert_eq!(futures::future::join_all(asked).await, [1, 1]);
        assert_eq!(signed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_takes_nobody_with_it() {
        let (collector, signed) = (collector(Duration::from_millis(50), 1_000), Arc::default());
        let first = tokio::time::timeout(Duration::from_millis(5), ask(&collector, 1, 10, &signed));
        let (first, second) = tokio::join!(first, ask(&collector, 2, 10, &signed));
        assert!(first.is_err());
        assert_eq!(second, 2);
    }
}
