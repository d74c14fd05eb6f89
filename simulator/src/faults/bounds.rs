//! The bounds of every wait, as the scenarios configure them, and what follows for a whole request.

use std::time::Duration;

use contracts::ids::max_faults;

/// How long a node waits for another's answer (`peer_timeout_ms`).
pub const PEER_MS: u64 = 1_500;
/// How long the profile waits for all nonces before a quorum is enough (`ask.nonce_wait_ms`).
pub const NONCE_WAIT_MS: u64 = 1_000;
/// How long the profile waits for one node's answer (`ask.call_timeout_ms`).
pub const CALL_MS: u64 = 5_000;
/// How long the profile waits for a node that coordinates its committee (`ask.coordinate_timeout_ms`).
pub const COORDINATE_MS: u64 = 15_000;
/// How often the profile asks for facts (`ask.attempts`).
pub const ATTEMPTS: u32 = 2;
/// How long one phase of a key generation waits for its members.
const GENERATION_PHASE_MS: u64 = 15_000;

fn coordinated(n: u16) -> Duration {
    // At worst the first f members asked are faulty.
    Duration::from_millis(COORDINATE_MS) * u32::from(max_faults(n) + 1)
}

/// An enrolment: nonces, claims, then coordinators in turn.
pub fn enrolment(n: u16) -> Duration {
    Duration::from_millis(2 * CALL_MS) + coordinated(n)
}

/// Attestation of a contract's facts, all domains at once: nonces, requests, then coordinators in turn, each attempt.
pub fn attestation(n: u16) -> Duration {
    (Duration::from_millis(2 * CALL_MS) + coordinated(n)) * ATTEMPTS
}

/// A decision: nonces, then coordinators in turn.
pub fn decision(n: u16) -> Duration {
    Duration::from_millis(CALL_MS) + coordinated(n)
}

/// An append: coordinators in turn.
pub fn append(n: u16) -> Duration {
    coordinated(n)
}

/// A key generation: five phases.
pub fn generation() -> Duration {
    Duration::from_millis(5 * GENERATION_PHASE_MS)
}
