//! The numbers that a rule applies in a state on a day, for people.

use super::ast::{Expr, ExprKind};
use super::file::Rule;
use crate::ids::Jurisdiction;
use crate::params::{Basis, Guideline, Limit, Parameter, Tables};
use crate::units::Day;

/// One number of a table as a rule applies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What it is, such as `limit of expansion_adult`.
    pub what: String,
    /// How it is measured.
    pub rule: String,
    /// Household size and the greatest whole cents a month at or under it, sizes 1 to 8.
    pub monthly: Vec<(u32, i64)>,
    /// Where it comes from, and since when.
    pub source: String,
}

fn percent(tenths: u32) -> String {
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn guideline(row: &Guideline) -> String {
    format!("poverty guideline of {}, {}", row.effective, row.citation)
}

/// The greatest whole cents a month whose twelvefold is within `tenths/1000` of the yearly level.
fn month(row: &Guideline, tenths: u32, size: u32) -> i64 {
    let yearly = u128::from(tenths) * 100 * u128::from(row.level(size));
    i64::try_from(yearly / 12_000).unwrap_or(i64::MAX)
}

fn limit(row: &Limit, poverty: &Guideline, disregard: bool) -> Vec<Applied> {
    let points = if disregard { 50 } else { 0 };
    let source = format!(
        "{} since {}; {}; {}",
        row.source,
        row.effective,
        row.citation,
        guideline(poverty)
    );
    let of = format!("limit of {}", row.group);
    match &row.basis {
        None => Vec::new(),
        Some(Basis::Percent {
            with_disregard,
            without_disregard,
        }) => {
            let tenths = if disregard {
                *with_disregard
            } else {
                *without_disregard
            };
            let five = if disregard {
                "five points included"
            } else {
                "the five points do not apply here"
            };
            vec![Applied {
                what: of,
                rule: format!("{} of the poverty guideline, {five}", percent(tenths)),
                monthly: (1..=8)
                    .map(|size| (size, month(poverty, tenths, size)))
                    .collect(),
                source,
            }]
        }
        Some(Basis::Dollars(standards)) => {
            standards
                .iter()
                .map(|standard| {
                    let variant = standard.variant.as_ref();
                    let variant = variant.map_or(String::new(), |(name, value)| {
                        format!(" where {name} = {value}")
                    });
                    let extra = if disregard {
                        " plus five points of the poverty guideline"
                    } else {
                        ""
                    };
                    let monthly = standard.monthly.iter().zip(standard.first_size..).map(
                        |(dollars, size)| {
                            let yearly = 120_000 * i64::from(*dollars)
                                + i64::from(points)
                                    * i64::try_from(poverty.level(size)).unwrap_or(0)
                                    * 10;
                            (size, yearly / 1_200)
                        },
                    );
                    Applied {
                        what: format!("{of}{variant}"),
                        rule: format!(
                            "dollars a month by household size{extra}; each person beyond adds ${}",
                            standard.step()
                        ),
                        monthly: monthly.collect(),
                        source: source.clone(),
                    }
                })
                .collect()
        }
    }
}

/// Every number that a rule takes from a table.
pub(super) fn applied(rule: &Rule, tables: &Tables, state: Jurisdiction, day: Day) -> Vec<Applied> {
    let mut found = Vec::new();
    gather(&rule.expr, tables, state, day, &mut found);
    found
}

fn gather(expr: &Expr, tables: &Tables, state: Jurisdiction, day: Day, found: &mut Vec<Applied>) {
    let mut children = |items: &[&Expr]| {
        for item in items {
            gather(item, tables, state, day, found);
        }
    };
    match &expr.kind {
        ExprKind::All(items) | ExprKind::Any(items) => children(&items.iter().collect::<Vec<_>>()),
        ExprKind::Not(inner) => children(&[inner]),
        ExprKind::Compare(_, left, right)
        | ExprKind::Sum(left, right)
        | ExprKind::Difference(left, right)
        | ExprKind::Product(left, right) => children(&[left, right]),
        ExprKind::Between(value, low, high) => children(&[value, low, high]),
        ExprKind::Of(share, whole) => {
            let poverty = tables.poverty.in_force(state, day);
            match (&share.kind, &whole.kind, poverty) {
                (ExprKind::Percent(tenths), ExprKind::Call(name, _), Ok(row))
                    if name == "poverty_level" =>
                {
                    let tenths = u32::try_from(*tenths).unwrap_or(u32::MAX);
                    found.push(Applied {
                        what: "standard".to_owned(),
                        rule: format!("{} of the poverty guideline", percent(tenths)),
                        monthly: (1..=8)
                            .map(|size| (size, month(row, tenths, size)))
                            .collect(),
                        source: guideline(row),
                    });
                }
                _ => children(&[share, whole]),
            }
        }
        ExprKind::Call(name, items) if name == "parameter" => {
            let named = items.first().map(|item| &item.kind);
            let Some(ExprKind::Name(parameter)) = named else {
                return;
            };
            if let Ok(row) = tables.parameters.in_force(parameter, state, day) {
                let rule = match row.value {
                    Parameter::Flag(true) => "yes".to_owned(),
                    Parameter::Flag(false) => "no".to_owned(),
                    Parameter::Money(cents) => cents.to_string(),
                    Parameter::Percent(tenths) => percent(tenths),
                    Parameter::Count(count) => count.to_string(),
                };
                let source = format!("{} since {}; {}", row.source, row.effective, row.citation);
                found.push(Applied {
                    what: parameter.clone(),
                    rule,
                    monthly: Vec::new(),
                    source,
                });
            }
        }
        ExprKind::Call(name, items) if name.starts_with("limit") => {
            let Some(ExprKind::Name(group)) = items.first().map(|item| &item.kind) else {
                return;
            };
            let row = tables.limits.in_force(state, group, day);
            if let (Ok(row), Ok(poverty)) = (row, tables.poverty.in_force(state, day)) {
                let disregard = match name.as_str() {
                    "limit_with_disregard" => true,
                    "limit_without_disregard" => false,
                    _ => row.disregard_applies,
                };
                found.extend(limit(row, poverty, disregard));
            }
        }
        _ => {}
    }
}
