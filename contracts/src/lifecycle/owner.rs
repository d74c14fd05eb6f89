//! Questions decided, and what the owner says to them.

use super::action::{Action, Notice, Template};
use super::case::{Case, Kind, Outcome, Phase};
use super::event::{Change, Finding, Matter, Reply};
use super::{FILING_DAYS, LATE_DAYS, OWNER_DAYS, ROUNDS, Run, UNCLEAR, later};

impl Run {
    pub(super) fn answered(&mut self, id: u32, finding: Finding) {
        let Some(case) = self.case(id) else { return };
        if !matches!(case.phase, Phase::Asking { .. }) {
            if case.checking {
                self.checked(finding);
            }
            return;
        }
        let watched = matches!(case.change, Change::Watched { .. });
        match (case.kind, finding) {
            (Kind::Loss, _) => self.loss_answered(finding),
            (Kind::Engagement, Finding::No | Finding::NeedsInfo) => self.not_shown(),
            (_, Finding::Yes) => {
                if case.told {
                    self.withdraw_loss();
                    self.leave_offer();
                }
                self.ask_owner();
            }
            // An application that the agency holds is the agency's to decide.
            (_, Finding::No | Finding::NeedsInfo) if case.filed => {
                self.text(Template::NeedsInfo, None, None);
                self.pending(false);
            }
            (Kind::Renewal, Finding::No) if self.state.is_protected(self.date) => self.protect(),
            (Kind::Renewal, Finding::No) => self.tell_loss(),
            (Kind::Renewal, Finding::NeedsInfo) if case.told => self.told_stands(),
            // Who asked nothing is told nothing: their cover is as it was.
            (_, Finding::No) => {
                if !watched {
                    self.text(Template::NotEligible, None, None);
                }
                self.end(Outcome::NotEligible);
            }
            (kind, Finding::NeedsInfo) => {
                if !watched {
                    self.text(Template::NeedsInfo, None, None);
                }
                self.end(Outcome::NeedsInfo);
                if kind == Kind::Renewal {
                    self.renew_again();
                }
            }
        }
    }

    /// The question was asked again beside what the case waits for: only a YES makes a difference.
    fn checked(&mut self, finding: Finding) {
        let Some(case) = &mut self.state.case else {
            return;
        };
        case.checked = case.checked.saturating_add(1);
        if finding != Finding::Yes {
            return;
        }
        case.checking = false;
        let case = *case;
        self.withdraw_loss();
        if case.kind == Kind::Loss {
            self.drop_offer();
            self.end(Outcome::StillEligible);
            return;
        }
        self.leave_offer();
        if case.phase.has_open_text() {
            let matter = Matter::Change { case: case.id };
            self.act(Action::Withdraw { matter });
        }
        self.ask_owner();
    }

    /// A loss that was told is none any more.
    pub(super) fn withdraw_loss(&mut self) {
        if let Some(case) = &mut self.state.case
            && std::mem::take(&mut case.told)
        {
            let jurisdiction = case.jurisdiction;
            self.notify(jurisdiction, Notice::Withdrawn);
        }
    }

    /// Asks whether to file. One decision is open at a time, so an offer of gap cover waits.
    fn ask_owner(&mut self) {
        let Some(case) = self.state.case else { return };
        self.unoffer();
        self.applying();
        let until = later(self.date, OWNER_DAYS);
        let template = match case.kind {
            Kind::Move => Template::Move,
            Kind::Renewal | Kind::Engagement => Template::Renew,
            Kind::Loss | Kind::Reinstatement => Template::Apply,
        };
        let asks = Matter::Apply { case: case.id };
        self.text(template, Some(asks), Some(until));
        self.phase(Phase::Owner { until, unclear: 0 });
    }

    pub(super) fn replied(&mut self, matter: Matter, reply: Reply) {
        match matter {
            Matter::Apply { case } => match self.case(case) {
                Some(open) => self.apply_replied(open, reply),
                None => self.late(case, reply),
            },
            Matter::Change { case } => self.change_replied(case, reply),
            Matter::Gap { offer } => self.offer_replied(offer, reply),
        }
    }

    fn apply_replied(&mut self, Case { phase, filed, .. }: Case, reply: Reply) {
        match (phase, reply) {
            (Phase::Owner { .. }, Reply::Yes) => self.file(),
            // The agency holds the application, and decides with what it has.
            (Phase::Owner { .. }, Reply::No | Reply::Undo) if filed => self.pending(false),
            (Phase::Owner { .. }, Reply::No) => self.end(Outcome::Declined),
            (Phase::Owner { .. }, Reply::Undo) => self.end(Outcome::Undone),
            (Phase::Owner { .. }, Reply::Closed) => self.no_reply(),
            (Phase::Owner { until, unclear }, Reply::Unclear) => {
                let unclear = unclear.saturating_add(1);
                if unclear == UNCLEAR {
                    self.text(Template::Human, None, None);
                }
                self.phase(Phase::Owner { until, unclear });
            }
            (Phase::Filing { .. }, Reply::Undo) => {
                self.withdraw_application();
                self.end(Outcome::Undone);
            }
            (Phase::Pending { .. }, Reply::Undo) => {
                if let Some(case) = self.state.case {
                    self.notify(case.jurisdiction, Notice::ApplicationWithdrawn);
                }
                self.end(Outcome::Undone);
            }
            _ => {}
        }
    }

    fn withdraw_application(&mut self) {
        if let Some(case) = self.state.case {
            let matter = Matter::Apply { case: case.id };
            self.act(Action::Withdraw { matter });
            if case.filed {
                self.notify(case.jurisdiction, Notice::ApplicationWithdrawn);
            }
        }
    }

    /// The only place from which anything is filed.
    fn file(&mut self) {
        let Some(case) = self.state.case else { return };
        self.act(Action::File {
            case: case.id,
            round: case.round,
            jurisdiction: case.jurisdiction,
        });
        self.phase(Phase::Filing {
            until: later(self.date, FILING_DAYS),
        });
    }

    /// No answer came to a text: asks again with fresh facts, then ends.
    pub(super) fn no_reply(&mut self) {
        match self.state.case {
            Some(case) if case.filed => self.pending(false),
            Some(case) if case.round - case.checks < ROUNDS => self.ask(),
            // There is time to show it.
            Some(case) if case.kind == Kind::Engagement => self.not_shown(),
            Some(case) => {
                self.end(Outcome::NoReply);
                if case.kind == Kind::Renewal {
                    self.renew_once_more();
                }
            }
            None => {}
        }
    }

    /// A YES after the case ended without one: its token is old, so the question is asked anew.
    fn late(&mut self, case: u32, reply: Reply) {
        let Some(last) = self.state.last else { return };
        let in_time = self.date <= later(last.on, LATE_DAYS);
        if last.case == case
            && last.outcome == Outcome::NoReply
            && reply == Reply::Yes
            && in_time
            && self.state.case.is_none()
        {
            self.open_anew(last.change, None);
        }
    }
}
