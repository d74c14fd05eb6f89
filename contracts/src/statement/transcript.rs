//! merlin transcripts in the words of the proofs: points, scalars, challenges and witness-bound nonces.

use curve25519_dalek::scalar::Scalar;
use merlin::{Transcript, TranscriptRng};
use rand_core::{CryptoRng, RngCore};

use crate::group::{Point, PublicScalar};

/// What the proofs of this crate append to a transcript and draw from it.
pub(crate) trait ProofTranscript {
    /// Appends a point's canonical encoding.
    fn append_point(&mut self, label: &'static [u8], point: &Point);
    /// Appends a point or its absence, which cannot be mistaken for each other.
    fn append_optional_point(&mut self, label: &'static [u8], point: Option<&Point>);
    /// Appends a scalar's canonical encoding.
    fn append_scalar(&mut self, label: &'static [u8], scalar: &PublicScalar);
    /// Draws a full-size scalar: 64 bytes reduced modulo the group order.
    fn challenge_scalar(&mut self, label: &'static [u8]) -> Scalar;
    /// A generator bound to the transcript, the witness and `rng`, for the nonces of one round.
    fn witness_rng<'a, R: RngCore + CryptoRng>(
        &self,
        witness: impl Iterator<Item = &'a Scalar>,
        rng: &mut R,
    ) -> TranscriptRng;
}

impl ProofTranscript for Transcript {
    fn append_point(&mut self, label: &'static [u8], point: &Point) {
        self.append_message(label, point.as_bytes());
    }

    fn append_optional_point(&mut self, label: &'static [u8], point: Option<&Point>) {
        self.append_message(label, point.map_or(&[], |point| point.as_bytes()));
    }

    fn append_scalar(&mut self, label: &'static [u8], scalar: &PublicScalar) {
        self.append_message(label, scalar.0.as_bytes());
    }

    fn challenge_scalar(&mut self, label: &'static [u8]) -> Scalar {
        let mut uniform = [0u8; 64];
        self.challenge_bytes(label, &mut uniform);
        Scalar::from_bytes_mod_order_wide(&uniform)
    }

    fn witness_rng<'a, R: RngCore + CryptoRng>(
        &self,
        witness: impl Iterator<Item = &'a Scalar>,
        rng: &mut R,
    ) -> TranscriptRng {
        witness
            .fold(self.build_rng(), |builder, scalar| {
                builder.rekey_with_witness_bytes(b"witness", scalar.as_bytes())
            })
            .finalize(rng)
    }
}
