//! Code words: which decision a reply is about.

use std::fmt;

use rand::Rng as _;
use rand::rngs::OsRng;

/// Letters that are not mistaken for digits or for one another, and that make no answer word.
pub(crate) const LETTERS: &str = "ACEFHJKMPRTWX";
/// Digits that are not mistaken for letters.
pub(crate) const DIGITS: &str = "2345679";

/// A letter and a digit, such as `K7`. It says which question an answer is for and makes a blind guess improbable; what keeps
/// strangers out is the gateway's signature and the sender's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// Reads an upper-case code word.
    pub fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let (letter, digit) = (chars.next()?, chars.next()?);
        (chars.next().is_none() && LETTERS.contains(letter) && DIGITS.contains(digit))
            .then(|| Self(text.to_owned()))
    }

    /// A random code word that is none of `taken`, the recent ones of the same phone.
    pub fn random(taken: &[Self]) -> Self {
        let pick = |from: &str| {
            let at = OsRng.gen_range(0..from.len());
            from.chars().nth(at).unwrap_or('K')
        };
        loop {
            let code = Self(format!("{}{}", pick(LETTERS), pick(DIGITS)));
            // Ninety-one exist; a long list of taken ones must not make this endless.
            if !taken.contains(&code) || taken.len() > 40 {
                return code;
            }
        }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_codes_are_codes_and_avoid_those_taken() {
        let mut taken = Vec::new();
        for _ in 0..40 {
            let code = Code::random(&taken);
            assert_eq!(Code::parse(code.as_str()), Some(code.clone()));
            assert!(!taken.contains(&code));
            taken.push(code);
        }
        for text in ["", "K", "7", "KK", "77", "k7", "K77", "O0", "I1", "N7"] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }
}
