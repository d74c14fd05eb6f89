//! Workers: any number of them, in any number of processes on one database, each with one task at a time.

use std::time::Duration;

use actix_web::web;
use contracts::encoding::Bytes32;
use contracts::lifecycle::{Action, Event};
use contracts::units::UnixTime;
use oracles::problem::Problem;

use super::Task;
use crate::agency::StatusNotice;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::agency::put_notice;
use crate::store::lifecycle::{ClaimedTask, finish_task, put_off_task};
use crate::store::{StoreError, StoredProfile};

/// Tasks done in one round before the clock is looked at again.
const ROUND: usize = 64;
/// Longest wait after failures, in seconds.
const MAX_BACKOFF: i64 = 3_600;

/// Seconds until work that failed so often in a row is tried again.
pub(crate) fn backoff(failures: u32) -> i64 {
    (1_i64 << failures.min(12)).min(MAX_BACKOFF)
}

/// A task with whose it is.
pub(super) struct Job<'a> {
    pub(super) service: &'a Service,
    pub(super) profile: &'a StoredProfile,
    pub(super) key: SealKey,
    pub(super) claimed: &'a ClaimedTask,
}

/// What came of a task's effect; stored in one transaction with the task's end.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Events, each with the key under which it counts once.
    pub(super) events: Vec<(String, Event)>,
    /// The grant of the representative who replied, where the owner did not.
    pub(super) by: Option<Bytes32>,
    /// Documents to keep.
    pub(super) documents: Vec<(String, serde_json::Value)>,
    /// Tasks that follow, each with its lane.
    pub(super) follow_up: Vec<(String, Task)>,
    /// The receipt of an event's entry.
    pub(super) receipt: Option<(i64, contracts::receipt::Receipt)>,
    /// A notice for an agency's feed: audience, application and notice.
    pub(super) notice: Option<(String, String, StatusNotice)>,
    /// The task as it goes on, and when; none when it is over.
    pub(super) again: Option<(Task, UnixTime)>,
}

/// Works until the service ends.
pub(crate) async fn run(service: web::Data<Service>) {
    let interval = Duration::from_millis(service.worker.interval_ms);
    loop {
        match service.work().await {
            // There may be more.
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::error!(code = problem.code(), "the worker failed"),
        }
        tokio::time::sleep(interval).await;
    }
}

impl Service {
    /// One bounded round: says whether anything was done.
    ///
    /// # Errors
    /// The database's.
    pub async fn work(&self) -> Result<bool, Problem> {
        let lease = i64::from(self.worker.lease_seconds);
        let mut any = false;
        for _ in 0..ROUND {
            let now = self.clock.now();
            let until = UnixTime(now.0.saturating_add(lease));
            if let Some(profile) = self.store.claim_timer(now, until).await? {
                if let Some(profile) = self.store.profile(&profile).await? {
                    self.tick(&profile).await?;
                }
                any = true;
                continue;
            }
            let Some(claimed) = self.store.claim_task(now, until).await? else {
                // Renewals come after what lifecycles and grants wait for, and watches after those.
                let more = self.grant_next(now, until).await?
                    || self.renew_next(now, until).await?
                    || self.watch_next(now, until).await?;
                match more {
                    true => any = true,
                    false => break,
                }
                continue;
            };
            any = true;
            self.do_task(&claimed).await?;
        }
        Ok(any)
    }

    /// Tells the machine that time passed.
    async fn tick(&self, profile: &StoredProfile) -> Result<(), Problem> {
        let state = self.lifecycle_state(profile).await?;
        // Whatever comes first, this tick or another event, has the timer's day behind it; so the key is of that day.
        let day = state.timer.map(|day| day.to_string()).unwrap_or_default();
        let source = format!("timer {day} {}", state.steps);
        self.take_event(profile, &source, &Event::Tick).await?;
        Ok(())
    }

    async fn do_task(&self, claimed: &ClaimedTask) -> Result<(), Problem> {
        let profile = self.store.profile(&claimed.profile).await?;
        let stored = self.store.lifecycle(&claimed.profile).await?;
        let (Some(profile), Some(stored)) = (profile, stored) else {
            return Err(Problem::internal());
        };
        let key = self.lifecycle_key(&profile, &stored)?;
        let job = Job {
            service: self,
            profile: &profile,
            key,
            claimed,
        };
        let task: Task = claimed.payload(&job.key)?;
        match job.effect(&task).await {
            Ok(done) => {
                job.settle(done).await?;
                self.metrics.task(task.kind(), "done");
                Ok(())
            }
            Err(problem) => {
                let wait = backoff(claimed.failures);
                tracing::warn!(
                    code = problem.code(),
                    detail = problem.detail.as_str(),
                    wait,
                    "a task failed; it is tried again"
                );
                let at = UnixTime(self.clock.now().0 + wait);
                let mut tx = self.store.begin().await?;
                let failures = claimed.failures.saturating_add(1);
                put_off_task(&mut tx, &job.key, claimed, &task, at, failures).await?;
                tx.commit().await.map_err(StoreError::from)?;
                self.metrics.task(task.kind(), "failed");
                Ok(())
            }
        }
    }
}

impl Job<'_> {
    /// Stores what came of the task, at once.
    async fn settle(&self, done: Done) -> Result<(), Problem> {
        use crate::store::lifecycle::{NewTask, insert_task, keep_document, keep_receipt};
        let service = self.service;
        let profile = &self.profile.profile;
        let now = service.clock.now();
        let mut tx = service.store.begin().await?;
        for (name, document) in &done.documents {
            keep_document(&mut tx, &self.key, profile, name, document).await?;
        }
        if let Some((seq, receipt)) = &done.receipt {
            keep_receipt(&mut tx, profile, *seq, receipt).await?;
        }
        for (lane, task) in &done.follow_up {
            let id = contracts::encoding::tagged_hash(
                "shp/v1/lifecycle-follow-up",
                &[&self.claimed.task.0, lane.as_bytes()],
            );
            let new = NewTask {
                task: id.into(),
                lane,
                place: (0, 0),
                payload: task,
                due_at: match task {
                    Task::Lapse { on, tell, .. } => tell.unwrap_or(*on).start(),
                    Task::Act {
                        action: Action::AlertPcp { on },
                    } => on.start(),
                    _ => now,
                },
            };
            insert_task(&mut tx, &self.key, profile, &new).await?;
        }
        if let Some((audience, application, told)) = done.notice {
            let task = &self.claimed.task;
            let sealed = service.seal_notice(task, &(application, told));
            put_notice(&mut tx, &audience, task, &sealed, now).await?;
        }
        for (source, event) in &done.events {
            service
                .take_of(&mut tx, self.profile, (source, done.by), event)
                .await?;
        }
        match &done.again {
            Some((task, at)) => {
                put_off_task(&mut tx, &self.key, self.claimed, task, *at, 0).await?;
            }
            None => finish_task(&mut tx, &self.claimed.task, now).await?,
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Asks again after the configured while.
    pub(super) fn again(&self, task: &Task) -> Option<(Task, UnixTime)> {
        let poll = i64::from(self.service.worker.poll_seconds);
        Some((task.clone(), UnixTime(self.service.clock.now().0 + poll)))
    }
}
