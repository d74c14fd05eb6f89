//! Poverty levels and income limits as linear forms in the household's size.

use super::super::ast::{Expr, Op};
use super::super::linear::Linear;
use super::compare::relation;
use super::{Context, Lowered, Number, Type, fault, large};
use crate::ids::AttributeId;
use crate::params::Basis;

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
            let last = standard.monthly.len() - 1;
            for (index, monthly) in standard.monthly.iter().enumerate() {
                let published = Linear::constant(i128::from(standard.first_size) + index as i128);
                let yearly = 1200 * i128::from(*monthly);
                let (op, beyond) = match index {
                    0 => (Op::AtMost, 0),
                    _ if index == last => (Op::AtLeast, 1200 * i128::from(standard.step())),
                    _ => (Op::Equal, 0),
                };
                let mut guard = variant.clone();
                guard.push(relation(op, size, &published).map_err(large(expr))?);
                let amount = size
                    .minus(&published)
                    .and_then(|further| further.times(beyond))
                    .and_then(|further| further.plus(&Linear::constant(yearly)))
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
