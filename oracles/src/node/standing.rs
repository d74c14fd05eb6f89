//! What a node knows of committees: who sits on them now, in which epoch, under which key.

use std::collections::HashMap;

use contracts::encoding::Blob;
use contracts::ids::Committee;

use super::Node;
use crate::ceremony::KeyId;
use crate::config::{ConfigError, NodeConfig};
use crate::keys::Standing;
use crate::{attest, decision, ledger};

impl Node {
    /// A committee as it stands: as its latest change of epoch has it, or before its first one the configuration.
    pub fn standing(&self, committee: Committee) -> Option<Standing> {
        let configured = self.config.committee(committee).map(|it| {
            let mut members = it.members.clone();
            members.sort_unstable();
            Standing {
                epoch: it.epoch,
                members,
                threshold: it.threshold(),
            }
        });
        match (self.keys.standing(committee), configured) {
            // An epoch that was raised by hand is to have a key of its own.
            (Some(held), Some(configured)) if held.epoch < configured.epoch => Some(configured),
            (Some(held), _) => Some(held),
            (None, configured) => configured,
        }
    }

    /// Epoch of a committee's keys; 0 for a committee that this node knows nothing of.
    pub fn epoch(&self, committee: Committee) -> u64 {
        self.standing(committee)
            .map_or(0, |standing| standing.epoch)
    }

    /// A group key as this node knows it, as its suite encodes elements: from its own share, from a change of epoch that
    /// the committee signed, or from its configuration.
    pub fn group_key(&self, key: KeyId, epoch: u64) -> Option<Blob> {
        let held = self.keys.public(key, epoch);
        held.and_then(|record| record.group_key().ok())
            .or_else(|| {
                let change = self.keys.change(key.committee(), epoch)?;
                let keys = &change.statement.keys;
                let named = keys.iter().find(|it| it.key == key.as_str())?;
                Some(named.group.clone())
            })
            .or_else(|| self.configured_keys.get(&(key, epoch)).cloned())
    }

    /// Whether this node sits on a committee, or will after the change that its operator wrote down.
    pub fn serves(&self, committee: Committee) -> bool {
        let standing = self.keys.standing(committee);
        self.config.serves(committee)
            || standing.is_some_and(|standing| standing.members.contains(&self.id))
    }
}

/// The keys of committees that the roles' settings name, for nodes that do not sit on them.
pub(super) fn configured_keys(
    config: &NodeConfig,
) -> Result<HashMap<(KeyId, u64), Blob>, ConfigError> {
    let mut keys = HashMap::new();
    let attest: attest::AttestConfig = config.role("attest")?.unwrap_or_default();
    for it in attest.committee_key {
        keys.insert(
            (KeyId::Signing(it.committee.into()), it.epoch),
            Blob(it.key.0.to_vec()),
        );
    }
    let ledger: Option<ledger::LedgerConfig> = config.role("ledger")?;
    let decision: Option<decision::DecisionConfig> = config.role("decision")?;
    let told = ledger.map(|it| it.committee_keys).unwrap_or_default();
    let more = decision.map(|it| it.committee_keys).unwrap_or_default();
    for it in told.into_iter().chain(more) {
        keys.insert((KeyId::Signing(it.committee), it.epoch), it.key);
    }
    Ok(keys)
}
