//! Enrolment and attestation end to end: four real nodes over loopback, real key generation, real sources over HTTP and
//! SQL, an owner that does what a profile does. Each test is named for what it shows or the attack that it defeats.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod externals;
mod network;
mod owner;

mod attacks;
mod changes;
mod flow;
mod restored;
