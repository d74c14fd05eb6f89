//! Phone numbers: read, sealed, and found again without being readable.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use hmac::{Hmac, Mac as _};
use rand::RngCore as _;
use rand::rngs::OsRng;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Bytes of a ChaCha20-Poly1305 nonce.
const NONCE_BYTES: usize = 12;

/// A phone number in E.164 form; prints nothing and is wiped on drop.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Phone(String);

impl Phone {
    /// Reads `+` and 8 to 15 digits, the first not zero (ITU-T E.164 §6.2.1).
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let fine = (8..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        fine.then(|| Self(text.to_owned()))
    }

    /// The number, for the gateway alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone")
    }
}

/// A sealed number that does not open: another key, another contact, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed phone number does not open under the operator key")]
pub struct Sealed;

/// Keys made from the operator's: one seals numbers, one finds them.
#[derive(ZeroizeOnDrop)]
pub struct PhoneKeys {
    seal: [u8; 32],
    index: [u8; 32],
}

impl PhoneKeys {
    /// Derives both keys.
    pub fn new(operator_key: &[u8; 32]) -> Self {
        Self {
            seal: mac(operator_key, b"notifier/v1/phone-seal"),
            index: mac(operator_key, b"notifier/v1/phone-index"),
        }
    }

    /// A keyed digest under which the same number is found again; numbers are few, so without the key it would be guessable.
    pub fn index(&self, phone: &Phone) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.index, phone.0.as_bytes()))
    }

    /// Seals a number for one contact.
    ///
    /// # Panics
    /// Never: the AEAD takes far longer messages than a phone number.
    pub fn seal(&self, contact: &str, phone: &Phone) -> String {
        let mut sealed = vec![0; NONCE_BYTES];
        OsRng.fill_bytes(&mut sealed);
        let payload = Payload {
            msg: phone.0.as_bytes(),
            aad: contact.as_bytes(),
        };
        let nonce: [u8; NONCE_BYTES] = sealed.as_slice().try_into().expect("made with this length");
        let ciphertext = self
            .cipher()
            .encrypt(&nonce.into(), payload)
            .expect("a phone number is short");
        sealed.extend(ciphertext);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens a number sealed for this contact.
    ///
    /// # Errors
    /// [`Sealed`].
    pub fn open(&self, contact: &str, sealed: &str) -> Result<Phone, Sealed> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Sealed)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(Sealed)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Sealed)?;
        let payload = Payload {
            msg: ciphertext,
            aad: contact.as_bytes(),
        };
        let opened = Zeroizing::new(
            self.cipher()
                .decrypt(&nonce.into(), payload)
                .map_err(|_| Sealed)?,
        );
        std::str::from_utf8(&opened)
            .ok()
            .and_then(Phone::parse)
            .ok_or(Sealed)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.seal.into())
    }
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_opens_for_its_own_contact_and_key_alone() {
        let keys = PhoneKeys::new(&[1; 32]);
        let phone = Phone::parse("+14155550132").unwrap();
        let sealed = keys.seal("c1", &phone);
        assert_eq!(keys.open("c1", &sealed), Ok(phone.clone()));
        assert_eq!(keys.open("c2", &sealed), Err(Sealed));
        assert_eq!(PhoneKeys::new(&[2; 32]).open("c1", &sealed), Err(Sealed));
        assert_ne!(keys.seal("c1", &phone), sealed);
        assert_eq!(keys.index(&phone), keys.index(&phone));
        assert_ne!(keys.index(&phone), PhoneKeys::new(&[2; 32]).index(&phone));
        assert_eq!(format!("{phone:?}"), "Phone");
    }

    #[test]
    fn only_e164_is_a_number() {
        for text in [
            "4155550132",
            "+1 415 555 0132",
            "+04155550132",
            "+1415",
            "+1234567890123456",
            "+1415555o132",
            "",
        ] {
            assert_eq!(Phone::parse(text), None, "{text}");
        }
    }
}
