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

/// Something sealed that does not open: another key, another place, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("something sealed does not open under the operator key")]
pub struct Sealed;

/// Keys made from the operator's: to seal numbers and what texts say, and to find numbers and codes again.
#[derive(ZeroizeOnDrop)]
pub struct PhoneKeys {
    seal: [u8; 32],
    text: [u8; 32],
    index: [u8; 32],
    digest: [u8; 32],
}

impl PhoneKeys {
    /// Derives the keys.
    pub fn new(operator_key: &[u8; 32]) -> Self {
        Self {
            seal: mac(operator_key, b"notifier/v1/phone-seal"),
            text: mac(operator_key, b"notifier/v1/text-seal"),
            index: mac(operator_key, b"notifier/v1/phone-index"),
            digest: mac(operator_key, b"notifier/v1/digest"),
        }
    }

    /// A keyed digest under which the same number is found again; numbers are few, so without the key it would be guessable.
    pub fn index(&self, phone: &Phone) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.index, phone.0.as_bytes()))
    }

    /// A keyed digest of something said or shown once: a recovery code, a text without an id.
    pub fn digest(&self, purpose: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.digest, format!("{purpose}\n{text}").as_bytes()))
    }

    /// Seals a number for one contact.
    pub fn seal(&self, contact: &str, phone: &Phone) -> String {
        seal(&self.seal, contact, phone.0.as_bytes())
    }

    /// Opens a number sealed for this contact.
    ///
    /// # Errors
    /// [`Sealed`].
    pub fn open(&self, contact: &str, sealed: &str) -> Result<Phone, Sealed> {
        let opened = open(&self.seal, contact, sealed)?;
        std::str::from_utf8(&opened)
            .ok()
            .and_then(Phone::parse)
            .ok_or(Sealed)
    }

    /// Seals what a text is filled in with, for one message or decision.
    pub fn seal_text(&self, place: &str, text: &str) -> String {
        seal(&self.text, place, text.as_bytes())
    }

    /// Opens what was sealed for this message or decision.
    ///
    /// # Errors
    /// [`Sealed`].
    pub fn open_text(&self, place: &str, sealed: &str) -> Result<String, Sealed> {
        let opened = open(&self.text, place, sealed)?;
        String::from_utf8(opened.to_vec()).map_err(|_| Sealed)
    }
}

fn seal(key: &[u8; 32], place: &str, text: &[u8]) -> String {
    let mut nonce = [0; NONCE_BYTES];
    OsRng.fill_bytes(&mut nonce);
    let payload = Payload {
        msg: text,
        aad: place.as_bytes(),
    };
    let ciphertext = ChaCha20Poly1305::new(key.into())
        .encrypt(&nonce.into(), payload)
        .expect("the AEAD takes far longer messages than a text");
    let mut sealed = nonce.to_vec();
    sealed.extend(ciphertext);
    URL_SAFE_NO_PAD.encode(sealed)
}

fn open(key: &[u8; 32], place: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Sealed> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Sealed)?;
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(Sealed)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Sealed)?;
    let payload = Payload {
        msg: ciphertext,
        aad: place.as_bytes(),
    };
    let opened = ChaCha20Poly1305::new(key.into()).decrypt(&nonce.into(), payload);
    opened.map(Zeroizing::new).map_err(|_| Sealed)
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
