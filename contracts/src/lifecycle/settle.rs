//! Deadlines: what happens when nothing does.

use super::action::{Action, Template};
use super::case::{Kind, Outcome, Phase};
use super::event::Change;
use super::{AGAIN_DAYS, CLOSING_DAYS, Gap, Run, WAITING, later};
use crate::calendar::{RenewalPlan, noncompliance, renewal_plan};
use crate::units::Day;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The open case's phase is over.
    Case,
    /// A text about a change was not answered.
    Text,
    /// An insurer or the owner did not answer about an offer.
    Offer,
    /// A policy that was bought ahead would begin.
    Bought,
    /// The renewal is to begin.
    Renewal,
    /// The policy that was bought ahead begins.
    Ahead,
    /// A policy ends tomorrow, where others cover.
    Expiring,
    /// Insurers are to be asked.
    Quote,
    /// A change is to be looked at again.
    Again,
    /// A renewal is to be tried again.
    RenewAgain,
}

/// More deadlines than one step can have; each takes one away and sets others in the future.
const MOST: usize = 4_096;

impl Run {
    /// Does what was due, in the order of the days.
    pub(super) fn settle(&mut self) {
        for _ in 0..MOST {
            let Some((day, due)) = self.next_due().filter(|(day, _)| *day <= self.until) else {
                return;
            };
            self.date = self.date.max(day);
            self.pass(due);
            self.tidy();
        }
    }

    fn plan(&self) -> Option<RenewalPlan> {
        let cover = self.state.open_cover()?;
        renewal_plan(cover.period_end?).ok()
    }

    fn next_due(&self) -> Option<(Day, Due)> {
        if self.state.died.is_some() {
            return None;
        }
        let case = self.state.case.map(|case| case.phase);
        let text = match case {
            Some(Phase::Respond { text, .. }) => text,
            _ => None,
        };
        let renewing = self.state.open_cover().is_some_and(|cover| cover.renewing);
        let renewal = self.plan().filter(|_| !renewing);
        let bought = match self.state.gap {
            Gap::Bought { from, .. } => Some(from),
            _ => None,
        };
        let expiring = self.state.expiring.as_ref().filter(|it| it.to_end);
        let mut all = [
            case.map(|phase| (later(phase.until(), 1), Due::Case)),
            text.map(|until| (later(until, 1), Due::Text)),
            self.state
                .gap
                .until()
                .map(|until| (later(until, 1), Due::Offer)),
            bought.map(|from| (from, Due::Bought)),
            renewal.map(|plan| (plan.ex_parte_from, Due::Renewal)),
            self.state.ahead.as_ref().map(|it| (it.from, Due::Ahead)),
            expiring.map(|it| (later(it.until, -1), Due::Expiring)),
            self.state.quote_on.map(|(day, _)| (day, Due::Quote)),
            self.state.again.map(|(day, _)| (day, Due::Again)),
            self.state.renew_on.map(|day| (day, Due::RenewAgain)),
        ];
        all.sort_by_key(|due| due.map_or((true, None), |due| (false, Some(due))));
        all.into_iter().next().flatten()
    }

    fn pass(&mut self, due: Due) {
        match due {
            Due::Case => self.case_passed(),
            Due::Text => {
                if let Some(Phase::Respond { until, .. }) = self.state.case.map(|case| case.phase) {
                    self.phase(Phase::Respond { until, text: None });
                }
            }
            Due::Offer => match self.state.gap {
                Gap::Quoting { offer, .. } | Gap::Enrolling { offer, .. } => {
                    self.insurer_refused(offer);
                }
                Gap::Offered { .. } => self.no_gap(super::Why::NoReply),
                _ => {}
            },
            // Medicaid covers the day from which a policy was bought: it is void, and one is asked for again when the agency names
            // its last day.
            Due::Bought => self.drop_offer(),
            Due::Ahead => self.begin_ahead(),
            Due::Expiring => self.end_expiring(),
            Due::Quote => self.quote_due(),
            Due::Renewal => {
                if let Some(cover) = &mut self.state.medicaid {
                    cover.renewing = true;
                }
                self.change(Change::RenewalDue);
            }
            Due::Again => {
                if let Some((_, change)) = self.state.again.take() {
                    self.change(change);
                }
            }
            Due::RenewAgain => {
                self.state.renew_on = None;
                if self.state.open_cover().is_some_and(|cover| cover.renewing) {
                    self.change(Change::RenewalDue);
                }
            }
        }
    }

    fn case_passed(&mut self) {
        let Some(case) = self.state.case else { return };
        match case.phase {
            Phase::Asking { .. } if case.filed => self.pending(false),
            Phase::Asking { .. } if case.kind == Kind::Engagement => self.not_shown(),
            Phase::Asking { .. } if case.told => self.told_stands(),
            Phase::Asking { .. } => {
                self.end(Outcome::Unanswered);
                if case.kind == Kind::Renewal {
                    self.renew_again();
                }
            }
            Phase::Owner { .. } => self.no_reply(),
            Phase::Filing { .. } => {
                if !case.filed {
                    self.text(Template::NotFiled, None, None);
                }
                self.not_filed(case.id);
            }
            Phase::Pending { overdue, .. } => self.pending_passed(overdue),
            Phase::Respond { .. } => self.closing(CLOSING_DAYS),
            Phase::Review { .. } => self.dispute_ends(Outcome::DisputeOpen),
            Phase::Showing { .. } => match case.change {
                Change::Engagement { sent } => self.engagement_closing(sent),
                _ => self.end(Outcome::NeedsInfo),
            },
            Phase::Closing { .. } => {
                self.drop_offer();
                self.state.engagement &= self.state.open_cover().is_none();
                self.end(Outcome::AgencySilent);
            }
        }
    }

    /// A renewal that came to nothing for want of facts or of an answer is tried again while the form can be returned.
    pub(super) fn renew_again(&mut self) {
        let next = later(self.date, AGAIN_DAYS);
        if self.plan().is_some_and(|plan| next <= plan.answer_until) {
            self.state.renew_on = Some(next);
        }
    }

    /// A renewal that nobody replied to is asked about once more before the form's last day.
    pub(super) fn renew_once_more(&mut self) {
        let next = self
            .plan()
            .map(|plan| later(plan.answer_until, -AGAIN_DAYS));
        self.state.renew_on = next.filter(|next| *next > self.date);
    }

    pub(super) fn wait(&mut self, change: Change) {
        if self.state.waiting.contains(&change) || self.state.waiting.len() >= WAITING {
            return;
        }
        self.state.waiting.push(change);
        if let Change::Engagement { sent } = change {
            // The days to show it do not wait.
            self.state.engagement_asked = true;
            let until = noncompliance(sent).map_or(sent, |days| days.showing_until);
            self.text(Template::Show, None, Some(until));
        }
    }

    /// What follows from where things stand: changes that waited, days that nobody covers, an offer that can be made.
    fn tidy(&mut self) {
        if self.state.died.is_some() {
            return;
        }
        self.tell_gap_ends();
        self.forget_expired();
        while self.state.case.is_none() && !self.state.waiting.is_empty() {
            let change = self.state.waiting.remove(0);
            self.change(change);
        }
        self.mind_the_gap();
        self.offer();
    }

    pub(super) fn finish(&mut self) {
        self.tidy();
        let timer = self.next_due().map(|(day, _)| day);
        if timer != self.state.timer {
            self.state.timer = timer;
            if let Some(on) = timer {
                self.act(Action::Timer { on });
            }
        }
    }
}
