//! Cover for the gap between two programmes: what is free and comes first, what an insurer's published plans cost a household,
//! which of them suits, and what is owed when one ends. Pure, and the same for owner and insurer.

mod free;
mod money;
mod plan;
mod policy;
mod rank;

pub use free::{FreeOption, Kind, LossReason, Situation, free_options};
pub use money::{Settlement, billed, earned, settle};
pub use plan::{
    BadPlan, EndRules, MAX_PLAN_FILE, Plan, PlanFile, Premiums, Refund, StartRules, Unfit,
};
pub use policy::{
    Ending, Enquiry, Exchange, MAX_ENQUIRY_AGE, MAX_MEMBERS, Offer, Policy, PolicyTerms, Published,
    Purchase, Statement, StatementTerms, padded, purchase_id,
};
pub use rank::{Candidate, Criterion, Needs, Ranked, rank};

#[cfg(test)]
mod tests;
