//! Taking a change of epoch that the old quorum signed, and learning of changes that others took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::epoch::{EpochChange, EpochStatement};
use contracts::ids::{Committee, NodeId};
use contracts::trust::{CommitteeKey, Suite};
use serde::Deserialize;

use super::coordinator;
use super::member::holds_pending;
use super::memory;
use super::messages::{Ballot, COMMIT, Done, Kind, STATUS, Status, StatusRequest};
use crate::ceremony::KeyId;
use crate::faults;
use crate::ledger::{self, Ledger as _};
use crate::node::{Node, Router};
use crate::peer::Refusal;

/// How often a node asks its peers whether it missed a change.
const CATCH_UP_EVERY: Duration = Duration::from_secs(10);
/// The same once it voted for one.
const VOTED_PAUSE: Duration = Duration::from_secs(2);
/// How long after the first due member the next one refreshes in its place, in seconds.
const REFRESH_STAGGER: i64 = 600;

/// `[roles.refresh]`: how often this node's committees get fresh shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshConfig {
    /// Days after which the shares of an epoch are refreshed.
    pub days: u16,
}

/// Signed changes that are not in the ledger yet: its members let their entries in.
#[derive(Default)]
pub(crate) struct Announced(Mutex<BTreeMap<(Committee, u64), EpochStatement>>);

impl Announced {
    pub(crate) fn statements(&self) -> Vec<EpochStatement> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    pub(super) fn put(&self, statement: &EpochStatement) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((statement.committee, statement.epoch), statement.clone());
    }

    fn drop(&self, statement: &EpochStatement) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(statement.committee, statement.epoch));
    }
}

pub(super) fn mount(router: &mut Router) {
    router.answers(STATUS, |node, _, request| async move {
        Ok(status(&node, request))
    });
    router.answers(COMMIT, |node, _, change| async move {
        take(&node, &change).await?;
        Ok(Done {})
    });
}

fn status(node: &Node, request: StatusRequest) -> Status {
    let StatusRequest { committee, known } = request;
    Status {
        next: node
            .keys()
            .change(committee, known.saturating_add(1))
            .map(|change| (*change).clone()),
        ballot: node
            .keys()
            .vote_for(committee, known)
            .and_then(|(_, body)| serde_json::from_str(&body).ok()),
    }
}

/// The committee's key before a change, as this node knows it.
fn key_before(node: &Node, statement: &EpochStatement) -> Option<CommitteeKey> {
    let committee = statement.committee;
    let group = node
        .group_key(KeyId::Signing(committee), statement.previous)
        .or_else(|| {
            // A newcomer has checked the group key when it took its shares.
            holds_pending(node, statement)
                .then(|| statement.committee_key().map(|key| key.key))
                .flatten()
        })?;
    Some(CommitteeKey {
        committee,
        epoch: statement.previous,
        suite: Suite::of(committee),
        key: group,
    })
}

/// Whether a change must be in the ledger before this node takes it. The ledger's own cannot be: its members sign
/// nothing between the vote and the switch, and enter it right after.
pub(super) fn needs_receipt(node: &Node, committee: Committee) -> bool {
    committee != Committee::Ledger && node.config().roles.contains_key("ledger")
}

/// Checks a signed change and switches; without the receipt it needs, only notes it, so that the ledger can take it.
/// Changes of committees that this node has no key of are none of its business.
pub(super) async fn take(node: &Arc<Node>, change: &EpochChange) -> Result<(), Refusal> {
    let statement = &change.statement;
    let committee = statement.committee;
    if node.keys().change(committee, statement.epoch).is_some() {
        return Ok(());
    }
    let refused = |error: &dyn std::fmt::Display| Refusal::new("epoch", error.to_string());
    statement.check().map_err(|error| refused(&error))?;
    let Some(before) = key_before(node, statement) else {
        return Ok(());
    };
    statement
        .verify(&before, &change.signature)
        .map_err(|error| refused(&error))?;
    if needs_receipt(node, committee) {
        let Some(receipt) = &change.receipt else {
            node.announced().put(statement);
            return Ok(());
        };
        if receipt.entry != statement.entry() {
            return Err(refused(&"the receipt is of another entry"));
        }
        let trust = ledger::of(node).trust().map_err(|error| refused(&error))?;
        receipt.verify(&trust).map_err(|error| refused(&error))?;
    }
    let standing = node.keys().standing(committee);
    if standing.is_some_and(|standing| standing.epoch > statement.previous) {
        return Ok(());
    }
    let own = node.id();
    let held = node
        .keys()
        .public(KeyId::Signing(committee), statement.previous);
    // Who comes new, or comes back without its database, first learns what was signed.
    if statement.members.contains(&own) && held.is_none() {
        memory::adopt(node, statement).await?;
        faults::step("epoch.adopted");
    }
    faults::step("epoch.switching");
    node.keys().switch(change).await?;
    faults::step("epoch.switched");
    node.announced().drop(statement);
    tracing::info!(node = %own, %committee, epoch = statement.epoch, "epoch changed");
    Ok(())
}

/// Asks the peers for changes that this node does not know, and takes them. Returns a ballot that some old member voted
/// for and that is not decided yet.
pub(super) async fn catch_up(node: &Arc<Node>, committee: Committee) -> Option<Ballot> {
    loop {
        let known = node.standing(committee)?.epoch;
        let request = StatusRequest { committee, known };
        let peers: Vec<NodeId> = node.peers().ids().collect();
        let calls = peers
            .into_iter()
            .map(|peer| async move { node.call(peer, STATUS, &request).await.ok() });
        let answers: Vec<Status> = futures::future::join_all(calls)
            .await
            .into_iter()
            .flatten()
            .collect();
        for change in answers.iter().filter_map(|answer| answer.next.as_ref()) {
            if let Err(error) = take(node, change).await {
                tracing::warn!(%committee, %error, "a change of epoch that this node does not take");
            }
        }
        if node.standing(committee)?.epoch == known {
            return answers
                .into_iter()
                .filter_map(|answer| answer.ballot)
                .find(|ballot| {
                    let statement = &ballot.statement;
                    (statement.committee, statement.previous) == (committee, known)
                        && statement.check().is_ok()
                        && ballot.is_confirmed(node.peers())
                });
        }
    }
}

/// Keeps a node up with the epochs of its committees, completes changes whose coordinator died, and refreshes when due.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        for committee in node.config().committees.iter().map(|it| it.name) {
            let Some(standing) = node.keys().standing(committee) else {
                // A newcomer has nothing to catch up with but what it was dealt.
                catch_up(&node, committee).await;
                continue;
            };
            catch_up(&node, committee).await;
            if node.keys().is_changing(committee, standing.epoch) {
                coordinator::complete(&node, committee).await;
            }
            refresh_if_due(&node, committee).await;
        }
        enter_own(&node).await;
        let mut left = CATCH_UP_EVERY;
        while let Some(next) = left.checked_sub(VOTED_PAUSE) {
            tokio::time::sleep(VOTED_PAUSE).await;
            left = next;
            if is_waiting(&node) {
                break;
            }
        }
    }
}

/// Whether this node voted for a change that it does not know the end of.
fn is_waiting(node: &Node) -> bool {
    node.config().committees.iter().any(|it| {
        let standing = node.keys().standing(it.name);
        standing.is_some_and(|standing| node.keys().is_changing(it.name, standing.epoch))
    })
}

/// The ledger enters its own change once its new epoch is in force; from then on others can follow it.
async fn enter_own(node: &Arc<Node>) {
    if !node.config().roles.contains_key("ledger") {
        return;
    }
    for change in node.keys().changes() {
        if change.receipt.is_some() {
            continue;
        }
        let entry = change.statement.entry();
        let receipt = match ledger::of(node).append(&[entry]).await {
            Ok(receipts) => receipts.into_iter().next(),
            Err(error) => {
                tracing::info!(%error, "a change of epoch is not in the ledger yet");
                continue;
            }
        };
        let entered = EpochChange {
            receipt,
            ..(*change).clone()
        };
        if let Err(error) = node.keys().switch(&entered).await {
            tracing::error!(%error, "the receipt of a change of epoch is not kept");
        }
    }
}

/// Members take turns: the one that the epoch points at refreshes on the day, the others one after another after it.
async fn refresh_if_due(node: &Arc<Node>, committee: Committee) {
    let settings = node
        .config()
        .role::<RefreshConfig>("refresh")
        .ok()
        .flatten();
    let (Some(settings), Some(standing)) = (settings, node.keys().standing(committee)) else {
        return;
    };
    let Some(place) = standing.members.iter().position(|it| *it == node.id()) else {
        return;
    };
    let now = node.clock().now();
    let since = match node.keys().seen_since(committee, standing.epoch, now).await {
        Ok(since) => since,
        Err(error) => {
            tracing::error!(%error, "when an epoch began is not known");
            return;
        }
    };
    let members = standing.members.len() as u64;
    let turn = (place as u64 + members - standing.epoch % members) % members;
    let wait = i64::from(settings.days) * 86_400
        + i64::try_from(turn).unwrap_or_default() * REFRESH_STAGGER;
    if now.0.saturating_sub(since.0) < wait {
        return;
    }
    if let Err(error) = coordinator::change(node, committee, Kind::Refresh).await {
        tracing::warn!(%committee, %error, "the shares are due to be refreshed and are not");
    }
}
