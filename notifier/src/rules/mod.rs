//! When a text may go: texting hours where the recipient is, how many a day, how a failed hand-over waits.

pub mod backoff;
pub mod hours;
pub mod plan;
mod zones;
