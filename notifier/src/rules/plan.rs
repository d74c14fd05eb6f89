//! What is to be done with a text that is due: a function of what is known and of the time.

use crate::conversation::decision::{Decision, State};
use crate::phone::Phone;
use crate::rules::hours::Hours;
use crate::text::Template;
use crate::text::template::Kind;

/// Seconds in the day that the cap counts.
pub const DAY: i64 = 86_400;

/// What a caller configured.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// When unasked texts may go.
    pub hours: Hours,
    /// Unasked texts a phone gets in 24 hours.
    pub daily_cap: i64,
    /// Answers a phone gets in 24 hours, so that two machines do not text each other for ever.
    pub answer_cap: i64,
}

/// A text that is due, and what bears on it.
#[derive(Debug)]
pub struct Due<'a> {
    /// What it says.
    pub template: Template,
    /// Where it goes.
    pub phone: &'a Phone,
    /// Whether the phone asked for no more texts.
    pub blocked: bool,
    /// Whether the contact was suspended since.
    pub suspended: bool,
    /// State of the jurisdiction it names.
    pub jurisdiction: Option<&'a str>,
    /// The decision it belongs to.
    pub decision: Option<&'a Decision>,
    /// Texts of the same sort (unasked, or answers) that went to the phone in the 24 hours before.
    pub lately: i64,
    /// When the first of those went.
    pub lately_since: Option<i64>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Hand it over.
    Send,
    /// Look again at that time.
    Wait(i64),
    /// It would tell what is no longer so.
    Stale,
    /// The phone wants no texts.
    Blocked,
    /// The number is not the person's.
    Suspended,
}

/// Decides.
pub fn plan(due: &Due<'_>, limits: &Limits, now: i64) -> Plan {
    if due.blocked && due.template.kind() != Kind::Command {
        return Plan::Blocked;
    }
    if due.suspended && due.template.kind() != Kind::Command {
        return Plan::Suspended;
    }
    if due
        .decision
        .is_some_and(|decision| is_stale(due.template, decision, now))
    {
        return Plan::Stale;
    }
    if !due.template.is_unasked() {
        // A STOP is always confirmed; there is one confirmation per STOP, and a blocked phone gets nothing else.
        let over = due.lately >= limits.answer_cap && due.template.kind() != Kind::Command;
        return if over { Plan::Stale } else { Plan::Send };
    }
    if due.lately >= limits.daily_cap {
        return Plan::Wait(
            due.lately_since
                .unwrap_or(now)
                .saturating_add(DAY)
                .max(now + 1),
        );
    }
    match limits.hours.next(due.phone, due.jurisdiction, now) {
        time if time <= now => Plan::Send,
        time => Plan::Wait(time),
    }
}

fn is_stale(template: Template, decision: &Decision, now: i64) -> bool {
    match template {
        Template::Confirm => !matches!(decision.state, State::Yes { .. }),
        template
            if template.asks() || matches!(template, Template::Reminder | Template::Verify) =>
        {
            now > decision.deadline || decision.state != State::Open
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::code::Code;

    const NOW: i64 = 1_796_040_000; // 10:00 UTC, night in California

    fn limits(from: i8, until: i8) -> Limits {
        Limits {
            hours: Hours::new(from, until).unwrap(),
            daily_cap: 3,
            answer_cap: 20,
        }
    }

    fn due<'a>(template: Template, phone: &'a Phone, decision: Option<&'a Decision>) -> Due<'a> {
        Due {
            template,
            phone,
            blocked: false,
            suspended: false,
            jurisdiction: Some("CA"),
            decision,
            lately: 0,
            lately_since: None,
        }
    }

    #[test]
    fn unasked_texts_wait_for_the_hours_and_the_cap_and_answers_do_not() {
        let phone = Phone::parse("+14155550132").unwrap();
        let day = limits(9, 20);
        assert!(matches!(
            plan(&due(Template::Filed, &phone, None), &day, NOW),
            Plan::Wait(_)
        ));
        for template in [
            Template::Confirm,
            Template::Help,
            Template::Stopped,
            Template::Verify,
        ] {
            assert_eq!(plan(&due(template, &phone, None), &day, NOW), Plan::Send);
        }
        let full = |template| Due {
            lately: 3,
            lately_since: Some(NOW - 100),
            ..due(template, &phone, None)
        };
        assert_eq!(
            plan(&full(Template::Filed), &limits(0, 24), NOW),
            Plan::Wait(NOW - 100 + DAY)
        );
        assert_eq!(
            plan(&full(Template::Declined), &limits(0, 24), NOW),
            Plan::Send
        );
        let echo = |template| Due {
            lately: 20,
            lately_since: Some(NOW - 100),
            ..due(template, &phone, None)
        };
        assert_eq!(
            plan(&echo(Template::Unclear), &limits(0, 24), NOW),
            Plan::Stale,
            "two machines texting each other"
        );
        assert_eq!(
            plan(&echo(Template::Stopped), &limits(0, 24), NOW),
            Plan::Send
        );
    }

    #[test]
    fn a_blocked_or_suspended_phone_gets_answers_to_commands_alone() {
        let phone = Phone::parse("+14155550132").unwrap();
        for template in Template::ALL {
            let command = template.kind() == Kind::Command;
            let blocked = Due {
                blocked: true,
                ..due(*template, &phone, None)
            };
            assert_eq!(
                plan(&blocked, &limits(0, 24), NOW) == Plan::Send,
                command,
                "{}",
                template.name()
            );
            let suspended = Due {
                suspended: true,
                ..due(*template, &phone, None)
            };
            assert_eq!(
                plan(&suspended, &limits(0, 24), NOW) == Plan::Send,
                command,
                "{}",
                template.name()
            );
        }
    }

    #[test]
    fn what_is_no_longer_so_is_not_told() {
        let phone = Phone::parse("+14155550132").unwrap();
        let decision = Decision::new(Template::Apply, Code::parse("K7").unwrap(), NOW + 10, 60);
        let ask = |decision: &Decision, template, now| {
            plan(&due(template, &phone, Some(decision)), &limits(0, 24), now)
        };
        assert_eq!(ask(&decision, Template::Apply, NOW), Plan::Send);
        assert_eq!(ask(&decision, Template::Apply, NOW + 11), Plan::Stale);
        assert_eq!(ask(&decision, Template::Confirm, NOW), Plan::Stale);
        let answered = Decision {
            state: State::Yes {
                replied_at: NOW,
                undo_until: None,
            },
            ..decision
        };
        assert_eq!(ask(&answered, Template::Reminder, NOW), Plan::Stale);
        assert_eq!(ask(&answered, Template::Confirm, NOW + 100), Plan::Send);
    }
}
