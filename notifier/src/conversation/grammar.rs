//! What a person's text means. The grammar is stated in the crate's documentation; this is all of it.
//!
//! A text that could be read in two ways decides nothing. An answer counts only with a whole code word beside it, which
//! [`super::decision`] sees to.

use super::code::Code;
use super::lexicon::{
    APPROACHING, BESIDE, CANCEL, COURTESY, ENDING, FILLERS, HELP, HELP_PHRASES, LISTS, NEGATIONS,
    NO, NOT_ME_PHRASES, REFUSING, REMOVING, SHARED, START, STOP, STOP_PHRASES, TEXTING, UNDO,
    UNDO_PHRASES, WRONG, WRONG_PHRASES, YES,
};
use super::words::{collapsed, is_reaction, words};

/// Longest text that is read, in bytes: ten concatenated segments in UTF-8.
pub const MAX_TEXT_BYTES: usize = 6_000;
/// Longest text that is searched for phrases, in words: people who want out say so shortly, and a text of ours that is sent
/// back to us is longer.
const MAX_PHRASE_WORDS: usize = 14;

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
    /// An answer, with the code word if a whole one was given.
    Answer(Answer, Option<Code>),
    /// Take the YES back.
    Undo(Option<Code>),
    /// What the text rests on is not right.
    Wrong(Option<Code>),
    /// Send no more texts. `takes_back` where the text also says to take an answer back.
    Stop {
        /// The word was CANCEL or CANCELAR, or a NO stood beside it.
        takes_back: bool,
    },
    /// The phone is not the person's.
    NotMe,
    /// Others read this phone.
    Shared,
    /// Send texts again.
    Start,
    /// Say who is texting.
    Help,
    /// None of these, or several.
    Unclear,
}

impl Meaning {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer(Answer::Yes, _) => "yes",
            Self::Answer(Answer::No, _) => "no",
            Self::Undo(_) => "undo",
            Self::Wrong(_) => "wrong",
            Self::Stop { .. } => "stop",
            Self::NotMe => "not_me",
            Self::Shared => "shared",
            Self::Start => "start",
            Self::Help => "help",
            Self::Unclear => "unclear",
        }
    }

    /// The code word in it.
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Answer(_, code) | Self::Undo(code) | Self::Wrong(code) => code.as_ref(),
            _ => None,
        }
    }
}

/// Reads a text.
pub fn read(text: &str) -> Meaning {
    if text.len() > MAX_TEXT_BYTES || is_reaction(text) {
        return Meaning::Unclear;
    }
    let all = words(text);
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    let answer = answer(&words);
    if let Some(command) = command(&words) {
        // A YES beside a command has two readings.
        return match (command, said(&words)) {
            (Meaning::Stop { .. }, Said { yes: true, .. }) => Meaning::Unclear,
            (Meaning::Stop { takes_back }, said) => Meaning::Stop {
                takes_back: takes_back || (said.no && said.code),
            },
            (command @ Meaning::NotMe, Said { yes: false, .. }) => command,
            (command @ Meaning::Wrong(_), Said { yes: false, .. }) => command,
            (
                command,
                Said {
                    yes: false,
                    no: false,
                    ..
                },
            ) => command,
            _ => Meaning::Unclear,
        };
    }
    answer
}

/// Which answer words and whether a code word stand anywhere in a text.
struct Said {
    yes: bool,
    no: bool,
    code: bool,
}

fn said(words: &[&str]) -> Said {
    let answers = |wanted| {
        words
            .iter()
            .any(|word| answer_word(word).is_some_and(|(answer, _)| answer == wanted))
    };
    Said {
        yes: answers(Answer::Yes),
        no: answers(Answer::No),
        code: words.iter().any(|word| Code::parse(word).is_some()),
    }
}

fn command(words: &[&str]) -> Option<Meaning> {
    let phrases = words.len() <= MAX_PHRASE_WORDS;
    if phrases && has_phrase(words, NOT_ME_PHRASES) {
        return Some(Meaning::NotMe);
    }
    if let Some(takes_back) = stop(words, phrases) {
        return Some(Meaning::Stop { takes_back });
    }
    let bare = without(words, COURTESY);
    if let [word] = bare.as_slice() {
        if START.contains(word) {
            return Some(Meaning::Start);
        }
        if HELP.contains(word) {
            return Some(Meaning::Help);
        }
    }
    if let Some(code) = beside(words, UNDO, UNDO_PHRASES) {
        return Some(Meaning::Undo(code));
    }
    if let Some(code) = beside(words, WRONG, WRONG_PHRASES) {
        return Some(Meaning::Wrong(code));
    }
    if let Some(None) = beside(words, SHARED, &[]) {
        return Some(Meaning::Shared);
    }
    (phrases && has_phrase(words, HELP_PHRASES)).then_some(Meaning::Help)
}

/// Whether a text asks for no more texts, and whether it takes an answer back, too.
fn stop(words: &[&str], phrases: bool) -> Option<bool> {
    let negated = has_phrase(
        words,
        &[
            "DONT STOP",
            "NOT STOP",
            "NEVER STOP",
            "NO PAREN",
            "NO PARE",
            "NO DETENGAN",
        ],
    );
    if negated {
        return None;
    }
    let bare: Vec<&str> = without(words, COURTESY)
        .into_iter()
        .filter(|word| Code::parse(word).is_none())
        .collect();
    match bare.as_slice() {
        [word] if STOP.contains(word) => return Some(false),
        [word] if CANCEL.contains(word) => return Some(true),
        // "NO. STOP": both are meant.
        [one, two]
            if [one, two]
                .iter()
                .all(|word| NO.contains(word) || STOP.contains(word))
                && (STOP.contains(one) || STOP.contains(two)) =>
        {
            return Some(NO.contains(one) || NO.contains(two));
        }
        _ => {}
    }
    if !phrases {
        return None;
    }
    let follows = |first: &[&str], then: &[&str], within: usize| {
        words.iter().enumerate().any(|(at, word)| {
            first.contains(word)
                && words
                    .iter()
                    .skip(at + 1)
                    .take(within)
                    .any(|next| then.contains(next))
        })
    };
    let approached = words.iter().enumerate().any(|(at, word)| {
        REFUSING.contains(word)
            && words
                .iter()
                .skip(at + 1)
                .take(2)
                .any(|next| APPROACHING.contains(next))
            && words
                .iter()
                .any(|word| ["ME", "US", "NOS", "MORE", "ANYMORE", "AGAIN", "MAS"].contains(word))
    });
    let found = has_phrase(words, STOP_PHRASES)
        || follows(ENDING, TEXTING, 3)
        || approached
        || follows(REMOVING, LISTS, 4);
    found.then(|| words.iter().any(|word| CANCEL.contains(word)))
}

/// A keyword or phrase with nothing but small words and at most one code word beside it.
fn beside(words: &[&str], keywords: &[&str], phrases: &[&str]) -> Option<Option<Code>> {
    let mut rest: Vec<&str> = words.to_vec();
    let phrase = phrases.iter().find_map(|phrase| {
        let parts: Vec<&str> = phrase.split(' ').collect();
        rest.windows(parts.len())
            .position(|window| window == parts)
            .map(|at| (at, parts.len()))
    });
    match phrase {
        Some((at, length)) => {
            rest.drain(at..at + length);
        }
        None => {
            let at = rest.iter().position(|word| keywords.contains(word))?;
            rest.remove(at);
        }
    }
    rest.retain(|word| !BESIDE.contains(word) && !keywords.contains(word));
    let code = rest.concat();
    if code.is_empty() {
        return Some(None);
    }
    Code::parse(&code).map(Some)
}

fn answer(words: &[&str]) -> Meaning {
    let mut answer = None;
    let mut negated = false;
    let mut runs: Vec<String> = vec![String::new()];
    for word in words {
        if let Some((said, rest)) = answer_word(word) {
            // The same answer said twice is one answer; two different ones are none.
            if answer.is_some_and(|earlier| earlier != said) {
                return Meaning::Unclear;
            }
            answer = Some(said);
            // "K 7 YES" and "YES K 7" may split the code word, but not around the answer.
            runs.push(rest.to_owned());
            if !rest.is_empty() {
                runs.push(String::new());
            }
        } else if NEGATIONS.contains(word) {
            negated = true;
        } else if !FILLERS.contains(word)
            && let Some(run) = runs.last_mut()
        {
            run.push_str(word);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs.dedup();
    let Some(answer) = answer.filter(|answer| !negated || *answer == Answer::No) else {
        return Meaning::Unclear;
    };
    match runs.as_slice() {
        [] => Meaning::Answer(answer, None),
        [run] => match whole_code(run) {
            Some(code) => Meaning::Answer(answer, Some(code)),
            // Half a code word is none.
            None if run.len() == 1 => Meaning::Answer(answer, None),
            None => Meaning::Unclear,
        },
        _ => Meaning::Unclear,
    }
}

/// A code word, perhaps written twice.
fn whole_code(run: &str) -> Option<Code> {
    Code::parse(run).or_else(|| {
        let (first, second) = run.split_at_checked(2)?;
        Code::parse(first).filter(|_| first == second)
    })
}

/// An answer word, alone or with the code word run into it (`YESK7`, `K7YES`).
fn answer_word(word: &str) -> Option<(Answer, &str)> {
    if let Some(answer) = plain_answer(word) {
        return Some((answer, ""));
    }
    [
        ("YES", Answer::Yes),
        ("SI", Answer::Yes),
        ("NO", Answer::No),
    ]
    .into_iter()
    .find_map(|(said, answer)| {
        let rest = word
            .strip_prefix(said)
            .or_else(|| word.strip_suffix(said))?;
        Code::parse(rest).map(|_| (answer, rest))
    })
}

fn plain_answer(word: &str) -> Option<Answer> {
    let single = collapsed(word);
    let is = |list: &[&str]| list.contains(&word) || list.contains(&single.as_str());
    if is(YES) {
        return Some(Answer::Yes);
    }
    is(NO).then_some(Answer::No)
}

fn without<'a>(words: &[&'a str], list: &[&str]) -> Vec<&'a str> {
    words
        .iter()
        .copied()
        .filter(|word| !list.contains(word))
        .collect()
}

fn has_phrase(words: &[&str], phrases: &[&str]) -> bool {
    let joined = format!(" {} ", words.join(" "));
    phrases
        .iter()
        .any(|phrase| joined.contains(&format!(" {phrase} ")))
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
            "yes K7 K7",
            "K7YES",
            "Yesss k7 😀",
            "👍 K7",
            "yse k7",
            "yes I want to apply, K7",
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
            "no I don't want it K7",
            "Nooo K7",
            "👎 k7",
        ] {
            assert_eq!(
                read(text),
                Meaning::Answer(Answer::No, code("K7")),
                "{text}"
            );
        }
        for text in [
            "yes",
            "¡Sí!",
            "YES 2",
            "yes please",
            "yes k",
            "Sí, por favor",
        ] {
            assert_eq!(read(text), Meaning::Answer(Answer::Yes, None), "{text}");
        }
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
            "yes K7 K8",
            "K yes 7",
            "YESTERDAY",
            "NOK",
            "I said yes K7 didn't I",
            "YES K77",
            "si no K7",
            "🙏",
            "yes I do not want K7",
            "yes never K7",
            "stop yes k7",
            "don't stop",
            "YES K7 STOP",
            "wrong yes K7",
            "help yes K7",
            "Liked “Reply YES K7”",
        ] {
            assert_eq!(read(text), Meaning::Unclear, "{text}");
        }
        assert_eq!(read(&"YES K7 ".repeat(2000)), Meaning::Unclear);
    }

    #[test]
    fn commands_never_swallow_an_answer_nor_answers_a_command() {
        for text in [
            "STOP",
            "stop.",
            "Stop All",
            "ALTO",
            "parar",
            "QUIT",
            "stop please",
            "please take me off your list",
            "Stop K7",
        ] {
            assert_eq!(read(text), Meaning::Stop { takes_back: false }, "{text}");
        }
        for text in ["cancel", "Cancelar", "NO K7 stop", "no. stop."] {
            assert_eq!(read(text), Meaning::Stop { takes_back: true }, "{text}");
        }
        for (text, meaning) in [
            ("START", Meaning::Start),
            ("help", Meaning::Help),
            ("¿Quién es?", Meaning::Help),
            ("wrong", Meaning::Wrong(None)),
            ("WRONG K7", Meaning::Wrong(code("K7"))),
            ("that's wrong K7", Meaning::Wrong(code("K7"))),
            ("wrong number", Meaning::NotMe),
            ("undo k7", Meaning::Undo(code("K7"))),
            ("I changed my mind K7", Meaning::Undo(code("K7"))),
            ("shared", Meaning::Shared),
            ("mi teléfono es compartido", Meaning::Shared),
        ] {
            assert_eq!(read(text), meaning, "{text}");
        }
        assert_eq!(
            read("YES"),
            Meaning::Answer(Answer::Yes, None),
            "carriers take YES for START"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_only_answers_carry_a_code(text in ".{0,80}") {
            if let Meaning::Answer(_, Some(code)) = read(&text) {
                let plain: String = words(&text).concat();
                prop_assert!(plain.contains(code.as_str()));
            }
        }

        /// However a NO is dressed up, it is never read as YES.
        #[test]
        fn attack_no_dressed_up_is_never_read_as_yes(
            before in "(|please |I |ok |K7 |hola |sure )", no in "(no|NO|nope|nah|No no)", after in "(| K7| thanks| quiero| yes K7| si K7| apply K7)",
        ) {
            let meaning = read(&format!("{before}{no}{after}"));
            prop_assert!(!matches!(meaning, Meaning::Answer(Answer::Yes, _)), "{meaning:?}");
        }
    }
}
