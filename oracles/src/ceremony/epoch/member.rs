//! Old members deal; new members offer session keys, check deals and store their new shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::encoding::{Blob, Bytes, Bytes32};
use contracts::epoch::{EpochKey, EpochStatement, VERSION};
use contracts::ids::{NodeId, max_faults, quorum};
use frost_core::Ciphersuite;
use zeroize::Zeroizing;

use super::messages::{
    Confirmed, DEAL, Deal, DealRequest, DealtKey, OFFER, Offer, PREPARE, Plan, PlanKey,
    PrepareRequest, Prepared, SealedShare, share_info, transcript,
};
use super::sharing::{
    BadDeal, Part, Redistributed, check_commitments, check_share, combine, deal, public_parts,
};
use crate::ceremony::KeyId;
use crate::config::{MAX_MEMBERS, MIN_MEMBERS};
use crate::faults;
use crate::hpke::{self, NodeKeyPair};
use crate::keys::{KeyError, KeyRecord, NewKey, keys_of};
use crate::node::{Node, Router};
use crate::peer::Refusal;

/// How long a session may take from its first message.
const LIFETIME: Duration = Duration::from_secs(60);
/// Sessions at a time; above it the oldest goes.
const MAX_SESSIONS: usize = 16;

/// What a new member keeps of a session: in memory only, so a restart forgets it and the ceremony is run again.
struct Session {
    started: Instant,
    plan: Plan,
    keys: NodeKeyPair,
}

/// Sessions under way.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<Bytes32, Session>>,
    /// Held by a coordinator: one change at a time.
    pub(super) leading: tokio::sync::Mutex<()>,
}

impl Sessions {
    fn put(&self, session: Session) -> Result<(), Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.started.elapsed() < LIFETIME);
        if open.contains_key(&session.plan.session) {
            return Err(Refusal::new(
                "session-in-use",
                "this session id is in use; choose another",
            ));
        }
        if open.len() >= MAX_SESSIONS {
            let oldest = open
                .iter()
                .min_by_key(|(_, session)| session.started)
                .map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                open.remove(&oldest);
            }
        }
        open.insert(session.plan.session, session);
        Ok(())
    }

    /// Takes a session out: deals are checked once.
    fn take(&self, plan: &Plan) -> Result<Session, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&plan.session)
            .filter(|session| session.started.elapsed() < LIFETIME && session.plan == *plan)
            .ok_or_else(|| {
                Refusal::new(
                    "unknown-session",
                    "no such change of epoch here: timed out, or lost in a restart",
                )
            })
    }
}

pub(super) fn mount(router: &mut Router) {
    router.answers(OFFER, |node, _, plan| async move { offer(&node, plan) });
    router.answers(DEAL, |node, _, request: DealRequest| async move {
        deal_shares(&node, &request)
    });
    router.answers(PREPARE, |node, _, request: PrepareRequest| async move {
        prepare(&node, request).await
    });
}

fn other_plan(problem: &str) -> Refusal {
    Refusal::new("other-plan", problem.to_owned())
}

/// A coordinator chooses neither members nor thresholds nor keys: all follow from what this node knows, and new members
/// are the present ones or those that its operator wrote down.
fn check_plan(node: &Node, plan: &Plan) -> Result<(), Refusal> {
    let committee = plan.committee;
    for (members, threshold) in [
        (&plan.from, plan.from_threshold),
        (&plan.to, plan.threshold),
    ] {
        let ascending = members.windows(2).all(|pair| pair.first() < pair.last());
        let sized = (MIN_MEMBERS..=MAX_MEMBERS).contains(&members.len());
        if !ascending || !sized || u16::try_from(members.len()).map(quorum) != Ok(threshold) {
            return Err(other_plan(
                "members: not in order, too many, or not their quorum",
            ));
        }
    }
    if !plan.keys.iter().map(|it| it.key).eq(keys_of(committee)) {
        return Err(other_plan("not every key of the committee"));
    }
    let configured = node.config().committee(committee).map(|it| {
        let mut members = it.members.clone();
        members.sort_unstable();
        members
    });
    if plan.to != plan.from && Some(&plan.to) != configured.as_ref() {
        return Err(other_plan(
            "the new members are not those of this node's configuration",
        ));
    }
    if let Some(standing) = node.keys().standing(committee) {
        if standing.epoch != plan.previous {
            return Err(other_plan("the committee is in another epoch"));
        }
        if standing.members != plan.from {
            return Err(other_plan("the committee has other members"));
        }
    }
    if node.keys().is_changing(committee, plan.previous) {
        return Err(KeyError::Changing { committee }.into());
    }
    for PlanKey { key, public } in &plan.keys {
        if let Some(record) = node.keys().public(*key, plan.previous)
            && record.public_package != *public
        {
            return Err(other_plan("other public keys than this node has"));
        }
        let known = node.group_key(*key, plan.previous);
        let named = by_suite!(key.suite(), group_of(public, &plan.from));
        if named.is_none() || known.is_some_and(|known| Some(known) != named) {
            return Err(other_plan("another group key than this node knows"));
        }
    }
    Ok(())
}

fn group_of<C: Ciphersuite>(public: &Blob, members: &[NodeId]) -> Option<Blob> {
    public_parts::<C>(&public.0, members).map(|(group, _)| group)
}

fn new_member(node: &Node, plan: &Plan) -> Result<(), Refusal> {
    if plan.to.contains(&node.id()) {
        return Ok(());
    }
    Err(Refusal::new("not-a-member", "this node is no new member"))
}

fn offer(node: &Node, plan: Plan) -> Result<Offer, Refusal> {
    check_plan(node, &plan)?;
    new_member(node, &plan)?;
    let keys = NodeKeyPair::generate();
    let offer = Offer::new(
        &plan.hash(),
        node.id(),
        *keys.public(),
        node.peers().identity(),
    );
    node.epoch_sessions().put(Session {
        started: Instant::now(),
        plan,
        keys,
    })?;
    faults::step("epoch.offered");
    Ok(offer)
}

fn check_offers(
    node: &Node,
    plan: &Plan,
    hash: &[u8; 32],
    offers: &[Offer],
) -> Result<(), Refusal> {
    let complete = offers.iter().map(|it| it.node).eq(plan.to.iter().copied());
    if !complete
        || !offers
            .iter()
            .all(|offer| offer.is_signed(hash, node.peers()))
    {
        return Err(Refusal::new(
            "unsigned",
            "not the offers of all new members, signed by them",
        ));
    }
    Ok(())
}

fn deal_shares(node: &Node, request: &DealRequest) -> Result<Deal, Refusal> {
    let DealRequest { plan, offers } = request;
    check_plan(node, plan)?;
    let hash = plan.hash();
    check_offers(node, plan, &hash, offers)?;
    let mut keys = Vec::with_capacity(plan.keys.len());
    for PlanKey { key, .. } in &plan.keys {
        let record = node.keys().get(*key, plan.previous)?;
        keys.push(by_suite!(
            key.suite(),
            deal_key(node, plan, &hash, offers, &record)
        )?);
    }
    faults::step("epoch.dealt");
    Ok(Deal {
        node: node.id(),
        keys,
        signature: Bytes([0; 64]),
    }
    .sign(&hash, node.peers().identity()))
}

fn deal_key<C: Ciphersuite>(
    node: &Node,
    plan: &Plan,
    hash: &[u8; 32],
    offers: &[Offer],
    record: &KeyRecord,
) -> Result<DealtKey, Refusal> {
    let package = record.key_package::<C>()?;
    let dealt = deal(&package, &plan.to, plan.threshold)
        .ok_or_else(|| Refusal::internal(&"a deal that does not encode"))?;
    let shares = dealt
        .shares
        .iter()
        .zip(offers)
        .map(|((to, share), offer)| {
            let info = share_info(hash, record.key, node.id(), *to);
            let sealed = hpke::seal(&offer.session_key, &info, b"", share).map_err(|_| {
                Refusal::new(
                    "bad-key",
                    format!("the session key of node {to} is unusable"),
                )
            })?;
            Ok(SealedShare { to: *to, sealed })
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(DealtKey {
        key: record.key,
        commitments: dealt.commitments,
        shares,
    })
}

/// What anybody can check of a deal: its form, its signature, and its commitments against the old verification shares.
pub(super) fn check_deal(
    node: &Node,
    plan: &Plan,
    hash: &[u8; 32],
    deal: &Deal,
) -> Result<(), BadDeal> {
    if !deal.is_signed(hash, node.peers()) {
        return Err(BadDeal("its deal is not signed by it"));
    }
    if !deal
        .keys
        .iter()
        .map(|it| it.key)
        .eq(plan.keys.iter().map(|it| it.key))
    {
        return Err(BadDeal("it does not deal every key"));
    }
    for (dealt, PlanKey { key, public }) in deal.keys.iter().zip(&plan.keys) {
        if !dealt
            .shares
            .iter()
            .map(|it| it.to)
            .eq(plan.to.iter().copied())
        {
            return Err(BadDeal("it does not deal to every new member"));
        }
        by_suite!(
            key.suite(),
            check_key(public, deal.node, &dealt.commitments, plan.threshold)
        )?;
    }
    Ok(())
}

fn check_key<C: Ciphersuite>(
    public: &Blob,
    dealer: NodeId,
    commitments: &[Blob],
    threshold: u16,
) -> Result<(), BadDeal> {
    let old = frost_core::keys::PublicKeyPackage::<C>::deserialize(&public.0)
        .map_err(|_| BadDeal("the plan's public keys do not decode"))?;
    check_commitments(&old, dealer, commitments, threshold)
}

/// Opens the share of one key that a dealer sealed to `to`, and checks it.
pub(super) fn open_share(
    hash: &[u8; 32],
    keys: &NodeKeyPair,
    dealer: NodeId,
    dealt: &DealtKey,
    to: NodeId,
) -> Result<Zeroizing<Vec<u8>>, BadDeal> {
    let bad = BadDeal("the share it dealt does not open");
    let sealed = dealt.shares.iter().find(|it| it.to == to).ok_or(bad)?;
    let info = share_info(hash, dealt.key, dealer, to);
    let share = keys.open(&info, b"", &sealed.sealed).map_err(|_| bad)?;
    by_suite!(
        dealt.key.suite(),
        check_share(&dealt.commitments, to, &share)
    )?;
    Ok(share)
}

async fn prepare(node: &Arc<Node>, request: PrepareRequest) -> Result<Prepared, Refusal> {
    let PrepareRequest {
        plan,
        offers,
        deals,
    } = request;
    check_plan(node, &plan)?;
    new_member(node, &plan)?;
    let session = node.epoch_sessions().take(&plan)?;
    let hash = plan.hash();
    check_offers(node, &plan, &hash, &offers)?;
    let own = offers.iter().find(|offer| offer.node == node.id());
    if own.is_none_or(|own| own.session_key != *session.keys.public()) {
        return Err(Refusal::new("malformed", "this node's offer was changed"));
    }
    check_dealers(node, &plan, &deals)?;
    for deal in &deals {
        check_deal(node, &plan, &hash, deal)
            .map_err(|bad| Refusal::new("bad-deal", format!("node {}: {}", deal.node, bad.0)))?;
    }
    let mut opened = HashMap::new();
    for deal in &deals {
        for dealt in &deal.keys {
            match open_share(&hash, &session.keys, deal.node, dealt, node.id()) {
                Ok(share) => opened.insert((deal.node, dealt.key), share),
                Err(_) => {
                    return Ok(Prepared::Accused {
                        dealer: deal.node,
                        session_secret: Bytes32::from(*session.keys.secret()),
                    });
                }
            };
        }
    }
    let transcript = transcript(&hash, &offers, &deals);
    let mut new_keys = Vec::with_capacity(plan.keys.len());
    let mut epoch_keys = Vec::with_capacity(plan.keys.len());
    for (at, PlanKey { key, public }) in plan.keys.iter().enumerate() {
        let parts: Vec<Part<'_>> = deals
            .iter()
            .filter_map(|deal| {
                Some(Part {
                    dealer: deal.node,
                    commitments: &deal.keys.get(at)?.commitments,
                    share: opened.remove(&(deal.node, *key)),
                })
            })
            .collect();
        let (made, group, shares) =
            by_suite!(key.suite(), sum_up(public, &parts, &plan.to, node.id())).ok_or_else(
                || Refusal::new("bad-deal", "the deals do not add up to the group key"),
            )?;
        new_keys.push(NewKey {
            key: *key,
            epoch: plan.epoch(),
            members: plan.to.clone(),
            threshold: plan.threshold,
            transcript,
            public_package: made.public_package,
            key_package: made
                .key_package
                .ok_or_else(|| Refusal::internal(&"no share of its own"))?,
        });
        epoch_keys.push(EpochKey {
            key: key.as_str().to_owned(),
            suite: key.suite().as_str().to_owned(),
            group,
            shares,
        });
    }
    let statement = EpochStatement {
        version: VERSION,
        committee: plan.committee,
        epoch: plan.epoch(),
        previous: plan.previous,
        former: plan.from,
        members: plan.to,
        threshold: plan.threshold,
        keys: epoch_keys,
        transcript,
    };
    node.keys().put_all_pending(new_keys).await?;
    faults::step("epoch.prepared");
    Ok(Prepared::Confirmed(Confirmed::new(
        node.id(),
        statement,
        node.peers().identity(),
    )))
}

/// The dealers are a quorum of the old members. A newcomer that does not know the committee's key takes it from them, and
/// needs an honest one among them: f + 1 that its own configuration names as members.
fn check_dealers(node: &Node, plan: &Plan, deals: &[Deal]) -> Result<(), Refusal> {
    let dealers: Vec<NodeId> = deals.iter().map(|deal| deal.node).collect();
    let ascending = dealers.windows(2).all(|pair| pair.first() < pair.last());
    let members = dealers.iter().all(|dealer| plan.from.contains(dealer));
    if !ascending || !members || dealers.len() != usize::from(plan.from_threshold) {
        return Err(Refusal::new(
            "malformed",
            "not the deals of a quorum of the old members",
        ));
    }
    let known = plan
        .keys
        .iter()
        .all(|it| node.group_key(it.key, plan.previous).is_some());
    let familiar = dealers.iter().filter(|it| plan.to.contains(it)).count();
    let faults = u16::try_from(plan.to.len()).map_or(u16::MAX, max_faults);
    if !known && familiar <= usize::from(faults) {
        return Err(Refusal::new(
            "unknown-key",
            "this node does not know the committee's key, and too few dealers stay members: configure the key",
        ));
    }
    Ok(())
}

fn sum_up<C: Ciphersuite>(
    public: &Blob,
    parts: &[Part<'_>],
    members: &[NodeId],
    own: NodeId,
) -> Option<(Redistributed, Blob, Vec<Blob>)> {
    let old = frost_core::keys::PublicKeyPackage::<C>::deserialize(&public.0).ok()?;
    let made = combine(&old, parts, members, own)?;
    let (group, shares) = public_parts::<C>(&made.public_package, members)?;
    Some((made, group, shares))
}

/// Whether this node holds pending shares for all keys of a statement, with the same public keys.
pub(super) fn holds_pending(node: &Node, statement: &EpochStatement) -> bool {
    keys_of(statement.committee).all(|key: KeyId| {
        let Some(record) = node.keys().stored(key, statement.epoch) else {
            return false;
        };
        let parts = by_suite!(
            key.suite(),
            public_parts(&record.public_package.0, &statement.members)
        );
        let named = statement.keys.iter().find(|it| it.key == key.as_str());
        record.transcript == statement.transcript
            && parts.is_some_and(|(group, shares)| {
                named.is_some_and(|named| named.group == group && named.shares == shares)
            })
    })
}
