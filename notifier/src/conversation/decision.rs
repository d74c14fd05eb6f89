//! What becomes of a decision when texts come in and time passes. No I/O: state, event and time in; state and texts out.

use super::code::Code;
use super::grammar::{Answer, Meaning};
use crate::text::Template;

/// Wrong code words after which a decision is closed.
pub const MAX_WRONG_CODES: i64 = 5;

/// Why a decision ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The deadline passed.
    Expired,
    /// The phone wants no texts.
    Stopped,
    /// Too many wrong code words.
    Guessed,
    /// The text, or the one that confirms a YES, could not be delivered.
    Failed,
    /// The owner says that what the text rests on is not right.
    Disputed,
    /// Whoever has the phone says that it is not the owner's.
    NotMe,
    /// While a YES could be taken back, somebody said that others read the phone.
    Shared,
    /// The carrier says that the number is out of service or somebody else's.
    Suspended,
    /// Whoever asked took the question back.
    Withdrawn,
}

impl Closed {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Expired,
        Self::Stopped,
        Self::Guessed,
        Self::Failed,
        Self::Disputed,
        Self::NotMe,
        Self::Shared,
        Self::Suspended,
        Self::Withdrawn,
    ];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Guessed => "guessed",
            Self::Failed => "failed",
            Self::Disputed => "disputed",
            Self::NotMe => "not-me",
            Self::Shared => "shared",
            Self::Suspended => "suspended",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Where a decision stands. Only `Open` and `Yes` ever change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for an answer.
    Open,
    /// YES came and can still be taken back.
    Yes {
        /// When it came.
        replied_at: i64,
        /// Until when; unknown until the confirming text has been sent, for the window must not pass unannounced.
        undo_until: Option<i64>,
    },
    /// Answered for good.
    Final {
        /// The answer.
        answer: Answer,
        /// When it came.
        replied_at: i64,
    },
    /// Ended without an answer.
    Closed(Closed),
}

impl State {
    /// Whether a text can still change it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Yes { .. })
    }
}

/// A decision that a text asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The template that asked.
    pub question: Template,
    /// Code word of its replies.
    pub code: Code,
    /// Until when a first answer counts, Unix seconds.
    pub deadline: i64,
    /// How long a YES can be taken back, from the confirming text, seconds.
    pub undo_seconds: i64,
    /// Where it stands.
    pub state: State,
    /// Wrong code words so far.
    pub wrong_codes: i64,
    /// Texts so far that were not understood.
    pub unclear: i64,
}

impl Decision {
    /// A decision nobody has heard of yet.
    pub fn new(question: Template, code: Code, deadline: i64, undo_seconds: i64) -> Self {
        Self {
            question,
            code,
            deadline,
            undo_seconds,
            state: State::Open,
            wrong_codes: 0,
            unclear: 0,
        }
    }

    /// Applies what time alone does.
    pub fn settle(&mut self, now: i64) {
        match self.state {
            State::Open if now > self.deadline => self.state = State::Closed(Closed::Expired),
            State::Yes {
                replied_at,
                undo_until: Some(until),
            } if now >= until => {
                self.state = State::Final {
                    answer: Answer::Yes,
                    replied_at,
                };
            }
            _ => {}
        }
    }

    /// The confirming text left at `sent`.
    pub fn confirmed(&mut self, sent: i64) {
        if let State::Yes { undo_until, .. } = &mut self.state {
            undo_until.get_or_insert(sent.saturating_add(self.undo_seconds));
        }
    }

    /// Ends a decision that nobody answered for good; false if it had ended.
    pub fn close(&mut self, why: Closed) -> bool {
        let open = self.state.is_open();
        if open {
            self.state = State::Closed(why);
        }
        open
    }

    /// Applies a text from the decision's own phone, and says what to text back. The state has been settled at `now`.
    pub fn hear(&mut self, meaning: &Meaning, now: i64) -> Option<Template> {
        match meaning {
            Meaning::Answer(_, Some(code))
            | Meaning::Undo(Some(code))
            | Meaning::Wrong(Some(code))
                if *code != self.code =>
            {
                self.wrong_code()
            }
            Meaning::Answer(answer, Some(_)) => self.answered(*answer, now),
            // Only the code word says which question is meant; a bare YES may be meant for an older text.
            Meaning::Answer(_, None) | Meaning::Unclear => self.unclear(),
            Meaning::Undo(_) => self.undo(now),
            Meaning::Wrong(_) => Some(self.dispute()),
            // CANCEL in the undo window takes the YES back: where two readings exist, nothing is filed.
            Meaning::Stop { takes_back: true } if matches!(self.state, State::Yes { .. }) => {
                self.finish(Answer::No, now);
                None
            }
            Meaning::NotMe => {
                self.close(Closed::NotMe);
                None
            }
            // The YES may have been another reader's.
            Meaning::Shared if matches!(self.state, State::Yes { .. }) => {
                self.close(Closed::Shared);
                None
            }
            Meaning::Stop { .. } | Meaning::Shared | Meaning::Start | Meaning::Help => None,
        }
    }

    fn answered(&mut self, answer: Answer, now: i64) -> Option<Template> {
        match (self.state, answer) {
            (State::Open, Answer::Yes) => Some(self.yes(now)),
            (State::Open, Answer::No) => {
                self.finish(Answer::No, now);
                Some(match self.question {
                    Template::Verify => Template::Refused,
                    _ => Template::Declined,
                })
            }
            (State::Yes { .. }, Answer::No) => {
                self.finish(Answer::No, now);
                Some(Template::Undone)
            }
            (State::Final { answer: stands, .. }, answer) if stands != answer => {
                Some(Template::TooLate)
            }
            (State::Yes { .. } | State::Final { .. }, _) => None,
            (State::Closed(Closed::Guessed), _) => None,
            (State::Closed(_), _) => Some(Template::Late),
        }
    }

    fn yes(&mut self, now: i64) -> Template {
        if self.question == Template::Verify || self.undo_seconds == 0 {
            self.finish(Answer::Yes, now);
            return match self.question {
                Template::Verify => Template::Verified,
                question if question.only_asks_whether_right() => Template::Noted,
                _ => Template::ConfirmNow,
            };
        }
        self.state = State::Yes {
            replied_at: now,
            undo_until: None,
        };
        Template::Confirm
    }

    fn undo(&mut self, now: i64) -> Option<Template> {
        match self.state {
            State::Yes { .. } => {
                self.finish(Answer::No, now);
                Some(Template::Undone)
            }
            State::Open => self.unclear(),
            State::Final {
                answer: Answer::Yes,
                ..
            } => Some(Template::TooLate),
            State::Final { .. } | State::Closed(_) => None,
        }
    }

    fn dispute(&mut self) -> Template {
        if self.close(Closed::Disputed) {
            return Template::Disputed;
        }
        Template::DisputedLate
    }

    fn finish(&mut self, answer: Answer, replied_at: i64) {
        self.state = State::Final { answer, replied_at };
    }

    fn wrong_code(&mut self) -> Option<Template> {
        if self.state != State::Open {
            return self.unclear();
        }
        self.wrong_codes += 1;
        if self.wrong_codes >= MAX_WRONG_CODES {
            self.state = State::Closed(Closed::Guessed);
            return Some(Template::Locked);
        }
        self.unclear()
    }

    /// One clarifying text, then the number of somebody who helps, then silence.
    fn unclear(&mut self) -> Option<Template> {
        let clarifying = match self.state {
            State::Open => Template::Unclear,
            State::Yes { .. } => Template::UnclearUndo,
            State::Final { .. } | State::Closed(_) => return None,
        };
        self.unclear += 1;
        match self.unclear {
            1 => Some(clarifying),
            2 => Some(Template::Human),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::read;
    use super::*;

    fn decision(undo_seconds: i64) -> Decision {
        Decision::new(
            Template::Apply,
            Code::parse("K7").unwrap(),
            1_000,
            undo_seconds,
        )
    }

    fn hear(decision: &mut Decision, text: &str, now: i64) -> Option<Template> {
        decision.settle(now);
        decision.hear(&read(text), now)
    }

    #[test]
    fn a_yes_stands_once_its_confirmation_was_sent_and_the_window_passed() {
        let mut d = decision(60);
        assert_eq!(hear(&mut d, "yes k7", 100), Some(Template::Confirm));
        d.settle(10_000);
        assert!(
            matches!(
                d.state,
                State::Yes {
                    undo_until: None,
                    ..
                }
            ),
            "no window runs before the text is out"
        );
        d.confirmed(10_000);
        d.settle(10_059);
        assert!(matches!(d.state, State::Yes { .. }));
        d.confirmed(10_050);
        d.settle(10_060);
        assert_eq!(
            d.state,
            State::Final {
                answer: Answer::Yes,
                replied_at: 100
            }
        );
        assert_eq!(hear(&mut d, "no k7", 10_061), Some(Template::TooLate));
        assert_eq!(hear(&mut d, "yes k7", 10_062), None);
        assert_eq!(
            d.state,
            State::Final {
                answer: Answer::Yes,
                replied_at: 100
            }
        );
    }

    #[test]
    fn a_yes_is_taken_back_by_no_or_cancel_within_the_window() {
        for (undo, said) in [
            ("NO K7", Some(Template::Undone)),
            ("UNDO", Some(Template::Undone)),
            ("deshacer k7", Some(Template::Undone)),
            // The answer to the STOP in it says the rest.
            ("cancel", None),
            ("CANCELAR", None),
        ] {
            let mut d = decision(60);
            hear(&mut d, "YES K7", 100);
            d.confirmed(101);
            assert_eq!(hear(&mut d, "YES K7", 102), None, "said twice");
            assert_eq!(hear(&mut d, undo, 120), said, "{undo}");
            assert_eq!(
                d.state,
                State::Final {
                    answer: Answer::No,
                    replied_at: 120
                }
            );
        }
        let mut d = decision(60);
        hear(&mut d, "YES K7", 100);
        assert_eq!(hear(&mut d, "STOP", 110), None);
        assert!(
            matches!(d.state, State::Yes { .. }),
            "STOP ends texts, not the answer"
        );
    }

    #[test]
    fn guessing_code_words_closes_the_decision() {
        let mut d = decision(60);
        let said = ["YES A2", "YES C3", "NO E4", "YES F5"].map(|guess| hear(&mut d, guess, 100));
        assert_eq!(
            said,
            [Some(Template::Unclear), Some(Template::Human), None, None]
        );
        assert_eq!(hear(&mut d, "YES H6", 100), Some(Template::Locked));
        assert_eq!(hear(&mut d, "YES K7", 100), None);
        assert_eq!(d.state, State::Closed(Closed::Guessed));
    }

    #[test]
    fn unclear_and_late_texts_decide_nothing() {
        let mut d = decision(60);
        assert_eq!(hear(&mut d, "yes", 100), Some(Template::Unclear));
        assert_eq!(hear(&mut d, "what?", 100), Some(Template::Human));
        assert_eq!(hear(&mut d, "what??", 100), None, "then silence");
        assert_eq!(d.state, State::Open);
        assert_eq!(hear(&mut d, "yes k7", 1_001), Some(Template::Late));
        assert_eq!(d.state, State::Closed(Closed::Expired));
        let mut d = decision(60);
        assert_eq!(
            hear(&mut d, "yes k7", 1_000),
            Some(Template::Confirm),
            "the deadline itself is in time"
        );
    }

    #[test]
    fn without_a_window_an_answer_is_final_at_once() {
        let mut d = decision(0);
        assert_eq!(hear(&mut d, "sí k7", 100), Some(Template::ConfirmNow));
        assert_eq!(
            d.state,
            State::Final {
                answer: Answer::Yes,
                replied_at: 100
            }
        );
        let mut d = decision(60);
        assert_eq!(hear(&mut d, "no k7", 100), Some(Template::Declined));
        assert_eq!(
            hear(&mut d, "yes k7", 101),
            Some(Template::TooLate),
            "a NO stands"
        );
    }

    #[test]
    fn wrong_disputes_and_a_shared_phone_takes_a_yes_back() {
        let mut d = decision(60);
        assert_eq!(hear(&mut d, "wrong k7", 100), Some(Template::Disputed));
        assert_eq!(d.state, State::Closed(Closed::Disputed));
        assert_eq!(hear(&mut d, "yes k7", 101), Some(Template::Late));
        let mut d = decision(0);
        hear(&mut d, "yes k7", 100);
        assert_eq!(hear(&mut d, "wrong", 101), Some(Template::DisputedLate));
        let mut d = decision(60);
        hear(&mut d, "yes k7", 100);
        assert_eq!(hear(&mut d, "shared", 101), None);
        assert_eq!(d.state, State::Closed(Closed::Shared));
        let mut d = decision(60);
        hear(&mut d, "shared", 100);
        assert_eq!(d.state, State::Open);
        assert_eq!(hear(&mut d, "wrong number", 100), None);
        assert_eq!(d.state, State::Closed(Closed::NotMe));
    }

    #[test]
    fn a_phone_is_verified_or_refused_at_once() {
        for (text, said, answer) in [
            ("yes k7", Template::Verified, Answer::Yes),
            ("no k7", Template::Refused, Answer::No),
        ] {
            let mut d = Decision::new(Template::Verify, Code::parse("K7").unwrap(), 1_000, 60);
            assert_eq!(hear(&mut d, text, 100), Some(said));
            assert_eq!(
                d.state,
                State::Final {
                    answer,
                    replied_at: 100
                }
            );
        }
    }
}
