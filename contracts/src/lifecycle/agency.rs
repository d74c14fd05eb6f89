//! What agencies say: taken as it is. Cover begins and ends on their word alone.

use super::action::{Action, Notice, Template};
use super::case::{Kind, Outcome, Phase};
use super::days::Payer;
use super::event::Change;
use super::{Medicaid, Run};
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
        match case.filed {
            true => self.pending(false),
            false => self.end(Outcome::NotFiled),
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
        if !continues {
            let payer = Payer::Medicaid { jurisdiction: of };
            self.state.days.begin(payer, from);
        }
        let first = known.filter(|_| continues).map_or(from, |known| known.from);
        let before = known
            .filter(|_| continues)
            .and_then(|known| known.period_end);
        let next = period_end.max(before);
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
        let Some(case) = self.state.case.filter(|case| case.jurisdiction == of) else {
            return;
        };
        let with_agency = matches!(case.phase, Phase::Filing { .. } | Phase::Pending { .. });
        if case.filed || with_agency {
            self.text(
                Template::Refusal,
                None,
                hearing_request_until(self.date).ok(),
            );
            self.end(Outcome::Denied);
        }
    }

    /// Facts are read anew, and go to the agency when the owner says YES.
    pub(super) fn info_requested(&mut self, of: Jurisdiction, until: Day) {
        let Some(case) = self.state.case.filter(|case| case.jurisdiction == of) else {
            return;
        };
        if matches!(case.phase, Phase::Pending { .. }) && until >= self.date {
            self.text(Template::NeedsInfo, None, Some(until));
            self.ask();
        }
    }

    pub(super) fn kept(&mut self, of: Jurisdiction) {
        let Some(case) = self.state.case.filter(|case| case.jurisdiction == of) else {
            return;
        };
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

    pub(super) fn closed(&mut self, of: Jurisdiction, on: Day) {
        let Some(cover) = self.state.open_cover().copied() else {
            return;
        };
        if cover.jurisdiction != of {
            return;
        }
        let on = on.max(cover.from);
        let engagement = self.state.engagement_asked;
        self.state.medicaid = Some(Medicaid {
            ends: Some(on),
            ..cover
        });
        self.state.engagement |= engagement;
        self.text(Template::Ending, None, Some(on));
        self.act(Action::AlertPcp { on });
        self.uncover(on);
        match self.state.case {
            // Moving, or renewing with a form that is out: the case goes on, to begin cover again.
            Some(case) if case.jurisdiction != of || case.filed => {}
            Some(case) if matches!(case.phase, Phase::Owner { .. } | Phase::Filing { .. }) => {}
            Some(case) if case.kind == Kind::Reinstatement => {}
            Some(case) if case.told || case.kind == Kind::Engagement => self.end(Outcome::Lost),
            // A renewal that is still being asked, or a change not yet told: what is asked is now whether to apply.
            Some(_) => {
                self.end(Outcome::Superseded);
                self.open(Change::Closed, false);
            }
            None => self.open(Change::Closed, false),
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
