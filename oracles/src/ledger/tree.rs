//! The log's Merkle tree in memory: RFC 6962 with every complete subtree's hash kept, so that roots and proofs of any
//! size cost O(log² n) hashes.

use contracts::encoding::Bytes32;
use contracts::merkle::{self, node_hash};

/// Leaf hashes of an append-only log and the hashes of its complete subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// `levels[l][i]` is the hash of leaves `i·2^l .. (i+1)·2^l`.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// A tree of these leaf hashes.
    pub fn new(leaves: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut tree = Self::default();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else {
                return;
            };
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// Drops every leaf from `size` on.
    pub fn truncate(&mut self, size: u64) {
        for (level, row) in self.levels.iter_mut().enumerate() {
            row.truncate(usize::try_from(size >> level).unwrap_or(usize::MAX));
        }
        self.levels.retain(|row| !row.is_empty());
    }

    /// The hash of leaf `index`.
    pub fn leaf(&self, index: u64) -> Option<[u8; 32]> {
        self.complete(0, index)
    }

    fn complete(&self, level: u32, index: u64) -> Option<[u8; 32]> {
        self.levels
            .get(level as usize)?
            .get(usize::try_from(index).ok()?)
            .copied()
    }

    /// The RFC 6962 hash of leaves `start .. end`, where `start` is a multiple of the smallest power of two not below
    /// `end − start`, as it is for every subtree of an RFC 6962 tree.
    fn subtree(&self, start: u64, end: u64) -> Option<[u8; 32]> {
        let width = end.checked_sub(start).filter(|width| *width > 0)?;
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.complete(level, start >> level);
        }
        let middle = start + split(width);
        Some(node_hash(
            &self.subtree(start, middle)?,
            &self.subtree(middle, end)?,
        ))
    }

    /// The root of the first `size` leaves; none when there are fewer.
    pub fn root(&self, size: u64) -> Option<Bytes32> {
        if size == 0 {
            return Some(merkle::root(&[]).into());
        }
        self.subtree(0, size).map(Bytes32::from)
    }

    /// Size and root of the tree that has the first `keep` leaves and then these; none when there are fewer to keep.
    pub fn root_with(
        &self,
        keep: u64,
        leaves: impl IntoIterator<Item = [u8; 32]>,
    ) -> Option<(u64, Bytes32)> {
        if keep > self.size() {
            return None;
        }
        // The roots of the complete subtrees, widest first, each with the number of its leaves.
        let mut peaks: Vec<(u64, [u8; 32])> = Vec::new();
        let mut start = 0;
        while start < keep {
            let width = 1 << (keep - start).ilog2();
            peaks.push((width, self.subtree(start, start + width)?));
            start += width;
        }
        let mut size = keep;
        for leaf in leaves {
            let (mut width, mut hash) = (1, leaf);
            while let Some((_, left)) = peaks.pop_if(|(other, _)| *other == width) {
                hash = node_hash(&left, &hash);
                width *= 2;
            }
            peaks.push((width, hash));
            size += 1;
        }
        let root = peaks
            .into_iter()
            .map(|(_, hash)| hash)
            .rev()
            .reduce(|right, left| node_hash(&left, &right));
        Some((size, root.unwrap_or_else(|| merkle::root(&[])).into()))
    }

    /// The audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962 §2.1.1).
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Bytes32>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            let sibling = if index < middle {
                let sibling = self.subtree(middle, end)?;
                end = middle;
                sibling
            } else {
                let sibling = self.subtree(start, middle)?;
                start = middle;
                sibling
            };
            path.push(sibling.into());
        }
        path.reverse();
        Some(path)
    }

    /// The consistency proof between the first `old` and the first `new` leaves (RFC 6962 §2.1.2).
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Bytes32>> {
        if old == 0 || old > new || new > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, new);
        let mut path = Vec::new();
        let mut whole = true;
        while old != end {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.subtree(middle, end)?.into());
                end = middle;
            } else {
                path.push(self.subtree(start, middle)?.into());
                start = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(self.subtree(start, end)?.into());
        }
        path.reverse();
        Some(path)
    }
}

/// The largest power of two below `n`, for `n ≥ 2`.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<[u8; 32]> {
        (0..n)
            .map(|i| merkle::leaf_hash(&i.to_be_bytes()))
            .collect()
    }

    proptest! {
        #[test]
        fn roots_and_proofs_are_those_of_the_definition(n in 0usize..140, size in 0usize..140, at in 0usize..140) {
            let all = leaves(n);
            let tree = Tree::new(all.iter().copied());
            prop_assert_eq!(tree.size(), n as u64);
            let (wide, wide_at) = (size as u64, at as u64);
            match all.get(..size) {
                None => {
                    prop_assert_eq!(tree.root(wide), None);
                    prop_assert_eq!(tree.inclusion(0, wide), None);
                    prop_assert_eq!(tree.consistency(1, wide), None);
                }
                Some(prefix) => {
                    prop_assert_eq!(tree.root(wide), Some(merkle::root(prefix).into()));
                    prop_assert_eq!(tree.inclusion(wide_at, wide), merkle::inclusion_path(prefix, at));
                    prop_assert_eq!(tree.consistency(wide_at, wide), merkle::consistency_path(prefix, at));
                }
            }
        }

        #[test]
        fn a_cut_tree_is_the_tree_of_the_shorter_log(n in 0usize..140, cut in 0usize..140, more in 0usize..9) {
            let all = leaves(n);
            let whole = Tree::new(all.iter().copied());
            let mut tree = whole.clone();
            tree.truncate(cut as u64);
            let mut kept: Vec<_> = all.into_iter().take(cut).collect();
            let expected = Tree::new(kept.iter().copied().chain(leaves(more)));
            prop_assert_eq!(
                whole.root_with(cut as u64, leaves(more)),
                (cut <= n).then(|| (expected.size(), expected.root(expected.size()).unwrap()))
            );
            for leaf in leaves(more) {
                tree.push(leaf);
                kept.push(leaf);
            }
            prop_assert_eq!(tree, Tree::new(kept));
        }
    }
}
