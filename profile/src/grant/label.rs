//! What a representative knows the person by. Whoever makes a grant may choose it; it is part of the sealed terms, and goes nowhere
//! but into texts to that representative.

use serde::{Deserialize, Serialize};

/// Most characters of a label.
pub const MAX_LABEL: usize = 12;
/// Most digits of a label: a telephone number has more.
const MAX_DIGITS: usize = 2;
/// Words that a text asks its reader to send or to do, which a label could be mistaken for; upper case.
const INSTRUCTIONS: &[&str] = &[
    "YES",
    "NO",
    "SI",
    "WRONG",
    "MAL",
    "STOP",
    "STOPALL",
    "END",
    "QUIT",
    "CANCEL",
    "UNSUBSCRIBE",
    "OPTOUT",
    "REVOKE",
    "START",
    "UNSTOP",
    "HELP",
    "INFO",
    "SHARED",
    "ALTO",
    "BAJA",
    "PARAR",
    "AYUDA",
    "INICIAR",
    "ALTA",
    "REPLY",
    "RESPONDA",
    "PONGA",
    "TEXT",
    "SEND",
    "CALL",
    "LLAME",
    "PAY",
    "PAGUE",
    "CLICK",
    "VISIT",
    "WWW",
    "HTTP",
];
/// What a label has to be, for whoever writes one.
pub const LABEL_FIX: &str = "1 to 12 letters, single spaces and at most 2 digits, with a letter; no word that a text asks to send or do, such as YES, STOP or CALL, and no code word, such as K7";

/// A label, such as `Mom`. Prints nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Label(..)")
    }
}

impl Label {
    /// From its text; none where it does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        fits(text).then(|| Self(text.to_owned()))
    }
}

impl TryFrom<String> for Label {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or(LABEL_FIX)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// Whether a label is one: letters of any script, single spaces and few digits, so that it can hold no link and no number to
/// call; and no word by which a text says what to do, so that it adds no instruction to the text that it stands in.
fn fits(label: &str) -> bool {
    let plain = |c: char| c.is_alphabetic() || c.is_ascii_digit() || c == ' ';
    let words = || label.split(' ');
    label.chars().count() <= MAX_LABEL
        && label.chars().all(plain)
        && label.chars().any(char::is_alphabetic)
        && label.chars().filter(char::is_ascii_digit).count() <= MAX_DIGITS
        && words().all(|word| !word.is_empty() && !is_code(word))
        && words().all(|word| !INSTRUCTIONS.contains(&seen(word).as_str()))
}

/// A word as a reader takes it: upper case, accents left out, wide letters narrow.
fn seen(word: &str) -> String {
    let plain = |c| match c {
        'Á' | 'À' | 'Â' | 'Ä' | 'Ã' | 'Å' => 'A',
        'É' | 'È' | 'Ê' | 'Ë' => 'E',
        'Í' | 'Ì' | 'Î' | 'Ï' => 'I',
        'Ó' | 'Ò' | 'Ô' | 'Ö' | 'Õ' | 'Ø' => 'O',
        'Ú' | 'Ù' | 'Û' | 'Ü' => 'U',
        'Ç' => 'C',
        'Ñ' => 'N',
        'Ý' | 'Ÿ' => 'Y',
        wide @ 'Ａ'..='Ｚ' => {
            char::from_u32(u32::from(wide) - u32::from('Ａ') + u32::from('A')).unwrap_or(wide)
        }
        c => c,
    };
    word.chars()
        .flat_map(char::to_uppercase)
        .map(plain)
        .collect()
}

/// A letter and a digit: as code words are.
fn is_code(word: &str) -> bool {
    let mut chars = word.chars();
    let pair = (chars.next(), chars.next(), chars.next());
    matches!(pair, (Some(letter), Some(digit), None) if letter.is_alphabetic() && digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same file is read by the other service that checks labels.
    #[test]
    fn attack_a_label_holds_no_link_number_instruction_or_code_word() {
        let listed: serde_json::Value =
            serde_json::from_str(include_str!("../../../fixtures/labels.json")).unwrap();
        for (kind, accepted) in [("accepted", true), ("refused", false)] {
            for label in listed[kind].as_array().unwrap() {
                let label = label.as_str().unwrap();
                assert_eq!(Label::parse(label).is_some(), accepted, "{label:?}");
            }
        }
    }
}
