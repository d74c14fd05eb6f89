//! How cases open and end, and what becomes of a change that comes while one is open (C10).

use super::action::{Action, Audience, Ended, Notice};
use super::case::{Case, Kind, Outcome, Phase};
use super::days::{Payer, Why};
use super::event::{Change, Matter};
use super::{ASKING_DAYS, LATE_DAYS, Run, Watched, later};
use crate::ids::Jurisdiction;

impl Run {
    pub(super) fn change(&mut self, change: Change) {
        if let Change::Moved { to } = change {
            let covered = self.state.open_cover().map(|cover| cover.jurisdiction);
            let moving = self.state.case.is_some_and(|case| case.kind == Kind::Move);
            if to == self.state.home && (covered.is_none_or(|in_force| in_force == to) || moving) {
                return;
            }
        }
        let Some(case) = self.state.case else {
            self.open(change, None);
            return;
        };
        // What was filed cannot be asked anew, and the calendar interrupts nothing.
        let with_agency = matches!(case.phase, Phase::Filing { .. } | Phase::Pending { .. });
        let calendar = matches!(
            change,
            Change::RenewalDue | Change::Engagement { .. } | Change::Closed
        );
        if with_agency || case.filed || calendar {
            self.wait(change);
            return;
        }
        let watched = matches!(change, Change::Watched { .. });
        let moved = matches!(change, Change::Moved { .. });
        match case.phase {
            // A person looks at what the records said.
            Phase::Review { .. } if !moved => return self.wait(change),
            // What was told stands with its days, unless the answer is now another.
            Phase::Respond { .. } | Phase::Closing { .. } | Phase::Showing { .. } if watched => {
                return self.check();
            }
            _ => {}
        }
        // A move, a renewal or a notice to be answered goes on, with facts of after the change; and a watch's word, which
        // nobody waits for an answer to, takes the place of none that somebody does.
        let goes_on = matches!(case.kind, Kind::Move | Kind::Renewal | Kind::Engagement);
        let next = match (goes_on || watched) && !moved {
            true => case.change,
            false => change,
        };
        self.end(Outcome::Superseded);
        let told = Some(&case).filter(|case| case.told && !moved);
        match self.kind(next) {
            Some(_) => self.open(next, told),
            None => self.open_anew(next, told),
        }
    }

    /// Which contract a change is for; none where there is nothing to do.
    fn kind(&self, change: Change) -> Option<(Kind, Jurisdiction)> {
        let home = self.state.home;
        let cover = self.state.open_cover().map(|cover| cover.jurisdiction);
        match change {
            Change::Moved { to } => Some((Kind::Move, to)),
            Change::RenewalDue => cover.map(|of| (Kind::Renewal, of)),
            Change::Engagement { .. } => cover.map(|of| (Kind::Engagement, of)),
            Change::Closed => Some((Kind::Reinstatement, home)),
            // While cover lasts, engagement is for its renewal and the agency's notice to ask about.
            Change::Watched {
                what: Watched::Engagement,
            } if cover.is_some() => None,
            _ => Some(match cover {
                Some(of) => (Kind::Loss, of),
                None => (Kind::Reinstatement, home),
            }),
        }
    }

    /// Opens a case, in which a loss is told already where that of an earlier one stands.
    pub(super) fn open(&mut self, change: Change, told: Option<&Case>) {
        let Some((kind, _)) = self.kind(change) else {
            return;
        };
        if !self.is_answered(change, kind) {
            self.open_anew(change, told);
        }
    }

    /// As [`Run::open`], whatever was answered not long ago.
    pub(super) fn open_anew(&mut self, change: Change, told: Option<&Case>) {
        // What was asked to keep cover that has ended since is now whether to apply.
        let change = match self.kind(change) {
            None if self.state.open_cover().is_none() => Change::Closed,
            _ => change,
        };
        let Some((kind, jurisdiction)) = self.kind(change) else {
            return;
        };
        self.state.cases += 1;
        // A watch's word is no reason to offer again what was not wanted.
        if !matches!(change, Change::Watched { .. }) {
            self.state.no_gap = None;
        }
        self.state.engagement_asked |= kind == Kind::Engagement;
        let case = Case {
            id: self.state.cases,
            kind,
            change,
            jurisdiction,
            opened: self.date,
            round: 0,
            checks: 0,
            checked: 0,
            told: told.is_some(),
            respond_until: told.and_then(|case| case.respond_until),
            filed: false,
            checking: false,
            phase: Phase::Asking {
                until: later(self.date, ASKING_DAYS),
            },
        };
        self.state.case = Some(case);
        if kind == Kind::Loss && self.state.is_protected(self.date) {
            self.protect();
            return;
        }
        if kind == Kind::Move {
            // Insurers sell where one lives.
            if jurisdiction != self.state.home {
                self.leave_offer();
            }
            self.state.home = jurisdiction;
        }
        self.ask();
    }

    /// Whether a watch's word opens no case: owner or agency answered not long ago, and nobody is to be asked again with every
    /// paystub. What the owner reports always opens one.
    fn is_answered(&self, change: Change, kind: Kind) -> bool {
        let answered = |last: &Ended| {
            last.kind == kind
                && self.date <= later(last.on, LATE_DAYS)
                && matches!(
                    last.outcome,
                    Outcome::Declined
                        | Outcome::Undone
                        | Outcome::NoReply
                        | Outcome::Kept
                        | Outcome::AgencySilent
                        | Outcome::DisputeUpheld
                        | Outcome::DisputeOpen
                )
        };
        matches!(change, Change::Watched { .. }) && self.state.last.as_ref().is_some_and(answered)
    }

    /// Asks the open case's question, with every fact read anew.
    pub(super) fn ask(&mut self) {
        let until = later(self.date, ASKING_DAYS);
        self.phase(Phase::Asking { until });
        self.put_question();
        // Who was never covered and asked nothing is left alone until there is something to ask them.
        let watched = |case: Case| matches!(case.change, Change::Watched { .. });
        if !self.state.case.is_some_and(watched) {
            self.applying();
        }
    }

    /// Days that nobody covers are now applied for.
    pub(super) fn applying(&mut self) {
        let last = self.state.days.spans().last().map(|span| &span.payer);
        if let Some(Payer::Nobody {
            why: Why::NotYet | Why::Unasked,
        }) = last
        {
            self.relabel(Why::Applying);
        }
    }

    /// Asks it while the case stays where it is.
    pub(super) fn check(&mut self) {
        if let Some(case) = &mut self.state.case {
            case.check();
            self.put_question();
        }
    }

    fn put_question(&mut self) {
        let contract = self.state.contract.clone();
        let Some(case) = &mut self.state.case else {
            return;
        };
        case.round = case.round.saturating_add(1);
        let (case, round, jurisdiction) = (case.id, case.round, case.jurisdiction);
        self.act(Action::Ask {
            case,
            round,
            contract,
            jurisdiction,
            audience: Audience::Agency,
        });
    }

    /// Ends the open case.
    pub(super) fn end(&mut self, outcome: Outcome) {
        let Some(case) = self.state.case else {
            return;
        };
        let open_text = match case.phase {
            Phase::Owner { .. } => Some(Matter::Apply { case: case.id }),
            Phase::Respond { text: Some(_), .. } => Some(Matter::Change { case: case.id }),
            _ => None,
        };
        // The notifier closed those that were answered or ran out.
        let left_open = matches!(
            outcome,
            Outcome::Superseded
                | Outcome::StillEligible
                | Outcome::Protected
                | Outcome::Died
                | Outcome::Accepted
                | Outcome::Denied
                | Outcome::Lost
                | Outcome::Kept
        );
        if let Some(matter) = open_text.filter(|_| left_open) {
            self.act(Action::Withdraw { matter });
        }
        // The state moved from hears of the move with the application to the new one, or when there is none.
        let silent = matches!(outcome, Outcome::Superseded | Outcome::Died);
        if case.kind == Kind::Move && !case.filed && !silent {
            self.tell_moved(case.jurisdiction);
        }
        self.ended.push((case.id, outcome));
        self.state.last = Some(Ended {
            case: case.id,
            kind: case.kind,
            change: case.change,
            jurisdiction: case.jurisdiction,
            outcome,
            on: self.date,
        });
        self.state.case = None;
    }

    /// Tells the state whose cover is in force that the owner moved away.
    pub(super) fn tell_moved(&mut self, to: Jurisdiction) {
        let old = self.state.open_cover().map(|cover| cover.jurisdiction);
        if let Some(old) = old.filter(|old| *old != to) {
            self.notify(old, Notice::Moved { to });
        }
    }

    pub(super) fn phase(&mut self, phase: Phase) {
        if let Some(case) = &mut self.state.case {
            case.phase = phase;
        }
    }

    /// The open case, if it is this one.
    pub(super) fn case(&self, id: u32) -> Option<Case> {
        self.state.case.filter(|case| case.id == id)
    }
}
