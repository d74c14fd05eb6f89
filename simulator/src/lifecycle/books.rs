//! What everybody has in their books about an owner, and whether the books agree: the profile's record and ledger, the phone,
//! the agencies, the insurer.

use std::collections::{BTreeMap, BTreeSet};

use contracts::gap::{Policy, Statement};
use contracts::lifecycle::{Action, Change, Event, Gap, Payer, State, step};
use contracts::receipt::{EntryKind, commit};
use contracts::trust::{MAX_TRUST_BYTES, Trust};
use contracts::units::{Cents, Day};
use profile::lifecycle::Coverage;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use super::script::Ends;
use super::world::{Failed, HERE, Owner, World};
use crate::demo::folder::Folder;
use crate::demo::story::{AWAY, GAP, home};
use crate::demo::{CONTRACT, DemoError};

/// What the insurer has about one policy.
#[derive(Debug, Clone)]
pub struct Sold {
    policy: Policy,
    ended: Option<Statement>,
    /// Entries of its account: kind and cents.
    account: BTreeMap<String, i64>,
}

impl Sold {
    fn id(&self) -> String {
        self.policy.terms.policy.to_string()
    }

    /// Whether it was ended before its longest term.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// First day, and first day that it does not cover.
    fn days(&self) -> (Day, Day) {
        let offer = &self.policy.terms.offer;
        let ended = self.ended.as_ref().map(|it| it.terms.end);
        (offer.start, ended.unwrap_or(offer.latest_end))
    }

    fn told(&self) -> String {
        let (from, to) = self.days();
        let account: Vec<String> = self
            .account
            .iter()
            .map(|(kind, cents)| format!(" {kind} {cents}"))
            .collect();
        let ended = if self.ended.is_some() {
            "ended"
        } else {
            "up to"
        };
        format!("from {from} {ended} {to}{}", account.concat())
    }
}

/// The insurer's books, whole.
///
/// # Errors
/// Its database.
pub async fn sold(folder: &Folder) -> Result<Vec<Sold>, Failed> {
    let read = async {
        let mut insurer = SqliteConnectOptions::new()
            .filename(folder.path(GAP).join("insurer.db"))
            .read_only(true)
            .connect()
            .await?;
        let rows = sqlx::query(
            "SELECT p.id, p.policy, e.statement FROM policy p LEFT JOIN ending e ON e.policy = p.id ORDER BY p.rowid",
        )
        .fetch_all(&mut insurer)
        .await?;
        let entries = sqlx::query("SELECT policy, kind, cents FROM account")
            .fetch_all(&mut insurer)
            .await?;
        Ok::<_, sqlx::Error>((rows, entries))
    };
    let (rows, entries) = read.await.map_err(|error| error.to_string())?;
    let text = |row: &sqlx::sqlite::SqliteRow, column: &str| {
        row.try_get::<Option<String>, _>(column)
            .map_err(|error| error.to_string())
    };
    rows.iter()
        .map(|row| {
            let id = text(row, "id")?;
            let mut account = BTreeMap::new();
            for entry in &entries {
                if text(entry, "policy")? == id {
                    let cents: i64 = entry.try_get("cents").map_err(|error| error.to_string())?;
                    account.insert(text(entry, "kind")?.unwrap_or_default(), cents);
                }
            }
            let policy = text(row, "policy")?.unwrap_or_default();
            let ended = text(row, "statement")?;
            Ok(Sold {
                policy: serde_json::from_str(&policy).map_err(|error| error.to_string())?,
                ended: ended
                    .map(|ended| serde_json::from_str(&ended))
                    .transpose()
                    .map_err(|error| error.to_string())?,
                account,
            })
        })
        .collect()
}

/// Policies that a record names.
fn policies_of(record: &Coverage) -> BTreeSet<&str> {
    let events = record.events.iter();
    events
        .filter_map(|event| match &event.event {
            Event::GapEnrolled { policy, .. } => Some(policy.as_str()),
            _ => None,
        })
        .collect()
}

/// What is left of an owner's story.
///
/// # Errors
/// Somebody does not answer.
pub async fn gather(world: &World<'_>, owner: &Owner) -> Result<Ends, Failed> {
    let record = world.coverage(owner).await?;
    let state = &record.state;
    let mut days: Vec<String> = record
        .days
        .iter()
        .map(|span| {
            let payer = match &span.payer {
                Payer::Medicaid { jurisdiction } => jurisdiction.code().to_owned(),
                Payer::Gap { .. } => "gap".to_owned(),
                Payer::Nobody { why } => format!("{why:?}").to_lowercase(),
            };
            format!("{payer} {}", span.from)
        })
        .collect();
    // After a death no day is anybody's.
    days.extend(
        record
            .days
            .last()
            .and_then(|span| span.to)
            .map(|to| format!("nobody {to}")),
    );
    let mut texts: Vec<String> = world
        .texts(owner)?
        .iter()
        .map(|text| super::words::template(&text.body).to_owned())
        // A reminder comes or not by the days that the shared calendar stops at; scripts wait for those that matter.
        .filter(|name| !matches!(name.as_str(), "verify" | "verified" | "reminder"))
        .collect();
    texts.sort_unstable();
    let mut agencies = Vec::new();
    for agency in [HERE, AWAY] {
        for view in world.applications(owner, agency).await? {
            let of = |json: serde_json::Result<serde_json::Value>, key: &str| {
                let json = json.unwrap_or_default();
                json[key].as_str().unwrap_or_default().to_owned()
            };
            let said = view.statements.iter();
            let said: Vec<String> = said
                .map(|what| of(serde_json::to_value(what), "what"))
                .collect();
            let told = view.notices.iter();
            let told: Vec<String> = told
                .map(|notice| of(serde_json::to_value(notice), "notice"))
                .collect();
            agencies.push(format!(
                "{agency} said [{}] told [{}]",
                said.join(" "),
                told.join(" ")
            ));
        }
    }
    let watched = record.events.iter().filter(|event| {
        let of_watch = |change| matches!(change, Change::Watched { .. });
        matches!(event.event, Event::Changed { change } if of_watch(change))
    });
    let known = policies_of(&record);
    let mut policies: Vec<String> = sold(world.folder())
        .await?
        .iter()
        .filter(|sold| known.contains(sold.id().as_str()))
        .map(Sold::told)
        .collect();
    policies.sort_unstable();
    Ok(Ends {
        outcome: state.last.map(|last| last.outcome),
        days,
        texts,
        agencies,
        policies,
        watched: watched.count(),
    })
}

/// What does not agree in an owner's books; nothing where all does.
///
/// # Errors
/// Somebody does not answer.
pub async fn disagreements(world: &World<'_>, owner: &Owner) -> Result<Vec<String>, Failed> {
    let all = |now: &Coverage| now.events.iter().all(|event| event.receipt.is_some());
    let record = world
        .until(owner, "every step is in the ledger", all)
        .await?;
    let trust = trust(world.folder()).map_err(|error| error.to_string())?;
    let mut wrong = unproven(&record, &trust);
    wrong.extend(not_replayed(&record, world.watched_since()));
    if let Err(unbalanced) = record.state.days.balance(world.today()?) {
        wrong.push(unbalanced.to_string());
    }
    let sold = sold(world.folder()).await?;
    wrong.extend(other_days(&record, &sold));
    let filed =
        |event: &&profile::lifecycle::CoverageEvent| matches!(event.event, Event::Filed { .. });
    let filed = record.events.iter().filter(filed).count();
    let here = world.applications(owner, HERE).await?.len();
    let away = world.applications(owner, AWAY).await?.len();
    if here + away != filed {
        wrong.push(format!(
            "{filed} applications in the record, {here} and {away} at the agencies"
        ));
    }
    Ok(wrong)
}

/// What an insurer or agency has that no owner knows of.
///
/// # Errors
/// Somebody does not answer.
pub async fn strangers(world: &World<'_>, owners: &[Owner]) -> Result<Vec<String>, Failed> {
    let mut wrong = Vec::new();
    let (mut policies, mut applications) = (BTreeSet::new(), 0);
    for owner in owners {
        let record = world.coverage(owner).await?;
        policies.extend(policies_of(&record).into_iter().map(str::to_owned));
        for agency in [HERE, AWAY] {
            applications += world.applications(owner, agency).await?.len();
        }
    }
    for sold in sold(world.folder()).await? {
        if !policies.contains(&sold.id()) {
            wrong.push(format!("a policy that nobody knows of: {}", sold.told()));
        }
    }
    let held = world.cases(HERE).await?.len() + world.cases(AWAY).await?.len();
    if held != applications {
        wrong.push(format!(
            "{held} applications at the agencies, {applications} of known owners"
        ));
    }
    Ok(wrong)
}

/// The run's trust file.
///
/// # Errors
/// It cannot be read.
pub fn trust(folder: &Folder) -> Result<Trust, DemoError> {
    let path = folder.path("trust.json");
    let trust = std::fs::read(&path).map_err(DemoError::file(&path))?;
    Trust::parse(trust.get(..MAX_TRUST_BYTES).unwrap_or(&trust))
        .map_err(|error| DemoError::Other(error.to_string()))
}

/// Steps of a record whose receipt does not verify, or whose ledger entry commits to something else.
pub fn unproven(record: &Coverage, trust: &Trust) -> Vec<String> {
    let events = record.events.iter().filter(|event| {
        let receipt = event.receipt.as_ref();
        let proven = receipt
            .is_some_and(|receipt| receipt.entry == event.entry && receipt.verify(trust).is_ok());
        let told = commit(EntryKind::CoverageEvent, &event.salt, &event.transition);
        !proven || told != event.entry.commitment
    });
    events
        .map(|event| {
            format!(
                "step {} is not in the ledger as the record tells it",
                event.seq
            )
        })
        .collect()
}

/// The events in the ledger lead, step by step, to what they were entered as, and to the state.
fn not_replayed(record: &Coverage, since: Day) -> Option<String> {
    let mut state = State::new(home(), CONTRACT, since);
    for event in &record.events {
        let (next, actions) = step(&state, &event.event, event.date);
        let entered = actions
            .iter()
            .any(|action| matches!(action, Action::Log { entry } if *entry == event.transition));
        if !entered {
            return Some(format!("step {} was entered as another one", event.seq));
        }
        state = next;
    }
    (state != record.state).then(|| "the events lead to another state".to_owned())
}

/// Each policy covers the very days that the ledger says it does, at what was paid for them.
fn other_days(record: &Coverage, sold: &[Sold]) -> Vec<String> {
    let mut wrong = Vec::new();
    for policy in policies_of(record) {
        let Some(sold) = sold.iter().find(|sold| sold.id() == policy) else {
            wrong.push(format!("the insurer does not know policy {policy}"));
            continue;
        };
        let spans = record
            .days
            .iter()
            .filter(|span| matches!(&span.payer, Payer::Gap { policy: of } if of == policy));
        let told: Vec<(Day, Option<Day>)> = spans.map(|span| (span.from, span.to)).collect();
        let (from, to) = sold.days();
        let in_force = matches!(&record.state.gap, Gap::Active { policy: of, .. } if of == policy);
        let agree = match (told.as_slice(), in_force) {
            ([], false) => from == to,
            ([(begins, None)], true) => *begins == from && sold.ended.is_none(),
            ([(begins, Some(ends))], false) => (*begins, *ends) == (from, to),
            _ => false,
        };
        if !agree {
            wrong.push(format!(
                "the ledger has {told:?} of a policy {}",
                sold.told()
            ));
        }
        if let Some(ended) = &sold.ended {
            let settled = &ended.terms.settlement;
            let in_account = |kind: &str, cents: Cents| sold.account.get(kind) == Some(&cents.0);
            if !in_account("billed", settled.billed) || !in_account("refunded", settled.refunded) {
                wrong.push(format!(
                    "the account is not the statement's: {}",
                    sold.told()
                ));
            }
        }
    }
    wrong
}
