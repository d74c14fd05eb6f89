//! Links that are put into a copy of the evidence: an attack that does not find them proves nothing.

use contracts::encoding::to_base64url;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngCore as _};
use serde_json::{Value, json};

use super::attack::{Family, Finding};
use super::evidence::{Evidence, Exchange};

/// Owners from which on chance does not hide a link that joins nearly all of them.
const MANY: usize = 20;
const DAY: i64 = 86_400_000;

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    /// One owner has the same header at two parties.
    Identifier,
    /// The second party's messages come in nearly the order of the first's.
    Arrival,
    /// Messages about an owner are nearly of a size at both.
    Size,
    /// An index at one party grows, nearly, with that at the other.
    Index,
    /// Keys of an owner differ in few bits.
    Key,
}

impl Plant {
    pub(super) const ALL: [Self; 5] = [
        Self::Identifier,
        Self::Arrival,
        Self::Size,
        Self::Index,
        Self::Key,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identifier => "one owner's identifier",
            Self::Arrival => "nearly one order",
            Self::Size => "sizes that go together",
            Self::Index => "indexes that go together",
            Self::Key => "keys with many bits alike",
        }
    }

    fn family(self) -> Family {
        match self {
            Self::Identifier => Family::Equal,
            Self::Arrival => Family::Arrival,
            Self::Size => Family::Size,
            Self::Index => Family::Number,
            Self::Key => Family::Bits,
        }
    }

    /// Whether it can be seen among so many owners.
    pub(super) fn shows(self, owners: usize) -> bool {
        self == Self::Identifier || owners >= MANY
    }

    /// The evidence with the link in it, between the first and the last party.
    pub(super) fn into(self, evidence: &Evidence, draw: &mut StdRng) -> Evidence {
        let mut planted = evidence.clone();
        let mut order: Vec<i64> = (0..).take(planted.owners).collect();
        order.shuffle(draw);
        let [first, .., last] = planted.parties.as_mut_slice() else {
            return planted;
        };
        for (owner, place) in order.into_iter().enumerate() {
            let pair = [&mut *first, &mut *last].map(|party| {
                let record = party.records.get_mut(owner)?;
                let mut exchanges = record.exchanges.iter_mut();
                exchanges.find(|exchange| exchange.body.is_object())
            });
            if let [Some(one), Some(other)] = pair {
                self.link(owner, place, one, other, draw);
            }
        }
        planted
    }

    fn link(
        self,
        owner: usize,
        place: i64,
        one: &mut Exchange,
        other: &mut Exchange,
        draw: &mut StdRng,
    ) {
        let near = place * 16 + draw.gen_range(0..16);
        let mut key = [0; 32];
        draw.fill_bytes(&mut key);
        match self {
            Self::Identifier if owner == 0 => {
                let header = format!("x-request-id: {}\r\n", to_base64url(key));
                one.head.push_str(&header);
                other.head.push_str(&header);
            }
            Self::Identifier => {}
            Self::Arrival => {
                (one.order, one.at) = (place.unsigned_abs() * 16, place * 16);
                (other.order, other.at) = (near.unsigned_abs(), near);
            }
            Self::Size => {
                one.size = usize::try_from(place * 16).unwrap_or(0);
                other.size = usize::try_from(near).unwrap_or(0);
            }
            Self::Index => {
                put(one, "planted", json!(place * 16));
                put(other, "planted", json!(1_000_000 + near));
            }
            Self::Key => {
                put(one, "planted", json!(to_base64url(key)));
                for byte in key.iter_mut().step_by(2) {
                    *byte ^= 1 << draw.gen_range(0..8);
                }
                put(other, "planted", json!(to_base64url(key)));
            }
        }
    }

    /// Whether an attack found it.
    pub(super) fn is_found(self, findings: &[Finding]) -> bool {
        let mut of = findings.iter().filter(|it| it.family == self.family());
        of.any(Finding::links)
    }
}

fn put(exchange: &mut Exchange, name: &str, value: Value) {
    if let Value::Object(map) = &mut exchange.body {
        map.insert(name.to_owned(), value);
    }
}

/// The evidence as it would be if dates were not equalised: each owner lives the year from a day of its own.
pub(super) fn with_dates(evidence: &Evidence, draw: &mut StdRng) -> Evidence {
    let mut dated = evidence.clone();
    let later: Vec<i64> = (0..dated.owners)
        .map(|_| draw.gen_range(0..365) * DAY)
        .collect();
    for party in &mut dated.parties {
        let mut all: Vec<&mut Exchange> = Vec::new();
        for (record, later) in party.records.iter_mut().zip(&later) {
            for exchange in &mut record.exchanges {
                exchange.at += later;
                all.push(exchange);
            }
        }
        all.sort_by_key(|exchange| exchange.at);
        for (order, exchange) in (0..).zip(all) {
            exchange.order = order;
        }
    }
    dated
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::super::attack::attack;
    use super::super::evidence::{Party, Record};
    use super::*;

    /// Owners about whom the parties know nothing but what each drew by itself.
    fn unlinked(owners: usize, draw: &mut StdRng) -> Evidence {
        let party = |name: &str, draw: &mut StdRng| {
            let mut order: Vec<u64> = (0..).take(owners).collect();
            order.shuffle(draw);
            let records = order.into_iter().map(|order| {
                let mut id = [0; 32];
                draw.fill_bytes(&mut id);
                let exchange = Exchange {
                    order,
                    at: i64::try_from(order).unwrap() * 1_000 + draw.gen_range(0..999),
                    port: draw.gen_range(30_000..60_000),
                    route: "POST /x".to_owned(),
                    head: "POST /x HTTP/1.1\r\naccept: */*\r\n".to_owned(),
                    size: draw.gen_range(1_000..1_100),
                    body: json!({"id": to_base64url(id), "index": draw.gen_range(0..9_999), "state": "CA"}),
                    opened: Value::Null,
                    answer: Value::Null,
                    answer_size: 0,
                };
                Record {
                    exchanges: vec![exchange],
                    rows: Vec::new(),
                }
            });
            Party {
                name: name.to_owned(),
                records: records.collect(),
                about_nobody: 0,
            }
        };
        Evidence {
            owners,
            parties: ["agency", "agency-away", "insurer"]
                .map(|name| party(name, draw))
                .into(),
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let mut draw = StdRng::seed_from_u64(5);
        let evidence = unlinked(60, &mut draw);
        let findings = attack(&evidence, &mut draw);
        assert_eq!(findings.len(), 3 * Family::ALL.len());
        let linked: Vec<_> = findings.iter().filter(|it| it.links()).collect();
        assert!(linked.is_empty(), "{linked:?}");
    }

    #[test]
    fn every_link_that_is_planted_is_found() {
        for plant in Plant::ALL {
            let mut draw = StdRng::seed_from_u64(6);
            let evidence = unlinked(60, &mut draw);
            let planted = plant.into(&evidence, &mut draw);
            let findings = attack(&planted, &mut draw);
            assert!(plant.is_found(&findings), "{plant:?}: {findings:?}");
            let mut others = findings.iter().filter(|it| it.family != plant.family());
            assert!(others.all(|it| !it.links()), "{plant:?}");
        }
    }

    #[test]
    fn an_identifier_of_one_owner_is_found_among_few() {
        let mut draw = StdRng::seed_from_u64(7);
        let evidence = unlinked(8, &mut draw);
        let planted = Plant::Identifier.into(&evidence, &mut draw);
        assert!(Plant::Identifier.is_found(&attack(&planted, &mut draw)));
        assert!(!Plant::Identifier.is_found(&attack(&evidence, &mut draw)));
    }

    #[test]
    fn dates_that_are_not_equalised_link() {
        let mut draw = StdRng::seed_from_u64(8);
        let dated = with_dates(&unlinked(60, &mut draw), &mut draw);
        assert!(Plant::Arrival.is_found(&attack(&dated, &mut draw)));
    }
}
