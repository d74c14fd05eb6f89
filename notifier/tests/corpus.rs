//! Replies as people write them, and what each must be taken for: `fixtures/replies.tsv`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use notifier::conversation::code::Code;
use notifier::conversation::decision::{Decision, State};
use notifier::conversation::grammar::{Answer, Meaning, read};
use notifier::text::Template;

const CORPUS: &str = include_str!("../../fixtures/replies.tsv");

struct Reply {
    meaning: String,
    text: String,
}

fn corpus() -> Vec<Reply> {
    CORPUS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(["en", "es"].contains(&fields[1]), "{line}");
            Reply {
                meaning: fields[0].to_owned(),
                text: serde_json::from_str(fields[2]).unwrap(),
            }
        })
        .collect()
}

fn name(meaning: &Meaning) -> String {
    let with = |word: &str, code: &Option<Code>| match code {
        Some(code) => format!("{word} {code}"),
        None => word.to_owned(),
    };
    match meaning {
        Meaning::Answer(Answer::Yes, code) => with("yes", code),
        Meaning::Answer(Answer::No, code) => with("no", code),
        Meaning::Undo(code) => with("undo", code),
        Meaning::Wrong(code) => with("wrong", code),
        Meaning::Stop { takes_back: false } => "stop".to_owned(),
        Meaning::Stop { takes_back: true } => "stop takes back".to_owned(),
        Meaning::NotMe => "not me".to_owned(),
        Meaning::Shared => "shared".to_owned(),
        Meaning::Start => "start".to_owned(),
        Meaning::Help => "help".to_owned(),
        Meaning::Unclear => "unclear".to_owned(),
    }
}

fn decision() -> Decision {
    Decision::new(Template::Apply, Code::parse("K7").unwrap(), 1_000, 60)
}

#[test]
fn every_reply_of_the_corpus_is_classified_right() {
    let corpus = corpus();
    assert!(corpus.len() >= 200, "{}", corpus.len());
    let wrong: Vec<String> = corpus
        .iter()
        .filter(|reply| name(&read(&reply.text)) != reply.meaning)
        .map(|reply| {
            format!(
                "{:?} is {}, not {}",
                reply.text,
                reply.meaning,
                name(&read(&reply.text))
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn attack_no_reply_but_a_yes_with_its_code_word_is_ever_taken_for_yes() {
    for reply in corpus() {
        let mut heard = decision();
        heard.hear(&read(&reply.text), 10);
        let yes = matches!(
            heard.state,
            State::Yes { .. }
                | State::Final {
                    answer: Answer::Yes,
                    ..
                }
        );
        assert_eq!(yes, reply.meaning == "yes K7", "{:?}", reply.text);
    }
}

#[test]
fn attack_a_yes_that_is_late_or_for_another_decision_is_not_accepted() {
    for reply in corpus() {
        let mut late = decision();
        late.settle(1_001);
        late.hear(&read(&reply.text), 1_001);
        assert!(
            !matches!(
                late.state,
                State::Yes { .. }
                    | State::Final {
                        answer: Answer::Yes,
                        ..
                    }
            ),
            "{:?}",
            reply.text
        );
        let mut other = Decision {
            code: Code::parse("P3").unwrap(),
            ..decision()
        };
        other.hear(&read(&reply.text), 10);
        assert!(
            !matches!(
                other.state,
                State::Yes { .. }
                    | State::Final {
                        answer: Answer::Yes,
                        ..
                    }
            ),
            "{:?}",
            reply.text
        );
    }
}
