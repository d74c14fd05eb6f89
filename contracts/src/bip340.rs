//! BIP-340 Schnorr signatures over 32-byte digests: owner requests and holder signatures.

use rand_core::{CryptoRng, RngCore};
use secp256k1::{Keypair, SECP256K1, SecretKey, XOnlyPublicKey, schnorr::Signature};
use zeroize::Zeroizing;

use crate::encoding::{Bytes, Bytes32};

/// A signature that does not verify, or a key that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not the x coordinate of a point (BIP-340 `lift_x`).
    #[error("not an x-only secp256k1 public key")]
    Key,
    /// Not a secret key: zero, or not below the group order.
    #[error("not a secp256k1 secret key")]
    SecretKey,
    /// The signature does not verify.
    #[error("the BIP-340 signature does not verify")]
    Signature,
}

fn keypair(secret: &[u8; 32]) -> Result<Keypair, SignatureError> {
    let mut secret = SecretKey::from_slice(secret).map_err(|_| SignatureError::SecretKey)?;
    let pair = Keypair::from_secret_key(SECP256K1, &secret);
    secret.non_secure_erase();
    Ok(pair)
}

/// The x-only public key of a secret key.
///
/// # Errors
/// [`SignatureError::SecretKey`].
pub fn public_key(secret: &[u8; 32]) -> Result<Bytes32, SignatureError> {
    let mut pair = keypair(secret)?;
    let public = pair.x_only_public_key().0.serialize();
    pair.non_secure_erase();
    Ok(public.into())
}

/// Signs a digest, with auxiliary randomness from `rng`.
///
/// # Errors
/// [`SignatureError::SecretKey`].
pub fn sign<R: RngCore + CryptoRng>(
    secret: &[u8; 32],
    digest: &[u8; 32],
    rng: &mut R,
) -> Result<Bytes<64>, SignatureError> {
    let mut pair = keypair(secret)?;
    let mut aux = Zeroizing::new([0u8; 32]);
    rng.fill_bytes(aux.as_mut());
    let signature = SECP256K1.sign_schnorr_with_aux_rand(digest, &pair, &aux);
    pair.non_secure_erase();
    Ok(signature.to_byte_array().into())
}

/// Checks that 32 bytes are a public key.
///
/// # Errors
/// [`SignatureError::Key`].
pub fn check_key(key: &Bytes32) -> Result<(), SignatureError> {
    XOnlyPublicKey::from_slice(&key.0)
        .map(|_| ())
        .map_err(|_| SignatureError::Key)
}

/// Verifies a signature over a digest.
///
/// # Errors
/// [`SignatureError::Key`] or [`SignatureError::Signature`].
pub fn verify(
    key: &Bytes32,
    digest: &[u8; 32],
    signature: &Bytes<64>,
) -> Result<(), SignatureError> {
    let key = XOnlyPublicKey::from_slice(&key.0).map_err(|_| SignatureError::Key)?;
    SECP256K1
        .verify_schnorr(&Signature::from_byte_array(signature.0), digest, &key)
        .map_err(|_| SignatureError::Signature)
}
