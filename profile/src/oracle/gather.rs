//! Answers of many nodes: wait for all a while, go on with a quorum, remember who did what.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use contracts::ids::{Committee, NodeId};
use futures::stream::{FuturesUnordered, StreamExt};
use oracles::problem::Problem;
use tokio::time::{Instant, timeout_at};

use super::{OracleError, code_of, is_final};

/// Why a node's answer does not count.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It did not answer in time.
    Silent,
    /// It answered with a problem.
    Refused(Box<Problem>),
    /// It answered what is not so.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer"),
            Self::Refused(problem) => write!(f, "refused: {}", code_of(problem)),
            Self::Wrong(why) => write!(f, "wrong: {why}"),
        }
    }
}

/// What the members of a committee answered.
#[derive(Debug)]
pub struct Answers<T> {
    /// Good answers, by node ascending once `gather` returns.
    pub good: Vec<(NodeId, T)>,
    /// Members that did not answer in time.
    pub silent: Vec<NodeId>,
    /// Members that refused.
    pub refused: Vec<(NodeId, Box<Problem>)>,
    /// Members whose answer was wrong.
    pub wrong: Vec<NodeId>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self {
            good: vec![],
            silent: vec![],
            refused: vec![],
            wrong: vec![],
        }
    }
}

impl<T> Answers<T> {
    /// Counts a failure.
    pub(super) fn fail(&mut self, node: NodeId, failure: Failure) {
        match failure {
            Failure::Silent => self.silent.push(node),
            Failure::Refused(problem) => self.refused.push((node, problem)),
            Failure::Wrong(_) => self.wrong.push(node),
        }
    }

    /// The error of a step that needed more good answers. If a quorum refuses for the request's own fault, the refusal
    /// is the error.
    pub(super) fn into_error(
        self,
        step: &'static str,
        committee: Committee,
        needed: u16,
    ) -> OracleError {
        self.into_error_unless(step, committee, needed, needed)
    }

    /// As [`Answers::into_error`], where `enough` refusals for the request's own fault are believed.
    pub(super) fn into_error_unless(
        mut self,
        step: &'static str,
        committee: Committee,
        needed: u16,
        enough: u16,
    ) -> OracleError {
        let finals = self
            .refused
            .iter()
            .filter(|(_, problem)| is_final(problem))
            .count();
        if finals >= usize::from(enough)
            && let Some(at) = self.refused.iter().position(|(_, p)| is_final(p))
        {
            let (_, problem) = self.refused.swap_remove(at);
            return OracleError::Refused {
                step,
                committee,
                code: code_of(&problem),
            };
        }
        self.silent.sort_unstable();
        self.wrong.sort_unstable();
        OracleError::Quorum {
            step,
            committee,
            needed,
            answered: self.good.into_iter().map(|(node, _)| node).collect(),
            silent: self.silent,
            refused: self
                .refused
                .into_iter()
                .map(|(node, problem)| (node, code_of(&problem)))
                .collect(),
            wrong: self.wrong,
        }
    }
}

/// Waits for every call up to `limit`; once `need` answers are good, for at most `grace` longer.
///
/// Calls still under way at the end are dropped and count as silent.
pub(super) async fn gather<T, F>(
    step: &'static str,
    committee: Committee,
    calls: impl IntoIterator<Item = (NodeId, F)>,
    need: u16,
    grace: Duration,
    limit: Duration,
) -> Answers<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut waiting: Vec<NodeId> = vec![];
    let mut running: FuturesUnordered<_> = calls
        .into_iter()
        .map(|(node, call)| {
            waiting.push(node);
            async move { (node, call.await) }
        })
        .collect();
    let mut answers = Answers::default();
    let mut deadline = Instant::now() + limit;
    let mut enough = false;
    while let Ok(Some((node, answer))) = timeout_at(deadline, running.next()).await {
        waiting.retain(|other| *other != node);
        match answer {
            Ok(good) => answers.good.push((node, good)),
            Err(failure) => {
                tracing::warn!(%committee, %node, step, %failure, "an oracle's answer does not count");
                answers.fail(node, failure);
            }
        }
        if !enough && answers.good.len() >= usize::from(need) {
            enough = true;
            deadline = deadline.min(Instant::now() + grace);
        }
    }
    for node in &waiting {
        tracing::warn!(%committee, %node, step, "an oracle did not answer in time");
    }
    answers.silent.extend(waiting);
    answers.good.sort_by_key(|(node, _)| *node);
    answers
}
