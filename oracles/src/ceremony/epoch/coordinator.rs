//! The coordinator's side of a change of epoch: any old member, trusted with nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::encoding::{Blob, Bytes32};
use contracts::epoch::EpochChange;
use contracts::ids::{Committee, NodeId, quorum};
use futures::future::join_all;
use zeroize::Zeroizing;

use super::ChangeError;
use super::commit::{catch_up, needs_receipt, take};
use super::member::{check_deal, open_share};
use super::messages::{
    Ballot, COMMIT, Changed, DEAL, Deal, DealRequest, Kind, LEAD, LeadRequest, OFFER, Offer,
    PREPARE, Plan, PlanKey, PrepareRequest, Prepared, STATEMENT,
};
use crate::ceremony::KeyId;
use crate::ceremony::dkg::fresh_session;
use crate::ceremony::sign;
use crate::config::NodeConfig;
use crate::faults;
use crate::hpke::NodeKeyPair;
use crate::keys::keys_of;
use crate::ledger::{self, Ledger as _};
use crate::node::{Node, Router};
use crate::peer::{PeerError, Peers, Refusal};

pub(super) fn mount(router: &mut Router) {
    router.answers(LEAD, |node, from, request: LeadRequest| async move {
        let LeadRequest { committee, kind } = request;
        let sits = node.keys().standing(committee);
        let sits = sits.is_some_and(|it| it.members.contains(&node.id()));
        // A node's operator speaks as the node; a newcomer's asks an old member to lead.
        let of_committee = node.config().committee(committee);
        let may = from == node.id() || of_committee.is_some_and(|it| it.members.contains(&from));
        if !may {
            return Err(Refusal::new(
                "not-a-member",
                "only members change a committee",
            ));
        }
        if sits {
            let changed = change(&node, committee, kind).await;
            return changed.map_err(|error| Refusal::new("epoch", error.to_string()));
        }
        if from != node.id() {
            return Err(Refusal::new(
                "not-a-member",
                "this node does not sit on the committee",
            ));
        }
        let mut last = Refusal::new("epoch", ChangeError::NoCommittee(committee).to_string());
        let known = node
            .standing(committee)
            .map(|it| it.members)
            .unwrap_or_default();
        for member in known.into_iter().filter(|member| *member != node.id()) {
            match node.call(member, LEAD, &request).await {
                Ok(changed) => return Ok(changed),
                Err(PeerError::Refused { refusal, .. }) if refusal.code != "not-a-member" => {
                    return Err(refusal);
                }
                Err(error) => last = Refusal::new("epoch", error.to_string()),
            }
        }
        Err(last)
    });
}

/// Has this configuration's node, which must be running, change a committee.
///
/// # Errors
/// [`ChangeError::Lead`], in one line.
pub async fn request(
    config: &NodeConfig,
    peers: &Peers,
    committee: Committee,
    kind: Kind,
) -> Result<Changed, ChangeError> {
    peers
        .call(config.id, LEAD, &LeadRequest { committee, kind })
        .await
        .map_err(|error| match error {
            PeerError::Refused { refusal, .. } => ChangeError::Lead(refusal.detail),
            other => ChangeError::Lead(other.to_string()),
        })
}

/// Completes a change that old members voted for, if there is one.
pub(super) async fn complete(node: &Arc<Node>, committee: Committee) {
    let Ok(_leading) = node.epoch_sessions().leading.try_lock() else {
        return;
    };
    if let Some(ballot) = catch_up(node, committee).await
        && let Err(error) = conclude(node, ballot, Vec::new()).await
    {
        tracing::warn!(%committee, %error, "a change of epoch is not complete yet");
    }
}

/// Changes a committee's epoch, or completes a change that was begun.
pub(super) async fn change(
    node: &Arc<Node>,
    committee: Committee,
    kind: Kind,
) -> Result<Changed, ChangeError> {
    let _leading = node.epoch_sessions().leading.lock().await;
    let before = node
        .keys()
        .standing(committee)
        .ok_or(ChangeError::NoCommittee(committee))?;
    let ballot = catch_up(node, committee).await;
    if let Some(change) = node
        .keys()
        .change(committee, before.epoch.saturating_add(1))
    {
        // Somebody else brought one to its end.
        return Ok(Changed {
            change: (*change).clone(),
            cheaters: Vec::new(),
            behind: Vec::new(),
        });
    }
    if let Some(ballot) = ballot {
        return conclude(node, ballot, Vec::new()).await;
    }
    let mut cheaters: Vec<(NodeId, String)> = Vec::new();
    loop {
        let plan = plan(node, committee, kind)?;
        let excluded: BTreeSet<NodeId> = cheaters.iter().map(|(node, _)| *node).collect();
        match prepare(node, &plan, &excluded).await? {
            Outcome::Ballot { ballot, wrong } => {
                cheaters.extend(wrong);
                return conclude(node, ballot, cheaters).await;
            }
            // Each turn excludes one more; with fewer than a quorum left `prepare` fails.
            Outcome::Again { dealer, cause } => {
                tracing::warn!(%committee, %dealer, cause, "a dealer cheated and is excluded");
                cheaters.push((dealer, cause.to_owned()));
            }
        }
    }
}

fn plan(node: &Node, committee: Committee, kind: Kind) -> Result<Plan, ChangeError> {
    let standing = node
        .keys()
        .standing(committee)
        .ok_or(ChangeError::NoCommittee(committee))?;
    let to = match kind {
        Kind::Refresh => standing.members.clone(),
        Kind::Reshare => {
            let mut to = node
                .config()
                .committee(committee)
                .ok_or(ChangeError::NoCommittee(committee))?
                .members
                .clone();
            to.sort_unstable();
            if to == standing.members {
                return Err(ChangeError::NothingToDo(committee));
            }
            to
        }
    };
    let keys = keys_of(committee)
        .map(|key| {
            let record = node.keys().get(key, standing.epoch)?;
            Ok(PlanKey {
                key,
                public: Blob(record.public_package.0.clone()),
            })
        })
        .collect::<Result<_, ChangeError>>()?;
    Ok(Plan {
        session: fresh_session(),
        committee,
        previous: standing.epoch,
        threshold: u16::try_from(to.len()).map_or(u16::MAX, quorum),
        from: standing.members,
        from_threshold: standing.threshold,
        to,
        keys,
    })
}

enum Outcome {
    Ballot {
        ballot: Ballot,
        /// Old members whose deals were wrong on their face.
        wrong: Vec<(NodeId, String)>,
    },
    Again {
        dealer: NodeId,
        cause: &'static str,
    },
}

async fn prepare(
    node: &Arc<Node>,
    plan: &Plan,
    excluded: &BTreeSet<NodeId>,
) -> Result<Outcome, ChangeError> {
    let hash = plan.hash();
    let offers = offers(node, plan, &hash).await?;
    let (deals, wrong) = deals(node, plan, &hash, &offers, excluded).await?;
    faults::step("epoch.coordinator.dealt");
    let request = PrepareRequest {
        plan: plan.clone(),
        offers,
        deals,
    };
    let calls = plan
        .to
        .iter()
        .map(|member| async { (*member, node.call(*member, PREPARE, &request).await) });
    let mut confirmed = Vec::new();
    let mut failure = None;
    for (member, answer) in join_all(calls).await {
        match answer {
            Ok(Prepared::Confirmed(answer)) if answer.node == member => confirmed.push(answer),
            Ok(Prepared::Confirmed(_)) => {
                failure = Some((member, "confirms in another's name".to_owned()));
            }
            Ok(Prepared::Accused {
                dealer,
                session_secret,
            }) => {
                return judge(plan, &hash, &request, member, dealer, &session_secret)
                    .map(|cause| Outcome::Again { dealer, cause })
                    .map_err(|cause| ChangeError::Cheater {
                        committee: plan.committee,
                        node: member,
                        cause: cause.to_owned(),
                    });
            }
            Err(error) => failure = Some((member, how(&error))),
        }
    }
    let member_failed = |(node, cause): (NodeId, String)| ChangeError::Member {
        committee: plan.committee,
        phase: "prepare",
        node,
        cause,
    };
    if let Some(failure) = failure {
        return Err(member_failed(failure));
    }
    // All are there: most agree, and who confirms something else is named.
    let Some(most) = confirmed
        .iter()
        .max_by_key(|one| {
            confirmed
                .iter()
                .filter(|it| it.statement == one.statement)
                .count()
        })
        .map(|it| it.statement.clone())
    else {
        return Err(ChangeError::NoCommittee(plan.committee));
    };
    if let Some(other) = confirmed.iter().find(|it| it.statement != most) {
        return Err(member_failed((
            other.node,
            "confirms another statement than most".to_owned(),
        )));
    }
    let ballot = Ballot {
        confirmations: confirmed.iter().map(|it| (it.node, it.signature)).collect(),
        statement: most,
    };
    if !ballot.is_confirmed(node.peers()) {
        let unsigned = ballot.confirmations.iter().find(|(member, signature)| {
            !Ballot::is_signed_by(&ballot.statement, *member, signature, node.peers())
        });
        let culprit = unsigned.map_or(node.id(), |(member, _)| *member);
        return Err(member_failed((
            culprit,
            "did not sign its confirmation".to_owned(),
        )));
    }
    faults::step("epoch.coordinator.confirmed");
    Ok(Outcome::Ballot { ballot, wrong })
}

fn how(error: &PeerError) -> String {
    match error {
        PeerError::Silent { cause, .. } => format!("did not answer ({cause})"),
        PeerError::Refused { refusal, .. } => format!("refused ({refusal})"),
        other => other.to_string(),
    }
}

/// All new members' offers, in order.
async fn offers(node: &Arc<Node>, plan: &Plan, hash: &[u8; 32]) -> Result<Vec<Offer>, ChangeError> {
    let calls = plan
        .to
        .iter()
        .map(|member| async { (*member, node.call(*member, OFFER, plan).await) });
    join_all(calls)
        .await
        .into_iter()
        .map(|(member, answer)| {
            let failed = |cause: String| ChangeError::Member {
                committee: plan.committee,
                phase: "offer",
                node: member,
                cause,
            };
            let offer = answer.map_err(|error| failed(how(&error)))?;
            if offer.node != member || !offer.is_signed(hash, node.peers()) {
                return Err(failed("did not sign its offer".to_owned()));
            }
            Ok(offer)
        })
        .collect()
}

type Wrong = Vec<(NodeId, String)>;

/// Deals of a quorum of old members, those that stay first, and who dealt wrongly on the face of it.
async fn deals(
    node: &Arc<Node>,
    plan: &Plan,
    hash: &[u8; 32],
    offers: &[Offer],
    excluded: &BTreeSet<NodeId>,
) -> Result<(Vec<Deal>, Wrong), ChangeError> {
    let request = DealRequest {
        plan: plan.clone(),
        offers: offers.to_vec(),
    };
    let calls = plan
        .from
        .iter()
        .filter(|member| !excluded.contains(member))
        .map(|member| async { (*member, node.call(*member, DEAL, &request).await) });
    let (mut good, mut wrong) = (Vec::new(), Wrong::new());
    let mut failures: Vec<String> = excluded
        .iter()
        .map(|node| format!("node {node} cheated"))
        .collect();
    for (member, answer) in join_all(calls).await {
        match answer {
            Ok(deal) if deal.node == member => match check_deal(node, plan, hash, &deal) {
                Ok(()) => good.push(deal),
                Err(bad) => {
                    tracing::warn!(%member, cause = bad.0, "a deal is wrong and not used");
                    failures.push(format!("node {member} cheated: {}", bad.0));
                    wrong.push((member, bad.0.to_owned()));
                }
            },
            Ok(_) => wrong.push((member, "it deals in another's name".to_owned())),
            Err(error) => failures.push(error.to_string()),
        }
    }
    let needed = usize::from(plan.from_threshold);
    if good.len() < needed {
        return Err(ChangeError::Dealers {
            committee: plan.committee,
            needed: plan.from_threshold,
            good: good.iter().map(|deal| deal.node).collect(),
            failures,
        });
    }
    good.sort_by_key(|deal| (!plan.to.contains(&deal.node), deal.node));
    good.truncate(needed);
    good.sort_by_key(|deal| deal.node);
    Ok((good, wrong))
}

/// Opens what the accuser was dealt: the cause if the dealer cheated, else what the accuser did.
fn judge(
    plan: &Plan,
    hash: &[u8; 32],
    request: &PrepareRequest,
    accuser: NodeId,
    dealer: NodeId,
    session_secret: &Bytes32,
) -> Result<&'static str, &'static str> {
    let keys = NodeKeyPair::from_secret(Zeroizing::new(session_secret.0));
    let offered = request.offers.iter().find(|offer| offer.node == accuser);
    if offered.is_none_or(|offer| offer.session_key != *keys.public()) {
        return Err("it accuses with a key that it did not offer");
    }
    let Some(deal) = request.deals.iter().find(|deal| deal.node == dealer) else {
        return Err("it accuses a node that dealt nothing");
    };
    debug_assert_eq!(deal.keys.len(), plan.keys.len());
    deal.keys
        .iter()
        .find_map(|dealt| open_share(hash, &keys, dealer, dealt, accuser).err())
        .map(|bad| bad.0)
        .ok_or("it accuses a dealer whose share is good")
}

/// Has the old epoch sign, the ledger take it, and everybody switch. Safe to do again, by anybody.
async fn conclude(
    node: &Arc<Node>,
    ballot: Ballot,
    cheaters: Vec<(NodeId, String)>,
) -> Result<Changed, ChangeError> {
    let committee = ballot.statement.committee;
    let pending = |cause: String| ChangeError::Pending { committee, cause };
    let signed = sign::sign(node, KeyId::Signing(committee), STATEMENT, &ballot)
        .await
        .map_err(|error| pending(error.to_string()))?;
    let signature = signed
        .signatures
        .into_iter()
        .next()
        .ok_or_else(|| pending("no signature".to_owned()))?;
    faults::step("epoch.coordinator.signed");
    let mut change = EpochChange {
        statement: ballot.statement,
        signature: Blob(signature),
        receipt: None,
    };
    if needs_receipt(node, committee) {
        // The ledger's members, this node perhaps among them, let in what they were told; who is not told in time is told again.
        node.announced().put(&change.statement);
        broadcast(node, &change).await;
        let entry = change.statement.entry();
        let receipts = ledger::of(node)
            .append(&[entry])
            .await
            .map_err(|error| pending(error.to_string()))?;
        change.receipt = receipts.into_iter().next();
        faults::step("epoch.coordinator.entered");
    }
    take(node, &change)
        .await
        .map_err(|refusal| pending(refusal.to_string()))?;
    faults::step("epoch.coordinator.switched");
    let behind = broadcast(node, &change).await;
    Ok(Changed {
        change,
        cheaters,
        behind,
    })
}

/// Tells every other node; returns those that did not take it.
async fn broadcast(node: &Arc<Node>, change: &EpochChange) -> Vec<NodeId> {
    let others: Vec<NodeId> = node.peers().ids().filter(|id| *id != node.id()).collect();
    let calls = others
        .into_iter()
        .map(|other| async move { (other, node.call(other, COMMIT, change).await) });
    join_all(calls)
        .await
        .into_iter()
        .filter_map(|(other, answer)| {
            let error = answer.err()?;
            tracing::warn!(node = %other, %error, "a node did not take a change of epoch");
            Some(other)
        })
        .collect()
}
