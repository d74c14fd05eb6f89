//! RFC 6962 §2.1 Merkle trees: root, inclusion and consistency proofs and their checks.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use sha2::digest::consts::U64;
use sha2::digest::generic_array::GenericArray;
use sha2::{Digest, Sha256, compress256};

use crate::encoding::Bytes32;

/// SHA-256's initial hash value (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
/// Pairs of a level that are laid out before any of them is hashed.
const LANES: usize = 16;
/// Leaves of a subtree that is hashed on the stack: a power of two.
const PART: usize = 1_024;
/// Leaves from which on a second thread costs less than it saves.
const WORTH_A_THREAD: usize = 4 * PART;

type Block = GenericArray<u8, U64>;

/// Leaf hash, `SHA-256(0x00 ‖ leaf)`.
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// Interior node hash, `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut message = NodeMessage::new();
    message.set(left, right);
    message.hash()
}

/// What an interior node hashes, padded: two blocks whatever the children are, so no buffering hasher is needed.
struct NodeMessage([Block; 2]);

impl NodeMessage {
    fn new() -> Self {
        let mut blocks = [Block::default(); 2];
        blocks[0][0] = 1;
        blocks[1][1] = 0x80;
        blocks[1][56..].copy_from_slice(&(65u64 * 8).to_be_bytes());
        Self(blocks)
    }

    fn set(&mut self, left: &[u8; 32], right: &[u8; 32]) {
        let [first, second] = &mut self.0;
        first[1..33].copy_from_slice(left);
        first[33..].copy_from_slice(&right[..31]);
        second[0] = right[31];
    }

    fn hash(&self) -> [u8; 32] {
        let mut state = INITIAL;
        compress256(&mut state, &self.0);
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        hash
    }
}

/// The largest power of two below `n`, for `n ≥ 2`.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

/// The Merkle tree hash of leaf hashes; of none, `SHA-256("")`. Many are hashed on two processors where there are two.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    if leaves.len() <= PART {
        return small_root(leaves);
    }
    // A whole part is a subtree, and what the last one comes to stands where its subtree would.
    let roots = |leaves: &[[u8; 32]]| leaves.chunks(PART).map(small_root).collect::<Vec<_>>();
    let half = (leaves.len() / 2).next_multiple_of(PART);
    let above = match leaves.split_at_checked(half) {
        Some((first, second)) if leaves.len() >= WORTH_A_THREAD && processors() > 1 => {
            thread::scope(|scope| {
                let second = scope.spawn(|| roots(second));
                let mut above = roots(first);
                above.extend(second.join().unwrap_or_else(|panic| resume_unwind(panic)));
                above
            })
        }
        _ => roots(leaves),
    };
    root(&above)
}

/// The Merkle tree hash of at most [`PART`] leaf hashes, without memory of the heap.
fn small_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    if leaves.is_empty() {
        return Sha256::digest([]).into();
    }
    let mut level = [[0; 32]; PART];
    level[..leaves.len()].copy_from_slice(leaves);
    let mut width = leaves.len();
    while width > 1 {
        width = climb(&mut level[..width]);
    }
    level[0]
}

/// Writes the level above one over its beginning, and returns how wide that is. The last node of a level of odd width stands
/// for itself in the next, which gives the left-full tree of §2.1.
///
/// Several messages are written before the first is hashed: a processor that reads back in words what it has only just
/// written in bytes waits for it, and that doubles the time.
fn climb(level: &mut [[u8; 32]]) -> usize {
    let mut messages: [_; LANES] = std::array::from_fn(|_| NodeMessage::new());
    let pairs = level.len() / 2;
    for first in (0..pairs).step_by(LANES) {
        let messages = &mut messages[..LANES.min(pairs - first)];
        let children = level[2 * first..].as_chunks::<2>().0.iter();
        for (message, [left, right]) in messages.iter_mut().zip(children) {
            message.set(left, right);
        }
        // No child that is still to be read is so far to the left.
        for (node, message) in level[first..].iter_mut().zip(&*messages) {
            *node = message.hash();
        }
    }
    if level.len() % 2 == 1 {
        level[pairs] = level[2 * pairs];
    }
    level.len().div_ceil(2)
}

/// Threads that can run at once.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// The audit path of leaf `index` (§2.1.1), deepest sibling first; none if there is no such leaf.
pub fn inclusion_path(leaves: &[[u8; 32]], index: usize) -> Option<Vec<Bytes32>> {
    match leaves {
        [] => None,
        [_] => (index == 0).then(Vec::new),
        _ => {
            let k = split(leaves.len());
            let (left, right) = leaves.split_at(k);
            let (mut path, sibling) = if index < k {
                (inclusion_path(left, index)?, root(right))
            } else {
                (inclusion_path(right, index - k)?, root(left))
            };
            path.push(sibling.into());
            Some(path)
        }
    }
}

/// A finished tree with every interior hash, for many audit paths of one tree: each costs a look-up per level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Leaf hashes first, the root last.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// The tree over leaf hashes; none over none.
    pub fn new(leaves: Vec<[u8; 32]>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let mut above = level.clone();
            let width = climb(&mut above);
            above.truncate(width);
            levels.push(above);
        }
        Some(Self { levels })
    }

    /// The leaf hashes.
    pub fn leaves(&self) -> &[[u8; 32]] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> [u8; 32] {
        root(self.levels.last().map_or(&[], Vec::as_slice))
    }

    /// The audit path of leaf `index` (§2.1.1), deepest sibling first; none if there is no such leaf.
    pub fn inclusion_path(&self, index: usize) -> Option<Vec<Bytes32>> {
        self.leaves().get(index)?;
        let siblings = self
            .levels
            .iter()
            .enumerate()
            .filter_map(|(height, level)| {
                let sibling = level.get((index >> height) ^ 1)?;
                Some(Bytes32::from(*sibling))
            });
        Some(siblings.collect())
    }
}

/// The root that a leaf hash, its index, the tree size and an audit path lead to (RFC 9162 §2.1.3.2).
///
/// None when the index is outside the tree or the path has the wrong length.
pub fn root_from_path(
    leaf: &[u8; 32],
    index: u64,
    size: u64,
    path: &[Bytes32],
) -> Option<[u8; 32]> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(&sibling.0, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, &sibling.0);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// The consistency proof between the first `old` leaves and all of them (§2.1.2); none unless `1 ≤ old ≤ n`.
pub fn consistency_path(leaves: &[[u8; 32]], old: usize) -> Option<Vec<Bytes32>> {
    fn subproof(leaves: &[[u8; 32]], old: usize, whole: bool, path: &mut Vec<Bytes32>) {
        let n = leaves.len();
        if old == n {
            if !whole {
                path.push(root(leaves).into());
            }
            return;
        }
        let k = split(n);
        let (left, right) = leaves.split_at(k);
        if old <= k {
            subproof(left, old, whole, path);
            path.push(root(right).into());
        } else {
            subproof(right, old - k, false, path);
            path.push(root(left).into());
        }
    }
    if old == 0 || old > leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    subproof(leaves, old, true, &mut path);
    Some(path)
}

/// Whether a tree of `old` leaves with `old_root` is a prefix of one of `new` leaves with `new_root`
/// (RFC 9162 §2.1.4.2).
pub fn consistent(
    old: u64,
    old_root: &[u8; 32],
    new: u64,
    new_root: &[u8; 32],
    path: &[Bytes32],
) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    let mut hashes = path.iter().map(|hash| hash.0);
    let first = if old.is_power_of_two() {
        Some(*old_root)
    } else {
        hashes.next()
    };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (first, first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(&hash, &from_old);
            from_new = node_hash(&hash, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, &hash);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<[u8; 32]> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_has_a_path_and_no_other_place() {
        for n in 1..=33 {
            let leaves = leaves(n);
            let root = root(&leaves);
            for (i, leaf) in leaves.iter().enumerate() {
                let path = inclusion_path(&leaves, i).unwrap();
                assert_eq!(root_from_path(leaf, i as u64, n as u64, &path), Some(root));
                for j in (0..n).filter(|j| *j != i) {
                    assert_ne!(root_from_path(leaf, j as u64, n as u64, &path), Some(root));
                }
                let mut longer = path.clone();
                longer.push(Bytes32::from([0; 32]));
                assert_eq!(root_from_path(leaf, i as u64, n as u64, &longer), None);
            }
            assert!(inclusion_path(&leaves, n).is_none());
            let tree = Tree::new(leaves.clone()).unwrap();
            assert_eq!(tree.root(), root);
            for i in 0..=n {
                assert_eq!(tree.inclusion_path(i), inclusion_path(&leaves, i));
            }
        }
    }

    #[test]
    fn a_node_is_hashed_as_its_65_bytes() {
        let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
        let whole = Sha256::new()
            .chain_update([1])
            .chain_update(left)
            .chain_update(right);
        assert_eq!(node_hash(&left, &right), <[u8; 32]>::from(whole.finalize()));
    }

    /// §2.1 word for word.
    fn defined(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&defined(left), &defined(right))
            }
        }
    }

    #[test]
    fn a_tree_of_any_width_has_the_root_that_is_defined() {
        let whole = leaves(6 * PART + 5);
        let around = |n: usize| n - 3..=n + 3;
        let small = (0..=3).chain(around(2 * LANES)).chain(around(4 * LANES));
        let large = [1, 2, 3, 4, 5, 6]
            .into_iter()
            .flat_map(|parts| around(parts * PART));
        for n in small.chain(large).filter(|n| *n <= whole.len()) {
            let leaves = whole.get(..n).unwrap();
            let tree = Tree::new(leaves.to_vec()).map(|tree| tree.root());
            assert_eq!(root(leaves), defined(leaves), "{n} leaves");
            assert_eq!(tree, (n > 0).then(|| defined(leaves)), "{n} leaves");
        }
    }

    proptest! {
        #[test]
        fn prefixes_are_consistent_and_edits_are_not(n in 1usize..70, old in 1usize..70, edit in 0usize..70) {
            prop_assume!(old <= n);
            let whole = leaves(n);
            let prefix = whole.get(..old).unwrap();
            let path = consistency_path(&whole, old).unwrap();
            prop_assert!(consistent(old as u64, &root(prefix), n as u64, &root(&whole), &path));
            let mut edited = prefix.to_vec();
            if let Some(leaf) = edited.get_mut(edit % old) { *leaf = leaf_hash(b"edited"); }
            prop_assert!(!consistent(old as u64, &root(&edited), n as u64, &root(&whole), &path));
        }
    }
}
