//! Contract files: TOML whose rules are expressions, with every fault placed by line and column.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::ast::Expr;
use super::compiled::Kind;
use super::error::Located;
use super::parser::{self, Fault};
use crate::units::Day;

/// Bytes that one contract file may have.
pub const MAX_CONTRACT_FILE: usize = 64 * 1024;
/// Clauses that one contract may have.
pub const MAX_CLAUSES: usize = 64;

/// A contract as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Such as `us.medicaid.adult-group`.
    pub id: String,
    /// Number of this wording, from 1.
    pub version: u32,
    /// One line for people.
    pub title: String,
    /// Such as `medicaid`.
    pub program: String,
    /// What a verdict may say.
    pub kind: Kind,
    /// First day in force.
    pub from: Day,
    /// Last day in force, none while open.
    pub until: Option<Day>,
    /// What must be so for a state to have the contract at all; decided from tables alone.
    pub offered: Option<Rule>,
    /// What a verdict starts.
    pub triggers: Triggers,
    /// The conditions, all of which a YES needs.
    pub clauses: Vec<ClauseText>,
    /// The file's name, for messages.
    pub file: String,
    pub(super) source: String,
}

/// What a verdict starts, as names that the lifecycle knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// On YES.
    #[serde(default)]
    pub yes: Vec<String>,
    /// On NO.
    #[serde(default)]
    pub no: Vec<String>,
}

/// One condition as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseText {
    /// Name within the contract.
    pub id: String,
    /// Reason code of a NO.
    pub reason: String,
    /// The law it states.
    pub citation: String,
    /// One sentence for people.
    pub text: String,
    /// The condition.
    pub rule: Rule,
    /// First day on which the clause applies, the contract's own if none.
    pub from: Option<Day>,
    /// Last day on which it applies, the contract's own if none.
    pub until: Option<Day>,
}

/// An expression and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The expression.
    pub expr: Expr,
    /// Byte of the file at which its text begins.
    pub(super) start: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Spanned<String>,
    version: Spanned<u32>,
    title: String,
    program: String,
    kind: Kind,
    in_force_from: Day,
    in_force_until: Option<Spanned<Day>>,
    offered: Option<Spanned<String>>,
    #[serde(default)]
    triggers: Triggers,
    clause: Vec<RawClause>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClause {
    id: Spanned<String>,
    reason: Spanned<String>,
    citation: Spanned<String>,
    text: Spanned<String>,
    rule: Spanned<String>,
    from: Option<Day>,
    until: Option<Day>,
}

/// A file being read: makes located errors.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

/// Line and column, both from 1, of a byte; the column counts characters.
pub(super) fn locate(file: &str, text: &str, at: usize, fault: Fault) -> Located {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Located {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        message: fault.message,
        fix: fault.fix,
    }
}

impl Reader<'_> {
    fn error<T>(
        &self,
        at: usize,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Result<T, Located> {
        let (message, fix) = (message.into(), fix.into());
        Err(locate(self.file, self.text, at, Fault { at, message, fix }))
    }

    /// The byte at which the text of a TOML string begins, where the text stands in the file as it is.
    fn string_start(&self, span: &Range<usize>, value: &str) -> Result<usize, Located> {
        let raw = self.text.get(span.clone()).unwrap_or("");
        let quotes = raw
            .chars()
            .take_while(|c| matches!(c, '"' | '\''))
            .count()
            .min(3);
        let quotes = if quotes == 2 { 1 } else { quotes };
        let newline = usize::from(quotes == 3 && raw.get(3..4) == Some("\n"));
        let start = quotes + newline;
        match raw.get(start..start + value.len()) {
            Some(text) if text == value => Ok(span.start + start),
            _ => self.error(
                span.start,
                "a rule with escapes or carriage returns",
                "write the rule without `\\` and end lines with a line feed",
            ),
        }
    }

    fn rule(&self, text: &Spanned<String>) -> Result<Rule, Located> {
        let start = self.string_start(&text.span(), text.get_ref())?;
        match parser::parse(text.get_ref()) {
            Ok(expr) => Ok(Rule { expr, start }),
            Err(fault) => Err(locate(self.file, self.text, start + fault.at, fault)),
        }
    }

    fn filled(&self, text: Spanned<String>, what: &str) -> Result<String, Located> {
        if text.get_ref().trim().is_empty() {
            return self.error(
                text.span().start,
                format!("no {what}"),
                format!("give a {what}"),
            );
        }
        Ok(text.into_inner())
    }

    fn name(
        &self,
        text: Spanned<String>,
        allowed: fn(char) -> bool,
        fix: &str,
    ) -> Result<String, Located> {
        let name = text.get_ref();
        if name.is_empty() || name.len() > 80 || !name.chars().all(allowed) {
            return self.error(
                text.span().start,
                format!("{name:?} is not a name here"),
                fix,
            );
        }
        Ok(text.into_inner())
    }
}

impl Contract {
    /// Reads a contract file; `file` is its name for messages.
    ///
    /// # Errors
    /// [`Located`], with line, column and fix.
    pub fn parse(file: &str, text: &str) -> Result<Self, Located> {
        let reader = Reader { file, text };
        if text.len() > MAX_CONTRACT_FILE {
            return reader.error(
                MAX_CONTRACT_FILE,
                format!("a file of more than {MAX_CONTRACT_FILE} bytes"),
                "split the contract",
            );
        }
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let fix = "a contract has id, version, title, program, kind, in_force_from and [[clause]]s of id, \
                           reason, citation, text and rule";
                return reader.error(at, error.message().trim(), fix);
            }
        };
        if *raw.version.get_ref() == 0 {
            return reader.error(raw.version.span().start, "version 0", "count from 1");
        }
        let until = match raw.in_force_until {
            Some(until) if *until.get_ref() < raw.in_force_from => {
                let fix = "let it end after it begins";
                return reader.error(until.span().start, "ends before it begins", fix);
            }
            until => until.map(Spanned::into_inner),
        };
        let end = text.len();
        if raw.clause.is_empty() || raw.clause.len() > MAX_CLAUSES {
            let fix = format!("write 1 to {MAX_CLAUSES} [[clause]] tables");
            return reader.error(end, format!("{} clauses", raw.clause.len()), fix);
        }
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (mut clauses, mut ids, mut reasons) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for clause in raw.clause {
            let at = (clause.id.span().start, clause.reason.span().start);
            let rule = reader.rule(&clause.rule)?;
            let id = reader.name(
                clause.id,
                lower,
                "use lower-case letters, digits, `.` and `-`",
            )?;
            let reason = reader.name(clause.reason, upper, "use capitals, digits and `_`")?;
            if !ids.insert(id.clone()) {
                return reader.error(at.0, format!("two clauses {id:?}"), "rename one");
            }
            if !reasons.insert(reason.clone()) {
                return reader.error(
                    at.1,
                    format!("two clauses with reason {reason}"),
                    "rename one",
                );
            }
            clauses.push(ClauseText {
                id,
                reason,
                citation: reader.filled(clause.citation, "citation")?,
                text: reader.filled(clause.text, "text")?,
                rule,
                from: clause.from,
                until: clause.until,
            });
        }
        Ok(Self {
            id: reader.name(raw.id, lower, "use lower-case letters, digits, `.` and `-`")?,
            version: raw.version.into_inner(),
            title: raw.title,
            program: raw.program,
            kind: raw.kind,
            from: raw.in_force_from,
            until,
            offered: raw.offered.map(|text| reader.rule(&text)).transpose()?,
            triggers: raw.triggers,
            clauses,
            file: file.to_owned(),
            source: text.to_owned(),
        })
    }

    /// Whether the contract is in force on a day.
    pub fn in_force(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }

    /// A fault of one of its rules, placed in the file.
    pub(super) fn locate(&self, rule: &Rule, fault: Fault) -> Located {
        locate(&self.file, &self.source, rule.start + fault.at, fault)
    }
}

impl ClauseText {
    /// Whether the clause applies on a day.
    pub fn applies(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}
