//! How hard texts are to read, by published formulas. Only tests use it.

use super::render::{Language, Params, render};
use super::template::Template;
use crate::conversation::code::Code;

/// Words, sentences and syllables of a text. A sentence ends at `.`, `!`, `?` or `;` before white space or the end; a word
/// with a digit is spelled out, a syllable per character.
fn count(text: &str, syllables: fn(&str) -> usize) -> (f64, f64, f64) {
    let mut sentences = 0;
    let mut words = 0;
    let mut total = 0;
    for token in text.split_whitespace() {
        let word: String = token.chars().filter(|c| c.is_alphanumeric()).collect();
        if !word.is_empty() {
            words += 1;
            total += if word.chars().any(|c| c.is_ascii_digit()) {
                word.chars().count()
            } else {
                syllables(&word.to_lowercase())
            };
        }
        sentences += usize::from(token.ends_with(['.', '!', '?', ';']));
    }
    let real = |count: usize| f64::from(u32::try_from(count).unwrap());
    (real(words), real(sentences.max(1)), real(total))
}

/// Flesch-Kincaid grade level (Kincaid, Fishburne, Rogers, Chissom: "Derivation of new readability formulas", Naval
/// Technical Training Command Research Branch Report 8-75, 1975).
fn flesch_kincaid(text: &str) -> f64 {
    let (words, sentences, syllables) = count(text, english_syllables);
    0.39 * words / sentences + 11.8 * syllables / words - 15.59
}

/// Crawford's grade level for Spanish in primary school (A. N. Crawford: "A Spanish language Fry-type readability
/// procedure: elementary level", Bilingual Education Paper Series 7(8), California State University, 1984).
fn crawford(text: &str) -> f64 {
    let (words, sentences, syllables) = count(text, spanish_syllables);
    -0.205 * 100.0 * sentences / words + 0.049 * 100.0 * syllables / words - 3.407
}

/// Groups of vowels, less a silent final e.
fn english_syllables(word: &str) -> usize {
    let vowel = |c: char| "aeiouy".contains(c);
    let groups = groups(word, vowel);
    let silent = word.ends_with('e') && !word.ends_with("le") && groups > 1
        || word.ends_with("ed") && !word.ends_with("ted") && groups > 1;
    (groups - usize::from(silent)).max(1)
}

/// Groups of vowels, two strong ones apart (RAE, Ortografía de la lengua española, 2010).
fn spanish_syllables(word: &str) -> usize {
    let strong = |c: char| "aeoáéóíú".contains(c);
    let letters: Vec<char> = word
        .replace("qu", "q")
        .replace("gue", "ge")
        .replace("gui", "gi")
        .chars()
        .collect();
    let hiatus = letters
        .windows(2)
        .filter(|pair| pair.iter().all(|c| strong(*c)))
        .count();
    let groups = groups(&letters.iter().collect::<String>(), |c| {
        "aeiouáéíóúü".contains(c)
    });
    (groups + hiatus).max(1)
}

fn groups(word: &str, vowel: impl Fn(char) -> bool) -> usize {
    let mut inside = false;
    word.chars()
        .filter(|c| {
            let starts = vowel(*c) && !inside;
            inside = vowel(*c);
            starts
        })
        .count()
}

fn joined(language: Language, label: Option<&str>) -> String {
    let code = Code::parse("K7").unwrap();
    let params = Params {
        jurisdiction: Some("CA"),
        label,
        question: Some(Template::Apply),
        code: Some(&code),
        deadline: Some(1_796_551_200),
        undo_seconds: Some(600),
        help: "211",
        now: 1_796_040_000,
    };
    Template::ALL
        .iter()
        .map(|template| render(*template, language, &params) + " ")
        .collect()
}

#[test]
fn the_formulas_count_as_their_authors_do() {
    assert_eq!(
        ["cat", "table", "apply", "helper", "state", "wanted"].map(english_syllables),
        [1, 2, 2, 2, 1, 2]
    );
    assert_eq!(
        [
            "plan", "ayuda", "estado", "leer", "quiere", "día", "cuidado"
        ]
        .map(spanish_syllables),
        [1, 3, 3, 2, 2, 2, 3]
    );
    // Kincaid's report has no worked text; by hand: 6 words, 1 sentence, 6 syllables.
    assert!((flesch_kincaid("The cat sat on the mat.") - (0.39 * 6.0 + 11.8 - 15.59)).abs() < 1e-9);
    let hard = "Eligibility redetermination necessitates documentation verification immediately.";
    assert!(flesch_kincaid(hard) > 12.0);
    assert!(
        crawford(
            "La redeterminación administrativa de elegibilidad necesita documentación correspondiente inmediatamente."
        ) > 6.0
    );
}

#[test]
fn the_joined_texts_read_at_sixth_grade_or_easier() {
    for label in [None, Some("Mom")] {
        let english = flesch_kincaid(&joined(Language::En, label));
        assert!(english <= 6.0, "English: grade {english:.1}");
        let spanish = crawford(&joined(Language::Es, label));
        assert!(spanish <= 6.0, "Spanish: grade {spanish:.1}");
    }
}
