//! Gap cover: quoted when cover may end, offered after what is free, bought on a YES alone, ended when Medicaid accepts.
//!
//! A YES buys at once, from the day on which cover was expected to end: the price and the place are the owner's from then on.
//! Until that day the policy binds nobody, and it is void if Medicaid goes on.

use serde::{Deserialize, Serialize};

use super::action::{Action, FreeOption, Template};
use super::case::Phase;
use super::days::{Payer, Why};
use super::event::{Matter, Reply};
use super::loss::NOTICE_DAYS;
use super::{INSURER_DAYS, OWNER_DAYS, PLANS, QUOTE_DAYS, RESPOND_DAYS, Run, later};
use crate::units::Day;

/// The furthest day from today on which cover may end for a change that is told today.
const FURTHEST: i64 = RESPOND_DAYS + NOTICE_DAYS + 31;

/// Where gap cover stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "gap")]
pub enum Gap {
    /// Nothing is offered or in force.
    None,
    /// An insurer is asked.
    Quoting {
        /// The offer.
        offer: u32,
        /// Which plan in the ranking.
        attempt: u8,
        /// First day that cover is wanted for.
        from: Day,
        /// Last day for an answer.
        until: Day,
    },
    /// A policy is written; it binds nobody until the owner says YES.
    Quoted {
        /// The offer.
        offer: u32,
        /// Which plan in the ranking.
        attempt: u8,
        /// First day that cover is wanted for.
        from: Day,
        /// The insurer's reference.
        quote: String,
    },
    /// A text asks the owner.
    Offered {
        /// The offer.
        offer: u32,
        /// Which plan in the ranking.
        attempt: u8,
        /// First day that cover is wanted for.
        from: Day,
        /// The insurer's reference.
        quote: String,
        /// Last day for a reply.
        until: Day,
    },
    /// The insurer enrols.
    Enrolling {
        /// The offer.
        offer: u32,
        /// Which plan in the ranking.
        attempt: u8,
        /// First day to be covered.
        from: Day,
        /// Last day for an answer.
        until: Day,
    },
    /// Bought from a day ahead, on which Medicaid is expected to cover no more; void unless it does not.
    Bought {
        /// The insurer's reference.
        policy: String,
        /// First day to be covered.
        from: Day,
    },
    /// In force until ended.
    Active {
        /// The insurer's reference.
        policy: String,
        /// First covered day.
        from: Day,
    },
}

/// A policy in force whose last day is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// The insurer's reference.
    pub policy: String,
    /// First covered day.
    pub from: Day,
    /// First day that it does not cover.
    pub until: Day,
    /// Whether the insurer is still to be told that day, because the policy would go on past it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_end: bool,
}

/// A policy that was bought from a day on which Medicaid was expected to end, and Medicaid ends earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// The insurer's reference.
    pub policy: String,
    /// First day to be covered.
    pub from: Day,
}

impl Gap {
    /// The name, as in its JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quoting { .. } => "quoting",
            Self::Quoted { .. } => "quoted",
            Self::Offered { .. } => "offered",
            Self::Enrolling { .. } => "enrolling",
            Self::Bought { .. } => "bought",
            Self::Active { .. } => "active",
        }
    }

    /// Whether an insurer or the owner is to answer.
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Quoting { .. }
                | Self::Quoted { .. }
                | Self::Offered { .. }
                | Self::Enrolling { .. }
        )
    }

    /// The last day of what is waited for.
    pub(super) fn until(&self) -> Option<Day> {
        match self {
            Self::Quoting { until, .. }
            | Self::Offered { until, .. }
            | Self::Enrolling { until, .. } => Some(*until),
            _ => None,
        }
    }
}

impl Run {
    /// What exists without buying anything.
    pub(super) fn free_options(&self) -> Vec<FreeOption> {
        let mut free = vec![
            FreeOption::RetroactiveMonths,
            FreeOption::PresumptiveEligibility,
            FreeOption::EmergencyMedicaid,
            FreeOption::Chip,
        ];
        if !self.state.engagement && !self.state.engagement_asked {
            free.push(FreeOption::MarketplaceEnrolment);
        }
        free
    }

    /// Has a policy quoted, unless one is on its way or in force; later, where no insurer may sell it yet.
    pub(super) fn quote(&mut self, from: Day) {
        let set = self.state.quote_on.is_some_and(|(_, it)| it == from);
        if set || self.state.gap != Gap::None {
            return;
        }
        let far = from > later(self.date, FURTHEST);
        self.state.quote_on = far.then(|| (later(from, -QUOTE_DAYS), from));
        if far {
            return;
        }
        self.state.offers += 1;
        self.state.no_gap = None;
        self.ask_insurer(self.state.offers, 1, from);
    }

    /// The day has come on which insurers can be asked, if cover is still about to end.
    pub(super) fn quote_due(&mut self) {
        if let Some((_, from)) = self.state.quote_on.take()
            && self.state.case.is_some_and(|case| case.told)
            && self.state.open_cover().is_some()
        {
            self.quote(from.max(self.date));
        }
    }

    fn ask_insurer(&mut self, offer: u32, attempt: u8, from: Day) {
        let jurisdiction = self.state.home;
        self.act(Action::Quote {
            offer,
            attempt,
            jurisdiction,
            from,
        });
        self.state.gap = Gap::Quoting {
            offer,
            attempt,
            from,
            until: later(self.date, INSURER_DAYS),
        };
    }

    pub(super) fn quoted(&mut self, id: u32, quote: &str) {
        if let Gap::Quoting {
            offer,
            attempt,
            from,
            ..
        } = self.state.gap
            && offer == id
        {
            self.state.gap = Gap::Quoted {
                offer,
                attempt,
                from,
                quote: quote.to_owned(),
            };
        }
    }

    pub(super) fn insurer_refused(&mut self, id: u32) {
        let (Gap::Quoting {
            offer,
            attempt,
            from,
            ..
        }
        | Gap::Enrolling {
            offer,
            attempt,
            from,
            ..
        }) = self.state.gap
        else {
            return;
        };
        if offer != id {
            return;
        }
        if attempt >= PLANS {
            self.no_gap(Why::Refused);
            if self.state.ahead.is_none() {
                self.text(Template::NoGap, None, None);
            }
            return;
        }
        // A new number: what was asked under the old one may still be answered.
        self.state.offers += 1;
        self.ask_insurer(self.state.offers, attempt + 1, from.max(self.date));
    }

    /// From when gap cover is wanted: the first day that is nobody's, today at the earliest; while Medicaid covers, the first on
    /// which it may not.
    fn first_uncovered(&self) -> Day {
        match self.state.days.spans().last() {
            Some(last) if last.payer.is_nobody() => last.from.max(self.date),
            _ if self.state.open_cover().is_some() => self.expected_end(self.date),
            _ => self.date,
        }
    }

    /// The first day that Medicaid does not cover, as far as its agency has said; none while that is open. What an insurer says
    /// late began all the same.
    fn free_from(&self) -> Option<Day> {
        match self.state.medicaid {
            Some(cover) => cover.ends,
            None => self.state.days.spans().first().map(|first| first.from),
        }
    }

    /// Offers what is written as soon as no other decision is before the owner.
    pub(super) fn offer(&mut self) {
        let Gap::Quoted {
            offer,
            attempt,
            from,
            quote,
        } = self.state.gap.clone()
        else {
            return;
        };
        let free = match self.state.case.map(|case| case.phase) {
            None => true,
            Some(Phase::Respond { text, .. }) => text.is_none(),
            Some(Phase::Pending { .. } | Phase::Closing { .. }) => true,
            Some(_) => false,
        };
        if free {
            let until = later(self.date, OWNER_DAYS);
            self.text(Template::Gap, Some(Matter::Gap { offer }), Some(until));
            self.state.gap = Gap::Offered {
                offer,
                attempt,
                from,
                quote,
                until,
            };
        }
    }

    /// Takes an offer back because another decision comes before the owner. A decision is asked about once, so what is wanted
    /// after that is quoted anew.
    pub(super) fn unoffer(&mut self) {
        if matches!(self.state.gap, Gap::Offered { .. }) {
            self.drop_offer();
        }
    }

    /// What is not bought yet is not to be bought for now; a YES stands until the agency has accepted.
    pub(super) fn leave_offer(&mut self) {
        self.state.quote_on = None;
        if self.state.gap.is_open() && !matches!(self.state.gap, Gap::Enrolling { .. }) {
            self.drop_offer();
        }
    }

    /// No gap cover is needed; a policy in force ends otherwise, in [`Run::end_gap`].
    pub(super) fn drop_offer(&mut self) {
        self.state.quote_on = None;
        match self.state.gap.clone() {
            Gap::Active { .. } => return,
            Gap::Offered { offer, .. } => self.act(Action::Withdraw {
                matter: Matter::Gap { offer },
            }),
            Gap::Bought { policy, from } => self.end_policy(policy, from),
            // Bought by a YES all the same: void when the insurer answers.
            Gap::Enrolling { .. } => self.gap_ends = true,
            _ => {}
        }
        self.state.gap = Gap::None;
    }

    /// Ends a policy because Medicaid covers; the owner, who bought it, is told.
    fn end_policy(&mut self, policy: String, on: Day) {
        self.act(Action::EndGap { policy, on });
        self.gap_ends = true;
    }

    /// Tells of it, after what else the same step has to tell.
    pub(super) fn tell_gap_ends(&mut self) {
        if std::mem::take(&mut self.gap_ends) {
            self.text(Template::GapEnds, None, None);
        }
    }

    pub(super) fn offer_replied(&mut self, id: u32, reply: Reply) {
        let Gap::Offered {
            offer,
            attempt,
            from,
            quote,
            ..
        } = self.state.gap.clone()
        else {
            return;
        };
        if offer != id {
            return;
        }
        match reply {
            Reply::Yes if self.state.open_cover().is_some() => {
                self.enrol(offer, attempt, quote, from.max(self.date));
            }
            Reply::Yes => {
                // Days have gone by, and with them perhaps the first one of the policy: where it cannot be had any more, the same
                // plan is quoted anew.
                let wanted = self.first_uncovered();
                let attempt = attempt - u8::from(wanted > from);
                self.enrol(offer, attempt, quote, wanted);
            }
            Reply::No | Reply::Undo => self.no_gap(Why::Declined),
            Reply::Closed => self.no_gap(Why::NoReply),
            Reply::Unclear => {}
        }
    }

    fn enrol(&mut self, offer: u32, attempt: u8, quote: String, from: Day) {
        let until = self.state.ahead.as_ref().map(|ahead| ahead.from);
        self.act(Action::Enrol {
            offer,
            quote,
            from,
            until,
        });
        self.state.gap = Gap::Enrolling {
            offer,
            attempt,
            from,
            until: later(self.date, INSURER_DAYS),
        };
    }

    pub(super) fn enrolled(&mut self, id: u32, policy: &str, begins: Day) {
        let policy = policy.to_owned();
        match self.state.gap {
            Gap::Enrolling { offer, from, .. } if offer == id => {
                let (wanted, from) = (from, from.max(begins));
                if let Some(ahead) = self.state.ahead.take() {
                    self.bridge(policy, from, ahead);
                    return;
                }
                self.state.gap = Gap::Bought { policy, from };
                if let Some(on) = self.free_from() {
                    self.begin_bought(on, wanted);
                }
                if self.state.gap != Gap::None || self.state.ahead.is_some() {
                    self.text(Template::GapBegins, None, Some(from));
                }
            }
            // It came too late to be wanted: void from its first day.
            _ => self.act(Action::EndGap { policy, on: begins }),
        }
    }

    /// Covers the days before the policy that was bought ahead, and ends where that begins.
    fn bridge(&mut self, policy: String, from: Day, ahead: Ahead) {
        if from >= ahead.from {
            self.act(Action::EndGap { policy, on: from });
            self.state.ahead = Some(ahead);
            self.no_gap(Why::Refused);
            return;
        }
        let payer = |policy: &String| Payer::Gap {
            policy: policy.clone(),
        };
        self.state.days.begin(payer(&policy), from);
        self.state.days.begin(payer(&ahead.policy), ahead.from);
        self.state.expiring = Some(Expiring {
            policy,
            from,
            until: ahead.from,
            to_end: true,
        });
        self.state.gap = Gap::Active {
            policy: ahead.policy,
            from: ahead.from,
        };
        self.act(Action::AlertPcp { on: from });
        self.text(Template::GapBegins, None, Some(from));
    }

    /// The day of the policy that was bought ahead has come: what was asked about the days before it is past.
    pub(super) fn begin_ahead(&mut self) {
        let Some(Ahead { policy, from }) = self.state.ahead.take() else {
            return;
        };
        if let Gap::Offered { offer, .. } = self.state.gap {
            let matter = Matter::Gap { offer };
            self.act(Action::Withdraw { matter });
        }
        self.begin_policy(policy, from);
    }

    /// A policy that was bought is in force from a day on.
    fn begin_policy(&mut self, policy: String, from: Day) {
        let payer = Payer::Gap {
            policy: policy.clone(),
        };
        self.state.days.begin(payer, from);
        self.state.gap = Gap::Active { policy, from };
        self.act(Action::AlertPcp { on: from });
    }

    /// Medicaid covers no more from a day on: what was bought begins, on that day or later. Beginning earlier it would cover a
    /// day twice: it is void, and one is asked for from that day. Where it was wanted for a later day it stays bought, and another
    /// is looked for to cover the days before it.
    fn begin_bought(&mut self, on: Day, wanted: Day) {
        let Gap::Bought { policy, from } = self.state.gap.clone() else {
            return;
        };
        if from < on {
            self.act(Action::EndGap { policy, on: from });
            self.state.gap = Gap::None;
            return;
        }
        if wanted > self.first_uncovered() {
            self.state.ahead = Some(Ahead { policy, from });
            self.state.gap = Gap::None;
            self.state.no_gap = None;
            return;
        }
        self.begin_policy(policy, from);
    }

    /// A policy ends by itself, today or on a day ahead: cover is looked for from that day on.
    pub(super) fn lapsed(&mut self, ended: &str, on: Day) {
        match self.state.gap.clone() {
            Gap::Active { policy, from } if policy == ended => {
                let until = on.max(from);
                self.state.gap = Gap::None;
                if self.state.expiring.as_ref().is_some_and(|it| it.to_end) {
                    self.end_expiring();
                }
                self.state.expiring = Some(Expiring {
                    policy,
                    from,
                    until,
                    to_end: false,
                });
                self.act(Action::AlertPcp { on: until });
                self.uncover(until);
            }
            // Before it began: nothing is to begin any more.
            Gap::Bought { policy, .. } if policy == ended => self.drop_offer(),
            _ => {
                self.state.ahead.take_if(|ahead| ahead.policy == ended);
                if let Some(expiring) = &mut self.state.expiring
                    && expiring.policy == ended
                    && on < expiring.until
                {
                    let (from, to) = (on.max(expiring.from), expiring.until);
                    expiring.until = from;
                    expiring.to_end = false;
                    let why = Why::Refused;
                    self.state.days.replace(Payer::Nobody { why }, from, to);
                    self.act(Action::AlertPcp { on: from });
                }
            }
        }
    }

    /// Ends a policy the day before others cover, and not sooner: an end cannot be changed.
    pub(super) fn end_expiring(&mut self) {
        if let Some(expiring) = &mut self.state.expiring {
            expiring.to_end = false;
            let (policy, on) = (expiring.policy.clone(), expiring.until);
            self.act(Action::EndGap { policy, on });
        }
    }

    /// A policy that has come to its last day needs no end.
    pub(super) fn forget_expired(&mut self) {
        let date = self.date;
        self.state.expiring.take_if(|it| it.until <= date);
    }

    /// Medicaid covers from a day on: a policy in force ends there, and one not yet in force is not wanted.
    pub(super) fn end_gap(&mut self, from: Day) {
        if let Some(earlier) = self.state.expiring.take_if(|it| from < it.until) {
            self.end_policy(earlier.policy, from.max(earlier.from));
        }
        if let Gap::Active {
            policy,
            from: begins,
        } = self.state.gap.clone()
        {
            self.state.gap = Gap::None;
            if begins < from && later(self.date, 1) < from && self.state.expiring.is_none() {
                self.state.expiring = Some(Expiring {
                    policy,
                    from: begins,
                    until: from,
                    to_end: true,
                });
                self.gap_ends = true;
            } else {
                self.end_policy(policy, from.max(begins));
            }
        }
        if let Some(ahead) = self.state.ahead.take() {
            self.end_policy(ahead.policy, ahead.from);
        }
        self.drop_offer();
    }

    /// Medicaid or a policy covers no more from a day on: what was bought begins, and else it is said why nobody covers.
    pub(super) fn uncover(&mut self, on: Day) {
        // What is offered from a later day is looked for anew from this one.
        if let Gap::Quoting { from, .. } | Gap::Quoted { from, .. } | Gap::Offered { from, .. } =
            self.state.gap
            && from > on.max(self.date)
        {
            self.drop_offer();
            self.state.no_gap = None;
        }
        let why = match self.state.gap {
            Gap::None => self.state.no_gap.unwrap_or(Why::Unasked),
            _ => Why::Offering,
        };
        self.state.days.begin(Payer::Nobody { why }, on);
        if let Gap::Bought { from, .. } = self.state.gap {
            self.begin_bought(on, from);
        }
    }

    pub(super) fn no_gap(&mut self, why: Why) {
        match self.state.gap {
            // The insurer refused.
            Gap::Enrolling { .. } => self.state.gap = Gap::None,
            _ => self.drop_offer(),
        }
        self.state.no_gap = Some(why);
        self.relabel(why);
    }

    /// Says why nobody covers from now on, or from a day ahead.
    pub(super) fn relabel(&mut self, why: Why) {
        if let Some(last) = self.state.days.spans().last()
            && let Payer::Nobody { why: was } = last.payer
            && last.to.is_none()
        {
            let from = match was {
                Why::Unasked => last.from,
                _ => last.from.max(self.date),
            };
            self.state.days.begin(Payer::Nobody { why }, from);
        }
    }

    /// Sees to it that no day is nobody's for want of an offer.
    pub(super) fn mind_the_gap(&mut self) {
        let Some(last) = self.state.days.spans().last() else {
            return;
        };
        let Payer::Nobody { why } = last.payer else {
            return;
        };
        let asking = matches!(
            self.state.case.map(|case| case.phase),
            Some(Phase::Asking { .. } | Phase::Owner { .. } | Phase::Filing { .. })
        );
        match (self.state.gap == Gap::None, self.state.no_gap) {
            _ if why == Why::NotYet => {}
            (true, _) if asking => {
                if why == Why::Unasked {
                    self.relabel(Why::Applying);
                }
            }
            (true, Some(failed)) => {
                if why != failed {
                    self.relabel(failed);
                }
            }
            (true, None) => {
                self.quote(self.first_uncovered());
                self.relabel(Why::Offering);
            }
            (false, _) => {
                if why == Why::Unasked || why == Why::Applying {
                    self.relabel(Why::Offering);
                }
            }
        }
    }
}
