//! Following feeds: whoever a source touched is looked up by a keyed hash, and only that person's watched facts are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contracts::units::Day;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};

use super::fact::{Fact, fact};
use super::seen::{Due, DueFact, NewMark, Outcome, Seen};
use super::store::digest_text;
use super::{WatchError, Watcher};
use crate::attest::attribute;
use crate::sources::FeedConfig;
use crate::wire::watch::WatchedFact;

/// People whose facts are read at a time, for one feed.
const AT_ONCE: usize = 8;
/// Least time from one look to the next, however many webhooks ask for one.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
/// Longest time until a look that failed is tried again.
const FAILED_PAUSE: Duration = Duration::from_secs(60);
/// How often readings that failed are looked for.
const AGAIN_EVERY: Duration = Duration::from_secs(5);

impl Watcher {
    /// Follows a feed until the node stops.
    pub(super) async fn follow(self: Arc<Self>, feed: FeedConfig) {
        let pull = self.doors.pull(&feed.name);
        let every = Duration::from_secs(feed.every_s);
        loop {
            let pause = match self.look(&feed).await {
                Ok(true) => every,
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!(feed = %feed.name, %error, "a feed was not read");
                    every.min(FAILED_PAUSE)
                }
            };
            tokio::time::sleep(LEAST_PAUSE.min(pause)).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = pull.notified() => {}
            }
        }
    }

    /// One look at a feed, and all that follows from it; whether the source has no more now.
    fn look<'a>(&'a self, feed: &'a FeedConfig) -> BoxFuture<'a, Result<bool, WatchError>> {
        self.looked(feed).boxed()
    }

    async fn looked(&self, feed: &FeedConfig) -> Result<bool, WatchError> {
        let clock = self.shared.clock;
        let stored = self.store.mark(&feed.name).await?;
        let since = stored.marker.clone();
        let since = since.unwrap_or_else(|| feed.first(clock.now()));
        let today = clock.today();
        let touches = self.shared.sources.touched(feed, &since, clock.now());
        let touches = touches.await?;
        let hash = |key: &String| self.keys.person(&feed.source, &feed.key, key);
        let people: BTreeSet<_> = touches.keys.iter().map(hash).collect();
        let due = self.store.of_people(&people, today).await?;
        let seen = self.read(due, Some(&feed.source), today).await?;
        // What is beyond a cap has not been looked at yet.
        let looked = match touches.complete {
            true => today.number(),
            false => stored.looked,
        };
        let moved = stored.marker.as_ref() != Some(&touches.marker) || stored.looked != looked;
        if moved || !seen.is_empty() {
            let mark = NewMark {
                feed: &feed.name,
                marker: &touches.marker,
                looked,
            };
            let commit = self.store.commit(Some(mark), seen, today, clock.now());
            commit.await?;
        }
        Ok(touches.complete)
    }

    /// Reads again what could not be read, until the node stops.
    pub(super) async fn again(self: Arc<Self>) {
        loop {
            if let Err(error) = self.once_more().await {
                tracing::warn!(%error, "readings were not tried again");
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }

    async fn once_more(&self) -> Result<(), WatchError> {
        let clock = self.shared.clock;
        let today = clock.today();
        let due = self.store.due(today, clock.now()).await?;
        let seen = self.read(due, None, today).await?;
        if !seen.is_empty() {
            let commit = self.store.commit(None, seen, today, clock.now());
            commit.await?;
        }
        Ok(())
    }

    /// Reads the facts of watches, those that a source is asked for where one is named, and compares.
    async fn read(
        &self,
        due: Vec<Due>,
        source: Option<&str>,
        today: Day,
    ) -> Result<Vec<Seen>, WatchError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let looked = &self.store.looked().await?;
        let reading = due
            .into_iter()
            .map(|due| self.compare(due, source, looked, today));
        let reading: Vec<_> = reading.collect();
        let mut reading = stream::iter(reading).buffer_unordered(AT_ONCE);
        let mut all = Vec::new();
        while let Some(seen) = reading.next().await {
            match seen {
                Ok(seen) => all.extend(seen),
                // One damaged row, or an attribute that left the catalogue, must not stop the feed for everybody.
                Err(error) => tracing::error!(%error, "a watch cannot be read and is passed over"),
            }
        }
        Ok(all)
    }

    fn compare<'a>(
        &'a self,
        due: Due,
        source: Option<&'a str>,
        looked: &'a BTreeMap<String, i64>,
        today: Day,
    ) -> BoxFuture<'a, Result<Vec<Seen>, WatchError>> {
        self.compared(due, source, looked, today).boxed()
    }

    /// The plaintext keys and values of a person live in here, and nowhere else.
    async fn compared(
        &self,
        due: Due,
        source: Option<&str>,
        looked: &BTreeMap<String, i64>,
        today: Day,
    ) -> Result<Vec<Seen>, WatchError> {
        let sources = &self.shared.sources;
        let asked = |fact: &DueFact| {
            let mut of = sources.sources_of(&fact.attribute);
            source.is_none_or(|source| of.any(|name| name == source))
        };
        let facts: Vec<DueFact> = due.facts.into_iter().filter(asked).collect();
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys.open(&due.watch, &due.handle)?;
        let mut seen = Vec::with_capacity(facts.len());
        for held in facts {
            let since = self.known(&held, looked);
            let attribute = attribute(due.domain, &held.attribute)?;
            let watched = WatchedFact::new(attribute.id.clone(), attribute.period);
            let outcome = match fact(sources, attribute, &keys.0, today).await? {
                Fact::Agreed(value) => {
                    let digest = self.keys.value(&due.watch, &watched, value);
                    match digest_text(Some(&digest)) == held.digest {
                        true => Outcome::Same,
                        false => Outcome::Changed(digest),
                    }
                }
                Fact::Disputed | Fact::Failed => Outcome::Again,
            };
            seen.push(Seen {
                watch: due.watch,
                attribute: held.attribute,
                before: held.digest,
                tries: held.tries,
                since,
                outcome,
            });
        }
        Ok(seen)
    }

    /// The last day on which a fact was known to be as its digest has it: that of a reading, or later, where every source of
    /// it has a feed, of the last look at them all. While readings fail it stays where it was when they began to.
    fn known(&self, held: &DueFact, looked: &BTreeMap<String, i64>) -> i64 {
        if held.tries > 0 {
            return held.known;
        }
        let of = |source: &str| {
            let feeds = self.config.feed.iter().filter(|it| it.source == source);
            let looks = feeds.map(|feed| looked.get(&feed.name).copied().unwrap_or(0));
            looks.min().unwrap_or(0)
        };
        let sources = self.shared.sources.sources_of(&held.attribute);
        let vouched = sources.map(of).min().unwrap_or(0);
        held.known.max(vouched)
    }
}
