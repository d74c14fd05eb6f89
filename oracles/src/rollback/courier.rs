//! Carries marks to one member: one call at a time, which holds the newest mark of every committee that has one to tell.
//! What is acknowledged while a call is on its way travels together in the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contracts::ids::{Committee, NodeId};

use super::message::{MARK, MarkAnswer, MarkCall, SignedMark};
use crate::peer::{PeerError, Peers, RunId};

type Newest = BTreeMap<Committee, SignedMark>;

/// What became of the last mark of a committee that was carried.
#[derive(Debug)]
struct Carried {
    mark: u64,
    /// In which call.
    call: u64,
    outcome: Result<(), PeerError>,
}

/// The way to one member.
#[derive(Debug)]
pub(super) struct Courier {
    to: NodeId,
    run: RunId,
    waiting: Mutex<Newest>,
    /// Calls that have ended.
    calls: AtomicU64,
    /// Locked while a call is on its way.
    carried: tokio::sync::Mutex<BTreeMap<Committee, Carried>>,
}

impl Courier {
    pub(super) fn new(to: NodeId, run: RunId) -> Self {
        Self {
            to,
            run,
            waiting: Mutex::default(),
            calls: AtomicU64::new(0),
            carried: tokio::sync::Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Newest> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a mark wait, unless a newer one of its committee does.
    fn post(&self, mark: &SignedMark) {
        let mut waiting = self.waiting();
        let newest = waiting.get(&mark.committee).map_or(0, |it| it.mark);
        if mark.mark > newest {
            waiting.insert(mark.committee, mark.clone());
        }
    }

    /// Has the member store a mark, or a higher one of its committee. May be dropped at any time: who waits next carries what
    /// was on its way.
    pub(super) async fn carry(&self, peers: &Peers, mark: &SignedMark) -> Result<(), PeerError> {
        let before = self.calls.load(Ordering::SeqCst);
        self.post(mark);
        let mut carried = self.carried.lock().await;
        // A failure of before is no answer: the member may be there again.
        if let Some(last) = carried.get(&mark.committee)
            && last.mark >= mark.mark
            && (last.outcome.is_ok() || last.call > before)
        {
            return last.outcome.clone();
        }
        // Perhaps a call of before took it along and failed.
        self.post(mark);
        let marks = self.waiting().clone();
        let told: Vec<(Committee, u64)> =
            marks.values().map(|it| (it.committee, it.mark)).collect();
        let request = MarkCall {
            run: self.run,
            marks: marks.into_values().collect(),
        };
        let answer = peers.call(self.to, MARK, &request).await;
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let is_told = |mark: &SignedMark| told.contains(&(mark.committee, mark.mark));
        self.waiting().retain(|_, mark| !is_told(mark));
        for (committee, mark) in told {
            let outcome = self.outcome(&answer, committee);
            carried.insert(
                committee,
                Carried {
                    mark,
                    call,
                    outcome,
                },
            );
        }
        drop(carried);
        self.outcome(&answer, mark.committee)
    }

    fn outcome(
        &self,
        answer: &Result<MarkAnswer, PeerError>,
        committee: Committee,
    ) -> Result<(), PeerError> {
        let answer = answer.as_ref().map_err(PeerError::clone)?;
        match answer.refused.iter().find(|it| it.committee == committee) {
            None => Ok(()),
            Some(refused) => Err(PeerError::Refused {
                node: self.to,
                refusal: refused.refusal.clone().tamed(),
            }),
        }
    }
}
