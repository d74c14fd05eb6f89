//! Keys as they leave the wallet: used, then wiped.

use std::fmt;

use contracts::encoding::{Bytes, Bytes32};
use oracles::hpke::NodeKeyPair;
use secp256k1::{Keypair, Message, SECP256K1, SecretKey};
use zeroize::Zeroizing;

use crate::seal::SealKey;

/// A secp256k1 key for BIP-340 signatures and ES256K; wiped on drop, prints its public half.
pub struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    /// A key from BIP-32, whose private keys are valid by construction.
    pub(super) fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Lends the key in the form of the `secp256k1` crate, whose types do not wipe themselves, and erases the copies.
    pub fn with<T>(&self, work: impl FnOnce(&SecretKey, &Keypair) -> T) -> T {
        let mut secret =
            SecretKey::from_slice(self.0.as_ref()).expect("BIP-32 yields keys in 1..n");
        let mut pair = Keypair::from_secret_key(SECP256K1, &secret);
        let result = work(&secret, &pair);
        secret.non_secure_erase();
        pair.non_secure_erase();
        result
    }

    /// The secret, for a proof that holds it as long as it needs.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The x-only public key (BIP-340).
    pub fn x_only(&self) -> Bytes32 {
        self.with(|_, pair| Bytes(pair.x_only_public_key().0.serialize()))
    }

    /// The compressed public key (SEC 1).
    pub fn compressed(&self) -> Bytes<33> {
        self.with(|_, pair| Bytes(pair.public_key().serialize()))
    }

    /// A BIP-340 signature over 32 bytes.
    pub fn sign(&self, digest: &[u8; 32]) -> Bytes<64> {
        self.with(|_, pair| {
            let message = Message::from_digest(*digest);
            Bytes(
                SECP256K1
                    .sign_schnorr(message.as_ref(), pair)
                    .to_byte_array(),
            )
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.x_only())
    }
}

/// The one-time keys of a leaf.
#[derive(Debug)]
pub struct LeafKeys {
    /// Named in the leaf; signs the presentation.
    pub holder: SigningKey,
    /// The nodes seal the value to it.
    pub receive: NodeKeyPair,
    /// Seals the opening at rest (P4).
    pub opening: SealKey,
}
