//! Expressions that are numbers: literals, facts, sums, products, shares and functions.

use super::super::ast::{Expr, ExprKind};
use super::super::linear::{FactKey, Linear, Tree};
use super::{Attainment, Context, FUNCTIONS, Lowered, Number, Type, Value, fault, large};
use crate::catalogue::Unit;
use crate::ids::{AttributeId, Jurisdiction};
use crate::params::Parameter;

impl Context<'_> {
    pub(super) fn number(&self, expr: &Expr) -> Lowered<Number> {
        match self.value(expr)? {
            Value::Number(number) => Ok(number),
            Value::Age(..) => fault(
                expr,
                "an age can only be compared",
                "write `age(…) in 19..64`",
            ),
        }
    }

    pub(super) fn value(&self, expr: &Expr) -> Lowered<Value> {
        let plain = |of, linear| Ok(Value::Number(Number::plain(of, linear)));
        let constant = |of, number| plain(of, Linear::constant(i128::from(number)));
        match &expr.kind {
            ExprKind::Int(number) => constant(Type::Count, *number),
            ExprKind::Money(cents) => constant(Type::Money, cents.0),
            ExprKind::Percent(tenths) => constant(Type::Percent, *tenths),
            ExprKind::Date(day) => constant(Type::Date, day.number()),
            ExprKind::Days(days) => constant(Type::Span, *days),
            ExprKind::Name(name) if name == "as_of" => constant(Type::Date, self.as_of.number()),
            ExprKind::Name(name) if name == "jurisdiction" => {
                constant(Type::Code, i64::from(self.jurisdiction.fips()))
            }
            ExprKind::Name(name) => match name.parse::<Jurisdiction>() {
                Ok(state) => constant(Type::Code, i64::from(state.fips())),
                Err(_) => self.fact(expr, (AttributeId(name.clone()), 0)),
            },
            ExprKind::Call(name, items) => self.call(expr, name, items),
            ExprKind::Of(share, whole) => self.share(expr, share, whole).map(Value::Number),
            ExprKind::Sum(left, right) => self.add(expr, left, right, false).map(Value::Number),
            ExprKind::Difference(left, right) => {
                self.add(expr, left, right, true).map(Value::Number)
            }
            ExprKind::Product(left, right) => self.product(expr, left, right).map(Value::Number),
            _ => fault(
                expr,
                "a condition where a number is needed",
                "remove the comparison around it",
            ),
        }
    }

    pub(super) fn fact(&self, expr: &Expr, key: FactKey) -> Lowered<Value> {
        let of = match self.attribute(expr, &key.0)?.unit {
            Unit::Cents => Type::Money,
            Unit::Days => Type::Date,
            Unit::Count => Type::Count,
            Unit::Code => Type::Code,
            Unit::Flag => {
                return fault(
                    expr,
                    format!("{} is a flag, not a number", key.0),
                    "a flag stands by itself: `medical.pregnant` or `not medical.pregnant`",
                );
            }
        };
        Ok(Value::Number(Number::plain(of, Linear::fact(key))))
    }

    pub(super) fn add(
        &self,
        expr: &Expr,
        left: &Expr,
        right: &Expr,
        minus: bool,
    ) -> Lowered<Number> {
        let (left, right) = (self.number(left)?, self.number(right)?);
        let of = match (left.of, right.of, minus) {
            (Type::Money, Type::Money, _) => Type::Money,
            (Type::Count, Type::Count, _) => Type::Count,
            (Type::Span, Type::Span, _) | (Type::Date, Type::Date, true) => Type::Span,
            (Type::Date, Type::Span, _) => Type::Date,
            (left, right, _) => {
                return fault(
                    expr,
                    format!("{} and {} do not add", left.name(), right.name()),
                    "add money to money, counts to counts, days to dates",
                );
            }
        };
        let join = |left: &Linear, right: &Linear| {
            if minus {
                left.minus(right)
            } else {
                left.plus(right)
            }
        };
        let mut cases = Vec::new();
        for (left_guard, left) in &left.cases {
            for (right_guard, right) in &right.cases {
                let guard = left_guard.iter().chain(right_guard).cloned().collect();
                cases.push((guard, join(left, right).map_err(large(expr))?));
            }
        }
        Ok(Number { of, cases })
    }

    pub(super) fn product(&self, expr: &Expr, left: &Expr, right: &Expr) -> Lowered<Number> {
        let (left, right) = (self.number(left)?, self.number(right)?);
        let factor = |number: &Number| match (number.of, number.cases.as_slice()) {
            (Type::Count, [(guard, linear)]) if guard.is_empty() => linear.as_constant(),
            _ => None,
        };
        let (number, factor) = match (factor(&left), factor(&right)) {
            (_, Some(factor)) => (left, factor),
            (Some(factor), None) => (right, factor),
            (None, None) => {
                return fault(
                    expr,
                    "a product of two facts cannot be proved",
                    "multiply by a whole number: `income.magi_monthly * 12`",
                );
            }
        };
        if !matches!(number.of, Type::Money | Type::Count | Type::Span) {
            return fault(
                expr,
                format!("{} cannot be multiplied", number.of.name()),
                "multiply money, counts or days",
            );
        }
        let times = |(guard, linear): &(Vec<Tree>, Linear)| {
            Ok((guard.clone(), linear.times(factor).map_err(large(expr))?))
        };
        let cases = number.cases.iter().map(times).collect::<Lowered<_>>()?;
        Ok(Number { cases, ..number })
    }

    pub(super) fn share(&self, expr: &Expr, share: &Expr, whole: &Expr) -> Lowered<Number> {
        let percent = match (self.number(share)?, &share.kind) {
            (number, _) if number.of != Type::Percent => None,
            (number, _) => number
                .cases
                .first()
                .and_then(|(_, linear)| linear.as_constant()),
        };
        let whole = self.number(whole)?;
        match (percent, whole.of) {
            (Some(tenths), Type::Money) => {
                let cases = whole.cases.iter().map(|(guard, linear)| {
                    let share = linear.times(tenths).and_then(|linear| linear.over(1000));
                    Ok((guard.clone(), share.map_err(large(expr))?))
                });
                Ok(Number {
                    of: Type::Money,
                    cases: cases.collect::<Lowered<_>>()?,
                })
            }
            _ => fault(
                expr,
                "`of` takes a percentage and money",
                "write `138% of poverty_level(household.size)`",
            ),
        }
    }

    pub(super) fn call(&self, expr: &Expr, name: &str, items: &[Expr]) -> Lowered<Value> {
        match (name, items) {
            ("poverty_level", [size]) => {
                let level = self.poverty_level(expr, &self.size(size)?)?;
                Ok(Value::Number(Number::plain(Type::Money, level)))
            }
            ("limit" | "limit_with_disregard" | "limit_without_disregard", [group, size]) => self
                .limit(expr, name, group, &self.size(size)?)
                .map(Value::Number),
            ("age", [date, rule, after @ ..]) => {
                let ahead = match after {
                    [] => 0,
                    [
                        Expr {
                            kind: ExprKind::Days(days),
                            ..
                        },
                    ] => *days,
                    [other, ..] => {
                        return fault(
                            other,
                            "how many days after the as-of day?",
                            "write `age(identity.birth_date, birthday, 60 days)`",
                        );
                    }
                };
                let rule = match &rule.kind {
                    ExprKind::Name(rule) if rule == "birthday" => Attainment::Birthday,
                    ExprKind::Name(rule) if rule == "day_before" => Attainment::DayBefore,
                    _ => {
                        return fault(
                            rule,
                            "when is the age attained?",
                            "write `birthday`, or `day_before` as Social Security counts",
                        );
                    }
                };
                match (&date.kind, self.value(date)?) {
                    (ExprKind::Name(name), Value::Number(number)) if number.of == Type::Date => {
                        Ok(Value::Age((AttributeId(name.clone()), 0), rule, ahead))
                    }
                    _ => fault(
                        date,
                        "not a date",
                        "write `age(identity.birth_date, birthday)`",
                    ),
                }
            }
            ("age", _) => fault(
                expr,
                "an age needs a date and its attainment rule",
                "write `age(identity.birth_date, birthday)`",
            ),
            ("parameter", [parameter]) => {
                let constant =
                    |of, number| Ok(Value::Number(Number::plain(of, Linear::constant(number))));
                match self.parameter(parameter)? {
                    Parameter::Money(cents) => constant(Type::Money, i128::from(cents.0)),
                    Parameter::Percent(tenths) => constant(Type::Percent, i128::from(tenths)),
                    Parameter::Count(count) => constant(Type::Count, i128::from(count)),
                    Parameter::Flag(_) => fault(
                        expr,
                        "this parameter is a flag, not a number",
                        "a flag stands by itself",
                    ),
                }
            }
            ("before", [attribute, span]) => self.fact(attribute, self.before(attribute, span)?),
            _ => fault(
                expr,
                format!("unknown function `{name}` of {} arguments", items.len()),
                format!("the functions are {FUNCTIONS}"),
            ),
        }
    }
}
