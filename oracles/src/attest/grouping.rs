//! Which leaves a quorum acknowledged, and which nodes sign them together. No I/O.
//!
//! Signers sign leaves that they acknowledged themselves, so leaves are grouped by who did. Where nodes read
//! differently, known leaves have smaller quorums than those on which all agree, withheld and unknown ones among them;
//! a group of either alone would tell them apart. So a leaf that fits several groups goes to one at random, in
//! proportion to the leaves of its attribute that fit only there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, NodeId};
use rand::Rng;

use super::store::Acks;
use crate::wire::attest::LeafKey;

/// Members as bits, by their place in the ascending list; a committee has 32 at most.
type Mask = u32;

/// Leaves that all of a set of nodes acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// At least a quorum, ascending.
    pub(super) members: Vec<NodeId>,
    /// Which leaves: a request's number, and those of its places, in order, that are in this group.
    pub(super) places: BTreeMap<usize, Vec<usize>>,
    /// How many.
    pub(super) leaves: usize,
}

/// What the acknowledgements of one request add up to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Every place of the request in order, as a quorum acknowledged it; none when no quorum did.
    pub(super) places: Vec<(LeafKey, Option<Bytes32>)>,
    /// Nodes that acknowledged another leaf than a quorum did.
    pub(super) differing: BTreeSet<NodeId>,
}

struct Leaf<'a> {
    request: usize,
    place: usize,
    attribute: &'a AttributeId,
    quorum: Mask,
}

/// What a quorum acknowledged of each request, and the groups in which leaves that are not `done` are to be signed.
///
/// `acks` has, by node, the acknowledgements of every request in one order. A leaf that two requests share is signed
/// once.
pub(super) fn group<R: Rng>(
    acks: &BTreeMap<NodeId, Vec<Arc<Acks>>>,
    requests: usize,
    threshold: u16,
    done: &HashSet<Bytes32>,
    rng: &mut R,
) -> (Vec<Agreed>, Vec<Group>) {
    let nodes: Vec<NodeId> = acks.keys().copied().collect();
    let agreed: Vec<(Agreed, Vec<Mask>)> = (0..requests)
        .map(|request| {
            let theirs: Vec<&Acks> = acks
                .values()
                .map(|all| all.get(request).map_or(const { &Acks::new() }, Arc::as_ref))
                .collect();
            agree(&nodes, &theirs, usize::from(threshold))
        })
        .collect();

    let mut seen = done.clone();
    let mut leaves = Vec::new();
    for (request, (agreed, quorums)) in agreed.iter().enumerate() {
        for (place, ((key, hash), quorum)) in agreed.places.iter().zip(quorums).enumerate() {
            if hash.is_some_and(|hash| seen.insert(hash)) {
                leaves.push(Leaf {
                    request,
                    place,
                    attribute: &key.attribute,
                    quorum: *quorum,
                });
            }
        }
    }
    let groups = spread(&leaves, usize::from(threshold), rng)
        .into_iter()
        .map(|(mask, members)| {
            let mut group = Group {
                members: of_mask(&nodes, mask).collect(),
                places: BTreeMap::new(),
                leaves: members.len(),
            };
            for leaf in members {
                let places = group.places.entry(leaf.request).or_default();
                places.push(leaf.place);
            }
            group
        })
        .collect();
    (
        agreed.into_iter().map(|(agreed, _)| agreed).collect(),
        groups,
    )
}

fn of_mask(nodes: &[NodeId], mask: Mask) -> impl Iterator<Item = NodeId> + '_ {
    let bits = nodes.iter().enumerate();
    bits.filter(move |(bit, _)| mask >> bit & 1 == 1)
        .map(|(_, node)| *node)
}

/// One request: the set of places that a quorum knows, and in each the hash that a quorum acknowledged, and which.
fn agree(nodes: &[NodeId], theirs: &[&Acks], threshold: usize) -> (Agreed, Vec<Mask>) {
    let knows = |places: &Acks| -> Mask {
        let same = |acks: &Acks| acks.len() == places.len() && acks.keys().eq(places.keys());
        let knowing = theirs.iter().enumerate().filter(|(_, acks)| same(acks));
        knowing.fold(0, |mask, (bit, _)| mask | 1 << bit)
    };
    let asked = theirs.iter().filter(|acks| !acks.is_empty());
    let quorum = asked
        .clone()
        .map(|acks| (*acks, knows(acks)))
        .find(|(_, mask)| mask.count_ones() as usize >= threshold);
    let Some((places, knowing)) = quorum else {
        let unknown: BTreeSet<&LeafKey> = asked.flat_map(|acks| acks.keys()).collect();
        let places = unknown.into_iter().map(|key| (key.clone(), None));
        return (
            Agreed {
                places: places.collect(),
                differing: BTreeSet::new(),
            },
            Vec::new(),
        );
    };
    let others = theirs
        .iter()
        .enumerate()
        .filter(|(_, acks)| !acks.is_empty());
    let mut differing = others.fold(0, |mask: Mask, (bit, _)| mask | 1 << bit) & !knowing;
    let mut columns: Vec<_> = theirs
        .iter()
        .enumerate()
        .filter(|(bit, _)| knowing >> bit & 1 == 1)
        .map(|(bit, acks)| (bit, acks.values()))
        .collect();
    let mut agreed = Agreed::default();
    let mut quorums = Vec::with_capacity(places.len());
    for key in places.keys() {
        let mut tally: Vec<(Bytes32, Mask)> = Vec::with_capacity(1);
        for (bit, column) in &mut columns {
            let Some(hash) = column.next() else { continue };
            match tally.iter_mut().find(|(other, _)| other == hash) {
                Some((_, mask)) => *mask |= 1 << *bit,
                None => tally.push((*hash, 1 << *bit)),
            }
        }
        // Two quorums share a node and a node acknowledges one hash, so at most one hash has a quorum.
        let winner = tally
            .iter()
            .find(|(_, mask)| mask.count_ones() as usize >= threshold);
        if let Some((_, mask)) = winner {
            differing |= knowing & !mask;
        }
        agreed
            .places
            .push((key.clone(), winner.map(|(hash, _)| *hash)));
        quorums.push(winner.map_or(0, |(_, mask)| *mask));
    }
    agreed.differing = of_mask(nodes, differing).collect();
    (agreed, quorums)
}

/// As few groups as a greedy merge of quorums finds, and each leaf in one whose members all acknowledged it.
fn spread<'a, R: Rng>(
    leaves: &'a [Leaf<'a>],
    threshold: usize,
    rng: &mut R,
) -> Vec<(Mask, Vec<&'a Leaf<'a>>)> {
    let mut counts: HashMap<Mask, usize> = HashMap::new();
    for leaf in leaves {
        *counts.entry(leaf.quorum).or_default() += 1;
    }
    let mut open: Vec<(Mask, usize)> = counts.into_iter().collect();
    // Ties by the mask, so that the same leaves give the same groups.
    open.sort_unstable_by_key(|(mask, count)| (std::cmp::Reverse(*count), *mask));
    let mut groups: Vec<(Mask, Vec<&Leaf<'_>>)> = Vec::new();
    while !open.is_empty() {
        let mut members = Mask::MAX;
        open.retain(|(mask, _)| {
            let joins = (members & mask).count_ones() as usize >= threshold;
            if joins {
                members &= mask;
            }
            !joins
        });
        groups.push((members, Vec::new()));
    }

    let fits = |mask: Mask, leaf: &Leaf<'_>| mask & leaf.quorum == mask;
    let (mut free, mut forced): (Vec<&Leaf<'_>>, HashMap<(&AttributeId, usize), usize>) =
        (Vec::new(), HashMap::new());
    for leaf in leaves {
        let mut fitting = groups
            .iter_mut()
            .enumerate()
            .filter(|(_, (mask, _))| fits(*mask, leaf));
        match (fitting.next(), fitting.next()) {
            (Some((at, (_, members))), None) => {
                members.push(leaf);
                *forced.entry((leaf.attribute, at)).or_default() += 1;
            }
            _ => free.push(leaf),
        }
    }
    let totals: Vec<usize> = groups.iter().map(|(_, members)| members.len()).collect();
    for leaf in free {
        let fitting: Vec<usize> = (0..groups.len())
            .filter(|at| groups.get(*at).is_some_and(|(mask, _)| fits(*mask, leaf)))
            .collect();
        let alike = |at: &usize| forced.get(&(leaf.attribute, *at)).copied().unwrap_or(0);
        let total = |at: &usize| totals.get(*at).copied().unwrap_or(0);
        let mut weights: Vec<usize> = fitting.iter().map(alike).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights = fitting.iter().map(total).collect();
        }
        let chosen = draw(&weights, rng).and_then(|at| fitting.get(at));
        if let Some((_, members)) = chosen.and_then(|at| groups.get_mut(*at)) {
            members.push(leaf);
        }
    }
    groups.retain(|(_, members)| !members.is_empty());
    groups
}

/// Draws a place in proportion to its weight, any place if all weigh nothing; none of none.
fn draw<R: Rng>(weights: &[usize], rng: &mut R) -> Option<usize> {
    let sum: usize = weights.iter().sum();
    if sum == 0 {
        return (!weights.is_empty()).then(|| rng.gen_range(0..weights.len()));
    }
    let mut left = rng.gen_range(0..sum);
    weights.iter().position(|weight| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

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

    /// By node, by request: places and what fills their hashes.
    type Told<'a> = &'a [(u16, &'a [&'a [(u32, u8)]])];

    fn grouped(told: Told<'_>, threshold: u16) -> (Vec<Agreed>, Vec<Group>) {
        let acks: BTreeMap<NodeId, Vec<Arc<Acks>>> = told
            .iter()
            .map(|(number, requests)| {
                let requests = requests.iter().map(|leaves| {
                    let leaves = leaves
                        .iter()
                        .map(|(at, fill)| (key(*at), Bytes32::from([*fill; 32])));
                    Arc::new(leaves.collect::<Acks>())
                });
                (node(*number), requests.collect())
            })
            .collect();
        let requests = told.iter().map(|(_, all)| all.len()).max().unwrap_or(0);
        let mut rng = StdRng::seed_from_u64(1);
        group(&acks, requests, threshold, &HashSet::new(), &mut rng)
    }

    fn unattested(agreed: &Agreed) -> Vec<&LeafKey> {
        let open = agreed.places.iter().filter(|(_, hash)| hash.is_none());
        open.map(|(key, _)| key).collect()
    }

    #[test]
    fn one_liar_is_named_and_outvoted_and_two_of_four_leave_nothing_to_sign() {
        let honest: &[&[(u32, u8)]] = &[&[(0, 1), (1, 2)]];
        let liar: &[&[(u32, u8)]] = &[&[(0, 9), (1, 2)]];
        let (agreed, groups) = grouped(&[(1, honest), (2, honest), (3, liar), (4, honest)], 3);
        assert_eq!(agreed[0].differing, BTreeSet::from([node(3)]));
        assert!(unattested(&agreed[0]).is_empty());
        let [only] = groups.as_slice() else {
            panic!("one group")
        };
        assert_eq!(only.members, [1, 2, 4].map(node));
        assert_eq!(only.places, BTreeMap::from([(0, vec![0, 1])]));

        let (agreed, groups) = grouped(&[(1, honest), (2, honest), (3, liar), (4, liar)], 3);
        assert_eq!(unattested(&agreed[0]), [&key(0)]);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].places, BTreeMap::from([(0, vec![1])]));
    }

    #[test]
    fn requests_of_many_owners_share_a_group_and_one_that_no_quorum_knows_delays_none() {
        let all: &[&[(u32, u8)]] = &[&[(0, 1)], &[(0, 2), (1, 3)], &[(0, 4)]];
        let most: &[&[(u32, u8)]] = &[&[(0, 1)], &[(0, 2), (1, 3)], &[]];
        let (agreed, groups) = grouped(&[(1, all), (2, most), (3, most), (4, all)], 3);
        let [only] = groups.as_slice() else {
            panic!("one group")
        };
        assert_eq!(only.places, BTreeMap::from([(0, vec![0]), (1, vec![0, 1])]));
        assert_eq!(unattested(&agreed[2]), [&key(0)]);
        assert!(agreed.iter().all(|it| it.differing.is_empty()));
    }

    #[test]
    fn a_node_that_was_asked_for_other_places_counts_for_none_of_that_request() {
        let honest: &[&[(u32, u8)]] = &[&[(1, 2)]];
        let more: &[&[(u32, u8)]] = &[&[(0, 7), (1, 2)]];
        let (agreed, groups) = grouped(&[(1, honest), (2, more), (3, honest), (4, honest)], 3);
        assert_eq!(agreed[0].differing, BTreeSet::from([node(2)]));
        assert_eq!(groups[0].members, [1, 3, 4].map(node));
    }

    #[test]
    fn attack_a_leaf_in_two_requests_is_signed_once_and_spoils_no_batch() {
        let twice: &[&[(u32, u8)]] = &[&[(0, 1), (1, 1)], &[(0, 1)]];
        let (_, groups) = grouped(&[(1, twice), (2, twice), (3, twice)], 3);
        let leaves: usize = groups.iter().map(|it| it.leaves).sum();
        assert_eq!(leaves, 1);
    }

    #[test]
    fn leaves_of_quorums_that_share_too_few_nodes_are_signed_apart() {
        let (_, groups) = grouped(
            &[
                (1, &[&[(0, 1)], &[(1, 2)]]),
                (2, &[&[(0, 1)], &[(1, 2)]]),
                (3, &[&[(0, 1)], &[]]),
                (4, &[&[], &[(1, 2)]]),
            ],
            3,
        );
        assert_eq!(groups.len(), 2);
        assert!(groups.iter().all(|it| it.members.len() == 3));
    }

    /// Attack: nodes that read differently split the known leaves of an attribute into two groups; if all withheld
    /// leaves, on which everybody agrees, went to one of them, a group's root would say which a leaf is likely to be.
    #[test]
    fn attack_telling_known_from_withheld_leaves_by_their_group() {
        let hash = |fill: usize| {
            Bytes32::from(
                [(fill / 250) as u8 + 1, (fill % 250) as u8]
                    .repeat(16)
                    .try_into()
                    .map(|it: [u8; 32]| it)
                    .unwrap(),
            )
        };
        let (known, withheld) = (300, 600);
        let acks: BTreeMap<NodeId, Vec<Arc<Acks>>> = (1..=4)
            .map(|number| {
                let requests = (0..known + withheld).map(|request| {
                    // Of the known ones, one third was read otherwise by node 3, the others by node 4.
                    let sees = request >= known || number != if request % 3 == 0 { 3 } else { 4 };
                    let other = if sees { 0 } else { 10_000 };
                    Arc::new(Acks::from([(key(0), hash(request + other))]))
                });
                (node(number), requests.collect())
            })
            .collect();
        let (_, groups) = group(
            &acks,
            known + withheld,
            3,
            &HashSet::new(),
            &mut StdRng::seed_from_u64(7),
        );
        let [first, second] = groups.as_slice() else {
            panic!("two groups")
        };
        for group in [first, second] {
            let known = group.places.keys().filter(|it| **it < known).count() as f64;
            let share = known / group.leaves as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.06, "{share}");
        }
    }

    proptest! {
        #[test]
        fn every_leaf_is_signed_once_by_nodes_that_acknowledged_it_or_not_at_all(
            votes in proptest::collection::vec(proptest::collection::vec(0u8..3, 6), 7), seed: u64,
        ) {
            let acks: BTreeMap<NodeId, Vec<Arc<Acks>>> = (1u16..).zip(&votes).map(|(number, row)| {
                // A request a vote, so that a node may know of some and not of others.
                let requests = (0u8..).zip(row).map(|(at, vote)| {
                    let leaf = (key(0), Bytes32::from([at * 3 + *vote; 32]));
                    Arc::new((*vote > 0).then_some(leaf).into_iter().collect::<Acks>())
                });
                (node(number), requests.collect())
            }).collect();
            let (agreed, groups) = group(&acks, 6, 5, &HashSet::new(), &mut StdRng::seed_from_u64(seed));
            let mut signed = BTreeSet::new();
            for group in &groups {
                prop_assert!(group.members.len() >= 5);
                for (request, places) in &group.places {
                    prop_assert_eq!(places, &[0]);
                    prop_assert!(signed.insert(*request));
                    let hash = agreed[*request].places[0].1;
                    for member in &group.members {
                        prop_assert_eq!(acks[member][*request].get(&key(0)).copied(), hash);
                    }
                }
            }
            for (request, agreed) in agreed.iter().enumerate() {
                let has = agreed.places.iter().any(|(_, hash)| hash.is_some());
                prop_assert_eq!(signed.contains(&request), has);
            }
        }
    }
}
