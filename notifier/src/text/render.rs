//! Texts: a Fluent file per language, filled in from a closed set of parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use unic_langid::LanguageIdentifier;

use super::Template;
use crate::conversation::code::Code;

/// Seconds from the start of a day in UTC to its end in the westernmost time zone of the states (UTC−10).
const DAY_EVERYWHERE: i64 = 34 * 3600;
const HOUR: i64 = 3600;

/// Language of a contact's texts. A further language is a file, a variant and a line in `SOURCES`; the grammar reads every
/// language at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

const SOURCES: [(Language, &str, &str); 2] = [
    (Language::En, "en", include_str!("../../messages/en.ftl")),
    (Language::Es, "es", include_str!("../../messages/es.ftl")),
];

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::Es];

    /// The BCP 47 tag.
    pub fn as_str(self) -> &'static str {
        SOURCES
            .iter()
            .find(|(language, ..)| *language == self)
            .map_or("en", |(_, tag, _)| tag)
    }

    /// From the tag.
    pub fn parse(tag: &str) -> Option<Self> {
        SOURCES
            .iter()
            .find(|(_, known, _)| *known == tag)
            .map(|(language, ..)| *language)
    }
}

static BUNDLES: LazyLock<BTreeMap<Language, FluentBundle<FluentResource>>> = LazyLock::new(|| {
    SOURCES
        .iter()
        .map(|(language, tag, source)| (*language, bundle(tag, source)))
        .collect()
});

fn bundle(tag: &str, source: &str) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = tag.parse().expect("the tags above are BCP 47");
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Direction marks are not in the GSM alphabet, and would make every text cost double.
    bundle.set_use_isolating(false);
    let resource = FluentResource::try_new(source.to_owned())
        .map_err(|(_, errors)| errors)
        .expect("the language files are part of the program, and tests read them");
    bundle
        .add_resource(resource)
        .expect("a language file names each message once");
    bundle
}

/// What a template is filled in with.
#[derive(Debug, Clone, Default)]
pub struct Params<'a> {
    /// USPS code of the state.
    pub jurisdiction: Option<&'a str>,
    /// What a representative knows the person by; none where nothing was chosen.
    pub label: Option<&'a str>,
    /// The template that asked, where the text is about a decision.
    pub question: Option<Template>,
    /// Code word of the decision.
    pub code: Option<&'a Code>,
    /// Until when an answer counts, Unix seconds.
    pub deadline: Option<i64>,
    /// How long a YES can be taken back, seconds.
    pub undo_seconds: Option<i64>,
    /// Whom to call for help.
    pub help: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// The text of a message.
pub fn render(template: Template, language: Language, params: &Params<'_>) -> String {
    let mut args = FluentArgs::new();
    args.set("state", params.jurisdiction.unwrap_or("none"));
    args.set("named", if params.label.is_some() { "yes" } else { "no" });
    args.set("label", params.label.unwrap_or_default());
    args.set("question", params.question.map_or("none", Template::name));
    args.set("code", params.code.map_or("", Code::as_str));
    args.set("help", params.help);
    let by = params
        .deadline
        .map(|deadline| by(language, deadline, params.now));
    args.set("by", by.unwrap_or_default());
    args.set(
        "undo",
        left(language, "in", params.undo_seconds.unwrap_or_default()),
    );
    format(language, template.name(), &args)
}

fn format(language: Language, id: &str, args: &FluentArgs<'_>) -> String {
    let Some(bundle) = BUNDLES.get(&language) else {
        return String::new();
    };
    let Some(pattern) = bundle.get_message(id).and_then(|message| message.value()) else {
        return String::new();
    };
    let mut errors = Vec::new();
    bundle
        .format_pattern(pattern, Some(args), &mut errors)
        .into_owned()
}

/// The last day that has ended in every state before the deadline, or, near it, the time left.
fn by(language: Language, deadline: i64, now: i64) -> String {
    let last = deadline
        .saturating_sub(DAY_EVERYWHERE)
        .div_euclid(24 * HOUR)
        * 24
        * HOUR;
    let day = OffsetDateTime::from_unix_timestamp(last).map(OffsetDateTime::date);
    match day {
        Ok(day) if deadline.saturating_sub(now) >= 72 * HOUR => {
            let mut args = FluentArgs::new();
            args.set("month", u8::from(day.month()));
            // As text: numbers are formatted by locale, code words and days are not.
            args.set("day", day.day().to_string());
            format(language, "by-date", &args)
        }
        _ => left(language, "within", deadline.saturating_sub(now)),
    }
}

fn left(language: Language, word: &str, seconds: i64) -> String {
    let seconds = seconds.max(0);
    let mut args = FluentArgs::new();
    if seconds >= 2 * HOUR {
        args.set("hours", (seconds / HOUR).to_string());
        return format(language, &format!("{word}-hours"), &args);
    }
    args.set("minutes", (seconds / 60).max(1).to_string());
    format(language, &format!("{word}-minutes"), &args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::grammar::{Meaning, read};
    use crate::text::label::Label;
    use crate::text::segment::{Encoding, segments};

    /// Most segments a text may take. Every one is a single segment: a second doubles the price and can arrive alone.
    const LIMIT: usize = 1;

    fn params(code: &Code) -> Params<'_> {
        Params {
            jurisdiction: Some("CA"),
            label: None,
            question: Some(Template::Apply),
            code: Some(code),
            // Noon on 30 November 2026, and ten hours into 6 December in UTC: 5 December has ended in Hawaii.
            now: 1_796_040_000,
            deadline: Some(1_796_551_200),
            undo_seconds: Some(600),
            help: "211",
        }
    }

    fn all(language: Language) -> String {
        let code = Code::parse("K7").unwrap();
        Template::ALL
            .iter()
            .map(|template| {
                let text = render(*template, language, &params(&code));
                format!(
                    "{} [{} septets]: {text}\n",
                    template.name(),
                    text.chars().count()
                )
            })
            .collect()
    }

    #[test]
    fn english_texts() {
        insta::assert_snapshot!(all(Language::En));
    }

    #[test]
    fn spanish_texts() {
        insta::assert_snapshot!(all(Language::Es));
    }

    /// Every text at its longest: the help line as long as configurations allow, the widest times, every question.
    fn longest(language: Language, template: Template) -> Vec<String> {
        let code = Code::parse("W9").unwrap();
        let mut texts = Vec::new();
        for question in Template::ALL
            .iter()
            .copied()
            .filter(|question| question.asks())
        {
            for (deadline, undo_seconds) in [
                (1_796_040_000 + 71 * HOUR, 24 * HOUR),
                (1_796_040_000 + 30 * 24 * HOUR, 119 * 60),
            ] {
                texts.push(render(
                    template,
                    language,
                    &Params {
                        question: Some(question),
                        code: Some(&code),
                        deadline: Some(deadline),
                        undo_seconds: Some(undo_seconds),
                        help: "1-800-555-0199",
                        ..params(&code)
                    },
                ));
            }
        }
        texts
    }

    #[test]
    fn every_text_is_short_filled_in_and_free_of_health_and_income() {
        for language in Language::ALL {
            for template in Template::ALL {
                for text in longest(language, *template) {
                    assert!(!text.is_empty(), "{} is missing", template.name());
                    let (encoding, count) = segments(&text);
                    assert_eq!(encoding, Encoding::Gsm7, "{text}");
                    assert!(
                        count <= LIMIT,
                        "{count} segments, {} characters: {text}",
                        text.chars().count()
                    );
                    assert!(!text.contains(['{', '}', '$']), "{text}");
                    let lower = text.to_lowercase();
                    for word in [
                        "income", "pregnan", "ingreso", "embaraz", "medicaid", "disab", "diagnos",
                        "salary", "job", "sueldo", "trabajo", "enferm", "discapac",
                    ] {
                        assert!(!lower.contains(word), "{word}: {text}");
                    }
                }
            }
        }
    }

    /// The texts that may say for whom they are, at their longest, with a label.
    fn labelled(language: Language, label: &str) -> Vec<String> {
        let label = Label::parse(label).unwrap().shown();
        let code = Code::parse("W9").unwrap();
        let said = Template::ALL.iter().filter(|it| it.may_say_for_whom());
        said.map(|template| {
            render(
                *template,
                language,
                &Params {
                    label: Some(&label),
                    code: Some(&code),
                    deadline: Some(1_796_040_000 + 71 * HOUR),
                    help: "1-800-555-0199",
                    ..params(&code)
                },
            )
        })
        .collect()
    }

    #[test]
    fn a_text_to_a_representative_says_for_whom_in_one_segment_of_the_latin_alphabet() {
        insta::assert_snapshot!(
            Language::ALL
                .iter()
                .flat_map(|language| labelled(*language, "Tía Ana JR 2"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        for language in Language::ALL {
            for text in labelled(language, "WWWWWWWWWWWW") {
                assert!(text.contains("WWWWWWWWWWWW"), "{text}");
                assert_eq!(segments(&text), (Encoding::Gsm7, 1), "{text}");
            }
            // No alphabet of 7 bits has these: 70 characters a segment.
            for text in labelled(language, "Бабушка Нина") {
                let (encoding, count) = segments(&text);
                assert!(encoding == Encoding::Ucs2 && count <= 3, "{text}");
            }
        }
    }

    #[test]
    fn attack_a_label_in_a_text_neither_decides_nor_says_what_to_do() {
        let listed: serde_json::Value =
            serde_json::from_str(include_str!("../../../fixtures/labels.json")).unwrap();
        for label in listed["accepted"].as_array().unwrap() {
            let label = label.as_str().unwrap();
            assert_eq!(read(label), Meaning::Unclear, "{label}");
            for language in Language::ALL {
                for text in labelled(language, label) {
                    assert_eq!(read(&text), Meaning::Unclear, "{text}");
                    assert!(!text.contains(['{', '}', '$', '\n']), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_text_to_anybody_else_never_says_a_label() {
        let code = Code::parse("K7").unwrap();
        for language in Language::ALL {
            for template in Template::ALL.iter().filter(|it| !it.may_say_for_whom()) {
                let named = Params {
                    label: Some("Mom"),
                    ..params(&code)
                };
                let text = render(*template, language, &named);
                assert!(!text.contains("Mom"), "{text}");
            }
        }
    }

    #[test]
    fn every_unasked_text_says_who_writes_what_a_reply_does_by_when_and_how_to_stop() {
        let code = Code::parse("K7").unwrap();
        for (language, who, yes, stop) in [
            (Language::En, "coverage helper", "YES K7", "Stop: STOP"),
            (Language::Es, "Ayuda con su plan", "SI K7", "Baja: ALTO"),
        ] {
            for template in Template::ALL
                .iter()
                .filter(|template| template.is_unasked())
            {
                let text = render(*template, language, &params(&code));
                assert!(
                    text.to_lowercase().contains(&who.to_lowercase()) && text.contains(stop),
                    "{text}"
                );
                if template.asks() || *template == Template::Reminder {
                    assert!(text.contains(yes), "{text}");
                    assert!(
                        text.contains(&by(language, 1_796_551_200, 1_796_040_000)),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_text_of_ours_sent_back_to_us_decides_nothing_and_stops_nothing() {
        for language in Language::ALL {
            for template in Template::ALL {
                for text in longest(language, *template) {
                    assert_eq!(read(&text), Meaning::Unclear, "{text}");
                }
            }
        }
    }

    #[test]
    fn the_day_named_ends_before_the_deadline_in_every_state() {
        let code = Code::parse("K7").unwrap();
        let text = |deadline| {
            render(
                Template::Apply,
                Language::En,
                &Params {
                    deadline: Some(deadline),
                    ..params(&code)
                },
            )
        };
        let six_utc = 1_796_515_200; // 6 December 2026 00:00 UTC
        assert!(text(six_utc + 10 * HOUR).contains("by Dec 5"));
        assert!(text(six_utc + 10 * HOUR - 1).contains("by Dec 4"));
        assert!(text(1_796_040_000 + 20 * HOUR).contains("within 20 hours"));
        assert!(text(1_796_040_000 + 20 * 60).contains("within 20 min"));
    }
}
