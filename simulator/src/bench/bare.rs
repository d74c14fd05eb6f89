//! The operations that one attestation needs, each by its library alone, timed in this process.

use contracts::bip340;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::PEDERSEN;
use contracts::ids::Domain;
use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul as _;
use ed25519_dalek::Signer as _;
use oracles::hpke::{self, NodeKeyPair};
use profile::wallet::{Entropy, Wallet};
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};

use super::cpu::micros;
use super::frost::Bare;

/// Blinding points of a leaf: of value, known and subject.
const POINTS: f64 = 3.0;
/// Bytes of a leaf's encoding and of a sealed value.
const LEAF: usize = 400;
const VALUE: usize = 13;
/// Bytes of a request for one leaf, and of a handle.
const REQUEST: usize = 640;
const HANDLE: usize = 600;
/// Bytes that a node tells another.
const PEER_MESSAGE: usize = 1_000;

/// What one attestation needs.
pub struct Needed {
    /// Processor time in all, in microseconds.
    pub micros: f64,
    /// The same by operation.
    pub parts: Vec<(&'static str, f64)>,
}

/// A call from node to node: request and answer, each sealed and opened (HPKE), signed and verified (Ed25519).
pub fn peer_call() -> Result<f64, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let receiver = NodeKeyPair::generate();
    let body = [7; PEER_MESSAGE];
    let boxed = hpke::seal(receiver.public(), &[], &[], &body).map_err(|error| text(&error))?;
    let seal = micros(|| hpke::seal(receiver.public(), &[], &[], &body))?;
    let open = micros(|| receiver.open(&[], &[], &boxed))?;
    let key = ed25519_dalek::SigningKey::generate(&mut OsRng);
    let sealed = boxed.ciphertext.0.as_slice();
    let signature = key.sign(sealed);
    let sign = micros(|| key.sign(sealed))?;
    let public = key.verifying_key();
    let verify = micros(|| public.verify_strict(sealed, &signature))?;
    Ok(2.0 * (seal + open + sign + verify))
}

/// The operations of `nodes` nodes and of the owner, for one leaf of a request for `leaves`, in a batch of `batch`.
///
/// At a node, per leaf: decoding the blinding points, their share of one multi-scalar multiplication, `v·B`, three
/// commitments added and encoded, the leaf's hash, the value sealed. Per request: two boxes opened, two signatures
/// verified. At the owner, per leaf: keys derived from the seed, three blindings times `H`, a value opened for each node,
/// one leaf built and hashed. Per request: a proof's announcement, a signature, a box for each node. Per batch: one FROST
/// ceremony, verified by the owner.
pub fn per_attestation(nodes: u16, leaves: usize, batch: f64) -> Result<Needed, String> {
    let n = f64::from(nodes);
    let of_request = 1.0 / leaves as f64;
    let text = |error: &dyn std::fmt::Display| error.to_string();

    let scalar = Scalar::random(&mut OsRng);
    let points: Vec<RistrettoPoint> = (0..POINTS as usize * leaves + 2)
        .map(|_| RistrettoPoint::random(&mut OsRng))
        .collect();
    let scalars: Vec<Scalar> = points.iter().map(|_| Scalar::random(&mut OsRng)).collect();
    let (first, second) = (
        *points.first().ok_or("no points")?,
        *points.last().ok_or("no points")?,
    );
    let encoded: CompressedRistretto = first.compress();
    let decode = micros(|| encoded.decompress())?;
    let proof = micros(|| RistrettoPoint::vartime_multiscalar_mul(&scalars, &points))?;
    let value = micros(|| &Scalar::from(61_237u64) * RISTRETTO_BASEPOINT_TABLE)?;
    let commit = micros(|| (first + second).compress())?;
    let blind = micros(|| (scalar * PEDERSEN.B_blinding).compress())?;
    let hash = micros(|| Sha256::digest([7u8; LEAF]))?;

    let receiver = NodeKeyPair::generate();
    let info = [1u8; 32];
    let sealed = |bytes: usize| {
        hpke::seal(receiver.public(), &info, &[], &vec![7; bytes]).map_err(|error| text(&error))
    };
    let seal_value = micros(|| sealed(VALUE))?;
    let boxed = sealed(VALUE)?;
    let open_value = micros(|| receiver.open(&info, &[], &boxed))?;
    let seal_request = micros(|| sealed(REQUEST * leaves))?;
    let (request, handle) = (sealed(REQUEST * leaves)?, sealed(HANDLE)?);
    let open_request = micros(|| {
        let request = receiver.open(&info, &[], &request);
        (request, receiver.open(&info, &[], &handle))
    })?;

    let secret = [5u8; 32];
    let key: Bytes32 = bip340::public_key(&secret).map_err(|error| text(&error))?;
    let sign = micros(|| bip340::sign(&secret, &info, &mut OsRng))?;
    let signature: Bytes<64> =
        bip340::sign(&secret, &info, &mut OsRng).map_err(|error| text(&error))?;
    let verify = micros(|| bip340::verify(&key, &info, &signature))?;
    let group = frost_secp256k1::SigningKey::new(&mut OsRng);
    let (public, root) = (
        frost_secp256k1::VerifyingKey::from(&group),
        group.sign(OsRng, &info),
    );
    let verify_group = micros(|| public.verify(&info, &root))?;
    let bare = Bare::new(nodes)?;
    let ceremony = micros(|| bare.sign(|| info.to_vec()))?;
    let wallet = Wallet::new(&Entropy::generate()).map_err(|error| text(&error))?;
    let derive = micros(|| wallet.leaf(Domain::Identity, 7))?;

    let parts = vec![
        ("nodes: points decoded", n * POINTS * decode),
        ("nodes: proof of the blindings", n * proof * of_request),
        ("nodes: v·B", n * value),
        ("nodes: commitments", n * POINTS * commit),
        ("nodes: leaf hash", n * hash),
        ("nodes: value sealed", n * seal_value),
        (
            "nodes: request and handle opened",
            n * open_request * of_request,
        ),
        (
            "nodes: signatures of owner and handle",
            n * (verify + verify_group) * of_request,
        ),
        ("owner: keys from the seed", derive),
        ("owner: blinding points", POINTS * blind),
        ("owner: values opened", n * open_value),
        ("owner: leaf built", value + POINTS * commit + hash),
        (
            "owner: proof, signature, boxes",
            (blind + sign + n * seal_request) * of_request,
        ),
        (
            "batch: one ceremony, verified by owners",
            ceremony / batch.max(1.0) + verify_group * of_request,
        ),
    ];
    Ok(Needed {
        micros: parts.iter().map(|(_, micros)| micros).sum(),
        parts,
    })
}
