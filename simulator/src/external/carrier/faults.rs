//! What goes wrong with calls and callbacks, drawn from a seed.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Longest delay: past the caller's patience, within the time that it must wait before a look-up tells.
const MAX_DELAY_MS: u64 = 1_500;

/// What happens to one call or callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// It does not arrive.
    LoseRequest,
    /// It arrives, and its answer does not.
    LoseAnswer,
    /// It arrives late, after others that were made later.
    Delay(Duration),
    /// It arrives twice.
    Duplicate(Duration),
}

/// A source of faults.
pub(super) struct Faults {
    percent: AtomicU8,
    random: Mutex<StdRng>,
    lost_requests: AtomicU64,
    lost_answers: AtomicU64,
    delayed: AtomicU64,
    duplicated: AtomicU64,
}

impl Faults {
    pub(super) fn new(seed: u64, percent: u8) -> Self {
        Self {
            percent: AtomicU8::new(percent),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            lost_requests: AtomicU64::new(0),
            lost_answers: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
        }
    }

    pub(super) fn set(&self, percent: u8) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// A number below a hundred.
    pub(super) fn percent(&self) -> u8 {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .gen_range(0..100)
    }

    pub(super) fn draw(&self) -> Fault {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if random.gen_range(0..100) >= self.percent.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let delay = Duration::from_millis(random.gen_range(0..MAX_DELAY_MS));
        let (fault, count) = match random.gen_range(0..4) {
            0 => (Fault::LoseRequest, &self.lost_requests),
            1 => (Fault::LoseAnswer, &self.lost_answers),
            2 => (Fault::Delay(delay), &self.delayed),
            _ => (Fault::Duplicate(delay), &self.duplicated),
        };
        count.fetch_add(1, Ordering::Relaxed);
        fault
    }

    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        [
            ("lost_requests", &self.lost_requests),
            ("lost_answers", &self.lost_answers),
            ("delayed", &self.delayed),
            ("duplicated", &self.duplicated),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .to_vec()
    }
}
