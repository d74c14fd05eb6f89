//! Enrolment at the identity committee: handles and subject points against sealed claims that the profile cannot read.

use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::{Committee, Domain, NodeId};
use contracts::issuance::{EnrolContext, EnrolSecrets, prove_enrolment};
use contracts::units::Day;
use oracles::hpke::NodeKeyPair;
use oracles::wire::attest::{NonceAnswer, NonceRequest};
use oracles::wire::enrol::{
    ClaimsBox, EnrolAccepted, EnrolAnswer, EnrolCall, EnrolCompleted, EnrolRequest,
    EnrolSubmission, MemberHandle, VERSION, enrolment_ref,
};
use oracles::wire::{enrol_answer_info, enrol_info};
use rand_core::OsRng;

use super::attest::{NONCES, one_epoch};
use super::gather::{Answers, gather};
use super::{Failure, OracleError, Oracles};
use crate::wallet::SigningKey;

const REQUEST: &str = "enrolment request";

/// What an enrolment brought.
#[derive(Debug)]
pub struct Enrolled {
    /// `S_d` of each domain, in order.
    pub subjects: Vec<(Domain, Point)>,
    /// The last day on which the handles are taken.
    pub expires: Day,
    /// Every handle.
    pub handles: Vec<MemberHandle>,
}

/// What the profile brings to an enrolment.
pub struct Applicant<'a> {
    /// The enrolment; the same when it is tried again.
    pub enrol_id: Bytes32,
    /// The authorisation key of each domain, in order.
    pub keys: &'a [(Domain, SigningKey)],
    /// `r_d` of each domain, `k` and the blinding of `C_k`.
    pub secrets: &'a EnrolSecrets,
    /// Receives the answer.
    pub response: &'a NodeKeyPair,
    /// Whether the seed of an earlier enrolment is lost.
    pub replaces: bool,
}

impl std::fmt::Debug for Applicant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Applicant(..)")
    }
}

impl Oracles {
    /// Enrols. After a failure the same enrolment id, with a fresh response key, finds its own claim.
    ///
    /// # Errors
    /// [`OracleError`].
    pub async fn enrol(
        &self,
        applicant: &Applicant<'_>,
        claims: &[ClaimsBox],
    ) -> Result<Enrolled, OracleError> {
        let committee = Committee::Identity;
        let (_, quorum) = self.committee(committee);
        let identity = applicant
            .keys
            .iter()
            .find_map(|(domain, key)| (*domain == Domain::Identity).then_some(key))
            .ok_or(OracleError::NotReady("no identity authorisation key"))?;
        let reference = enrolment_ref(&applicant.enrol_id, &identity.x_only());
        let nonces = match self.enrol_nonces(&reference).await {
            Err(OracleError::Quorum { .. }) if self.follow().await => {
                self.enrol_nonces(&reference).await?
            }
            nonces => nonces?,
        };
        let epoch = nonces
            .good
            .first()
            .map(|(_, nonce)| nonce.epoch)
            .ok_or(OracleError::NotReady("no nonces"))?;
        let nonces: Vec<_> = nonces
            .good
            .iter()
            .map(|(node, answer)| (*node, answer.nonce))
            .collect();
        let request = request(applicant, identity, epoch, nonces, self.clock.today())?;
        let plaintext =
            zeroize::Zeroizing::new(serde_json::to_vec(&request).map_err(OracleError::internal)?);

        let mut bodies = vec![];
        for (node, _) in &request.context.nonces {
            let Some(claims) = claims.iter().find(|boxed| boxed.node == *node) else {
                continue;
            };
            let info = |epoch| enrol_info(*node, epoch);
            let body = EnrolSubmission {
                request: self
                    .seal_to(*node, info, &plaintext)
                    .map_err(OracleError::internal)?,
                claims: claims.sealed.clone(),
            };
            bodies.push((*node, body));
        }
        let calls = bodies.into_iter().map(|(node, body)| {
            let call = async move {
                let path = "/v1/identity/enrol/request";
                let accepted: EnrolAccepted = self
                    .post(node, path, &body, self.call_timeout(), super::ANSWER_CAP)
                    .await?;
                if accepted.node != node {
                    return Err(Failure::Wrong("an answer of another node".to_owned()));
                }
                Ok(())
            };
            (node, call)
        });
        let answers = gather(
            REQUEST,
            committee,
            calls,
            quorum,
            self.grace(),
            self.call_timeout(),
        )
        .await;
        if answers.good.len() < usize::from(quorum) {
            return Err(answers.into_error(REQUEST, committee, quorum));
        }
        let coordinators: Vec<NodeId> = answers.good.iter().map(|(node, ())| *node).collect();
        let call = EnrolCall {
            enrolment: reference,
        };
        let check = |node, completed: EnrolCompleted| {
            self.open_enrolment(node, &reference, applicant, &request, completed)
        };
        let path = "/v1/identity/enrol/complete";
        self.coordinate("enrolment", committee, &coordinators, path, &call, check)
            .await
    }

    async fn enrol_nonces(&self, reference: &Bytes32) -> Result<Answers<NonceAnswer>, OracleError> {
        let committee = Committee::Identity;
        let (members, quorum) = self.committee(committee);
        let body = NonceRequest {
            request: *reference,
        };
        let calls = members.iter().map(|&node| {
            let body = &body;
            let call = async move {
                let path = "/v1/identity/enrol/nonce";
                let answer: NonceAnswer = self
                    .post(node, path, body, self.call_timeout(), super::ANSWER_CAP)
                    .await?;
                self.check_nonce(node, Domain::Identity, &answer)?;
                Ok(answer)
            };
            (node, call)
        });
        let answers = gather(
            NONCES,
            committee,
            calls,
            quorum,
            self.grace(),
            self.call_timeout(),
        )
        .await;
        one_epoch(answers, committee, quorum)
    }

    fn open_enrolment(
        &self,
        node: NodeId,
        reference: &Bytes32,
        applicant: &Applicant<'_>,
        request: &EnrolRequest,
        completed: EnrolCompleted,
    ) -> Result<Enrolled, Failure> {
        let wrong = |why: &str| Failure::Wrong(why.to_owned());
        if completed.node != node {
            return Err(wrong("an answer of another node"));
        }
        let info = enrol_answer_info(node, reference);
        let plain = applicant
            .response
            .open(&info, &[], &completed.sealed)
            .map_err(|_| wrong("an answer that does not open"))?;
        let answer: EnrolAnswer =
            serde_json::from_slice(&plain).map_err(|_| wrong("an answer of another form"))?;

        // One person behind all domains: S_d − R_d = s·B is the same for each.
        if !answer.subjects.iter().map(|(d, _)| *d).eq(Domain::ALL) {
            return Err(wrong("subject points of other domains"));
        }
        let mut persons = answer
            .subjects
            .iter()
            .zip(&request.points.r_subject)
            .map(|((_, subject), (_, blinding))| subject.point() - blinding.point());
        let first = persons.next();
        if persons.any(|person| Some(person) != first) {
            return Err(wrong("subject points of more than one person"));
        }
        if answer.expires <= request.day {
            return Err(wrong("handles that have expired"));
        }
        for domain in Domain::ALL {
            let (members, quorum) = self.committee(domain.into());
            let mut held: Vec<NodeId> = answer
                .handles
                .iter()
                .filter(|handle| handle.domain == domain)
                .map(|handle| handle.node)
                .collect();
            let count = held.len();
            held.sort_unstable();
            held.dedup();
            let known = held.iter().all(|node| members.contains(node));
            if !known || held.len() != count || count < usize::from(quorum) {
                return Err(wrong("handles that are not one for each member"));
            }
        }
        Ok(Enrolled {
            subjects: answer.subjects,
            expires: answer.expires,
            handles: answer.handles,
        })
    }
}

fn request(
    applicant: &Applicant<'_>,
    identity: &SigningKey,
    epoch: u64,
    nonces: Vec<(NodeId, Bytes32)>,
    day: Day,
) -> Result<EnrolRequest, OracleError> {
    let context = EnrolContext {
        epoch,
        request_id: applicant.enrol_id,
        nonces,
        keys: applicant
            .keys
            .iter()
            .map(|(domain, key)| (*domain, key.x_only()))
            .collect(),
    };
    let points = applicant.secrets.points().map_err(OracleError::internal)?;
    let proof = prove_enrolment(&context, &points, applicant.secrets, &mut OsRng)
        .map_err(OracleError::internal)?;
    let mut request = EnrolRequest {
        version: VERSION,
        context,
        day,
        points,
        proof,
        response_key: *applicant.response.public(),
        replaces: applicant.replaces,
        signature: Bytes([0; 64]),
    };
    request.signature = identity.sign(&request.message());
    Ok(request)
}
