//! One node's seat on the identity committee, as far as enrolment goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::bip340;
use contracts::encoding::{Bytes32, tagged_hash};
use contracts::group::{PEDERSEN, Point};
use contracts::handle::{HANDLE_VERSION, HandlePlain, statement};
use contracts::ids::{Domain, NodeId};
use contracts::issuance::{subject_scalar, verify_enrolment};
use contracts::receipt::Receipt;
use contracts::units::{Day, UnixTime};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::config::EnrolConfig;
use super::pending::{Pending, Prepared, Waiting};
use super::proof::proof;
use super::registry::{Claim, Registry, subject_ref};
use super::reproofing;
use super::{EnrolError, Links};
use crate::attest::{AttestError, NonceUse, PSEUDONYM_KEY, Seat, Shared, is_today, seat};
use crate::ceremony::KeyId;
use crate::ceremony::oprf::{self, Evaluation};
use crate::keys::KeyRecord;
use crate::ledger;
use crate::node::Node;
use crate::wire::attest::{NonceAnswer, NonceRequest};
use crate::wire::enrol::{
    Claims, EnrolAccepted, EnrolRequest, EnrolSubmission, MAX_NAME, VERSION, enrolment_ref,
};
use crate::wire::{claims_info, enrol_info};

/// Source key of identity handles that holds the registry's name for the subject, in base64url.
pub(crate) const SUBJECT_REF: &str = "subject_ref";

/// Names an enrolment between nodes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    pub(crate) enrolment: Bytes32,
}

/// The context in which an enrolment's handles are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handles {
    pub(crate) enrolment: Bytes32,
    /// The ledger's receipt of a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<Receipt>,
}

/// A node has claimed the person and stands for handles with this digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrepareAnswer {
    pub(crate) digest: Bytes32,
}

/// The registrar of one node.
pub(crate) struct Registrar {
    pub(super) shared: Arc<Shared>,
    pub(super) config: EnrolConfig,
    pub(super) registry: Registry,
    pub(super) waiting: Waiting,
    pub(super) node: Arc<Node>,
}

/// The quota of claims that were not borne out.
const REFUSED_CLAIMS: &str = "refused claims";

impl Registrar {
    /// The seat as the committee stands now.
    pub(super) fn seat(&self) -> Seat {
        seat(&self.node, Domain::Identity).expect("mounted only where the committee is known")
    }

    /// The other members.
    pub(super) fn others(&self) -> Vec<NodeId> {
        let Seat { node, members, .. } = self.seat();
        members.into_iter().filter(|it| *it != node).collect()
    }

    pub(super) fn now(&self) -> UnixTime {
        self.shared.clock.now()
    }

    /// A nonce for an enrolment.
    pub(crate) fn nonce(&self, call: &NonceRequest) -> NonceAnswer {
        let nonces = &self.shared.nonces;
        nonces.answer(NonceUse::Enrol, &self.seat(), call, self.now())
    }

    /// Checks an enrolment, proofs its claims, and keeps it for completion.
    pub(crate) async fn request(
        &self,
        submission: &EnrolSubmission,
    ) -> Result<EnrolAccepted, EnrolError> {
        let now = self.now();
        let request = self.open_request(submission, now)?;
        let key = request
            .authorisation_key()
            .copied()
            .ok_or(AttestError::Format("request.context.keys"))?;
        let nonce = self.seat().own_nonce(&request.context.nonces)?;
        bip340::verify(&key, &request.message(), &request.signature)?;
        verify_enrolment(&request.context, &request.points, &request.proof)?;
        let claims = self.open_claims(submission, &request, &key)?;

        let enrolment = enrolment_ref(&request.context.request_id, &key);
        self.shared
            .nonces
            .redeem(NonceUse::Enrol, Domain::Identity, &enrolment, &nonce, now)
            .map_err(AttestError::from)?;
        // Counted before the answer is known and given back when it is a yes: attempts at once, or a node killed between,
        // never get more tries than the quota.
        let limit = self.config.refused_claims_per_day;
        self.registry.count(REFUSED_CLAIMS, limit, now).await?;
        let source_keys = proof(&self.config, &self.shared.sources, &claims).await?;
        self.registry.give_back(REFUSED_CLAIMS, now).await?;
        let pending = Pending {
            request,
            ssn: claims.ssn.clone(),
            source_keys,
            prepared: tokio::sync::OnceCell::new(),
        };
        self.waiting.keep(enrolment, pending)?;
        Ok(EnrolAccepted {
            node: self.seat().node,
        })
    }

    fn open_request(
        &self,
        submission: &EnrolSubmission,
        now: UnixTime,
    ) -> Result<EnrolRequest, EnrolError> {
        let info = enrol_info(self.seat().node, self.seat().hpke_epoch);
        let plain = self.seat().open("request", &info, &submission.request)?;
        let request: EnrolRequest =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("request"))?;
        if request.version != VERSION {
            return Err(AttestError::Format("request.version").into());
        }
        if request.context.epoch != self.seat().epoch {
            return Err(AttestError::Committee {
                expected: Domain::Identity,
                epoch: self.seat().epoch,
                got: Domain::Identity,
                got_epoch: request.context.epoch,
            }
            .into());
        }
        if !is_today(request.day, now) {
            return Err(AttestError::Day {
                field: "day",
                got: request.day,
            }
            .into());
        }
        Ok(request)
    }

    /// Claims count only for the key and enrolment that the navigator's device sealed them for.
    fn open_claims(
        &self,
        submission: &EnrolSubmission,
        request: &EnrolRequest,
        key: &Bytes32,
    ) -> Result<Claims, EnrolError> {
        let info = claims_info(self.seat().node, self.seat().hpke_epoch);
        let plain = self.seat().open("claims", &info, &submission.claims)?;
        let claims: Claims =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("claims"))?;
        if claims.version != VERSION {
            return Err(AttestError::Format("claims.version").into());
        }
        if claims.authorisation_key != *key || claims.enrol_id != request.context.request_id {
            return Err(EnrolError::ForeignClaims);
        }
        let fits = |name: &str| (1..=MAX_NAME).contains(&name.len());
        if !fits(&claims.given_name) || !fits(&claims.family_name) {
            return Err(EnrolError::Claims("given_name, family_name"));
        }
        if claims.consents.len() > Domain::ALL.len() {
            return Err(EnrolError::Claims("consents"));
        }
        Ok(claims)
    }

    /// This node's share of the pseudorandom function at the person's SSN, for another member that holds the same
    /// enrolment. Only for an enrolment that this node proofed itself.
    pub(crate) async fn share(
        &self,
        from: NodeId,
        call: &Enrolment,
    ) -> Result<Evaluation, EnrolError> {
        let pending = self.waiting.get(&call.enrolment)?;
        let caller = format!("node {from}");
        self.registry
            .count(&caller, self.config.evaluations_per_day, self.now())
            .await?;
        let record = self.oprf_key()?;
        let element = oprf::element(pending.ssn.digits().as_bytes())?;
        Ok(oprf::evaluate(
            &record,
            self.seat().node,
            &call.enrolment,
            &element,
        )?)
    }

    fn oprf_key(&self) -> Result<Arc<KeyRecord>, EnrolError> {
        // The OPRF key is generated with the committee's signing key and shares its epoch.
        Ok(self
            .node
            .keys()
            .get(KeyId::IdentityOprf, self.seat().epoch)?)
    }

    /// Computes the subject, claims the person, and rebuilds the handles.
    pub(crate) async fn prepare(
        &self,
        call: &Enrolment,
        links: &dyn Links,
    ) -> Result<PrepareAnswer, EnrolError> {
        let pending = self.waiting.get(&call.enrolment)?;
        let prepared = pending
            .prepared
            .get_or_try_init(|| self.compute(call, &pending, links))
            .await?;
        let now = self.now();
        let until = UnixTime(now.0 + i64::from(self.config.lease_seconds));
        let terms = self.config.terms();
        self.registry
            .claim(&prepared.claim, now, until, terms)
            .await?;
        Ok(PrepareAnswer {
            digest: prepared.digest,
        })
    }

    async fn compute(
        &self,
        call: &Enrolment,
        pending: &Pending,
        links: &dyn Links,
    ) -> Result<Prepared, EnrolError> {
        let input = pending.ssn.digits().as_bytes();
        let output = self.evaluate(call, input, links).await?;
        let mut s = subject_scalar(&output);
        let request = &pending.request;
        let subject = subject_ref(&s);
        let pseudonym_key = request.points.c_person;
        let expires = request
            .day
            .plus(i64::from(self.config.handle_days))
            .map_err(|_| EnrolError::Internal("handles would expire after 2199"))?;
        let own = s * PEDERSEN.B;
        s.zeroize();

        let mut handles = Vec::with_capacity(Domain::ALL.len());
        let keys = request.context.keys.iter();
        // `verify_enrolment` has checked that both lists hold every domain in order.
        for ((domain, key), (_, r_d)) in keys.zip(&request.points.r_subject) {
            let mut source_keys: BTreeMap<String, String> = pending.source_keys.of(*domain);
            if *domain == Domain::Identity {
                let pseudonym = Bytes32::from(*pseudonym_key.as_bytes());
                source_keys.insert(PSEUDONYM_KEY.to_owned(), pseudonym.to_string());
                source_keys.insert(SUBJECT_REF.to_owned(), subject.to_string());
            }
            handles.push(HandlePlain {
                version: HANDLE_VERSION,
                domain: *domain,
                source_keys,
                authorisation_key: *key,
                s_d: Point::new(own + r_d.point())
                    .map_err(|_| AttestError::Format("points.r_subject"))?,
                expires,
            });
        }
        let statements = self.statements(&handles);
        let parts: Vec<&[u8]> = statements.iter().map(Vec::as_slice).collect();
        Ok(Prepared {
            claim: Claim {
                subject,
                enrolment: call.enrolment,
                pseudonym_key,
                replaces: request.replaces,
            },
            digest: tagged_hash("shp/v1/enrol-statements", &parts).into(),
            handles,
        })
    }

    fn statements(&self, handles: &[HandlePlain]) -> Vec<Vec<u8>> {
        handles
            .iter()
            .map(|handle| statement(self.seat().epoch, handle))
            .collect()
    }

    /// The function's output from this node's share and the first good ones of others.
    async fn evaluate(
        &self,
        call: &Enrolment,
        input: &[u8],
        links: &dyn Links,
    ) -> Result<Zeroizing<[u8; oprf::OUTPUT_BYTES]>, EnrolError> {
        self.registry
            .count("owners", self.config.evaluations_per_day, self.now())
            .await?;
        let record = self.oprf_key()?;
        let element = oprf::element(input)?;
        let own = oprf::evaluate(&record, self.seat().node, &call.enrolment, &element)?;
        let mut shares = vec![own];
        let others = self.others().into_iter();
        let mut answers: FuturesUnordered<_> = others
            .map(|node| async move { (node, links.share(node, call).await) })
            .collect();
        while shares.len() < usize::from(record.threshold) {
            match answers.next().await {
                Some((node, Ok(share))) => {
                    // A share of another SSN, or a false one: either way the node is of no use to this enrolment.
                    let right = share.node == node
                        && oprf::verify(&record, &call.enrolment, &element, &share)?;
                    if right {
                        shares.push(share);
                    } else {
                        tracing::warn!(%node, "node gave a wrong share of the pseudorandom function");
                    }
                }
                Some((node, Err(error))) => tracing::warn!(%node, %error, "node gave no share"),
                None => break,
            }
        }
        let combined = oprf::combine(&record, &call.enrolment, &element, &shares)?;
        Ok(oprf::finalize(input, &combined.element)?)
    }

    /// What this node signs for an enrolment: the statements of the handles that it rebuilt itself, once its registry holds
    /// the person for this enrolment until the handles expire.
    pub(crate) async fn messages(&self, call: &Handles) -> Result<Vec<Vec<u8>>, EnrolError> {
        let pending = self.waiting.get(&call.enrolment)?;
        let prepared = pending.prepared.get().ok_or(EnrolError::Unknown)?;
        let until = self.end_of_handles(prepared)?;
        let (claim, now) = (&prepared.claim, self.now());
        if self.registry.replaces(claim, now).await? {
            self.check_entered(claim, call.receipt.as_ref())?;
        }
        self.registry
            .signing(claim, now, until, self.config.terms())
            .await?;
        Ok(self.statements(&prepared.handles))
    }

    /// A replacement must be in the ledger, where the node has one, before anything of it is signed.
    fn check_entered(&self, claim: &Claim, receipt: Option<&Receipt>) -> Result<(), EnrolError> {
        if !self.node.config().roles.contains_key("ledger") {
            return Ok(());
        }
        let failed = |cause: String| EnrolError::Unledgered(cause);
        let receipt = receipt
            .filter(|receipt| receipt.entry == reproofing::entry(claim))
            .ok_or_else(|| failed("no receipt of it".to_owned()))?;
        let trust = ledger::of(&self.node)
            .trust()
            .map_err(|error| failed(error.to_string()))?;
        receipt
            .verify(&trust)
            .map(|_| ())
            .map_err(|error| failed(error.to_string()))
    }

    fn end_of_handles(&self, prepared: &Prepared) -> Result<UnixTime, EnrolError> {
        prepared
            .handles
            .first()
            .and_then(|handle| handle.expires.plus(1).ok())
            .map(Day::start)
            .ok_or(EnrolError::Internal("no handles"))
    }

    /// Whether the pseudonym key in an identity handle is still the registered one.
    pub(crate) async fn is_current(
        &self,
        handle: &HandlePlain,
        pseudonym_key: &Point,
    ) -> Result<bool, EnrolError> {
        let subject = handle
            .source_keys
            .get(SUBJECT_REF)
            .and_then(|text| Bytes32::parse(text).ok());
        match subject {
            Some(subject) => self.registry.is_current(&subject, pseudonym_key).await,
            None => Ok(false),
        }
    }
}
