//! Loss (C7) and community engagement (C6): told to owner and agency at once, open to dispute, gap cover written beside it.

use super::action::{Action, Notice, Template};
use super::case::{Kind, Outcome, Phase};
use super::event::{Change, Finding, Matter, Reply};
use super::{Adverse, CLOSING_DAYS, OWNER_DAYS, RESPOND_DAYS, REVIEW_DAYS, Run, later};
use crate::calendar::{hearing_request_until, month_end, noncompliance};
use crate::units::Day;

/// Days between an agency's notice and its action (42 CFR 431.211).
pub(super) const NOTICE_DAYS: i64 = 10;

impl Run {
    pub(super) fn loss_answered(&mut self, finding: Finding) {
        let Some(case) = self.state.case else { return };
        match finding {
            Finding::Yes => {
                if case.told {
                    self.notify(case.jurisdiction, Notice::Withdrawn);
                }
                self.drop_offer();
                self.end(Outcome::StillEligible);
            }
            Finding::No => self.tell_loss(),
            // What the agency was told stands until something else is known.
            Finding::NeedsInfo if case.told => self.told_stands(),
            Finding::NeedsInfo => {
                // Who asked nothing is told nothing: cover goes on.
                if !matches!(case.change, Change::Watched { .. }) {
                    self.text(Template::NeedsInfo, None, None);
                }
                self.end(Outcome::NeedsInfo);
            }
        }
    }

    /// The first day on which cover may have ended, if all goes its legal way.
    pub(super) fn expected_end(&self, told: Day) -> Day {
        let action = later(told, RESPOND_DAYS + NOTICE_DAYS);
        later(month_end(action).unwrap_or(action), 1)
    }

    /// Tells owner and agency, and has gap cover quoted from the day on which cover may end.
    pub(super) fn tell_loss(&mut self) {
        let until = later(self.date, RESPOND_DAYS);
        let reply_by = later(self.date, OWNER_DAYS);
        self.unoffer();
        let Some(case) = &mut self.state.case else {
            return;
        };
        case.told = true;
        case.respond_until = Some(until);
        case.phase = Phase::Respond {
            until,
            text: Some(reply_by),
        };
        let case = *case;
        let asks = Matter::Change { case: case.id };
        self.text(Template::Change, Some(asks), Some(reply_by));
        let notice = Notice::Loss {
            dispute_until: until,
        };
        self.notify(case.jurisdiction, notice);
        // A renewal is asked about long before the period ends, up to which cover goes on.
        let period_end = match case.kind {
            Kind::Renewal => self.state.open_cover().and_then(|cover| cover.period_end),
            _ => None,
        };
        let over = period_end.map(|day| later(day, 1));
        let ends = self.expected_end(self.date);
        self.quote(over.map_or(ends, |over| over.max(ends)));
    }

    /// What was told stands: open to dispute until the day that the agency was told, and then for the agency to act on.
    pub(super) fn told_stands(&mut self) {
        let Some(case) = self.state.case else { return };
        match case.respond_until.filter(|until| *until >= self.date) {
            Some(until) => self.phase(Phase::Respond { until, text: None }),
            None => self.closing(CLOSING_DAYS),
        }
    }

    pub(super) fn change_replied(&mut self, id: u32, reply: Reply) {
        let Some(case) = self.case(id) else { return };
        let Phase::Respond {
            until,
            text: Some(_),
        } = case.phase
        else {
            return;
        };
        match reply {
            Reply::No => {
                self.phase(Phase::Respond { until, text: None });
                self.disputed(id);
            }
            Reply::Yes | Reply::Undo | Reply::Closed => {
                self.phase(Phase::Respond { until, text: None });
            }
            Reply::Unclear => {}
        }
    }

    pub(super) fn disputed(&mut self, id: u32) {
        if let Some(case) = self.case(id) {
            match case.phase {
                Phase::Respond { text, .. } => {
                    if text.is_some() {
                        let matter = Matter::Change { case: id };
                        self.act(Action::Withdraw { matter });
                    }
                    self.review();
                    return;
                }
                // What is being asked anew still counts if it is a YES.
                Phase::Asking { .. } if case.told => {
                    if let Some(case) = &mut self.state.case {
                        case.check();
                    }
                    self.review();
                    return;
                }
                // Too late to hold the notice back; not too late for a hearing.
                Phase::Closing { .. } => {
                    self.notify(case.jurisdiction, Notice::Hearing);
                    return;
                }
                _ => {}
            }
        }
        if !(1..=self.state.cases).contains(&id) {
            return;
        }
        let date = self.date;
        let in_time =
            |it: &Adverse| hearing_request_until(it.told).is_ok_and(|until| date <= until);
        self.state.adverse.retain(in_time);
        // What was decided in that case; else the latest.
        let of_case = self.state.adverse.iter().position(|it| it.case == id);
        let latest = self.state.adverse.len().checked_sub(1);
        if let Some(at) = of_case.or(latest) {
            let adverse = self.state.adverse.remove(at);
            self.notify(adverse.jurisdiction, Notice::Hearing);
        }
    }

    /// A person looks at what the owner disputes.
    fn review(&mut self) {
        let Some(case) = self.state.case else { return };
        self.notify(case.jurisdiction, Notice::Disputed);
        self.phase(Phase::Review {
            until: later(self.date, REVIEW_DAYS),
        });
    }

    pub(super) fn reviewed(&mut self, id: u32, upheld: bool) {
        let Some(case) = self.case(id) else { return };
        if !matches!(case.phase, Phase::Review { .. }) {
            return;
        }
        if upheld {
            self.dispute_ends(Outcome::DisputeUpheld);
        } else {
            self.notify(case.jurisdiction, Notice::Confirmed);
            self.closing(CLOSING_DAYS);
            // What changed meanwhile may make it another answer.
            if !self.state.waiting.is_empty() {
                self.check();
            }
        }
    }

    /// The change is not used.
    pub(super) fn dispute_ends(&mut self, outcome: Outcome) {
        if let Some(case) = self.state.case {
            self.notify(case.jurisdiction, Notice::Withdrawn);
        }
        self.drop_offer();
        self.end(outcome);
    }

    /// Nothing may be ended for a change up to a day, as was said last: what was told is withdrawn, and it is looked at again
    /// after that day.
    pub(super) fn protected(&mut self, until: Day) {
        self.state.protected = Some(until);
        let losing = self.state.case.is_some_and(|case| case.told);
        if losing && self.state.is_protected(self.date) {
            self.protect();
        }
    }

    /// Ends the open case because nothing may be ended yet.
    pub(super) fn protect(&mut self) {
        let (Some(case), Some(until)) = (self.state.case, self.state.protected) else {
            return;
        };
        if case.told {
            self.withdraw_loss();
            self.drop_offer();
        }
        let after = later(until, 1);
        match case.kind {
            Kind::Renewal => self.state.renew_on = Some(after),
            _ => self.state.again = Some((after, case.change)),
        }
        self.end(Outcome::Protected);
    }

    pub(super) fn closing(&mut self, days: i64) {
        self.phase(Phase::Closing {
            until: later(self.date, days),
        });
    }

    /// Engagement is not shown by what is on record: the owner has time to show it or an exclusion; cover goes on.
    pub(super) fn not_shown(&mut self) {
        let Some(case) = self.state.case else { return };
        let Change::Engagement { sent } = case.change else {
            self.end(Outcome::NeedsInfo);
            return;
        };
        if self.state.open_cover().is_none() {
            self.end(Outcome::Lost);
            return;
        }
        let until = noncompliance(sent).map_or(sent, |days| days.showing_until);
        if until < self.date {
            self.engagement_closing(sent);
            return;
        }
        self.text(Template::Show, None, Some(until));
        self.phase(Phase::Showing { until });
    }

    /// The time to show it is over: the agency may close, and gap cover is quoted.
    pub(super) fn engagement_closing(&mut self, sent: Day) {
        let closed_by = noncompliance(sent).map_or(sent, |days| days.closed_by);
        self.text(Template::Ending, None, Some(closed_by));
        self.phase(Phase::Closing {
            until: later(closed_by.max(self.date), NOTICE_DAYS),
        });
        self.state.engagement = true;
        self.quote(later(closed_by, 1));
    }
}
