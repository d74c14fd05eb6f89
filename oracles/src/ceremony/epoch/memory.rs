//! Signing memory: what a newcomer must know so that nothing is signed twice across a change of members.
//!
//! Old members that voted sign nothing more in the old epoch, so their tables are final. What a quorum signed, each of them
//! stored first; a quorum's reports therefore hold it at least f + 1 times. A newcomer takes the rows that so many of a
//! quorum of old members report alike: neither can f of them hide one, nor make one up.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::epoch::EpochStatement;
use contracts::ids::{Committee, NodeId, max_faults, quorum};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::db;
use crate::node::{Node, Router};
use crate::peer::{Refusal, Topic};

/// Rows in one answer.
const PAGE: usize = 2_000;
/// Rows taken of one table, all pages together.
const MAX_ROWS: usize = 2_000_000;
/// JSON bytes of a page: the largest row is a stored set of claims.
const PAGE_BYTES: usize = 7 * 1024 * 1024;

const MEMORY: Topic<Ask, Page> = Topic::new("epoch.memory")
    .with_caps(16 * 1024, PAGE_BYTES)
    .with_timeout(std::time::Duration::from_secs(15));

/// A table that a committee's members keep alike, but for the instant at which a row may be forgotten.
struct Table {
    name: &'static str,
    /// The module whose migrations make it; a node without the role has no such table, and nothing to remember.
    module: &'static str,
    /// The primary key: rows are paged in its order.
    key: &'static [&'static str],
    /// Further text columns.
    text: &'static [&'static str],
    /// Further whole-number columns.
    number: &'static [&'static str],
    /// The instant; the latest that is reported counts.
    expires: &'static str,
    /// Only the rows of the committee, by this column.
    of: Option<&'static str>,
}

const ACKS: Table = Table {
    name: "attest_request",
    module: "attest",
    key: &["domain", "request"],
    text: &["leaves"],
    number: &[],
    expires: "expires",
    of: Some("domain"),
};
const ENROLMENTS: Table = Table {
    name: "enrolment",
    module: "enrol",
    key: &["subject_ref"],
    text: &["enrolment", "pseudonym_key"],
    number: &["signed"],
    expires: "held_until",
    of: None,
};
const REPROOFED: Table = Table {
    name: "reproofed",
    module: "enrol",
    key: &["subject_ref"],
    text: &[],
    number: &[],
    expires: "until",
    of: None,
};
const ACCEPTED: Table = Table {
    name: "decision_accepted",
    module: "decision",
    key: &["jti"],
    text: &["claims", "salt"],
    number: &[],
    expires: "expires",
    of: None,
};
const LEAVES: Table = Table {
    name: "decision_leaf",
    module: "decision",
    key: &["leaf"],
    text: &["jti"],
    number: &[],
    expires: "expires",
    of: None,
};
const RESTRAINT: Table = Table {
    name: "decision_restraint",
    module: "decision",
    key: &["audience", "pseudonym", "period"],
    text: &["program", "jurisdiction"],
    number: &[],
    expires: "expires",
    of: None,
};

/// What a committee's members remember. The ledger's is its log, which newcomers fetch and check against checkpoints.
fn tables(committee: Committee) -> &'static [Table] {
    match committee {
        Committee::Identity => &[ACKS, ENROLMENTS, REPROOFED],
        Committee::Decision => &[ACCEPTED, LEAVES, RESTRAINT],
        Committee::Ledger => &[],
        Committee::Residence | Committee::Income | Committee::Household | Committee::Medical => {
            &[ACKS]
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    committee: Committee,
    /// The epoch whose memory it is.
    epoch: u64,
    /// Place in the committee's list of tables.
    table: usize,
    /// Rows already read.
    offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryRow {
    /// Key and text columns, then numbers, as text.
    values: Vec<String>,
    expires: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    rows: Vec<MemoryRow>,
    more: bool,
}

pub(super) fn mount(router: &mut Router) {
    router.answers(MEMORY, |node, from, ask: Ask| async move {
        let page = page(&node, from, &ask).await?;
        Ok(page)
    });
}

impl Table {
    /// Columns but the instant, in order, and which are numbers.
    fn columns(&self) -> Vec<(&'static str, bool)> {
        let texts = self.key.iter().chain(self.text);
        texts
            .map(|name| (*name, false))
            .chain(self.number.iter().map(|name| (*name, true)))
            .collect()
    }

    async fn exists(&self, node: &Node) -> Result<bool, Refusal> {
        let row = sqlx::query("SELECT 1 FROM migration WHERE module = $1")
            .bind(self.module)
            .fetch_optional(node.db())
            .await?;
        Ok(row.is_some())
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.columns().iter().map(|(name, _)| *name).collect();
        names.push(self.expires);
        names.join(", ")
    }
}

/// Whether this node's memory of an epoch is final: it voted for the next one, or is past it.
fn is_final(node: &Node, committee: Committee, epoch: u64) -> bool {
    let past = node
        .keys()
        .standing(committee)
        .is_some_and(|standing| standing.epoch > epoch);
    past || node.keys().is_changing(committee, epoch)
}

async fn page(node: &Arc<Node>, from: NodeId, ask: &Ask) -> Result<Page, Refusal> {
    let committee = ask.committee;
    let configured = node.config().committee(committee);
    if !configured.is_some_and(|it| it.members.contains(&from)) {
        return Err(Refusal::new(
            "not-a-member",
            "only to members of the committee",
        ));
    }
    if !is_final(node, committee, ask.epoch) {
        return Err(Refusal::new(
            "not-final",
            "this node may still sign in that epoch",
        ));
    }
    let table = tables(committee)
        .get(ask.table)
        .ok_or_else(|| Refusal::new("malformed", "no such table"))?;
    if !table.exists(node).await? {
        return Ok(Page {
            rows: Vec::new(),
            more: false,
        });
    }
    let filter = table
        .of
        .map_or(String::new(), |column| format!("WHERE {column} = $3"));
    let query = format!(
        "SELECT {} FROM {} {filter} ORDER BY {} LIMIT $1 OFFSET $2",
        table.names(),
        table.name,
        table.key.join(", "),
    );
    let limit = PAGE + 1;
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(i64::try_from(limit).map_err(|error| Refusal::internal(&error))?)
        .bind(i64::try_from(ask.offset).map_err(|error| Refusal::internal(&error))?);
    if table.of.is_some() {
        query = query.bind(committee.as_str());
    }
    let columns = table.columns();
    let mut rows = Vec::new();
    for row in query.fetch_all(node.db()).await? {
        let values = columns
            .iter()
            .enumerate()
            .map(|(at, (_, number))| {
                if *number {
                    row.try_get::<i64, _>(at).map(|value| value.to_string())
                } else {
                    row.try_get::<String, _>(at)
                }
            })
            .collect::<Result<_, sqlx::Error>>()?;
        rows.push(MemoryRow {
            values,
            expires: row.try_get(columns.len())?,
        });
    }
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    Ok(Page { rows, more })
}

/// Takes over the signing memory of a quorum of the old members.
///
/// # Errors
/// Fewer than a quorum of old members answered, or the database failed; asking again is safe.
pub(super) async fn adopt(node: &Arc<Node>, statement: &EpochStatement) -> Result<(), Refusal> {
    let old = u16::try_from(statement.former.len()).unwrap_or(u16::MAX);
    let needed = usize::from(quorum(old));
    let alike = usize::from(max_faults(old)) + 1;
    for at in 0..tables(statement.committee).len() {
        let calls = statement
            .former
            .iter()
            .map(|member| read(node, *member, statement, at));
        let mut reports = 0;
        let mut rows: BTreeMap<Vec<String>, (usize, i64)> = BTreeMap::new();
        for report in futures::future::join_all(calls).await {
            match report {
                Ok(report) => {
                    reports += 1;
                    for (values, expires) in report {
                        let entry = rows.entry(values).or_insert((0, expires));
                        entry.0 += 1;
                        entry.1 = entry.1.max(expires);
                    }
                }
                Err(error) => tracing::warn!(%error, "an old member does not pass on its memory"),
            }
        }
        if reports < needed {
            return Err(Refusal::new(
                "memory",
                format!("{reports} of {needed} old members passed on their memory"),
            ));
        }
        rows.retain(|_, (count, _)| *count >= alike);
        let table = tables(statement.committee)
            .get(at)
            .ok_or_else(|| Refusal::internal(&"no such table"))?;
        store(node, table, rows).await?;
    }
    Ok(())
}

type Report = BTreeMap<Vec<String>, i64>;

/// All rows of one table at one member, each counted once.
async fn read(
    node: &Arc<Node>,
    member: NodeId,
    statement: &EpochStatement,
    table: usize,
) -> Result<Report, Refusal> {
    let width = tables(statement.committee)
        .get(table)
        .map_or(0, |table| table.columns().len());
    let mut report = Report::new();
    let mut offset = 0u64;
    loop {
        let ask = Ask {
            committee: statement.committee,
            epoch: statement.previous,
            table,
            offset,
        };
        let page = node
            .call(member, MEMORY, &ask)
            .await
            .map_err(|error| Refusal::new("memory", error.to_string()))?;
        let read = page.rows.len();
        if read > PAGE || page.rows.iter().any(|row| row.values.len() != width) {
            return Err(Refusal::new("memory", format!("node {member}: not a page")));
        }
        report.extend(page.rows.into_iter().map(|row| (row.values, row.expires)));
        offset += read as u64;
        if !page.more || read == 0 {
            return Ok(report);
        }
        if report.len() > MAX_ROWS {
            return Err(Refusal::new(
                "memory",
                format!("node {member}: too many rows"),
            ));
        }
    }
}

async fn store(
    node: &Node,
    table: &Table,
    rows: BTreeMap<Vec<String>, (usize, i64)>,
) -> Result<(), Refusal> {
    if rows.is_empty() || !table.exists(node).await? {
        return Ok(());
    }
    let columns = table.columns();
    let places: Vec<String> = (1..=columns.len() + 1).map(|at| format!("${at}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        table.name,
        table.names(),
        places.join(", "),
    );
    let mut transaction = db::begin_write(node.db()).await?;
    for (values, (_, expires)) in rows {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.clone()));
        for (value, (_, number)) in values.iter().zip(&columns) {
            query = if *number {
                query.bind(
                    value
                        .parse::<i64>()
                        .map_err(|error| Refusal::internal(&error))?,
                )
            } else {
                query.bind(value.clone())
            };
        }
        query.bind(expires).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
