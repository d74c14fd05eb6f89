//! Typed expressions to trees of exact relations, for one jurisdiction and day.

use super::ast::{Expr, ExprKind, Op};
use super::file::Contract;
use super::linear::{FactKey, Linear, TooLarge, Tree};
use super::parser::Fault;
use crate::catalogue::{Catalogue, Unit};
use crate::ids::{AttributeId, Jurisdiction};
use crate::params::{Basis, NotInTable, Parameter, Tables};
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

    fn compare(&self, expr: &Expr, op: Op, left: &Expr, right: &Expr) -> Lowered<Tree> {
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

    fn compare_numbers(&self, expr: &Expr, op: Op, left: &Number, right: &Number) -> Lowered<Tree> {
        let mut cases = Vec::new();
        for (left_guard, left) in &left.cases {
            for (right_guard, right) in &right.cases {
                let mut all: Vec<Tree> = left_guard.iter().chain(right_guard).cloned().collect();
                all.push(relation(op, left, right).map_err(large(expr))?);
                cases.push(Tree::and(all));
            }
        }
        Ok(Tree::or(cases))
    }

    fn compare_age(
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

    fn number(&self, expr: &Expr) -> Lowered<Number> {
        match self.value(expr)? {
            Value::Number(number) => Ok(number),
            Value::Age(..) => fault(
                expr,
                "an age can only be compared",
                "write `age(…) in 19..64`",
            ),
        }
    }

    fn value(&self, expr: &Expr) -> Lowered<Value> {
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

    fn fact(&self, expr: &Expr, key: FactKey) -> Lowered<Value> {
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

    fn add(&self, expr: &Expr, left: &Expr, right: &Expr, minus: bool) -> Lowered<Number> {
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

    fn product(&self, expr: &Expr, left: &Expr, right: &Expr) -> Lowered<Number> {
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

    fn share(&self, expr: &Expr, share: &Expr, whole: &Expr) -> Lowered<Number> {
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

    fn call(&self, expr: &Expr, name: &str, items: &[Expr]) -> Lowered<Value> {
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

    fn size(&self, size: &Expr) -> Lowered<Linear> {
        let number = self.number(size)?;
        match (number.of, number.cases.as_slice()) {
            (Type::Count, [(guard, linear)]) if guard.is_empty() => Ok(linear.clone()),
            _ => fault(size, "not a household size", "write `household.size`"),
        }
    }

    /// `first + additional·(size − 1)`, in cents a year.
    fn poverty_level(&self, expr: &Expr, size: &Linear) -> Lowered<Linear> {
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
    fn limit(&self, expr: &Expr, which: &str, group: &Expr, size: &Linear) -> Lowered<Number> {
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

/// `left op right`, over integers.
fn relation(op: Op, left: &Linear, right: &Linear) -> Result<Tree, TooLarge> {
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
