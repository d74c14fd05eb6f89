//! Scenarios as data: who does what wrong while what is asked, and which scenarios there are.

use std::fmt;

use clap::ValueEnum;
use contracts::ids::{NodeId, max_faults};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::fault::{At, Fault, GENERATION_STEPS, SIGNING_STEPS, When};
use crate::demo::oracle_config::first_nodes;

/// What is asked of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Act {
    /// Enrolment, attestation, decision and append, with the faults from the start.
    Serve,
    /// Attestation and decision for somebody who enrolled while all were honest.
    Collude,
    /// A key generation; then another without the faults.
    Generate,
    /// Key generations whose coordinator dies, each a little later than the one before, until one ends.
    Abandon,
    /// As `serve`; then the faulty nodes are started again honest, and another person's requests need them.
    Return,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Act {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Collude => "collude",
            Self::Generate => "generate",
            Self::Abandon => "abandon",
            Self::Return => "return",
        }
    }
}

/// A network size, a task and the faults during it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Oracles.
    pub n: u16,
    /// The task.
    pub act: Act,
    /// The faults.
    pub faults: Vec<At>,
}

impl Scenario {
    /// The command that runs it alone.
    pub fn command(&self) -> String {
        format!("cargo run -p simulator -- faults {self}")
    }

    /// The faulty nodes.
    pub fn faulty(&self) -> Vec<NodeId> {
        let mut nodes: Vec<_> = self.faults.iter().map(|at| at.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--n {} --act {}", self.n, self.act)?;
        for at in &self.faults {
            write!(f, " --at {at}")?;
        }
        Ok(())
    }
}

/// Every scenario of a network of `n`; `seed` chooses which nodes are faulty.
pub fn matrix(n: u16, seed: u64) -> Vec<Scenario> {
    let mut rng = StdRng::seed_from_u64(seed ^ u64::from(n));
    let f = usize::from(max_faults(n));
    let nodes: Vec<NodeId> = first_nodes(n).collect();
    // The nodes among which this fault shows, as far as that is known: owners and committees ask the first members first.
    let mut pick = |count: usize, faults: &[Fault]| -> Vec<NodeId> {
        let any = |is: fn(Fault) -> bool| faults.iter().any(|fault| is(*fault));
        let skipped = usize::from(!any(Fault::is_of_coordinators));
        if any(Fault::is_of_coordinators) || any(Fault::is_of_signers) {
            return nodes.iter().copied().skip(skipped).take(count).collect();
        }
        let mut chosen: Vec<_> = nodes.choose_multiple(&mut rng, count).copied().collect();
        chosen.sort_unstable();
        chosen
    };
    let same = |nodes: Vec<NodeId>, fault: Fault| -> Vec<At> {
        nodes.into_iter().map(|node| At { node, fault }).collect()
    };
    let mut all = Vec::new();
    let mut add = |act, faults| all.push(Scenario { n, act, faults });

    for fault in Fault::ALL {
        add(Act::Serve, same(pick(f, &[fault]), fault));
    }
    if f > 1 {
        // Each fault beside the one seven places on: a liar beside a broken node, mostly.
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            let mut pair = [fault, Fault::ALL[(at + 7) % Fault::ALL.len()]];
            pair.sort_by_key(|fault| !fault.is_of_coordinators());
            let faults = pick(f, &pair)
                .into_iter()
                .zip(pair)
                .map(|(node, fault)| At { node, fault })
                .collect();
            add(Act::Serve, faults);
        }
    }
    for fault in [
        Fault::WrongValue,
        Fault::WrongShare,
        Fault::BadNonce,
        Fault::ReusedNonce,
        Fault::Equivocate,
        Fault::Twins,
        Fault::Replay,
        Fault::Oversized,
        Fault::Garbage,
        Fault::LyingCoordinator,
    ] {
        add(Act::Collude, same(pick(f + 1, &[fault]), fault));
    }
    for fault in Fault::ALL.into_iter().filter(|it| it.strikes_generation()) {
        add(Act::Generate, same(pick(1, &[]), fault));
    }
    for step in GENERATION_STEPS {
        for when in [When::Before, When::After] {
            add(Act::Generate, same(pick(1, &[]), Fault::Crash(step, when)));
        }
    }
    add(Act::Abandon, Vec::new());
    for step in SIGNING_STEPS {
        let whens: &[When] = if step.starts_with("door.") {
            &[When::Before, When::After]
        } else {
            &[When::Before, When::After, When::Asking]
        };
        for when in whens {
            let fault = Fault::Crash(step, *when);
            // Members answer whoever coordinates, and the second answers before the others.
            let chosen = if fault.is_of_coordinators() || step.starts_with("door.") {
                pick(1, &[fault])
            } else {
                pick(1, &[Fault::WrongShare])
            };
            add(Act::Return, same(chosen, fault));
        }
    }
    all
}

/// A few scenarios of each act, and which they are follows from the seed.
pub fn sample(n: u16, seed: u64, sizes: &[(Act, usize)]) -> Vec<Scenario> {
    let mut rng = StdRng::seed_from_u64(seed);
    let all = matrix(n, seed);
    let mut chosen = Vec::new();
    for (act, size) in sizes {
        let of_act: Vec<_> = all.iter().filter(|it| it.act == *act).collect();
        chosen.extend(of_act.choose_multiple(&mut rng, *size).copied().cloned());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_scenarios_again_and_never_too_many_faulty_nodes() {
        for n in [4, 7] {
            let all = matrix(n, 1);
            assert_eq!(all, matrix(n, 1));
            assert_ne!(all, matrix(n, 2));
            for scenario in &all {
                let most = match scenario.act {
                    Act::Collude => max_faults(n) + 1,
                    Act::Abandon => 0,
                    Act::Generate | Act::Return => 1,
                    Act::Serve => max_faults(n),
                };
                assert_eq!(scenario.faulty().len(), usize::from(most), "{scenario}");
            }
            for fault in Fault::ALL {
                let served = |it: &&Scenario| {
                    it.act == Act::Serve && it.faults.iter().all(|at| at.fault == fault)
                };
                assert_eq!(all.iter().filter(served).count(), 1, "{fault}");
            }
        }
    }
}
