//! The expression parser: a scannerless `winnow` grammar whose errors say where, what and how to mend it.
//!
//! ```text
//! expr    = "all" "(" list ")" | "any" "(" list ")" | "not" expr | relation
//! relation= sum [ ( "<=" | "<" | ">=" | ">" | "=" | "!=" ) sum | "in" sum ".." sum ]
//! sum     = product { ( "+" | "-" ) product }
//! product = share { "*" share }
//! share   = primary [ "of" share ]
//! primary = "(" expr ")" | money | percent | date | days | integer | name [ "(" list ")" ]
//! ```

use std::ops::Range;

use winnow::ascii::multispace0;
use winnow::combinator::{alt, opt, peek, preceded, repeat, separated};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, take_while};

use super::ast::{Expr, ExprKind, Op};
use crate::units::{Cents, Day};

/// Bytes that one expression may have.
pub const MAX_EXPRESSION: usize = 4096;
/// Parentheses that may be open at once.
const MAX_DEPTH: usize = 32;

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte of the expression at which it shows.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub fix: String,
}

type Input<'a> = LocatingSlice<&'a str>;
type Parsed<T> = Result<T, ErrMode<Fault>>;

impl<'a> ParserError<Input<'a>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        let rest: &str = input;
        let found = match rest.chars().next() {
            None => "the expression ends here".to_owned(),
            Some(character) => format!("unexpected {character:?}"),
        };
        Self {
            at: input.current_token_start(),
            message: found,
            fix: "write a condition such as `income.magi_monthly * 12 <= 138% of poverty_level(household.size)`"
                .to_owned(),
        }
    }

    fn or(self, other: Self) -> Self {
        if other.at > self.at { other } else { self }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

fn fault<T>(at: usize, message: impl Into<String>, fix: impl Into<String>) -> Parsed<T> {
    Err(ErrMode::Cut(Fault {
        at,
        message: message.into(),
        fix: fix.into(),
    }))
}

fn expect(input: &mut Input<'_>, what: char, fix: &str) -> Parsed<()> {
    let _ = multispace0.parse_next(input)?;
    let at = input.current_token_start();
    match opt(what).parse_next(input)? {
        Some(_) => Ok(()),
        None => {
            let found = input
                .chars()
                .next()
                .map_or("the end".to_owned(), |character| format!("{character:?}"));
            fault(at, format!("expected {what:?}, found {found}"), fix)
        }
    }
}

/// Reads one expression, the whole text.
///
/// # Errors
/// [`Fault`] at the first byte that cannot be read.
pub fn parse(text: &str) -> Result<Expr, Fault> {
    if text.len() > MAX_EXPRESSION {
        return Err(Fault {
            at: MAX_EXPRESSION,
            message: format!("an expression longer than {MAX_EXPRESSION} bytes"),
            fix: "split the clause".to_owned(),
        });
    }
    let mut input = LocatingSlice::new(text);
    let parsed = expression(&mut input, 0).and_then(|expr| {
        let _ = multispace0.parse_next(&mut input)?;
        match input.chars().next() {
            None => Ok(expr),
            Some(character) => {
                let at = input.current_token_start();
                let (message, fix) = stray(character, &input);
                fault(at, message, fix)
            }
        }
    });
    parsed.map_err(|error| match error {
        ErrMode::Cut(fault) | ErrMode::Backtrack(fault) => fault,
        ErrMode::Incomplete(_) => Fault::from_input(&input),
    })
}

/// What a character that continues nothing was probably meant to be.
fn stray(character: char, rest: &str) -> (String, String) {
    let say = |message: &str, fix: &str| (message.to_owned(), fix.to_owned());
    match character {
        '/' => say(
            "there is no division",
            "multiply the other side: `income.magi_monthly * 12 <= …`",
        ),
        '&' => say("there is no `&`", "write `all(a, b)`"),
        '|' => say("there is no `|`", "write `any(a, b)`"),
        '=' => say("there is no `==`", "write a single `=`"),
        '.' => say(
            "decimals are written only in money and in percent",
            "write `$0.50` or `26.4%`",
        ),
        _ if rest.starts_with("and ") => say("there is no `and`", "write `all(a, b)`"),
        _ if rest.starts_with("or ") => say("there is no `or`", "write `any(a, b)`"),
        ')' => say("a `)` without its `(`", "remove it, or open it"),
        other => (
            format!("unexpected {other:?} after a complete expression"),
            "join conditions with `all(a, b)` or `any(a, b)`".to_owned(),
        ),
    }
}

fn node(kind: ExprKind, span: Range<usize>) -> Expr {
    Expr { kind, span }
}

fn binary(make: fn(Box<Expr>, Box<Expr>) -> ExprKind, left: Expr, right: Expr) -> Expr {
    let span = left.span.start..right.span.end;
    node(make(Box::new(left), Box::new(right)), span)
}

/// A word of the grammar, not a prefix of a longer name.
fn keyword<'a>(word: &'static str) -> impl FnMut(&mut Input<'a>) -> Parsed<()> {
    move |input| {
        let start = input.checkpoint();
        let _ = multispace0.parse_next(input)?;
        let read: &str = name_text
            .parse_next(input)
            .inspect_err(|_| input.reset(&start))?;
        if read == word {
            return Ok(());
        }
        input.reset(&start);
        Err(ErrMode::Backtrack(Fault::from_input(input)))
    }
}

/// Words joined by single dots, so that `as_of..as_of + 60 days` is a range of two names.
fn name_text<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    let word = |input: &mut Input<'a>| -> Parsed<()> {
        let tail = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        (
            take_while(1, |c: char| c.is_ascii_alphanumeric()),
            take_while(0.., tail),
        )
            .void()
            .parse_next(input)
    };
    (
        peek(take_while(1, |c: char| c.is_ascii_alphabetic())),
        word,
        repeat::<_, _, (), _, _>(0.., ('.', word)),
    )
        .take()
        .parse_next(input)
}

fn expression(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let _ = multispace0.parse_next(input)?;
    let start = input.current_token_start();
    if depth > MAX_DEPTH {
        return fault(
            start,
            format!("more than {MAX_DEPTH} parentheses inside each other"),
            "split the clause",
        );
    }
    if opt(keyword("not")).parse_next(input)?.is_some() {
        let inner = expression(input, depth + 1)?;
        let span = start..inner.span.end;
        return Ok(node(ExprKind::Not(Box::new(inner)), span));
    }
    relation(input, depth)
}

fn relation(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let left = sum(input, depth)?;
    let operator = preceded(
        multispace0,
        alt((
            "<=".value(Op::AtMost),
            "<".value(Op::Less),
            ">=".value(Op::AtLeast),
            ">".value(Op::More),
            "!=".value(Op::Differs),
            "=".value(Op::Equal),
        )),
    );
    if let Some(op) = opt(operator).parse_next(input)? {
        let right = sum(input, depth)?;
        let span = left.span.start..right.span.end;
        let kind = ExprKind::Compare(op, Box::new(left), Box::new(right));
        return Ok(node(kind, span));
    }
    if opt(keyword("in")).parse_next(input)?.is_some() {
        let _ = multispace0.parse_next(input)?;
        let at = input.current_token_start();
        if input.starts_with('{') {
            return fault(
                at,
                "membership in a set of codes is attested as one derived flag",
                "add a flag to the catalogue, or compare with `=` inside `any(…)`",
            );
        }
        let low = sum(input, depth)?;
        let _ = multispace0.parse_next(input)?;
        let at = input.current_token_start();
        if opt("..").parse_next(input)?.is_none() {
            return fault(
                at,
                "a range needs two ends",
                "write `19..64`, both ends included",
            );
        }
        let high = sum(input, depth)?;
        let span = left.span.start..high.span.end;
        let kind = ExprKind::Between(Box::new(left), Box::new(low), Box::new(high));
        return Ok(node(kind, span));
    }
    Ok(left)
}

fn sum(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let mut left = product(input, depth)?;
    while let Some(sign) = opt(preceded(multispace0, alt(('+', '-')))).parse_next(input)? {
        let right = product(input, depth)?;
        let make = if sign == '+' {
            ExprKind::Sum
        } else {
            ExprKind::Difference
        };
        left = binary(make, left, right);
    }
    Ok(left)
}

fn product(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let mut left = share(input, depth)?;
    while opt(preceded(multispace0, '*')).parse_next(input)?.is_some() {
        let right = share(input, depth)?;
        left = binary(ExprKind::Product, left, right);
    }
    Ok(left)
}

fn share(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let left = primary(input, depth)?;
    if opt(keyword("of")).parse_next(input)?.is_some() {
        let right = share(input, depth)?;
        return Ok(binary(ExprKind::Of, left, right));
    }
    Ok(left)
}

fn primary(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let _ = multispace0.parse_next(input)?;
    let start = input.current_token_start();
    let first = input.chars().next();
    match first {
        Some('(') => {
            let _ = any.parse_next(input)?;
            let inner = expression(input, depth + 1)?;
            expect(input, ')', "close the parenthesis")?;
            Ok(inner)
        }
        Some('$') => money(input, start),
        Some(digit) if digit.is_ascii_digit() => number(input, start),
        Some(letter) if letter.is_ascii_alphabetic() => named(input, start, depth),
        Some(operator @ ('=' | '/' | '&' | '|' | '.')) => {
            let (message, fix) = stray(operator, input);
            fault(start, message, fix)
        }
        _ => Err(ErrMode::Cut(Fault::from_input(input))),
    }
}

fn named(input: &mut Input<'_>, start: usize, depth: usize) -> Parsed<Expr> {
    let name = name_text.parse_next(input)?.to_owned();
    if opt('(').parse_next(input)?.is_none() {
        return Ok(node(
            ExprKind::Name(name),
            start..input.previous_token_end(),
        ));
    }
    let items: Vec<Expr> = separated(
        0..,
        |input: &mut Input<'_>| {
            let _ = multispace0.parse_next(input)?;
            if input.starts_with(')') {
                return Err(ErrMode::Backtrack(Fault::from_input(input)));
            }
            expression(input, depth + 1)
        },
        (multispace0, ','),
    )
    .parse_next(input)?;
    let _ = opt((multispace0, ',')).parse_next(input)?;
    expect(input, ')', "separate by commas and close the parenthesis")?;
    let span = start..input.previous_token_end();
    if matches!(name.as_str(), "all" | "any") && items.is_empty() {
        return fault(
            start,
            format!("`{name}` of nothing"),
            "name at least one condition",
        );
    }
    let kind = match name.as_str() {
        "all" => ExprKind::All(items),
        "any" => ExprKind::Any(items),
        _ => ExprKind::Call(name, items),
    };
    Ok(node(kind, span))
}

fn digits<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take_while(0.., |c: char| c.is_ascii_digit()).parse_next(input)
}

fn integer(text: &str, at: usize) -> Parsed<i64> {
    match text.parse::<i64>() {
        Ok(number) if number <= 1_000_000_000_000 => Ok(number),
        _ => fault(at, "a number above 1,000,000,000,000", "check the digits"),
    }
}

fn money(input: &mut Input<'_>, start: usize) -> Parsed<Expr> {
    let _ = '$'.parse_next(input)?;
    let dollars = take_while(0.., |c: char| c.is_ascii_digit() || c == ',').parse_next(input)?;
    let cents = opt(preceded('.', digits)).parse_next(input)?;
    let dollars = dollars.replace(',', "");
    let fix = "write dollars and two digits of cents, such as `$580` or `$612.37`";
    let cents = match cents {
        None => "00",
        Some(cents) if cents.len() == 2 => cents,
        Some(_) => return fault(start, "cents have two digits", fix),
    };
    if dollars.is_empty() {
        return fault(start, "an amount without digits", fix);
    }
    let amount = integer(&dollars, start)? * 100 + integer(cents, start)?;
    let span = start..input.previous_token_end();
    Ok(node(ExprKind::Money(Cents(amount)), span))
}

fn number(input: &mut Input<'_>, start: usize) -> Parsed<Expr> {
    let whole = digits.parse_next(input)?;
    let rest: &str = input;
    if whole.len() == 4 && rest.starts_with('-') && rest.get(3..4) == Some("-") {
        let tail = take_while(0.., |c: char| c.is_ascii_digit() || c == '-').parse_next(input)?;
        return match format!("{whole}{tail}").parse::<Day>() {
            Ok(day) => Ok(node(ExprKind::Date(day), start..input.previous_token_end())),
            Err(error) => fault(start, error.to_string(), "write YYYY-MM-DD"),
        };
    }
    let whole = integer(whole, start)?;
    let decimal = rest.starts_with('.') && !rest.starts_with("..");
    let tenths = if decimal {
        let _ = any.parse_next(input)?;
        Some(digits.parse_next(input)?)
    } else {
        None
    };
    let percent = opt('%').parse_next(input)?.is_some();
    let kind = match (percent, tenths) {
        (true, None) => ExprKind::Percent(whole * 10),
        (true, Some(tenths)) if tenths.len() == 1 => {
            ExprKind::Percent(whole * 10 + integer(tenths, start)?)
        }
        (true, Some(_)) => {
            return fault(
                start,
                "a percentage has at most one decimal",
                "write `26.4%`",
            );
        }
        (false, Some(_)) => {
            let (message, fix) = stray('.', "");
            return fault(start, message, fix);
        }
        (false, None)
            if opt(alt((keyword("days"), keyword("day"))))
                .parse_next(input)?
                .is_some() =>
        {
            ExprKind::Days(whole)
        }
        (false, None) => ExprKind::Int(whole),
    };
    Ok(node(kind, start..input.previous_token_end()))
}
