//! What the members of the ledger committee say to each other, and the evidence they keep of it.
//!
//! A *view* is a period with one sequencer, member `view mod n`. Within a view a member acknowledges positions of one
//! log that only grows. A *lock* is `t` acknowledgements of one position; a member signs a checkpoint only when it
//! holds the lock of its position. Two locks of one view lie on one log, because two quorums share an honest member.
//! A later view starts from the highest lock that `t` members report and nothing shorter is acknowledged in it, and a
//! member that reported takes no part in earlier views; so whatever was signed is kept by every later view, and no two
//! signed checkpoints conflict. Other members begin with a view of their own: a view has one sequencer, also across epochs.

use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::ids::NodeId;
use contracts::receipt::{Entry, Receipt};
use serde::{Deserialize, Serialize};

use super::LedgerError;

/// Most entries in one proposal or one submission.
pub const MAX_BATCH: usize = 256;
/// Most members of a ledger committee.
pub const MAX_MEMBERS: usize = 32;

/// Checks and makes signatures under the nodes' identity keys.
pub trait Identity: Send + Sync {
    /// Signs as this node.
    fn sign(&self, message: &[u8]) -> Bytes<64>;
    /// Whether the signature is this node's.
    fn verify(&self, node: NodeId, message: &[u8], signature: &Bytes<64>) -> bool;
}

/// Who keeps a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The log's origin.
    pub origin: String,
    /// The members, ascending.
    pub nodes: Vec<NodeId>,
    /// Members that make a quorum.
    pub threshold: u16,
    /// Members of past epochs and their quorums: what they locked still stands.
    pub former: Vec<(Vec<NodeId>, u16)>,
    /// The epoch since which these are the members; 0 for those that the log began with.
    pub since: u64,
}

impl Members {
    /// The sequencer of a view.
    pub fn sequencer(&self, view: u64) -> Option<NodeId> {
        let n = self.nodes.len() as u64;
        let place = usize::try_from(view.checked_rem(n)?).ok()?;
        self.nodes.get(place).copied()
    }

    /// Who was on the committee before these, and how many of them were a quorum.
    pub fn before(&self) -> Option<&(Vec<NodeId>, u16)> {
        self.former.iter().rfind(|(nodes, _)| *nodes != self.nodes)
    }

    /// Whether every one is a member, none occurs twice, and they are a quorum.
    fn are_quorum(&self, nodes: impl Iterator<Item = NodeId>) -> bool {
        Self::quorum_of(&self.nodes, self.threshold, nodes)
    }

    /// Whether they were a quorum in this epoch or a past one. Whoever holds a quorum of an old committee's identity keys
    /// could have forked the log then, so it adds nothing that they can still speak of those times.
    fn were_quorum(&self, nodes: impl Iterator<Item = NodeId> + Clone) -> bool {
        let past = self.former.iter();
        self.are_quorum(nodes.clone())
            || past
                .into_iter()
                .any(|(members, threshold)| Self::quorum_of(members, *threshold, nodes.clone()))
    }

    fn quorum_of(members: &[NodeId], threshold: u16, nodes: impl Iterator<Item = NodeId>) -> bool {
        let mut seen: Vec<NodeId> = nodes.collect();
        if seen.len() > MAX_MEMBERS {
            return false;
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        seen.len() == count
            && count >= usize::from(threshold)
            && seen.iter().all(|node| members.contains(node))
    }
}

/// The first `size` entries of the log as of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The view.
    pub view: u64,
    /// Entries.
    pub size: u64,
    /// Their RFC 6962 root.
    pub root: Bytes32,
}

impl Position {
    fn message(&self, origin: &str) -> [u8; 32] {
        tagged_hash(
            "shp/v1/ledger-ack",
            &[
                origin.as_bytes(),
                &self.view.to_be_bytes(),
                &self.size.to_be_bytes(),
                &self.root.0,
            ],
        )
    }

    /// What decides between two locks: the later view, then the longer log.
    pub fn rank(&self) -> (u64, u64) {
        (self.view, self.size)
    }
}

/// A member has stored every entry up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The member.
    pub member: NodeId,
    /// The position.
    pub position: Position,
    /// Ed25519 under the member's identity key.
    pub signature: Bytes<64>,
}

impl Ack {
    /// Acknowledges as this node.
    pub fn new(origin: &str, member: NodeId, position: Position, identity: &dyn Identity) -> Self {
        let signature = identity.sign(&position.message(origin));
        Self {
            member,
            position,
            signature,
        }
    }

    /// Whether the member signed it.
    pub fn verify(&self, origin: &str, identity: &dyn Identity) -> bool {
        identity.verify(self.member, &self.position.message(origin), &self.signature)
    }
}

/// A quorum's acknowledgements of one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The position.
    pub position: Position,
    /// The acknowledgements.
    pub acks: Vec<Ack>,
}

impl Lock {
    /// Checks that a quorum acknowledged the position.
    ///
    /// # Errors
    /// [`LedgerError::Evidence`].
    pub fn verify(&self, members: &Members, identity: &dyn Identity) -> Result<(), LedgerError> {
        let good = members.were_quorum(self.acks.iter().map(|ack| ack.member))
            && self
                .acks
                .iter()
                .all(|ack| ack.position == self.position && ack.verify(&members.origin, identity));
        good.then_some(())
            .ok_or(LedgerError::Evidence("lock: not acknowledged by a quorum"))
    }
}

/// A member leaves all views before this one and says what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The member.
    pub member: NodeId,
    /// The view it is ready to enter.
    pub view: u64,
    /// Its highest lock.
    pub lock: Option<Lock>,
    /// Ed25519 under the member's identity key.
    pub signature: Bytes<64>,
}

impl Report {
    fn message(origin: &str, view: u64, lock: Option<&Lock>) -> [u8; 32] {
        // The acknowledgements verify by themselves: signing the position is enough.
        let held = lock.map_or([0; 32], |lock| lock.position.message(origin));
        tagged_hash(
            "shp/v1/ledger-report",
            &[origin.as_bytes(), &view.to_be_bytes(), &held],
        )
    }

    /// Reports as this node.
    pub fn new(
        origin: &str,
        member: NodeId,
        view: u64,
        lock: Option<Lock>,
        identity: &dyn Identity,
    ) -> Self {
        let signature = identity.sign(&Self::message(origin, view, lock.as_ref()));
        Self {
            member,
            view,
            lock,
            signature,
        }
    }

    /// Checks the member's signature and its lock.
    ///
    /// # Errors
    /// [`LedgerError::Evidence`].
    pub fn verify(&self, members: &Members, identity: &dyn Identity) -> Result<(), LedgerError> {
        let message = Self::message(&members.origin, self.view, self.lock.as_ref());
        if !identity.verify(self.member, &message, &self.signature) {
            return Err(LedgerError::Evidence("report: not signed by its member"));
        }
        match &self.lock {
            Some(lock) if lock.position.view >= self.view => Err(LedgerError::Evidence(
                "report: its lock is not of an earlier view",
            )),
            Some(lock) => lock.verify(members, identity),
            None => Ok(()),
        }
    }
}

/// A quorum's reports: the right to sequence a view, and what it starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewCertificate {
    /// The view.
    pub view: u64,
    /// The reports.
    pub reports: Vec<Report>,
}

impl ViewCertificate {
    /// Checks that a quorum reported for this view.
    ///
    /// # Errors
    /// [`LedgerError::Evidence`].
    pub fn verify(&self, members: &Members, identity: &dyn Identity) -> Result<(), LedgerError> {
        if !members.were_quorum(self.reports.iter().map(|report| report.member))
            || self.reports.iter().any(|report| report.view != self.view)
        {
            return Err(LedgerError::Evidence("view: not reported for by a quorum"));
        }
        self.reports
            .iter()
            .try_for_each(|report| report.verify(members, identity))
    }

    /// Entries that the view starts from: no position in it is shorter.
    pub fn floor(&self) -> u64 {
        self.start().map_or(0, |lock| lock.position.size)
    }

    /// The lock that the view starts from; none when nothing was ever locked.
    pub fn start(&self) -> Option<&Lock> {
        self.reports
            .iter()
            .filter_map(|report| report.lock.as_ref())
            .max_by_key(|lock| lock.position.rank())
    }
}

/// The sequencer's next entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The view.
    pub view: u64,
    /// The right to sequence it; none for view 0.
    pub certificate: Option<ViewCertificate>,
    /// The log that the entries follow.
    pub base: u64,
    /// Its root.
    pub base_root: Bytes32,
    /// The entries; none to have the base itself acknowledged in this view.
    pub entries: Vec<Entry>,
}

/// A call from one node to a ledger member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// To any member, from a committee's node: append, wherever the sequencer is.
    Append(Vec<Entry>),
    /// To the sequencer, from a member: put these in order and have them signed.
    Submit(Vec<Entry>),
    /// From the sequencer: store and acknowledge.
    Propose(Proposal),
    /// A newly signed checkpoint.
    Commit(String),
    /// From a successor: leave the present view unless its sequencer gets these entries through.
    Report {
        /// The successor's view.
        view: u64,
        /// Entries that could not be appended.
        entries: Vec<Entry>,
    },
    /// To a successor: the sequencer does not append these; take over in this view.
    TakeOver {
        /// The successor's view.
        view: u64,
        /// Entries that could not be appended.
        entries: Vec<Entry>,
    },
    /// What do you hold?
    State,
    /// The receipt of the entry at this index.
    Receipt(u64),
    /// The receipts of these entries, if all are in the log.
    Find(Vec<Entry>),
    /// Entries, whether under a checkpoint or not.
    Entries {
        /// Index of the first.
        start: u64,
        /// How many, at most [`super::MAX_FETCH`].
        count: u64,
    },
}

/// A member's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To `Append`: a receipt for each entry, in the order asked. To `Receipt`: one, or none. To `Find`: all, or
    /// none.
    Receipts(Vec<Receipt>),
    /// To `Submit`: the entries are under this checkpoint, a signed note.
    Appended(String),
    /// To `Propose`.
    Acknowledged(Ack),
    /// To `Report`.
    Reported(Report),
    /// To `TakeOver`: the view now in force at this member.
    View(u64),
    /// To `State`.
    State(State),
    /// To `Entries`.
    Entries(Vec<Entry>),
    /// To `Commit`.
    Noted,
    /// Not done; the view shows a caller that is behind.
    Refused {
        /// The check that failed.
        reason: String,
        /// The member's view.
        view: u64,
    },
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The right of the present view's sequencer; none for view 0.
    pub certificate: Option<ViewCertificate>,
    /// Highest lock.
    pub lock: Option<Lock>,
    /// Latest signed checkpoint.
    pub checkpoint: Option<String>,
    /// Entries stored.
    pub size: u64,
    /// The highest view it reported for.
    pub promised: u64,
}
