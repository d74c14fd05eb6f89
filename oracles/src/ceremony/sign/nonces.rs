//! Signing nonces: in memory only, used once, capped, with a lifetime.
//!
//! A nonce used under two challenges gives the share away (RFC 9591 §7.1), so an entry is taken out before it is used,
//! and a restart forgets all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use zeroize::Zeroizing;

use crate::ceremony::KeyId;

/// How long nonces wait for their second round.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30);
/// Sessions kept per coordinator; above it the coordinator's oldest goes. No coordinator can crowd out another.
const MAX_SESSIONS: usize = 1024;

/// What a signer keeps between the rounds.
pub(crate) struct Committed {
    pub(crate) key: KeyId,
    pub(crate) epoch: u64,
    pub(crate) messages: Vec<Vec<u8>>,
    /// Serialised `SigningNonces`, one per message.
    pub(crate) nonces: Vec<Zeroizing<Vec<u8>>>,
}

type Sessions = HashMap<Bytes32, (Instant, Committed)>;

#[derive(Default)]
pub(crate) struct NonceStore {
    sessions: Mutex<HashMap<NodeId, Sessions>>,
}

impl NonceStore {
    /// Keeps nonces for a session; false if the coordinator used this session id already.
    pub(crate) fn put(&self, coordinator: NodeId, session: Bytes32, committed: Committed) -> bool {
        self.put_at(Instant::now(), coordinator, session, committed)
    }

    fn put_at(
        &self,
        now: Instant,
        coordinator: NodeId,
        session: Bytes32,
        committed: Committed,
    ) -> bool {
        let mut all = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = all.entry(coordinator).or_default();
        sessions.retain(|_, (at, _)| now.duration_since(*at) < LIFETIME);
        if sessions.contains_key(&session) {
            return false;
        }
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions
                .iter()
                .min_by_key(|(_, (at, _))| *at)
                .map(|(session, _)| *session);
            if let Some(oldest) = oldest {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(session, (now, committed));
        true
    }

    /// Takes the nonces of a session out, for their one use.
    pub(crate) fn take(&self, coordinator: NodeId, session: &Bytes32) -> Option<Committed> {
        self.take_at(Instant::now(), coordinator, session)
    }

    fn take_at(&self, now: Instant, coordinator: NodeId, session: &Bytes32) -> Option<Committed> {
        let mut all = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, committed) = all.get_mut(&coordinator)?.remove(session)?;
        (now.duration_since(at) < LIFETIME).then_some(committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::ids::Committee;

    fn committed() -> Committed {
        Committed {
            key: Committee::Income.into(),
            epoch: 1,
            messages: vec![],
            nonces: vec![],
        }
    }

    #[test]
    fn a_nonce_is_used_once_by_its_coordinator_within_its_lifetime() {
        let store = NonceStore::default();
        let (a, b) = (NodeId::new(1).unwrap(), NodeId::new(2).unwrap());
        let session = Bytes32::from([1; 32]);
        let now = Instant::now();
        assert!(store.put_at(now, a, session, committed()));
        assert!(
            !store.put_at(now, a, session, committed()),
            "a live session id is taken"
        );
        assert!(
            store.take_at(now, b, &session).is_none(),
            "another coordinator's"
        );
        assert!(store.take_at(now, a, &session).is_some());
        assert!(store.take_at(now, a, &session).is_none(), "used");
        assert!(store.put_at(now, a, session, committed()));
        assert!(
            store.take_at(now + LIFETIME, a, &session).is_none(),
            "expired"
        );
    }

    #[test]
    fn a_flooding_coordinator_pushes_out_its_own_sessions_only() {
        let store = NonceStore::default();
        let (a, b) = (NodeId::new(1).unwrap(), NodeId::new(2).unwrap());
        let now = Instant::now();
        let session = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            Bytes32::from(bytes)
        };
        assert!(store.put_at(now, b, session(0), committed()));
        for n in 0..=MAX_SESSIONS {
            let at = now + Duration::from_micros(n as u64);
            assert!(store.put_at(at, a, session(n), committed()));
        }
        let later = now + Duration::from_secs(1);
        assert!(
            store.take_at(later, a, &session(0)).is_none(),
            "the oldest went"
        );
        assert!(store.take_at(later, a, &session(MAX_SESSIONS)).is_some());
        assert!(store.take_at(later, b, &session(0)).is_some());
    }
}
