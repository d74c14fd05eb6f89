//! The expressions of a contract, and their one canonical spelling.

use std::fmt;
use std::ops::Range;

use crate::units::{Cents, Day};

/// An expression with the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Bytes of the expression's text.
    pub span: Range<usize>,
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
    /// `!=`
    Differs,
}

impl Op {
    /// The operator that holds exactly when this one fails.
    pub fn negated(self) -> Self {
        match self {
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::More,
            Self::More => Self::AtMost,
            Self::AtLeast => Self::Less,
            Self::Equal => Self::Differs,
            Self::Differs => Self::Equal,
        }
    }
}

/// The forms of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprKind {
    /// `all(a, b, …)`
    All(Vec<Expr>),
    /// `any(a, b, …)`
    Any(Vec<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a <= b`
    Compare(Op, Box<Expr>, Box<Expr>),
    /// `a in low..high`, both ends included
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    /// An attribute, or a bare word such as a group, an option, `as_of` or a state's code.
    Name(String),
    /// `word(a, b, …)`
    Call(String, Vec<Expr>),
    /// A whole number.
    Int(i64),
    /// `$580.00`
    Money(Cents),
    /// `26.4%`, in tenths
    Percent(i64),
    /// `2026-10-01`
    Date(Day),
    /// `30 days`
    Days(i64),
    /// `138% of x`
    Of(Box<Expr>, Box<Expr>),
    /// `a + b`
    Sum(Box<Expr>, Box<Expr>),
    /// `a - b`
    Difference(Box<Expr>, Box<Expr>),
    /// `a * b`, one of them a whole number
    Product(Box<Expr>, Box<Expr>),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
            Self::Differs => "!=",
        })
    }
}

fn list(f: &mut fmt::Formatter<'_>, name: &str, items: &[Expr]) -> fmt::Result {
    write!(f, "{name}(")?;
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    f.write_str(")")
}

/// The canonical spelling, which the content hash covers: every binary operator in parentheses, one space.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::All(items) => list(f, "all", items),
            ExprKind::Any(items) => list(f, "any", items),
            ExprKind::Not(inner) => write!(f, "not({inner})"),
            ExprKind::Compare(op, left, right) => write!(f, "({left} {op} {right})"),
            ExprKind::Between(value, low, high) => write!(f, "({value} in {low}..{high})"),
            ExprKind::Name(name) => f.write_str(name),
            ExprKind::Call(name, items) => list(f, name, items),
            ExprKind::Int(number) => write!(f, "{number}"),
            ExprKind::Money(cents) => write!(f, "{cents}"),
            ExprKind::Percent(tenths) => write!(f, "{}.{}%", tenths / 10, tenths % 10),
            ExprKind::Date(day) => write!(f, "{day}"),
            ExprKind::Days(days) => write!(f, "{days} days"),
            ExprKind::Of(share, whole) => write!(f, "({share} of {whole})"),
            ExprKind::Sum(left, right) => write!(f, "({left} + {right})"),
            ExprKind::Difference(left, right) => write!(f, "({left} - {right})"),
            ExprKind::Product(left, right) => write!(f, "({left} * {right})"),
        }
    }
}
