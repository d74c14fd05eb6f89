//! How a reader counts nodes: a change stands when a quorum of them tells it.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, NodeId};
use contracts::units::Day;
use serde::{Deserialize, Serialize};

use crate::wire::watch::Changes;

/// What a reader remembers of one committee's notices: how far it has read at each node, and which nodes told a change that
/// does not stand yet. It is small; store it as JSON together with what follows from a change.
///
/// One node has one voice for an attribute of a watch, however often it tells: nodes that were down see two changes as one,
/// and a node that lies every day is still one. A voice is tied to the change that it speaks of by its days: the last on which
/// the node knew the old value, and that on which it saw the new one. A change stands when those of t nodes share a day, give
/// or take one, since clocks and looks differ. A node that speaks later of a change that stood has no voice for the next; one
/// that was blind over both, and sees them as one, has. So of the t nodes that make a change stand, at most f lie, and an
/// honest one saw it after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    after: BTreeMap<NodeId, u64>,
    #[serde(default)]
    heard: BTreeMap<Bytes32, BTreeMap<AttributeId, Heard>>,
}

/// What nodes said of one attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heard {
    /// Voices for a change that does not stand.
    voices: BTreeMap<NodeId, Voice>,
    /// The last change that stood.
    stood: Option<Stood>,
}

/// A fact changed on one of these days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voice {
    since: Day,
    day: Day,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stood {
    /// The day on which honest nodes saw it.
    seen: Day,
    /// Nodes that spoke of it.
    by: BTreeSet<NodeId>,
}

/// Days by which honest nodes may differ about one change.
const SLACK: i64 = 1;

impl Heard {
    fn take(&mut self, node: NodeId, voice: Voice) {
        if let Some(stood) = &mut self.stood {
            let late = stood.by.insert(node);
            if late && voice.day.number() <= stood.seen.number() + SLACK {
                return;
            }
        }
        // What a node told before is not unsaid.
        let held = self.voices.entry(node).or_insert(voice);
        held.since = held.since.min(voice.since);
        held.day = held.day.max(voice.day);
    }

    /// Whether as many nodes speak of one change; if so it is the last that stood, and their voices are spent.
    fn stands(&mut self, threshold: usize) -> bool {
        let speak = |at: Day| {
            let at = at.number();
            let of = move |voice: &Voice| {
                (voice.since.number()..=voice.day.number() + SLACK).contains(&at)
            };
            let voices = self.voices.iter().filter(move |(_, voice)| of(voice));
            voices.map(|(node, voice)| (voice.day, *node))
        };
        // If some intervals share a day, they share the first day of one of them.
        let mut first = self.voices.values().map(|voice| voice.since);
        let Some(at) = first.find(|at| speak(*at).count() >= threshold) else {
            return false;
        };
        let mut by: Vec<_> = speak(at).collect();
        by.sort_unstable();
        // The median: fewer than half of a quorum lie, so that honest nodes' days are on both sides of it.
        let Some((seen, _)) = by.get((by.len() - 1) / 2).copied() else {
            return false;
        };
        let by: BTreeSet<NodeId> = by.into_iter().map(|(_, node)| node).collect();
        self.voices
            .retain(|node, voice| !by.contains(node) && voice.day > seen);
        self.stood = Some(Stood { seen, by });
        true
    }
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
            let heard = self.heard.entry(notice.watch).or_default();
            let heard = heard.entry(notice.attribute.clone()).or_default();
            let voice = Voice {
                since: notice.since.min(notice.day),
                day: notice.day,
            };
            heard.take(node, voice);
        }
        strangers
    }

    /// The changes that at least `threshold` nodes tell, each returned once.
    pub fn standing(&mut self, threshold: u16) -> Vec<(Bytes32, AttributeId)> {
        let threshold = usize::from(threshold.max(1));
        let mut standing = Vec::new();
        for (watch, heard) in &mut self.heard {
            for (attribute, heard) in heard {
                if heard.stands(threshold) {
                    standing.push((*watch, attribute.clone()));
                }
            }
        }
        standing
    }

    /// Forgets a watch that ended.
    pub fn forget(&mut self, watch: &Bytes32) {
        self.heard.remove(watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::watch::ChangeNotice;

    const WATCH: Bytes32 = contracts::encoding::Bytes([7; 32]);

    fn changes(seqs: &[u64]) -> Changes {
        let notice = |seq: &u64| notice(*seq, 20, 20);
        Changes {
            notices: seqs.iter().map(notice).collect(),
            more: false,
        }
    }

    fn notice(seq: u64, since: u8, day: u8) -> ChangeNotice {
        let of_november = |day| Day::from_ymd(2026, 11, day).unwrap();
        ChangeNotice {
            seq,
            watch: WATCH,
            attribute: "income.magi_monthly".into(),
            since: of_november(since),
            day: of_november(day),
        }
    }

    /// Whether a change stands once a node has told one between two days of November.
    fn told(tally: &mut Tally, id: u16, since: u8, day: u8) -> bool {
        let changes = Changes {
            notices: vec![notice(tally.after(node(id)) + 1, since, day)],
            more: false,
        };
        tally.take(node(id), &changes, |_, _| true);
        !tally.standing(3).is_empty()
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
    fn a_late_voice_speaks_of_the_change_that_stood_and_of_no_other() {
        let mut tally = Tally::default();
        assert!(!told(&mut tally, 1, 5, 5));
        assert!(!told(&mut tally, 2, 5, 5));
        assert!(told(&mut tally, 3, 5, 5));
        assert!(!told(&mut tally, 4, 5, 6), "late");
        assert!(!told(&mut tally, 1, 5, 6), "the next, on the same days");
        assert!(!told(&mut tally, 2, 6, 6));
        assert!(told(&mut tally, 3, 6, 6));
    }

    #[test]
    fn attack_late_voices_and_one_liar_make_no_change_that_no_honest_node_saw() {
        let mut tally = Tally::default();
        // Two changes; the fourth node is late with the first, the third and fourth with the second.
        for (id, day, stands) in [(1, 3, false), (2, 3, false), (3, 3, true), (4, 3, false)] {
            assert_eq!(told(&mut tally, id, day, day), stands);
        }
        let mut stood = 0;
        for id in [1, 2, 3, 4] {
            stood += usize::from(told(&mut tally, id, 9, 9));
        }
        assert_eq!(stood, 1);
        for day in 10..30 {
            assert!(!told(&mut tally, 2, 3, day), "a liar alone, day {day}");
        }
    }

    #[test]
    fn a_node_that_was_blind_has_a_voice_for_what_changed_meanwhile_and_for_nothing_after() {
        // Blind from the 2nd to the 12th, it sees the changes of the 4th and of the 10th as one; and one node is silent.
        let mut tally = Tally::default();
        for (id, stands) in [(1, false), (2, false), (3, true)] {
            assert_eq!(told(&mut tally, id, 4, 4), stands);
        }
        let mut blind = tally.clone();
        assert!(!told(&mut blind, 4, 2, 12));
        assert!(!told(&mut blind, 1, 10, 10));
        assert!(told(&mut blind, 2, 10, 10));
        // What changes after it has looked again takes three others.
        assert!(!told(&mut tally, 4, 2, 12));
        assert!(!told(&mut tally, 1, 20, 20));
        assert!(!told(&mut tally, 2, 20, 20));
        assert!(told(&mut tally, 3, 19, 20));
        assert!(!told(&mut tally, 4, 20, 21), "late");
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
        assert!(tally.heard.is_empty());
    }
}
