//! Longer texts that come in segments: kept sealed until all are there, then read as one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Service;
use super::inbound::Heard;
use super::requests::random_id;
use crate::phone::Phone;
use crate::provider::Segment;
use crate::provider::smpp::alphabet;
use crate::store::{Group, Kept, NewPart, StoreError};

/// Longest text that is joined, in segments, as the longest that is read.
const MAX_SEGMENTS: u8 = 10;
/// Longest segment that is kept, in octets: 140 go through the air, 255 fit a `short_message`.
const MAX_OCTETS: usize = 255;
/// How long the rest of a text is waited for, seconds.
const WAIT: i64 = 300;
/// How long a segment that is said again is known, seconds.
const KEEP: i64 = 3_600;
/// What stands where a segment is missing; no list knows it.
const MISSING: &str = " … ";

fn place(group: &Group, number: i64) -> String {
    let Group {
        provider,
        phone_index,
        reference,
        total,
    } = group;
    format!("{provider}:{phone_index}:{reference}:{total}:{number}")
}

impl Service {
    /// Keeps a segment, and reads its text if it was the last one missing. It lasts when this returns.
    pub(super) async fn receive_segment(
        &self,
        provider: &str,
        from: &Phone,
        segment: &Segment,
    ) -> Result<(), StoreError> {
        let by_itself = || alphabet::decode(segment.coding, &segment.octets);
        if segment.total > MAX_SEGMENTS || segment.octets.len() > MAX_OCTETS {
            return self.receive(None, from, &by_itself(), None).await;
        }
        let group = Group {
            provider: provider.to_owned(),
            phone_index: self.phones.index(from),
            reference: i64::from(segment.reference),
            total: i64::from(segment.total),
        };
        let number = i64::from(segment.number);
        let mut octets = vec![segment.coding];
        octets.extend(&segment.octets);
        let words = URL_SAFE_NO_PAD.encode(octets);
        let part = NewPart {
            group: &group,
            number,
            digest: &self.phones.digest("segment", &words),
            sealed: &self.phones.seal_text(&place(&group, number), &words),
        };
        let mut write = self.store.write().await?;
        let kept = self.store.keep_part(&mut write, &part, self.now()).await?;
        if kept == Kept::Full {
            drop(write);
            tracing::warn!(
                provider,
                "too many segments wait for others: one is read by itself"
            );
            return self.receive(None, from, &by_itself(), None).await;
        }
        // Committed before the others are looked for: of two processes that take in the last two, one sees both.
        write.commit().await?;
        self.join_segments().await
    }

    /// Reads the texts whose segments are all there, and what there is of those that have waited long enough.
    pub(super) async fn join_segments(&self) -> Result<(), StoreError> {
        let now = self.now();
        for group in self.store.ready_parts(now.saturating_sub(WAIT)).await? {
            let mut write = self.store.write().await?;
            let parts = self.store.take_parts(&mut write, &group).await?;
            if !parts.is_empty() {
                let (text, whole) = self.joined(&group, &parts);
                let id = format!("joined-{}", random_id());
                let heard = Heard {
                    id: Some(&id),
                    phone: &group.phone_index,
                    text: &text,
                    whole,
                    answered: None,
                };
                self.take_in(&mut write, &heard).await?;
            }
            self.store
                .forget_parts(&mut write, now.saturating_sub(KEEP))
                .await?;
            write.commit().await?;
            self.queued.notify_one();
        }
        Ok(())
    }

    /// The words of a text, and whether they are all there.
    fn joined(&self, group: &Group, parts: &[(i64, String)]) -> (String, bool) {
        let mut text = String::new();
        let mut run: Option<(u8, Vec<u8>)> = None;
        let mut whole = true;
        let mut next = 1;
        for (number, sealed) in parts {
            let opened = self.phones.open_text(&place(group, *number), sealed);
            let octets = opened
                .ok()
                .and_then(|words| URL_SAFE_NO_PAD.decode(words).ok());
            let Some((coding, octets)) = octets.as_deref().and_then(<[u8]>::split_first) else {
                // Another operator key: nothing can be read.
                tracing::error!("a segment does not open under the operator key");
                whole = false;
                continue;
            };
            if *number != next {
                whole = false;
                flush(&mut text, &mut run);
                text.push_str(MISSING);
            }
            next = number + 1;
            match &mut run {
                Some((known, run)) if known == coding => run.extend(octets),
                _ => {
                    flush(&mut text, &mut run);
                    run = Some((*coding, octets.to_vec()));
                }
            }
        }
        flush(&mut text, &mut run);
        (text, whole && next == group.total + 1)
    }
}

fn flush(text: &mut String, run: &mut Option<(u8, Vec<u8>)>) {
    if let Some((coding, octets)) = run.take() {
        text.push_str(&alphabet::decode(coding, &octets));
    }
}
