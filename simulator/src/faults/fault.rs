//! What a node can do wrong.

use std::fmt;
use std::str::FromStr;

use contracts::ids::NodeId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When, around one step, a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Asked, and nothing done yet.
    Before,
    /// Done, stores included, and not yet answered.
    After,
    /// About to ask a peer.
    Asking,
}

/// One fault of one node. The first group is the network's or the machine's: an honest node behind it. The second is a
/// node's own, with its own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its process was killed.
    Down,
    /// Connections are taken, nothing ever comes back, nothing gets in.
    Silent,
    /// It gets every request and does its work; the answers are lost.
    Mute,
    /// Its answers come after every time-out.
    Slow,
    /// Its answers come late, and within every time-out.
    Late,
    /// Connections to it are broken at once.
    Cut,
    /// It is reached by all and reaches no other node.
    NoWayOut,

    /// It reads doctored sources, and answers, acknowledges and signs consistently with them.
    WrongValue,
    /// Its shares are off by a scalar: of signatures, of OPRF evaluations, of keys in generation.
    WrongShare,
    /// Its nonce commitments are random bytes; in key generation, its proof of knowledge.
    BadNonce,
    /// Its nonce commitments are the identity.
    IdentityNonce,
    /// It commits to the nonces of an earlier session.
    ReusedNonce,
    /// It tells odd-numbered nodes something else than even-numbered ones.
    Equivocate,
    /// Two processes run under its keys; each half of the nodes knows one of them.
    Twins,
    /// It answers each question as it answered the first of its kind, freshly signed.
    Replay,
    /// Its messages to nodes are above their caps, its answers to owners never end.
    Oversized,
    /// Its messages are random bytes.
    Garbage,
    /// Its messages are well-formed, of another type.
    OtherType,
    /// What it brings as coordinator is altered in one place.
    LyingCoordinator,
    /// Its process dies at a step: a peer topic such as `sign.share`, or `door.` and the last part of an owner's path.
    Crash(&'static str, When),
}

/// Peer topics of signing and enrolling, and owners' calls, at which a process can die.
pub const SIGNING_STEPS: [&str; 13] = [
    "sign.commit",
    "sign.share",
    "attest.acks",
    "enrol.share",
    "enrol.prepare",
    "ledger.call",
    "decision.accept",
    "door.nonce",
    "door.request",
    "door.complete",
    "door.attest",
    "door.decide",
    "door.append",
];
/// Peer topics of a key generation.
pub const GENERATION_STEPS: [&str; 5] = [
    "dkg.status",
    "dkg.round1",
    "dkg.round2",
    "dkg.finish",
    "dkg.activate",
];

impl Fault {
    /// Every fault but the deaths at a step.
    pub const ALL: [Self; 19] = [
        Self::Down,
        Self::Silent,
        Self::Mute,
        Self::Slow,
        Self::Late,
        Self::Cut,
        Self::NoWayOut,
        Self::WrongValue,
        Self::WrongShare,
        Self::BadNonce,
        Self::IdentityNonce,
        Self::ReusedNonce,
        Self::Equivocate,
        Self::Twins,
        Self::Replay,
        Self::Oversized,
        Self::Garbage,
        Self::OtherType,
        Self::LyingCoordinator,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Mute => "mute",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::Cut => "cut",
            Self::NoWayOut => "no-way-out",
            Self::WrongValue => "wrong-value",
            Self::WrongShare => "wrong-share",
            Self::BadNonce => "bad-nonce",
            Self::IdentityNonce => "identity-nonce",
            Self::ReusedNonce => "reused-nonce",
            Self::Equivocate => "equivocate",
            Self::Twins => "twins",
            Self::Replay => "replay",
            Self::Oversized => "oversized",
            Self::Garbage => "garbage",
            Self::OtherType => "other-type",
            Self::LyingCoordinator => "lying-coordinator",
            Self::Crash(..) => "crash",
        }
    }

    /// Whether the node itself departs, with its keys.
    pub fn is_lie(self) -> bool {
        !matches!(
            self,
            Self::Down
                | Self::Silent
                | Self::Mute
                | Self::Slow
                | Self::Late
                | Self::Cut
                | Self::NoWayOut
        )
    }

    /// Whether somebody must notice. Twins are two honest nodes each to whom it talks to, and an answer in time is none
    /// too late.
    pub fn must_be_named(self) -> bool {
        !matches!(self, Self::Late | Self::Twins)
    }

    /// Whether it shows in whoever is asked to coordinate, and nowhere else: owners ask the first member first.
    pub fn is_of_coordinators(self) -> bool {
        match self {
            Self::NoWayOut | Self::LyingCoordinator => true,
            Self::Crash(step, when) => {
                when == When::Asking
                    || ["door.attest", "door.complete", "door.decide", "door.append"]
                        .contains(&step)
            }
            _ => false,
        }
    }

    /// Whether it shows only in who signs for another coordinator: the first few to answer, so the lowest numbers.
    pub fn is_of_signers(self) -> bool {
        matches!(
            self,
            Self::WrongShare | Self::BadNonce | Self::IdentityNonce | Self::ReusedNonce
        )
    }

    /// Whether it can show in a key generation.
    pub fn strikes_generation(self) -> bool {
        match self {
            Self::Down
            | Self::Silent
            | Self::Mute
            | Self::Slow
            | Self::Cut
            | Self::WrongShare
            | Self::BadNonce
            | Self::Replay
            | Self::Oversized
            | Self::Garbage
            | Self::OtherType => true,
            Self::Crash(step, _) => GENERATION_STEPS.contains(&step),
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(step, when) => {
                let when = match when {
                    When::Before => "before",
                    When::After => "after",
                    When::Asking => "asking",
                };
                write!(f, "crash@{step}+{when}")
            }
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!(
                "{text:?} is no fault: write one of {}, or crash@STEP+before, +after or +asking with a step of {}",
                names.join(", "),
                [&SIGNING_STEPS[..], &GENERATION_STEPS].concat().join(", ")
            )
        };
        let Some(point) = text.strip_prefix("crash@") else {
            return Self::ALL
                .into_iter()
                .find(|fault| fault.name() == text)
                .ok_or_else(bad);
        };
        let (step, when) = point.split_once('+').ok_or_else(bad)?;
        let step = SIGNING_STEPS
            .into_iter()
            .chain(GENERATION_STEPS)
            .find(|known| *known == step)
            .ok_or_else(bad)?;
        let when = match when {
            "before" => When::Before,
            "after" => When::After,
            "asking" => When::Asking,
            _ => return Err(bad()),
        };
        Ok(Self::Crash(step, when))
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A fault at a node, `NODE:FAULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Whose.
    pub node: NodeId,
    /// What.
    pub fault: Fault,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.fault)
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, fault) = text
            .split_once(':')
            .ok_or_else(|| format!("{text:?}: write NODE:FAULT, such as 3:silent"))?;
        let node = node
            .parse()
            .ok()
            .and_then(|number| NodeId::new(number).ok())
            .ok_or_else(|| format!("{node:?} is no node number"))?;
        Ok(Self {
            node,
            fault: fault.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        let deaths = SIGNING_STEPS
            .into_iter()
            .chain(GENERATION_STEPS)
            .flat_map(|step| {
                [When::Before, When::After, When::Asking].map(|when| Fault::Crash(step, when))
            });
        for fault in Fault::ALL.into_iter().chain(deaths) {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!(
            "3:crash@sign.share+after"
                .parse::<At>()
                .map(|at| at.to_string()),
            Ok("3:crash@sign.share+after".to_owned())
        );
        for bad in [
            "3",
            "0:down",
            "x:down",
            "3:lunch",
            "3:crash@lunch+after",
            "3:crash@sign.share+at",
        ] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }
}
