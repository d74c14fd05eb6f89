//! Watches of one domain: granted at every member with an owner's signature, ended with another, and read node by node.

use contracts::bip340;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::units::Day;
use futures::future::join_all;
use oracles::hpke::NodeKeyPair;
use oracles::wire::HpkeBox;
use oracles::wire::watch::{
    Changes, ChangesAnswer, ChangesRequest, MAX_NOTICES, SealedWatch, VERSION, WatchAnswer,
    WatchGrant, WatchRevoke, WatchedFact, changes_answer_info, changes_info, watch_info,
    watch_revoke_info,
};
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::gather::gather;
use super::{Failure, OracleError, Oracles, committee_of};
use crate::wallet::SigningKey;

const GRANT: &str = "watch grant";
/// Largest answer with notices, in bytes: [`MAX_NOTICES`] of them, sealed and spelled out.
const MAX_CHANGES: usize = 512 << 10;

/// A watch to be granted.
pub struct Granting<'a> {
    /// Whose facts.
    pub domain: Domain,
    /// Its id; stored before anything is sent, so that it can be ended whatever happens.
    pub watch: Bytes32,
    /// The key that may ask for its changes.
    pub reader: Bytes32,
    /// Its last day.
    pub expires: Day,
    /// What to watch, ascending by attribute.
    pub facts: &'a [WatchedFact],
    /// The key that the handles name, which signs.
    pub authorisation: &'a SigningKey,
    /// The domain's sealed handles, by node.
    pub handles: &'a [(NodeId, HpkeBox)],
}

impl std::fmt::Debug for Granting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granting")
            .field("domain", &self.domain)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The key that asks for the changes of every watch of one domain that this service holds. One key for all of them: then a
/// look costs what changed, not how many are watched. What it tells a committee is that one service asks, which it sees anyway;
/// each domain has another.
pub struct Reader {
    secret: Zeroizing<[u8; 32]>,
    public: Bytes32,
}

impl Reader {
    /// The reader of a secret; none where it is no secp256k1 key (probability below 2⁻¹²⁷).
    pub fn new(secret: Zeroizing<[u8; 32]>) -> Option<Self> {
        let public = bip340::public_key(&secret).ok()?;
        Some(Self { secret, public })
    }

    /// The key that grants name.
    pub fn public(&self) -> Bytes32 {
        self.public
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.public)
    }
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Wrong(error.to_string())
}

impl Oracles {
    /// Grants a watch at every member that gives a nonce in time; returns those that hold it durably, at least a quorum. Each
    /// holds it for the facts that it reads. The same again changes nothing at those that hold it, and brings it to those that
    /// were away.
    ///
    /// # Errors
    /// [`OracleError`], naming the committee and what each member did.
    pub async fn grant_watch(&self, granting: &Granting<'_>) -> Result<Vec<NodeId>, OracleError> {
        let domain = granting.domain;
        let committee = committee_of(domain);
        let key = granting.authorisation.x_only();
        let reference = WatchGrant::reference(&granting.watch, &key);
        let path = format!("/v1/{domain}/watch/nonce");
        let nonces = self
            .nonces(domain, &path, &reference, granting.handles)
            .await?;
        let first = granting.handles.first();
        let (_, handle) = first.ok_or(OracleError::NotReady("enrol before granting a watch"))?;
        let epoch = nonces.good.first().map(|(_, nonce)| nonce.epoch);
        let mut grant = WatchGrant {
            version: VERSION,
            committee: domain,
            epoch: epoch.ok_or(OracleError::NotReady("no nonces"))?,
            nonces: nonces
                .good
                .iter()
                .map(|(node, answer)| (*node, answer.nonce))
                .collect(),
            authorisation_key: key,
            watch: granting.watch,
            reader: granting.reader,
            day: self.clock.today(),
            expires: granting.expires,
            facts: granting.facts.to_vec(),
            signature: Bytes([0; 64]),
            handle: handle.clone(),
        };
        grant.signature = granting.authorisation.sign(&grant.message());
        let mut calls = Vec::with_capacity(grant.nonces.len());
        for (node, handle) in granting.handles {
            if !grant.nonces.iter().any(|(listed, _)| listed == node) {
                continue;
            }
            grant.handle = handle.clone();
            let plain = Zeroizing::new(serde_json::to_vec(&grant).map_err(OracleError::internal)?);
            let info = |epoch| watch_info(domain, *node, epoch);
            let sealed = self.seal_to(*node, info, &plain);
            let call = SealedWatch {
                sealed: sealed.map_err(OracleError::internal)?,
            };
            let (node, watch) = (*node, granting.watch);
            calls.push((node, self.hold(node, domain, "watch", call, watch)));
        }
        let (_, quorum) = self.committee(committee);
        // A first reading of every fact is part of the answer.
        let (grace, timeout) = (self.grace(), self.coordinate_timeout());
        let answers = gather(GRANT, committee, calls, quorum, grace, timeout).await;
        if answers.good.len() < usize::from(quorum) {
            return Err(answers.into_error(GRANT, committee, quorum));
        }
        for fact in granting.facts {
            let watching = answers
                .good
                .iter()
                .filter(|(_, unread)| !unread.contains(&fact.attribute));
            if watching.count() < usize::from(quorum) {
                let attribute = &fact.attribute.0;
                tracing::warn!(%domain, %attribute, "too few nodes read a fact for its changes to be told");
            }
        }
        Ok(answers.good.into_iter().map(|(node, _)| node).collect())
    }

    /// Has a node do something about a watch; the facts that it does not read.
    async fn hold(
        &self,
        node: NodeId,
        domain: Domain,
        call: &'static str,
        body: SealedWatch,
        watch: Bytes32,
    ) -> Result<Vec<AttributeId>, Failure> {
        let path = format!("/v1/{domain}/{call}");
        let timeout = self.coordinate_timeout();
        let answer: WatchAnswer = self
            .post(node, &path, &body, timeout, super::ANSWER_CAP)
            .await?;
        match (answer.node, answer.watch) == (node, watch) {
            true => Ok(answer.unread),
            false => Err(wrong("an answer about another watch")),
        }
    }

    /// Ends a watch at nodes; returns those that did not say that it is gone.
    ///
    /// # Errors
    /// [`OracleError::Internal`] only.
    pub async fn revoke_watch(
        &self,
        domain: Domain,
        watch: &Bytes32,
        authorisation: &SigningKey,
        nodes: &[NodeId],
    ) -> Result<Vec<NodeId>, OracleError> {
        let mut revoke = WatchRevoke {
            version: VERSION,
            committee: domain,
            watch: *watch,
            authorisation_key: authorisation.x_only(),
            signature: Bytes([0; 64]),
        };
        revoke.signature = authorisation.sign(&revoke.message());
        let plain = serde_json::to_vec(&revoke).map_err(OracleError::internal)?;
        let calls = nodes.iter().map(|&node| {
            let plain = &plain;
            async move {
                let info = |epoch| watch_revoke_info(domain, node, epoch);
                let sealed = self.seal_to(node, info, plain).map_err(wrong)?;
                let call = SealedWatch { sealed };
                match self.hold(node, domain, "watch/revoke", call, *watch).await {
                    // It never came there, has expired, or was ended before.
                    Err(Failure::Refused(problem)) if problem.code() == "not-found" => Ok(()),
                    other => other.map(|_| ()),
                }
            }
        });
        let answers = join_all(calls).await;
        let mut left = Vec::new();
        for (node, answer) in nodes.iter().zip(answers) {
            if let Err(failure) = answer {
                tracing::warn!(%domain, %node, %failure, "a watch was not ended");
                left.push(*node);
            }
        }
        Ok(left)
    }

    /// What one node has to tell after a sequence number.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Wrong`] for notices out of order or more than were agreed.
    pub async fn changes(
        &self,
        domain: Domain,
        node: NodeId,
        reader: &Reader,
        after: u64,
    ) -> Result<Changes, Failure> {
        let response = NodeKeyPair::generate();
        let mut request = ChangesRequest {
            version: VERSION,
            reader: reader.public,
            after,
            at: self.clock.now(),
            response_key: *response.public(),
            signature: Bytes([0; 64]),
        };
        let message = request.message(domain, node);
        request.signature = bip340::sign(&reader.secret, &message, &mut OsRng).map_err(wrong)?;
        let plain = serde_json::to_vec(&request).map_err(wrong)?;
        let info = |epoch| changes_info(domain, node, epoch);
        let call = SealedWatch {
            sealed: self.seal_to(node, info, &plain).map_err(wrong)?,
        };
        let path = format!("/v1/{domain}/changes");
        let answer: ChangesAnswer = self
            .post(node, &path, &call, self.call_timeout(), MAX_CHANGES)
            .await?;
        if answer.node != node {
            return Err(wrong("an answer of another node"));
        }
        let info = changes_answer_info(domain, node, &reader.public);
        let plain = response.open(&info, &[], &answer.sealed).map_err(wrong)?;
        let changes: Changes = serde_json::from_slice(&plain).map_err(wrong)?;
        let mut last = after;
        for notice in &changes.notices {
            if notice.seq <= last || i64::try_from(notice.seq).is_err() {
                return Err(wrong("notices out of order"));
            }
            last = notice.seq;
        }
        if changes.notices.len() > MAX_NOTICES || (changes.more && last == after) {
            return Err(wrong("another number of notices than agreed"));
        }
        Ok(changes)
    }
}
