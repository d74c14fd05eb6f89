//! A small world to test verifiers in: keys from fixed seeds, a log of a few entries, a token, an application.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contracts::application::{
    Answer, Application, Approval, ProofClaims, reply_message, wallet_proof,
};
use contracts::checkpoint::Checkpoint;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{ContractRef, Domain, Verdict};
use contracts::jwk::{EcJwk, JwkSet, thumbprint};
use contracts::merkle;
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::token::{self, Claims, Cnf, DecisionClaims};
use contracts::trust::{CommitteeKey, Trust};
use contracts::units::UnixTime;
use ed25519_dalek::{Signer, SigningKey};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

pub const ISSUER: &str = "https://decision.example";
pub const AUDIENCE: &str = "https://dhcs.ca.example";
pub const ORIGIN: &str = "ledger.example/log";
/// 2026-11-20T12:00:00Z.
pub const NOW: UnixTime = UnixTime(1_795_176_000);

/// Every private key of the test world.
pub struct Keys {
    pub decision: SigningKey,
    pub ledger: SigningKey,
    pub notifier: SigningKey,
    pub wallet: SecretKey,
    pub facts: Vec<(Domain, frost_secp256k1::SigningKey)>,
    /// The epoch in which facts are attested; the trust file is of the first.
    pub epoch: u64,
}

impl Keys {
    pub fn new(seed: u8) -> Self {
        let key = |use_: u8| SigningKey::from_bytes(&[seed ^ use_; 32]);
        let mut rng = StdRng::from_seed([seed; 32]);
        Self {
            decision: key(0x10),
            ledger: key(0x20),
            notifier: key(0x30),
            wallet: SecretKey::from_slice(&[seed ^ 0x40; 32]).unwrap(),
            facts: Domain::ALL
                .into_iter()
                .map(|domain| (domain, frost_secp256k1::SigningKey::new(&mut rng)))
                .collect(),
            epoch: 1,
        }
    }

    pub fn trust(&self) -> Trust {
        let mut committees: Vec<CommitteeKey> = self
            .facts
            .iter()
            .map(|(domain, key)| CommitteeKey::fact(*domain, 1, &key.into()))
            .collect();
        committees.push(CommitteeKey::decision(1, &self.decision.verifying_key()));
        Trust::new(
            ISSUER.to_owned(),
            ORIGIN.to_owned(),
            self.ledger.verifying_key(),
            committees,
        )
        .unwrap()
    }

    pub fn jwks(&self) -> JwkSet {
        JwkSet::new([&self.decision.verifying_key()])
    }

    pub fn cnf(&self) -> Cnf {
        Cnf {
            jwk: EcJwk::from(PublicKey::from_secret_key(SECP256K1, &self.wallet)),
        }
    }

    pub fn sign(&self, input: &str) -> String {
        let signature = Bytes(self.decision.sign(input.as_bytes()).to_bytes());
        token::assemble(input, &signature)
    }

    pub fn token(&self, claims: &Claims) -> String {
        let kid = thumbprint(&self.decision.verifying_key());
        self.sign(&token::signing_input(claims, &kid))
    }

    /// Appends entries to a log whose last one is `entry`, and returns its receipt.
    pub fn receipt(&self, index: u64, entry: Entry, later: u64) -> Receipt {
        let other = |i: u64| Entry::new(EntryKind::Contract, &Bytes([7; 32]), &i).leaf_hash();
        let mut leaves: Vec<[u8; 32]> = (0..index).map(other).collect();
        leaves.push(entry.leaf_hash());
        leaves.extend((0..later).map(|i| other(index + 1 + i)));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: leaves.len() as u64,
            root: merkle::root(&leaves).into(),
        };
        Receipt {
            entry,
            index,
            path: merkle::inclusion_path(&leaves, usize::try_from(index).unwrap()).unwrap(),
            checkpoint: self.checkpoint(&checkpoint),
        }
    }

    pub fn checkpoint(&self, checkpoint: &Checkpoint) -> String {
        let signature = self.ledger.sign(checkpoint.body().as_bytes());
        checkpoint
            .encode(&self.ledger.verifying_key(), &Bytes(signature.to_bytes()))
            .unwrap()
    }

    pub fn approval(&self, jti: Bytes32, answer: Answer, replied_at: UnixTime) -> Approval {
        let message = reply_message(&jti.to_string(), &answer.to_string(), replied_at);
        Approval {
            decision_id: jti,
            answer,
            replied_at,
            notifier_signature: Bytes(self.notifier.sign(message.as_bytes()).to_bytes()),
        }
    }

    pub fn application(&self, claims: &Claims) -> Application {
        let approval = self.approval(claims.jti, Answer::Yes, UnixTime(NOW.0 - 60));
        let proof = ProofClaims {
            aud: claims.aud.clone(),
            jti: claims.jti,
            approval: approval.hash(),
            iat: NOW,
        };
        Application {
            token: self.token(claims),
            approval,
            wallet_proof: wallet_proof(&proof, &self.wallet),
            representation: None,
        }
    }
}

/// A YES for the audience, issued ten minutes ago.
pub fn decision(keys: &Keys) -> DecisionClaims {
    DecisionClaims {
        iss: ISSUER.to_owned(),
        sub: Bytes([1; 32]),
        aud: AUDIENCE.to_owned(),
        iat: UnixTime(NOW.0 - 600),
        exp: UnixTime(NOW.0 - 600 + 30 * 86_400),
        jti: Bytes([2; 32]),
        cnf: keys.cnf(),
        contract: ContractRef {
            id: "us.medicaid.adult-group".to_owned(),
            hash: Bytes([3; 32]),
        },
        jurisdiction: "CA".parse().unwrap(),
        as_of: "2026-11-20".parse().unwrap(),
        verdict: Verdict::Yes,
        reasons: Vec::new(),
    }
}

pub fn claims(keys: &Keys) -> Claims {
    decision(keys).recorded_at(ORIGIN, 5)
}

/// Each way to change one byte of a text to another that a careless reader might take for the same or ignore.
pub fn flips(text: &str) -> impl Iterator<Item = String> + '_ {
    text.char_indices().map(|(at, c)| {
        let replacement = match c {
            'a' => 'b',
            'A' => 'a',
            '0' => '1',
            c if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            c if c.is_ascii_uppercase() => c.to_ascii_lowercase(),
            _ => 'x',
        };
        let mut changed = text.to_owned();
        changed.replace_range(at..at + c.len_utf8(), &replacement.to_string());
        changed
    })
}

/// A bit of each byte of a message, for tests that flip one; `FLIP_SEED` chooses others.
pub fn bits() -> impl Iterator<Item = u8> {
    let seed = std::env::var("FLIP_SEED").ok();
    let mut rng = StdRng::seed_from_u64(seed.map_or(1, |seed| seed.parse().unwrap()));
    std::iter::repeat_with(move || rng.gen_range(0..8))
}
