//! Agreement among sources: the first of two layers, before and apart from agreement among oracles (O2, O3).

use contracts::catalogue::SourceFormula;

use crate::sources::Reading;

/// What the sources of one attribute bear out.
///
/// The denominator is the configured sources. One that failed and one that answered otherwise, or has no record, both count
/// as not agreeing, and are counted apart. No `Debug`: it holds a fact.
#[derive(Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The agreed value; none where there is no agreement or no record.
    pub value: Option<i64>,
    /// Configured sources.
    pub sources: u8,
    /// Sources that bear the value out; 0 where there is none.
    pub agreeing: u8,
    /// Sources that answered, but not with that value.
    pub disagreeing: u8,
    /// Sources that did not answer, or not in their format.
    pub failed: u8,
}

/// Applies a formula to the readings of all configured sources.
///
/// - *Unanimous*: every source gives one value.
/// - *Fraction*: at least `num/den` of the sources, and more than a half, give one value.
/// - *Tolerance*: every source gives a value, and each lies within so many tenths of a percent of the lower median,
///   which is the value.
pub fn agree(formula: SourceFormula, readings: &[Reading]) -> Agreement {
    let failed = readings.iter().filter(|reading| reading.is_err()).count();
    let mut values: Vec<i64> = readings
        .iter()
        .filter_map(|reading| reading.as_ref().ok().copied().flatten())
        .collect();
    values.sort_unstable();
    let n = readings.len();

    let equal = |value: i64| values.iter().filter(|it| **it == value).count();
    let candidate = match formula {
        SourceFormula::Unanimous => values.first().map(|value| (*value, equal(*value) == n)),
        SourceFormula::Fraction { num, den } => values
            .iter()
            .max_by_key(|value| equal(**value))
            .map(|value| {
                let count = equal(*value);
                // Widths: at most a few sources times 32 bits.
                let enough = count as u128 * u128::from(den) >= u128::from(num) * n as u128;
                (*value, enough && 2 * count > n)
            }),
        SourceFormula::Tolerance { pct10 } => {
            let median = values
                .len()
                .checked_sub(1)
                .and_then(|last| values.get(last / 2));
            median.map(|median| {
                let near = values.iter().all(|value| within(*value, *median, pct10));
                (*median, near && values.len() == n)
            })
        }
    };
    let value = candidate.and_then(|(value, holds)| holds.then_some(value));
    let agreeing = match (value, formula) {
        (None, _) => 0,
        (Some(_), SourceFormula::Tolerance { .. }) => values.len(),
        (Some(value), _) => equal(value),
    };
    let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    Agreement {
        value,
        sources: small(n),
        agreeing: small(agreeing),
        disagreeing: small(n - failed - agreeing),
        failed: small(failed),
    }
}

/// `|value − median| ≤ pct10/1000 · |median|`, without division.
fn within(value: i64, median: i64, pct10: u32) -> bool {
    let distance = (i128::from(value) - i128::from(median)).abs();
    distance * 1_000 <= i128::from(pct10) * i128::from(median).abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::SourceError;
    use proptest::prelude::*;

    fn failure() -> Reading {
        Err(SourceError::TimedOut {
            source_name: "s".into(),
        })
    }

    fn counts(agreement: &Agreement) -> (Option<i64>, u8, u8, u8) {
        (
            agreement.value,
            agreement.agreeing,
            agreement.disagreeing,
            agreement.failed,
        )
    }

    const TWO_THIRDS: SourceFormula = SourceFormula::Fraction { num: 2, den: 3 };
    const FIVE_PERCENT: SourceFormula = SourceFormula::Tolerance { pct10: 50 };

    #[test]
    fn a_source_edited_by_one_digit_at_zero_tolerance_leaves_nothing_known() {
        let edited = [Ok(Some(61_237)), Ok(Some(61_227))];
        let zero = SourceFormula::Tolerance { pct10: 0 };
        assert_eq!(counts(&agree(zero, &edited)), (None, 0, 2, 0));
        assert_eq!(
            counts(&agree(SourceFormula::Unanimous, &edited)),
            (None, 0, 2, 0)
        );
        assert_eq!(
            counts(&agree(FIVE_PERCENT, &edited)),
            (Some(61_227), 2, 0, 0)
        );
        let three = [Ok(Some(61_237)), Ok(Some(61_237)), Ok(Some(61_227))];
        assert_eq!(agree(zero, &three).value, None);
    }

    #[test]
    fn a_failed_source_and_one_without_a_record_count_as_not_agreeing_and_apart() {
        let readings = [Ok(Some(6)), failure(), Ok(None)];
        assert_eq!(
            counts(&agree(SourceFormula::Unanimous, &readings)),
            (None, 0, 2, 1)
        );
        let readings = [Ok(Some(6)), Ok(Some(6)), failure()];
        assert_eq!(counts(&agree(TWO_THIRDS, &readings)), (Some(6), 2, 0, 1));
        assert_eq!(
            counts(&agree(SourceFormula::Unanimous, &readings)),
            (None, 0, 2, 1)
        );
        assert_eq!(counts(&agree(FIVE_PERCENT, &readings)), (None, 0, 2, 1));
        assert_eq!(
            counts(&agree(SourceFormula::Unanimous, &[])),
            (None, 0, 0, 0)
        );
    }

    #[test]
    fn tolerance_is_measured_from_the_lower_median_and_is_exact_at_the_edge() {
        let at = |values: &[i64]| {
            let readings: Vec<Reading> = values.iter().map(|value| Ok(Some(*value))).collect();
            agree(FIVE_PERCENT, &readings).value
        };
        assert_eq!(at(&[100_000, 105_000]), Some(100_000));
        assert_eq!(at(&[100_000, 105_001]), None);
        assert_eq!(at(&[95_000, 100_000, 105_000]), Some(100_000));
        assert_eq!(at(&[0, 0]), Some(0));
        assert_eq!(at(&[0, 1]), None);
        assert_eq!(at(&[i64::MIN, i64::MAX]), None);
    }

    /// Least number of sources that must agree among 1, 2, … 11.
    type Needed = [usize; 11];

    #[test]
    fn m_of_n_holds_at_its_boundary_and_one_below_it_does_not() {
        let fraction = |num, den| SourceFormula::Fraction { num, den };
        let tables: [(SourceFormula, Needed); 5] = [
            (
                SourceFormula::Unanimous,
                [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            ),
            (fraction(1, 1), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            (fraction(9, 10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10]),
            (fraction(2, 3), [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8]),
            // More than a half, where the fraction asks for less.
            (fraction(51, 100), [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
        ];
        for (formula, needed) in tables {
            for (n, least) in (1usize..).zip(needed) {
                for agreeing in 0..=n {
                    for failed in 0..=n - agreeing {
                        // Those that are left say something else each, or have no record.
                        let others = (agreeing + failed..n)
                            .map(|at| Ok((at % 2 == 0).then(|| 100 + i64::try_from(at).unwrap())));
                        let readings: Vec<Reading> = std::iter::repeat_n(Ok(Some(6)), agreeing)
                            .chain(std::iter::repeat_n(failure(), failed))
                            .chain(others)
                            .collect();
                        let got = agree(formula, &readings);
                        let known = agreeing >= least;
                        // A single source that says otherwise is itself all there is.
                        let sole = n == 1 && agreeing + failed == 0;
                        let at = format!("{formula:?}: {agreeing} of {n}, {failed} failed");
                        assert_eq!(got.value.is_some(), known || sole, "{at}");
                        assert_eq!(usize::from(got.failed), failed, "{at}");
                        if known {
                            assert_eq!(got.value, Some(6), "{at}");
                            assert_eq!(usize::from(got.agreeing), agreeing, "{at}");
                        }
                        let counted = got.agreeing + got.disagreeing + got.failed;
                        assert_eq!(usize::from(counted), n, "{at}");
                    }
                }
            }
        }
    }

    #[test]
    fn medians_and_tolerances_at_every_edge() {
        let five = FIVE_PERCENT;
        let none = SourceFormula::Tolerance { pct10: 0 };
        let tenth = SourceFormula::Tolerance { pct10: 1 };
        for (formula, values, expected) in [
            // One source is its own median.
            (five, &[61_237][..], Some(61_237)),
            // Even numbers: the lower of the two in the middle.
            (five, &[1_000, 1_050], Some(1_000)),
            (five, &[1_000, 1_051], None),
            (five, &[950, 1_000, 1_050, 1_050], Some(1_000)),
            (five, &[949, 1_000, 1_050, 1_050], None),
            (five, &[950, 1_000, 1_001, 1_050], Some(1_000)),
            (five, &[950, 1_000, 1_001, 1_051], None),
            (
                five,
                &[1_000, 1_000, 1_050, 1_050, 1_050, 1_050],
                Some(1_050),
            ),
            // 5 % of 61,237 cents are 3,061.85.
            (five, &[58_176, 61_237, 64_298], Some(61_237)),
            (five, &[58_175, 61_237, 64_298], None),
            (five, &[58_176, 61_237, 64_299], None),
            (tenth, &[999, 1_000, 1_001], Some(1_000)),
            (tenth, &[998, 1_000, 1_001], None),
            (none, &[7, 7, 7], Some(7)),
            (none, &[7, 7, 8], None),
            // Nothing lies within a share of nothing.
            (five, &[0, 0, 0], Some(0)),
            (five, &[0, 0, 1], None),
            (five, &[-105, -100, -95], Some(-100)),
            (five, &[-106, -100, -95], None),
            (five, &[i64::MAX, i64::MAX], Some(i64::MAX)),
        ] {
            for turn in 0..values.len() {
                let mut values = values.to_vec();
                values.rotate_left(turn);
                let mut readings: Vec<Reading> = values.iter().map(|it| Ok(Some(*it))).collect();
                assert_eq!(agree(formula, &readings).value, expected, "{values:?}");
                // With one that failed, or has no record, not every source lies within the tolerance.
                for missing in [failure(), Ok(None)] {
                    readings.push(missing);
                    assert_eq!(agree(formula, &readings).value, None, "{values:?}");
                    readings.pop();
                }
            }
        }
    }

    fn reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            4 => (0i64..4).prop_map(|value| Ok(Some(value))),
            1 => Just(Ok(None)),
            1 => Just(failure()),
        ]
    }

    fn formula() -> impl Strategy<Value = SourceFormula> {
        prop_oneof![
            Just(SourceFormula::Unanimous),
            (1u32..10, 1u32..10).prop_map(|(a, b)| SourceFormula::Fraction {
                num: a.min(b),
                den: a.max(b)
            }),
            (0u32..2_000).prop_map(|pct10| SourceFormula::Tolerance { pct10 }),
        ]
    }

    proptest! {
        #[test]
        fn counts_add_up_and_order_does_not_matter(
            readings in proptest::collection::vec(reading(), 0..7), formula in formula(), seed in any::<u64>(),
        ) {
            let agreement = agree(formula, &readings);
            prop_assert_eq!(usize::from(agreement.sources), readings.len());
            prop_assert_eq!(
                agreement.sources, agreement.agreeing + agreement.disagreeing + agreement.failed);
            let mut shuffled = readings.clone();
            let n = shuffled.len().max(1);
            for i in 0..shuffled.len() { shuffled.swap(i, (seed as usize).wrapping_mul(i + 7) % n); }
            prop_assert!(agree(formula, &shuffled) == agreement);
        }

        #[test]
        fn an_agreed_value_was_read_and_a_failure_never_helps(
            readings in proptest::collection::vec(reading(), 1..7), formula in formula(), at in any::<usize>(),
        ) {
            let agreement = agree(formula, &readings);
            if let Some(value) = agreement.value {
                prop_assert!(readings.contains(&Ok(Some(value))));
                if !matches!(formula, SourceFormula::Tolerance { .. }) {
                    prop_assert!(2 * usize::from(agreement.agreeing) > readings.len());
                }
            } else {
                let mut failing = readings.clone();
                let at = at % failing.len();
                failing[at] = failure();
                prop_assert!(agree(formula, &failing).value.is_none());
            }
        }
    }
}
