//! What must hold of a request before a source is read.

use contracts::attestation::CommitteeKeys;
use contracts::bip340;
use contracts::catalogue::{Attribute, PeriodRule, catalogue};
use contracts::encoding::Bytes32;
use contracts::handle::SignedHandle;
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::issuance::{LeafRequest, verify_blinding};
use contracts::units::{Day, UnixTime};

use super::AttestError;
use crate::hpke::NodeKeyPair;
use crate::wire::attest::{AttestRequest, VERSION};
use crate::wire::{HpkeBox, handle_info, request_info};

/// Seconds by which an owner's clock may be off at midnight.
const MAX_SKEW: i64 = 600;
/// Days before the observed day on which a reference period may end: three months, the retroactive coverage of
/// 42 CFR 435.915(a).
const MAX_PERIOD_AGE: i64 = 92;
/// Days after the observed day: none but the one that a time zone makes.
const MAX_PERIOD_AHEAD: i64 = 1;

/// A node's part in one committee: what requests are checked against.
pub(crate) struct Seat {
    pub(crate) domain: Domain,
    pub(crate) node: NodeId,
    pub(crate) members: Vec<NodeId>,
    pub(crate) threshold: u16,
    /// Epoch of the committee's signing key.
    pub(crate) epoch: u64,
    /// Epoch of the node's HPKE key.
    pub(crate) hpke_epoch: u64,
    pub(crate) hpke: NodeKeyPair,
}

/// A request that holds, but for its nonce, which is used up next.
pub(crate) struct Checked {
    pub(crate) request: AttestRequest,
    pub(crate) reference: Bytes32,
    pub(crate) nonce: Bytes32,
    pub(crate) handle: SignedHandle,
}

/// The catalogue's attribute of an id, which must be of the committee's domain.
pub(crate) fn attribute(
    domain: Domain,
    id: &AttributeId,
) -> Result<&'static Attribute, AttestError> {
    catalogue()
        .get(id)
        .filter(|attribute| attribute.domain == domain)
        .ok_or_else(|| AttestError::Attribute(id.clone()))
}

/// Whether an owner's day is today, give or take the skew at midnight.
pub(crate) fn is_today(day: Day, now: UnixTime) -> bool {
    let start = day.start().0;
    (start - MAX_SKEW..start + 86_400 + MAX_SKEW).contains(&now.0)
}

impl Seat {
    /// Opens a box sealed to this node.
    pub(crate) fn open(
        &self,
        field: &'static str,
        info: &[u8; 32],
        sealed: &HpkeBox,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, AttestError> {
        if sealed.key_epoch != self.hpke_epoch {
            return Err(AttestError::KeyEpoch {
                field,
                expected: self.hpke_epoch,
                got: sealed.key_epoch,
            });
        }
        self.hpke
            .open(info, &[], &sealed.sealed)
            .map_err(|_| AttestError::Sealed(field))
    }

    /// Opens and checks a request, all but its nonce's single use.
    pub(crate) fn check(
        &self,
        sealed: &HpkeBox,
        keys: &dyn CommitteeKeys,
        now: UnixTime,
    ) -> Result<Checked, AttestError> {
        let info = request_info(self.domain, self.node, self.hpke_epoch);
        let plain = self.open("request", &info, sealed)?;
        let request: AttestRequest =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("request"))?;
        if request.version != VERSION {
            return Err(AttestError::Format("request.version"));
        }
        let context = &request.context;
        if (context.committee, context.epoch) != (self.domain, self.epoch) {
            return Err(AttestError::Committee {
                expected: self.domain,
                epoch: self.epoch,
                got: context.committee,
                got_epoch: context.epoch,
            });
        }
        if !is_today(context.observed, now) {
            return Err(AttestError::Day {
                field: "context.observed",
                got: context.observed,
            });
        }
        let nonce = self.own_nonce(&context.nonces)?;
        let owner = &context.authorisation_key;
        let handle = self.handle(&request.handle, owner, keys, context.observed)?;
        bip340::verify(
            &context.authorisation_key,
            &request.message(),
            &request.signature,
        )?;
        verify_blinding(context, &request.leaves, &request.proof)?;
        for leaf in &request.leaves {
            period(
                attribute(self.domain, &leaf.attribute)?,
                leaf,
                context.observed,
            )?;
        }
        Ok(Checked {
            reference: request.reference(),
            nonce,
            handle,
            request,
        })
    }

    /// The nonce that this node gave, among those of a quorum of the committee.
    pub(crate) fn own_nonce(&self, nonces: &[(NodeId, Bytes32)]) -> Result<Bytes32, AttestError> {
        if nonces.len() < usize::from(self.threshold) {
            return Err(AttestError::Nonces("fewer than a quorum of nodes"));
        }
        if nonces.iter().any(|(node, _)| !self.members.contains(node)) {
            return Err(AttestError::Nonces(
                "one is of a node outside the committee",
            ));
        }
        nonces
            .iter()
            .find_map(|(node, nonce)| (*node == self.node).then_some(*nonce))
            .ok_or(AttestError::Nonces("this node's is missing"))
    }

    /// A handle is no bearer token: it must be of this domain, signed by the identity committee, and name the key that
    /// signed the request.
    pub(crate) fn handle(
        &self,
        sealed: &HpkeBox,
        authorisation_key: &Bytes32,
        keys: &dyn CommitteeKeys,
        today: Day,
    ) -> Result<SignedHandle, AttestError> {
        let info = handle_info(self.domain, self.node, self.hpke_epoch);
        let plain = self.open("handle", &info, sealed)?;
        let handle: SignedHandle =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("handle"))?;
        let key = keys
            .attestation_key(Domain::Identity, handle.epoch)
            .ok_or(AttestError::HandleEpoch(handle.epoch))?;
        handle.verify(self.domain, today, &key)?;
        if handle.plain.authorisation_key != *authorisation_key {
            return Err(AttestError::ForeignHandle);
        }
        Ok(handle)
    }
}

/// A reference period must be one that the attribute's rule derives from its last day, and near the observation.
fn period(attribute: &Attribute, leaf: &LeafRequest, observed: Day) -> Result<(), AttestError> {
    let wrong = |problem| AttestError::Period {
        attribute: attribute.id.clone(),
        problem,
    };
    let rule: PeriodRule = attribute.period;
    if rule.period(leaf.period.end).ok() != Some(leaf.period) {
        return Err(wrong(
            "the reference period has another length in the catalogue",
        ));
    }
    let age = observed.number() - leaf.period.end.number();
    if !(-MAX_PERIOD_AHEAD..=MAX_PERIOD_AGE).contains(&age) {
        return Err(wrong(
            "the reference period ends after today, or over three months ago",
        ));
    }
    Ok(())
}
