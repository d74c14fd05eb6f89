//! Cover that has to be kept up: a certification period comes to its end, or community engagement is to be shown.

use contracts::lifecycle::{Change, Outcome};
use profile::agency::What;

use super::{applied, closed, covered, loss};
use crate::demo::live::Scenario::Loss;
use crate::demo::story::home;
use crate::lifecycle::script::Sight::{Asked, Case, Covered, Ended, Insured, Pending, Taken};
use crate::lifecycle::script::Step::{JobFound, Reply, Report, Says, Texted, Until};
use crate::lifecycle::script::{Ending, Step, day};
use crate::lifecycle::world::HERE;

/// The last day of the first certification period: its renewal begins on the 73rd day.
const PERIOD_END: &str = "2026-11-30";

fn accepted(from: &str, period_end: &str) -> What {
    What::Accepted {
        from: day(from),
        period_end: Some(day(period_end)),
    }
}

/// Covered for six months.
fn certified(name: &'static str, differs: &'static str) -> Ending {
    let accepted = Says(HERE, accepted("2026-06-01", PERIOD_END));
    let covered = [accepted, Until(Covered(home())), Texted("accepted", 1)];
    Ending::new(name, Loss, differs)
        .on(0, applied())
        .on(0, covered)
}

/// The agency asks to show community engagement: ten days in, by the 4th of August; it closes by the end of September.
fn to_be_shown() -> Vec<Step> {
    let sent = day("2026-06-30");
    vec![Report(Change::Engagement { sent })]
}

pub(super) fn all() -> Vec<Ending> {
    vec![
        certified("renewed", "the period of six months ends, and is renewed on a YES")
            .on(74, [Until(Asked(1)), Texted("renew", 1), Reply("YES"), Until(Pending)])
            .on(80, [Says(HERE, accepted("2026-12-01", "2027-05-31"))])
            .on(80, [Texted("accepted", 2), Until(Ended(Outcome::Accepted))])
            .ends(Outcome::Accepted, ["CA 2026-06-01"])
            .texts("covered renew confirm filed accepted")
            .at("agency said [accepted] told []")
            .at("agency said [accepted] told []"),
        certified(
            "renewal-missed",
            "no reply to the renewal, nor two weeks before the form's last day; closed; a YES within the ninety days covers without a gap",
        )
        .on(74, [Until(Asked(1)), Texted("renew", 1)])
        .on(79, [Until(Asked(2)), Texted("renew", 2)])
        .on(85, [Until(Ended(Outcome::NoReply))])
        .on(139, [Until(Case(3)), Until(Asked(1)), Texted("renew", 3)])
        .on(144, [Until(Asked(2)), Texted("renew", 4)])
        .on(150, [Until(Ended(Outcome::NoReply))])
        .on(152, [Says(HERE, closed("2026-12-01")), Until(Case(4)), Until(Asked(1))])
        .on(152, [Texted("apply", 2), Reply("YES"), Until(Pending)])
        .on(155, [Says(HERE, accepted("2026-12-01", "2027-05-31"))])
        .on(155, [Texted("accepted", 2), Until(Ended(Outcome::Accepted))])
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
        .texts("covered renew renew renew renew ending apply confirm filed free_market gap accepted")
        .at("agency said [accepted closed] told []")
        .at("agency said [accepted] told []"),
        loss("engagement-shown", "the agency asks for community engagement, which the records show")
            .on(10, to_be_shown())
            .on(10, [Until(Asked(1)), Texted("renew", 1), Reply("YES"), Until(Pending)])
            .on(15, [Says(HERE, What::Kept), Until(Ended(Outcome::Kept))])
            .ends(Outcome::Kept, ["CA 2026-06-01"])
            .texts("covered renew confirm filed")
            .at("agency said [accepted] told []")
            .at("agency said [kept] told []"),
        Ending::new(
            "engagement-not-shown",
            Loss,
            "nothing shows it, nor an exclusion: insured from the day it ends, and never sent to the Marketplace",
        )
        .on(0, covered())
        .on(10, [JobFound])
        .on(10, to_be_shown())
        .on(10, [Texted("show", 1)])
        .on(46, [Texted("ending", 1), Texted("gap", 2), Reply("YES"), Until(Taken)])
        .on(80, [Says(HERE, closed("2026-10-01")), Until(Ended(Outcome::Lost)), Until(Insured)])
        .on(82, [Texted("gap_begins", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "gap 2026-10-01"])
        .texts("covered show ending free gap confirm gap_begins ending")
        .at("agency said [accepted closed] told []")
        .sold("from 2026-10-01 up to 2027-01-29"),
    ]
}
