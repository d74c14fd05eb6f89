//! What a profile and a navigator's device do, with random keys in place of a wallet.

use std::collections::BTreeMap;

use contracts::attestation::{Attestation, AttestationKey};
use contracts::bip340;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::{Committee, Domain, NodeId};
use contracts::issuance::{
    Blindings, EnrolContext, EnrolSecrets, IssueContext, LeafRequest, build_leaf, prove_blinding,
    prove_enrolment,
};
use contracts::units::{Day, Period};
use curve25519_dalek::scalar::Scalar;
use oracles::ceremony::KeyId;
use oracles::clock::Clock;
use oracles::hpke::{self, NodeKeyPair};
use oracles::http::{HttpError, client, post_json};
use oracles::wire::attest::{
    AttestAnswer, AttestBatches, AttestCall, AttestRequest, NonceAnswer, NonceRequest, Observation,
    SealedRequest, request_ref,
};
use oracles::wire::enrol::{
    Claims, EnrolAccepted, EnrolAnswer, EnrolCall, EnrolCompleted, EnrolRequest, EnrolSubmission,
    MemberHandle, Recipient, Ssn, enrolment_ref, seal_claims,
};
use oracles::wire::{HpkeBox, enrol_answer_info, enrol_info, request_info, value_info};
use rand_core::{OsRng, RngCore};

use super::network::Network;

pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

pub fn today() -> Day {
    Clock::system().today()
}

/// The problem code of a refused call.
pub fn code<T: std::fmt::Debug>(answer: Result<T, HttpError>) -> String {
    match answer {
        Err(HttpError::Problem(problem)) => problem.code().to_owned(),
        other => panic!("not refused: {other:?}"),
    }
}

/// An owner's secrets.
pub struct Owner {
    pub keys: BTreeMap<Domain, [u8; 32]>,
    pub secrets: EnrolSecrets,
    pub enrol_id: Bytes32,
    pub response: NodeKeyPair,
    /// Whether it asks to take the place of a lost seed.
    pub replaces: bool,
}

/// An owner with handles.
pub struct Enrolled {
    pub owner: Owner,
    pub handles: Vec<MemberHandle>,
    pub subjects: BTreeMap<Domain, Point>,
    pub c_person: Point,
}

pub fn claims(owner: &Owner, ssn: &str) -> Claims {
    let (given_name, family_name, birth_date) = match ssn {
        "987654321" => ("Ana", "Quillavera", "1992-07-31"),
        _ => ("Bruno", "Zastrowski", "1985-04-01"),
    };
    Claims {
        version: 1,
        ssn: Ssn::parse(ssn).unwrap(),
        given_name: given_name.into(),
        family_name: family_name.into(),
        birth_date: birth_date.parse().unwrap(),
        consents: Domain::ALL.to_vec(),
        authorisation_key: owner.key(Domain::Identity),
        enrol_id: owner.enrol_id,
    }
}

impl Owner {
    pub fn new() -> Self {
        Self {
            keys: Domain::ALL.map(|domain| (domain, random())).into(),
            secrets: EnrolSecrets::random(Scalar::random(&mut OsRng), &mut OsRng),
            enrol_id: random().into(),
            response: NodeKeyPair::generate(),
            replaces: false,
        }
    }

    pub fn key(&self, domain: Domain) -> Bytes32 {
        bip340::public_key(&self.keys[&domain]).unwrap()
    }

    pub fn enrolment(&self) -> Bytes32 {
        enrolment_ref(&self.enrol_id, &self.key(Domain::Identity))
    }

    /// Sends claims and request to every node that is up; what each answered.
    pub async fn submit(
        &self,
        network: &Network,
        claims: &Claims,
    ) -> Vec<(NodeId, Result<EnrolAccepted, HttpError>)> {
        self.submit_to(network, &[1, 2, 3, 4], claims).await
    }

    /// Sends claims and request to the nodes listed, with the nonces of all that are up.
    pub async fn submit_to(
        &self,
        network: &Network,
        to: &[u16],
        claims: &Claims,
    ) -> Vec<(NodeId, Result<EnrolAccepted, HttpError>)> {
        let reference = self.enrolment();
        let mut nonces = Vec::new();
        for peer in up(network) {
            let url = format!("{}/v1/identity/enrol/nonce", peer.url);
            let call = NonceRequest { request: reference };
            let answer: NonceAnswer = post_json(&client(), &url, &call).await.unwrap();
            nonces.push((peer.id, answer.nonce));
        }
        let context = EnrolContext {
            epoch: 1,
            request_id: self.enrol_id,
            nonces,
            keys: Domain::ALL
                .map(|domain| (domain, self.key(domain)))
                .to_vec(),
        };
        let points = self.secrets.points().unwrap();
        let proof = prove_enrolment(&context, &points, &self.secrets, &mut OsRng).unwrap();
        let mut request = EnrolRequest {
            version: 1,
            context,
            day: network.today(),
            points,
            proof,
            response_key: *self.response.public(),
            replaces: self.replaces,
            signature: Bytes([0; 64]),
        };
        let secret = &self.keys[&Domain::Identity];
        request.signature = bip340::sign(secret, &request.message(), &mut OsRng).unwrap();
        let plain = serde_json::to_vec(&request).unwrap();

        let mut answers = Vec::new();
        for peer in up(network)
            .into_iter()
            .filter(|peer| to.contains(&peer.id.get()))
        {
            let to = Recipient {
                node: peer.id,
                key_epoch: 1,
                hpke_key: peer.hpke_key,
            };
            let boxes = seal_claims(claims, &[to]).unwrap();
            let info = enrol_info(peer.id, 1);
            let submission = EnrolSubmission {
                request: HpkeBox {
                    key_epoch: 1,
                    sealed: hpke::seal(&peer.hpke_key, &info, &[], &plain).unwrap(),
                },
                claims: boxes[0].sealed.clone(),
            };
            let url = format!("{}/v1/identity/enrol/request", peer.url);
            answers.push((peer.id, post_json(&client(), &url, &submission).await));
        }
        answers
    }

    pub async fn complete(&self, network: &Network, at: u16) -> Result<EnrolCompleted, HttpError> {
        let peer = &network.configs[0].peers[usize::from(at) - 1];
        let call = EnrolCall {
            enrolment: self.enrolment(),
        };
        let url = format!("{}/v1/identity/enrol/complete", peer.url);
        post_json(&client(), &url, &call).await
    }

    pub fn open(self, completed: &EnrolCompleted) -> Enrolled {
        let info = enrol_answer_info(completed.node, &self.enrolment());
        let plain = self.response.open(&info, &[], &completed.sealed).unwrap();
        let answer: EnrolAnswer = serde_json::from_slice(&plain).unwrap();
        Enrolled {
            c_person: self.secrets.points().unwrap().c_person,
            owner: self,
            handles: answer.handles,
            subjects: answer.subjects.into_iter().collect(),
        }
    }
}

/// The whole of an enrolment.
pub async fn enrol(network: &Network, ssn: &str) -> Enrolled {
    let owner = Owner::new();
    for (node, answer) in owner.submit(network, &claims(&owner, ssn)).await {
        answer.unwrap_or_else(|error| panic!("node {node}: {error}"));
    }
    let at = up(network)[0].id.get();
    let completed = owner.complete(network, at).await.unwrap();
    owner.open(&completed)
}

pub fn up(network: &Network) -> Vec<oracles::config::PeerConfig> {
    let peers = network.configs[0].peers.iter().zip(&network.nodes);
    peers
        .filter(|(_, node)| node.is_some())
        .map(|(peer, _)| peer.clone())
        .collect()
}

/// A fact asked for, with what the owner keeps of it.
pub struct Wish {
    pub request: LeafRequest,
    pub blindings: Blindings,
    pub seal: NodeKeyPair,
}

pub fn wish(attribute: &str, period: Period, index: u32, withheld: bool) -> Wish {
    let person = attribute == "identity.person";
    let blindings = Blindings::random(person, &mut OsRng);
    let (r_value, r_known, r_subject, r_person) = blindings.points().unwrap();
    let seal = NodeKeyPair::generate();
    Wish {
        request: LeafRequest {
            attribute: attribute.into(),
            period,
            index,
            key: bip340::public_key(&random()).unwrap(),
            seal_key: *seal.public(),
            purpose: random().into(),
            r_value,
            r_known,
            r_subject,
            r_person,
            withheld,
        },
        blindings,
        seal,
    }
}

pub fn as_of(day: Day) -> Period {
    Period {
        start: day,
        end: day,
    }
}

pub fn trailing(day: Day) -> Period {
    Period {
        start: day.plus(-29).unwrap(),
        end: day,
    }
}

/// A request as it is before it is sealed, to be tampered with.
pub struct Draft {
    pub domain: Domain,
    pub context: IssueContext,
    pub leaves: Vec<LeafRequest>,
    pub proof: contracts::issuance::BlindingProof,
    pub signature: Bytes<64>,
    pub handles: BTreeMap<NodeId, HpkeBox>,
}

impl Draft {
    pub async fn new(network: &Network, who: &Enrolled, domain: Domain, wishes: &[Wish]) -> Self {
        Self::under(network, who, domain, wishes, random().into()).await
    }

    /// As [`Self::new`], under a request id that may be in use.
    pub async fn under(
        network: &Network,
        who: &Enrolled,
        domain: Domain,
        wishes: &[Wish],
        request_id: Bytes32,
    ) -> Self {
        let authorisation_key = who.owner.key(domain);
        let reference = request_ref(&request_id, &authorisation_key);
        let mut nonces = Vec::new();
        let mut epoch = 0;
        for peer in up(network) {
            let url = format!("{}/v1/{domain}/nonce", peer.url);
            let call = NonceRequest { request: reference };
            let answer: NonceAnswer = post_json(&client(), &url, &call).await.unwrap();
            epoch = answer.epoch;
            nonces.push((peer.id, answer.nonce));
        }
        let context = IssueContext {
            committee: domain,
            epoch,
            nonces,
            authorisation_key,
            request_id,
            observed: network.today(),
        };
        let leaves: Vec<LeafRequest> = wishes.iter().map(|wish| wish.request.clone()).collect();
        let blindings: Vec<Blindings> = wishes.iter().map(|wish| wish.blindings.clone()).collect();
        let proof = prove_blinding(&context, &leaves, &blindings, &mut OsRng).unwrap();
        let handles = who.handles.iter().filter(|it| it.domain == domain);
        let mut draft = Self {
            domain,
            context,
            leaves,
            proof,
            signature: Bytes([0; 64]),
            handles: handles.map(|it| (it.node, it.sealed.clone())).collect(),
        };
        draft.sign(&who.owner.keys[&domain]);
        draft
    }

    pub fn request(&self, handle: HpkeBox) -> AttestRequest {
        AttestRequest {
            version: 1,
            context: self.context.clone(),
            leaves: self.leaves.clone(),
            proof: self.proof.clone(),
            signature: self.signature,
            handle,
        }
    }

    pub fn sign(&mut self, secret: &[u8; 32]) {
        let handle = self.handles.values().next().unwrap().clone();
        let message = self.request(handle).message();
        self.signature = bip340::sign(secret, &message, &mut OsRng).unwrap();
    }

    pub fn reference(&self) -> Bytes32 {
        request_ref(&self.context.request_id, &self.context.authorisation_key)
    }

    pub async fn send_to(&self, network: &Network, node: u16) -> Result<AttestAnswer, HttpError> {
        let peer = &network.configs[0].peers[usize::from(node) - 1];
        let request = self.request(self.handles[&peer.id].clone());
        let plain = serde_json::to_vec(&request).unwrap();
        let info = request_info(self.domain, peer.id, 1);
        let body = SealedRequest {
            sealed: HpkeBox {
                key_epoch: 1,
                sealed: hpke::seal(&peer.hpke_key, &info, &[], &plain).unwrap(),
            },
        };
        let url = format!("{}/v1/{}/request", peer.url, self.domain);
        post_json(&client(), &url, &body).await
    }

    pub async fn send(
        &self,
        network: &Network,
    ) -> BTreeMap<NodeId, Result<AttestAnswer, HttpError>> {
        let mut answers = BTreeMap::new();
        for peer in up(network) {
            answers.insert(peer.id, self.send_to(network, peer.id.get()).await);
        }
        answers
    }

    pub async fn attest(&self, network: &Network, at: u16) -> Result<AttestBatches, HttpError> {
        let peer = &network.configs[0].peers[usize::from(at) - 1];
        let url = format!("{}/v1/{}/attest", peer.url, self.domain);
        let call = AttestCall {
            request: self.reference(),
        };
        post_json(&client(), &url, &call).await
    }

    /// The observation that a node sealed for one leaf.
    pub fn open(&self, answer: &AttestAnswer, at: usize, wish: &Wish) -> Observation {
        let leaf = &self.leaves[at];
        let info = value_info(
            self.domain,
            answer.node,
            &self.reference(),
            &leaf.attribute.0,
            leaf.period,
            leaf.index,
        );
        let plain = wish
            .seal
            .open(&info, &[], &answer.leaves[at].sealed)
            .unwrap();
        Observation::from_bytes(&plain).unwrap()
    }

    /// Rebuilds a leaf from an observation and checks that a batch attests it under the committee's key.
    pub fn verify(
        &self,
        network: &Network,
        who: &Enrolled,
        at: usize,
        observation: &Observation,
        batches: &AttestBatches,
    ) -> bool {
        let request = &self.leaves[at];
        let attribute = contracts::catalogue::catalogue()
            .get(&request.attribute)
            .unwrap();
        let expires = self
            .context
            .observed
            .plus(attribute.freshness_days.into())
            .unwrap();
        let person = request.r_person.map(|_| who.c_person);
        let leaf = build_leaf(
            &self.context,
            request,
            observation.value,
            observation.known,
            &who.subjects[&self.domain],
            person.as_ref(),
            expires,
        )
        .unwrap();
        let key = committee_key(network, self.domain);
        batches.batches.iter().any(|batch| {
            let found = batch.leaves.iter().find(|it| it.leaf_hash == leaf.hash());
            found.is_some_and(|found| {
                let attestation = Attestation {
                    leaf: leaf.clone(),
                    index: found.index,
                    path: found.path.clone(),
                    root: batch.root.clone(),
                };
                attestation.verify(&key).is_ok()
            })
        })
    }
}

pub fn committee_key(network: &Network, domain: Domain) -> AttestationKey {
    let node = network.nodes.iter().flatten().next().unwrap().node();
    let key = KeyId::Signing(Committee::from(domain));
    let key = Bytes::<33>::from_slice(&node.group_key(key, 1).unwrap().0).unwrap();
    AttestationKey::from_bytes(&key).unwrap()
}
