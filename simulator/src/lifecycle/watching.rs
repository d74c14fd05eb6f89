//! What owners let be watched, and how far nodes and profile have come in seeing what changed.

use std::time::Instant;

use contracts::ids::{Domain, NodeId};
use profile::api::watches::Watches;
use serde_json::json;
use sqlx::Row as _;

use super::calm;
use super::world::{Failed, LOOK, Owner, PATIENCE, World};
use crate::demo::ORACLES;
use crate::demo::network::oracle_name;
use crate::demo::oracle_config::nodes;

/// Days for which an owner agrees.
const AGREED_DAYS: i64 = 300;

/// Whether a node has dealt with payroll's changes up to a time, and how many notices it has about income.
const NODE: &str = "SELECT
    EXISTS (SELECT 1 FROM watch_feed WHERE feed = 'payroll' AND marker >= $1) AS passed,
    (SELECT COALESCE(MAX(seq), 0) FROM watch_reader WHERE domain = 'income') AS told";

/// How many of a node's notices about income the profile has taken.
const TAKEN: &str = "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) AS taken FROM watch_cursor WHERE domain = 'income' AND node = $1";

impl World<'_> {
    /// The owner lets every domain be watched; waits until every node watches.
    ///
    /// # Errors
    /// The profile's refusal, or a node that takes no watch.
    pub async fn agree(&self, owner: &Owner) -> Result<(), Failed> {
        let until = self.today()?.plus(AGREED_DAYS);
        let until = until.map_err(|error| error.to_string())?;
        let token = Some(owner.token());
        self.network()
            .put("profile", &path(owner), token, &json!({"until": until}))
            .await?;
        self.until_watches(owner, "every node watches", |now| {
            let held = now.watches.iter();
            let held = held.filter(|it| it.nodes.len() == usize::from(ORACLES));
            held.count() == Domain::ALL.len()
        })
        .await
    }

    /// The owner takes all of it back; waits until no node watches.
    ///
    /// # Errors
    /// The profile's refusal, or a node that does not forget.
    pub async fn take_back(&self, owner: &Owner) -> Result<(), Failed> {
        let token = Some(owner.token());
        self.network()
            .delete("profile", &path(owner), token)
            .await?;
        self.until_watches(owner, "no node watches", |now| now.watches.is_empty())
            .await
    }

    async fn until_watches(
        &self,
        owner: &Owner,
        what: &str,
        holds: impl Fn(&Watches) -> bool,
    ) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let now: Watches = self
                .network()
                .get("profile", &path(owner), Some(owner.token()))
                .await?;
            if holds(&now) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("it did not come about that {what}: {now:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every node that runs has followed payroll's feed past the owner's last event there, and the profile has
    /// taken what they tell. (On SQLite.)
    ///
    /// # Errors
    /// A node does not come so far in time.
    pub async fn until_seen(&self, owner: &Owner) -> Result<(), Failed> {
        let event = owner.last_event();
        let since = Instant::now();
        for node in nodes() {
            while self.network().runs(&oracle_name(node)) && !self.has_seen(node, &event).await? {
                if since.elapsed() > PATIENCE {
                    return Err(format!("oracle {node} did not see what changed at {event}"));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn has_seen(&self, node: NodeId, event: &str) -> Result<bool, Failed> {
        let database = format!("oracles/{node}/node.db");
        let at = calm::read(self.folder(), &database, NODE, event).await?;
        let number = i64::from(node.get());
        let shared = self.database();
        let [taken] = calm::profiles(self.folder(), shared, TAKEN, ["taken"], number).await?;
        let (passed, told): (bool, i64) = (at.get("passed"), at.get("told"));
        Ok(passed && taken >= told)
    }

    /// An oracle dies.
    ///
    /// # Errors
    /// It did not run.
    pub async fn kill(&self, node: u16) -> Result<(), Failed> {
        let name = format!("oracle-{node}");
        match self.network().kill(&name).await {
            true => Ok(()),
            false => Err(format!("{name} did not run")),
        }
    }

    /// It is started again.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&self, node: u16) -> Result<(), Failed> {
        let started = self.network().restart(&format!("oracle-{node}")).await;
        started.map_err(|error| error.to_string())
    }
}

fn path(owner: &Owner) -> String {
    format!("/v1/profiles/{}/watches", owner.profile())
}
