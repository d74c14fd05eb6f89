//! `rules calendar`: what follows from a day.

use contracts::calendar::{
    AdverseAction, Basis, PostpartumRule, Renews, advance_notice_latest,
    continuous_eligibility_end, determination_deadline, hearing_request_until, months_looked_back,
    next_boundary, noncompliance, postpartum_end, reasonable_opportunity_end,
    reconsideration_until, renewal_due, renewal_plan, retroactive_from,
};
use contracts::ids::Jurisdiction;
use contracts::params::tables;
use contracts::units::Day;

use super::{Finding, Outcome};

/// Arguments of `rules calendar`.
#[derive(clap::Args)]
pub struct Args {
    /// What happened.
    event: Event,
    /// The day on which it happened.
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Day,
    /// State, where it matters (postpartum cover).
    #[arg(long)]
    state: Option<Jurisdiction>,
    /// The person is in the adult group.
    #[arg(long)]
    expansion_adult: bool,
    /// The person is an American Indian or Alaska Native.
    #[arg(long)]
    indian: bool,
    /// Date of birth, for a child's continuous eligibility and the next boundary.
    #[arg(long, value_name = "YYYY-MM-DD")]
    birth: Option<Day>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Event {
    /// An application was filed.
    Applied,
    /// Eligibility was determined or renewed.
    Determined,
    /// A notice of an adverse action was sent.
    Notice,
    /// An adverse action takes effect.
    Action,
    /// Cover was closed for not returning a renewal form.
    Closed,
    /// A pregnancy ended.
    PregnancyEnded,
    /// A notice that citizenship or status must be shown was sent.
    StatusNotice,
    /// A notice of noncompliance with community engagement was sent.
    EngagementNotice,
}

fn line(what: &str, day: Day, law: &str) {
    println!("{day}  {what} ({law})");
}

pub fn run(args: &Args) -> Outcome {
    let on = args.on;
    match args.event {
        Event::Applied => {
            line(
                "decision due",
                determination_deadline(on, Basis::Other)?,
                "42 CFR 435.912(c)(3)(ii)",
            );
            line(
                "decision due where disability is claimed",
                determination_deadline(on, Basis::Disability)?,
                "42 CFR 435.912(c)(3)(i)",
            );
            line(
                "cover can begin",
                retroactive_from(on, args.expansion_adult)?,
                "42 CFR 435.915; P.L. 119-21 s. 71112",
            );
            for month in months_looked_back(on, 3)? {
                line(
                    "community engagement looked back on, as the state chose",
                    month,
                    "42 U.S.C. 1396a(xx)(1)(A)",
                );
            }
        }
        Event::Determined => {
            let renews = match (args.expansion_adult, args.indian) {
                (false, _) => Renews::Yearly,
                (true, false) => Renews::ExpansionAdult,
                (true, true) => Renews::ExpansionAdultIndian,
            };
            let due = renewal_due(on, renews)?;
            let plan = renewal_plan(due.plus(-1)?)?;
            line(
                "renewal begins with data at hand",
                plan.ex_parte_from,
                "42 CFR 435.916(b)",
            );
            line(
                "last day to send the form",
                plan.form_by,
                "42 CFR 435.916(b)(2)",
            );
            line(
                "form to be returned",
                plan.answer_until,
                "42 CFR 435.916(b)(2)",
            );
            line(
                "period ends",
                plan.period_end,
                "42 CFR 435.916; 42 U.S.C. 1396a(e)(14)(L)",
            );
            if let Some(birth) = args.birth {
                line(
                    "a child's continuous eligibility ends at the latest",
                    continuous_eligibility_end(on, birth, None, None)?,
                    "42 CFR 435.926",
                );
                if let Some(day) = next_boundary(on, birth, &[plan.period_end])? {
                    line("next boundary", day, "a birthday or the end of the period");
                }
            }
        }
        Event::Notice => line(
            "a hearing can be asked for until",
            hearing_request_until(on)?,
            "42 CFR 431.221(d)",
        ),
        Event::Action => {
            line(
                "notice due",
                advance_notice_latest(on, AdverseAction::Ordinary)?,
                "42 CFR 431.211",
            );
            line(
                "notice due on probable fraud",
                advance_notice_latest(on, AdverseAction::ProbableFraud)?,
                "42 CFR 431.214",
            );
            line(
                "benefits go on if a hearing is asked for before",
                on,
                "42 CFR 431.230(a)",
            );
        }
        Event::Closed => line(
            "a returned form reopens the case until",
            reconsideration_until(on)?,
            "42 CFR 435.916(b)(2)(iii)",
        ),
        Event::PregnancyEnded => {
            let state = args
                .state
                .ok_or("postpartum cover differs by state: give --state")?;
            let days = tables().parameters.count("postpartum_days", state, on)?;
            let rule = if days > 60 {
                PostpartumRule::TwelveMonths
            } else {
                PostpartumRule::SixtyDays
            };
            line(
                "postpartum cover ends",
                postpartum_end(on, rule)?,
                "42 CFR 435.170; 42 U.S.C. 1396a(e)(16)",
            );
        }
        Event::StatusNotice => line(
            "status to be shown by",
            reasonable_opportunity_end(on)?,
            "42 CFR 435.956(b)",
        ),
        Event::EngagementNotice => {
            let days = noncompliance(on)?;
            line(
                "notice counts as received",
                days.received,
                "42 U.S.C. 1396a(xx)(6)",
            );
            line(
                "last day to show; cover goes on",
                days.showing_until,
                "42 U.S.C. 1396a(xx)(6)(A)(ii)",
            );
            line(
                "cover ends at the latest, other bases tested first",
                days.closed_by,
                "42 U.S.C. 1396a(xx)(6)(A)(iii)",
            );
            println!(
                "Closed for this, the person counts as eligible for Medicaid in the premium tax credit (paragraph (7)(B))."
            );
        }
    }
    Ok(Finding::Fine)
}
