//! The owner's death: everything ends, and nobody is texted.

use super::action::{Action, Notice};
use super::case::Outcome;
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
        self.drop_offer();
        self.act(Action::AlertPcp { on: ends });
        self.state.days.end(ends);
        self.state.waiting.clear();
        self.state.again = None;
        self.state.died = Some(on);
    }

    /// Of what comes later only a policy matters: it is void.
    pub(super) fn after_death(&mut self, event: &Event) {
        if let Event::GapEnrolled { policy, from, .. } = event {
            self.act(Action::EndGap {
                policy: policy.clone(),
                on: *from,
            });
        }
    }
}
