//! Texts: a file per language, filled in from a closed set of parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::code::Code;

/// Seconds from the start of a day in UTC to its end in the westernmost time zone of the states (UTC−10).
const DAY_EVERYWHERE: i64 = 34 * 3600;
const HOUR: i64 = 3600;

/// Language of a contact's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

impl Language {
    /// The BCP 47 tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
        }
    }

    /// From the tag.
    pub fn parse(tag: &str) -> Option<Self> {
        [Self::En, Self::Es]
            .into_iter()
            .find(|language| language.as_str() == tag)
    }
}

macro_rules! templates {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What a text says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Template { $($(#[$doc])* $variant),* }

        impl Template {
            /// Every template.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the API, the database and the language files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

templates! {
    /// Asks whether to apply.
    Apply = "apply",
    /// Says that a YES came and until when it can be taken back.
    Confirm = "confirm",
    /// Says that a YES came, where it cannot be taken back.
    ConfirmNow = "confirm_now",
    /// Says that a NO came.
    Declined = "declined",
    /// Says that a YES was taken back.
    Undone = "undone",
    /// Says that the answer was used already.
    TooLate = "too_late",
    /// Says that the deadline passed.
    Late = "late",
    /// Asks again, once.
    Unclear = "unclear",
    /// Says, once, how to take back the YES that stands.
    UnclearUndo = "unclear_undo",
    /// Says that the decision was closed after wrong code words.
    Locked = "locked",
    /// Says that the agency has the application.
    Filed = "filed",
    /// Says that the application did not reach the agency.
    NotFiled = "not_filed",
    /// Answers HELP.
    Help = "help",
    /// Answers STOP.
    Stopped = "stopped",
    /// Answers STOP while a YES can still be taken back.
    StoppedYes = "stopped_yes",
    /// Answers START.
    Started = "started",
}

impl Template {
    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|template| template.name() == name)
    }

    /// Whether a caller may send it; the others are the notifier's own.
    pub fn is_for_callers(self) -> bool {
        matches!(self, Self::Apply | Self::Filed | Self::NotFiled)
    }

    /// Whether it answers a STOP, START or HELP (or a CANCEL that took a YES back): one such answer reaches a blocked phone
    /// (47 CFR 64.1200(a)(12)).
    pub fn reaches_blocked(self) -> bool {
        matches!(
            self,
            Self::Help | Self::Stopped | Self::StoppedYes | Self::Started | Self::Undone
        )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageFile {
    helper: String,
    helper_anywhere: String,
    by_date: String,
    within_hours: String,
    within_minutes: String,
    in_hours: String,
    in_minutes: String,
    months: Vec<String>,
    /// By [`Template::name`].
    texts: BTreeMap<String, String>,
}

static ENGLISH: LazyLock<LanguageFile> =
    LazyLock::new(|| load(include_str!("../templates/en.toml")));
static SPANISH: LazyLock<LanguageFile> =
    LazyLock::new(|| load(include_str!("../templates/es.toml")));

fn load(text: &str) -> LanguageFile {
    toml::from_str(text).expect("the language files are part of the program, and tests read them")
}

/// What a template is filled in with.
#[derive(Debug, Clone, Default)]
pub struct Params<'a> {
    /// USPS code of the state.
    pub jurisdiction: Option<&'a str>,
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
    let file = match language {
        Language::En => &*ENGLISH,
        Language::Es => &*SPANISH,
    };
    let helper = match params.jurisdiction {
        Some(jurisdiction) => file.helper.replace("{jurisdiction}", jurisdiction),
        None => file.helper_anywhere.clone(),
    };
    file.texts
        .get(template.name())
        .map_or("", String::as_str)
        .replace("{helper}", &helper)
        .replace("{code}", params.code.map_or("", Code::as_str))
        .replace(
            "{by}",
            &params
                .deadline
                .map_or_else(String::new, |deadline| by(file, deadline, params.now)),
        )
        .replace(
            "{undo}",
            &left(
                &file.in_hours,
                &file.in_minutes,
                params.undo_seconds.unwrap_or_default(),
            ),
        )
        .replace("{help}", params.help)
}

/// The last day that has ended in every state before the deadline, or, near it, the time left.
fn by(file: &LanguageFile, deadline: i64, now: i64) -> String {
    let last = deadline
        .saturating_sub(DAY_EVERYWHERE)
        .div_euclid(24 * HOUR)
        * 24
        * HOUR;
    let day = OffsetDateTime::from_unix_timestamp(last).map(OffsetDateTime::date);
    match day {
        Ok(day) if deadline.saturating_sub(now) >= 72 * HOUR => {
            let month = file.months.get(usize::from(u8::from(day.month())) - 1);
            file.by_date
                .replace("{month}", month.map_or("", String::as_str))
                .replace("{day}", &day.day().to_string())
        }
        _ => left(
            &file.within_hours,
            &file.within_minutes,
            deadline.saturating_sub(now),
        ),
    }
}

fn left(hours: &str, minutes: &str, seconds: i64) -> String {
    let seconds = seconds.max(0);
    if seconds >= 2 * HOUR {
        return hours.replace("{hours}", &(seconds / HOUR).to_string());
    }
    minutes.replace("{minutes}", &(seconds / 60).max(1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Encoding, segments};

    fn params(code: &Code) -> Params<'_> {
        Params {
            jurisdiction: Some("CA"),
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
                format!("{} [{}]: {text}\n", template.name(), segments(&text).1)
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

    #[test]
    fn every_text_is_short_filled_in_and_free_of_health_and_income() {
        let code = Code::parse("K7").unwrap();
        for language in [Language::En, Language::Es] {
            let file = match language {
                Language::En => &*ENGLISH,
                Language::Es => &*SPANISH,
            };
            assert_eq!(file.texts.len(), Template::ALL.len());
            for template in Template::ALL {
                let text = render(*template, language, &params(&code));
                assert!(!text.is_empty(), "{} is missing", template.name());
                let (encoding, count) = segments(&text);
                assert_eq!(encoding, Encoding::Gsm7, "{text}");
                assert!(count == 1, "{count} segments: {text}");
                assert!(!text.contains(['{', '}', '$']), "{text}");
                let lower = text.to_lowercase();
                for word in [
                    "income", "pregnan", "ingreso", "embaraz", "medicaid", "disab", "diagnos",
                    "salary", "job",
                ] {
                    assert!(!lower.contains(word), "{word}: {text}");
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
