//! A text as upper-case words without accents, punctuation or emoji.

/// Emoji that are an answer, as the word they stand for. Any other is dropped.
const EMOJI: [(char, &str); 8] = [
    ('\u{1f44d}', "YES"), // thumbs up
    ('\u{2705}', "YES"),  // check mark button
    ('\u{2714}', "YES"),  // check mark
    ('\u{1f44c}', "YES"), // OK hand
    ('\u{1f44e}', "NO"),  // thumbs down
    ('\u{274c}', "NO"),   // cross mark
    ('\u{1f6ab}', "NO"),  // prohibited
    ('\u{1f645}', "NO"),  // person gesturing NO
];

/// How phones begin a message that only tells of a reaction to one of ours, and quotes it (in the words of [`words`]).
const REACTIONS: [&str; 11] = [
    "LIKED ",
    "LOVED ",
    "DISLIKED ",
    "LAUGHED AT ",
    "EMPHASIZED ",
    "QUESTIONED ",
    "REACTED ",
    "REMOVED A",
    "LE GUSTO ",
    "LE ENCANTO ",
    "LE DISGUSTO ",
];

/// Upper-case words.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_uppercase) {
        match c {
            'Á' | 'À' | 'Â' | 'Ä' => plain.push('A'),
            'É' | 'È' | 'Ê' | 'Ë' => plain.push('E'),
            'Í' | 'Ì' | 'Î' | 'Ï' => plain.push('I'),
            'Ó' | 'Ò' | 'Ô' | 'Ö' => plain.push('O'),
            'Ú' | 'Ù' | 'Û' | 'Ü' => plain.push('U'),
            'Ñ' => plain.push('N'),
            // Combining accents vanish, and so do apostrophes, variation selectors and zero-width characters.
            '\u{0300}'..='\u{036f}'
            | '\''
            | '\u{2018}'
            | '\u{2019}'
            | '`'
            | '´'
            | '\u{200b}'..='\u{200f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' => {}
            c if c.is_alphanumeric() => plain.push(c),
            c => {
                plain.push(' ');
                if let Some((_, word)) = EMOJI.iter().find(|(emoji, _)| *emoji == c) {
                    plain.push_str(word);
                    plain.push(' ');
                }
            }
        }
    }
    plain.split_whitespace().map(str::to_owned).collect()
}

/// Whether a text only tells that somebody reacted to a message, quoting it: `Liked “…”`.
pub(super) fn is_reaction(text: &str) -> bool {
    let quotes = text.contains(['“', '”', '"', '«']);
    let joined = words(text).join(" ") + " ";
    quotes && REACTIONS.iter().any(|start| joined.starts_with(start))
}

/// A word with runs of one letter made single, so that `YESSS` is `YES` and `NOOO` is `NO`.
pub(super) fn collapsed(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if !(c.is_alphabetic() && out.ends_with(c)) {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_emoji_are_words_or_nothing() {
        assert_eq!(words(" ¡Sí,  k7! "), ["SI", "K7"]);
        assert_eq!(words("SI\u{301} don’t 👍🏽 🙏"), ["SI", "DONT", "YES"]);
        assert_eq!(collapsed("YEESSS"), "YES");
        assert_eq!(collapsed("K77"), "K77");
        assert!(is_reaction("Liked “CA coverage helper: Reply YES K7”"));
        assert!(!is_reaction("loved it, YES K7"));
    }
}
