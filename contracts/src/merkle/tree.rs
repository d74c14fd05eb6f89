//! A finished tree with every interior hash, built on as many processors as it is worth.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use super::{node_hash, root};
use crate::encoding::Bytes32;

type Hash = [u8; 32];

/// The least leaves of a subtree that is worth a thread of its own, and its height.
const PART: usize = 1 << PART_HEIGHT;
const PART_HEIGHT: usize = 10;
/// Most leaves that [`Tree::ascending`] sorts by number.
const MAX_PLACES: usize = 1 << 20;
/// The bits of a place among them.
const PLACE: u64 = MAX_PLACES as u64 - 1;

/// A tree for many audit paths: each costs a look-up per level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Leaf hashes first, the root last. The last hash of a level of odd length stands for itself in the next, which
    /// gives the left-full tree of §2.1.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over leaf hashes as they are ordered; none over none.
    pub fn new(leaves: Vec<Hash>) -> Option<Self> {
        Self::on(threads_for(leaves.len()), leaves)
    }

    /// The tree over leaf hashes in ascending order; none over none.
    pub fn ascending(leaves: &[Hash]) -> Option<Self> {
        Self::ascending_on(threads_for(leaves.len()), leaves)
    }

    /// The tree, its lowest levels built by at most so many threads.
    fn on(threads: usize, leaves: Vec<Hash>) -> Option<Self> {
        let mut tree = Self::empty(leaves)?;
        let parts = tree.parts(threads);
        at_once(parts, |mut part| climb(&mut part));
        Some(tree.topped())
    }

    fn ascending_on(threads: usize, leaves: &[Hash]) -> Option<Self> {
        if leaves.len() > MAX_PLACES {
            let mut leaves = leaves.to_vec();
            leaves.sort_unstable();
            return Self::on(threads, leaves);
        }
        // Hashes are uniform: their first 44 bits decide nearly always, and a number that ends in its place is sorted an
        // order of magnitude quicker than a hash.
        let mut keys: Vec<u64> = leaves
            .iter()
            .enumerate()
            .map(|(place, hash)| head(hash) & !PLACE | place as u64)
            .collect();
        let mut tree = Self::empty(vec![[0; 32]; leaves.len()])?;
        let parts = tree.parts(threads);
        let mut rest = keys.as_mut_slice();
        let mut jobs = Vec::with_capacity(parts.len());
        for part in parts {
            let count = part.first().map_or(0, |leaves| leaves.len());
            if count < rest.len() {
                rest.select_nth_unstable(count);
            }
            let (own, others) = rest.split_at_mut(count);
            jobs.push((own, part));
            rest = others;
        }
        at_once(jobs, |(keys, mut part)| {
            keys.sort_unstable();
            if let Some(slots) = part.first_mut() {
                for (slot, key) in slots.iter_mut().zip(keys) {
                    *slot = leaves[(*key & PLACE) as usize];
                }
            }
            climb(&mut part);
        });
        if tree.leaves().is_sorted() {
            return Some(tree.topped());
        }
        // Two hashes begin alike.
        let mut leaves = leaves.to_vec();
        leaves.sort_unstable();
        Self::on(threads, leaves)
    }

    /// Leaves, and room for the levels that threads build.
    fn empty(leaves: Vec<Hash>) -> Option<Self> {
        let mut count = leaves.len();
        if count == 0 {
            return None;
        }
        let mut levels = vec![leaves];
        while count > 1 && levels.len() <= PART_HEIGHT {
            count = count.div_ceil(2);
            levels.push(vec![[0; 32]; count]);
        }
        Some(Self { levels })
    }

    /// Its room in parts of whole subtrees, so that only the last has a rest: of each, every level from the leaves up.
    fn parts(&mut self, threads: usize) -> Vec<Vec<&mut [Hash]>> {
        let each = self.leaves().len().div_ceil(threads.max(1));
        let each = each.next_multiple_of(PART);
        let mut parts: Vec<Vec<&mut [Hash]>> = Vec::new();
        for (height, level) in self.levels.iter_mut().enumerate() {
            for (at, slice) in level.chunks_mut(each >> height).enumerate() {
                match parts.get_mut(at) {
                    Some(part) => part.push(slice),
                    None => parts.push(vec![slice]),
                }
            }
        }
        parts
    }

    /// Adds the levels above those that threads have built.
    fn topped(mut self) -> Self {
        while let Some(level) = self.levels.last().filter(|level| level.len() > 1) {
            let mut above = vec![[0; 32]; level.len().div_ceil(2)];
            parents(level, &mut above);
            self.levels.push(above);
        }
        self
    }

    /// The leaf hashes.
    pub fn leaves(&self) -> &[Hash] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> Hash {
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

/// The first 64 bits.
fn head(hash: &Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The level above one.
fn parents(level: &[Hash], above: &mut [Hash]) {
    let (pairs, rest) = level.as_chunks::<2>();
    let hashed = pairs.iter().map(|[left, right]| node_hash(left, right));
    let all = hashed.chain(rest.iter().copied());
    for (slot, hash) in above.iter_mut().zip(all) {
        *slot = hash;
    }
}

/// Every level of a part from its leaves.
fn climb(part: &mut [&mut [Hash]]) {
    for height in 1..part.len() {
        let (below, above) = part.split_at_mut(height);
        if let (Some(level), Some(above)) = (below.last(), above.first_mut()) {
            parents(level, above);
        }
    }
}

/// Does the jobs, each but the first on a thread of its own.
fn at_once<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync) {
    let work = &work;
    let mut jobs = jobs.into_iter();
    let Some(first) = jobs.next() else { return };
    thread::scope(|scope| {
        let others: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
        work(first);
        for other in others {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// Threads that a tree of so many leaves is worth: at most those that can run at once.
fn threads_for(leaves: usize) -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let processors =
        *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get));
    processors.min(leaves / PART)
}

#[cfg(test)]
mod tests {
    use super::super::{leaf_hash, root};
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn many_threads_build_the_tree_of_one() {
        let whole = leaves(5 * PART + 2);
        for n in [
            PART,
            2 * PART - 1,
            2 * PART,
            2 * PART + 1,
            3 * PART + 513,
            whole.len(),
        ] {
            let leaves = whole.get(..n).unwrap();
            let one = Tree::on(1, leaves.to_vec()).unwrap();
            assert_eq!(one.root(), root(leaves));
            for threads in 2..=7 {
                let many = Tree::on(threads, leaves.to_vec());
                assert_eq!(many.as_ref(), Some(&one), "{n} leaves, {threads} threads");
            }
        }
    }

    #[test]
    fn many_threads_sort_as_one_sort_does() {
        let whole = leaves(5 * PART + 2);
        for n in [1, 2, 17, PART, 2 * PART + 1, 3 * PART + 513, whole.len()] {
            let leaves = whole.get(..n).unwrap();
            let mut sorted = leaves.to_vec();
            sorted.sort_unstable();
            let sorted = Tree::on(1, sorted);
            for threads in 1..=7 {
                let many = Tree::ascending_on(threads, leaves);
                assert_eq!(many, sorted, "{n} leaves, {threads} threads");
            }
        }
        assert_eq!(Tree::ascending(&[]), None);
    }

    proptest! {
        /// Whoever grinds hashes that begin alike does not upset the order.
        #[test]
        fn hashes_that_begin_alike_are_sorted(ends in proptest::collection::vec(any::<[u8; 2]>(), 1..40), threads in 1usize..4) {
            let leaves: Vec<Hash> = ends
                .iter()
                .map(|[middle, last]| {
                    let mut hash = [7; 32];
                    hash[6] = *middle;
                    hash[31] = *last;
                    hash
                })
                .collect();
            let mut sorted = leaves.clone();
            sorted.sort_unstable();
            let tree = Tree::ascending_on(threads, &leaves).unwrap();
            prop_assert_eq!(tree.leaves(), sorted.as_slice());
            prop_assert_eq!(tree.root(), root(&sorted));
        }
    }
}
