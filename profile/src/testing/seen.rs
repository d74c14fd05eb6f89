//! What the network saw, and what a thief of the database would.

use super::*;

impl World {
    pub(crate) fn calls(&self, path: &str) -> u32 {
        self.network
            .with(|memory| memory.calls.get(path).copied().unwrap_or(0))
    }

    /// Waits until something holds.
    pub(crate) async fn soon(&self, holds: impl AsyncFn() -> bool) {
        let since = std::time::Instant::now();
        while !holds().await {
            assert!(since.elapsed() < std::time::Duration::from_secs(60));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Waits for the first call of a path.
    pub(crate) async fn until_called(&self, path: &str) {
        self.soon(async || self.calls(path) > 0).await;
    }

    pub(crate) fn counts(&self) -> (usize, usize, usize, usize) {
        self.network.with(|memory| {
            (
                memory.decided.len(),
                memory.texts.len(),
                memory.filed.len(),
                memory.entries.len(),
            )
        })
    }

    /// Whether a decision was taken back at the notifier.
    pub(crate) fn withdrawn(&self, decision: &Bytes32) -> bool {
        self.network
            .with(|memory| memory.withdrawn.contains(decision))
    }

    /// The flags that the practice was told of.
    pub(crate) fn alerts(&self) -> Vec<String> {
        self.network.with(|memory| memory.alerts.clone())
    }

    /// What decision nodes accepted.
    pub(crate) fn shown(&self) -> Vec<contracts::presentation::Presentation> {
        self.network.with(|memory| memory.shown.clone())
    }

    /// Lengths that sealed requests of a domain had since the last look.
    pub(crate) fn request_lengths(&self, domain: Domain) -> BTreeSet<usize> {
        let lengths = |memory: &mut Memory| memory.request_lengths.remove(&domain);
        self.network.with(lengths).unwrap_or_default()
    }

    /// Every text handed over.
    pub(crate) fn network_texts(&self) -> Vec<serde_json::Value> {
        self.network
            .with(|memory| memory.texts.values().cloned().collect())
    }

    /// Every body that came in to notifier and agency.
    pub(crate) fn network_heard(&self) -> Vec<Vec<u8>> {
        self.network.with(|memory| memory.heard.clone())
    }

    /// Every row of every table, and every message to notifier and agency, as text.
    pub(crate) async fn dump(&self) -> String {
        let mut dump = self.tables().await;
        for heard in self.network_heard() {
            dump.push_str(&String::from_utf8_lossy(&heard));
        }
        dump
    }

    /// Every row of every table as text.
    pub(crate) async fn tables(&self) -> String {
        use sqlx::{Column, Row, ValueRef};
        let mut dump = String::new();
        for table in [
            "profile",
            "wallet_mark",
            "wallet_skip",
            "wallet_witness",
            "operator_key",
            "handle",
            "subject",
            "attestation",
            "question",
            "refill",
            "document",
            "outbox",
            "idempotency",
            "heard_until",
            "contact_standing",
            "decision_heard",
            "owner_dispute",
            "gap_enquiry",
            "gap_offer",
            "gap_policy",
            "lifecycle",
            "lifecycle_event",
            "lifecycle_task",
            "lifecycle_document",
            "audit",
            "sequence",
            "agency_case",
            "renewal",
            "renewal_item",
            "agency_notice",
            "consent",
            "representative_grant",
            "grant_document",
            "grant_use",
            "watch_consent",
            "watch_grant",
            "watch_tally",
            "watch_change",
            "watch_cursor",
        ] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"));
            for row in sqlx::query(sql)
                .fetch_all(self.store.store.pool())
                .await
                .unwrap()
            {
                for column in row.columns() {
                    let value = row.try_get_raw(column.ordinal()).unwrap();
                    if value.is_null() {
                        continue;
                    }
                    let text = row
                        .try_get::<String, _>(column.ordinal())
                        .or_else(|_| {
                            row.try_get::<i64, _>(column.ordinal())
                                .map(|number| number.to_string())
                        })
                        .unwrap();
                    dump.push_str(&text);
                    dump.push('\n');
                }
            }
        }
        dump
    }
}
