//! Makes evidence of what a witness heard and of what is in the parties' databases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contracts::gap::Exchange as Sealing;
use contracts::lifecycle::Event;
use oracles::hpke::{NodeKeyPair, Sealed};
use serde_json::{Map, Value};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{
    Column as _, ConnectOptions as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _,
};
use zeroize::Zeroizing;

use super::evidence::{Evidence, Exchange, Party, Record};
use crate::demo::INSURER;
use crate::demo::story::{AWAY, GAP, home};
use crate::demo::trap::nameless;
use crate::demo::witness::Heard;
use crate::lifecycle::world::{Failed, HERE, Owner, World};

/// The parties, each with what its database names an owner by, and the name that all it keeps of one owner shares.
const PARTIES: [(&str, &str, &str); 3] = [
    (HERE, "SELECT id, sub, jti FROM application", "sub"),
    (AWAY, "SELECT id, sub, jti FROM application", "sub"),
    (GAP, "SELECT id, enquiry, jti FROM policy", "enquiry"),
];

/// Doors that are watched.
pub(super) fn doors() -> impl Iterator<Item = &'static str> {
    PARTIES.into_iter().map(|(party, _, _)| party)
}

/// All that the parties have.
///
/// # Errors
/// A database that cannot be read, or an owner of whom a party has nothing.
pub(super) async fn gather(
    world: &World<'_>,
    owners: &[Owner],
    heard: Vec<Heard>,
) -> Result<Evidence, Failed> {
    let mut known = Vec::new();
    for owner in owners {
        known.push(world.coverage(owner).await?);
    }
    let mut parties = Vec::new();
    for (name, ids, shared) in PARTIES {
        let file = match name {
            GAP => "insurer/insurer.db".to_owned(),
            agency => format!("{agency}/agency.db"),
        };
        let mut database = SqliteConnectOptions::new()
            .filename(world.folder().path(file))
            .read_only(true)
            .connect()
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        let names = rows(&mut database, ids).await?;
        let mut owned = Vec::new();
        for record in &known {
            let of_owner = match name {
                GAP => record.events.iter().find_map(|event| match &event.event {
                    Event::GapEnrolled { policy, .. } => Some(policy.clone()),
                    _ => None,
                }),
                HERE => record.applications.get(&home()).cloned(),
                _ => record.applications.get(&crate::demo::live::away()).cloned(),
            };
            let id = of_owner.ok_or_else(|| format!("{name} has nothing of an owner"))?;
            let row = names.iter().find(|row| row["id"] == id.as_str());
            let row = row.ok_or_else(|| format!("{name}: {id} is not in its database"))?;
            let same = names.iter().filter(|other| other[shared] == row[shared]);
            let ids: BTreeSet<String> = same
                .filter_map(Value::as_object)
                .flat_map(|row| row.values())
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            owned.push(ids);
        }
        let keys = match name {
            GAP => Some(insurers_keys(&mut database).await?),
            _ => None,
        };
        let heard = heard.iter().filter(|heard| heard.party == name);
        let exchanges = exchanges(heard, keys.as_ref());
        let stored = tables(&mut database).await?;
        parties.push(party(name, &owned, exchanges, stored));
    }
    Ok(Evidence {
        owners: owners.len(),
        parties,
    })
}

/// Sorts messages and rows by owner.
fn party(
    name: &str,
    owned: &[BTreeSet<String>],
    exchanges: Vec<Exchange>,
    rows: Vec<(String, Value)>,
) -> Party {
    let mut records = vec![Record::default(); owned.len()];
    let mut about_nobody = 0;
    for exchange in exchanges {
        let whose = owned
            .iter()
            .position(|ids| ids.iter().any(|id| exchange.names(id)));
        match whose.and_then(|at| records.get_mut(at)) {
            Some(record) => record.exchanges.push(exchange),
            None => about_nobody += 1,
        }
    }
    for (table, row) in rows {
        let text = row.to_string();
        let whose = owned
            .iter()
            .position(|ids| ids.iter().any(|id| text.contains(id.as_str())));
        if let Some(record) = whose.and_then(|at| records.get_mut(at)) {
            record.rows.push((table, row));
        }
    }
    Party {
        name: name.to_owned(),
        records,
        about_nobody,
    }
}

/// Requests with their answers; what a party's own staff asks is not received from anybody.
fn exchanges<'h>(
    heard: impl Iterator<Item = &'h Heard>,
    keys: Option<&NodeKeyPair>,
) -> Vec<Exchange> {
    let mut done: Vec<Exchange> = Vec::new();
    let mut waiting: BTreeMap<u16, VecDeque<usize>> = BTreeMap::new();
    for heard in heard {
        let message = &heard.message;
        if message.route.contains("/admin/") || message.route.ends_with("/healthz") {
            continue;
        }
        if !heard.came() {
            let at = waiting.get_mut(&heard.port).and_then(VecDeque::pop_front);
            if let Some(exchange) = at.and_then(|at| done.get_mut(at)) {
                exchange.answer = json(&message.body);
                exchange.answer_size = message.body.len();
            }
            continue;
        }
        waiting.entry(heard.port).or_default().push_back(done.len());
        done.push(Exchange {
            order: done.len() as u64,
            at: heard.at,
            port: heard.port,
            route: nameless(&message.route),
            head: String::from_utf8_lossy(&message.head).into_owned(),
            size: message.body.len(),
            body: json(&message.body),
            opened: keys.map_or(Value::Null, |keys| {
                opened(keys, &message.route, &message.body)
            }),
            answer: Value::Null,
            answer_size: 0,
        });
    }
    done
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// The insurer opens what was sealed to it.
fn opened(keys: &NodeKeyPair, route: &str, body: &[u8]) -> Value {
    let Ok(sealed) = serde_json::from_slice::<Sealed>(body) else {
        return Value::Null;
    };
    [Sealing::Enquiry, Sealing::Purchase, Sealing::Ending]
        .into_iter()
        .filter(|exchange| route.ends_with(exchange.path()))
        .find_map(|exchange| {
            keys.open(&exchange.request_info(INSURER), &[], &sealed)
                .ok()
        })
        .map_or(Value::Null, |plain| json(&plain))
}

async fn insurers_keys(database: &mut SqliteConnection) -> Result<NodeKeyPair, Failed> {
    let seed: Vec<u8> = sqlx::query_scalar("SELECT seed FROM secret WHERE name = 'hpke'")
        .fetch_one(database)
        .await
        .map_err(|error| error.to_string())?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| "the insurer's key is none")?;
    Ok(NodeKeyPair::from_secret(Zeroizing::new(seed)))
}

/// Every row of every table but those of the party's own keys.
async fn tables(database: &mut SqliteConnection) -> Result<Vec<(String, Value)>, Failed> {
    let names = rows(
        database,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .await?;
    let mut all = Vec::new();
    for name in names.iter().filter_map(|row| row["name"].as_str()) {
        if matches!(name, "secret" | "signing_key") {
            continue;
        }
        let query = format!("SELECT rowid, * FROM {name}");
        let stored = rows(database, &query).await?;
        all.extend(stored.into_iter().map(|row| (name.to_owned(), row)));
    }
    Ok(all)
}

async fn rows(database: &mut SqliteConnection, query: &str) -> Result<Vec<Value>, Failed> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned()))
        .fetch_all(database)
        .await
        .map_err(|error| error.to_string())?;
    Ok(rows.iter().map(row).collect())
}

fn row(row: &SqliteRow) -> Value {
    let mut map = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let integer = row
            .try_get_raw(at)
            .is_ok_and(|value| value.type_info().name() == "INTEGER");
        let value = match integer {
            true => row
                .try_get::<i64, _>(at)
                .map(Value::from)
                .unwrap_or_default(),
            false => {
                let text: String = row.try_get(at).unwrap_or_default();
                // A document is kept as text.
                match serde_json::from_str(&text) {
                    Ok(document @ (Value::Object(_) | Value::Array(_))) => document,
                    _ => Value::from(text),
                }
            }
        };
        map.insert(column.name().to_owned(), value);
    }
    Value::Object(map)
}
