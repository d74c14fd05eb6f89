//! Which text a phone got, read from its words as its owner would read them.

/// A part of each text that no other has before it in this list, and the text's name at the notifier.
const CUES: [(&str, &str); 31] = [
    ("Did you ask us to text you", "verify"),
    ("You may be able to get your state health plan", "apply"),
    ("get a plan in your new state", "move"),
    ("time to renew your plan", "renew"),
    ("We found a plan for now", "gap"),
    ("news that may end your plan", "change"),
    ("We still need to hear from you", "reminder"),
    ("Your state got your form", "filed"),
    ("We could not send in your form", "not_filed"),
    ("Your state said yes", "accepted"),
    ("Your state said no", "refusal"),
    ("can not get the state plan", "not_eligible"),
    ("We need more from you", "needs_info"),
    ("asks for a form to keep", "show"),
    ("Your state plan will end", "ending"),
    ("Your state is late", "overdue"),
    ("You let us look out for news", "watch_begins"),
    ("HealthCare.gov", "free_market"),
    ("First ask for free help", "free"),
    ("Your plan for now is set", "gap_begins"),
    ("so your plan for now ends", "gap_ends"),
    ("We found no plan", "no_gap"),
    ("You will get our texts. We will not", "verified"),
    ("We took back your YES", "undone"),
    ("Not you, or not sure?", "confirm"),
    ("We got your YES", "noted"),
    ("We got your NO", "declined"),
    ("We stopped. One of us", "disputed"),
    ("The time to reply with", "late"),
    ("We will do nothing until you do", "unclear"),
    ("Someone there will help you", "human"),
];

/// The name of a text; its words where no cue fits.
pub fn template(body: &str) -> &str {
    let known = CUES.iter().find(|(cue, _)| body.contains(cue));
    known.map_or(body, |(_, name)| name)
}

/// Whether it is the first text of a question.
pub fn asks(body: &str) -> bool {
    matches!(
        template(body),
        "apply" | "move" | "renew" | "gap" | "change"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The notifier's own words in English, one text a line or more.
    const MESSAGES: &str = include_str!("../../../notifier/messages/en.ftl");

    #[test]
    fn every_text_is_known_by_its_words() {
        for (cue, name) in CUES {
            let start = format!("\n{name} = ");
            let (_, rest) = MESSAGES.split_once(&start).expect(name);
            let end = rest
                .match_indices('\n')
                .find(|(at, _)| !rest[at + 1..].starts_with([' ', '}']))
                .map_or(rest.len(), |(at, _)| at);
            let words = &rest[..end];
            assert!(words.contains(cue), "{name}: {words}");
            assert_eq!(template(words), name, "{words}");
        }
    }
}
