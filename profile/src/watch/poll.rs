//! Reading nodes: each by itself, from where it was left, so that one that is silent delays nobody else's word.

use std::collections::BTreeMap;

use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{Committee, Domain};
use contracts::units::UnixTime;
use oracles::problem::Problem;
use oracles::watch::Tally;
use oracles::wire::watch::{ChangeNotice, Changes};

use super::mind::backoff;
use crate::service::Service;
use crate::store::watch::{
    Cursor, StoredChange, grant_of, lock_consent, lock_tally, move_cursor, put_change, save_tally,
};
use crate::store::{StoreError, Tx};

/// What a tally calls a profile's watches of a domain, all together: while a watch is being renewed two of them see the same
/// change, and a node has one voice for it.
const ALL: Bytes32 = Bytes([0; 32]);

/// Voices of nothing yet, sealed as [`Service::count`] opens them.
pub(super) fn silence(service: &Service, profile: &Bytes32, domain: Domain) -> String {
    service.seal_watch(profile, &tally_of(domain), &Tally::default())
}

fn tally_of(domain: Domain) -> String {
    format!("tally {domain}")
}

impl Service {
    /// Claims a node that is to be read and reads it; says whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn read_next(&self, now: UnixTime, until: UnixTime) -> Result<bool, Problem> {
        let Some(cursor) = self.store.claim_cursor(now, until).await? else {
            return Ok(false);
        };
        let (domain, node) = (cursor.domain, cursor.node);
        let poll = i64::from(self.watch.poll_seconds);
        let idle = !self.watch.enabled
            || !self.members(domain).contains(&node)
            || !self.store.watches(domain).await?;
        if idle {
            let at = UnixTime(self.clock.now().0 + poll);
            self.leave(&cursor, at, 0).await?;
            return Ok(true);
        }
        let reader = self.reader(domain)?;
        match self
            .oracles
            .changes(domain, node, &reader, cursor.seq)
            .await
        {
            Ok(changes) => {
                let wait = if changes.more { 0 } else { poll };
                let at = UnixTime(self.clock.now().0 + wait);
                self.count(&cursor, &changes, at).await?;
                self.metrics.task("watch-read", "done");
            }
            Err(failure) => {
                let wait = backoff(cursor.failures).max(poll);
                tracing::warn!(%domain, %node, %failure, wait, "a node did not say what changed");
                let at = UnixTime(self.clock.now().0 + wait);
                self.leave(&cursor, at, cursor.failures.saturating_add(1))
                    .await?;
                self.metrics.task("watch-read", "failed");
            }
        }
        Ok(true)
    }

    async fn leave(&self, cursor: &Cursor, at: UnixTime, failures: u32) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        move_cursor(&mut tx, cursor, cursor.seq, at, failures).await?;
        Ok(tx.commit().await?)
    }

    /// Counts a node's notices: its voices, the changes that now have a quorum, and how far it was read are one transaction.
    async fn count(&self, cursor: &Cursor, changes: &Changes, at: UnixTime) -> Result<(), Problem> {
        let last = changes.notices.last();
        let seq = last.map_or(cursor.seq, |notice| notice.seq);
        let mut tx = self.store.begin().await?;
        if !move_cursor(&mut tx, cursor, seq, at, 0).await? {
            // Another worker took them, after this one's lease.
            return Ok(());
        }
        let mut told: BTreeMap<Bytes32, Vec<ChangeNotice>> = BTreeMap::new();
        for notice in &changes.notices {
            if let Some(profile) = self.whose(&mut tx, cursor.domain, notice).await? {
                let notices = told.entry(profile).or_default();
                notices.push(ChangeNotice {
                    watch: ALL,
                    ..notice.clone()
                });
            }
        }
        // By profile, ascending: two workers that read two nodes cannot wait for each other.
        for (profile, notices) in told {
            self.take_voices(&mut tx, cursor, &profile, notices).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The profile that a notice is about, if it is about one: a node may make up watches, attributes and days.
    async fn whose(
        &self,
        tx: &mut Tx,
        domain: Domain,
        notice: &ChangeNotice,
    ) -> Result<Option<Bytes32>, Problem> {
        let Some(grant) = grant_of(tx, &notice.watch).await? else {
            tracing::debug!(%domain, "a notice of no watch");
            return Ok(None);
        };
        let dated = notice.since <= notice.day && notice.day <= grant.expires;
        let fits = grant.domain == domain && !grant.ended && dated;
        if !fits || !self.attributes(&grant)?.contains(&notice.attribute) {
            return Ok(None);
        }
        Ok(Some(grant.profile))
    }

    async fn take_voices(
        &self,
        tx: &mut Tx,
        cursor: &Cursor,
        profile: &Bytes32,
        notices: Vec<ChangeNotice>,
    ) -> Result<(), Problem> {
        let domain = cursor.domain;
        // As whoever takes an agreement back does: agreement first.
        lock_consent(tx, profile).await?;
        let Some(sealed) = lock_tally(tx, profile, domain).await? else {
            return Ok(());
        };
        let mut tally: Tally = self.open_watch(profile, &tally_of(domain), &sealed)?;
        let heard = Changes {
            notices,
            more: false,
        };
        tally.take(cursor.node, &heard, |_, _| true);
        let (_, quorum) = self.oracles.committee(Committee::from(domain));
        for (_, attribute) in tally.standing(quorum) {
            tracing::info!(%domain, "a quorum says that a fact changed");
            let digest = self.change_digest(profile, &attribute);
            let change = StoredChange {
                digest,
                sealed: self.seal_watch(profile, &format!("change {digest}"), &attribute),
                since: self.clock.now(),
                times: 1,
            };
            put_change(tx, profile, &change).await?;
        }
        let sealed = self.seal_watch(profile, &tally_of(domain), &tally);
        Ok(save_tally(tx, profile, domain, &sealed).await?)
    }
}
