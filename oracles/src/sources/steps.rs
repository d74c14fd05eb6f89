//! What a dry run shows: each step of a read, with the values that logs and errors never hold.
//!
//! Adapters note their steps wherever they are; outside [`recorded`] nothing is even formatted.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// A step of a read. Shown to the operator who asked, and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done: `request`, `answer`, `record`, `conversion`, ….
    pub name: &'static str,
    /// With what.
    pub detail: String,
}

/// Most steps kept of one read.
const MAX_STEPS: usize = 500;

tokio::task_local! {
    static STEPS: Arc<Mutex<Vec<Step>>>;
}

/// Notes a step, if somebody asked for them.
pub(super) fn note(name: &'static str, detail: impl FnOnce() -> String) {
    let _ = STEPS.try_with(|steps| {
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() < MAX_STEPS {
            let detail = detail();
            steps.push(Step { name, detail });
        }
    });
}

/// Runs a read and returns its steps with what it came to.
pub(super) async fn recorded<T>(read: impl Future<Output = T>) -> (Vec<Step>, T) {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let outcome = STEPS.scope(Arc::clone(&steps), read).await;
    let steps = std::mem::take(&mut *steps.lock().unwrap_or_else(PoisonError::into_inner));
    (steps, outcome)
}
