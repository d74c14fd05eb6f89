//! Drills: processes are killed again and again, and in the end nothing is missing and nothing is double.

pub mod lifecycle;
pub mod notifier;
