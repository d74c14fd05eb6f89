//! The owner's death: everything ends, and nobody is texted. An agency that was wrong about it
//! says so by covering again.

use super::action::{Action, Notice};
use super::case::Outcome;
use super::days::{Payer, Why};
use super::event::Event;
use super::{Gap, Run, later};
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
        self.drop_offer();
        self.act(Action::AlertPcp { on: ends });
        self.state.days.end(ends);
        self.state.waiting.clear();
        self.state.again = None;
        self.state.died = Some(on);
    }

    /// Of what comes later two things matter: a policy, which is void, and an agency whose word is that the owner lives. It
    /// covers from a day after the death, or keeps the case that the death had ended.
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
            Event::Kept { jurisdiction } => {
                let ends = later(died, 1);
                let ended = self.state.medicaid.filter(|cover| {
                    cover.jurisdiction == *jurisdiction && cover.ends == Some(ends)
                });
                if let Some(cover) = ended {
                    self.lives(died);
                    self.begin_cover(*jurisdiction, ends, cover.period_end);
                }
            }
            _ => {}
        }
    }

    /// The days since are nobody's until it is said whose.
    fn lives(&mut self, died: Day) {
        self.state.died = None;
        let payer = Payer::Nobody { why: Why::SaidDead };
        self.state.days.begin(payer, later(died, 1));
    }
}
