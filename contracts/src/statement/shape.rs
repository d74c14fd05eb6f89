//! A flattened tree as the proof sees it: groups of relations that fold together, and choices between them.

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;

use super::transcript::ProofTranscript;
use super::tree::{Atom, MAX_ATOMS, MAX_SLOTS, Node, Relation, TreeError, WIDTHS};
use crate::issuance::scalar;

/// Facts that one statement may speak of.
pub const MAX_FACTS: usize = 64;

/// A point that must lie in ⟨H⟩.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// `S_slot − L(C_v)`, which with `S ≥ 0` says `L ≥ 0`.
    Slack { atom: Atom, slot: usize },
    /// `L(C_v)`, which says `L = 0`.
    Zero { atom: Atom },
    /// `C_known − B`, which says `known = 1`.
    Known { fact: usize },
}

/// The relations directly under one `and`: one folded proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Place among the statement's groups.
    pub index: usize,
    /// What is folded, each with a weight of its own.
    pub members: Vec<Member>,
}

/// All of: a group (unless there is no relation directly here), and choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct All {
    pub group: Option<Group>,
    pub choices: Vec<Any>,
}

/// At least one of two or more branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Any {
    /// Place among the statement's choices.
    pub index: usize,
    pub branches: Vec<All>,
}

/// What contract and verdict fix about a proof: its relations, slots, width and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub(super) root: All,
    /// The flattened tree, in the form in which the transcript binds it.
    tree: Vec<u8>,
    facts: usize,
    slots: usize,
    bits: u8,
    groups: usize,
    /// Branches of each choice.
    pub(super) branches: Vec<usize>,
}

impl Shape {
    /// Lays out a tree over so many facts, with slacks of `bits` bits.
    ///
    /// # Errors
    /// [`TreeError`]: an empty `and` or `or`, a fact that does not exist, too many atoms or slots, or a width that is
    /// none of [`WIDTHS`].
    pub fn new(node: &Node, facts: usize, bits: u8) -> Result<Self, TreeError> {
        let node = node.clone().flatten();
        let atoms = node.atoms();
        if atoms.len() > MAX_ATOMS {
            return Err(TreeError::Atoms(atoms.len()));
        }
        let named = atoms.iter().flat_map(|atom| &atom.terms);
        let last = named.map(|(fact, _)| *fact).max().unwrap_or(0);
        if last >= facts.min(MAX_FACTS) || facts > MAX_FACTS {
            return Err(TreeError::NoSuchFact { fact: last, facts });
        }
        let slots = node.slots();
        if slots > MAX_SLOTS {
            return Err(TreeError::Slots(slots));
        }
        if !WIDTHS.contains(&bits) {
            return Err(TreeError::Bits(bits));
        }
        let mut layout = Layout::default();
        let root = layout.all(&node, 0)?;
        Ok(Self {
            root,
            tree: serde_json::to_vec(&node).expect("a tree has a JSON form"),
            facts,
            slots,
            bits,
            groups: layout.groups,
            branches: layout.branches,
        })
    }

    /// Facts that the statement speaks of.
    pub fn facts(&self) -> usize {
        self.facts
    }

    /// Slack commitments that the proof carries.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Slots with the padding that both sides compute; none without slots.
    pub fn padded(&self) -> usize {
        match self.slots {
            0 => 0,
            slots => slots.next_power_of_two(),
        }
    }

    /// Width of the slacks in bits.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Folded groups, each with one announcement and one response.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Bytes of the range proof: 9 elements and two per halving.
    pub fn range_proof_len(&self) -> usize {
        match self.padded() {
            0 => 0,
            padded => 32 * (9 + 2 * (padded * usize::from(self.bits)).ilog2() as usize),
        }
    }

    /// Bytes of the proof without the slack commitments.
    pub fn proof_len(&self) -> usize {
        let shares: usize = self.branches.iter().map(|branches| branches - 1).sum();
        self.range_proof_len() + 32 * (3 + 3 + 2 * self.groups + shares)
    }

    /// Binds the statement's form.
    pub(super) fn append_to(&self, transcript: &mut Transcript) {
        transcript.append_u64(b"facts", self.facts as u64);
        transcript.append_u64(b"slots", self.slots as u64);
        transcript.append_u64(b"bits", u64::from(self.bits));
        transcript.append_message(b"tree", &self.tree);
    }

    /// Draws one full-size weight per relation and folds every group's.
    pub(super) fn fold(&self, transcript: &mut Transcript) -> Vec<Combination> {
        let mut folded = Vec::with_capacity(self.groups);
        self.fold_all(&self.root, transcript, &mut folded);
        folded
    }

    fn fold_all(&self, all: &All, transcript: &mut Transcript, folded: &mut Vec<Combination>) {
        if let Some(group) = &all.group {
            let mut sum = Combination::new(self.facts, self.slots);
            for member in &group.members {
                sum.add(&transcript.challenge_scalar(b"weight"), member);
            }
            folded.push(sum);
        }
        for branch in all.choices.iter().flat_map(|any| &any.branches) {
            self.fold_all(branch, transcript, folded);
        }
    }
}

/// Numbers groups and choices in the order of the tree, and slots so that branches of one choice share theirs.
#[derive(Default)]
struct Layout {
    groups: usize,
    branches: Vec<usize>,
}

impl Layout {
    /// Lays out a flattened node as an `and`, its first slot being `slot`.
    fn all(&mut self, node: &Node, mut slot: usize) -> Result<All, TreeError> {
        let children = match node {
            Node::And(children) => children.as_slice(),
            single => std::slice::from_ref(single),
        };
        if children.is_empty() {
            return Err(TreeError::Empty);
        }
        let mut members = Vec::new();
        let mut known = Vec::new();
        for child in children {
            let Node::Atom(atom) = child else { continue };
            known.extend(atom.terms.iter().map(|(fact, _)| *fact));
            let atom = atom.clone();
            members.push(match atom.relation {
                Relation::GeZero => {
                    slot += 1;
                    Member::Slack {
                        atom,
                        slot: slot - 1,
                    }
                }
                Relation::EqZero => Member::Zero { atom },
            });
        }
        known.sort_unstable();
        known.dedup();
        members.extend(known.into_iter().map(|fact| Member::Known { fact }));
        let group = (!members.is_empty()).then(|| {
            let index = self.groups;
            self.groups += 1;
            Group { index, members }
        });
        let mut choices = Vec::new();
        for child in children {
            let Node::Or(branches) = child else { continue };
            if branches.is_empty() {
                return Err(TreeError::Empty);
            }
            let index = self.branches.len();
            self.branches.push(branches.len());
            let branches = branches.iter().map(|branch| self.all(branch, slot));
            choices.push(Any {
                index,
                branches: branches.collect::<Result<_, _>>()?,
            });
            slot += child.slots();
        }
        Ok(All { group, choices })
    }
}

/// A linear combination of a statement's points: coefficients of `C_v`, `C_known`, `S` and `B`.
///
/// With blindings in place of points it gives the blinding of the sum.
#[derive(Debug, Clone)]
pub(super) struct Combination {
    pub value: Vec<Scalar>,
    pub known: Vec<Scalar>,
    pub slack: Vec<Scalar>,
    pub base: Scalar,
}

impl Combination {
    pub fn new(facts: usize, slots: usize) -> Self {
        Self {
            value: vec![Scalar::ZERO; facts],
            known: vec![Scalar::ZERO; facts],
            slack: vec![Scalar::ZERO; slots],
            base: Scalar::ZERO,
        }
    }

    /// Adds `weight` times another combination of the same points.
    pub fn add_scaled(&mut self, weight: &Scalar, other: &Self) {
        let add = |into: &mut [Scalar], from: &[Scalar]| {
            for (into, from) in into.iter_mut().zip(from) {
                *into += weight * from;
            }
        };
        add(&mut self.value, &other.value);
        add(&mut self.known, &other.known);
        add(&mut self.slack, &other.slack);
        self.base += weight * other.base;
    }

    /// Adds `weight` times a member's point.
    fn add(&mut self, weight: &Scalar, member: &Member) {
        const WHY: &str = "facts and slots of members were checked when the shape was laid out";
        let mut linear = |weight: &Scalar, atom: &Atom| {
            for (fact, coefficient) in &atom.terms {
                *self.value.get_mut(*fact).expect(WHY) += weight * scalar(*coefficient);
            }
            self.base += weight * scalar(atom.constant);
        };
        match member {
            Member::Slack { atom, slot } => {
                linear(&-weight, atom);
                *self.slack.get_mut(*slot).expect(WHY) += weight;
            }
            Member::Zero { atom } => linear(weight, atom),
            Member::Known { fact } => {
                *self.known.get_mut(*fact).expect(WHY) += weight;
                self.base -= weight;
            }
        }
    }
}
