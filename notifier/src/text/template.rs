//! The closed set of texts.

macro_rules! templates {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident);* $(;)?) => {
        /// What a text says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Template { $($(#[$doc])* $variant),* }

        impl Template {
            /// Every template.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the API, the database, metrics and the language files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it is for.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),* }
            }
        }
    };
}

/// What a template is for, which decides who may send it and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A caller asks something: opens a decision.
    Question,
    /// A caller tells something.
    Notice,
    /// The notifier's own, unasked: waits for texting hours and counts against the daily cap.
    Reminder,
    /// The notifier's own, about a person's text or with the person present: goes at once.
    Answer,
    /// Answers STOP, START or HELP: reaches a blocked phone, once (47 CFR 64.1200(a)(12)).
    Command,
}

templates! {
    /// Asks whether the phone is the person's.
    Verify = "verify", Answer;
    /// Asks whether to apply.
    Apply = "apply", Question;
    /// Asks whether to apply in the state moved to.
    Move = "move", Question;
    /// Asks whether to renew.
    Renew = "renew", Question;
    /// Asks whether to take a plan for the time between two plans.
    Gap = "gap", Question;
    /// Tells of a change in the records that may end a plan, and asks whether it is right.
    Change = "change", Question;
    /// Asks a representative whether to apply for whom they act for.
    ApplyFor = "apply_for", Question;
    /// As `move`, of a representative.
    MoveFor = "move_for", Question;
    /// As `renew`, of a representative.
    RenewFor = "renew_for", Question;
    /// As `gap`, of a representative.
    GapFor = "gap_for", Question;
    /// As `change`, of a representative.
    ChangeFor = "change_for", Question;
    /// Asks whether somebody may act for the person.
    Designate = "designate", Question;
    /// Asks a representative whether they will act, and keep to themselves what they learn (42 CFR 435.923(d)).
    Represent = "represent", Question;
    /// Says that somebody may act for the person now.
    GrantGiven = "grant_given", Notice;
    /// Says that somebody did.
    GrantUsed = "grant_used", Notice;
    /// Says that somebody may not any more.
    GrantEnded = "grant_ended", Notice;
    /// Tells a representative that their replies count no more.
    GrantOver = "grant_over", Notice;
    /// Tells a representative that a form was sent, taken or refused, or that somebody has to be called: call.
    News = "news", Notice;
    /// Says that the agency has the application.
    Filed = "filed", Notice;
    /// Says that the application did not reach the agency.
    NotFiled = "not_filed", Notice;
    /// Says that the agency accepted.
    Accepted = "accepted", Notice;
    /// Says that the agency refused, and where to turn.
    Refusal = "refusal", Notice;
    /// Says that the person does not qualify now, and whom to ask for what is free.
    NotEligible = "not_eligible", Notice;
    /// Says that something is missing that only the person can bring.
    NeedsInfo = "needs_info", Notice;
    /// Says that the state asks for a form to keep the plan.
    Show = "show", Notice;
    /// Says that the state's plan ends.
    Ending = "ending", Notice;
    /// Says that the agency is late and was told so.
    Overdue = "overdue", Notice;
    /// Names what is free before a plan is offered.
    Free = "free", Notice;
    /// As `free`, for somebody who may use the Marketplace.
    FreeMarket = "free_market", Notice;
    /// Says that the plan for the time between two plans is in force.
    GapBegins = "gap_begins", Notice;
    /// Says that it ends, because the state's plan covers.
    GapEnds = "gap_ends", Notice;
    /// Says that no such plan was found.
    NoGap = "no_gap", Notice;
    /// Says that records are watched from now on, and how to end it.
    WatchBegins = "watch_begins", Notice;
    /// Says that the time agreed for it ends soon.
    WatchEnding = "watch_ending", Notice;
    /// Says that it has ended.
    WatchEnded = "watch_ended", Notice;
    /// Asks again before the deadline.
    Reminder = "reminder", Reminder;
    /// All that a shared phone is told.
    Message = "message", Notice;
    /// Says that the phone was verified.
    Verified = "verified", Answer;
    /// Says that the phone was not.
    Refused = "refused", Command;
    /// Tells the old phone that another took its place.
    Moved = "moved", Answer;
    /// Says that a YES came and until when it can be taken back.
    Confirm = "confirm", Answer;
    /// Says that a YES came, where it cannot be taken back.
    ConfirmNow = "confirm_now", Answer;
    /// Says that a YES came that changes nothing.
    Noted = "noted", Answer;
    /// Says that a NO came.
    Declined = "declined", Answer;
    /// Says that a YES was taken back.
    Undone = "undone", Answer;
    /// Says that a WRONG came in time.
    Disputed = "disputed", Answer;
    /// Says that a WRONG came after the answer was used.
    DisputedLate = "disputed_late", Answer;
    /// Says that the answer was used already.
    TooLate = "too_late", Answer;
    /// Says that the deadline passed.
    Late = "late", Answer;
    /// Asks again, once.
    Unclear = "unclear", Answer;
    /// Says, once, how to take back the YES that stands.
    UnclearUndo = "unclear_undo", Answer;
    /// Gives the number of somebody who helps.
    Human = "human", Answer;
    /// Says that the decision was closed after wrong code words.
    Locked = "locked", Answer;
    /// Says that a shared phone is told no more than that there is a message.
    SharedOn = "shared_on", Answer;
    /// Answers HELP.
    Help = "help", Command;
    /// Answers STOP.
    Stopped = "stopped", Command;
    /// Answers STOP while a decision is open.
    StoppedOpen = "stopped_open", Command;
    /// Answers STOP while a YES can still be taken back.
    StoppedYes = "stopped_yes", Command;
    /// Answers STOP where it took a YES back.
    StoppedUndone = "stopped_undone", Command;
    /// Answers START.
    Started = "started", Command;
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
        matches!(self.kind(), Kind::Question | Kind::Notice) && self != Self::Message
    }

    /// Whether it opens a decision.
    pub fn asks(self) -> bool {
        self.kind() == Kind::Question
    }

    /// Whether it goes to a representative about the person they act for, and may say whom.
    pub fn may_say_for_whom(self) -> bool {
        matches!(
            self,
            Self::ApplyFor
                | Self::MoveFor
                | Self::RenewFor
                | Self::GapFor
                | Self::ChangeFor
                | Self::Represent
                | Self::News
        )
    }

    /// Whether a YES to it changes nothing, so that there is nothing to take back.
    pub fn only_asks_whether_right(self) -> bool {
        matches!(self, Self::Change | Self::ChangeFor)
    }

    /// Whether nobody texted first: such a text waits for texting hours and counts against the daily cap.
    pub fn is_unasked(self) -> bool {
        matches!(self.kind(), Kind::Question | Kind::Notice | Kind::Reminder)
    }

    /// Whether a shared phone gets it as it is: it says nothing about a decision.
    pub fn is_safe_on_shared_phone(self) -> bool {
        matches!(
            self,
            Self::Help
                | Self::Stopped
                | Self::Started
                | Self::SharedOn
                | Self::Message
                | Self::Human
                | Self::Verify
                | Self::Verified
                | Self::Refused
                | Self::Moved
        )
    }
}
