use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::encoding::Bytes32;
use crate::units::{Cents, Day};

const BRIDGE: &[u8] = include_bytes!("../../../fixtures/plans/bridge-mutual.json");
const MONTH: &[u8] = include_bytes!("../../../fixtures/plans/first-month.json");

/// What a row of a table changes.
type Change<T> = fn(&mut T);
/// A plan and the criteria it cannot meet.
type Expected<'a> = (&'a str, &'a [Criterion]);

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn files() -> [PlanFile; 2] {
    [BRIDGE, MONTH].map(|json| PlanFile::parse(json).unwrap())
}

fn enquiry() -> Enquiry {
    Enquiry {
        enquiry: [1; 32].into(),
        insurer: "insurer.bridge-mutual".to_owned(),
        jurisdiction: "CA".parse().unwrap(),
        start: day("2026-12-10"),
        members: vec![30, 0],
        income: 138,
        asked: day("2026-12-01"),
        reply_key: [2; 32].into(),
    }
}

#[test]
fn premiums_follow_from_the_published_file() {
    let [bridge, month] = files();
    let core = bridge.plan("bridge-core").unwrap();
    // 210.00 × (1.135 + 0.765) × 0.6 = 239.40
    assert_eq!(core.quote(&enquiry()), Ok(Cents(23_940)));
    // Four children: the youngest is free. 210.00 × (1.135 + 0.833 + 2 × 0.765) × 0.6 = 440.748
    let members = [30, 0, 0, 15, 0];
    assert_eq!(core.premiums.monthly(&members, 138), Ok(Cents(44_074)));
    assert_eq!(core.premiums.age_band(34), Some(30));
    assert_eq!(core.premiums.age_band(0), Some(0));
    assert_eq!(core.premiums.income_band(199), Some(138));
    let basic = month.plan("month-basic").unwrap();
    let cases: [(&Plan, Change<Enquiry>, Unfit); 8] = [
        (
            core,
            |it| it.jurisdiction = "NV".parse().unwrap(),
            Unfit::State,
        ),
        (core, |it| it.start = it.asked, Unfit::Start),
        (core, |it| it.start = day("2027-01-16"), Unfit::Start),
        (basic, |it| it.start = day("2026-12-10"), Unfit::Start),
        (core, |it| it.members = vec![31], Unfit::Band),
        (core, |it| it.income = 139, Unfit::Band),
        (core, |it| it.members = vec![], Unfit::Members),
        (core, |it| it.members = vec![30; 21], Unfit::Members),
    ];
    for (plan, change, refusal) in cases {
        let mut changed = enquiry();
        change(&mut changed);
        assert_eq!(plan.quote(&changed), Err(refusal), "{changed:?}");
    }
}

#[test]
fn plan_files_that_cannot_be_used_name_plan_and_field() {
    let good: serde_json::Value = serde_json::from_slice(BRIDGE).unwrap();
    let cases: [(&str, serde_json::Value, &str); 8] = [
        ("/version", 2.into(), "version"),
        ("/plans/1/id", "bridge-core".into(), "plan bridge-core: id"),
        (
            "/plans/0/network",
            "sea".into(),
            "plan bridge-core: network",
        ),
        (
            "/plans/0/premiums/base",
            (-1).into(),
            "plan bridge-core: premiums.base",
        ),
        (
            "/plans/0/premiums/ages/0/0",
            1.into(),
            "plan bridge-core: premiums",
        ),
        (
            "/plans/1/premiums/ages/1/0",
            16.into(),
            "plan bridge-wide: premiums",
        ),
        ("/plans/0/start/latest", 0.into(), "plan bridge-core: start"),
        (
            "/plans/0/end/longest",
            0.into(),
            "plan bridge-core: end.longest",
        ),
    ];
    for (at, value, named) in cases {
        let mut bad = good.clone();
        *bad.pointer_mut(at).unwrap() = value;
        let error = PlanFile::parse(&serde_json::to_vec(&bad).unwrap()).unwrap_err();
        assert!(error.0.starts_with(named), "{error}");
    }
    assert!(PlanFile::parse(&vec![b' '; MAX_PLAN_FILE + 1]).is_err());
    assert_ne!(files()[0].hash(), files()[1].hash());
}

#[test]
fn accounts_close_to_the_cent() {
    let daily = files()[0].plan("bridge-core").unwrap().end;
    let none = files()[1].plan("month-basic").unwrap().end;
    let close = |rules: &EndRules, start, end, today| {
        let start = day(start);
        let latest = start.plus(i64::from(rules.longest)).unwrap();
        let account = settle(Cents(31_000), start, latest, day(end), day(today), rules).unwrap();
        (account.billed.0, account.earned.0, account.refunded.0)
    };
    // December 10 to 31 is 22 of 31 days of $310.00.
    for (rules, start, end, today, account) in [
        (
            &daily,
            "2026-12-10",
            "2027-01-01",
            "2026-12-31",
            (22_000, 22_000, 0),
        ),
        (
            &daily,
            "2026-12-10",
            "2027-01-15",
            "2027-01-10",
            (53_000, 36_000, 17_000),
        ),
        // Heard of after the day: January was billed and is paid back in part.
        (
            &daily,
            "2026-12-10",
            "2027-01-02",
            "2027-01-20",
            (53_000, 23_000, 30_000),
        ),
        // Known ahead: billed until then.
        (
            &daily,
            "2026-12-10",
            "2027-02-02",
            "2026-12-20",
            (84_000, 54_107, 29_893),
        ),
        // Ten days of cover are free to try; eleven are not.
        (
            &daily,
            "2026-12-10",
            "2026-12-20",
            "2026-12-15",
            (22_000, 0, 22_000),
        ),
        (
            &daily,
            "2026-12-10",
            "2026-12-21",
            "2026-12-15",
            (22_000, 11_000, 11_000),
        ),
        // Never begun.
        (&daily, "2026-12-10", "2026-12-10", "2026-12-01", (0, 0, 0)),
        (
            &none,
            "2026-12-01",
            "2026-12-02",
            "2026-12-01",
            (31_000, 31_000, 0),
        ),
        (
            &none,
            "2026-12-01",
            "2027-01-02",
            "2026-12-20",
            (62_000, 62_000, 0),
        ),
    ] {
        assert_eq!(close(rules, start, end, today), account, "{start} to {end}");
    }
}

fn situation() -> Situation {
    Situation {
        today: day("2026-11-25"),
        lost: Some(day("2026-12-01")),
        reason: LossReason::NotEligible,
        prequalified: false,
        expansion_adult: false,
        chip: false,
        barred_by_status: false,
    }
}

#[test]
fn free_options_come_first_and_nobody_closed_for_engagement_is_sent_to_the_marketplace() {
    use Kind::{
        AidPending, Chip, EmergencyMedicaid, MarketplaceSpecialEnrolment as Marketplace,
        PresumptiveEligibility as Presumptive, RetroactiveMonths as Retroactive,
    };
    let cases: [(Change<Situation>, &[Kind]); 9] = [
        (|_| (), &[AidPending, Marketplace]),
        (
            |it| it.reason = LossReason::CommunityEngagement,
            &[AidPending],
        ),
        (|it| it.today = day("2026-12-01"), &[Marketplace]),
        (|it| it.today = day("2027-01-30"), &[Marketplace]),
        (|it| it.today = day("2027-01-31"), &[]),
        (
            |it| {
                it.today = day("2026-12-20");
                it.prequalified = true;
            },
            &[Retroactive, Presumptive],
        ),
        (
            |it| {
                it.today = day("2026-12-20");
                it.barred_by_status = true;
                it.chip = true;
            },
            &[EmergencyMedicaid, Chip, Marketplace],
        ),
        (
            |it| {
                it.lost = None;
                it.prequalified = true;
            },
            &[Retroactive, Presumptive],
        ),
        (
            |it| {
                it.prequalified = true;
                it.reason = LossReason::CommunityEngagement;
                it.today = day("2027-03-20");
                it.lost = Some(day("2027-03-01"));
            },
            &[Retroactive, Presumptive],
        ),
    ];
    for (change, expected) in cases {
        let mut changed = situation();
        change(&mut changed);
        let options = free_options(&changed).unwrap();
        let kinds: Vec<Kind> = options.iter().map(|option| option.kind).collect();
        assert_eq!(kinds, expected, "{changed:?}");
    }
    // One month back for expansion adults from 2027, two for others, and no day that was covered.
    let mut late = situation();
    (late.today, late.prequalified) = (day("2027-03-20"), true);
    for (expansion_adult, lost, from) in [
        (true, "2026-12-01", "2027-02-01"),
        (false, "2026-12-01", "2027-01-01"),
        (false, "2027-03-01", "2027-03-01"),
    ] {
        late.expansion_adult = expansion_adult;
        late.lost = Some(day(lost));
        assert_eq!(free_options(&late).unwrap()[0].covers_from, Some(day(from)));
    }
}

fn offers(files: &[PlanFile]) -> Vec<(usize, Offer)> {
    let mut offers = Vec::new();
    for (at, file) in files.iter().enumerate() {
        for plan in &file.plans {
            offers.push((
                at,
                Offer {
                    offer: Offer::id(&[1; 32].into(), &plan.id),
                    enquiry: [1; 32].into(),
                    file: file.hash(),
                    plan: plan.id.clone(),
                    premium: plan
                        .premiums
                        .monthly(&[plan.premiums.age_band(36).unwrap()], 0)
                        .unwrap(),
                    start: day("2026-12-01"),
                    latest_end: day("2027-03-01"),
                    until: day("2026-12-01"),
                },
            ));
        }
    }
    offers
}

fn ranked(files: &[PlanFile], offers: &[(usize, Offer)], needs: &Needs) -> Vec<Ranked> {
    let candidates: Vec<Candidate<'_>> = offers
        .iter()
        .map(|(at, offer)| Candidate {
            offer,
            file: &files[*at],
            plan: files[*at].plan(&offer.plan).unwrap(),
        })
        .collect();
    rank(needs, &candidates)
}

fn needs(providers: &[&str], conditions: &[&str], income: i64) -> Needs {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Needs {
        providers: set(providers),
        conditions: set(conditions),
        monthly_income: Cents(income),
        affordable: 85,
    }
}

#[test]
fn offers_are_ranked_and_say_which_of_the_three_could_not_be_met() {
    use Criterion::{Affordability, Continuity, Fit};
    let files = files();
    let offers = offers(&files);
    // Premiums: core $107.25, wide $173.65, basic $117.00.
    let cases: [(Needs, [Expected<'_>; 3]); 5] = [
        (
            needs(&["1003000126"], &["asthma"], 300_000),
            [
                ("bridge-core", &[]),
                ("bridge-wide", &[]),
                ("month-basic", &[Fit]),
            ],
        ),
        (
            needs(&["1336243479"], &["cancer"], 300_000),
            [
                ("bridge-wide", &[]),
                ("month-basic", &[Fit]),
                ("bridge-core", &[Continuity, Fit]),
            ],
        ),
        (
            needs(&["1336243479"], &["asthma"], 150_000),
            [
                ("month-basic", &[Fit]),
                ("bridge-wide", &[Affordability]),
                ("bridge-core", &[Continuity]),
            ],
        ),
        (
            needs(&["9"], &["lupus"], 0),
            [
                ("bridge-core", &[Continuity, Affordability, Fit]),
                ("month-basic", &[Continuity, Affordability, Fit]),
                ("bridge-wide", &[Continuity, Affordability, Fit]),
            ],
        ),
        (
            needs(&[], &[], 1_000_000),
            [
                ("bridge-core", &[]),
                ("month-basic", &[]),
                ("bridge-wide", &[]),
            ],
        ),
    ];
    for (needs, expected) in cases {
        let got = ranked(&files, &offers, &needs);
        let got: Vec<(&str, Vec<Criterion>)> = got
            .iter()
            .map(|one| (one.offer.plan.as_str(), one.unmet.iter().copied().collect()))
            .collect();
        let expected = expected.map(|(plan, unmet)| (plan, unmet.to_vec()));
        assert_eq!(got, expected, "{needs:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_account_balances_and_days_cost_the_same_however_they_are_cut(
        premium in 0_i64..5_000_000, start in 46_000_i64..47_000, days in 0_i64..120, ahead in -40_i64..40,
        cut in 0_i64..120, free_look in 0_u16..30, whole in any::<bool>(),
    ) {
        let start = Day::from_number(start).unwrap();
        let latest = start.plus(120).unwrap();
        let end = start.plus(days).unwrap();
        let today = end.plus(ahead).unwrap();
        let refund = if whole { Refund::None } else { Refund::Daily };
        let rules = EndRules { longest: 120, back: 31, refund, free_look };
        let account = settle(Cents(premium), start, latest, end, today, &rules).unwrap();
        prop_assert_eq!(account.billed.0, account.earned.0 + account.refunded.0);
        prop_assert!(account.earned.0 >= 0 && account.refunded.0 >= 0, "{:?}", account);
        // Never more than the months touched, never fewer cents than a day less costs.
        let owed = earned(Cents(premium), start, end).unwrap();
        let less = earned(Cents(premium), start, end.plus(-1).unwrap().max(start)).unwrap();
        prop_assert!(less <= owed);
        // A cut at a month's end costs nothing; one within a month at most a cent.
        let cut = start.plus(cut.min(days)).unwrap();
        let parts = earned(Cents(premium), start, cut).unwrap().0 + earned(Cents(premium), cut, end).unwrap().0;
        prop_assert!((0..=1).contains(&(owed.0 - parts)), "{} {}", owed.0, parts);
    }

    #[test]
    fn ranking_does_not_depend_on_order_and_a_better_offer_never_comes_after(
        picked in proptest::collection::vec(any::<bool>(), 8), income in 0_i64..400_000, seed in any::<u64>(),
    ) {
        let files = files();
        let mut some = offers(&files);
        let all_providers = ["1003000126", "1336243479", "1558465697", "9"];
        let all_conditions = ["asthma", "cancer", "hypertension", "lupus"];
        let take = |words: [&'static str; 4], from: usize| -> Vec<&'static str> {
            words.into_iter().enumerate().filter(|(at, _)| picked[from + at]).map(|(_, word)| word).collect()
        };
        let needs = needs(&take(all_providers, 0), &take(all_conditions, 4), income);
        let first = ranked(&files, &some, &needs);
        let len = some.len();
        some.rotate_left(usize::try_from(seed % len as u64).unwrap());
        some.swap(0, usize::try_from(seed / 7 % len as u64).unwrap());
        prop_assert_eq!(&first, &ranked(&files, &some, &needs));
        for pair in first.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            let b_is_better = b.unmet.is_subset(&a.unmet)
                && b.lost_providers.is_subset(&a.lost_providers)
                && b.beyond <= a.beyond
                && b.uncovered.is_subset(&a.uncovered)
                && b.waits <= a.waits
                && b.offer.premium < a.offer.premium;
            prop_assert!(!b_is_better, "{:?} before {:?}", a, b);
            // What is said to be met is met.
            prop_assert_eq!(a.unmet.contains(&Criterion::Continuity), !a.lost_providers.is_empty());
        }
        let plans: BTreeSet<&str> = first.iter().map(|one| one.offer.plan.as_str()).collect();
        prop_assert_eq!(plans.len(), 3);
    }
}

#[test]
fn what_is_bound_by_ids_changes_them() {
    let offer = offers(&files())[0].1.clone();
    let jti = Bytes32::from([5; 32]);
    let id = purchase_id(&jti, &offer);
    let mut cheaper = offer.clone();
    cheaper.premium = Cents(1);
    let mut later = offer.clone();
    later.start = day("2026-12-02");
    for other in [
        purchase_id(&[6; 32].into(), &offer),
        purchase_id(&jti, &cheaper),
        purchase_id(&jti, &later),
    ] {
        assert_ne!(id, other);
    }
    let policy = Bytes32::from([7; 32]);
    assert_ne!(
        Ending::id(&policy, day("2026-12-02")),
        Ending::id(&policy, day("2026-12-03"))
    );
    assert_ne!(
        Exchange::Purchase.request_info("a"),
        Exchange::Ending.request_info("a")
    );
    assert_ne!(
        Exchange::Purchase.answer_info("a", b"1"),
        Exchange::Purchase.answer_info("a", b"2")
    );
    assert_eq!(padded(&offer).len() % 1024, 0);
}
