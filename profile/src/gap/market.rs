//! What a lifecycle needs of insurers: a plan quoted, the decision to buy it, the purchase and its end.
//!
//! The household's age and income come from a question of their own to each insurer ([`CONTRACT`] by default), whose leaves were
//! released for that; nothing is taken from what an agency was shown. The insurer sees a YES and bands.

use contracts::application::Approval;
use contracts::encoding::Bytes32;
use contracts::gap::{LossReason, Needs, Situation};
use contracts::ids::{AttributeId, Jurisdiction, Verdict};
use contracts::params::tables;
use contracts::units::{Cents, Day};
use oracles::problem::Problem;

use super::buy::{COVERED, ENDED, Term};
use super::{GapNeed, GapOffers};
use crate::api::types::AskQuestion;
use crate::notifier::Template;
use crate::service::Service;
use crate::store::StoredProfile;
use crate::store::gap::PolicyState;

/// What an insurer asks before it sells, unless its configuration names another contract with the same facts.
pub const CONTRACT: &str = "gap.prequalified";
/// Share of the income, in thousandths, up to which a premium is affordable: the most that was asked of anybody for a benchmark
/// plan in the years 2021 to 2025 (26 U.S.C. 36B(b)(3)(A)(iii)).
const AFFORDABLE: u16 = 85;
/// Days from an offer to its first day, at least: the owner reads, replies and may take it back.
const LEAD: i64 = 1;

const BIRTH_DATE: &str = "identity.birth_date";
const SIZE: &str = "household.size";
const INCOME: &str = "income.magi_monthly";

/// An offer that was chosen, and the question whose token it is bought with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chosen {
    question: Bytes32,
    offer: Bytes32,
}

impl Chosen {
    fn name(self) -> String {
        format!("{}.{}", self.question, self.offer)
    }

    fn parse(name: &str) -> Result<Self, Problem> {
        let unknown = || Problem::not_found("no such quote");
        let (question, offer) = name.split_once('.').ok_or_else(unknown)?;
        let parse = |text| Bytes32::parse(text).map_err(|_| unknown());
        Ok(Self {
            question: parse(question)?,
            offer: parse(offer)?,
        })
    }
}

/// The values that bands are made of.
struct Household {
    born: Day,
    size: u32,
    income: Cents,
}

impl Service {
    /// Has plans quoted for a household that nobody covers from a day on, and names the `attempt`-th of the ranking; none when no
    /// insurer has one. The same `key` finds the same questions, and on the same day the same enquiries.
    ///
    /// # Errors
    /// 409 `insurer-unavailable` when an insurer that may have one did not answer; the committees'.
    pub(crate) async fn choose_plan(
        &self,
        profile: &StoredProfile,
        attempt: u8,
        jurisdiction: Jurisdiction,
        from: Day,
        key: &Bytes32,
    ) -> Result<Option<String>, Problem> {
        let (mut household, mut backing) = (None, Vec::new());
        for insurer in &self.insurers {
            let ask = AskQuestion {
                contract: insurer.contract().to_owned(),
                jurisdiction,
                as_of: self.clock.today(),
                audience: insurer.audience().to_owned(),
                withhold: Vec::new(),
                anew: false,
            };
            let name = format!("gap {key} {}", insurer.audience());
            let (question, _) = self
                .ask_with(profile, &name, name.as_bytes(), &ask, Template::Apply)
                .await?;
            let question = self.to_verdict(profile, question).await?;
            if question.verdict != Some(Verdict::Yes) {
                continue;
            }
            if household.is_none() {
                household = Some(self.household(profile, &question.question).await?);
            }
            backing.push((insurer.audience(), question.question));
        }
        let Some(household) = household else {
            return Ok(None);
        };
        let today = self.clock.today();
        let start = from.max(today.plus(LEAD).map_err(|_| Problem::internal())?);
        let need = need(&household, jurisdiction, today, start)?;
        let GapOffers { offers, silent, .. } =
            self.gap_quote(profile, &key.to_string(), &need).await?;
        let of = |insurer: &str| backing.iter().find(|(audience, _)| *audience == insurer);
        let sold: Vec<Chosen> = offers
            .iter()
            .filter_map(|one| {
                Some(Chosen {
                    question: of(&one.insurer)?.1,
                    offer: one.offer.offer,
                })
            })
            .collect();
        // The last one again where there are fewer: an offer that ran out before it was bought is no refusal.
        let at = usize::from(attempt.saturating_sub(1)).min(sold.len().saturating_sub(1));
        match sold.get(at) {
            Some(chosen) => Ok(Some(chosen.name())),
            // One that could not be reached may have what the others have not.
            None if silent.iter().any(|(_, code)| code == "insurer-unavailable") => {
                Err(Problem::conflict(
                    "insurer-unavailable",
                    "an insurer did not answer: it is asked again",
                ))
            }
            None => Ok(None),
        }
    }

    /// The decision id that the owner's YES to a chosen plan is signed for.
    pub(crate) async fn plan_decision(
        &self,
        profile: &StoredProfile,
        quote: &str,
    ) -> Result<Bytes32, Problem> {
        let Chosen { question, offer } = Chosen::parse(quote)?;
        self.gap_decision(profile, &question, &offer).await
    }

    /// Whether a chosen plan was begun to be bought.
    pub(crate) async fn is_buying(
        &self,
        profile: &StoredProfile,
        quote: &str,
    ) -> Result<bool, Problem> {
        let Chosen { offer, .. } = Chosen::parse(quote)?;
        let (opened, _) = self.opened_by_offer(profile, &offer).await?;
        let enquiry = &opened.stored.enquiry;
        let begun = self.store.gap_purchase(&profile.profile, enquiry).await?;
        Ok(begun.is_some())
    }

    /// Buys a chosen plan. Policy, first day and the first that it never covers, or none when it cannot be had any more: the
    /// insurer refuses, or it would not begin within the term.
    ///
    /// # Errors
    /// 409 `covered` while a policy is still to be ended; the insurer's.
    pub(crate) async fn buy_plan(
        &self,
        profile: &StoredProfile,
        quote: &str,
        term: &Term,
        approval: &Approval,
    ) -> Result<Option<(String, Day, Day)>, Problem> {
        let Chosen { question, offer } = Chosen::parse(quote)?;
        let (_, found) = self.opened_by_offer(profile, &offer).await?;
        let start = found.start;
        if start < term.from || term.until.is_some_and(|until| until <= start) {
            return Ok(None);
        }
        let ending = self.is_ending(profile).await?;
        let term = Term {
            from: start,
            ..term.clone()
        };
        match self
            .gap_enrol(profile, &question, &offer, &term, approval)
            .await
        {
            Ok(policy) => {
                let policy = policy.terms.policy.to_string();
                Ok(Some((policy, start, found.latest_end)))
            }
            // Days of a policy that is being ended are free when it has.
            Err(problem) if problem.code() == COVERED && ending => Err(problem),
            Err(problem) if problem.status == 409 => {
                tracing::warn!(code = problem.code(), "gap cover could not be bought");
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Ends a policy: `on` is the first day that it does not cover, or the first that its rules still allow. One that the insurer
    /// may have ended is ended on that day and no other; it is done when there is a statement, or no day left to end.
    pub(crate) async fn end_plan(
        &self,
        profile: &StoredProfile,
        policy: &str,
        on: Day,
    ) -> Result<(), Problem> {
        let policy = Bytes32::parse(policy).map_err(|_| Problem::internal())?;
        let stored = self.store.gap_policy(&profile.profile, &policy).await?;
        let stored = stored.ok_or_else(|| Problem::not_found("no such policy of this profile"))?;
        if stored.state == PolicyState::Ended || on >= stored.end {
            // By then it is over by itself, or was ended.
            return Ok(());
        }
        let (opened, offer) = self.opened_by_offer(profile, &stored.offer).await?;
        let back = i64::from(opened.rules(&offer)?.back);
        let first = self.clock.today().plus(-back);
        let first = first.map_err(|_| Problem::internal())?;
        let allowed = on.max(stored.start).max(first);
        let is_over = allowed >= stored.end;
        if let Some(day) = stored.ending {
            match self.gap_end(profile, &policy, day).await {
                Err(problem) if problem.code() == ENDED && is_over => return Ok(()),
                // It had not reached the insurer, and is too far back by now.
                Err(problem) if problem.code() == "end" => {}
                ended => return ended.map(|_| ()),
            }
        }
        match is_over {
            true => Ok(()),
            false => self.gap_end(profile, &policy, allowed).await.map(|_| ()),
        }
    }

    /// What the leaves of a question that was answered YES say of the household.
    async fn household(
        &self,
        profile: &StoredProfile,
        question: &Bytes32,
    ) -> Result<Household, Problem> {
        let attributes = [BIRTH_DATE, SIZE, INCOME].map(AttributeId::from);
        let (_, leaves) = self.shown(profile, question, &attributes).await?;
        let value = |attribute: &str| {
            let mut found = leaves.iter();
            let held = found.find(|held| held.attestation.leaf.attribute.0 == attribute);
            held.filter(|held| held.opening.known)
                .map(|held| held.opening.value)
                .ok_or_else(|| {
                    Problem::conflict(
                        "contract",
                        format!(
                            "insurers.contract: its facts must have {attribute} without a period \
                             before; use {CONTRACT}"
                        ),
                    )
                })
        };
        Ok(Household {
            born: Day::from_number(value(BIRTH_DATE)?).map_err(|_| Problem::internal())?,
            size: u32::try_from(value(SIZE)?).map_err(|_| Problem::internal())?,
            income: Cents(value(INCOME)?),
        })
    }
}

fn need(
    household: &Household,
    jurisdiction: Jurisdiction,
    today: Day,
    start: Day,
) -> Result<GapNeed, Problem> {
    let internal = || Problem::internal();
    let poverty = tables().poverty.in_force(jurisdiction, today);
    let level = poverty.map_err(|_| internal())?.level(household.size);
    // Cents a month times twelve over dollars a year are percent.
    let percent = i128::from(household.income.0.max(0)) * 12 / i128::from(level.max(1));
    Ok(GapNeed {
        situation: Situation {
            today,
            lost: Some(start),
            reason: LossReason::NotEligible,
            prequalified: false,
            expansion_adult: false,
            chip: false,
            barred_by_status: false,
        },
        jurisdiction,
        start,
        ages: vec![age(household.born, today)],
        income_percent: u16::try_from(percent).unwrap_or(u16::MAX),
        needs: Needs {
            providers: Default::default(),
            conditions: Default::default(),
            monthly_income: household.income,
            affordable: AFFORDABLE,
        },
    })
}

/// Whole years from a birth date to a day.
fn age(born: Day, on: Day) -> u8 {
    let attained = |years: &u8| {
        let day = on.years_before(u16::from(*years));
        day.is_ok_and(|day| born <= day)
    };
    (1..=150).take_while(attained).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn ages_are_whole_years_and_incomes_whole_percents_of_the_guideline() {
        for (born, on, years) in [
            ("1992-03-14", "2026-03-13", 33),
            ("1992-03-14", "2026-03-14", 34),
            ("2004-02-29", "2026-02-28", 21),
            ("2004-02-29", "2026-03-01", 22),
            ("2026-11-20", "2026-11-20", 0),
        ] {
            assert_eq!(age(day(born), day(on)), years, "{born} {on}");
        }
        // 138 % of $15,960 a year is $1,835.40 a month.
        for (income, percent) in [(183_540, 138), (183_539, 137), (0, 0), (-5, 0)] {
            let household = Household {
                born: day("1992-03-14"),
                size: 1,
                income: Cents(income),
            };
            let today = day("2026-11-20");
            let need = need(&household, "CA".parse().unwrap(), today, today).unwrap();
            assert_eq!(need.income_percent, percent, "{income}");
            assert_eq!(need.ages, [34]);
        }
    }

    #[test]
    fn a_quote_names_question_and_offer() {
        let chosen = Chosen {
            question: [1; 32].into(),
            offer: [2; 32].into(),
        };
        assert_eq!(Chosen::parse(&chosen.name()).ok(), Some(chosen));
        for bad in ["", ".", "x.y", &chosen.question.to_string()] {
            assert!(Chosen::parse(bad).is_err(), "{bad}");
        }
    }
}
