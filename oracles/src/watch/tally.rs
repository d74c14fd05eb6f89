//! How a reader counts nodes: a change stands when a quorum of them tells it.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, NodeId};
use serde::{Deserialize, Serialize};

use crate::wire::watch::Changes;

/// What a reader remembers of one committee's notices: how far it has read at each node, and which nodes told a change that
/// does not stand yet. It is small and monotone; store it as JSON together with what follows from a change.
///
/// One node has one voice for an attribute of a watch, however often it tells: nodes that were down see two changes as one,
/// and a node that lies every day is still one. When a change stands, all voices for it are spent. A late voice of an honest
/// node may stay behind. At most n − t do, and with f liars that is fewer than t = ⌊(n+f)/2⌋ + 1, so they alone never make
/// another change stand: of the t that do, an honest one saw it after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    after: BTreeMap<NodeId, u64>,
    told: BTreeMap<Bytes32, BTreeMap<AttributeId, BTreeSet<NodeId>>>,
}

impl Tally {
    /// The sequence number to ask a node for notices after; 0 at first.
    pub fn after(&self, node: NodeId) -> u64 {
        self.after.get(&node).copied().unwrap_or(0)
    }

    /// Takes a node's answer to what was asked after [`Self::after`]. Notices that were taken before, or of watches that the
    /// reader does not have, count for nothing; the latter are returned, to be revoked again.
    ///
    /// `watches` tells whether the reader has a watch, and of that attribute.
    pub fn take(
        &mut self,
        node: NodeId,
        changes: &Changes,
        watches: impl Fn(&Bytes32, &AttributeId) -> bool,
    ) -> BTreeSet<Bytes32> {
        let mut strangers = BTreeSet::new();
        for notice in &changes.notices {
            if notice.seq <= self.after(node) {
                continue;
            }
            self.after.insert(node, notice.seq);
            if !watches(&notice.watch, &notice.attribute) {
                strangers.insert(notice.watch);
                continue;
            }
            let told = self.told.entry(notice.watch).or_default();
            let nodes = told.entry(notice.attribute.clone()).or_default();
            nodes.insert(node);
        }
        strangers
    }

    /// The changes that at least `threshold` nodes tell, each returned once.
    pub fn standing(&mut self, threshold: u16) -> Vec<(Bytes32, AttributeId)> {
        let mut standing = Vec::new();
        for (watch, told) in &mut self.told {
            told.retain(|attribute, nodes| {
                let stands = nodes.len() >= usize::from(threshold.max(1));
                if stands {
                    standing.push((*watch, attribute.clone()));
                }
                !stands
            });
        }
        self.told.retain(|_, told| !told.is_empty());
        standing
    }

    /// Forgets a watch that ended.
    pub fn forget(&mut self, watch: &Bytes32) {
        self.told.remove(watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::watch::ChangeNotice;

    const WATCH: Bytes32 = contracts::encoding::Bytes([7; 32]);

    fn changes(seqs: &[u64]) -> Changes {
        let notice = |seq: &u64| ChangeNotice {
            seq: *seq,
            watch: WATCH,
            attribute: "income.magi_monthly".into(),
            day: "2026-11-20".parse().unwrap(),
        };
        Changes {
            notices: seqs.iter().map(notice).collect(),
            more: false,
        }
    }

    fn node(id: u16) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[test]
    fn a_change_stands_once_when_a_quorum_tells_it_in_whatever_order() {
        let mut tally = Tally::default();
        for (id, seqs) in [(1, &[1][..]), (2, &[1, 2]), (1, &[1])] {
            assert!(tally.take(node(id), &changes(seqs), |_, _| true).is_empty());
            assert!(tally.standing(3).is_empty());
        }
        assert_eq!((tally.after(node(1)), tally.after(node(2))), (1, 2));
        let stored = serde_json::to_string(&tally).unwrap();
        let mut tally: Tally = serde_json::from_str(&stored).unwrap();
        tally.take(node(4), &changes(&[9]), |_, _| true);
        assert_eq!(tally.standing(3), [(WATCH, "income.magi_monthly".into())]);
        assert!(tally.standing(3).is_empty(), "told once");
        tally.take(node(3), &changes(&[1]), |_, _| true);
        assert!(tally.standing(3).is_empty(), "a late voice makes no change");
    }

    #[test]
    fn attack_a_node_that_tells_a_change_every_day_is_one_node() {
        let mut tally = Tally::default();
        for seq in 1..100 {
            tally.take(node(3), &changes(&[seq]), |_, _| true);
            assert!(tally.standing(3).is_empty());
        }
        tally.take(node(1), &changes(&[1]), |_, _| true);
        assert!(tally.standing(3).is_empty());
    }

    #[test]
    fn attack_notices_of_made_up_watches_fill_no_memory() {
        let mut tally = Tally::default();
        let strangers = tally.take(node(3), &changes(&[1, 2, 3]), |_, _| false);
        assert_eq!(strangers, [WATCH].into());
        assert!(tally.told.is_empty());
    }
}
