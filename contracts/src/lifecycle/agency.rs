//! What agencies say: taken as it is. Cover begins and ends on their word alone.

use super::action::{Action, Ended, Notice, Template};
use super::case::{Case, Kind, Outcome, Phase};
use super::days::{Payer, Why};
use super::event::Change;
use super::{Adverse, Ahead, CORRECTION_DAYS, Gap, Medicaid, Run, later};
use crate::calendar::{Basis, determination_deadline, hearing_request_until};
use crate::ids::Jurisdiction;
use crate::units::Day;

impl Run {
    pub(super) fn covered(&mut self, of: Jurisdiction, from: Day, period_end: Option<Day>) {
        if self.state.case.is_none() && self.state.open_cover().is_none() {
            self.state.home = of;
        }
        self.begin_cover(of, from, period_end);
    }

    pub(super) fn filed(&mut self, id: u32) {
        let Some(case) = self.case(id) else { return };
        if !matches!(case.phase, Phase::Filing { .. }) {
            return;
        }
        if case.kind == Kind::Move && !case.filed {
            self.tell_moved(case.jurisdiction);
        }
        if let Some(case) = &mut self.state.case {
            case.filed = true;
        }
        self.pending(false);
    }

    pub(super) fn pending(&mut self, overdue: bool) {
        let until = determination_deadline(self.date, Basis::Other);
        self.phase(Phase::Pending {
            until: until.unwrap_or(self.date),
            overdue,
        });
    }

    pub(super) fn not_filed(&mut self, id: u32) {
        let Some(case) = self.case(id) else { return };
        if !matches!(case.phase, Phase::Filing { .. }) {
            return;
        }
        match case.kind {
            _ if case.filed => self.pending(false),
            // There is time to show it.
            Kind::Engagement => self.not_shown(),
            Kind::Renewal => {
                self.end(Outcome::NotFiled);
                self.renew_again();
            }
            _ => self.end(Outcome::NotFiled),
        }
    }

    /// Medicaid covers from a day on: everything else ends there.
    fn begin_cover(&mut self, of: Jurisdiction, from: Day, period_end: Option<Day>) {
        let known = self.state.medicaid;
        let same = known.is_some_and(|known| known.jurisdiction == of);
        // No day is two agencies': the new one begins where a closed one ended, and after an open one began.
        let from = match known {
            Some(known) => from.max(known.ends.unwrap_or(known.from)),
            None => from,
        };
        if let Some(known) =
            known.filter(|known| !same && known.ends.is_none_or(|ends| ends > from))
        {
            self.notify(
                known.jurisdiction,
                Notice::CoveredElsewhere { by: of, from },
            );
        }
        let continues = same && known.is_some_and(|known| known.ends.is_none());
        if self.state.ahead.as_ref().is_some_and(|it| it.from < from) {
            self.begin_ahead();
        }
        if !continues {
            let last = self.state.days.spans().last().map(|span| &span.payer);
            if from > self.date
                && let Some(Payer::Nobody {
                    why: Why::Offering | Why::Applying,
                }) = last
            {
                self.relabel(Why::Accepted);
            }
            let payer = Payer::Medicaid { jurisdiction: of };
            self.state.days.begin(payer, from);
        }
        let first = known.filter(|_| continues).map_or(from, |known| known.from);
        let before = known
            .filter(|_| continues)
            .and_then(|known| known.period_end);
        let next = period_end.or(before);
        if next != before {
            // A new period: what was to be renewed is.
            let due = Change::RenewalDue;
            self.state.renew_on = None;
            self.state.waiting.retain(|change| *change != due);
            self.state.again.take_if(|(_, change)| *change == due);
        }
        self.state.medicaid = Some(Medicaid {
            jurisdiction: of,
            from: first,
            ends: None,
            period_end: next,
            renewing: next == before && known.is_some_and(|known| continues && known.renewing),
        });
        self.state.engagement = false;
        self.state.engagement_asked = false;
        self.state.no_gap = None;
        self.state.adverse.retain(|it| it.jurisdiction != of);
        if !continues {
            self.end_gap(from);
            self.act(Action::AlertPcp { on: from });
        }
    }

    pub(super) fn accepted(&mut self, of: Jurisdiction, from: Day, period_end: Option<Day>) {
        self.begin_cover(of, from, period_end);
        self.state.home = match self.state.case {
            Some(case) if case.kind == Kind::Move && case.jurisdiction != of => self.state.home,
            _ => of,
        };
        let first = self.state.medicaid.map(|cover| cover.from);
        match self.state.case {
            Some(case) if case.jurisdiction == of => {
                self.drop_offer();
                let applied = case.filed || matches!(case.phase, Phase::Filing { .. });
                let outcome = match applied || case.kind == Kind::Reinstatement {
                    true => Outcome::Accepted,
                    false => Outcome::Kept,
                };
                self.text(Template::Accepted, None, first);
                self.end(outcome);
            }
            // A case about the cover that another state now takes the place of.
            Some(case) if case.kind != Kind::Move => self.end(Outcome::Superseded),
            Some(_) => {}
            None => self.text(Template::Accepted, None, first),
        }
    }

    pub(super) fn denied(&mut self, of: Jurisdiction) {
        let with_agency = |case: &Case| {
            case.filed || matches!(case.phase, Phase::Filing { .. } | Phase::Pending { .. })
        };
        let until = hearing_request_until(self.date).ok();
        let case = self.state.case.filter(|case| case.jurisdiction == of);
        if let Some(case) = case.filter(with_agency) {
            self.text(Template::Refusal, None, until);
            self.end(Outcome::Denied);
            self.adverse(of, case.id);
        } else if let Some(last) = self.overdue(of) {
            // Later than anybody waited for.
            self.text_of(of, Template::Refusal, None, until);
            self.ended.push((last.case, Outcome::Denied));
            self.state.last = Some(Ended {
                outcome: Outcome::Denied,
                on: self.date,
                ..last
            });
            self.adverse(of, last.case);
        }
    }

    /// A hearing can be asked for about what an agency told today.
    fn adverse(&mut self, of: Jurisdiction, case: u32) {
        self.state.adverse.retain(|it| it.jurisdiction != of);
        self.state.adverse.push(Adverse {
            jurisdiction: of,
            told: self.date,
            case,
        });
    }

    /// An application that an agency was silent about for so long that its case has ended.
    fn overdue(&self, of: Jurisdiction) -> Option<Ended> {
        let last = self.state.last.filter(|last| last.jurisdiction == of)?;
        let applied = !matches!(last.kind, Kind::Loss | Kind::Engagement);
        (applied && last.outcome == Outcome::AgencySilent).then_some(last)
    }

    /// The owner is told, and facts are read anew, to go to the agency when the owner says YES.
    pub(super) fn info_requested(&mut self, of: Jurisdiction, until: Day) {
        let case = self.state.case.filter(|case| case.jurisdiction == of);
        let covers = self
            .state
            .open_cover()
            .is_some_and(|it| it.jurisdiction == of);
        let overdue = self.overdue(of).filter(|_| self.state.case.is_none());
        if until < self.date || (case.is_none() && !covers && overdue.is_none()) {
            return;
        }
        self.text_of(of, Template::NeedsInfo, None, Some(until));
        match (case.map(|case| case.phase), overdue) {
            (Some(Phase::Pending { .. }), _) => self.ask(),
            (Some(Phase::Respond { .. } | Phase::Closing { .. } | Phase::Showing { .. }), _) => {
                self.check()
            }
            (None, Some(last)) => {
                self.open_anew(last.change, None);
                if let Some(case) = &mut self.state.case {
                    case.filed = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn kept(&mut self, of: Jurisdiction) {
        let case = self.state.case.filter(|case| case.jurisdiction == of);
        if let Some(cover) = self.ended_cover(of) {
            // It had said otherwise, and the days since are covered after all.
            let first = self.reopen(cover);
            self.text(Template::Accepted, None, Some(first));
            if case.is_some_and(|case| case.kind == Kind::Reinstatement) {
                self.end(Outcome::Kept);
            }
            return;
        }
        let Some(case) = case else { return };
        let losing = match case.phase {
            Phase::Respond { .. }
            | Phase::Review { .. }
            | Phase::Closing { .. }
            | Phase::Showing { .. } => true,
            // Whatever was being done to keep cover, it is kept.
            _ => case.kind == Kind::Engagement,
        };
        if losing {
            self.drop_offer();
            self.state.engagement = false;
            self.state.engagement_asked = false;
            self.end(Outcome::Kept);
        }
    }

    /// Cover that this agency has said ends, or ended not long ago.
    fn ended_cover(&self, of: Jurisdiction) -> Option<Medicaid> {
        self.state.medicaid.filter(|cover| {
            let may_correct = |ends| self.date <= later(ends, CORRECTION_DAYS);
            cover.jurisdiction == of && cover.ends.is_some_and(may_correct)
        })
    }

    /// Cover goes on from the day on which it was to end, which is returned.
    fn reopen(&mut self, cover: Medicaid) -> Day {
        let ends = cover.ends.unwrap_or(self.date);
        let renew_on = self.state.renew_on;
        self.begin_cover(cover.jurisdiction, ends, cover.period_end);
        self.state.renew_on = renew_on;
        if let Some(medicaid) = &mut self.state.medicaid {
            medicaid.from = cover.from;
            medicaid.renewing = cover.renewing;
        }
        ends
    }

    pub(super) fn closed(&mut self, of: Jurisdiction, on: Day) {
        if let Some(cover) = self.ended_cover(of)
            && let Some(ends) = cover.ends
        {
            self.closed_again(cover, ends, on.max(cover.from));
            return;
        }
        let Some(cover) = self.state.open_cover().copied() else {
            return;
        };
        if cover.jurisdiction == of {
            let expected = self.state.case.is_some();
            self.close(cover, on.max(cover.from));
            if !expected {
                self.open(Change::Closed, None);
            }
        }
    }

    /// An agency names another day than it had named before.
    fn closed_again(&mut self, cover: Medicaid, before: Day, on: Day) {
        if on > before {
            // What was bought from that day or a later one stays so.
            let bought = self.take_bought(on);
            let (engagement, asked) = (self.state.engagement, self.state.engagement_asked);
            let no_gap = self.state.no_gap;
            self.reopen(cover);
            self.state.engagement = engagement;
            self.state.engagement_asked = asked;
            self.state.no_gap = no_gap;
            if let Some(bought) = bought {
                self.state.gap = bought;
            }
            self.close(cover, on);
        } else if on < before && before <= self.date {
            // Over already: whoever covered since does still.
            let why = Why::TakenBack;
            self.state.days.replace(Payer::Nobody { why }, on, before);
            self.say_closed(cover, on);
        } else if on < before && self.state.expiring.is_none() {
            // What begins where cover was to end does so still, and the days before it are wanted too.
            if let Gap::Active { policy, from } = self.state.gap.clone() {
                self.state.gap = Gap::Bought { policy, from };
            }
            self.close(cover, on);
        }
    }

    /// Takes a policy away that has not begun and would on this day or later, and what is offered for the days before it.
    fn take_bought(&mut self, on: Day) -> Option<Gap> {
        let date = self.date;
        if let Some(Ahead { policy, from }) = self.state.ahead.take_if(|it| it.from >= on) {
            self.drop_offer();
            return Some(Gap::Bought { policy, from });
        }
        match self.state.gap.clone() {
            Gap::Active { policy, from } if from >= on && from > date => {
                self.state.gap = Gap::None;
                Some(Gap::Bought { policy, from })
            }
            _ => None,
        }
    }

    /// The owner is told of the day, and can ask for a hearing.
    fn say_closed(&mut self, cover: Medicaid, on: Day) {
        self.state.medicaid = Some(Medicaid {
            ends: Some(on),
            ..cover
        });
        // Without a case, one is opened now.
        let next = self.state.cases.saturating_add(1);
        let case = self.state.case.map_or(next, |case| case.id);
        self.adverse(cover.jurisdiction, case);
        self.text(Template::Ending, None, Some(on));
        self.act(Action::AlertPcp { on });
    }

    fn close(&mut self, cover: Medicaid, on: Day) {
        let of = cover.jurisdiction;
        self.say_closed(cover, on);
        self.state.engagement |= self.state.engagement_asked;
        // Somebody who did not answer an offer, or whom nobody would insure so far ahead, is asked again now that it is certain.
        self.state.no_gap.take_if(|why| *why != Why::Declined);
        self.uncover(on);
        match self.state.case {
            // Moving, or renewing with a form that is out: the case goes on, to begin cover again.
            Some(case) if case.jurisdiction != of || case.filed => {}
            Some(case) if matches!(case.phase, Phase::Owner { .. } | Phase::Filing { .. }) => {}
            Some(case) if case.kind == Kind::Reinstatement => {}
            // What is being asked is now whether to apply.
            Some(case) if case.is_asking() => {
                self.end(Outcome::Superseded);
                self.open(Change::Closed, None);
            }
            Some(_) => self.end(Outcome::Lost),
            None => {}
        }
    }

    /// The agency did not determine in time: it is told once, then the case ends; its answer counts whenever it comes.
    pub(super) fn pending_passed(&mut self, overdue: bool) {
        if overdue {
            self.end(Outcome::AgencySilent);
            return;
        }
        if let Some(case) = self.state.case {
            self.notify(case.jurisdiction, Notice::Overdue);
            self.text(Template::Overdue, None, None);
        }
        self.pending(true);
    }
}
