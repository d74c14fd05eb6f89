//! What a person's text means.
//!
//! The grammar is small on purpose: one answer word and the code word, in either order, in English or Spanish, whatever the
//! case, accents, punctuation or courtesy around them. Anything else is unclear, and an unclear text never decides anything.

use crate::code::Code;

/// Longest text that is read, in bytes: ten concatenated segments in UTF-8.
pub const MAX_TEXT_BYTES: usize = 6_000;

/// The owner's answer to one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go ahead.
    Yes,
    /// Do not.
    No,
}

impl Answer {
    /// `YES` or `NO`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "YES",
            Self::No => "NO",
        }
    }
}

/// A text, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// An answer, with the code word if one was given.
    Answer(Answer, Option<Code>),
    /// Send no more texts. `cancels` where the word also says to take an answer back.
    Stop {
        /// The word was CANCEL or CANCELAR.
        cancels: bool,
    },
    /// Send texts again.
    Start,
    /// Say who is texting.
    Help,
    /// None of these.
    Unclear,
}

const YES: &[&str] = &["YES", "Y", "YEAH", "YEP", "SI"];
const NO: &[&str] = &["NO", "N", "NOPE"];
/// Words that carriers and the CTIA handbook treat as opting out, and their Spanish counterparts.
const STOP: &[&str] = &[
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "ALTO",
    "PARAR",
    "PARE",
    "BAJA",
    "DETENER",
];
const CANCEL: &[&str] = &["CANCEL", "CANCELAR"];
/// YES is absent: carriers take it for START, and it would swallow an answer.
const START: &[&str] = &[
    "START", "UNSTOP", "RESUME", "INICIAR", "EMPEZAR", "COMENZAR", "ALTA",
];
const HELP: &[&str] = &["HELP", "INFO", "AYUDA"];
const COURTESY: &[&str] = &[
    "PLEASE", "THANKS", "THANK", "YOU", "POR", "FAVOR", "GRACIAS",
];

/// Reads a text.
pub fn read(text: &str) -> Meaning {
    if text.len() > MAX_TEXT_BYTES {
        return Meaning::Unclear;
    }
    let all = words(text);
    let words: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|word| !COURTESY.contains(word))
        .collect();
    match words.as_slice() {
        [] => Meaning::Unclear,
        ["STOP", "ALL"] | ["OPT", "OUT"] => Meaning::Stop { cancels: false },
        [word] if STOP.contains(word) => Meaning::Stop { cancels: false },
        [word] if CANCEL.contains(word) => Meaning::Stop { cancels: true },
        [word] if START.contains(word) => Meaning::Start,
        [word] if HELP.contains(word) => Meaning::Help,
        words => answer(words),
    }
}

fn answer(words: &[&str]) -> Meaning {
    let mut answer = None;
    let mut code = String::new();
    for (position, word) in words.iter().enumerate() {
        let Some((said, rest)) = answer_word(word) else {
            code.push_str(word);
            continue;
        };
        // The same answer said twice is one answer; two different ones are none.
        if answer.is_some_and(|earlier| earlier != said) {
            return Meaning::Unclear;
        }
        // "K 7 YES" and "YES K 7" may split the code word, but not around the answer.
        if position > 0 && position + 1 < words.len() && !code.is_empty() {
            return Meaning::Unclear;
        }
        answer = Some(said);
        code.push_str(rest);
    }
    match (answer, Code::parse(&code)) {
        (Some(answer), _) if code.is_empty() => Meaning::Answer(answer, None),
        (Some(answer), Some(code)) => Meaning::Answer(answer, Some(code)),
        _ => Meaning::Unclear,
    }
}

/// An answer word, alone or with the code word run into it (`YESK7`).
fn answer_word(word: &str) -> Option<(Answer, &str)> {
    let alone = |list: &[&str]| list.contains(&word);
    if alone(YES) {
        return Some((Answer::Yes, ""));
    }
    if alone(NO) {
        return Some((Answer::No, ""));
    }
    [
        ("YES", Answer::Yes),
        ("SI", Answer::Yes),
        ("NO", Answer::No),
    ]
    .into_iter()
    .find_map(|(prefix, answer)| {
        let rest = word.strip_prefix(prefix)?;
        Code::parse(rest).map(|_| (answer, rest))
    })
}

/// Upper-case words without accents or punctuation.
fn words(text: &str) -> Vec<String> {
    text.chars()
        .flat_map(char::to_uppercase)
        .filter_map(|c| match c {
            'Á' | 'À' => Some('A'),
            'É' | 'È' => Some('E'),
            'Í' | 'Ì' => Some('I'),
            'Ó' | 'Ò' => Some('O'),
            'Ú' | 'Ù' | 'Ü' => Some('U'),
            'Ñ' => Some('N'),
            // Combining accents vanish, and so do apostrophes and zero-width characters.
            '\u{0300}'..='\u{036f}' | '\'' | '\u{2019}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {
                None
            }
            c if c.is_alphanumeric() => Some(c),
            _ => Some(' '),
        })
        .collect::<String>()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<Code> {
        Some(Code::parse(text).unwrap())
    }

    #[test]
    fn answers_are_read_whatever_the_case_accents_and_punctuation() {
        for text in [
            "YES K7",
            "yes k7",
            "Yes, K7.",
            " yes  K7!!",
            "YESK7",
            "yes k 7",
            "K7 yes",
            "k7: YES",
            "Sí K7",
            "SI\u{301} k7",
            "si, k7, por favor",
            "Y K7",
            "“Yes” K7",
            "yes k7 please",
            "YES-K7",
            "yes yes K7",
        ] {
            assert_eq!(
                read(text),
                Meaning::Answer(Answer::Yes, code("K7")),
                "{text}"
            );
        }
        for text in [
            "NO K7",
            "no k7",
            "No. K7",
            "nok7",
            "N K7",
            "K7 NO",
            "no, gracias. K7",
        ] {
            assert_eq!(
                read(text),
                Meaning::Answer(Answer::No, code("K7")),
                "{text}"
            );
        }
        assert_eq!(read("yes"), Meaning::Answer(Answer::Yes, None));
        assert_eq!(read("¡Sí!"), Meaning::Answer(Answer::Yes, None));
    }

    #[test]
    fn what_is_not_plainly_an_answer_decides_nothing() {
        for text in [
            "",
            "  ",
            "?",
            "K7",
            "YES NO K7",
            "no yes",
            "yes but not now K7",
            "no entiendo K7",
            "who is this",
            "yes K7 K8",
            "K yes 7",
            "YESTERDAY",
            "NOK",
            "I said yes K7 didn't I",
            "YES K77",
            "si no K7",
            "👍",
        ] {
            assert_eq!(read(text), Meaning::Unclear, "{text}");
        }
        assert_eq!(read(&"YES K7 ".repeat(2000)), Meaning::Unclear);
    }

    #[test]
    fn commands_stand_alone_and_never_swallow_an_answer() {
        for text in [
            "STOP",
            "stop.",
            "Stop All",
            "unsubscribe",
            "ALTO",
            "parar",
            "QUIT",
            "stop please",
        ] {
            assert_eq!(read(text), Meaning::Stop { cancels: false }, "{text}");
        }
        for text in ["cancel", "Cancelar"] {
            assert_eq!(read(text), Meaning::Stop { cancels: true }, "{text}");
        }
        for text in ["START", "unstop", "Iniciar"] {
            assert_eq!(read(text), Meaning::Start, "{text}");
        }
        for text in ["help", "HELP!", "Ayuda", "info"] {
            assert_eq!(read(text), Meaning::Help, "{text}");
        }
        assert_eq!(
            read("YES"),
            Meaning::Answer(Answer::Yes, None),
            "carriers take YES for START"
        );
        assert_eq!(read("stop yes k7"), Meaning::Unclear);
        assert_eq!(read("don't stop"), Meaning::Unclear);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_only_answers_carry_a_code(text in ".{0,80}") {
            if let Meaning::Answer(_, Some(code)) = read(&text) {
                let plain: String = words(&text).concat();
                prop_assert!(plain.contains(code.as_str()));
            }
        }
    }
}
