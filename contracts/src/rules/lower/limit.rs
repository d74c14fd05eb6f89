//! Poverty levels and income limits as linear forms in the household's size.

use super::super::ast::{Expr, Op};
use super::super::linear::Linear;
use super::compare::relation;
use super::{Context, Lowered, Number, Type, fault, large};
use crate::ids::AttributeId;
use crate::params::{Basis, DollarStandard};

/// Sizes over which a standard rises by one step.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    /// None for the run that has no end.
    last: Option<u32>,
    /// Dollars a month at the first size.
    monthly: u32,
    /// Dollars a month that each further person adds.
    step: i128,
}

/// A standard as few straight lines, the last one going on beyond the sizes published: each is one case of a proof.
fn runs(standard: &DollarStandard) -> Vec<Run> {
    let sizes: Vec<(u32, u32)> = (standard.first_size..)
        .zip(standard.monthly.iter().copied())
        .collect();
    let mut runs = Vec::new();
    let mut rest = sizes.as_slice();
    if let ([(first, monthly), after @ ..], true) = (rest, standard.first_size > 1) {
        // A smaller household counts as one of the first size published.
        runs.push(Run {
            first: *first,
            last: (!after.is_empty()).then_some(*first),
            monthly: *monthly,
            step: 0,
        });
        rest = after;
    }
    while let [(first, monthly), after @ ..] = rest {
        let step = |pair: &[(u32, u32)]| match pair {
            [(_, before), (_, after)] => i128::from(*after) - i128::from(*before),
            _ => i128::from(standard.step()),
        };
        let slope = step(rest.get(..2).unwrap_or_default());
        let even = rest
            .windows(2)
            .take_while(|pair| step(pair) == slope)
            .count();
        let open = even == after.len();
        let (run, others) = rest.split_at(if open { rest.len() } else { even + 1 });
        runs.push(Run {
            first: *first,
            last: run.last().filter(|_| !open).map(|(size, _)| *size),
            monthly: *monthly,
            step: slope,
        });
        rest = others;
    }
    runs
}

impl Context<'_> {
    pub(super) fn size(&self, size: &Expr) -> Lowered<Linear> {
        let number = self.number(size)?;
        match (number.of, number.cases.as_slice()) {
            (Type::Count, [(guard, linear)]) if guard.is_empty() => Ok(linear.clone()),
            _ => fault(size, "not a household size", "write `household.size`"),
        }
    }

    /// `first + additional·(size − 1)`, in cents a year.
    pub(super) fn poverty_level(&self, expr: &Expr, size: &Linear) -> Lowered<Linear> {
        let guideline = self
            .tables
            .poverty
            .in_force(self.jurisdiction, self.as_of)?;
        let (first, additional) = (
            i128::from(guideline.first),
            i128::from(guideline.additional),
        );
        size.minus(&Linear::constant(1))
            .and_then(|further| further.times(100 * additional))
            .and_then(|further| further.plus(&Linear::constant(100 * first)))
            .map_err(large(expr))
    }

    /// The income limit of a group, in cents a year.
    pub(super) fn limit(
        &self,
        expr: &Expr,
        which: &str,
        group: &Expr,
        size: &Linear,
    ) -> Lowered<Number> {
        let name = self.group(group)?;
        let row = self
            .tables
            .limits
            .in_force(self.jurisdiction, name, self.as_of)?;
        let disregard = match which {
            "limit_with_disregard" => true,
            "limit_without_disregard" => false,
            _ => row.disregard_applies,
        };
        let poverty = self.poverty_level(expr, size)?;
        let percent = |tenths: u32| {
            let share = poverty.times(i128::from(tenths));
            share
                .and_then(|share| share.over(1000))
                .map_err(large(expr))
        };
        let standards = match &row.basis {
            None => {
                return fault(
                    expr,
                    format!("{} offers no {name}", self.jurisdiction),
                    format!("guard the contract with `offered = \"offered({name})\"`"),
                );
            }
            Some(Basis::Percent {
                with_disregard,
                without_disregard,
            }) => {
                let tenths = if disregard {
                    *with_disregard
                } else {
                    *without_disregard
                };
                return Ok(Number::plain(Type::Money, percent(tenths)?));
            }
            Some(Basis::Dollars(standards)) => standards,
        };
        let points = percent(if disregard { 50 } else { 0 })?;
        let mut cases = Vec::new();
        for standard in standards {
            let mut variant = Vec::new();
            if let Some((attribute, value)) = &standard.variant {
                let fact = Linear::fact((AttributeId(attribute.clone()), 0));
                let value = Linear::constant(i128::from(*value));
                variant.push(relation(Op::Equal, &fact, &value).map_err(large(expr))?);
            }
            for run in runs(standard) {
                let at = |size: u32| Linear::constant(i128::from(size));
                let mut guard = variant.clone();
                let mut require = |op, bound: u32| -> Lowered<()> {
                    guard.push(relation(op, size, &at(bound)).map_err(large(expr))?);
                    Ok(())
                };
                match (run.first == standard.first_size, run.last) {
                    (true, Some(last)) => require(Op::AtMost, last)?,
                    (false, Some(last)) if last == run.first => require(Op::Equal, last)?,
                    (true, None) => {}
                    (false, Some(last)) => {
                        require(Op::AtLeast, run.first)?;
                        require(Op::AtMost, last)?;
                    }
                    (false, None) => require(Op::AtLeast, run.first)?,
                }
                let amount = size
                    .minus(&at(run.first))
                    .and_then(|further| further.times(1200 * run.step))
                    .and_then(|further| {
                        further.plus(&Linear::constant(1200 * i128::from(run.monthly)))
                    })
                    .and_then(|amount| amount.plus(&points));
                cases.push((guard, amount.map_err(large(expr))?));
            }
        }
        Ok(Number {
            of: Type::Money,
            cases,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_is_the_same_at_every_size_as_straight_lines() {
        for (first_size, monthly) in [
            (1, vec![517, 694, 871, 1048, 1226, 1403, 1580, 1757]),
            (1, vec![141, 241, 301, 353, 400, 445, 490, 532]),
            (2, vec![161, 251, 285, 332, 367, 412, 447]),
            (1, vec![289, 387, 486, 585]),
            (1, vec![300]),
            (3, vec![300]),
        ] {
            let standard = DollarStandard {
                variant: None,
                monthly,
                first_size,
            };
            let runs = runs(&standard);
            for size in 1..=20u32 {
                let of = |run: &&Run| {
                    let from = if run.first == first_size {
                        0
                    } else {
                        run.first
                    };
                    (from..=run.last.unwrap_or(20)).contains(&size)
                };
                let [run] = runs.iter().filter(of).collect::<Vec<_>>()[..] else {
                    panic!("{size} in one run of {runs:?}");
                };
                let further = i128::from(size.saturating_sub(run.first));
                let last = standard.monthly.len() - 1;
                let place = (size.saturating_sub(first_size) as usize).min(last);
                let beyond = size.saturating_sub(first_size + last as u32) * standard.step();
                let expected = i128::from(standard.monthly[place] + beyond);
                assert_eq!(i128::from(run.monthly) + further * run.step, expected);
            }
        }
    }
}
