//! The worker that does what time alone brings: undo windows that pass, deadlines, and texts that no receipt came for.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::Service;
use crate::provider::{Cause, Delivery, NoAnswer};
use crate::store::{Message, MessageState, StoreError};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Decisions or texts looked at in one go.
const BATCH: i64 = 64;
/// Providers' answers waited for at once.
const AT_ONCE: usize = 16;
/// How often the wait between two such questions doubles.
const MAX_DOUBLINGS: u32 = 6;
/// Longest a provider is asked about a text, seconds: networks give up after three days (3GPP TS 23.040 §9.2.3.12).
const GIVE_UP: i64 = 3 * 86_400;

/// Looks at the clock until aborted.
pub(super) async fn run(service: Arc<Service>) {
    loop {
        tokio::time::sleep(TICK).await;
        let done = async {
            service.settle_ripe().await?;
            service.ask_after().await?;
            service.join_segments().await?;
            let (waiting, dead) = service.store.waiting().await?;
            service.metrics.outbox(waiting, dead);
            Ok::<(), StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::error!(%error, "what time brings could not be stored");
        }
    }
}

impl Service {
    async fn settle_ripe(&self) -> Result<(), StoreError> {
        let now = self.now();
        for row in self.store.ripe_decisions(now, BATCH).await? {
            self.settle(&row.decision_id, now).await?;
        }
        Ok(())
    }

    /// Asks providers how texts fare whose receipts did not come.
    async fn ask_after(&self) -> Result<(), StoreError> {
        loop {
            let now = self.now();
            let mut write = self.store.write().await?;
            let due = self
                .store
                .due(&mut write, MessageState::Sent, now, BATCH)
                .await?;
            for claimed in &due {
                // Another worker leaves it alone meanwhile; without an answer it is asked about again then.
                let doublings = u32::try_from(claimed.message.looks)
                    .map_or(MAX_DOUBLINGS, |looks| looks.min(MAX_DOUBLINGS));
                let old = now - claimed.message.created_at > GIVE_UP;
                let next = if old {
                    i64::MAX
                } else {
                    now + (self.retry.receipt_wait_seconds << doublings)
                };
                self.store
                    .look_again(&mut write, &claimed.message.id, next)
                    .await?;
            }
            write.commit().await?;
            let full = i64::try_from(due.len()).is_ok_and(|count| count == BATCH);
            let answers: Vec<_> = stream::iter(due)
                .map(|claimed| self.ask(claimed.message))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            let mut write = self.store.write().await?;
            let messages = answers.iter().map(|(message, _)| message);
            self.store.lock_phones(&mut write, messages).await?;
            for (message, answer) in answers {
                if let Ok(Some((delivery, cause))) = answer {
                    self.progress(&mut write, &message, None, delivery, cause, now)
                        .await?;
                }
            }
            write.commit().await?;
            if !full {
                return Ok(());
            }
        }
    }

    async fn ask(
        &self,
        message: Message,
    ) -> (Message, Result<Option<(Delivery, Cause)>, NoAnswer>) {
        let provider = message
            .provider
            .as_deref()
            .and_then(|name| self.providers.named(name));
        let answer = match (provider, &message.provider_id) {
            (Some(provider), Some(id)) => provider.status(id).await,
            _ => Ok(None),
        };
        if let Err(NoAnswer(problem)) = &answer {
            tracing::warn!(
                text = message.id,
                problem,
                "a provider did not say how a text fares"
            );
        }
        (message, answer)
    }
}
