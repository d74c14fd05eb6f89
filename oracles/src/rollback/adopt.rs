//! What a node that is behind takes over from the others: rows that make it refuse, and none that it would sign by.

use contracts::ids::{Committee, NodeId};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};

use crate::node::Router;
use crate::peer::{Peers, Refusal, Topic};
use crate::rollback::Standing;

/// Rows of one answer.
const PAGE: usize = 500;
/// Pages that are taken from one member for one table: 5 million rows.
const MAX_PAGES: usize = 10_000;
/// Longest text of a column.
const MAX_TEXT: usize = 1 << 10;

/// A table that members of a committee remember alike.
struct Table {
    name: &'static str,
    /// An expression over its primary key, by which pages go on.
    key: &'static str,
    text: &'static [&'static str],
    numbers: &'static [&'static str],
}

const ENROLMENTS: Table = Table {
    name: "enrolment",
    key: "subject_ref",
    text: &["subject_ref", "enrolment", "pseudonym_key"],
    numbers: &["signed", "held_until"],
};
const LEAVES: Table = Table {
    name: "decision_leaf",
    key: "leaf",
    text: &["leaf", "jti"],
    numbers: &["expires"],
};
const PROGRAMS: Table = Table {
    name: "decision_restraint",
    key: "audience || ' ' || pseudonym || ' ' || period",
    text: &["audience", "pseudonym", "period", "program", "jurisdiction"],
    numbers: &["expires"],
};

fn tables_of(committee: Committee) -> &'static [Table] {
    match committee {
        Committee::Identity => &[ENROLMENTS],
        Committee::Decision => &[LEAVES, PROGRAMS],
        _ => &[],
    }
}

/// Asks a member for a page of what it remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsCall {
    committee: Committee,
    table: String,
    /// The key after which the page begins.
    after: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneRow {
    key: String,
    text: Vec<String>,
    numbers: Vec<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsAnswer {
    rows: Vec<OneRow>,
}

const ROWS: Topic<RowsCall, RowsAnswer> = Topic::new("rollback.rows").with_caps(8 << 10, 2 << 20);

impl Table {
    async fn exists(&self, pool: &AnyPool) -> bool {
        // A role that is not configured has made no tables.
        let sql = format!("SELECT COUNT(*) FROM {}", self.name);
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_one(pool)
            .await
            .is_ok()
    }

    async fn page(&self, pool: &AnyPool, after: &str) -> Result<Vec<OneRow>, sqlx::Error> {
        let (key, text) = (self.key, self.text.join(", "));
        let sql = format!(
            "SELECT {key} AS k, {text}, {} FROM {} WHERE {key} > $1 ORDER BY 1 LIMIT {PAGE}",
            self.numbers.join(", "),
            self.name
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(pool)
            .await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    fn read(&self, row: &AnyRow) -> Result<OneRow, sqlx::Error> {
        let text = self.text.len();
        Ok(OneRow {
            key: row.try_get(0)?,
            text: (1..=text)
                .map(|at| row.try_get(at))
                .collect::<Result<_, _>>()?,
            numbers: (text + 1..=text + self.numbers.len())
                .map(|at| row.try_get(at))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Adds a row of another member where this node has none.
    async fn take(&self, pool: &AnyPool, row: OneRow) -> Result<(), sqlx::Error> {
        let columns: Vec<&str> = self.text.iter().chain(self.numbers).copied().collect();
        let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
            self.name,
            columns.join(", "),
            places.join(", ")
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for text in row.text {
            query = query.bind(text);
        }
        for number in row.numbers {
            query = query.bind(number);
        }
        query.execute(pool).await.map(|_| ())
    }

    fn fits(&self, row: &OneRow) -> bool {
        row.text.len() == self.text.len()
            && row.numbers.len() == self.numbers.len()
            && row.text.iter().all(|text| text.len() <= MAX_TEXT)
    }
}

/// Takes over the tables of a committee from at least `needed` of the others.
pub(super) async fn tables(
    committee: Committee,
    others: &[NodeId],
    needed: usize,
    peers: &Peers,
    pool: &AnyPool,
) -> Result<(), String> {
    for table in tables_of(committee) {
        if !table.exists(pool).await {
            continue;
        }
        let mut heard = 0;
        let mut last = String::new();
        for node in others {
            match take_all(committee, table, *node, peers, pool).await {
                Ok(()) => heard += 1,
                Err(error) => last = error,
            }
        }
        if heard < needed {
            return Err(format!(
                "{heard} of {needed} members sent their {}: {last}",
                table.name
            ));
        }
    }
    Ok(())
}

async fn take_all(
    committee: Committee,
    table: &Table,
    node: NodeId,
    peers: &Peers,
    pool: &AnyPool,
) -> Result<(), String> {
    let mut call = RowsCall {
        committee,
        table: table.name.to_owned(),
        after: String::new(),
    };
    for _ in 0..MAX_PAGES {
        let answer = peers.call(node, ROWS, &call).await;
        let rows = answer.map_err(|error| error.to_string())?.rows;
        let full = rows.len() >= PAGE;
        for row in rows {
            if !table.fits(&row) || row.key <= call.after {
                return Err(format!("node {node} sent rows that cannot be"));
            }
            call.after.clone_from(&row.key);
            let taken = table.take(pool, row).await;
            taken.map_err(|error| error.to_string())?;
        }
        if !full {
            return Ok(());
        }
    }
    Err(format!("node {node} sends without end"))
}

pub(super) fn mount(router: &mut Router) {
    router.answers(ROWS, |node, from, call| async move {
        let seat = node.marks().member(call.committee, from)?;
        if *seat.standing.borrow() != Standing::Ready {
            return Err(Refusal::new(
                "starting",
                "this node is not sure of its memory",
            ));
        }
        let table = tables_of(call.committee)
            .iter()
            .find(|table| table.name == call.table)
            .ok_or_else(|| Refusal::new("rollback", "no such table"))?;
        Ok(RowsAnswer {
            rows: table.page(node.db(), &call.after).await?,
        })
    });
}
