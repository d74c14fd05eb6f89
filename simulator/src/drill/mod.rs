//! Drills: a real process, played against a system of others that fails, and killed at random.

pub mod notifier;
