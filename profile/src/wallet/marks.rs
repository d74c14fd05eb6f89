//! High-water marks of used indexes (P9), as a value: no I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{MAX_INDEX, Use, WalletError};

/// Indexes of one use that may have been used since marks were last seen: whoever cannot know skips so many. There are
/// 2³¹ indexes of a use, so this can be done 32,767 times.
pub const GAP_LIMIT: u32 = 1 << 16;

/// Every index below a mark is used, whatever became of it. Marks only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// The mark of a use that has none of its own; at most [`MAX_INDEX`].
    floor: u32,
    /// By [`Use::counter`]; each at most [`MAX_INDEX`].
    next: BTreeMap<String, u32>,
}

impl Marks {
    /// Marks of a wallet that is known by its seed alone: any index below `gap` may be used.
    pub fn unknown(gap: u32) -> Self {
        let mut marks = Self::default();
        marks.skip(gap);
        marks
    }

    /// The first index that is not used.
    pub fn next(&self, use_: Use) -> u32 {
        self.next
            .get(&use_.counter())
            .copied()
            .unwrap_or(self.floor)
    }

    /// Uses up an index and returns it. It counts as used once these marks are stored; nothing derived from it may leave
    /// before.
    ///
    /// # Errors
    /// [`WalletError::Exhausted`].
    pub fn take(&mut self, use_: Use) -> Result<u32, WalletError> {
        let index = self.next(use_);
        if index >= MAX_INDEX {
            return Err(WalletError::Exhausted);
        }
        self.next.insert(use_.counter(), index + 1);
        Ok(index)
    }

    /// Raises every mark by `gap`, at most to [`MAX_INDEX`].
    pub fn skip(&mut self, gap: u32) {
        let raised = |mark: u32| mark.saturating_add(gap).min(MAX_INDEX);
        self.floor = raised(self.floor);
        for mark in self.next.values_mut() {
            *mark = raised(*mark);
        }
    }

    /// Raises every mark to that of `other`, where that is higher. Says whether `other` was behind in any.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mark = |marks: &Self, counter: &String| {
            marks.next.get(counter).copied().unwrap_or(marks.floor)
        };
        let counters: BTreeSet<String> =
            self.next.keys().chain(other.next.keys()).cloned().collect();
        let mut behind = other.floor < self.floor;
        for counter in counters {
            let (ours, theirs) = (mark(self, &counter), mark(other, &counter));
            behind |= theirs < ours;
            self.next.insert(counter, ours.max(theirs));
        }
        self.floor = self.floor.max(other.floor);
        behind
    }

    /// Whether every mark is one that this version could have set.
    pub(super) fn are_valid(&self) -> bool {
        let known: BTreeSet<String> = Use::drawn().iter().map(|use_| use_.counter()).collect();
        let bounded = |mark: &u32| *mark <= MAX_INDEX;
        bounded(&self.floor)
            && self.next.values().all(bounded)
            && self.next.keys().all(|counter| known.contains(counter))
    }
}

#[cfg(test)]
mod tests {
    use contracts::ids::Domain;

    use super::*;
    use crate::wallet::Role;

    const LEAF: Use = Use::Leaf(Domain::Income, Role::Holder);

    #[test]
    fn an_index_is_taken_once_and_skipped_ones_never() {
        let mut marks = Marks::default();
        let taken: Vec<_> = (0..3).map(|_| marks.take(LEAF).unwrap()).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(marks.next(Use::Confirmation), 0);
        marks.skip(GAP_LIMIT);
        assert_eq!(marks.take(LEAF), Ok(GAP_LIMIT + 3));
        // Also of a use that was never marked.
        assert_eq!(marks.take(Use::Confirmation), Ok(GAP_LIMIT));
    }

    #[test]
    fn attack_marks_merged_with_older_ones_do_not_go_back() {
        let mut older = Marks::default();
        older.take(LEAF).unwrap();
        let mut ours = older.clone();
        ours.take(LEAF).unwrap();
        ours.take(Use::Response).unwrap();
        let before = ours.clone();
        assert!(ours.merge(&older));
        assert_eq!(ours, before);
        assert!(!older.merge(&before));
        assert_eq!(older, before);
        // A floor that is higher than a mark of the other's raises it.
        ours.merge(&Marks::unknown(10));
        assert_eq!((ours.next(LEAF), ours.next(Use::Question)), (10, 10));
    }

    #[test]
    fn a_use_whose_indexes_are_all_used_gives_none() {
        let mut marks = Marks::unknown(MAX_INDEX - 1);
        assert_eq!(marks.take(LEAF), Ok(MAX_INDEX - 1));
        assert_eq!(marks.take(LEAF), Err(WalletError::Exhausted));
        marks.skip(GAP_LIMIT);
        assert_eq!(marks.take(Use::Response), Err(WalletError::Exhausted));
    }
}
