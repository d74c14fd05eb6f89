//! Texting hours. Federal law allows unasked calls and texts from 8 a.m. to 9 p.m. at the called party's place
//! (47 CFR 64.1200(c)(1)); the hours configured may be narrower, as some states' laws are.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::zones::zones;
use crate::phone::Phone;

/// Step in which the next allowed time is looked for, seconds: every zone of the table keeps whole quarters of an hour.
const STEP: i64 = 900;
/// How far ahead is looked: two days always hold a time that suits every zone of the states, if the hours leave one.
const LOOK_AHEAD: i64 = 2 * 86_400;

/// From which hour of the day until which, local time where the recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: i8,
    until: i8,
}

impl Hours {
    /// Hours that texts may be sent in; `0` to `24` is always. From New York to Honolulu are six hours at most, so that
    /// a window of less than seven would never suit a number that may be in either.
    pub fn new(from: i8, until: i8) -> Option<Self> {
        let fine = from >= 0 && until <= 24 && until - from >= 7;
        fine.then_some(Self { from, until })
    }

    /// When a text to this phone may go: `now`, or the first time it is allowed in every zone its owner may be in.
    pub fn next(self, phone: &Phone, state: Option<&str>, now: i64) -> i64 {
        if self.from == 0 && self.until == 24 {
            return now;
        }
        let zones: Vec<TimeZone> = zones(phone, state)
            .into_iter()
            .filter_map(|zone| TimeZone::get(zone).ok())
            .collect();
        let suits = |time: i64| zones.iter().all(|zone| self.allows(zone, time));
        if suits(now) {
            return now;
        }
        let next = now.div_euclid(STEP) * STEP + STEP;
        (0..LOOK_AHEAD / STEP)
            .map(|step| next + step * STEP)
            .find(|time| suits(*time))
            .unwrap_or(next + LOOK_AHEAD)
    }

    fn allows(self, zone: &TimeZone, time: i64) -> bool {
        Timestamp::from_second(time).is_ok_and(|time| {
            let hour = time.to_zoned(zone.clone()).hour();
            (self.from..self.until).contains(&hour)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_text_waits_for_morning_where_the_phone_is_in_summer_and_winter() {
        let hours = Hours::new(9, 20).unwrap();
        let next = |phone: &str, state, now: &str| {
            hours.next(&Phone::parse(phone).unwrap(), state, at(now))
        };
        let san_francisco = "+14155550132";
        // 19:59 and 20:00 on a winter day, UTC-8.
        assert_eq!(
            next(san_francisco, None, "2026-12-01T03:59:59Z"),
            at("2026-12-01T03:59:59Z")
        );
        assert_eq!(
            next(san_francisco, None, "2026-12-01T04:00:00Z"),
            at("2026-12-01T17:00:00Z")
        );
        // The same clock in July, UTC-7; and across the change on 8 March 2026.
        assert_eq!(
            next(san_francisco, None, "2026-07-01T03:30:00Z"),
            at("2026-07-01T16:00:00Z")
        );
        assert_eq!(
            next(san_francisco, None, "2026-03-08T05:00:00Z"),
            at("2026-03-08T16:00:00Z")
        );
        // Phoenix keeps no summer time.
        assert_eq!(
            next("+16025550100", None, "2026-07-01T12:00:00Z"),
            at("2026-07-01T16:00:00Z")
        );
    }

    #[test]
    fn a_number_that_may_be_in_two_zones_waits_for_both() {
        let hours = Hours::new(9, 20).unwrap();
        let next = |phone: &str, state, now: &str| {
            hours.next(&Phone::parse(phone).unwrap(), state, at(now))
        };
        // Nine in the morning in New York is six in California.
        assert_eq!(
            next("+12125550100", Some("CA"), "2026-12-01T14:00:00Z"),
            at("2026-12-01T17:00:00Z")
        );
        // Toll-free: nine in Honolulu, before eight in the evening in New York.
        assert_eq!(
            next("+18005550100", None, "2026-12-01T14:00:00Z"),
            at("2026-12-01T19:00:00Z")
        );
        assert_eq!(
            next("+18005550100", None, "2026-12-01T19:00:00Z"),
            at("2026-12-01T19:00:00Z")
        );
    }

    #[test]
    fn hours_leave_a_time_that_suits_every_state() {
        assert_eq!(Hours::new(9, 15), None);
        assert_eq!(Hours::new(-1, 20), None);
        assert_eq!(Hours::new(9, 25), None);
        let all_day = Hours::new(0, 24).unwrap();
        assert_eq!(
            all_day.next(&Phone::parse("+14155550132").unwrap(), None, 77),
            77
        );
        // Adak is as far west as Honolulu: with the widest span there is, some quarter of an hour still suits.
        let hours = Hours::new(9, 16).unwrap();
        let toll_free = Phone::parse("+18005550100").unwrap();
        let now = at("2026-07-01T00:00:00Z");
        assert!(hours.next(&toll_free, None, now) < now + LOOK_AHEAD);
    }
}
