//! The key of one member of staff: 256 random bits that only the person keeps, in a password manager or on paper.

use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::{OsRng, RngCore as _};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A text that is no staff key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a desk key: write its 43 letters and digits as `oracle desk key` printed them")]
pub struct StaffKeyError;

/// A staff key; wiped on drop, never printed. The Ed25519 key follows from it and the desk's name, so that one key at two desks
/// signs as two.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StaffKey([u8; 32]);

impl StaffKey {
    /// A new one from the system's generator.
    pub fn generate() -> Self {
        let mut key = Self([0; 32]);
        OsRng.fill_bytes(&mut key.0);
        key
    }

    /// Reads the 43 characters of base64url.
    ///
    /// # Errors
    /// [`StaffKeyError`].
    pub fn parse(text: &str) -> Result<Self, StaffKeyError> {
        let mut bytes = Bytes32::parse(text.trim()).map_err(|_| StaffKeyError)?;
        let key = Self(bytes.0);
        bytes.0.zeroize();
        Ok(key)
    }

    /// The 43 characters, for the person to keep.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(Bytes32::from(self.0).to_string())
    }

    fn signing(&self, desk: &str) -> SigningKey {
        let seed = Zeroizing::new(tagged_hash(
            "shp/v1/desk-staff",
            &[desk.as_bytes(), &self.0],
        ));
        SigningKey::from_bytes(&seed)
    }

    /// The Ed25519 public key of this person at a desk.
    pub fn public(&self, desk: &str) -> Bytes32 {
        self.signing(desk).verifying_key().to_bytes().into()
    }

    pub(super) fn sign(&self, desk: &str, digest: &[u8; 32]) -> Bytes<64> {
        Bytes(self.signing(desk).sign(digest).to_bytes())
    }
}

impl std::fmt::Debug for StaffKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaffKey")
    }
}
