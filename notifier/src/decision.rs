//! What becomes of a decision when texts come in and time passes. No I/O: state, event and time in; state and texts out.

use crate::code::Code;
use crate::reply::{Answer, Meaning};
use crate::template::Template;

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
}

impl Closed {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Guessed => "guessed",
            Self::Failed => "failed",
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

/// A decision that a text asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
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
}

impl Decision {
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

    /// Applies a text from the decision's own phone, and says what to text back. The state has been settled at `now`.
    pub fn hear(&mut self, meaning: &Meaning, now: i64) -> Option<Template> {
        match meaning {
            Meaning::Answer(answer, Some(code)) if *code == self.code => {
                self.answered(*answer, now)
            }
            Meaning::Answer(_, Some(_)) => self.wrong_code(),
            // Only the code word says which question is meant; a bare YES may be meant for an older text.
            Meaning::Answer(_, None) | Meaning::Unclear => self.unclear(),
            // CANCEL in the undo window takes the YES back: where two readings exist, nothing is filed.
            Meaning::Stop { cancels: true } if matches!(self.state, State::Yes { .. }) => {
                self.finish(Answer::No, now);
                Some(Template::Undone)
            }
            Meaning::Stop { .. } | Meaning::Start | Meaning::Help => None,
        }
    }

    fn answered(&mut self, answer: Answer, now: i64) -> Option<Template> {
        match (self.state, answer) {
            (State::Open, Answer::Yes) if self.undo_seconds == 0 => {
                self.finish(Answer::Yes, now);
                Some(Template::ConfirmNow)
            }
            (State::Open, Answer::Yes) => {
                self.state = State::Yes {
                    replied_at: now,
                    undo_until: None,
                };
                Some(Template::Confirm)
            }
            (State::Open, Answer::No) => {
                self.finish(Answer::No, now);
                Some(Template::Declined)
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

    fn unclear(&self) -> Option<Template> {
        match self.state {
            State::Open => Some(Template::Unclear),
            State::Yes { .. } => Some(Template::UnclearUndo),
            State::Final { .. } | State::Closed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::read;

    fn decision(undo_seconds: i64) -> Decision {
        Decision {
            code: Code::parse("K7").unwrap(),
            deadline: 1_000,
            undo_seconds,
            state: State::Open,
            wrong_codes: 0,
        }
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
        for undo in ["NO K7", "cancel", "CANCELAR"] {
            let mut d = decision(60);
            hear(&mut d, "YES K7", 100);
            d.confirmed(101);
            assert_eq!(hear(&mut d, "YES K7", 102), None, "said twice");
            assert_eq!(hear(&mut d, undo, 120), Some(Template::Undone), "{undo}");
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
        for guess in ["YES A2", "YES C3", "NO E4", "YES F5"] {
            assert_eq!(hear(&mut d, guess, 100), Some(Template::Unclear));
        }
        assert_eq!(hear(&mut d, "YES H6", 100), Some(Template::Locked));
        assert_eq!(hear(&mut d, "YES K7", 100), None);
        assert_eq!(d.state, State::Closed(Closed::Guessed));
    }

    #[test]
    fn unclear_and_late_texts_decide_nothing() {
        let mut d = decision(60);
        assert_eq!(hear(&mut d, "yes", 100), Some(Template::Unclear));
        assert_eq!(hear(&mut d, "what?", 100), Some(Template::Unclear));
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
}
