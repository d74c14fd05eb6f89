//! Time zones in which a phone's owner may be, by area code and state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::phone::Phone;

/// Zones of the fifty states at their extremes, for a number that says nothing: toll-free, foreign, or too new for the table.
const ANYWHERE: [&str; 3] = ["America/New_York", "America/Anchorage", "Pacific/Honolulu"];

type Table = BTreeMap<&'static str, Vec<&'static str>>;

static AREA_CODES: LazyLock<Table> =
    LazyLock::new(|| table(include_str!("../../data/area_codes.csv")));
static STATES: LazyLock<Table> = LazyLock::new(|| table(include_str!("../../data/states.csv")));

fn table(csv: &'static str) -> Table {
    csv.lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(key, zones)| (key, zones.split(' ').collect()))
        .collect()
}

/// Every zone the owner of a phone may be in: those of the number's area code, and those of the state a text is about, since
/// people keep their number when they move.
pub(super) fn zones(phone: &Phone, state: Option<&str>) -> BTreeSet<&'static str> {
    let area = phone
        .expose()
        .strip_prefix("+1")
        .and_then(|national| national.get(..3));
    let by_area = area.and_then(|area| AREA_CODES.get(area));
    let by_state = state.and_then(|state| STATES.get(state));
    let mut zones: BTreeSet<_> = by_area
        .into_iter()
        .chain(by_state)
        .flatten()
        .copied()
        .collect();
    if by_area.is_none() {
        zones.extend(ANYWHERE);
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_named_is_known_and_every_state_is_there() {
        for (key, zones) in AREA_CODES.iter().chain(STATES.iter()) {
            for zone in zones {
                assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{key}: {zone}");
            }
        }
        assert_eq!(STATES.len(), 51);
        assert!(AREA_CODES.len() > 400);
    }

    #[test]
    fn a_number_is_where_its_area_code_is_and_where_its_state_is() {
        let zones = |phone, state| {
            zones(&Phone::parse(phone).unwrap(), state)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(zones("+14155550132", None), ["America/Los_Angeles"]);
        assert_eq!(
            zones("+14155550132", Some("NY")),
            ["America/Los_Angeles", "America/New_York"]
        );
        assert_eq!(
            zones("+18505550100", None),
            ["America/Chicago", "America/New_York"]
        );
        assert_eq!(zones("+18005550100", None).len(), 3);
        assert_eq!(zones("+525555550100", None).len(), 3);
    }
}
