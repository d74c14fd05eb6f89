//! Comparisons of numbers and ages.

use super::super::ast::{Expr, Op};
use super::super::linear::{FactKey, Linear, TooLarge, Tree};
use super::{Attainment, Context, Lowered, Number, Type, Value, fault, large};

impl Context<'_> {
    pub(super) fn compare(&self, expr: &Expr, op: Op, left: &Expr, right: &Expr) -> Lowered<Tree> {
        let (left_value, right_value) = (self.value(left)?, self.value(right)?);
        match (left_value, right_value) {
            (Value::Age(fact, rule, ahead), Value::Number(years)) => {
                self.compare_age(expr, op, fact, (rule, ahead), &years)
            }
            (Value::Number(_), Value::Age(..)) => {
                fault(left, "the age stands on the left", "write `age(…) >= 19`")
            }
            (Value::Age(..), Value::Age(..)) => {
                fault(expr, "two ages", "compare the dates themselves")
            }
            (Value::Number(left_number), Value::Number(right_number)) => {
                if left_number.of != right_number.of {
                    return fault(
                        expr,
                        format!(
                            "{} compared with {}",
                            left_number.of.name(),
                            right_number.of.name()
                        ),
                        "give both sides one type: money as `$580`, counts as `4`, dates as `2026-10-01`",
                    );
                }
                if left_number.of == Type::Code && !matches!(op, Op::Equal | Op::Differs) {
                    return fault(
                        expr,
                        "codes have no order",
                        "compare codes with `=` or `!=`",
                    );
                }
                self.compare_numbers(expr, op, &left_number, &right_number)
            }
        }
    }

    pub(super) fn compare_numbers(
        &self,
        expr: &Expr,
        op: Op,
        left: &Number,
        right: &Number,
    ) -> Lowered<Tree> {
        let mut cases = Vec::new();
        for (left_guard, left) in &left.cases {
            for (right_guard, right) in &right.cases {
                let mut all: Vec<Tree> = left_guard.iter().chain(right_guard).cloned().collect();
                all.push(relation(op, left, right).map_err(large(expr))?);
                cases.push(all);
            }
        }
        Ok(nest(&cases))
    }

    pub(super) fn compare_age(
        &self,
        expr: &Expr,
        op: Op,
        fact: FactKey,
        (rule, ahead): (Attainment, i64),
        years: &Number,
    ) -> Lowered<Tree> {
        let constant = match (years.of, years.cases.as_slice()) {
            (Type::Count, [(guard, years)]) if guard.is_empty() => years.as_constant(),
            _ => None,
        };
        let attained = |years: i128| -> Lowered<Linear> {
            let day = match rule {
                Attainment::Birthday => self.as_of.plus(ahead),
                Attainment::DayBefore => self.as_of.plus(ahead + 1),
            };
            let day = u16::try_from(years).ok().zip(day.ok());
            match day.and_then(|(years, day)| day.years_before(years).ok()) {
                Some(day) => Ok(Linear::constant(i128::from(day.number()))),
                None => fault(
                    expr,
                    "an age that reaches before 1900",
                    "use an age up to 120",
                ),
            }
        };
        let Some(years) = constant else {
            return fault(
                expr,
                "an age is compared with a whole number of years",
                "write `age(identity.birth_date, birthday) >= 19`",
            );
        };
        let birth = Linear::fact(fact);
        // At least N: born on or before the day N years ago.
        let at_least = |years| -> Lowered<Tree> {
            relation(Op::AtMost, &birth, &attained(years)?).map_err(large(expr))
        };
        let less = |years| -> Lowered<Tree> {
            relation(Op::More, &birth, &attained(years)?).map_err(large(expr))
        };
        match op {
            Op::AtLeast => at_least(years),
            Op::More => at_least(years + 1),
            Op::Less => less(years),
            Op::AtMost => less(years + 1),
            Op::Equal => Ok(Tree::and(vec![at_least(years)?, less(years + 1)?])),
            Op::Differs => Ok(Tree::or(vec![less(years)?, at_least(years + 1)?])),
        }
    }
}

/// At least one of the cases; neighbours that begin with one guard stand under it together.
fn nest(cases: &[Vec<Tree>]) -> Tree {
    let together = cases.chunk_by(|a, b| a.len() > 1 && b.len() > 1 && a.first() == b.first());
    let branches = together.map(|cases| match cases {
        [only] => Tree::and(only.clone()),
        _ => {
            let first = cases.first().and_then(|case| case.first()).cloned();
            let rest: Vec<Vec<Tree>> = cases
                .iter()
                .map(|case| case.iter().skip(1).cloned().collect())
                .collect();
            Tree::and(first.into_iter().chain([nest(&rest)]).collect())
        }
    });
    Tree::or(branches.collect())
}

/// `left op right`, over integers.
pub(super) fn relation(op: Op, left: &Linear, right: &Linear) -> Result<Tree, TooLarge> {
    match op {
        Op::AtMost => right.minus(left)?.at_least(0),
        Op::Less => right.minus(left)?.at_least(1),
        Op::AtLeast => left.minus(right)?.at_least(0),
        Op::More => left.minus(right)?.at_least(1),
        Op::Equal => left.minus(right)?.is_zero(),
        Op::Differs => Ok(Tree::or(vec![
            left.minus(right)?.at_least(1)?,
            right.minus(left)?.at_least(1)?,
        ])),
    }
}
