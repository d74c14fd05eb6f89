//! A member's side of a key generation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::encoding::{Blob, Bytes, Bytes32};
use contracts::ids::NodeId;
use frost_core::keys::dkg::{self, round1, round2};
use frost_core::{Ciphersuite, Error as FrostError, Identifier};
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::dispute::{Accusation, bad_proof};
use super::identifier;
use super::messages::{
    ACTIVATE, ActivateRequest, Confirmation, Done, FINISH, FinishRequest, Plan, ROUND1, ROUND2,
    Round1, Round2, Round2Request, STATUS, SealedShare, Seen, Status, StatusRequest, Verdict,
    share_info, transcript,
};
use crate::ceremony::Suite;
use crate::faults;
use crate::hpke::{self, NodeKeyPair};
use crate::keys::{KeyError, NewKey};
use crate::node::{Node, Router};
use crate::peer::Refusal;

/// How long a session may take from its first round.
const LIFETIME: Duration = Duration::from_secs(60);
/// Sessions at a time; above it the oldest goes.
const MAX_SESSIONS: usize = 64;

/// What a member keeps of a session between its rounds. Secrets are serialised packages, wiped on drop.
struct Session {
    started: Instant,
    plan: Plan,
    keys: NodeKeyPair,
    stage: Stage,
}

enum Stage {
    One {
        secret: Zeroizing<Vec<u8>>,
        own: Round1,
    },
    Two {
        secret: Zeroizing<Vec<u8>>,
        round1: Vec<Round1>,
        own: Round2,
    },
}

/// Sessions under way; in memory only, so a restart forgets them and the generation is run again.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Bytes32, Session>>);

impl Sessions {
    fn put(&self, session: Session) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.started.elapsed() < LIFETIME);
        if all.len() >= MAX_SESSIONS {
            let oldest = all
                .iter()
                .min_by_key(|(_, session)| session.started)
                .map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                all.remove(&oldest);
            }
        }
        all.insert(session.plan.session, session);
    }

    /// Takes a session out: each stage is left once.
    fn take(&self, plan: &Plan) -> Result<Session, Refusal> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&plan.session)
            .filter(|session| session.started.elapsed() < LIFETIME && session.plan == *plan)
            .ok_or_else(|| {
                Refusal::new(
                    "unknown-session",
                    "no such key generation here: timed out, or lost in a restart",
                )
            })
    }

    fn contains(&self, id: &Bytes32) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(id)
    }
}

/// Registers a member's topics.
pub(crate) fn mount(router: &mut Router) {
    router.answers(STATUS, |node, _, request| async move {
        Ok(status(&node, request))
    });
    router.answers(ROUND1, |node, _, plan| async move {
        by_suite!(plan.key.suite(), first(&node, plan))
    });
    router.answers(ROUND2, |node, _, request: Round2Request| async move {
        by_suite!(request.plan.key.suite(), second(&node, request))
    });
    router.answers(FINISH, |node, _, request: FinishRequest| async move {
        match request.plan.key.suite() {
            Suite::Secp256k1 => finish::<frost_secp256k1::Secp256K1Sha256>(&node, request).await,
            Suite::Ed25519 => finish::<frost_ed25519::Ed25519Sha512>(&node, request).await,
            Suite::Ristretto255 => {
                finish::<frost_ristretto255::Ristretto255Sha512>(&node, request).await
            }
        }
    });
    router.answers(ACTIVATE, |node, _, request| async move {
        activate(&node, request).await
    });
}

fn status(node: &Node, request: StatusRequest) -> Status {
    // After a change of epoch the first key is there, in the shares of a later epoch.
    let now = node.keys().standing(request.key.committee());
    let epoch = now.map_or(request.epoch, |now| now.epoch.max(request.epoch));
    let record = node.keys().stored(request.key, epoch);
    Status {
        status: record.as_ref().map(|record| record.status),
        transcript: record.as_ref().map(|record| record.transcript),
        confirmations: record
            .map(|record| record.confirmations.clone())
            .unwrap_or_default(),
    }
}

/// The plan must be what this node's own configuration says: a coordinator cannot change members or threshold.
fn check_plan(node: &Node, plan: &Plan) -> Result<(), Refusal> {
    let committee = node.config().committee_of(plan.key).ok_or_else(|| {
        Refusal::new(
            "unknown-committee",
            format!("no committee for {} in this node's configuration", plan.key),
        )
    })?;
    let mut members = committee.members.clone();
    members.sort();
    if plan.members != members
        || plan.threshold != committee.threshold()
        || plan.epoch != committee.epoch
    {
        return Err(Refusal::new(
            "other-plan",
            "members, threshold or epoch differ from this node's configuration",
        ));
    }
    if !members.contains(&node.id()) {
        return Err(Refusal::new(
            "not-a-member",
            format!("this node is not on the committee of the {} key", plan.key),
        ));
    }
    let generated = node.keys().public(plan.key, plan.epoch).is_some();
    let standing = node.keys().standing(plan.key.committee());
    // The committee's two keys are generated one after the other, in one epoch; a later epoch has both.
    if generated || standing.is_some_and(|standing| standing.epoch > plan.epoch) {
        return Err(KeyError::InUse {
            key: plan.key,
            epoch: plan.epoch,
        }
        .into());
    }
    Ok(())
}

fn id_of<C: Ciphersuite>(node: NodeId) -> Result<Identifier<C>, Refusal> {
    identifier::<C>(node).ok_or_else(|| Refusal::new("malformed", "node 0"))
}

fn first<C: Ciphersuite>(node: &Node, plan: Plan) -> Result<Round1, Refusal> {
    check_plan(node, &plan)?;
    if node.generations().contains(&plan.session) {
        return Err(Refusal::new(
            "session-in-use",
            "this session id is in use; choose another",
        ));
    }
    let size = u16::try_from(plan.members.len()).map_err(|error| Refusal::internal(&error))?;
    let (secret, package) = dkg::part1::<C, _>(id_of(node.id())?, size, plan.threshold, OsRng)
        .map_err(|error| Refusal::internal(&error))?;
    let keys = NodeKeyPair::generate();
    let own = Round1 {
        node: node.id(),
        package: Blob(
            package
                .serialize()
                .map_err(|error| Refusal::internal(&error))?,
        ),
        session_key: *keys.public(),
        signature: Bytes([0; 64]),
    }
    .sign(&plan.hash(), node.peers().identity());
    let secret = Zeroizing::new(
        secret
            .serialize()
            .map_err(|error| Refusal::internal(&error))?,
    );
    let stage = Stage::One {
        secret,
        own: own.clone(),
    };
    node.generations().put(Session {
        started: Instant::now(),
        plan,
        keys,
        stage,
    });
    faults::step("dkg.round1");
    Ok(own)
}

fn second<C: Ciphersuite>(node: &Node, request: Round2Request) -> Result<Verdict<Round2>, Refusal> {
    let Round2Request { plan, round1 } = request;
    let session = node.generations().take(&plan)?;
    let Stage::One { secret, own } = session.stage else {
        return Err(Refusal::new("out-of-order", "round 2 was answered already"));
    };
    let hash = plan.hash();
    let authors: Vec<NodeId> = round1.iter().map(|message| message.node).collect();
    if authors != plan.members || !round1.contains(&own) {
        return Err(Refusal::new(
            "malformed",
            "not the round-1 packages of all members, this node's own unchanged",
        ));
    }
    if let Some(unsigned) = round1
        .iter()
        .find(|message| !message.is_signed(&hash, node.peers()))
    {
        return Err(Refusal::new(
            "unsigned",
            format!(
                "the round-1 package of node {} is not signed by it",
                unsigned.node
            ),
        ));
    }
    if let Some(accused) = bad_proof::<C>(&plan, &round1) {
        return Ok(Verdict::Accused(Accusation::BadProof { accused }));
    }
    let secret = dkg::round1::SecretPackage::<C>::deserialize(&secret)
        .map_err(|error| Refusal::internal(&error))?;
    let (secret, packages) = dkg::part2(secret, &others(&plan, node.id(), &round1)?)
        .map_err(|error| Refusal::internal(&error))?;

    let mut shares = Vec::new();
    for message in round1.iter().filter(|message| message.node != node.id()) {
        let package = packages
            .get(&id_of(message.node)?)
            .ok_or_else(|| Refusal::internal(&"no share for a member"))?;
        let plaintext = Zeroizing::new(
            package
                .serialize()
                .map_err(|error| Refusal::internal(&error))?,
        );
        let info = share_info(&hash, node.id(), message.node);
        let sealed = hpke::seal(&message.session_key, &info, b"", &plaintext).map_err(|_| {
            Refusal::new(
                "bad-key",
                format!("the session key of node {} is unusable", message.node),
            )
        })?;
        shares.push(SealedShare {
            to: message.node,
            sealed,
        });
    }
    let own = Round2 {
        node: node.id(),
        seen: round1.iter().map(Round1::seen).collect(),
        shares,
        signature: Bytes([0; 64]),
    }
    .sign(&hash, node.peers().identity());
    let secret = Zeroizing::new(
        secret
            .serialize()
            .map_err(|error| Refusal::internal(&error))?,
    );
    let stage = Stage::Two {
        secret,
        round1,
        own: own.clone(),
    };
    node.generations().put(Session {
        started: session.started,
        plan,
        keys: session.keys,
        stage,
    });
    faults::step("dkg.round2");
    Ok(Verdict::Good(own))
}

/// The decoded round-1 packages of all members but `own`.
fn others<C: Ciphersuite>(
    plan: &Plan,
    own: NodeId,
    round1: &[Round1],
) -> Result<BTreeMap<Identifier<C>, round1::Package<C>>, Refusal> {
    debug_assert_eq!(plan.members.len(), round1.len());
    round1
        .iter()
        .filter(|message| message.node != own)
        .map(|message| {
            let package = round1::Package::deserialize(&message.package.0)
                .map_err(|error| Refusal::internal(&error))?;
            Ok((id_of(message.node)?, package))
        })
        .collect()
}

async fn finish<C: Ciphersuite>(
    node: &Arc<Node>,
    request: FinishRequest,
) -> Result<Verdict<Confirmation>, Refusal> {
    let FinishRequest { plan, round2 } = request;
    let session = node.generations().take(&plan)?;
    let Stage::Two {
        secret,
        round1,
        own,
    } = session.stage
    else {
        return Err(Refusal::new(
            "out-of-order",
            "round 2 has not been answered",
        ));
    };
    let hash = plan.hash();
    let authors: Vec<NodeId> = round2.iter().map(|message| message.node).collect();
    if authors != plan.members || !round2.contains(&own) {
        return Err(Refusal::new(
            "malformed",
            "not the round-2 messages of all members, this node's own unchanged",
        ));
    }
    if let Some(unsigned) = round2
        .iter()
        .find(|message| !message.is_signed(&hash, node.peers()))
    {
        return Err(Refusal::new(
            "unsigned",
            format!(
                "the round-2 message of node {} is not signed by it",
                unsigned.node
            ),
        ));
    }
    for message in &round2 {
        if let Some((first, second)) = differing(&own.seen, &message.seen) {
            if second.is_signed(&hash, node.peers()) {
                return Ok(Verdict::Accused(Accusation::Equivocation { first, second }));
            }
            return Err(Refusal::new(
                "false-report",
                format!("node {} reports a package that nobody signed", message.node),
            ));
        }
        if message.seen.len() != own.seen.len() {
            return Err(Refusal::new(
                "malformed",
                format!(
                    "node {} reports other packages than there are",
                    message.node
                ),
            ));
        }
    }

    let bad_share = |accused: NodeId| {
        let session_secret = Bytes32::from(*session.keys.secret());
        Ok(Verdict::Accused(Accusation::BadShare {
            accused,
            session_secret,
        }))
    };
    let mut packages = BTreeMap::new();
    for message in round2.iter().filter(|message| message.node != node.id()) {
        let Some(share) = message.shares.iter().find(|share| share.to == node.id()) else {
            return Err(Refusal::new(
                "no-share",
                format!("node {} dealt no share to this node", message.node),
            ));
        };
        let info = share_info(&hash, message.node, node.id());
        let opened = session.keys.open(&info, b"", &share.sealed);
        let package = opened
            .ok()
            .and_then(|plaintext| round2::Package::<C>::deserialize(&plaintext).ok());
        let Some(package) = package else {
            return bad_share(message.node);
        };
        packages.insert(id_of::<C>(message.node)?, package);
    }
    let secret = dkg::round2::SecretPackage::<C>::deserialize(&secret)
        .map_err(|error| Refusal::internal(&error))?;
    let (key_package, public_package) =
        match dkg::part3(&secret, &others(&plan, node.id(), &round1)?, &packages) {
            Ok(packages) => packages,
            Err(FrostError::InvalidSecretShare {
                culprit: Some(culprit),
            }) => {
                let accused = plan
                    .members
                    .iter()
                    .copied()
                    .find(|member| identifier::<C>(*member) == Some(culprit));
                return bad_share(accused.ok_or_else(|| Refusal::internal(&"an unknown culprit"))?);
            }
            Err(error) => return Err(Refusal::internal(&error)),
        };

    let public_package = public_package
        .serialize()
        .map_err(|error| Refusal::internal(&error))?;
    let transcript = transcript(&hash, &round1, &round2, &public_package);
    let key_package = Zeroizing::new(
        key_package
            .serialize()
            .map_err(|error| Refusal::internal(&error))?,
    );
    let Plan {
        key,
        epoch,
        members,
        threshold,
        ..
    } = plan;
    node.keys()
        .put_pending(NewKey {
            key,
            epoch,
            members,
            threshold,
            transcript,
            public_package,
            key_package,
        })
        .await?;
    faults::step("dkg.stored");
    Ok(Verdict::Good(Confirmation::new(
        node.id(),
        key,
        epoch,
        transcript,
        node.peers().identity(),
    )))
}

/// The first member whose package two others were given differently.
fn differing(ours: &[Seen], theirs: &[Seen]) -> Option<(Seen, Seen)> {
    ours.iter().find_map(|first| {
        let second = theirs.iter().find(|second| second.node == first.node)?;
        (second.digest != first.digest).then_some((*first, *second))
    })
}

async fn activate(node: &Arc<Node>, request: ActivateRequest) -> Result<Done, Refusal> {
    let ActivateRequest {
        key,
        epoch,
        confirmations,
    } = request;
    let record = node
        .keys()
        .stored(key, epoch)
        .ok_or(KeyError::Missing { key, epoch })?;
    let all = record.members.iter().all(|member| {
        confirmations.iter().any(|confirmation| {
            confirmation.node == *member
                && confirmation.transcript == record.transcript
                && confirmation.is_signed(key, epoch, node.peers())
        })
    });
    if !all || confirmations.len() != record.members.len() {
        return Err(Refusal::new(
            "unconfirmed",
            "not every member confirmed the transcript this node holds",
        ));
    }
    node.keys()
        .activate(key, epoch, &record.transcript, &confirmations)
        .await?;
    faults::step("dkg.activated");
    tracing::info!(node = %node.id(), %key, epoch, "key active");
    Ok(Done {})
}

#[cfg(test)]
pub(super) fn second_for_tests<C: Ciphersuite>(
    node: &Node,
    request: Round2Request,
) -> Result<Verdict<Round2>, Refusal> {
    second::<C>(node, request)
}
