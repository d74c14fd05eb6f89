//! The table: every way in which the three scenarios end.

mod corrections;
mod renewals;
mod watched;

use contracts::lifecycle::{Change, Outcome};
use profile::agency::What;

use super::script::Sight::{
    Asked, Case, Closing, Covered, Ended, Insured, Offered, Pending, Review, Taken, Told as Known,
    Uninsured,
};
use super::script::Step::{
    Dispute, Household, JobFound, JobLost, Moves, Reply, ReplyAgain, Report, Says, Texted, Told,
    Until,
};
use super::script::{Ending, Step, day};
use super::world::HERE;
use crate::demo::live::Scenario::{Loss, Move, Reinstatement};
use crate::demo::live::away;
use crate::demo::story::{AWAY, home};

fn accepted(from: &str) -> What {
    What::Accepted {
        from: day(from),
        period_end: None,
    }
}

fn closed(on: &str) -> What {
    What::Closed { on: day(on) }
}

/// A job is lost, and the owner is asked whether to apply.
/// The record says so before the text has left: until it has, the calendar must not move.
fn asked() -> Vec<Step> {
    let text = Texted("apply", 1);
    vec![JobLost, Report(Change::IncomeDown), Until(Asked(1)), text]
}

/// The owner says YES, the agency has the application, and a gap policy is offered.
fn applied() -> Vec<Step> {
    let offered = Texted("gap", 1);
    [asked(), vec![Reply("YES"), Until(Pending), offered]].concat()
}

/// As [`applied`], and the agency accepts from the first of the month.
fn covered() -> Vec<Step> {
    let accepted = Says(HERE, accepted("2026-06-01"));
    let told = Texted("accepted", 1);
    [applied(), vec![accepted, Until(Covered(home())), told]].concat()
}

/// Work is found; owner and agency are told.
fn told() -> Vec<Step> {
    let told = Told(HERE, "loss");
    let asked = Texted("change", 1);
    vec![
        JobFound,
        Report(Change::IncomeUp),
        Until(Known),
        told,
        asked,
    ]
}

fn reinstatement(name: &'static str, differs: &'static str) -> Ending {
    Ending::new(name, Reinstatement, differs)
}

fn loss(name: &'static str, differs: &'static str) -> Ending {
    Ending::new(name, Loss, differs).on(0, covered())
}

fn moving(name: &'static str, differs: &'static str) -> Ending {
    Ending::new(name, Move, differs).on(0, covered())
}

/// Every ending.
pub fn all() -> Vec<Ending> {
    [
        reinstatements(),
        losses(),
        moves(),
        watched::all(),
        renewals::all(),
        corrections::all(),
    ]
    .concat()
}

fn reinstatements() -> Vec<Ending> {
    let again = 2;
    vec![
        reinstatement(
            "reinstated",
            "nothing: filed on a YES, insured meanwhile, accepted",
        )
        .on(0, applied())
        .on(0, [Until(Offered), Reply("YES"), Until(Insured)])
        .on(
            5,
            [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
        )
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("accepted apply confirm confirm filed free_market gap gap_begins gap_ends")
            .at("agency said [accepted] told []")
            .sold("from 2026-06-21 ended 2026-06-21 billed 3575 refunded 3575"),
        reinstatement(
            "no-reply",
            "no reply, not to the reminder, and not when asked anew",
        )
        .on(0, asked())
        .on(4, [Texted("reminder", 1)])
        .on(5, [Until(Asked(again)), Texted("apply", 2)])
        .on(9, [Texted("reminder", 2)])
        .on(10, [Until(Ended(Outcome::NoReply)), Texted("gap", 1)])
        .on(16, [Until(Uninsured)])
        .ends(Outcome::NoReply, ["applying 2026-06-20", "offering 2026-06-30", "noreply 2026-07-06"])
            .texts("apply apply free_market gap"),
        reinstatement("unclear-reply", "words that are no answer, then a YES")
            .on(0, asked())
            .on(0, [Reply("who is that"), ReplyAgain(1, "my sister says")])
            .on(
                0,
                [Texted("human", 1), ReplyAgain(1, "YES"), Until(Pending), Texted("gap", 1)],
            )
            .on(
                1,
                [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
            )
            .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("apply unclear human confirm filed free_market gap accepted")
            .at("agency said [accepted] told []"),
        reinstatement(
            "late-reply",
            "a YES after the last day, which asks anew and files nothing by itself",
        )
        .on(0, asked())
        .on(5, [Until(Asked(again)), Texted("apply", 2)])
        .on(10, [Until(Ended(Outcome::NoReply)), Texted("gap", 1)])
        .on(20, [ReplyAgain(2, "YES"), Until(Case(2)), Texted("apply", 3)])
        .on(20, [Reply("YES"), Until(Pending), Texted("gap", 2)])
        .on(
            22,
            [Says(HERE, accepted("2026-07-01")), Until(Covered(home()))],
        )
        .ends(Outcome::Accepted, ["applying 2026-06-20", "offering 2026-06-30", "CA 2026-07-01"])
            .texts("apply apply free_market gap late apply confirm filed free_market gap accepted")
            .at("agency said [accepted] told []"),
        reinstatement("declined", "a NO")
            .on(0, asked())
            .on(0, [Reply("NO"), Until(Ended(Outcome::Declined))])
            .on(0, [Until(Offered), Reply("NO"), Until(Uninsured)])
            .ends(Outcome::Declined, ["declined 2026-06-20"])
            .texts("apply declined free_market gap declined"),
        reinstatement("wrong-reply", "WRONG to the question: it is not asked again")
            .on(0, asked())
            .on(0, [Reply("WRONG"), Until(Ended(Outcome::Declined))])
            .on(0, [Until(Offered), Reply("NO"), Until(Uninsured)])
            .ends(Outcome::Declined, ["declined 2026-06-20"])
            .texts("apply disputed free_market gap declined"),
        reinstatement("undone", "a YES that is taken back")
            .on(0, asked())
            .on(0, [Reply("YES"), Texted("confirm", 1), ReplyAgain(1, "NO"), Texted("undone", 1)])
            .on(0, [Until(Ended(Outcome::Declined))])
            .on(0, [Until(Offered), Reply("NO"), Until(Uninsured)])
            .ends(Outcome::Declined, ["declined 2026-06-20"])
            .texts("apply confirm undone free_market gap declined"),
        reinstatement("denied", "the agency denies, and a hearing is asked for")
            .on(0, applied())
            .on(0, [Until(Offered), Reply("YES"), Until(Insured)])
            .on(5, [Says(HERE, What::Denied), Until(Ended(Outcome::Denied))])
            .on(30, [Dispute, Told(HERE, "hearing")])
            .ends(Outcome::Denied, ["offering 2026-06-20", "gap 2026-06-21"])
            .texts("apply confirm filed free_market gap confirm gap_begins refusal")
            .at("agency said [denied] told [hearing]")
            .sold("from 2026-06-21 up to 2026-10-19"),
        reinstatement(
            "information-requested",
            "the agency asks for information, which goes on another YES",
        )
        .on(0, applied())
        .on(
            3,
            [Says(
                HERE,
                What::InfoRequested {
                    until: day("2026-07-05"),
                },
            )],
        )
        .on(3, [Until(Asked(again)), Texted("apply", 2), Reply("YES"), Until(Pending), Texted("gap", 2)])
        .on(
            6,
            [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
        )
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("apply confirm filed free_market gap needs_info apply confirm filed free_market gap accepted")
            .at("agency said [info-requested] told []")
            .at("agency said [accepted] told []"),
        reinstatement("needs-info", "a record is missing, and is found")
            .of(100, None)
            .on(0, [JobLost, Report(Change::IncomeDown)])
            .on(
                0,
                [Until(Ended(Outcome::NeedsInfo)), Texted("no_gap", 1)],
            )
            .on(4, [Household(1), Report(Change::DependentsUp)])
            .on(4, [Until(Asked(1)), Reply("YES"), Until(Pending), Texted("gap", 1)])
            .on(
                8,
                [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
            )
            .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("needs_info no_gap apply confirm filed free_market gap accepted")
            .at("agency said [accepted] told []"),
        reinstatement(
            "second-change-before-filing",
            "another change while the owner is asked: the first YES files nothing",
        )
        .on(0, asked())
        .on(
            0,
            [Report(Change::Diagnosis), Until(Case(2)), Until(Asked(1))],
        )
        .on(
            0,
            [Texted("apply", 2), ReplyAgain(1, "YES"), Texted("late", 1)],
        )
        .on(0, [Reply("YES"), Until(Pending), Texted("gap", 1)])
        .on(
            3,
            [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
        )
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("apply apply late confirm filed free_market gap accepted")
            .at("agency said [accepted] told []"),
        reinstatement(
            "second-change-after-filing",
            "a move while the agency determines waits for its answer",
        )
        .on(0, applied())
        .on(2, [Moves])
        .on(
            4,
            [
                Says(HERE, accepted("2026-06-01")),
                Until(Case(2)),
                Texted("move", 1),
            ],
        )
        .on(4, [Reply("YES"), Until(Pending)])
        .on(
            20,
            [Says(AWAY, accepted("2026-07-01")), Until(Covered(away()))],
        )
        .on(20, [Told(HERE, "covered-elsewhere")])
        .ends(Outcome::Accepted, ["CA 2026-06-01", "OR 2026-07-01"])
            .texts("covered move confirm filed accepted")
            .at("agency said [accepted] told [moved covered-elsewhere]")
            .at("agency-away said [accepted] told []"),
        reinstatement(
            "agency-silent",
            "no determination in time, nor after that; the answer counts when it comes",
        )
        .on(0, applied())
        .on(46, [Told(HERE, "overdue"), Texted("overdue", 1)])
        .on(92, [Until(Ended(Outcome::AgencySilent))])
        .on(
            100,
            [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
        )
        .ends(Outcome::AgencySilent, ["CA 2026-06-01"])
            .texts("apply confirm filed free_market gap overdue accepted")
            .at("agency said [accepted] told [overdue]"),
        reinstatement(
            "dies-while-pending",
            "the owner dies while the agency determines",
        )
        .on(0, applied())
        .on(0, [Until(Offered), Reply("YES"), Until(Insured)])
        .on(
            10,
            [Says(
                HERE,
                What::Died {
                    on: day("2026-06-28"),
                },
            )],
        )
        .on(10, [Until(Ended(Outcome::Died))])
        .on(60, [Report(Change::IncomeDown)])
        .ends(
            Outcome::Died,
            ["offering 2026-06-20", "gap 2026-06-21", "nobody 2026-06-29"],
        )
            .texts("apply confirm filed free_market gap confirm gap_begins")
            .at("agency said [died] told [died]")
            .sold("from 2026-06-21 ended 2026-06-29 billed 3575 refunded 3575"),
        reinstatement(
            "policy-runs-out",
            "denied, and the gap policy comes to its longest",
        )
        .on(0, applied())
        .on(0, [Until(Offered), Reply("YES"), Until(Insured)])
        .on(5, [Says(HERE, What::Denied), Until(Ended(Outcome::Denied))])
        .on(
            108,
            [Texted("gap", 2), Reply("YES"), Texted("gap_begins", 2)],
        )
        .on(121, [Until(Insured)])
        .ends(
            Outcome::Denied,
            [
                "offering 2026-06-20",
                "gap 2026-06-21",
                "gap 2026-10-19",
            ],
        )
            .texts("apply confirm filed free_market gap confirm gap_begins refusal free_market gap confirm gap_begins")
            .at("agency said [denied] told []")
            .sold("from 2026-06-21 up to 2026-10-19")
            .sold("from 2026-10-19 up to 2027-02-16"),
    ]
}

fn losses() -> Vec<Ending> {
    vec![
        loss(
            "lost",
            "nothing: told at once, confirmed, closed in time, insured from that day",
        )
        .on(10, told())
        .on(
            10,
            [Reply("YES"), Texted("gap", 2), Reply("YES"), Until(Taken)],
        )
        .on(13, [Says(HERE, closed("2026-09-01"))])
        .on(13, [Until(Ended(Outcome::Lost)), Until(Insured)])
        .on(80, [Texted("gap_begins", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "gap 2026-09-01"])
        .texts("covered change noted free_market gap confirm gap_begins ending")
        .at("agency said [accepted closed] told [loss]")
        .sold("from 2026-09-01 up to 2026-12-30"),
        loss("insurer-refuses", "no insurer sells to this household")
            .of(200, Some(1))
            .on(10, told())
            .on(10, [Reply("YES"), Texted("no_gap", 1)])
            .on(42, [Until(Closing), Says(HERE, closed("2026-09-01"))])
            .on(42, [Until(Ended(Outcome::Lost)), Texted("no_gap", 2)])
            .on(42, [Until(Uninsured)])
            .ends(Outcome::Lost, ["CA 2026-06-01", "refused 2026-09-01"])
            .texts("covered change noted no_gap ending no_gap")
            .at("agency said [accepted closed] told [loss]"),
        loss(
            "no-reply-to-change",
            "no reply to the news, nor to the offer",
        )
        .on(10, told())
        .on(16, [Texted("gap", 2)])
        .on(22, [Until(Uninsured)])
        .on(42, [Until(Closing), Says(HERE, closed("2026-09-01"))])
        .on(42, [Until(Ended(Outcome::Lost)), Texted("gap", 3)])
        .on(49, [Until(Uninsured)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "noreply 2026-09-01"])
        .texts("covered change free_market gap ending free_market gap")
        .at("agency said [accepted closed] told [loss]"),
        loss(
            "dispute-upheld",
            "the owner says WRONG, and a person finds so",
        )
        .on(10, told())
        .on(10, [Reply("WRONG"), Until(Review), Told(HERE, "disputed")])
        .on(20, [Says(HERE, What::Reviewed { upheld: true })])
        .on(
            20,
            [
                Until(Ended(Outcome::DisputeUpheld)),
                Told(HERE, "withdrawn"),
            ],
        )
        .ends(Outcome::DisputeUpheld, ["CA 2026-06-01"])
        .texts("covered change disputed")
        .at("agency said [accepted reviewed] told [loss disputed withdrawn]"),
        loss(
            "dispute-refuted",
            "the owner says WRONG, and a person finds otherwise",
        )
        .on(10, told())
        .on(10, [Reply("WRONG"), Until(Review), Told(HERE, "disputed")])
        .on(
            20,
            [Says(HERE, What::Reviewed { upheld: false }), Until(Closing)],
        )
        .on(
            20,
            [
                Told(HERE, "confirmed"),
                Texted("gap", 2),
                Reply("NO"),
                Until(Uninsured),
            ],
        )
        .on(
            42,
            [
                Says(HERE, closed("2026-09-01")),
                Until(Ended(Outcome::Lost)),
                Until(Uninsured),
            ],
        )
        .ends(Outcome::Lost, ["CA 2026-06-01", "declined 2026-09-01"])
        .texts("covered change disputed free_market gap declined ending")
        .at("agency said [accepted reviewed closed] told [loss disputed confirmed]"),
        loss(
            "dispute-undecided",
            "the owner says WRONG, and nobody decides in time: the change is not used",
        )
        .on(10, told())
        .on(10, [Reply("WRONG"), Until(Review)])
        .on(
            56,
            [Until(Ended(Outcome::DisputeOpen)), Told(HERE, "withdrawn")],
        )
        .ends(Outcome::DisputeOpen, ["CA 2026-06-01"])
        .texts("covered change disputed")
        .at("agency said [accepted] told [loss disputed withdrawn]"),
        loss(
            "kept",
            "the agency finds another basis and keeps the case open",
        )
        .on(10, told())
        .on(10, [Reply("YES"), Texted("gap", 2)])
        .on(12, [Says(HERE, What::Kept), Until(Ended(Outcome::Kept))])
        .ends(Outcome::Kept, ["CA 2026-06-01"])
        .texts("covered change noted free_market gap")
        .at("agency said [accepted kept] told [loss]"),
        loss(
            "job-lost-again",
            "the work is lost again before the case is closed: the notice is withdrawn",
        )
        .on(10, told())
        .on(10, [Reply("YES"), Texted("gap", 2)])
        .on(20, [JobLost, Report(Change::IncomeDown)])
        .on(
            20,
            [
                Until(Ended(Outcome::StillEligible)),
                Told(HERE, "withdrawn"),
            ],
        )
        .ends(Outcome::StillEligible, ["CA 2026-06-01"])
        .texts("covered change noted free_market gap")
        .at("agency said [accepted] told [loss withdrawn]"),
        Ending::new(
            "member-dies",
            Loss,
            "a member of the household dies, so that the income is too much for who is left",
        )
        .of(60, Some(2))
        .on(
            0,
            [
                Report(Change::DependentsUp),
                Until(Asked(1)),
                Reply("YES"),
                Until(Pending),
                Texted("gap", 1),
            ],
        )
        .on(
            0,
            [
                Says(HERE, accepted("2026-06-01")),
                Until(Covered(home())),
                Texted("accepted", 1),
            ],
        )
        .on(
            10,
            [
                Household(1),
                Report(Change::DependentsDown),
                Until(Known),
                Told(HERE, "loss"),
                Texted("change", 1),
            ],
        )
        .on(
            10,
            [Reply("YES"), Texted("gap", 2), Reply("YES"), Until(Taken)],
        )
        .on(13, [Says(HERE, closed("2026-09-01"))])
        .on(13, [Until(Ended(Outcome::Lost)), Until(Insured)])
        .on(80, [Texted("gap_begins", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "gap 2026-09-01"])
        .texts("covered change noted free_market gap confirm gap_begins ending")
        .at("agency said [accepted closed] told [loss]")
        .sold("from 2026-09-01 up to 2026-12-30"),
        loss("dies-covered", "the owner dies while the agency may close")
            .on(10, told())
            .on(10, [Reply("YES"), Texted("gap", 2)])
            .on(
                20,
                [Says(
                    HERE,
                    What::Died {
                        on: day("2026-07-08"),
                    },
                )],
            )
            .on(20, [Until(Ended(Outcome::Died))])
            .on(60, [Report(Change::IncomeDown)])
            .ends(Outcome::Died, ["CA 2026-06-01", "nobody 2026-07-09"])
            .texts("covered change noted free_market gap")
            .at("agency said [accepted died] told [loss died]"),
        loss(
            "said-dead",
            "the agency takes a death for the owner's, and takes it back",
        )
        .on(10, told())
        .on(17, [Texted("gap", 2)])
        .on(
            20,
            [
                Says(
                    HERE,
                    What::Died {
                        on: day("2026-07-08"),
                    },
                ),
                Until(Ended(Outcome::Died)),
            ],
        )
        .on(90, [Says(HERE, What::Lives), Until(Covered(home()))])
        .ends(Outcome::Died, ["CA 2026-06-01"])
        .texts("covered change free_market gap")
        .at("agency said [accepted died lives] told [loss died]"),
    ]
}

fn moves() -> Vec<Ending> {
    let asked = Texted("move", 1);
    let applied = || vec![Moves, asked.clone(), Reply("YES"), Until(Pending)];
    vec![
        moving("moved", "nothing: the new state's cover begins where the old one's ends")
            .on(10, applied())
            .on(22, [Says(AWAY, accepted("2026-07-12")), Until(Covered(away()))])
            .on(22, [Told(HERE, "covered-elsewhere")])
            .ends(Outcome::Accepted, ["CA 2026-06-01", "OR 2026-07-12"])
            .texts("covered move confirm filed accepted")
            .at("agency said [accepted] told [moved covered-elsewhere]")
            .at("agency-away said [accepted] told []"),
        moving("two-states", "both states cover: the old one closes a month after the new one began")
            .on(10, applied())
            .on(22, [Says(AWAY, accepted("2026-07-01")), Until(Covered(away()))])
            .on(22, [Told(HERE, "covered-elsewhere")])
            .on(30, [Says(HERE, closed("2026-08-01"))])
            .on(45, [])
            .ends(Outcome::Accepted, ["CA 2026-06-01", "OR 2026-07-01"])
            .texts("covered move confirm filed accepted")
            .at("agency said [accepted closed] told [moved covered-elsewhere]")
            .at("agency-away said [accepted] told []"),
        moving("old-state-closes-first", "the old state closes while the new one determines: insured between, and not a day twice")
            .on(10, applied())
            .on(12, [Says(HERE, closed("2026-07-05"))])
            .on(12, [Texted("gap", 2), Reply("YES"), Until(Insured)])
            .on(30, [Says(AWAY, accepted("2026-07-10")), Until(Covered(away()))])
            .ends(Outcome::Accepted, ["CA 2026-06-01", "gap 2026-07-05", "OR 2026-07-10"])
            .texts("covered move confirm filed ending free_market gap confirm gap_begins accepted gap_ends")
            .at("agency said [accepted closed] told [moved]")
            .at("agency-away said [accepted] told []")
            .sold("from 2026-07-05 ended 2026-07-10 billed 15124 refunded 15124"),
        moving("move-denied", "the new state denies, the old one closes: insured from that day")
            .on(10, applied())
            .on(15, [Says(AWAY, What::Denied), Until(Ended(Outcome::Denied))])
            .on(20, [Says(HERE, closed("2026-08-01"))])
            .on(20, [Until(Case(3)), Texted("apply", 2), Reply("NO"), Until(Ended(Outcome::Declined))])
            .on(20, [Texted("gap", 2), Reply("YES"), Until(Insured)])
            .ends(Outcome::Declined, ["CA 2026-06-01", "gap 2026-08-01"])
            .texts("covered move confirm filed refusal ending apply declined free_market gap confirm gap_begins")
            .at("agency said [accepted closed] told [moved]")
            .at("agency-away said [denied] told []")
            .sold("from 2026-08-01 up to 2026-11-29"),
        moving("move-no-reply", "no reply: nothing is filed, and the old state is told")
            .on(10, [Moves, Until(Asked(1))])
            .on(15, [Until(Asked(2))])
            .on(20, [Until(Ended(Outcome::NoReply)), Told(HERE, "moved")])
            .ends(Outcome::NoReply, ["CA 2026-06-01"])
            .texts("covered move move")
            .at("agency said [accepted] told [moved]"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::script::Sight;
    use super::*;
    use crate::external::double::MAX_DOUBLES;

    #[test]
    fn names_differ_and_everybody_has_a_phone() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|ending| ending.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() <= usize::from(MAX_DOUBLES));
    }

    #[test]
    fn every_script_goes_forward_and_waits_for_how_it_ends() {
        for ending in all() {
            let days: Vec<i64> = ending.script.iter().map(|(day, _)| *day).collect();
            assert!(days.is_sorted(), "{}", ending.name);
            let waits = ending.script.iter().flat_map(|(_, steps)| steps);
            let mut sights = waits.filter(|step| matches!(step, Until(_)));
            let last = sights.next_back().unwrap();
            assert!(!matches!(last, Until(Sight::Asked(_))), "{}", ending.name);
        }
    }
}
