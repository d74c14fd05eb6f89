//! Agencies that answer late, correct themselves, or may not act yet.

use contracts::lifecycle::{Change, Outcome};
use profile::agency::What;

use super::{accepted, applied, closed, loss, reinstatement, told};
use crate::demo::story::home;
use crate::lifecycle::script::Sight::{Covered, Ended, Insured, Protected, Taken, Told as Known};
use crate::lifecycle::script::Step::{Dispute, JobFound, Reply, Report, Says, Texted, Told, Until};
use crate::lifecycle::script::{Ending, day};
use crate::lifecycle::world::HERE;

/// Told of a loss, with a policy bought from the day on which cover is expected to end.
fn insured(name: &'static str, differs: &'static str) -> Ending {
    loss(name, differs).on(10, told()).on(
        10,
        [Reply("YES"), Texted("gap", 2), Reply("YES"), Until(Taken)],
    )
}

pub(super) fn all() -> Vec<Ending> {
    let until = day("2026-08-31");
    vec![
        insured(
            "closed-early",
            "closed a month earlier than expected: a second policy covers up to where the first begins",
        )
        .on(13, [Says(HERE, closed("2026-08-01")), Until(Ended(Outcome::Lost))])
        .on(13, [Texted("gap", 3), Reply("YES"), Until(Insured)])
        .on(80, [Texted("gap_begins", 2)])
        .ends(
            Outcome::Lost,
            ["CA 2026-06-01", "gap 2026-08-01", "gap 2026-09-01"],
        )
        .texts("covered change noted free_market gap confirm gap_begins ending free_market gap confirm gap_begins")
        .at("agency said [accepted closed] told [loss]")
        .sold("from 2026-08-01 ended 2026-09-01 billed 38136 refunded 19068")
        .sold("from 2026-09-01 up to 2026-12-30"),
        insured(
            "kept-after-closing",
            "closed, and then kept: Medicaid goes on, and the policy is void",
        )
        .on(13, [Says(HERE, closed("2026-09-01")), Until(Ended(Outcome::Lost))])
        .on(20, [Says(HERE, What::Kept), Until(Covered(home()))])
        .on(20, [Texted("accepted", 2), Texted("gap_ends", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01"])
        .texts("covered change noted free_market gap confirm gap_begins ending accepted gap_ends")
        .at("agency said [accepted closed kept] told [loss]")
        .sold("from 2026-09-01 ended 2026-09-01 billed 0 refunded 0"),
        loss(
            "protected",
            "cover may not be ended for a change until the end of August: nothing is told before",
        )
        .on(10, [Says(HERE, What::Protected { until }), Until(Protected)])
        .on(10, [JobFound, Report(Change::IncomeUp)])
        .on(10, [Until(Ended(Outcome::Protected))])
        .on(73, [Until(Known), Told(HERE, "loss"), Texted("change", 1)])
        .on(75, [Says(HERE, What::Kept), Until(Ended(Outcome::Kept))])
        .ends(Outcome::Kept, ["CA 2026-06-01"])
        .texts("covered change")
        .at("agency said [accepted protected kept] told [loss]"),
        reinstatement(
            "denied-late",
            "denied when nobody waited for it any more, and a hearing asked for; then accepted",
        )
        .on(0, applied())
        .on(46, [Told(HERE, "overdue"), Texted("overdue", 1)])
        .on(92, [Until(Ended(Outcome::AgencySilent))])
        .on(100, [Says(HERE, What::Denied), Texted("refusal", 1)])
        .on(101, [Dispute, Told(HERE, "hearing")])
        .on(110, [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))])
        .ends(Outcome::Denied, ["CA 2026-06-01"])
        .texts("apply confirm filed free_market gap overdue refusal accepted")
        .at("agency said [denied accepted] told [overdue hearing]"),
    ]
}
