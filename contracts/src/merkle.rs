//! RFC 6962 §2.1 Merkle trees: root, inclusion and consistency proofs and their checks.

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

/// The Merkle tree hash of leaf hashes; of none, `SHA-256("")`.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
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
    /// Leaf hashes first, the root last. The last hash of a level of odd length stands for itself in the next, which
    /// gives the left-full tree of §2.1.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// The tree over leaf hashes; none over none.
    pub fn new(leaves: Vec<[u8; 32]>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut messages = std::array::from_fn(|_| NodeMessage::new());
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(parents(level, &mut messages));
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

/// The level above one. Several messages are written before the first is hashed: a processor that reads back in words what
/// it has only just written in bytes waits for it, and that doubles the time.
fn parents(level: &[[u8; 32]], messages: &mut [NodeMessage; LANES]) -> Vec<[u8; 32]> {
    let (pairs, rest) = level.as_chunks::<2>();
    let mut above = Vec::with_capacity(level.len().div_ceil(2));
    for pairs in pairs.chunks(LANES) {
        for (message, [left, right]) in messages.iter_mut().zip(pairs) {
            message.set(left, right);
        }
        above.extend(messages[..pairs.len()].iter().map(NodeMessage::hash));
    }
    above.extend(rest);
    above
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

    #[test]
    fn a_tree_built_many_nodes_at_once_is_the_tree_of_one_at_a_time() {
        let whole = leaves(40 * LANES + 3);
        for n in (2 * LANES - 1..=2 * LANES + 3).chain([4 * LANES, 4 * LANES + 2, whole.len()]) {
            let leaves = whole.get(..n).unwrap();
            let tree = Tree::new(leaves.to_vec()).unwrap();
            assert_eq!(tree.root(), root(leaves), "{n} leaves");
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
