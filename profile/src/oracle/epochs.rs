//! Following committees through their epochs: new members, the same key, shown by the committee's own signature and the
//! ledger. Newcomers' addresses and HPKE keys come from the configuration all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use contracts::epoch::{EpochChange, MAX_CHANGES, MAX_CHANGES_BYTES};
use oracles::http;

use super::Oracles;

#[cfg(test)]
mod tests;

impl Oracles {
    /// Asks every node for changes of epoch and follows those that verify. Says whether anything changed.
    pub async fn follow(&self) -> bool {
        let calls = self.nodes.values().map(|node| {
            let request = self
                .http
                .get(node.url.endpoint("/v1/epochs"))
                .timeout(self.call_timeout());
            async move { http::send_json::<Vec<EpochChange>>(request, MAX_CHANGES_BYTES).await }
        });
        let mut changes: BTreeMap<_, EpochChange> = BTreeMap::new();
        for answer in futures::future::join_all(calls).await.into_iter().flatten() {
            let mut trust = (*self.trust()).clone();
            let mut answer = answer;
            answer.truncate(MAX_CHANGES);
            answer.sort_by_key(|change| change.statement.epoch);
            for change in answer {
                // Each node's account is checked by itself: one that lies spoils nobody else's.
                if trust.follow(&change).is_ok() {
                    let statement = &change.statement;
                    changes.insert((statement.epoch, statement.committee), change);
                }
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut trust = (*known.trust).clone();
        let mut changed = false;
        for change in changes.into_values() {
            let statement = &change.statement;
            let latest = known.epochs.get(&statement.committee).copied();
            if latest.is_some_and(|latest| latest >= statement.epoch)
                || trust.follow(&change).is_err()
            {
                continue;
            }
            let committee = (statement.members.clone(), statement.threshold);
            known.committees.insert(statement.committee, committee);
            known.epochs.insert(statement.committee, statement.epoch);
            tracing::info!(committee = %statement.committee, epoch = statement.epoch, "a committee changed");
            changed = true;
        }
        known.trust = Arc::new(trust);
        changed
    }
}
