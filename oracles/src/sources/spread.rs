//! An amount that was earned over several days, attributed to each of them.

use contracts::units::{Day, Period};

/// Longest span of one record, in days.
pub(super) const MAX_SPAN_DAYS: i64 = 366;

/// Number of days of a span, both ends counted; none where it ends before it starts, or is longer than [`MAX_SPAN_DAYS`].
pub(super) fn days(span: Period) -> Option<i64> {
    let days = span.end.number() - span.start.number() + 1;
    (1..=MAX_SPAN_DAYS).contains(&days).then_some(days)
}

/// The part of `amount` that falls into `period`, when it is spread evenly over the days of `span`.
///
/// After k of n days `⌊amount · k / n⌋` is earned, so the parts of days are whole, differ by one at most, and add up to the
/// amount: neither a cent nor a minute is lost or made where periods meet. None for a span that is none, see [`days`].
pub(super) fn share(amount: i64, span: Period, period: Period) -> Option<i64> {
    let n = days(span)?;
    let first = span.start.max(period.start);
    let last = span.end.min(period.end);
    if first > last {
        return Some(0);
    }
    let earned = |days: i64| (i128::from(amount) * i128::from(days)).div_euclid(i128::from(n));
    let before = first.number() - span.start.number();
    let through = last.number() - span.start.number() + 1;
    i64::try_from(earned(through) - earned(before)).ok()
}

/// The span of a calendar quarter.
pub(super) fn quarter(year: i64, quarter: i64) -> Option<Period> {
    if !(1..=4).contains(&quarter) {
        return None;
    }
    let year = i32::try_from(year).ok()?;
    let first = u8::try_from(quarter * 3 - 2).ok()?;
    let start = Day::from_ymd(year, first, 1).ok()?;
    let end = match quarter {
        4 => Day::from_ymd(year, 12, 31).ok()?,
        _ => Day::from_ymd(year, first + 3, 1).ok()?.plus(-1).ok()?,
    };
    Some(Period { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    #[test]
    fn days_share_evenly_and_nothing_is_lost() {
        let week = period("2026-11-02/2026-11-08");
        assert_eq!(
            share(70_000, week, period("2026-11-01/2026-11-30")),
            Some(70_000)
        );
        assert_eq!(
            share(70_000, week, period("2026-11-07/2026-11-30")),
            Some(20_000)
        );
        assert_eq!(
            share(70_000, week, period("2026-11-09/2026-11-30")),
            Some(0)
        );
        // 100 over three days: 33, 33, 34.
        let three = period("2026-11-02/2026-11-04");
        let parts = ["2026-11-02", "2026-11-03", "2026-11-04"];
        let parts = parts.map(|day| share(100, three, period(&format!("{day}/{day}"))));
        assert_eq!(parts, [Some(33), Some(33), Some(34)]);
        assert_eq!(
            days(Period {
                start: week.end,
                end: week.start
            }),
            None
        );
        assert_eq!(days(period("2025-01-01/2026-01-02")), None);
    }

    #[test]
    fn quarters_are_the_calendars() {
        assert_eq!(quarter(2024, 1), Some(period("2024-01-01/2024-03-31")));
        assert_eq!(quarter(2026, 4), Some(period("2026-10-01/2026-12-31")));
        for (year, number) in [
            (2026, 0),
            (2026, 5),
            (2026, -1),
            (99_999, 1),
            (i64::MAX, 1),
            (2026, i64::MIN),
        ] {
            assert_eq!(quarter(year, number), None, "{year} {number}");
        }
    }

    proptest! {
        #[test]
        fn what_meets_adds_up(amount in -1_000_000i64..1_000_000, length in 1i64..200, cut in 0i64..200) {
            let start: Day = "2026-01-10".parse().unwrap();
            let span = Period { start, end: start.plus(length - 1).unwrap() };
            let year = period("2025-01-01/2027-12-31");
            let until = Period { start: year.start, end: start.plus(cut - 1).unwrap() };
            let from = Period { start: start.plus(cut).unwrap(), end: year.end };
            prop_assert_eq!(
                share(amount, span, until).unwrap() + share(amount, span, from).unwrap(), amount);
        }
    }
}
