//! Nobody reports anything: oracles see what changes at payroll, registry and EHR.

use contracts::lifecycle::{Change, Outcome};

use super::{accepted, closed, covered, moving, reinstatement};
use crate::demo::live::Scenario::Loss;
use crate::demo::live::away;
use crate::demo::story::{AWAY, home};
use crate::lifecycle::script::Sight::{
    Asked, Covered, Ended, Insured, Pending, Taken, Told as Known,
};
use crate::lifecycle::script::Step::{
    Agree, Household, JobFound, Kill, LivesElsewhere, Recovers, Reply, Report, Restart, Says, Seen,
    TakeBack, Texted, Told, Until,
};
use crate::lifecycle::script::{Ending, Step};
use crate::lifecycle::world::HERE;

/// As [`covered`], and nobody reports that the job was lost: the owner lets facts be watched.
fn covered_watched() -> Vec<Step> {
    let mut steps = covered();
    steps.retain(|step| !matches!(step, Report(_)));
    steps.insert(0, Agree);
    steps
}

pub(super) fn all() -> Vec<Ending> {
    vec![
        reinstatement(
            "watched-loss-of-income",
            "nobody reports the job lost: a watch tells; what changes after it is taken back is not told",
        )
        .on(0, covered_watched())
        .on(4, [TakeBack, JobFound, Seen])
        .on(10, [])
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
        .texts("covered watch_begins")
        .at("agency said [accepted] told []")
        .watched(1),
        Ending::new(
            "watched-job-found",
            Loss,
            "nobody reports the work found: a watch tells, once, though an oracle is dead for ten days",
        )
        .on(0, covered_watched())
        .on(5, [Kill(4)])
        .on(9, [JobFound, Until(Known), Told(HERE, "loss"), Texted("change", 1), Seen])
        .on(10, [Reply("YES"), Texted("gap", 2), Reply("YES"), Until(Taken)])
        .on(15, [Restart(4)])
        .on(16, [Seen])
        .on(20, [Says(HERE, closed("2026-09-01")), Until(Ended(Outcome::Lost)), Until(Insured)])
        .on(22, [Texted("gap_begins", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "gap 2026-09-01"])
        .texts("covered change noted free_market gap confirm gap_begins ending watch_begins")
        .at("agency said [accepted closed] told [loss]")
        .sold("from 2026-09-01 up to 2026-12-30")
        .watched(2),
        Ending::new(
            "watched-household",
            Loss,
            "nobody reports that fewer live in the household: a watch of the registry tells",
        )
        .of(60, Some(2))
        .on(0, [Agree, Report(Change::DependentsUp), Until(Asked(1)), Reply("YES"), Until(Pending), Texted("gap", 1)])
        .on(0, [Says(HERE, accepted("2026-06-01")), Until(Covered(home())), Texted("accepted", 1)])
        .on(10, [Household(1), Until(Known), Told(HERE, "loss"), Texted("change", 1)])
        .on(10, [Reply("YES"), Texted("gap", 2), Reply("YES"), Until(Taken)])
        .on(13, [Says(HERE, closed("2026-09-01")), Until(Ended(Outcome::Lost)), Until(Insured)])
        .on(80, [Texted("gap_begins", 1)])
        .ends(Outcome::Lost, ["CA 2026-06-01", "gap 2026-09-01"])
        .texts("covered change noted free_market gap confirm gap_begins ending watch_begins")
        .at("agency said [accepted closed] told [loss]")
        .sold("from 2026-09-01 up to 2026-12-30")
        .watched(1),
        reinstatement(
            "watched-recovery",
            "nobody reports that a pregnancy is over, which had kept its owner out of the group: a watch of the EHR tells",
        )
        .of(40, Some(1))
        .pregnant()
        .on(0, [Agree, Recovers, Until(Asked(1)), Texted("apply", 1), Reply("YES"), Until(Pending), Texted("gap", 1)])
        .on(3, [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))])
        .ends(Outcome::Accepted, ["CA 2026-06-01"])
        .texts("covered watch_begins")
        .at("agency said [accepted] told []")
        .watched(1),
        moving("watched-move", "nobody reports the move: a watch of the registry tells, and its committee where to")
            .on(0, [Agree])
            .on(10, [LivesElsewhere, Texted("move", 1), Reply("YES"), Until(Pending)])
            .on(22, [Says(AWAY, accepted("2026-07-12")), Until(Covered(away()))])
            .on(22, [Told(HERE, "covered-elsewhere")])
            .ends(Outcome::Accepted, ["CA 2026-06-01", "OR 2026-07-12"])
            .texts("covered move confirm filed accepted watch_begins")
            .at("agency said [accepted] told [moved covered-elsewhere]")
            .at("agency-away said [accepted] told []"),
    ]
}
