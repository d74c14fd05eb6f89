//! One bare FROST(secp256k1, SHA-256) ceremony by the library: what a threshold signature costs without nodes.

use std::collections::BTreeMap;

use frost_secp256k1::keys::{IdentifierList, KeyPackage, PublicKeyPackage, generate_with_dealer};
use frost_secp256k1::{Identifier, SigningPackage, aggregate, round1, round2};
use rand::rngs::OsRng;

use contracts::ids::quorum;

/// A committee's key in one process.
pub struct Bare {
    signers: Vec<(Identifier, KeyPackage)>,
    public: PublicKeyPackage,
}

impl Bare {
    /// A key of `n` members, of whom a quorum signs.
    pub fn new(n: u16) -> Result<Self, String> {
        let needed = quorum(n);
        let (shares, public) = generate_with_dealer(n, needed, IdentifierList::Default, OsRng)
            .map_err(|error| error.to_string())?;
        let signers = shares.into_iter().take(usize::from(needed));
        let signers = signers.map(|(id, share)| {
            let package = KeyPackage::try_from(share).map_err(|error| error.to_string())?;
            Ok((id, package))
        });
        Ok(Self {
            signers: signers.collect::<Result<_, String>>()?,
            public,
        })
    }

    /// Both rounds of every signer and the aggregation, which verifies the signature, one after the other. `message` is
    /// what each signer rebuilds before it commits.
    pub fn sign(&self, mut message: impl FnMut() -> Vec<u8>) -> Result<(), String> {
        let failed = |error: frost_secp256k1::Error| error.to_string();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        let mut rebuilt = Vec::new();
        for (id, package) in &self.signers {
            rebuilt = message();
            let (nonce, commitment) = round1::commit(package.signing_share(), &mut OsRng);
            nonces.insert(*id, nonce);
            commitments.insert(*id, commitment);
        }
        let signing = SigningPackage::new(commitments, &rebuilt);
        let mut shares = BTreeMap::new();
        for (id, package) in &self.signers {
            let nonce = nonces.get(id).ok_or("a signer without nonces")?;
            shares.insert(*id, round2::sign(&signing, nonce, package).map_err(failed)?);
        }
        aggregate(&signing, &shares, &self.public).map_err(failed)?;
        Ok(())
    }
}
