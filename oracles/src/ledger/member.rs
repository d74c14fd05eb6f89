//! A member's rules: what it stores, acknowledges, signs and refuses. See [`message`](super::message) for the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::checkpoint::{self, Checkpoint};
use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use contracts::receipt::{Entry, EntryKind, Receipt};
use ed25519_dalek::VerifyingKey;
use tokio::sync::{Mutex, MutexGuard, RwLock};

use super::message::{
    Ack, Identity, Lock, MAX_BATCH, Members, Position, Proposal, Report, State, ViewCertificate,
};
use super::store::{Standing, Store};
use super::{LedgerError, MAX_FETCH, SharedLinks};

/// The `committee-key` and `contract` entries that belong in the log, as this member knows them.
pub type Genesis = Arc<dyn Fn() -> Vec<Entry> + Send + Sync>;

/// Nothing shorter than what its view starts from is acknowledged or signed: a lock of it would outrank the one that the
/// view started from, and the next view would drop what was signed.
fn above_floor(standing: &Standing, size: u64) -> Result<(), LedgerError> {
    let floor = standing
        .certificate
        .as_ref()
        .map_or(0, ViewCertificate::floor);
    if size < floor {
        return Err(LedgerError::Evidence(
            "proposal: ends before what its view started from",
        ));
    }
    Ok(())
}

/// One member of the ledger committee.
pub struct Member {
    pub(super) me: NodeId,
    pub(super) members: Members,
    pub(super) identity: Arc<dyn Identity>,
    pub(super) key: VerifyingKey,
    pub(super) links: SharedLinks,
    genesis: Genesis,
    /// Held by whoever changes the store, across the fetches a change needs; readers need the store alone.
    changing: Mutex<()>,
    pub(super) store: RwLock<Store>,
    pub(super) recovered: AtomicBool,
    /// Another member has taken over the store.
    retired: AtomicBool,
    /// Entries submitted and not yet proposed.
    pub(super) pending: std::sync::Mutex<Vec<Entry>>,
    /// Held by whoever has entries acknowledged and signed: one proposal at a time.
    pub(super) sequencing: Mutex<()>,
    pub(super) succession: Mutex<()>,
}

impl Member {
    /// A member over its verified store. It takes part only after [`recover`](Self::recover).
    ///
    /// `genesis` names the only `committee-key` and `contract` entries it lets into the log.
    pub fn new(
        me: NodeId,
        members: Members,
        identity: Arc<dyn Identity>,
        key: VerifyingKey,
        links: SharedLinks,
        genesis: Genesis,
        store: Store,
    ) -> Self {
        Self {
            me,
            members,
            identity,
            key,
            links,
            genesis,
            changing: Mutex::new(()),
            store: RwLock::new(store),
            recovered: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            pending: std::sync::Mutex::new(Vec::new()),
            sequencing: Mutex::new(()),
            succession: Mutex::new(()),
        }
    }

    /// Who keeps this log.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The committee's key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether this member lets an entry into the log.
    ///
    /// # Errors
    /// [`LedgerError::NotGenesis`].
    pub fn admit(&self, entry: &Entry) -> Result<(), LedgerError> {
        match entry.kind {
            EntryKind::CommitteeKey | EntryKind::Contract if !(self.genesis)().contains(entry) => {
                Err(LedgerError::NotGenesis(entry.kind))
            }
            _ => Ok(()),
        }
    }

    fn taking_part(&self) -> Result<(), LedgerError> {
        if self.recovered.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(LedgerError::Recovering)
        }
    }

    /// The right to change the store.
    async fn change(&self) -> Result<MutexGuard<'_, ()>, LedgerError> {
        let changing = self.changing.lock().await;
        if self.retired.load(Ordering::Acquire) {
            return Err(LedgerError::Changed);
        }
        Ok(changing)
    }

    /// Ends every change of the store by this member, because another one opens the store for another epoch: two that
    /// remember apart would acknowledge two things for one place.
    pub async fn retire(&self) {
        let _changing = self.changing.lock().await;
        self.retired.store(true, Ordering::Release);
    }

    /// Stores a proposal's entries and acknowledges the position they lead to.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] for a view it left; [`LedgerError::Fork`] when the proposal changes what it acknowledged
    /// in this view; [`LedgerError::Evidence`], [`LedgerError::NotGenesis`] or [`LedgerError::Recovering`].
    pub async fn propose(&self, from: NodeId, proposal: &Proposal) -> Result<Ack, LedgerError> {
        self.taking_part()?;
        if self.members.sequencer(proposal.view) != Some(from) {
            return Err(LedgerError::Evidence(
                "proposal: not by its view's sequencer",
            ));
        }
        if proposal.entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany);
        }
        proposal.entries.iter().try_for_each(|e| self.admit(e))?;
        let _changing = self.change().await?;
        let promised = self.store.read().await.standing().promised;
        if proposal.view < promised {
            return Err(LedgerError::Stale(promised));
        }
        if proposal.view > self.store.read().await.standing().view {
            let certificate = proposal
                .certificate
                .as_ref()
                .filter(|certificate| certificate.view == proposal.view)
                .ok_or(LedgerError::Evidence("proposal: no right to its view"))?;
            self.enter(certificate, &[from]).await?;
        }
        let held = self.store.read().await.size();
        if proposal.base > held {
            let missing = self.fetch(from, held, proposal.base).await?;
            self.extend_checked(held, &missing, proposal.base, proposal.base_root)
                .await?;
        }
        let ack = self.acknowledge(proposal).await?;
        self.links.witnessed().await?;
        Ok(ack)
    }

    /// Appends fetched entries if they lead to the root expected.
    async fn extend_checked(
        &self,
        from: u64,
        entries: &[Entry],
        size: u64,
        root: Bytes32,
    ) -> Result<(), LedgerError> {
        entries.iter().try_for_each(|entry| self.admit(entry))?;
        let mut store = self.store.write().await;
        if store.root_with(from, entries) != Some((size, root)) {
            return Err(LedgerError::Fork);
        }
        let standing = store.standing().clone();
        store.write(from, entries, standing).await
    }

    async fn acknowledge(&self, proposal: &Proposal) -> Result<Ack, LedgerError> {
        let mut store = self.store.write().await;
        if store.root(proposal.base) != Some(proposal.base_root) {
            return Err(LedgerError::Fork);
        }
        let count = proposal.entries.len() as u64;
        let target = proposal.base.saturating_add(count);
        above_floor(store.standing(), target)?;
        let held = store.size();
        // What overlaps must be the same: within a view the log only grows.
        let overlap = held.min(target) - proposal.base;
        let (old, new) = proposal.entries.split_at(
            usize::try_from(overlap)
                .unwrap_or(usize::MAX)
                .min(proposal.entries.len()),
        );
        if store.entries(proposal.base, overlap).await? != old {
            return Err(LedgerError::Fork);
        }
        let (_, root) = store
            .root_with(held, new)
            .filter(|(size, _)| *size >= target)
            .ok_or(LedgerError::Fork)?;
        let root = if target < held {
            store.root(target).ok_or(LedgerError::Fork)?
        } else {
            root
        };
        let position = Position {
            view: proposal.view,
            size: target,
            root,
        };
        let mut standing = store.standing().clone();
        if standing.acked.is_none_or(|acked| acked.size < target) {
            standing.acked = Some(position);
        }
        store.write(held, new, standing).await?;
        Ok(Ack::new(
            &self.members.origin,
            self.me,
            position,
            self.identity.as_ref(),
        ))
    }

    /// Enters a view: verifies the right to it and makes the log that of its start, fetching what is missing.
    ///
    /// The caller holds `changing`.
    async fn enter(
        &self,
        certificate: &ViewCertificate,
        sources: &[NodeId],
    ) -> Result<(), LedgerError> {
        certificate.verify(&self.members, self.identity.as_ref())?;
        let standing = {
            let store = self.store.read().await;
            if certificate.view <= store.standing().view {
                return Ok(());
            }
            let standing = store.standing().clone();
            let start = certificate.start().cloned();
            let held = standing.lock.filter(|lock| {
                start
                    .as_ref()
                    .is_none_or(|start| start.position.rank() < lock.position.rank())
            });
            Standing {
                view: certificate.view,
                // Who reported for a later view takes no part in this one, and follows what the others do in it.
                promised: standing.promised.max(certificate.view),
                certificate: Some(certificate.clone()),
                lock: held.or(start),
                acked: None,
                since: standing.since,
            }
        };
        let Some(start) = certificate.start() else {
            let mut store = self.store.write().await;
            let keep = store.signed_size();
            return store.write(keep, &[], standing).await;
        };
        let (size, root) = (start.position.size, start.position.root);
        {
            let mut store = self.store.write().await;
            if store.root(size) == Some(root) {
                // A checkpoint that was heard of before the view is of the view's log too, and stays.
                let keep = size.max(store.signed_size());
                return store.write(keep, &[], standing).await;
            }
        }
        // A signed checkpoint is part of every later view's log, so what follows it is all that can differ.
        let keep = self.store.read().await.signed_size();
        let holders = start.acks.iter().map(|ack| ack.member);
        let mut last = LedgerError::Fork;
        for node in sources.iter().copied().chain(holders) {
            if node == self.me {
                continue;
            }
            match self.fetch(node, keep, size).await {
                Ok(entries) => {
                    entries.iter().try_for_each(|entry| self.admit(entry))?;
                    let mut store = self.store.write().await;
                    if store.root_with(keep, &entries) == Some((size, root)) {
                        return store.write(keep, &entries, standing).await;
                    }
                    last = LedgerError::Peer {
                        node,
                        cause: "its entries are not those of the lock".to_owned(),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Enters a view that another member shows the right to.
    ///
    /// # Errors
    /// As for a proposal of that view.
    pub async fn learn(
        &self,
        certificate: &ViewCertificate,
        from: NodeId,
    ) -> Result<(), LedgerError> {
        let _changing = self.change().await?;
        self.enter(certificate, &[from]).await
    }

    /// The checkpoint body this member signs for a lock, from its own store; it stores the lock first.
    ///
    /// # Errors
    /// [`LedgerError::Evidence`] for a lock that does not hold, [`LedgerError::Stale`] for one of a view it left,
    /// [`LedgerError::Unacknowledged`] for a position it has not acknowledged (yet), or [`LedgerError::Fork`] for another
    /// root than it acknowledged.
    pub async fn checkpoint_body(&self, lock: &Lock) -> Result<String, LedgerError> {
        self.taking_part()?;
        lock.verify(&self.members, self.identity.as_ref())?;
        let _changing = self.change().await?;
        let mut store = self.store.write().await;
        let mut standing = store.standing().clone();
        let position = lock.position;
        if position.view < standing.promised.max(standing.view) {
            return Err(LedgerError::Stale(standing.promised));
        }
        let acknowledged = standing
            .acked
            .is_some_and(|acked| acked.view == position.view && acked.size >= position.size);
        if !acknowledged {
            return Err(LedgerError::Unacknowledged);
        }
        if store.root(position.size) != Some(position.root) {
            return Err(LedgerError::Fork);
        }
        let higher = standing
            .lock
            .as_ref()
            .is_none_or(|held| held.position.rank() < position.rank());
        if higher {
            standing.lock = Some(lock.clone());
            store.stand(standing).await?;
        }
        Ok(checkpoint::body(
            &self.members.origin,
            position.size,
            &position.root,
        ))
    }

    /// Leaves every view below `view`, durably, and reports its highest lock.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] when it is in that view or promised a later one.
    pub async fn report(&self, view: u64) -> Result<Report, LedgerError> {
        self.taking_part()?;
        let _changing = self.change().await?;
        let mut store = self.store.write().await;
        let mut standing = store.standing().clone();
        if view <= standing.view || view < standing.promised {
            return Err(LedgerError::Stale(standing.promised));
        }
        let lock = standing.lock.clone();
        if view > standing.promised {
            standing.promised = view;
            store.stand(standing).await?;
        }
        drop(store);
        self.links.witnessed().await?;
        Ok(Report::new(
            &self.members.origin,
            self.me,
            view,
            lock,
            self.identity.as_ref(),
        ))
    }

    /// Takes note of a signed checkpoint, catching up from its sender first when entries are missing.
    ///
    /// Where it conflicts with what this member acknowledged and nobody signed, the others signed it in a later view,
    /// which this member has not heard of: it leaves its own view and follows. A quorum's word outweighs its own.
    ///
    /// # Errors
    /// [`LedgerError::Checkpoint`] for one that does not verify; [`LedgerError::Fork`] when it conflicts with one that
    /// was signed before.
    pub async fn commit(&self, from: NodeId, note: &str) -> Result<(), LedgerError> {
        let checkpoint = Checkpoint::open(note, &self.members.origin, &self.key)?;
        let _changing = self.change().await?;
        {
            let mut store = self.store.write().await;
            if checkpoint.size <= store.signed_size()
                || store.root(checkpoint.size) == Some(checkpoint.root)
            {
                return store.sign_off(checkpoint, note.to_owned()).await;
            }
        }
        let (held, signed, acked) = {
            let store = self.store.read().await;
            let acked = store.standing().acked.map_or(0, |acked| acked.size);
            (store.size(), store.signed_size(), acked)
        };
        // What it holds is a prefix, or ends in proposals of an earlier view that came to nothing.
        for keep in [held, acked.max(signed), signed] {
            if keep > held || keep > checkpoint.size {
                continue;
            }
            let entries = self.fetch(from, keep, checkpoint.size).await?;
            let mut store = self.store.write().await;
            if store.root_with(keep, &entries) == Some((checkpoint.size, checkpoint.root)) {
                let mut standing = store.standing().clone();
                if keep < acked {
                    standing.promised = standing.promised.max(standing.view.saturating_add(1));
                    standing.acked = None;
                }
                store.write(keep, &entries, standing).await?;
                return store.sign_off(checkpoint, note.to_owned()).await;
            }
        }
        Err(LedgerError::Fork)
    }

    /// What this member holds.
    pub async fn state(&self) -> State {
        let store = self.store.read().await;
        State {
            certificate: store.standing().certificate.clone(),
            lock: store.standing().lock.clone(),
            checkpoint: store.checkpoint().map(|(_, note)| note.clone()),
            size: store.size(),
            promised: store.standing().promised,
        }
    }

    /// Leaves, durably, every view up to `highest`, and stands by the highest lock that others hold.
    pub(super) async fn leave_views(
        &self,
        highest: u64,
        lock: Option<Lock>,
    ) -> Result<(), LedgerError> {
        let _changing = self.change().await?;
        let mut store = self.store.write().await;
        let mut standing = store.standing().clone();
        let known = highest.max(standing.view).max(standing.promised);
        standing.promised = known.saturating_add(1);
        standing.since = self.members.since;
        let held = standing.lock.as_ref().map(|lock| lock.position.rank());
        if let Some(lock) = lock.filter(|lock| Some(lock.position.rank()) > held) {
            standing.lock = Some(lock);
        }
        store.stand(standing).await
    }

    /// Entries this member holds, at most [`MAX_FETCH`].
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] or a database error.
    pub async fn entries(&self, start: u64, count: u64) -> Result<Vec<Entry>, LedgerError> {
        let store = self.store.read().await;
        store.entries(start, count.min(MAX_FETCH)).await
    }

    /// Entries under the latest signed checkpoint, at most [`MAX_FETCH`].
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] or a database error.
    pub async fn signed_entries(&self, start: u64, count: u32) -> Result<Vec<Entry>, LedgerError> {
        let store = self.store.read().await;
        let left = store.signed_size().saturating_sub(start);
        let count = u64::from(count).min(left).min(MAX_FETCH);
        store.entries(start, count).await
    }

    /// Consistency proof between two sizes under the latest signed checkpoint.
    pub async fn consistency(&self, old: u64, new: u64) -> Option<Vec<Bytes32>> {
        self.store.read().await.consistency(old, new)
    }

    /// Receipts of entries that are all under the latest signed checkpoint; none if one is not.
    pub(super) async fn receipts(
        &self,
        entries: &[Entry],
    ) -> Result<Option<Vec<Receipt>>, LedgerError> {
        let store = self.store.read().await;
        let mut receipts = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(index) = store.find(entry) else {
                return Ok(None);
            };
            let Some(receipt) = store.receipt(index).await? else {
                return Ok(None);
            };
            receipts.push(receipt);
        }
        Ok(Some(receipts))
    }
}
