//! Which leaves a quorum acknowledged, and which nodes sign them together. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;

use super::store::Acks;
use crate::wire::attest::LeafKey;

/// Leaves that one set of nodes acknowledged, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// At least a quorum, ascending.
    pub(super) members: Vec<NodeId>,
    /// Place and hash of each leaf.
    pub(super) leaves: Vec<(LeafKey, Bytes32)>,
}

/// What the acknowledgements of a request add up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grouping {
    pub(super) groups: Vec<Group>,
    /// Leaves for which no quorum acknowledged one hash.
    pub(super) unattested: Vec<LeafKey>,
    /// Nodes that acknowledged another leaf than a quorum did.
    pub(super) differing: BTreeSet<NodeId>,
}

/// Groups leaves by the quorum that acknowledged them, into as few groups as a greedy merge finds.
///
/// One group is the rule: a leaf that all acknowledged joins the group of those that fewer did, so that withheld and
/// unknown leaves, on which everybody agrees, do not stand apart from the known ones.
pub(super) fn group(acks: &BTreeMap<NodeId, Acks>, threshold: u16) -> Grouping {
    let threshold = usize::from(threshold);
    let mut grouping = Grouping::default();
    let keys: BTreeSet<&LeafKey> = acks.values().flat_map(BTreeMap::keys).collect();
    let mut by_quorum: BTreeMap<BTreeSet<NodeId>, Vec<(LeafKey, Bytes32)>> = BTreeMap::new();
    for key in keys {
        let mut tally: BTreeMap<Bytes32, BTreeSet<NodeId>> = BTreeMap::new();
        for (node, leaves) in acks {
            if let Some(hash) = leaves.get(key) {
                tally.entry(*hash).or_default().insert(*node);
            }
        }
        // Two quorums share a node and a node acknowledges one hash, so at most one hash has a quorum.
        let winner = tally.iter().find(|(_, nodes)| nodes.len() >= threshold);
        let Some((hash, nodes)) = winner.map(|(hash, nodes)| (*hash, nodes.clone())) else {
            grouping.unattested.push(key.clone());
            continue;
        };
        let others = tally.iter().filter(|(other, _)| **other != hash);
        grouping
            .differing
            .extend(others.flat_map(|(_, nodes)| nodes));
        by_quorum
            .entry(nodes)
            .or_default()
            .push((key.clone(), hash));
    }

    let mut open: Vec<_> = by_quorum.into_iter().collect();
    open.sort_by_key(|(_, leaves)| std::cmp::Reverse(leaves.len()));
    while !open.is_empty() {
        let mut members: Option<BTreeSet<NodeId>> = None;
        let mut leaves = Vec::new();
        open.retain_mut(|(nodes, theirs)| {
            let both: BTreeSet<NodeId> = members
                .as_ref()
                .map_or_else(|| nodes.clone(), |members| members & nodes);
            let joins = both.len() >= threshold;
            if joins {
                leaves.append(theirs);
                members = Some(both);
            }
            !joins
        });
        leaves.sort();
        grouping.groups.push(Group {
            members: members.unwrap_or_default().into_iter().collect(),
            leaves,
        });
    }
    grouping
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(number: u16) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn key(index: u32) -> LeafKey {
        LeafKey {
            attribute: "income.magi_monthly".into(),
            period: "2026-10-22/2026-11-20".parse().unwrap(),
            index,
        }
    }

    fn acks(nodes: &[(u16, &[(u32, u8)])]) -> BTreeMap<NodeId, Acks> {
        nodes
            .iter()
            .map(|(number, leaves)| {
                let leaves = leaves
                    .iter()
                    .map(|(at, fill)| (key(*at), Bytes32::from([*fill; 32])));
                (node(*number), leaves.collect())
            })
            .collect()
    }

    #[test]
    fn one_liar_is_named_and_outvoted_and_two_of_four_leave_nothing_to_sign() {
        let honest: &[(u32, u8)] = &[(0, 1), (1, 1)];
        let liar: &[(u32, u8)] = &[(0, 9), (1, 1)];
        let one = group(
            &acks(&[(1, honest), (2, honest), (3, liar), (4, honest)]),
            3,
        );
        assert_eq!(one.differing, BTreeSet::from([node(3)]));
        assert_eq!(one.unattested, []);
        let [only] = one.groups.as_slice() else {
            panic!("one group")
        };
        assert_eq!(only.members, [1, 2, 4].map(node));
        assert_eq!(only.leaves.len(), 2);

        let two = group(&acks(&[(1, honest), (2, honest), (3, liar), (4, liar)]), 3);
        assert_eq!(two.unattested, [key(0)]);
        assert_eq!(two.groups.len(), 1);
        assert!(
            two.groups
                .iter()
                .all(|it| it.leaves.iter().all(|(at, _)| *at == key(1)))
        );
    }

    #[test]
    fn leaves_of_quorums_that_share_too_few_nodes_are_signed_apart() {
        let grouping = group(
            &acks(&[
                (1, &[(0, 1), (1, 1)]),
                (2, &[(0, 1), (1, 1)]),
                (3, &[(0, 1)]),
                (4, &[(1, 1)]),
            ]),
            3,
        );
        assert_eq!(grouping.groups.len(), 2);
        assert!(grouping.groups.iter().all(|it| it.members.len() == 3));
    }

    proptest! {
        #[test]
        fn every_leaf_is_signed_once_by_nodes_that_acknowledged_it_or_not_at_all(
            votes in proptest::collection::vec(proptest::collection::vec(0u8..3, 6), 7),
        ) {
            let acks: BTreeMap<NodeId, Acks> = (1u16..).zip(&votes).map(|(number, row)| {
                let leaves = (0u32..).zip(row).filter(|(_, vote)| **vote > 0)
                    .map(|(at, vote)| (key(at), Bytes32::from([*vote; 32])));
                (node(number), leaves.collect())
            }).collect();
            let grouping = group(&acks, 5);
            let mut seen = BTreeSet::new();
            for group in &grouping.groups {
                prop_assert!(group.members.len() >= 5);
                for (key, hash) in &group.leaves {
                    prop_assert!(seen.insert(key.clone()));
                    for member in &group.members {
                        prop_assert_eq!(acks[member].get(key), Some(hash));
                    }
                }
            }
            for key in &grouping.unattested { prop_assert!(seen.insert(key.clone())); }
            let asked: BTreeSet<LeafKey> = acks.values().flat_map(|it| it.keys().cloned()).collect();
            prop_assert_eq!(seen, asked);
        }
    }
}
