//! Everybody in `fixtures/peer/` against an independent engine; every difference is listed there with who is right.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use contracts::screening::{Answer, Decision, Defaults, Household, Member, Role, Screener};
use contracts::units::Day;

type Row = BTreeMap<String, String>;
type Key = (String, String);

fn rows(file: &str) -> Vec<Row> {
    let path = format!("{}/../fixtures/peer/{file}", env!("CARGO_MANIFEST_DIR"));
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

fn key(row: &Row) -> Key {
    (row["household_id"].clone(), row["person_id"].clone())
}

fn keys(file: &str, keep: impl Fn(&Row) -> bool) -> BTreeSet<Key> {
    rows(file).iter().filter(|row| keep(row)).map(key).collect()
}

fn member(row: &Row) -> Member {
    Member {
        role: match row["role"].as_str() {
            "head" => Role::Head,
            "spouse" => Role::Spouse,
            _ => Role::Child,
        },
        age: row["age"].parse().unwrap(),
        annual_earned: row["annual_earned_income"].parse::<i64>().unwrap() * 100,
        monthly_hours: row["monthly_hours"].parse().unwrap(),
        pregnant: row["pregnant"] == "1",
        disabled: row["disabled"] == "1",
        ssi: row["receives_ssi"] == "1",
        class: row["immigration_status"].clone(),
        years_since_entry: row["years_since_entry"].parse().ok(),
        birth: None,
        instead: None,
    }
}

/// Every person of a file with our decision.
fn decided(file: &str, as_of: &str) -> Vec<(Row, Decision)> {
    let as_of: Day = as_of.parse().unwrap();
    let mut screener = Screener::new(as_of, Defaults::default());
    let rows = rows(file);
    let mut decided = Vec::new();
    for people in rows.chunk_by(|a, b| a["household_id"] == b["household_id"]) {
        let household = Household {
            state: people[0]["state"].parse().unwrap(),
            members: people.iter().map(member).collect(),
        };
        let each = |index: usize, decision: &Decision| {
            decided.push((people[index].clone(), decision.clone()))
        };
        screener.screen(&household, each).unwrap();
    }
    decided
}

fn share(part: usize, whole: usize) -> f64 {
    1.0 - f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

#[test]
fn eligibility_and_category_agree_with_the_peer_but_for_the_listed_differences() {
    let excluded = keys("exclusions_2026.csv", |row| {
        !row["reason"].contains("71109")
    });
    let contradicted = keys("differences_2026.csv", |row| {
        row["table_cell"] == "contradicted"
    });
    let (mut people, mut eligibility, mut category) = (0, 0, 0);
    let mut different = BTreeSet::new();
    for (row, decision) in decided("cases_2026.csv", "2026-02-01") {
        if excluded.contains(&key(&row)) {
            continue;
        }
        let other = (decision.medicaid == Answer::Yes) != (row["out_medicaid_eligible"] == "1")
            || (decision.chip == Answer::Yes) != (row["out_chip_eligible"] == "1");
        let ours = decision
            .category
            .map_or("NONE", |category| category.as_str());
        let named = ours != row["out_medicaid_category"];
        if other || named {
            different.insert(key(&row));
        }
        if !contradicted.contains(&key(&row)) {
            people += 1;
            eligibility += usize::from(other);
            category += usize::from(named);
        }
    }
    assert_eq!(different, keys("differences_2026.csv", |_| true));
    assert!(
        share(eligibility, people) >= 0.995,
        "eligibility {}",
        share(eligibility, people)
    );
    assert!(
        share(category, people) >= 0.99,
        "category {}",
        share(category, people)
    );
}

#[test]
fn community_engagement_agrees_with_the_peer_but_for_the_listed_differences() {
    let (mut people, mut different) = (0, BTreeSet::new());
    for (row, decision) in decided("cases_2027.csv", "2027-02-01") {
        // The peer projects the guidelines of 2027: whom it counts as an adult near the limit, we may not.
        let (Some(met), "1") = (decision.engagement, row["out_work_req_applicable"].as_str())
        else {
            continue;
        };
        people += 1;
        if met != (row["out_work_req_met"] == "1") {
            different.insert(key(&row));
        }
    }
    assert_eq!(different, keys("differences_2027.csv", |_| true));
    assert!(share(different.len(), people) >= 0.98);
}
