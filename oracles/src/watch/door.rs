//! Webhooks: a source that says "look now". All that one does is to pull its feed forward; what changed comes from the feed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{HttpRequest, HttpResponse, web};
use contracts::units::UnixTime;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::{WatchError, Watcher};
use crate::problem::Problem;
use crate::sources::FeedConfig;

/// Header with the Unix time of signing, in seconds.
pub const TIMESTAMP_HEADER: &str = "x-feed-timestamp";
/// Header with HMAC-SHA-256 of the timestamp, a dot and the body, in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-feed-signature";
/// How far the time of signing may be from the node's, in seconds.
pub const WEBHOOK_WINDOW: i64 = 300;
/// Largest body, in bytes; it is not read but for its signature.
const MAX_BODY: usize = 64 << 10;
/// Webhooks of one feed remembered within the window; more are refused.
const MAX_REMEMBERED: usize = 10_000;

/// What a source writes into [`SIGNATURE_HEADER`].
///
/// # Panics
/// Never: HMAC takes a key of any length.
pub fn webhook_signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    hex::encode(mac(secret, timestamp, body).finalize().into_bytes())
}

fn mac(secret: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(secret.as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// The feeds that can be pulled forward.
pub(super) struct Doors(HashMap<String, Door>);

struct Door {
    secret: Option<Zeroizing<String>>,
    pull: Arc<Notify>,
    /// Signatures taken, and until when they would be in time.
    taken: Mutex<HashMap<[u8; 32], i64>>,
}

impl Doors {
    pub(super) fn new(feeds: &[FeedConfig]) -> Self {
        let door = |feed: &FeedConfig| Door {
            secret: feed.webhook_secret.clone().map(Zeroizing::new),
            pull: Arc::default(),
            taken: Mutex::default(),
        };
        Self(feeds.iter().map(|it| (it.name.clone(), door(it))).collect())
    }

    /// What wakes the feed of that name.
    pub(super) fn pull(&self, feed: &str) -> Arc<Notify> {
        let door = self.0.get(feed);
        door.map_or_else(Arc::default, |door| Arc::clone(&door.pull))
    }

    /// Takes a webhook and pulls its feed forward.
    ///
    /// # Errors
    /// [`WatchError::Webhook`] for one that is forged, out of time or taken before; [`WatchError::Unknown`] for a feed without
    /// a door.
    fn take(
        &self,
        feed: &str,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
        now: UnixTime,
    ) -> Result<(), WatchError> {
        let door = self.0.get(feed).ok_or(WatchError::Unknown)?;
        let secret = door.secret.as_ref().ok_or(WatchError::Unknown)?;
        let (timestamp, signature) = timestamp.zip(signature).ok_or(WatchError::Webhook(
            "sign it: x-feed-timestamp, x-feed-signature",
        ))?;
        let mut tag = [0u8; 32];
        let hex = hex::decode_to_slice(signature, &mut tag);
        let mac = mac(secret, timestamp, body);
        if hex.is_err() || mac.verify_slice(&tag).is_err() {
            return Err(WatchError::Webhook("the signature does not verify"));
        }
        // Only the form that was signed first: "1" and "01" are one time.
        let at: i64 = timestamp
            .parse()
            .map_err(|_| WatchError::Webhook("the timestamp is no whole number"))?;
        if !(now.0 - WEBHOOK_WINDOW..=now.0 + WEBHOOK_WINDOW).contains(&at) {
            return Err(WatchError::Webhook("signed more than 300 seconds away"));
        }
        let mut taken = door.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, until| *until >= now.0);
        if taken.len() >= MAX_REMEMBERED {
            return Err(WatchError::Webhook("too many within 300 seconds"));
        }
        if taken.insert(tag, at + WEBHOOK_WINDOW).is_some() {
            return Err(WatchError::Webhook("taken before"));
        }
        door.pull.notify_one();
        Ok(())
    }
}

pub(super) fn routes(config: &mut web::ServiceConfig, watcher: &Arc<Watcher>) {
    let shared = Arc::clone(watcher);
    let door = move |request: HttpRequest, name: web::Path<String>, body: web::Bytes| {
        let header = |name| request.headers().get(name)?.to_str().ok();
        let now = shared.shared.clock.now();
        let (timestamp, signature) = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
        let taken = shared.doors.take(&name, timestamp, signature, &body, now);
        async move {
            taken?;
            Ok::<_, Problem>(HttpResponse::Accepted().finish())
        }
    };
    config.service(
        web::resource("/v1/feed/{name}")
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route(web::post().to(door)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "an odd secret of thirty-two bytes";
    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn doors() -> Doors {
        let feed = |name: &str, secret: &str| {
            let text = format!(
                "name = \"{name}\"\nsource = \"s\"\nkey = \"k\"\n{secret}\n
                 read = {{ kind = \"sql\", query = \"\" }}"
            );
            toml::from_str::<FeedConfig>(&text).unwrap()
        };
        let secret = format!("webhook_secret = \"{SECRET}\"");
        Doors::new(&[feed("open", &secret), feed("shut", "")])
    }

    #[test]
    fn attack_forged_stale_and_replayed_webhooks_are_refused() {
        let doors = doors();
        let now = NOW.0.to_string();
        let good = webhook_signature(SECRET, &now, b"x");
        let take = |feed, at: &str, tag: &str, body: &[u8]| {
            doors.take(feed, Some(at), Some(tag), body, NOW).is_ok()
        };
        assert!(!take("open", &now, &good, b"y"), "another body");
        assert!(
            !take("open", &(NOW.0 + 1).to_string(), &good, b"x"),
            "another time"
        );
        assert!(!take(
            "open",
            &now,
            &webhook_signature("another", &now, b"x"),
            b"x"
        ));
        assert!(!take("open", &now, "", b"x"));
        assert!(doors.take("open", None, Some(&good), b"x", NOW).is_err());
        assert!(
            !take("shut", &now, &webhook_signature("", &now, b"x"), b"x"),
            "no secret, no door"
        );
        assert!(!take("none", &now, &good, b"x"));
        for far in [NOW.0 - 301, NOW.0 + 301] {
            let far = far.to_string();
            assert!(!take(
                "open",
                &far,
                &webhook_signature(SECRET, &far, b"x"),
                b"x"
            ));
        }
        assert!(take("open", &now, &good, b"x"));
        assert!(!take("open", &now, &good, b"x"), "replayed");
        assert!(
            !take("open", &now, &good.to_uppercase(), b"x"),
            "replayed, written otherwise"
        );
    }
}
