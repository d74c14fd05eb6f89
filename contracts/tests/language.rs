//! What the contract language refuses, and how it says so; and what the content hash covers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use contracts::ids::Jurisdiction;
use contracts::rules::{Contract, Registry, registry};

const HEAD: &str = "id = \"us.test\"\nversion = 1\ntitle = \"Test\"\nprogram = \"test\"\nkind = \"group\"\n\
                    in_force_from = \"2024-01-01\"\n\n[[clause]]\nid = \"only\"\nreason = \"ONLY\"\n\
                    citation = \"42 CFR 435.1\"\ntext = \"It holds.\"\n";

fn file(rule: &str) -> String {
    format!("{HEAD}rule = \"\"\"\n{rule}\"\"\"\n")
}

fn refusal(text: &str) -> String {
    let registry = match Registry::load([("test.toml", text)]) {
        Ok(registry) => registry,
        Err(error) => return error.to_string(),
    };
    let state: Jurisdiction = "CA".parse().unwrap();
    match registry.compile("us.test", &state, "2026-11-20".parse().unwrap()) {
        Ok(compiled) => format!("ACCEPTED {:?}", compiled.yes()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_of_rules_say_where_what_and_how_to_mend_it() {
    let mut said = String::new();
    for rule in [
        "income.magi_monthly <= 138% of poverty_level(household.size) / 12",
        "income.magi_monthly * 12 <= 138.25% of poverty_level(household.size)",
        "income.magi_monthly * 1.5 <= $100",
        "income.magi_monthly <= $1,5.5",
        "income.magi_monthly <= household.size",
        "income.magi_monthly * household.size <= $100",
        "income.magi_monthly",
        "medical.pregnant = 1",
        "medical.pregnant and identity.ssi",
        "medical.pregnant && identity.ssi",
        "household.size == 3",
        "medical.pregnnt",
        "identity.size <= 4",
        "residence.state < CA",
        "residence.state in {CA, NV}",
        "age(identity.birth_date) >= 19",
        "age(identity.birth_date, someday) >= 19",
        "age(identity.birth_date, birthday) >= 200",
        "age(identity.birth_date, birthday) in 19",
        "all()",
        "all(medical.pregnant\n    identity.ssi)",
        "any(medical.pregnant,\n    not (identity.ssi)",
        "household.size <= 4)",
        "limit(grown_ups, household.size) >= income.magi_monthly",
        "identity.birth_date <= 2026-02-30",
        "identity.birth_date + 5 <= as_of",
        "household.size * 9000000000000 <= 1",
        "household.size * 900000000000 * 900000000000 <= 1",
        "income.magi_monthly * 1000000000000 * 1000 <= $500",
        "income.magi_monthly * 900000000001 <= household.size * $900,000,000,000",
        "before(income.magi_monthly, 30 days) * 900000000001 <= income.magi_monthly * 900000000000",
        "limit(young_adult_19_20, household.size) >= income.magi_monthly * 12",
        "1 <= 2",
        "2 <= 1",
        "while(medical.pregnant)",
        "",
    ] {
        writeln!(
            said,
            "{rule}\n  {}\n",
            refusal(&file(rule)).replace('\n', "\n  ")
        )
        .unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn refusals_of_files_say_where_what_and_how_to_mend_it() {
    let good = file("household.size <= 4");
    let mut said = String::new();
    for (from, to) in [
        ("version = 1", "version = 0"),
        ("version = 1", "version = "),
        ("title = \"Test\"\n", ""),
        ("kind = \"group\"", "kind = \"herd\""),
        ("id = \"us.test\"", "id = \"US Test\""),
        ("\"2024-01-01\"", "\"2024-02-30\""),
        (
            "\"2024-01-01\"\n",
            "\"2024-01-01\"\nin_force_until = \"2023-12-31\"\n",
        ),
        ("citation = \"42 CFR 435.1\"", "citation = \" \""),
        ("reason = \"ONLY\"", "reason = \"only\""),
        ("text = \"It holds.\"", "texts = \"It holds.\""),
        (
            "\"\"\"\nhousehold.size <= 4\"\"\"",
            "\"household.size \\u003c= 4\"",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        writeln!(said, "{to:?}\n  {}\n", refusal(&text).replace('\n', "\n  ")).unwrap();
    }
    let twice = format!("{good}{}", good.split_once("\n\n").unwrap().1);
    writeln!(
        said,
        "a clause twice\n  {}",
        refusal(&twice).replace('\n', "\n  ")
    )
    .unwrap();
    let overlap = Registry::load([("one.toml", good.as_str()), ("two.toml", good.as_str())]);
    writeln!(said, "two files\n  {}", overlap.unwrap_err()).unwrap();
    insta::assert_snapshot!(said);
}

#[test]
fn sizes_and_depths_are_capped() {
    let long = file(&format!("household.size <= 4{}", " ".repeat(5_000)));
    assert!(refusal(&long).contains("longer than 4096 bytes"));
    let deep = file(&format!(
        "{}medical.pregnant{}",
        "(".repeat(40),
        ")".repeat(40)
    ));
    assert!(refusal(&deep).contains("more than 32 parentheses"));
    let nots = file(&format!("{}medical.pregnant", "not ".repeat(900)));
    assert!(refusal(&nots).contains("more than 32 parentheses"));
    let large = format!("{}#{}", file("medical.pregnant"), "x".repeat(70_000));
    assert!(refusal(&large).contains("more than 65536 bytes"));
}

#[test]
fn the_content_hash_ignores_layout_and_nothing_else() {
    let hash = |text: &str| {
        let registry = Registry::load([("test.toml", text)]).unwrap();
        registry.iter().next().unwrap().1.hash
    };
    let good = file("income.magi_monthly * 12 <= limit(expansion_adult, household.size)");
    let whole = hash(&good);
    assert_eq!(
        whole,
        hash(
            &good
                .replace(" * ", "*")
                .replace("Test\"\n", "Test\" # name\n")
        )
    );
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("Test", "Tests"),
        ("group", "event"),
        ("2024-01-01", "2024-01-02"),
        ("42 CFR 435.1", "42 CFR 435.2"),
        ("It holds.", "It holds!"),
        ("* 12", "* 11"),
        ("expansion_adult", "parent_caretaker"),
        ("limit(", "limit_with_disregard("),
    ] {
        assert!(good.contains(from), "{from}");
        assert_ne!(whole, hash(&good.replacen(from, to, 1)), "{from}");
    }
}

#[test]
fn the_content_hashes_of_this_release() {
    let lines: Vec<String> = registry()
        .iter()
        .map(|(contract, reference)| {
            format!("{} v{} {}", contract.id, contract.version, reference.hash)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn canonical_spelling_reads_back_as_itself() {
    for (contract, _) in registry().iter() {
        for clause in &contract.clauses {
            let text = clause.rule.expr.to_string();
            let again = contracts::rules::parser::parse(&text).unwrap();
            assert_eq!(again.to_string(), text, "{}: {}", contract.id, clause.id);
        }
    }
    assert!(Contract::parse("x.toml", "").is_err());
}
