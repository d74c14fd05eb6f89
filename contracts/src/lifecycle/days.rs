//! The coverage ledger: whose every day is.

use serde::{Deserialize, Serialize};

use crate::ids::Jurisdiction;
use crate::units::Day;

/// Why nobody covers a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing covered the owner when the profile began.
    NotYet,
    /// An application is being made; the agency may cover these days in retrospect.
    Applying,
    /// A gap policy is being quoted, offered or enrolled in.
    Offering,
    /// The owner did not want one.
    Declined,
    /// The owner did not reply to an offer.
    NoReply,
    /// No insurer would.
    Refused,
    /// Medicaid has accepted, from a later day.
    Accepted,
    /// The agency took them back when they were over.
    TakenBack,
    /// An agency had said that the owner had died.
    SaidDead,
    /// Nobody asked. Never the case after a step: these days could have been covered.
    Unasked,
}

/// Who covers a day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "payer")]
pub enum Payer {
    /// A state's agency.
    Medicaid {
        /// Which.
        jurisdiction: Jurisdiction,
    },
    /// A gap policy.
    Gap {
        /// The insurer's reference.
        policy: String,
    },
    /// Nobody.
    Nobody {
        /// Why.
        why: Why,
    },
}

impl Payer {
    /// Whether it is nobody.
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody { .. })
    }
}

/// Days of one payer: from the first, up to but not including the last, or open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Whose.
    #[serde(flatten)]
    pub payer: Payer,
    /// First day.
    pub from: Day,
    /// First day after it, once known.
    pub to: Option<Day>,
}

impl Span {
    fn holds(&self, day: Day) -> bool {
        self.from <= day && self.to.is_none_or(|to| day < to)
    }
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unbalanced {
    /// A span that ends before it begins, or is empty.
    #[error("coverage from {from}: ends before it begins")]
    Empty {
        /// Its first day.
        from: Day,
    },
    /// Two payers for one day, or a day that is nobody's without a reason.
    #[error("coverage from {from}: does not begin where the days before end")]
    Seam {
        /// The first day of the later span.
        from: Day,
    },
    /// Days that could have been covered.
    #[error("coverage from {from}: nobody offered cover for these days")]
    Avoidable {
        /// The first such day.
        from: Day,
    },
}

/// Days counted up to a day that is not counted itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// All days since the first.
    pub days: i64,
    /// Covered by Medicaid.
    pub medicaid: i64,
    /// Covered by a gap policy.
    pub gap: i64,
    /// Covered by nobody, for a reason that the record names.
    pub nobody: i64,
}

/// The coverage ledger of one person. Spans stand in order and each begins where the one before ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days(Vec<Span>);

impl Days {
    /// The spans, in order.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Who covers a day; none before the first day and after death.
    pub fn payer(&self, day: Day) -> Option<&Payer> {
        self.0
            .iter()
            .find(|span| span.holds(day))
            .map(|span| &span.payer)
    }

    /// From `from` on all days are this payer's, whatever was written there before.
    pub(super) fn begin(&mut self, payer: Payer, from: Day) {
        self.end(from);
        // What ended earlier leaves days in between to nobody, which only a step that forgot to say why could do.
        if let Some(to) = self.0.last().and_then(|span| span.to)
            && to < from
        {
            self.0.push(Span {
                payer: Payer::Nobody { why: Why::Unasked },
                from: to,
                to: Some(from),
            });
        }
        match self.0.last_mut() {
            Some(last) if last.payer == payer => last.to = None,
            _ => self.0.push(Span {
                payer,
                from,
                to: None,
            }),
        }
    }

    /// The days from `from` up to `to` are this payer's, and those after as they were.
    pub(super) fn replace(&mut self, payer: Payer, from: Day, to: Day) {
        let after: Vec<Span> = self
            .0
            .iter()
            .filter(|span| span.to.is_none_or(|end| end > to))
            .map(|span| Span {
                from: span.from.max(to),
                ..span.clone()
            })
            .collect();
        self.begin(payer, from);
        for span in after {
            self.begin(span.payer, span.from);
            if let Some(end) = span.to {
                self.end(end);
            }
        }
    }

    /// No day from `on` on is anybody's.
    pub(super) fn end(&mut self, on: Day) {
        self.0.retain(|span| span.from < on);
        if let Some(last) = self.0.last_mut()
            && last.to.is_none_or(|to| to > on)
        {
            last.to = Some(on);
        }
    }

    /// Checks that no day has two payers, that each has one or a reason, and counts them up to `until`.
    ///
    /// # Errors
    /// [`Unbalanced`], naming the first day.
    pub fn balance(&self, until: Day) -> Result<Balance, Unbalanced> {
        let mut balance = Balance::default();
        let mut next: Option<Option<Day>> = None;
        for span in &self.0 {
            let from = span.from;
            if span.to.is_some_and(|to| to <= from) {
                return Err(Unbalanced::Empty { from });
            }
            if next.is_some_and(|next| next != Some(from)) {
                return Err(Unbalanced::Seam { from });
            }
            next = Some(span.to);
            let end = span.to.map_or(until, |to| to.min(until));
            let days = (end.number() - from.number()).max(0);
            balance.days += days;
            match span.payer {
                Payer::Medicaid { .. } => balance.medicaid += days,
                Payer::Gap { .. } => balance.gap += days,
                Payer::Nobody { why: Why::Unasked } if days > 0 => {
                    return Err(Unbalanced::Avoidable { from });
                }
                Payer::Nobody { .. } => balance.nobody += days,
            }
        }
        Ok(balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn medicaid(state: &str) -> Payer {
        Payer::Medicaid {
            jurisdiction: state.parse().unwrap(),
        }
    }

    fn gap() -> Payer {
        Payer::Gap {
            policy: "p".to_owned(),
        }
    }

    #[test]
    fn a_payer_begins_where_the_other_ends_also_in_retrospect() {
        let mut days = Days::default();
        days.begin(medicaid("CA"), day("2026-01-01"));
        days.begin(gap(), day("2026-03-01"));
        days.begin(medicaid("CA"), day("2026-03-11"));
        let balance = days.balance(day("2026-03-21")).unwrap();
        assert_eq!((balance.medicaid, balance.gap, balance.days), (69, 10, 79));
        // Accepted from before the policy began: the policy is void.
        days.begin(medicaid("CA"), day("2026-02-01"));
        assert_eq!(days.spans().len(), 1);
        assert_eq!(days.balance(day("2026-03-21")).unwrap().medicaid, 79);
    }

    #[test]
    fn every_fault_is_found() {
        let span = |payer, from: &str, to: Option<&str>| Span {
            payer,
            from: day(from),
            to: to.map(day),
        };
        let until = day("2026-12-01");
        let double = Days(vec![
            span(medicaid("CA"), "2026-01-01", Some("2026-02-02")),
            span(gap(), "2026-02-01", None),
        ]);
        let from = day("2026-02-01");
        assert_eq!(double.balance(until), Err(Unbalanced::Seam { from }));
        let open = Days(vec![
            span(medicaid("CA"), "2026-01-01", None),
            span(gap(), "2026-02-01", None),
        ]);
        assert_eq!(open.balance(until), Err(Unbalanced::Seam { from }));
        let uncovered = Days(vec![
            span(medicaid("CA"), "2026-01-01", Some("2026-01-31")),
            span(gap(), "2026-02-01", None),
        ]);
        assert_eq!(uncovered.balance(until), Err(Unbalanced::Seam { from }));
        let empty = Days(vec![span(gap(), "2026-02-01", Some("2026-02-01"))]);
        assert_eq!(empty.balance(until), Err(Unbalanced::Empty { from }));
        let mut forgotten = Days::default();
        forgotten.begin(medicaid("CA"), day("2026-01-01"));
        forgotten.end(from);
        forgotten.begin(gap(), day("2026-02-03"));
        assert_eq!(
            forgotten.balance(until),
            Err(Unbalanced::Avoidable { from })
        );
    }
}
