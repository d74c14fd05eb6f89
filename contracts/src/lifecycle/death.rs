//! The owner's death: everything ends, and nobody is texted. An agency that was wrong about it says so.

use super::action::{Action, Notice};
use super::case::Outcome;
use super::days::{Payer, Why};
use super::event::Event;
use super::{Ahead, Gap, Medicaid, Run, later};
use crate::ids::Jurisdiction;
use crate::units::Day;

impl Run {
    pub(super) fn died(&mut self, on: Day) {
        let on = on.min(self.date);
        let ends = later(on, 1);
        let cover = self
            .state
            .medicaid
            .filter(|cover| cover.ends.is_none_or(|day| day > ends));
        if let Some(cover) = cover {
            self.notify(cover.jurisdiction, Notice::Died { on });
        }
        let case = self.state.case.filter(|case| case.filed);
        let told = cover.map(|cover| cover.jurisdiction);
        if let Some(case) = case.filter(|case| Some(case.jurisdiction) != told) {
            self.notify(case.jurisdiction, Notice::Died { on });
        }
        self.state.before_death = self.state.medicaid;
        if let Some(cover) = &mut self.state.medicaid {
            cover.ends = Some(cover.ends.unwrap_or(ends).min(ends).max(cover.from));
        }
        self.end(Outcome::Died);
        if let Gap::Active { policy, from } = self.state.gap.clone() {
            self.act(Action::EndGap {
                policy,
                on: ends.max(from),
            });
            self.state.gap = Gap::None;
        }
        if let Some(earlier) = self.state.expiring.take().filter(|it| ends < it.until) {
            self.act(Action::EndGap {
                policy: earlier.policy,
                on: ends.max(earlier.from),
            });
        }
        if let Some(ahead) = self.state.ahead.take() {
            let Ahead { policy, from } = ahead;
            self.act(Action::EndGap { policy, on: from });
        }
        self.drop_offer();
        self.act(Action::AlertPcp { on: ends });
        self.state.days.end(ends);
        self.state.waiting.clear();
        self.state.again = None;
        self.state.renew_on = None;
        // What was due until now told the owner what does not matter any more.
        self.actions
            .retain(|action| !matches!(action, Action::Text { .. }));
        self.state.died = Some(on);
    }

    /// Of what comes later two things matter: a policy, which is void, and an agency's word that the owner lives: it says so,
    /// keeps the case open, or covers from a day after the death.
    pub(super) fn after_death(&mut self, event: &Event, died: Day) {
        match event {
            Event::GapEnrolled { policy, from, .. } => self.act(Action::EndGap {
                policy: policy.clone(),
                on: *from,
            }),
            Event::Accepted {
                jurisdiction,
                from,
                period_end,
            } if *from > died => {
                self.lives(died);
                self.accepted(*jurisdiction, *from, *period_end);
            }
            Event::Lives { jurisdiction } | Event::Kept { jurisdiction }
                if self.is_known_to(*jurisdiction) =>
            {
                self.lives(died);
                let from = self.date.max(later(died, 1));
                let payer = self.state.days.payer(from);
                if payer.is_some_and(Payer::is_nobody) {
                    self.uncover(from);
                }
            }
            _ => {}
        }
    }

    /// Whether an agency covered the owner, or had their last case.
    fn is_known_to(&self, agency: Jurisdiction) -> bool {
        let cover = self.state.before_death.map(|cover| cover.jurisdiction);
        let case = self.state.last.map(|last| last.jurisdiction);
        [cover, case].contains(&Some(agency))
    }

    /// Medicaid goes on from the day after, up to the day for which it was closed. Whatever else was open stays ended.
    fn lives(&mut self, died: Day) {
        let next = later(died, 1);
        self.state.died = None;
        let cover = self.state.before_death.take();
        // Whatever was asked to renew it has ended.
        self.state.medicaid = cover.map(|cover| Medicaid {
            renewing: false,
            ..cover
        });
        let payer = Payer::Nobody { why: Why::SaidDead };
        self.state.days.begin(payer, next);
        let goes_on = cover.filter(|cover| cover.ends.is_none_or(|ends| ends > next));
        let Some(cover) = goes_on else { return };
        let payer = Payer::Medicaid {
            jurisdiction: cover.jurisdiction,
        };
        self.state.days.begin(payer, next.max(cover.from));
        self.act(Action::AlertPcp { on: next });
        if let Some(ends) = cover.ends {
            self.uncover(ends);
        }
    }
}
