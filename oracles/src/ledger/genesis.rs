//! The log's first entries: every committee key and every registered contract, so that what verifiers trust is itself
//! on record.
//!
//! Both are public, and their commitments take an all-zero salt: whoever has the key or the contract finds its entry.

use contracts::encoding::Blob;
use contracts::epoch::{EpochStatement, PUBLIC_SALT};
use contracts::receipt::{Entry, EntryKind};
use contracts::rules::registry;
use contracts::trust::CommitteeKey;
use serde::Serialize;

use crate::keys::KeyStore;

/// A key entry's payload; of a signing key it is the JSON of a [`CommitteeKey`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyEntry {
    /// The committee, or `identity-oprf`.
    pub committee: String,
    /// The epoch, from 1.
    pub epoch: u64,
    /// The ciphersuite by its RFC 9591 §6 context string.
    pub suite: String,
    /// The group's public key as the suite encodes elements.
    pub key: Blob,
}

impl KeyEntry {
    fn entry(&self) -> Entry {
        Entry::new(EntryKind::CommitteeKey, &PUBLIC_SALT, self)
    }
}

/// The entries that this node can vouch for: keys that were generated and that it holds or held a share of, keys it was
/// configured with, changes of epoch that their committees signed, and the contracts of its release.
pub fn genesis(
    keys: &KeyStore,
    configured: &[CommitteeKey],
    announced: &[EpochStatement],
) -> Vec<Entry> {
    let changes = keys.changes();
    let held = keys.known().into_iter().filter_map(|record| {
        if keys.change(record.key.committee(), record.epoch).is_some() {
            return None;
        }
        let entry = KeyEntry {
            committee: record.key.as_str().to_owned(),
            epoch: record.epoch,
            suite: record.key.suite().as_str().to_owned(),
            key: record.group_key().ok()?,
        };
        Some(entry.entry())
    });
    let statements = changes.iter().map(|change| &change.statement);
    let statements: Vec<&EpochStatement> = statements.chain(announced).collect();
    // A change vouches for the key that was there before it, too: the log of a newcomer starts with it.
    let before = statements
        .iter()
        .filter(|statement| {
            keys.change(statement.committee, statement.previous)
                .is_none()
        })
        .flat_map(|statement| {
            statement.keys.iter().map(|key| KeyEntry {
                committee: key.key.clone(),
                epoch: statement.previous,
                suite: key.suite.clone(),
                key: key.group.clone(),
            })
        })
        .map(|entry| entry.entry());
    let changed = statements.iter().map(|statement| statement.entry());
    let told = configured
        .iter()
        .map(|key| Entry::new(EntryKind::CommitteeKey, &PUBLIC_SALT, key));
    let contracts = registry()
        .iter()
        .map(|(_, reference)| Entry::new(EntryKind::Contract, &PUBLIC_SALT, &reference));
    let mut entries: Vec<Entry> = Vec::new();
    let keys = held.chain(told).chain(before).chain(changed);
    for entry in keys.chain(contracts) {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::ids::Committee;
    use contracts::trust::Suite;

    #[test]
    fn a_key_entry_is_that_of_the_trust_files_key() {
        let key = CommitteeKey {
            committee: Committee::Income,
            epoch: 1,
            suite: Suite::Secp256k1,
            key: Blob(vec![2; 33]),
        };
        let entry = KeyEntry {
            committee: "income".to_owned(),
            epoch: 1,
            suite: crate::ceremony::Suite::Secp256k1.as_str().to_owned(),
            key: key.key.clone(),
        };
        assert_eq!(
            entry.entry(),
            Entry::new(EntryKind::CommitteeKey, &PUBLIC_SALT, &key)
        );
    }
}
