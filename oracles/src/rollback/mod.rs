//! Notices that a node's disk has gone back in time, before it signs over what it has forgotten.
//!
//! A node must not acknowledge two values for one place, nor two positions of a log. It remembers what it acknowledged in
//! its database; but a database can be an old copy, put back by `oracle restore`, by `cp` or by a storage system, and then
//! looks like one that was merely killed. So a node counts its acknowledgements in a *mark* per committee, and answers
//! for nothing before `f + 1` other members have stored the mark, signed, so that one honest member has. When it starts it
//! asks all others, and takes part again once all that are not faulty, `n − 1 − f`, have answered: who is silent counts
//! as faulty. A mark above its own tells it that it is *behind*.
//!
//! What it does then depends on what it lost:
//! - Leaves it acknowledged cannot be known from others, who may have read otherwise. It signs no leaf until every request
//!   of the lost time has expired, [`REQUEST_LIFETIME`] from when it noticed.
//! - Enrolments, leaves that were shown and programs that were decided it takes over from the others. They make it refuse
//!   more, never sign more.
//! - In the ledger it takes part from the next view on, because it may have acknowledged anything in this one.
//!
//! Concurrent acknowledgements share a mark. One process per node counts: a second one, on a copy of the folder, makes the
//! first one's marks refused.

mod adopt;
mod courier;
mod message;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use contracts::ids::{Committee, NodeId, max_faults};
use contracts::units::UnixTime;
use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use self::courier::Courier;
use self::message::{
    MARK, MarkAnswer, MarkCall, RefusedMark, START, SignedMark, StartAnswer, StartCall,
};
use self::store::Store;
use crate::attest::REQUEST_LIFETIME;
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::db::DbError;
use crate::node::{Node, Router};
use crate::peer::{PeerError, Peers, Refusal, RunId};
use crate::wire::decision::NONCE_LIFETIME;

/// Pause between tries to hear the others after a start.
const START_PAUSE: Duration = Duration::from_millis(100);
/// Pause between looks at whether the committee has other members.
const MEMBERS_PAUSE: Duration = Duration::from_secs(5);
/// Pause between looks at whether a node that is behind has caught up.
const CATCH_UP_PAUSE: Duration = Duration::from_secs(1);

/// Where a node stands on a committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Just started: it does not know yet whether it has forgotten anything.
    Starting,
    /// It remembers everything it acknowledged.
    Ready,
    /// It has forgotten something, and signs nothing until it has caught up.
    Behind,
}

impl Standing {
    /// Every standing by name, and whether it is this one.
    pub fn named(self) -> [(&'static str, bool); 3] {
        [
            ("starting", self == Self::Starting),
            ("ready", self == Self::Ready),
            ("behind", self == Self::Behind),
        ]
    }
}

/// Why a node acknowledges nothing now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkError {
    /// Too few members have said what they remember.
    #[error(
        "this node has just started and too few members of the {0} committee have told it what it signed before: start them"
    )]
    Starting(Committee),
    /// Its memory is older than what it signed.
    #[error(
        "this node's memory of the {0} committee is older than what it signed, as after a restore: it signs again when it has caught up"
    )]
    Behind(Committee),
    /// Too few members stored its mark.
    #[error(
        "too few members of the {committee} committee recorded that this node signs: {stored} of {needed}"
    )]
    Unrecorded {
        /// The committee.
        committee: Committee,
        /// Members that stored the mark.
        stored: usize,
        /// Members needed.
        needed: usize,
    },
    /// This node has no seat.
    #[error("this node does not sit on the {0} committee")]
    NoSeat(Committee),
    /// The database failed.
    #[error("the database failed")]
    Db,
}

impl From<DbError> for MarkError {
    fn from(error: DbError) -> Self {
        tracing::error!(%error, "could not count an acknowledgement");
        Self::Db
    }
}

impl From<MarkError> for Refusal {
    fn from(error: MarkError) -> Self {
        let code = match error {
            MarkError::Starting(_) => "starting",
            MarkError::Behind(_) => "behind",
            _ => "unrecorded",
        };
        Self::new(code, error.to_string())
    }
}

/// How far the marks have come: tickets up to `done` are under a stored mark, up to `failed` they were given up.
#[derive(Debug, Default)]
struct Progress {
    done: u64,
    failed: Option<(u64, MarkError)>,
}

struct Seat {
    standing: watch::Sender<Standing>,
    /// Members that know of this run.
    told: std::sync::Mutex<BTreeSet<NodeId>>,
    tickets: AtomicU64,
    /// Held while a mark is stored.
    progress: Mutex<Progress>,
}

/// The other members of a committee as it stands.
struct Others {
    nodes: Vec<NodeId>,
    faults: usize,
}

impl Others {
    /// Members that must answer: who does not counts as faulty.
    fn needed(&self) -> usize {
        self.nodes.len().saturating_sub(self.faults)
    }
}

impl Seat {
    fn told(&self) -> std::sync::MutexGuard<'_, BTreeSet<NodeId>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Rejoin = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The marks of a node.
#[derive(Clone)]
pub struct Marks(Arc<Inner>);

struct Inner {
    me: NodeId,
    run: RunId,
    clock: Clock,
    peers: Peers,
    store: Store,
    /// A seat per committee that this node serves or came to serve.
    seats: RwLock<BTreeMap<Committee, Arc<Seat>>>,
    couriers: BTreeMap<NodeId, Courier>,
    node: OnceLock<Weak<Node>>,
    /// How the ledger's member takes part again after it was behind.
    rejoin: OnceLock<Rejoin>,
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.standings().iter().map(|it| (it.0, it.1)))
            .finish()
    }
}

impl Marks {
    pub(crate) async fn open(
        config: &NodeConfig,
        pool: sqlx::AnyPool,
        peers: Peers,
        run: RunId,
    ) -> Result<Self, DbError> {
        let others = peers.ids().filter(|node| *node != config.id);
        let couriers = others.map(|node| (node, Courier::new(node, run))).collect();
        Ok(Self(Arc::new(Inner {
            me: config.id,
            run,
            clock: Clock::with_offset(config.clock_offset_seconds),
            peers,
            store: Store::open(pool).await?,
            seats: RwLock::default(),
            couriers,
            node: OnceLock::new(),
            rejoin: OnceLock::new(),
        })))
    }

    /// Where this node stands on each of its committees.
    pub fn standings(&self) -> BTreeMap<Committee, Standing> {
        let seats = self.0.seats.read().unwrap_or_else(PoisonError::into_inner);
        seats
            .iter()
            .map(|(committee, seat)| (*committee, *seat.standing.borrow()))
            .collect()
    }

    pub(crate) fn rejoin_ledger(&self, rejoin: Rejoin) {
        // Set once: a node is mounted once.
        let _ = self.0.rejoin.set(rejoin);
    }

    /// The seat on a committee; one that the node came to by a change of members begins here.
    fn seat(&self, committee: Committee) -> Result<Arc<Seat>, MarkError> {
        let poisoned = PoisonError::into_inner;
        if let Some(seat) = self.0.seats.read().unwrap_or_else(poisoned).get(&committee) {
            return Ok(Arc::clone(seat));
        }
        let node = self.0.node.get().and_then(Weak::upgrade);
        let node = node.filter(|node| node.serves(committee));
        let node = node.ok_or(MarkError::NoSeat(committee))?;
        let mut seats = self.0.seats.write().unwrap_or_else(PoisonError::into_inner);
        let seat = seats.entry(committee).or_insert_with(|| {
            let seat = Arc::new(Seat {
                standing: watch::Sender::new(Standing::Starting),
                told: Default::default(),
                tickets: AtomicU64::new(0),
                progress: Mutex::default(),
            });
            node.spawn(self.clone().keep(committee, Arc::clone(&seat)));
            seat
        });
        Ok(Arc::clone(seat))
    }

    fn others(&self, committee: Committee) -> Others {
        let node = self.0.node.get().and_then(Weak::upgrade);
        let standing = node.and_then(|node| node.standing(committee));
        let members = standing.map(|it| it.members).unwrap_or_default();
        let count = u16::try_from(members.len()).unwrap_or(u16::MAX);
        let others = members.into_iter().filter(|node| *node != self.0.me);
        Others {
            nodes: others.collect(),
            faults: usize::from(max_faults(count)),
        }
    }

    /// Waits, at most a peer's time-out, until this node may acknowledge.
    ///
    /// # Errors
    /// [`MarkError::Starting`] or [`MarkError::Behind`].
    pub async fn ready(&self, committee: Committee) -> Result<(), MarkError> {
        let mut standing = self.seat(committee)?.standing.subscribe();
        let known = standing.wait_for(|standing| *standing != Standing::Starting);
        let known = tokio::time::timeout(self.0.peers.timeout(), known).await;
        match known.map(|standing| standing.map(|it| *it)) {
            Ok(Ok(Standing::Ready)) => Ok(()),
            Ok(Ok(Standing::Behind)) => Err(MarkError::Behind(committee)),
            _ => Err(MarkError::Starting(committee)),
        }
    }

    /// Has the others remember that this node acknowledged something. To be called after the acknowledgement is durable
    /// and before it is answered; an error means that it must not be.
    ///
    /// # Errors
    /// See [`MarkError`].
    pub async fn record(&self, committee: Committee) -> Result<(), MarkError> {
        self.ready(committee).await?;
        let seat = self.seat(committee)?;
        let ticket = seat.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let mut progress = seat.progress.lock().await;
        if progress.done >= ticket {
            return Ok(());
        }
        if let Some((upto, error)) = &progress.failed
            && *upto >= ticket
        {
            return Err(error.clone());
        }
        // Everything with a ticket by now is durable, so the mark that is taken next covers it.
        let upto = seat.tickets.load(Ordering::SeqCst);
        let mark = self.0.store.raise(committee).await?;
        match self.announce(committee, &seat, mark).await {
            Ok(()) => {
                progress.done = upto;
                Ok(())
            }
            Err(error) => {
                progress.failed = Some((upto, error.clone()));
                Err(error)
            }
        }
    }

    async fn announce(
        &self,
        committee: Committee,
        seat: &Arc<Seat>,
        mark: u64,
    ) -> Result<(), MarkError> {
        let inner = &self.0;
        let others = self.others(committee);
        let signed = SignedMark::new(inner.me, committee, mark, inner.peers.identity());
        let signed = Arc::new(signed);
        let mut calls = JoinSet::new();
        for node in others.nodes {
            let (marks, seat, signed) = (self.clone(), Arc::clone(seat), Arc::clone(&signed));
            calls.spawn(async move {
                // A member that was down when this process started, or came to the committee since, hears of it first.
                if !seat.told().contains(&node) {
                    let remembered = marks.tell(committee, &seat, node).await?;
                    if remembered > mark {
                        let refusal = MarkError::Behind(committee).into();
                        return Err(PeerError::Refused { node, refusal });
                    }
                }
                let Inner {
                    couriers, peers, ..
                } = marks.0.as_ref();
                let courier = couriers.get(&node).ok_or(PeerError::Unknown(node))?;
                courier.carry(peers, &signed).await
            });
        }
        let needed = others.faults + 1;
        let mut stored = 0;
        while stored < needed {
            match calls.join_next().await {
                Some(Ok(Ok(()))) => stored += 1,
                Some(Ok(Err(error))) => {
                    tracing::debug!(%committee, %error, "member did not record a mark");
                }
                Some(Err(_)) => {}
                None => {
                    return Err(MarkError::Unrecorded {
                        committee,
                        stored,
                        needed,
                    });
                }
            }
        }
        // The slower ones hear of it too, but nobody waits for them.
        calls.detach_all();
        Ok(())
    }

    /// Tells a member that this process has started; returns the highest mark that it remembers.
    async fn tell(
        &self,
        committee: Committee,
        seat: &Seat,
        node: NodeId,
    ) -> Result<u64, PeerError> {
        let inner = &self.0;
        let call = StartCall {
            committee,
            run: inner.run,
        };
        let answer = inner.peers.call(node, START, &call).await?;
        seat.told().insert(node);
        // What this node did not sign, somebody made up.
        let genuine = answer
            .mark
            .filter(|mark| mark.committee == committee && mark.verify(inner.me, &inner.peers));
        Ok(genuine.map_or(0, |mark| mark.mark))
    }

    /// Hears the others, takes part when that is safe, and tells newcomers how far it has come.
    async fn keep(self, committee: Committee, seat: Arc<Seat>) {
        loop {
            match self.hear(committee, &seat).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => tracing::error!(%committee, %error, "could not compare marks"),
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        match self.0.store.own(committee).await {
            Ok(own) if own.behind_until.is_none() => {}
            _ => {
                seat.standing.send_replace(Standing::Behind);
                self.catch_up(committee).await;
            }
        }
        seat.standing.send_replace(Standing::Ready);
        let mut told = self.others(committee).nodes;
        loop {
            tokio::time::sleep(MEMBERS_PAUSE).await;
            let others = self.others(committee).nodes;
            if others == told {
                continue;
            }
            let Ok(own) = self.0.store.own(committee).await else {
                continue;
            };
            // A new mark, so that nobody answers for it from memory: the present members may not have what earlier ones stored.
            if own.mark == 0 || self.record(committee).await.is_ok() {
                told = others;
            }
        }
    }

    /// Whether enough others answered; what they remember is then compared with what this node does.
    async fn hear(&self, committee: Committee, seat: &Seat) -> Result<bool, DbError> {
        let inner = &self.0;
        let others = self.others(committee);
        if others.nodes.is_empty() {
            return Ok(false);
        }
        let answers = others.nodes.iter();
        let answers = join_all(answers.map(|node| self.tell(committee, seat, *node))).await;
        let heard: Vec<u64> = answers.into_iter().flatten().collect();
        if heard.len() < others.needed() {
            return Ok(false);
        }
        let remembered = heard.into_iter().max().unwrap_or(0);
        let own = inner.store.own(committee).await?;
        if remembered > own.mark {
            let until = UnixTime(inner.clock.now().0 + lost_time(committee));
            tracing::error!(
                %committee,
                own = own.mark,
                remembered,
                until = until.0,
                "this node's memory is older than what it signed, as after a restore: it signs nothing until it has caught up"
            );
            inner
                .store
                .fall_behind(committee, remembered, until)
                .await?;
        }
        Ok(true)
    }

    async fn catch_up(&self, committee: Committee) {
        let inner = &self.0;
        let mut adopted = false;
        loop {
            if !adopted {
                match self.adopt(committee).await {
                    Ok(()) => adopted = true,
                    Err(error) => tracing::warn!(%committee, %error, "catching up"),
                }
            }
            let waited = match inner.store.own(committee).await {
                Ok(own) => own
                    .behind_until
                    .is_none_or(|until| until < inner.clock.now()),
                Err(_) => false,
            };
            if adopted && waited && inner.store.caught_up(committee).await.is_ok() {
                tracing::info!(%committee, "caught up: this node signs again");
                return;
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
    }

    async fn adopt(&self, committee: Committee) -> Result<(), String> {
        let inner = &self.0;
        if committee == Committee::Ledger
            && let Some(rejoin) = inner.rejoin.get()
        {
            return rejoin().await;
        }
        let others = self.others(committee);
        adopt::tables(
            committee,
            &others.nodes,
            others.needed(),
            &inner.peers,
            inner.store.pool(),
        )
        .await
    }

    async fn answer_start(&self, from: NodeId, call: StartCall) -> Result<StartAnswer, Refusal> {
        let seat = self.member(call.committee, from)?;
        if *seat.standing.borrow() == Standing::Behind {
            return Err(MarkError::Behind(call.committee).into());
        }
        let store = &self.0.store;
        store.started(call.committee, from, &call.run).await?;
        let remembered = store.peer(call.committee, from).await?;
        Ok(StartAnswer {
            mark: remembered.and_then(|it| it.mark),
        })
    }

    async fn answer_mark(&self, from: NodeId, call: MarkCall) -> Result<MarkAnswer, Refusal> {
        let committees: BTreeSet<Committee> = call.marks.iter().map(|it| it.committee).collect();
        if committees.len() != call.marks.len() {
            return Err(Refusal::new("rollback", "two marks of one committee"));
        }
        let mut refused = Vec::new();
        let mut genuine = Vec::new();
        for mark in call.marks {
            match self.check_mark(from, &mark) {
                Ok(()) => genuine.push(mark),
                Err(refusal) => refused.push(RefusedMark {
                    committee: mark.committee,
                    refusal,
                }),
            }
        }
        // In one order, whoever asks: two calls then wait for each other, and not both.
        genuine.sort_unstable_by_key(|mark| mark.committee);
        let stored = match genuine.is_empty() {
            true => Vec::new(),
            false => self.0.store.witness(from, &call.run, &genuine).await?,
        };
        let other_run = genuine.iter().zip(stored).filter(|(_, stored)| !stored);
        refused.extend(other_run.map(|(mark, _)| RefusedMark {
            committee: mark.committee,
            refusal: Refusal::new(
                "other-run",
                "this is not the run of that node that started last",
            ),
        }));
        Ok(MarkAnswer { refused })
    }

    fn check_mark(&self, from: NodeId, mark: &SignedMark) -> Result<(), Refusal> {
        self.member(mark.committee, from)?;
        match mark.verify(from, &self.0.peers) {
            true => Ok(()),
            false => Err(Refusal::new("signature", "the mark is not the sender's")),
        }
    }

    fn member(&self, committee: Committee, from: NodeId) -> Result<Arc<Seat>, Refusal> {
        let seat = self.seat(committee).ok();
        seat.filter(|_| self.others(committee).nodes.contains(&from))
            .ok_or_else(|| Refusal::new("rollback", "not between members of that committee"))
    }
}

/// How long what a node may have forgotten can still be asked for again, in seconds.
fn lost_time(committee: Committee) -> i64 {
    match committee {
        Committee::Ledger => 0,
        Committee::Decision => NONCE_LIFETIME,
        _ => REQUEST_LIFETIME,
    }
}

/// Answers the others, and starts on every committee of the node.
pub(crate) fn mount(node: &Arc<Node>, router: &mut Router) {
    router.answers(START, |node, from, call| async move {
        node.marks().answer_start(from, call).await
    });
    router.answers(MARK, |node, from, call| async move {
        node.marks().answer_mark(from, call).await
    });
    adopt::mount(router);
    let _ = node.marks().0.node.set(Arc::downgrade(node));
    for committee in Committee::ALL {
        // Opens it, where there is one.
        let _ = node.marks().seat(committee);
    }
}
