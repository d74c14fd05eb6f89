//! Lifecycles: the pure machine of `contracts::lifecycle`, its events in the database, and workers that do what it asks.
//!
//! One transaction takes an event: it appends the event, the state after it, the salted commitment that goes to the ledger,
//! and a task for every action. A task's id is the same at every attempt and goes to the receiver as idempotency key, so a
//! worker may die anywhere: another claims the task when its lease has run out, and the effect happens once.

mod agency;
mod boundary;
mod effects;
mod flag;
mod gap;
mod owner;
mod record;
mod spread;
mod worker;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Action, Event, Matter, State, Transition, step};
use contracts::receipt::{Entry, EntryKind};
use contracts::units::{Day, UnixTime};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::notifier::Text;
use crate::oracle::random32;
use crate::seal::SealKey;
use crate::service::{Service, token_hash};
use crate::store::lifecycle::{
    NewTask, StoredLifecycle, begin_lifecycle, drop_lane, has_event, insert_event, insert_task,
    lock_lifecycle, save_lifecycle,
};
use crate::store::{StoreError, StoredProfile, Tx};
use crate::wallet::Use;

pub(crate) use agency::of as agency_of;
pub(crate) use effects::question_of;
pub use record::{Coverage, CoverageEvent};
pub(crate) use worker::{backoff, run};

/// An event with what its ledger entry commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taken {
    pub(crate) event: Event,
    pub(crate) date: Day,
    pub(crate) transition: Transition,
    /// Opens the ledger entry's commitment, which is to the transition.
    pub(crate) salt: Bytes32,
    /// The grant of the representative who replied, where the owner did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Bytes32>,
}

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "task")]
pub(crate) enum Task {
    /// What the machine asked for.
    Act { action: Action },
    /// Append the entry of an event to the ledger.
    Append { seq: i64, entry: Entry },
    /// Take the owner's reply to a text.
    Await {
        matter: Matter,
        decision: Bytes32,
        /// When it was decided, before which there is no reply.
        issued: UnixTime,
        /// When the notifier must have closed it.
        closes: UnixTime,
        /// The question that is asked, where the reply files it.
        question: Option<Bytes32>,
    },
    /// Tell phones that were not verified when it happened.
    Tell { texts: Vec<Text>, since: UnixTime },
    /// Take what an agency says about an application.
    Follow {
        jurisdiction: Jurisdiction,
        application: String,
        after: u64,
        /// The last day, once the agency has closed the case.
        #[serde(default)]
        until: Option<Day>,
    },
    /// Say on which day a gap policy ends with its longest term.
    Lapse {
        policy: String,
        on: Day,
        /// When; on that day where it is not given.
        #[serde(default)]
        tell: Option<Day>,
    },
    /// Ask about an age at which a group begins or ends.
    Boundary {
        /// The birthday.
        on: Day,
    },
}

impl Task {
    /// What a metric calls it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Act { action } => party(action),
            Self::Append { .. } => "ledger",
            Self::Await { .. } => "reply",
            Self::Tell { .. } => "tell",
            Self::Follow { .. } => "follow",
            Self::Lapse { .. } => "lapse",
            Self::Boundary { .. } => "age",
        }
    }
}

/// Lanes: tasks of one are done in order, and wait for nothing in another. Those of an agency, or about a policy, are its own, so
/// that whom one of them waits for keeps nothing from another.
fn lane(action: &Action) -> String {
    match action {
        Action::File { jurisdiction, .. } | Action::Notify { jurisdiction, .. } => {
            format!("agency {jurisdiction}")
        }
        Action::Quote { .. } => "quote".to_owned(),
        // A purchase that may have been made covers days: the next comes after it.
        Action::Enrol { .. } => "purchase".to_owned(),
        Action::EndGap { policy, .. } => format!("{ENDINGS}{policy}"),
        action => party(action).to_owned(),
    }
}

/// How the lanes of policies that end begin.
const ENDINGS: &str = "end ";

/// Whom an action goes to.
fn party(action: &Action) -> &'static str {
    match action {
        // The notifier has one decision open at a time: it is taken back before the next is asked.
        Action::Text { .. } | Action::Withdraw { .. } => "owner",
        Action::File { .. } | Action::Notify { .. } => "agency",
        Action::Quote { .. } | Action::Enrol { .. } | Action::EndGap { .. } => "insurer",
        Action::Ask { .. } => "question",
        Action::AlertPcp { .. } => "practice",
        _ => "other",
    }
}

/// Where replies about a matter are waited for.
fn await_lane(matter: &Matter) -> String {
    match matter {
        Matter::Apply { case } => format!("await apply {case}"),
        Matter::Change { case } => format!("await change {case}"),
        Matter::Gap { offer } => format!("await gap {offer}"),
    }
}

/// The id of a task: tells nothing, and follows from where it comes from.
fn task_id(profile: &Bytes32, seq: i64, within: usize) -> Bytes32 {
    let parts: [&[u8]; 3] = [
        &profile.0,
        &seq.to_be_bytes(),
        &(within as u64).to_be_bytes(),
    ];
    tagged_hash("shp/v1/lifecycle-task", &parts).into()
}

impl Service {
    /// The key that a profile's lifecycle is sealed under.
    pub(crate) fn lifecycle_key(
        &self,
        profile: &StoredProfile,
        stored: &StoredLifecycle,
    ) -> Result<SealKey, Problem> {
        Ok(self.wallet(profile)?.question(stored.wallet_index)?)
    }

    /// Begins to look after a profile's cover; a second call changes nothing.
    ///
    /// # Errors
    /// 409 when the profile is not enrolled; 422 for a contract that the state does not have.
    pub async fn watch_over(
        &self,
        profile: &StoredProfile,
        home: Jurisdiction,
        contract: &str,
    ) -> Result<(), Problem> {
        if !self.is_enrolled(profile) {
            return Err(crate::enrol::not_enrolled());
        }
        let today = self.clock.today();
        contracts::rules::registry()
            .compile(contract, &home, today)
            .map_err(|error| crate::question::rule_problem(&error))?;
        let mut tx = self.store.begin().await?;
        if lock_lifecycle(&mut tx, &profile.profile).await?.is_some() {
            return Ok(());
        }
        let index = self
            .store
            .reserve(&mut tx, &profile.profile.to_string(), Use::Question, 1)
            .await?;
        let key = self.wallet(profile)?.question(index)?;
        let first = State::new(home, contract, today);
        let flag = token_hash(&self.flag_of(&profile.profile));
        begin_lifecycle(&mut tx, &key, &profile.profile, index, &first, &flag).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Takes one event, once per source: the same source again changes nothing. Says whether it was new.
    ///
    /// # Errors
    /// 409 when the profile's cover is not looked after.
    pub async fn take_event(
        &self,
        profile: &StoredProfile,
        source: &str,
        event: &Event,
    ) -> Result<bool, Problem> {
        let mut tx = self.store.begin().await?;
        let new = self.take(&mut tx, profile, source, event).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(new)
    }

    /// Takes an event within a transaction.
    pub(crate) async fn take(
        &self,
        tx: &mut Tx,
        profile: &StoredProfile,
        source: &str,
        event: &Event,
    ) -> Result<bool, Problem> {
        self.take_of(tx, profile, (source, None), event).await
    }

    /// As [`Service::take`], of a representative where the source names a grant.
    async fn take_of(
        &self,
        tx: &mut Tx,
        profile: &StoredProfile,
        (source, by): (&str, Option<Bytes32>),
        event: &Event,
    ) -> Result<bool, Problem> {
        let id = &profile.profile;
        let stored = lock_lifecycle(tx, id).await?.ok_or_else(not_watched)?;
        if has_event(tx, id, source).await? {
            return Ok(false);
        }
        let key = self.lifecycle_key(profile, &stored)?;
        let now = self.clock.now();
        let spread = self.worker.spread_seconds;
        let date = self.clock.today();
        let state: State = stored.state(&key)?;
        let (next, actions) = step(&state, event, date);
        let seq = stored.seq + 1;
        let transition = actions.iter().find_map(|action| match action {
            Action::Log { entry } => Some(entry.clone()),
            _ => None,
        });
        let taken = Taken {
            event: event.clone(),
            date,
            transition: transition.ok_or_else(Problem::internal)?,
            salt: random32(),
            by,
        };
        let entry = Entry::new(EntryKind::CoverageEvent, &taken.salt, &taken.transition);
        insert_event(tx, &key, id, (seq, source), &taken, &entry).await?;
        for (within, action) in actions.into_iter().enumerate() {
            let due_at = spread::due(&action, now, spread);
            let (lane, payload) = match action {
                Action::Log { .. } => ("ledger".to_owned(), Task::Append { seq, entry }),
                Action::Timer { .. } => continue,
                action => (lane(&action), Task::Act { action }),
            };
            let new = NewTask {
                task: task_id(id, seq, within),
                lane: &lane,
                place: (seq, within),
                payload: &payload,
                due_at,
            };
            insert_task(tx, &key, id, &new).await?;
        }
        // Nobody waits for replies to what is not open any more.
        let closed = closed_matters(&state, &next);
        for matter in closed {
            drop_lane(tx, id, &await_lane(&matter), now).await?;
        }
        let due = next.timer.map(|day| spread::begins(day, spread));
        save_lifecycle(tx, &key, id, seq, &next, due).await?;
        tracing::info!(event = event.name(), seq, "a lifecycle took an event");
        Ok(true)
    }

    /// Whether a policy of a profile is still to be ended.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn is_ending(&self, profile: &StoredProfile) -> Result<bool, Problem> {
        Ok(self.store.waits_in(&profile.profile, ENDINGS).await?)
    }

    /// The state of a profile's cover.
    ///
    /// # Errors
    /// 409 when it is not looked after.
    pub async fn lifecycle_state(&self, profile: &StoredProfile) -> Result<State, Problem> {
        let stored = self.store.lifecycle(&profile.profile).await?;
        let stored = stored.ok_or_else(not_watched)?;
        Ok(stored.state(&self.lifecycle_key(profile, &stored)?)?)
    }
}

/// Decisions that a text asked for before a step and that nothing waits for after it.
fn closed_matters(before: &State, after: &State) -> Vec<Matter> {
    let open = open_matters(after);
    open_matters(before)
        .into_iter()
        .filter(|matter| !open.contains(matter))
        .collect()
}

fn open_matters(state: &State) -> Vec<Matter> {
    use contracts::lifecycle::{Gap, Phase};
    let mut open = Vec::new();
    if let Some(case) = state.case {
        match case.phase {
            Phase::Owner { .. } => open.push(Matter::Apply { case: case.id }),
            Phase::Respond { text: Some(_), .. } => open.push(Matter::Change { case: case.id }),
            _ => {}
        }
    }
    if let Gap::Offered { offer, .. } = state.gap {
        open.push(Matter::Gap { offer });
    }
    open
}

/// 409: nothing was begun.
pub(crate) fn not_watched() -> Problem {
    Problem::conflict(
        "not-watched",
        "this profile's cover is not looked after: PUT /v1/profiles/{profile}/coverage first",
    )
}
