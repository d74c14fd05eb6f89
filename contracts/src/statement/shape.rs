//! A flattened tree as the proof sees it: groups of relations, and choices between them.

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

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

/// The relations directly under one `and`, which hold if its selector is not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Place among the statement's groups.
    pub index: usize,
    /// The relations, each with a weight of its own.
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
    /// Place of the first branch's selector; those of the others follow, and the last has none of its own.
    pub first: usize,
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
    /// Choices' branches but the last of each.
    selectors: usize,
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
            selectors: layout.selectors,
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

    /// Selectors that are committed: of all branches but the last of each choice.
    pub fn selectors(&self) -> usize {
        self.selectors
    }

    /// Bytes of the range proof: 9 elements and two per halving.
    pub fn range_proof_len(&self) -> usize {
        match self.padded() {
            0 => 0,
            padded => 32 * (9 + 2 * (padded * usize::from(self.bits)).ilog2() as usize),
        }
    }

    /// Bytes of the proof without the slack commitments: three announcements and three responses, and with choices the
    /// commitment to selectors and a response for each.
    pub fn proof_len(&self) -> usize {
        let commitment = usize::from(self.selectors > 0);
        self.range_proof_len() + 32 * (3 + 3 + commitment + self.selectors)
    }

    /// Bytes of slack commitments and proof.
    pub fn total_len(&self) -> usize {
        32 * self.slots + self.proof_len()
    }

    /// Binds the statement's form.
    pub(super) fn append_to(&self, transcript: &mut Transcript) {
        transcript.append_u64(b"facts", self.facts as u64);
        transcript.append_u64(b"slots", self.slots as u64);
        transcript.append_u64(b"bits", u64::from(self.bits));
        transcript.append_message(b"tree", &self.tree);
    }

    /// Draws one full-size weight per relation, in the order of groups.
    pub(super) fn weights(&self, transcript: &mut Transcript) -> Vec<Vec<Scalar>> {
        let mut weights = Vec::with_capacity(self.groups);
        each_group(&self.root, &mut |group| {
            let members = group.members.iter();
            weights.push(
                members
                    .map(|_| transcript.challenge_scalar(b"weight"))
                    .collect(),
            );
        });
        weights
    }

    /// The selector of each group, given the root's and the committed ones: that of a branch is its own, that of the last
    /// branch of a choice what the others leave of the choice's.
    ///
    /// Linear in both arguments together.
    pub(super) fn group_selectors(
        &self,
        root: Scalar,
        committed: &[Scalar],
    ) -> Zeroizing<Vec<Scalar>> {
        let mut selectors = Zeroizing::new(Vec::with_capacity(self.groups));
        pass_down(&self.root, root, committed, &mut selectors);
        selectors
    }

    /// The weighted sum of all relations' points, each group's times its selector.
    pub(super) fn combine(&self, weights: &[Vec<Scalar>], selectors: &[Scalar]) -> Combination {
        let mut sum = Combination::new(self.facts, self.slots);
        let mut groups = weights.iter().zip(selectors);
        each_group(&self.root, &mut |group| {
            for (weights, selector) in groups.by_ref().take(1) {
                for (weight, member) in weights.iter().zip(&group.members) {
                    sum.add(&(weight * selector), member);
                }
            }
        });
        sum
    }
}

fn each_group(all: &All, visit: &mut dyn FnMut(&Group)) {
    if let Some(group) = &all.group {
        visit(group);
    }
    for branch in all.choices.iter().flat_map(|any| &any.branches) {
        each_group(branch, visit);
    }
}

fn pass_down(all: &All, selector: Scalar, committed: &[Scalar], groups: &mut Vec<Scalar>) {
    if all.group.is_some() {
        groups.push(selector);
    }
    for any in &all.choices {
        let mut rest = selector;
        let (last, others) = any.branches.split_last().expect(LAID_OUT);
        for (branch, own) in others.iter().zip(committed.iter().skip(any.first)) {
            rest -= own;
            pass_down(branch, *own, committed, groups);
        }
        pass_down(last, rest, committed, groups);
    }
}

const LAID_OUT: &str = "facts, slots and branches were checked when the shape was laid out";

/// Numbers groups and choices in the order of the tree, and slots so that branches of one choice share theirs.
#[derive(Default)]
struct Layout {
    groups: usize,
    selectors: usize,
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
            let first = self.selectors;
            self.selectors += branches.len() - 1;
            let branches = branches.iter().map(|branch| self.all(branch, slot));
            choices.push(Any {
                first,
                branches: branches.collect::<Result<_, _>>()?,
            });
            slot += child.slots();
        }
        Ok(All { group, choices })
    }
}

/// A linear combination of a statement's points: coefficients of `C_v`, `C_known`, `S` and `B`.
///
/// With blindings in place of points it gives the blinding of the sum. Wiped on drop: a prover's has nonces in it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
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

    /// Adds `weight` times a member's point.
    fn add(&mut self, weight: &Scalar, member: &Member) {
        let mut linear = |weight: &Scalar, atom: &Atom| {
            for (fact, coefficient) in &atom.terms {
                *self.value.get_mut(*fact).expect(LAID_OUT) += weight * scalar(*coefficient);
            }
            self.base += weight * scalar(atom.constant);
        };
        match member {
            Member::Slack { atom, slot } => {
                linear(&-weight, atom);
                *self.slack.get_mut(*slot).expect(LAID_OUT) += weight;
            }
            Member::Zero { atom } => linear(weight, atom),
            Member::Known { fact } => {
                *self.known.get_mut(*fact).expect(LAID_OUT) += weight;
                self.base -= weight;
            }
        }
    }
}
