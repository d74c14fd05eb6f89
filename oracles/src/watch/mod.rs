//! A fact committee's watches: an owner grants one, feeds of the sources say whose records were touched, and the node tells
//! the reader that the owner named *that* a fact changed.
//!
//! A node reads a watched fact when a feed names its person, never on a round through all people. Between readings it keeps the
//! handle's source keys sealed and a keyed digest of the last agreed value: no plaintext outlives a reading.

mod digest;
mod door;
mod error;
mod fact;
mod grant;
mod pull;
mod role;
mod seen;
mod store;
mod tally;

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::ids::Domain;
use serde::{Deserialize, Serialize};

pub use self::digest::{SourceKeys, WatchKeys};
pub use self::door::{SIGNATURE_HEADER, TIMESTAMP_HEADER, WEBHOOK_WINDOW, webhook_signature};
pub use self::error::WatchError;
pub(crate) use self::role::mount;
pub use self::store::{FactRow, NewWatch, WatchStore};
pub use self::tally::Tally;

use self::door::Doors;
use crate::attest::{Seat, Shared, seat};
use crate::node::Node;
use crate::sources::{FeedConfig, Sources};

/// `[roles.watch]` of a node's configuration; without it the node watches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// How sources say whose records they touched. Without a feed of each source of a fact, its changes are seen late or never.
    pub feed: Vec<FeedConfig>,
    /// Watches that one owner may have at this node, domain by domain.
    pub watches_per_person: u32,
    /// Days for which a notice can be read.
    pub notice_days: u16,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            feed: Vec::new(),
            watches_per_person: 8,
            notice_days: 90,
        }
    }
}

impl WatchConfig {
    fn check(&self, sources: &Sources) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for feed in &self.feed {
            let checked = sources.check_feed(feed);
            checked.map_err(|error| error.to_string())?;
            if !names.insert(&feed.name) {
                return Err(format!("feed {}: named twice", feed.name));
            }
        }
        if self.watches_per_person == 0 || self.notice_days == 0 {
            return Err("watches_per_person, notice_days: write 1 or more".to_owned());
        }
        Ok(())
    }
}

/// A node's watches.
pub(crate) struct Watcher {
    node: Arc<Node>,
    shared: Arc<Shared>,
    config: WatchConfig,
    keys: WatchKeys,
    store: WatchStore,
    doors: Doors,
}

impl Watcher {
    /// The seat as the committee stands now.
    fn seat(&self, domain: Domain) -> Result<Seat, WatchError> {
        let seat = seat(&self.node, domain).filter(|seat| seat.members.contains(&seat.node));
        seat.ok_or(WatchError::NoSeat)
    }
}
