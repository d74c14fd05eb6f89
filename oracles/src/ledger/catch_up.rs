//! How a member that was away, or is behind, gets what the others hold.

use std::sync::atomic::Ordering;
use std::time::Duration;

use contracts::ids::{NodeId, max_faults};
use contracts::receipt::Entry;
use futures::future::join_all;

use super::message::{Answer, Call, Lock, State};
use super::{LedgerError, MAX_FETCH, Member};

/// How long a peer has to say what it holds, or to send entries.
const FETCH_WAIT: Duration = Duration::from_secs(3);

impl Member {
    /// Entries `start .. end` from a peer; what they are worth, their root shows.
    pub(super) async fn fetch(
        &self,
        from: NodeId,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, LedgerError> {
        let mut entries = Vec::new();
        let mut next = start;
        while next < end {
            let count = (end - next).min(MAX_FETCH);
            let call = Call::Entries { start: next, count };
            match self.links.call(from, &call, FETCH_WAIT).await? {
                Answer::Entries(some) if !some.is_empty() && some.len() as u64 <= count => {
                    next += some.len() as u64;
                    entries.extend(some);
                }
                _ => {
                    return Err(LedgerError::Peer {
                        node: from,
                        cause: format!("does not send entries {next} to {end}"),
                    });
                }
            }
        }
        Ok(entries)
    }

    /// Takes from a peer's state what verifies and is ahead of ours: its view, then its signed checkpoint.
    ///
    /// # Errors
    /// What it shows does not verify, or cannot be fetched.
    pub async fn follow(&self, from: NodeId, state: &State) -> Result<(), LedgerError> {
        let view = self.store.read().await.standing().view;
        if let Some(certificate) = state
            .certificate
            .as_ref()
            .filter(|certificate| certificate.view > view)
        {
            match self.learn(certificate, from).await {
                Ok(()) | Err(LedgerError::Stale(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(note) = &state.checkpoint {
            self.commit(from, note).await?;
        }
        Ok(())
    }

    /// Asks a peer for its state, follows it and returns it.
    ///
    /// # Errors
    /// As [`follow`](Self::follow), or the peer does not answer.
    pub async fn catch_up_from(&self, from: NodeId) -> Result<State, LedgerError> {
        match self.links.call(from, &Call::State, FETCH_WAIT).await? {
            Answer::State(state) => {
                self.follow(from, &state).await?;
                Ok(state)
            }
            _ => Err(LedgerError::Peer {
                node: from,
                cause: "does not say what it holds".to_owned(),
            }),
        }
    }

    /// Whether it takes part.
    pub fn recovered(&self) -> bool {
        self.recovered.load(Ordering::Acquire)
    }

    /// Hears a quorum, this member included, before it takes part: a database restored from a backup may have
    /// forgotten what it acknowledged, and must not acknowledge anything else in its place.
    ///
    /// After a change of members the number of a view names another sequencer, so nobody goes on in a view of those before.
    /// A newcomer stands by the highest lock that they hold: what they signed and told nobody of is then kept by the first
    /// view of the new members.
    ///
    /// # Errors
    /// [`LedgerError::Quorum`] names the members that did not answer; try again later.
    pub async fn recover(&self) -> Result<(), LedgerError> {
        let (empty, unsettled) = {
            let store = self.store.read().await;
            let unsettled = store.standing().since < self.members.since;
            (store.size() == 0, unsettled)
        };
        let before = self.members.before().filter(|_| unsettled);
        let newcomer = before.is_some_and(|(nodes, _)| !nodes.contains(&self.me));
        if unsettled && !newcomer {
            self.leave_views(0, None).await?;
        }
        // A newcomer hears a quorum of those before it, who hold whatever they locked; so does who has nothing left.
        let former = before
            .filter(|_| newcomer)
            .or(self.members.former.last().filter(|_| empty));
        let mut others: Vec<NodeId> = self.members.nodes.clone();
        others.extend(former.iter().flat_map(|(nodes, _)| nodes));
        others.sort_unstable();
        others.dedup();
        others.retain(|node| *node != self.me);
        let answers = join_all(others.iter().map(|node| self.catch_up_from(*node))).await;
        let mut missing = Vec::new();
        let mut heard = Vec::new();
        for (node, answer) in others.iter().zip(answers) {
            match answer {
                // Only views that somebody is in: those that members go on to need not be left.
                Ok(state) => heard.push(State {
                    promised: 0,
                    ..state
                }),
                Err(error) => missing.push((*node, error.to_string())),
            }
        }
        let present = (&self.members.nodes, self.members.threshold);
        let past = former.map(|(nodes, threshold)| (nodes, *threshold));
        for (nodes, needed) in std::iter::once(present).chain(past) {
            let silent = |node: &NodeId| missing.iter().any(|(it, _)| it == node);
            let answered = nodes.iter().filter(|node| !silent(node)).count();
            if answered < usize::from(needed) {
                return Err(LedgerError::Quorum {
                    step: "catch up",
                    answered,
                    needed,
                    missing,
                });
            }
        }
        if newcomer {
            let (highest, locked) = self.furthest(heard);
            self.leave_views(highest, locked).await?;
        }
        self.recovered.store(true, Ordering::Release);
        Ok(())
    }

    /// The highest view, and the highest lock that holds, of what others say they hold.
    fn furthest(&self, heard: Vec<State>) -> (u64, Option<Lock>) {
        let mut highest = 0;
        let mut locked: Option<Lock> = None;
        for state in heard {
            let view = state.certificate.map_or(0, |it| it.view);
            highest = highest.max(view).max(state.promised);
            let genuine = state
                .lock
                .filter(|lock| lock.verify(&self.members, self.identity.as_ref()).is_ok());
            let rank = |lock: &Option<Lock>| lock.as_ref().map(|it| it.position.rank());
            if rank(&genuine) > rank(&locked) {
                locked = genuine;
            }
        }
        (highest, locked)
    }

    /// Asks the others how far the views have come and takes part in none of those: this member may have acknowledged
    /// anything in them. It takes over the highest lock, which it may have held itself. All must answer but those that may
    /// be faulty; a false high answer keeps this member out until it is replaced, and does no other harm.
    ///
    /// # Errors
    /// [`LedgerError::Quorum`] or a database error.
    pub async fn skip_views(&self) -> Result<(), LedgerError> {
        let others = self.members.nodes.iter().filter(|node| **node != self.me);
        let answers = join_all(others.map(|node| async move {
            let answer = self.links.call(*node, &Call::State, FETCH_WAIT).await;
            (*node, answer)
        }))
        .await;
        let count = u16::try_from(self.members.nodes.len()).unwrap_or(u16::MAX);
        let needed = count - 1 - max_faults(count);
        let mut missing = Vec::new();
        let mut heard = Vec::new();
        for (node, answer) in answers {
            match answer {
                Ok(Answer::State(state)) => heard.push(state),
                Ok(_) => missing.push((node, "does not say what it holds".to_owned())),
                Err(error) => missing.push((node, error.to_string())),
            }
        }
        if heard.len() < usize::from(needed) {
            return Err(LedgerError::Quorum {
                step: "rejoin",
                answered: heard.len(),
                needed,
                missing,
            });
        }
        let (highest, locked) = self.furthest(heard);
        self.leave_views(highest, locked).await
    }
}
