//! Putting entries in order: the sequencer's work, and how a successor takes over from one that fails.

use std::time::Duration;

use async_trait::async_trait;
use contracts::checkpoint::Checkpoint;
use contracts::ids::NodeId;
use contracts::receipt::{Entry, Receipt};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout, timeout_at};

use super::message::{Ack, Answer, Call, Lock, MAX_BATCH, Proposal, Report, ViewCertificate};
use super::{APPEND_DEADLINE, Ledger, LedgerError, Member};

/// How long the sequencer has to have entries acknowledged and signed, before it is suspected.
const SUBMIT_WAIT: Duration = Duration::from_secs(4);
/// How long a member has to store and acknowledge.
const PROPOSE_WAIT: Duration = Duration::from_secs(2);
/// How long the slower members have once a quorum has acknowledged.
const GRACE: Duration = Duration::from_millis(150);
/// Entries that wait for a round at most: sixteen full ones.
pub(super) const MAX_WAITING: usize = 16 * MAX_BATCH;
/// Tries at one checkpoint's signature: a signer may die between acknowledging and signing.
const SIGN_ATTEMPTS: u32 = 2;
/// How long a member tries a suspected sequencer itself.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// How long a member has to report, its own try of the sequencer included.
const REPORT_WAIT: Duration = Duration::from_secs(3);
/// How long a successor has to take over.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(6);
/// Pause before asking again.
const PAUSE: Duration = Duration::from_millis(100);

impl Member {
    /// Answers a call from another node.
    pub async fn answer(&self, from: NodeId, call: Call) -> Answer {
        let done = match call {
            Call::Append(entries) => self.append(&entries).await.map(Answer::Receipts),
            Call::Submit(entries) => self.submit(entries).await.map(|receipts| {
                let first = receipts.into_iter().next();
                Answer::Appended(first.map_or_else(String::new, |receipt| receipt.checkpoint))
            }),
            Call::Propose(proposal) => self
                .propose(from, &proposal)
                .await
                .map(Answer::Acknowledged),
            Call::Commit(note) => self.commit(from, &note).await.map(|()| Answer::Noted),
            Call::Report { view, entries } => self
                .report_unless_well(view, entries)
                .await
                .map(Answer::Reported),
            Call::TakeOver { view, entries } => {
                self.take_over(view, entries).await.map(Answer::View)
            }
            Call::State => Ok(Answer::State(self.state().await)),
            Call::Find(entries) => self
                .find(&entries)
                .await
                .map(|receipts| Answer::Receipts(receipts.unwrap_or_default())),
            Call::Receipt(index) => self
                .receipt(index)
                .await
                .map(|receipt| Answer::Receipts(receipt.into_iter().collect())),
            Call::Entries { start, count } => self.entries(start, count).await.map(Answer::Entries),
        };
        match done {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, LedgerError::Fork) {
                    tracing::error!(node = %from, %error, "refused a conflicting call");
                }
                Answer::Refused {
                    reason: error.to_string(),
                    view: self.view().await,
                }
            }
        }
    }

    /// The latest view this member knows of.
    pub async fn view(&self) -> u64 {
        let store = self.store.read().await;
        store.standing().view.max(store.standing().promised)
    }

    /// As sequencer: has entries acknowledged and signed, together with whatever else waits.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] when this member is not the sequencer; [`LedgerError::Quorum`] or
    /// [`LedgerError::Signing`] name the members that did not take part.
    pub async fn submit(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, LedgerError> {
        if entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany);
        }
        entries.iter().try_for_each(|entry| self.admit(entry))?;
        if let Some(receipts) = self.receipts(&entries).await? {
            return Ok(receipts);
        }
        self.sequences().await?;
        self.wait_in_line(&entries)?;
        let _sequencing = self.sequencing.lock().await;
        if let Some(receipts) = self.receipts(&entries).await? {
            return Ok(receipts);
        }
        // What an earlier attempt left in the sequencer's own store comes first: in its view it never proposes two
        // things for one place.
        self.round(Vec::new()).await?;
        let batch = self.next_batch(&entries).await;
        self.round(batch).await?;
        self.receipts(&entries)
            .await?
            .ok_or_else(|| LedgerError::Signing("the entries are not in the log".to_owned()))
    }

    /// The view that this member sequences now.
    async fn sequences(&self) -> Result<u64, LedgerError> {
        let store = self.store.read().await;
        let standing = store.standing();
        let is_sequencer = self.members.sequencer(standing.view) == Some(self.me);
        if !is_sequencer || standing.promised > standing.view {
            return Err(LedgerError::Stale(standing.promised));
        }
        Ok(standing.view)
    }

    /// Entries that the next round may take along, each once.
    fn wait_in_line(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        let mut queue = self.queue();
        let new: Vec<Entry> = entries
            .iter()
            .filter(|entry| !queue.contains(entry))
            .copied()
            .collect();
        if queue.len() + new.len() > MAX_WAITING {
            return Err(LedgerError::TooMany);
        }
        queue.extend(new);
        Ok(())
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.pending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Entries not in the log yet: these first, then as many as fit of those that wait.
    async fn next_batch(&self, first: &[Entry]) -> Vec<Entry> {
        let waiting: Vec<Entry> = self.queue().drain(..).collect();
        let store = self.store.read().await;
        let mut batch: Vec<Entry> = Vec::new();
        let mut later = Vec::new();
        for entry in first.iter().copied().chain(waiting) {
            if store.find(&entry).is_some() || batch.contains(&entry) {
                continue;
            }
            if batch.len() < MAX_BATCH {
                batch.push(entry);
            } else {
                later.push(entry);
            }
        }
        drop(store);
        self.queue().extend(later);
        batch
    }

    /// Has the sequencer's log and then these entries acknowledged by a quorum, signed by the committee, and told to
    /// all. Nothing to do when all is signed and there are no entries.
    async fn round(&self, entries: Vec<Entry>) -> Result<(), LedgerError> {
        self.sequences().await?;
        let proposal = {
            let store = self.store.read().await;
            let standing = store.standing();
            let size = store.size();
            if size == store.signed_size() && entries.is_empty() {
                return Ok(());
            }
            let (base, entries) = if entries.is_empty() {
                // Members that lack what comes before fetch it.
                let base = size
                    .saturating_sub(MAX_BATCH as u64)
                    .max(store.signed_size());
                (base, store.entries(base, size - base).await?)
            } else {
                (size, entries)
            };
            Proposal {
                view: standing.view,
                certificate: standing.certificate.clone(),
                base,
                base_root: store.root(base).ok_or(LedgerError::Fork)?,
                entries,
            }
        };
        let own = self.propose(self.me, &proposal).await?;
        let mut attempt = 1;
        let (position, signature) = loop {
            let acks = self.gather_acks(proposal.clone(), own.clone()).await?;
            let signers: Vec<NodeId> = acks.iter().map(|ack| ack.member).collect();
            let lock = Lock {
                position: own.position,
                acks,
            };
            match self.links.sign(&signers, &lock).await {
                Ok(signature) => break (lock.position, signature),
                Err(error) if attempt < SIGN_ATTEMPTS => {
                    tracing::warn!(%error, attempt, "checkpoint not signed; asking again");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let checkpoint = Checkpoint {
            origin: self.members.origin.clone(),
            size: position.size,
            root: position.root,
        };
        let note = checkpoint.encode(&self.key, &signature)?;
        self.commit(self.me, &note).await?;
        self.tell(note);
        Ok(())
    }

    /// A quorum's acknowledgements of the position that our own names, and those of quick others.
    async fn gather_acks(&self, proposal: Proposal, own: Ack) -> Result<Vec<Ack>, LedgerError> {
        let call = Call::Propose(proposal);
        let mut answers: FuturesUnordered<_> = self
            .others()
            .map(|node| {
                let (links, call) = (self.links.clone(), call.clone());
                // A task of its own, so that a member slower than the quorum still gets the entries.
                let asked =
                    tokio::spawn(async move { links.call(node, &call, PROPOSE_WAIT).await });
                async move { (node, asked.await) }
            })
            .collect();
        let needed = usize::from(self.members.threshold);
        let position = own.position;
        let mut acks = vec![own];
        let mut missing = Vec::new();
        let mut ahead = None;
        let mut until = Instant::now() + PROPOSE_WAIT;
        while let Ok(Some((node, answer))) = timeout_at(until, answers.next()).await {
            match answer {
                Ok(Ok(Answer::Acknowledged(ack)))
                    if ack.member == node
                        && ack.position == position
                        && ack.verify(&self.members.origin, self.identity.as_ref()) =>
                {
                    acks.push(ack);
                }
                Ok(Ok(Answer::Refused { reason, view })) => {
                    if view > position.view {
                        ahead = Some(node);
                    }
                    missing.push((node, reason));
                }
                Ok(Ok(_)) => missing.push((node, "acknowledged something else".to_owned())),
                Ok(Err(error)) => missing.push((node, error.to_string())),
                Err(error) => missing.push((node, error.to_string())),
            }
            if acks.len() >= needed {
                until = until.min(Instant::now() + GRACE);
            }
        }
        for (node, reason) in &missing {
            tracing::warn!(%node, %reason, "ledger member did not acknowledge");
        }
        if acks.len() < needed {
            if let Some(node) = ahead {
                self.catch_up_from(node).await?;
            }
            for node in self.others() {
                let known = acks.iter().any(|ack| ack.member == node)
                    || missing.iter().any(|(other, _)| *other == node);
                if !known {
                    missing.push((node, "silent".to_owned()));
                }
            }
            return Err(LedgerError::Quorum {
                step: "acknowledge",
                answered: acks.len(),
                needed: self.members.threshold,
                missing,
            });
        }
        Ok(acks)
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members
            .nodes
            .iter()
            .copied()
            .filter(|node| *node != self.me)
    }

    /// Tells every member of a new checkpoint; who misses it catches up later.
    fn tell(&self, note: String) {
        for node in self.others() {
            let (links, call) = (self.links.clone(), Call::Commit(note.clone()));
            tokio::spawn(async move {
                if let Err(error) = links.call(node, &call, PROPOSE_WAIT).await {
                    tracing::warn!(%node, %error, "ledger member not told of a checkpoint");
                }
            });
        }
    }

    /// Reports to a successor, unless the present sequencer gets the entries through.
    async fn report_unless_well(
        &self,
        view: u64,
        entries: Vec<Entry>,
    ) -> Result<Report, LedgerError> {
        let (current, left) = {
            let store = self.store.read().await;
            let standing = store.standing();
            (standing.view, standing.promised > standing.view)
        };
        if view > current && !left && self.sequencer_is_well(current, entries).await {
            return Err(LedgerError::Evidence(
                "report: this member's sequencer appends well",
            ));
        }
        self.report(view).await
    }

    async fn sequencer_is_well(&self, view: u64, entries: Vec<Entry>) -> bool {
        let Some(sequencer) = self.members.sequencer(view) else {
            return false;
        };
        if sequencer == self.me {
            return matches!(timeout(PROBE_WAIT, self.submit(entries)).await, Ok(Ok(_)));
        }
        let answer = self
            .links
            .call(sequencer, &Call::Submit(entries), PROBE_WAIT)
            .await;
        matches!(answer, Ok(Answer::Appended(_)))
    }

    /// As successor: collects a quorum's reports and enters the view.
    ///
    /// # Errors
    /// [`LedgerError::Quorum`] when too few members leave the present view.
    pub async fn take_over(&self, view: u64, entries: Vec<Entry>) -> Result<u64, LedgerError> {
        if self.members.sequencer(view) != Some(self.me) || entries.len() > MAX_BATCH {
            return Err(LedgerError::Evidence("take-over: not this member's view"));
        }
        let _succession = self.succession.lock().await;
        let current = self.store.read().await.standing().view;
        if current >= view {
            return Ok(current);
        }
        let own = self.report_unless_well(view, entries.clone()).await?;
        let call = Call::Report { view, entries };
        let mut answers: FuturesUnordered<_> = self
            .others()
            .map(|node| {
                let call = call.clone();
                async move { (node, self.links.call(node, &call, REPORT_WAIT).await) }
            })
            .collect();
        let needed = usize::from(self.members.threshold);
        let mut reports = vec![own];
        let mut missing = Vec::new();
        let mut sources = Vec::new();
        while reports.len() < needed {
            let Some((node, answer)) = answers.next().await else {
                return Err(LedgerError::Quorum {
                    step: "report for a new view",
                    answered: reports.len(),
                    needed: self.members.threshold,
                    missing,
                });
            };
            match answer {
                Ok(Answer::Reported(report))
                    if report.member == node
                        && report.view == view
                        && report.verify(&self.members, self.identity.as_ref()).is_ok() =>
                {
                    sources.push(node);
                    reports.push(report);
                }
                Ok(Answer::Refused { reason, .. }) => missing.push((node, reason)),
                Ok(_) => missing.push((node, "reported something else".to_owned())),
                Err(error) => missing.push((node, error.to_string())),
            }
        }
        drop(answers);
        let certificate = ViewCertificate { view, reports };
        let from = sources.first().copied().unwrap_or(self.me);
        self.learn(&certificate, from).await?;
        tracing::warn!(view, node = %self.me, "took over as the ledger's sequencer");
        Ok(view)
    }

    /// Asks the next members in turn to take over until one does; notes why others did not.
    async fn replace_sequencer(&self, entries: &[Entry], failures: &mut Vec<String>) {
        let first = {
            let store = self.store.read().await;
            let standing = store.standing();
            standing.promised.max(standing.view.saturating_add(1))
        };
        for step in 0..self.members.nodes.len() as u64 {
            let next = first.saturating_add(step);
            let Some(successor) = self.members.sequencer(next) else {
                continue;
            };
            let done = if successor == self.me {
                self.take_over(next, entries.to_vec()).await
            } else {
                let call = Call::TakeOver {
                    view: next,
                    entries: entries.to_vec(),
                };
                match self.links.call(successor, &call, TAKE_OVER_WAIT).await {
                    Ok(Answer::View(now)) => Ok(now),
                    Ok(Answer::Refused { reason, .. }) => Err(LedgerError::Peer {
                        node: successor,
                        cause: reason,
                    }),
                    Ok(_) => Err(LedgerError::Peer {
                        node: successor,
                        cause: "answered amiss".to_owned(),
                    }),
                    Err(error) => Err(error),
                }
            };
            match done {
                Ok(_) if successor == self.me => return,
                Ok(_) => match self.catch_up_from(successor).await {
                    Ok(_) => return,
                    Err(error) => note(failures, &error),
                },
                Err(error) => note(failures, &error),
            }
        }
    }

    /// One try at an append: by the sequencer of the view this member knows.
    async fn append_once(&self, entries: &[Entry]) -> Result<Option<Vec<Receipt>>, LedgerError> {
        // Also when this member left that view: the others may not have.
        let view = self.store.read().await.standing().view;
        let sequencer = self
            .members
            .sequencer(view)
            .ok_or(LedgerError::Evidence("no members"))?;
        if sequencer == self.me {
            return timeout(SUBMIT_WAIT, self.submit(entries.to_vec()))
                .await
                .map_err(|_| LedgerError::Deadline("time ran out".to_owned()))?
                .map(Some);
        }
        match self
            .links
            .call(sequencer, &Call::Submit(entries.to_vec()), SUBMIT_WAIT)
            .await?
        {
            Answer::Appended(checkpoint) => {
                self.commit(sequencer, &checkpoint).await?;
                self.receipts(entries).await
            }
            Answer::Refused { reason, view: now } => {
                if now > view {
                    self.catch_up_from(sequencer).await?;
                    if self.store.read().await.standing().view > view {
                        return Ok(None);
                    }
                }
                Err(LedgerError::Peer {
                    node: sequencer,
                    cause: reason,
                })
            }
            _ => Err(LedgerError::Peer {
                node: sequencer,
                cause: "answered amiss".to_owned(),
            }),
        }
    }
}

/// Most failures that an error tells of.
const MAX_FAILURES: usize = 8;

fn note(failures: &mut Vec<String>, error: &LedgerError) {
    let error = error.to_string();
    if failures.len() < MAX_FAILURES && !failures.contains(&error) {
        failures.push(error);
    }
}

#[async_trait]
impl Ledger for Member {
    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, LedgerError> {
        if entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany);
        }
        entries.iter().try_for_each(|entry| self.admit(entry))?;
        let deadline = Instant::now() + APPEND_DEADLINE;
        let mut failures = Vec::new();
        while Instant::now() < deadline {
            if let Some(receipts) = self.receipts(entries).await? {
                return Ok(receipts);
            }
            let view = self.view().await;
            let tried = timeout_at(deadline, self.append_once(entries)).await;
            match tried {
                Ok(Ok(Some(receipts))) => return Ok(receipts),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(view, %error, "append failed");
                    note(&mut failures, &error);
                    if self.view().await > view {
                        continue;
                    }
                    let replacing = self.replace_sequencer(entries, &mut failures);
                    // Out of time: the loop ends, and what failed so far is told.
                    let _ = timeout_at(deadline, replacing).await;
                }
                Err(_) => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(LedgerError::Deadline(failures.join("; ")))
    }

    async fn receipt(&self, index: u64) -> Result<Option<Receipt>, LedgerError> {
        self.store.read().await.receipt(index).await
    }

    async fn find(&self, entries: &[Entry]) -> Result<Option<Vec<Receipt>>, LedgerError> {
        if entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany);
        }
        self.receipts(entries).await
    }

    async fn checkpoint(&self) -> Option<String> {
        let store = self.store.read().await;
        store.checkpoint().map(|(_, note)| note.clone())
    }
}
