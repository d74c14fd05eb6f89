//! Faults that a run can be asked to suffer: `kill:ORACLE@STEP`.

use std::fmt;
use std::str::FromStr;

use contracts::ids::NodeId;

/// The steps of the story, in order; a fault strikes when its step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Every process is up.
    Start,
    /// The oracles generate their keys.
    Dkg,
    /// Two people are enrolled.
    Enrol,
    /// The job ends.
    Event,
    /// The question is asked.
    Ask,
    /// Oracles read, agree and attest.
    Attest,
    /// The profile proves the statement.
    Prove,
    /// The decision committee checks and signs.
    Decide,
    /// The owner is asked by text.
    Text,
    /// The owner answers.
    Approve,
    /// The application goes to the agency.
    File,
    /// Receipts come back.
    Receipts,
    /// The second person's question.
    Second,
    /// The bundles are written.
    Bundles,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 14] = [
        Self::Start,
        Self::Dkg,
        Self::Enrol,
        Self::Event,
        Self::Ask,
        Self::Attest,
        Self::Prove,
        Self::Decide,
        Self::Text,
        Self::Approve,
        Self::File,
        Self::Receipts,
        Self::Second,
        Self::Bundles,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Dkg => "dkg",
            Self::Enrol => "enrol",
            Self::Event => "event",
            Self::Ask => "ask",
            Self::Attest => "attest",
            Self::Prove => "prove",
            Self::Decide => "decide",
            Self::Text => "text",
            Self::Approve => "approve",
            Self::File => "file",
            Self::Receipts => "receipts",
            Self::Second => "second",
            Self::Bundles => "bundles",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kill one oracle's process (SIGKILL) when a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The oracle, from 1.
    pub oracle: NodeId,
    /// When.
    pub step: Step,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = || {
            let steps: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
            format!(
                "{text:?} is not a fault: write kill:ORACLE@STEP with ORACLE from 1 to 4 and STEP one of {}",
                steps.join(", ")
            )
        };
        let (oracle, step) = text
            .strip_prefix("kill:")
            .and_then(|rest| rest.split_once('@'))
            .ok_or_else(usage)?;
        let oracle = oracle
            .parse::<u16>()
            .ok()
            .filter(|number| *number <= super::ORACLES)
            .and_then(|number| NodeId::new(number).ok())
            .ok_or_else(usage)?;
        let step = Step::ALL
            .into_iter()
            .find(|known| known.as_str() == step)
            .ok_or_else(usage)?;
        Ok(Self { oracle, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_bad_ones_say_what_to_write() {
        let fault: Fault = "kill:3@attest".parse().unwrap();
        assert_eq!((fault.oracle.get(), fault.step), (3, Step::Attest));
        for text in [
            "kill:0@attest",
            "kill:5@attest",
            "kill:1@lunch",
            "stop:1@ask",
            "kill:1",
            "",
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.contains("kill:ORACLE@STEP"), "{error}");
        }
    }
}
