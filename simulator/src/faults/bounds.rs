//! The bounds of every wait, as the scenarios configure them, and what follows for a whole request.

use std::time::Duration;

use contracts::ids::max_faults;

/// How often the profile asks for facts (`ask.attempts`).
pub const ATTEMPTS: u32 = 2;

/// Every time-out, as a multiple of the ones below: a machine that does other work needs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The factor, from 1.
    pub patience: u32,
}

impl Bounds {
    fn milliseconds(self, milliseconds: u64) -> u64 {
        milliseconds * u64::from(self.patience.max(1))
    }

    /// How long a node waits for another's answer (`peer_timeout_ms`).
    pub fn peer_ms(self) -> u64 {
        self.milliseconds(1_500)
    }

    /// How long the profile waits for all nonces before a quorum is enough (`ask.nonce_wait_ms`).
    pub fn nonce_wait_ms(self) -> u64 {
        self.milliseconds(1_000)
    }

    /// How long the profile waits for one node's answer (`ask.call_timeout_ms`).
    pub fn call_ms(self) -> u64 {
        self.milliseconds(5_000)
    }

    /// How long the profile waits for a node that coordinates its committee (`ask.coordinate_timeout_ms`).
    pub fn coordinate_ms(self) -> u64 {
        self.milliseconds(15_000)
    }

    fn coordinated(self, n: u16) -> Duration {
        // At worst the first f members asked are faulty.
        Duration::from_millis(self.coordinate_ms()) * u32::from(max_faults(n) + 1)
    }

    /// An enrolment: nonces, claims, then coordinators in turn.
    pub fn enrolment(self, n: u16) -> Duration {
        Duration::from_millis(2 * self.call_ms()) + self.coordinated(n)
    }

    /// Attestation of a contract's facts, all domains at once: nonces, requests, then coordinators in turn, each attempt.
    pub fn attestation(self, n: u16) -> Duration {
        (Duration::from_millis(2 * self.call_ms()) + self.coordinated(n)) * ATTEMPTS
    }

    /// A decision: nonces, then coordinators in turn.
    pub fn decision(self, n: u16) -> Duration {
        Duration::from_millis(self.call_ms()) + self.coordinated(n)
    }

    /// An append: coordinators in turn.
    pub fn append(self, n: u16) -> Duration {
        self.coordinated(n)
    }

    /// A key generation: five phases, each of one bounded wait for all members.
    pub fn generation(self) -> Duration {
        Duration::from_secs(5 * 15)
    }
}
