//! Typed expressions to trees of exact relations, for one jurisdiction and day.

mod compare;
mod limit;
mod number;

use super::ast::{Expr, ExprKind, Op};
use super::file::Contract;
use super::linear::{FactKey, Linear, TooLarge, Tree};
use super::parser::Fault;
use crate::catalogue::{Catalogue, Unit};
use crate::ids::{AttributeId, Jurisdiction};
use crate::params::{NotInTable, Parameter, Tables};
use crate::units::Day;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Money,
    Percent,
    Date,
    Span,
    Count,
    Code,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Percent => "a percentage",
            Self::Date => "a date",
            Self::Span => "a number of days",
            Self::Count => "a count",
            Self::Code => "a code",
        }
    }
}

/// A number that may differ by cases whose guards exclude one another and leave none out.
#[derive(Debug, Clone)]
struct Number {
    of: Type,
    cases: Vec<(Vec<Tree>, Linear)>,
}

impl Number {
    fn plain(of: Type, linear: Linear) -> Self {
        Self {
            of,
            cases: vec![(Vec::new(), linear)],
        }
    }
}

/// When an age is attained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attainment {
    /// On the birthday.
    Birthday,
    /// On the day before, as the Social Security Administration counts (20 CFR 404.2(c)(4)).
    DayBefore,
}

enum Value {
    Number(Number),
    /// The age so many days after the as-of day.
    Age(FactKey, Attainment, i64),
}

/// Why an expression does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LowerError {
    /// The expression is wrong.
    Fault(Fault),
    /// A table has no row in force.
    Table(NotInTable),
}

impl From<NotInTable> for LowerError {
    fn from(error: NotInTable) -> Self {
        Self::Table(error)
    }
}

type Lowered<T> = Result<T, LowerError>;

/// Where an expression is compiled.
pub(super) struct Context<'a> {
    pub catalogue: &'a Catalogue,
    pub tables: &'a Tables,
    pub jurisdiction: Jurisdiction,
    pub as_of: Day,
    /// The contract of an id in force on the day, for `contract(id)`.
    pub contract: &'a dyn Fn(&str) -> Option<&'a Contract>,
    /// Contracts inside contracts so far.
    pub depth: usize,
}

/// Contracts that may stand inside each other.
pub(super) const MAX_CONTRACT_DEPTH: usize = 4;

fn fault<T>(at: &Expr, message: impl Into<String>, fix: impl Into<String>) -> Lowered<T> {
    Err(LowerError::Fault(Fault {
        at: at.span.start,
        message: message.into(),
        fix: fix.into(),
    }))
}

fn large(at: &Expr) -> impl FnOnce(TooLarge) -> LowerError {
    let at = at.span.start;
    move |TooLarge| {
        LowerError::Fault(Fault {
            at,
            message: "the numbers here leave 64 bits".to_owned(),
            fix: "use smaller factors".to_owned(),
        })
    }
}

/// Functions that give a condition or a number, for the message that names them.
const FUNCTIONS: &str = "poverty_level(size), limit(group, size), limit_with_disregard(group, size), \
     limit_without_disregard(group, size), offered(group), parameter(name), \
     contract(id), age(date, birthday), age(date, birthday, 60 days), before(attribute, 30 days)";

impl Context<'_> {
    /// What holds exactly when the expression is known to be `wanted`.
    pub fn condition(&self, expr: &Expr, wanted: bool) -> Lowered<Tree> {
        match &expr.kind {
            ExprKind::All(items) => self.join(items, wanted, wanted),
            ExprKind::Any(items) => self.join(items, wanted, !wanted),
            ExprKind::Not(inner) => self.condition(inner, !wanted),
            ExprKind::Compare(op, left, right) => {
                let op = if wanted { *op } else { op.negated() };
                self.compare(expr, op, left, right)
            }
            ExprKind::Between(value, low, high) => {
                let (above, below) = if wanted {
                    (Op::AtLeast, Op::AtMost)
                } else {
                    (Op::Less, Op::More)
                };
                let ends = vec![
                    self.compare(expr, above, value, low)?,
                    self.compare(expr, below, value, high)?,
                ];
                Ok(if wanted {
                    Tree::and(ends)
                } else {
                    Tree::or(ends)
                })
            }
            ExprKind::Name(name) => self.flag(expr, (AttributeId(name.clone()), 0), wanted),
            ExprKind::Call(name, items) => match (name.as_str(), items.as_slice()) {
                ("offered", [group]) => {
                    let group = self.group(group)?;
                    let row = self
                        .tables
                        .limits
                        .in_force(self.jurisdiction, group, self.as_of)?;
                    Ok(Tree::Const(row.basis.is_some() == wanted))
                }
                ("before", [attribute, span]) => {
                    self.flag(expr, self.before(attribute, span)?, wanted)
                }
                ("parameter", [parameter]) => match self.parameter(parameter)? {
                    Parameter::Flag(flag) => Ok(Tree::Const(flag == wanted)),
                    _ => fault(
                        parameter,
                        "this parameter is not a flag",
                        "compare it with a fact",
                    ),
                },
                ("contract", [id]) => self.contract(expr, id, wanted),
                _ => fault(
                    expr,
                    format!("`{name}(…)` is not a condition"),
                    format!("compare it with something; the functions are {FUNCTIONS}"),
                ),
            },
            _ => fault(
                expr,
                "a number where a condition is needed",
                "compare it: `household.size <= 4`",
            ),
        }
    }

    /// `and` (or `or`) of the items. Stops at a constant that decides, so that a guard may stand before what it guards.
    fn join(&self, items: &[Expr], wanted: bool, and: bool) -> Lowered<Tree> {
        let mut lowered = Vec::new();
        for item in items {
            let tree = self.condition(item, wanted)?;
            if tree == Tree::Const(!and) {
                return Ok(tree);
            }
            lowered.push(tree);
        }
        Ok(if and {
            Tree::and(lowered)
        } else {
            Tree::or(lowered)
        })
    }

    fn parameter(&self, expr: &Expr) -> Lowered<Parameter> {
        let parameters = &self.tables.parameters;
        match &expr.kind {
            ExprKind::Name(name) if parameters.name_hash(name).is_some() => Ok(parameters
                .in_force(name, self.jurisdiction, self.as_of)?
                .value),
            _ => fault(
                expr,
                "a name of parameters.csv is needed here",
                "write `parameter(abd_asset_test)`",
            ),
        }
    }

    /// All clauses of another contract; never, where it is not offered.
    fn contract(&self, expr: &Expr, id: &Expr, wanted: bool) -> Lowered<Tree> {
        let found = match &id.kind {
            ExprKind::Name(id) => (self.contract)(id),
            _ => None,
        };
        let Some(contract) = found else {
            let message = format!("no contract in force on {} has this id", self.as_of);
            return fault(id, message, "write `contract(us.medicaid.adult-group)`");
        };
        if self.depth >= MAX_CONTRACT_DEPTH {
            return fault(
                expr,
                "contracts that contain each other",
                "break the circle",
            );
        }
        let inner = Self {
            depth: self.depth + 1,
            ..*self
        };
        let placed = |error| match error {
            LowerError::Fault(fault) => LowerError::Fault(Fault {
                at: expr.span.start,
                message: format!("in {}: {}", contract.id, fault.message),
                fix: fault.fix,
            }),
            table => table,
        };
        if let Some(offered) = &contract.offered
            && inner.condition(&offered.expr, true).map_err(placed)? != Tree::Const(true)
        {
            return Ok(Tree::Const(!wanted));
        }
        let clauses = contract
            .clauses
            .iter()
            .filter(|clause| clause.applies(self.as_of));
        let trees =
            clauses.map(|clause| inner.condition(&clause.rule.expr, wanted).map_err(placed));
        let trees = trees.collect::<Lowered<_>>()?;
        Ok(if wanted {
            Tree::and(trees)
        } else {
            Tree::or(trees)
        })
    }

    fn flag(&self, expr: &Expr, key: FactKey, wanted: bool) -> Lowered<Tree> {
        let attribute = self.attribute(expr, &key.0)?;
        if attribute.unit != Unit::Flag {
            return fault(
                expr,
                format!("{} is not a flag", key.0),
                "compare it: `household.size <= 4`",
            );
        }
        let value = Linear::constant(i128::from(wanted));
        let difference = Linear::fact(key).minus(&value).map_err(large(expr))?;
        difference.is_zero().map_err(large(expr))
    }

    fn attribute(&self, expr: &Expr, id: &AttributeId) -> Lowered<&crate::catalogue::Attribute> {
        match self.catalogue.get(id) {
            Some(attribute) => Ok(attribute),
            None => fault(
                expr,
                format!("unknown name {:?}", id.0),
                format!("name an attribute of catalogue.toml{}", self.nearest(&id.0)),
            ),
        }
    }

    fn nearest(&self, name: &str) -> String {
        let tail = name.rsplit('.').next().unwrap_or(name);
        let mut ids = self
            .catalogue
            .iter()
            .map(|attribute| attribute.id.0.as_str());
        ids.find(|id| !tail.is_empty() && id.contains(tail))
            .map_or(String::new(), |id| format!(", such as `{id}`"))
    }

    fn group<'e>(&self, expr: &'e Expr) -> Lowered<&'e str> {
        match &expr.kind {
            ExprKind::Name(name) if self.tables.limits.group_hash(name).is_some() => Ok(name),
            _ => fault(
                expr,
                "a group of the limits table is needed here",
                format!(
                    "one of {}",
                    self.tables.limits.groups().collect::<Vec<_>>().join(", ")
                ),
            ),
        }
    }

    fn before(&self, attribute: &Expr, span: &Expr) -> Lowered<FactKey> {
        match (&attribute.kind, &span.kind) {
            (ExprKind::Name(name), ExprKind::Days(days)) if (1..=3660).contains(days) => {
                Ok((AttributeId(name.clone()), *days))
            }
            _ => fault(
                attribute,
                "`before` needs an attribute and a number of days, 1 to 3660",
                "write `before(income.magi_monthly, 30 days)`",
            ),
        }
    }
}
