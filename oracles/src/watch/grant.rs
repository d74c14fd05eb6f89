//! The beginning and the end of a watch, both the owner's.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::bip340;
use contracts::catalogue::Attribute;
use contracts::handle::SignedHandle;
use contracts::ids::Domain;
use contracts::units::{Day, UnixTime};
use futures::future::join_all;
use tokio::task::spawn_blocking;

use super::fact::{Fact, fact};
use super::store::{FactRow, NewWatch};
use super::{WatchError, Watcher};
use crate::attest::{AttestError, NonceUse, PSEUDONYM_KEY, Seat, attribute, is_today, use_of};
use crate::wire::watch::{
    MAX_DAYS, MAX_FACTS, MAX_NONCES, SealedWatch, VERSION, WatchAnswer, WatchGrant, WatchRevoke,
    WatchedFact, watch_info, watch_revoke_info,
};

/// A grant that holds, but for its nonce.
struct Checked {
    grant: WatchGrant,
    nonce: contracts::encoding::Bytes32,
    handle: SignedHandle,
}

impl Watcher {
    /// Checks a grant, reads its facts for the first time, and answers once the watch is durable. It holds for those facts
    /// that this node reads; the answer names the others. The same grant again, under a fresh nonce, answers again and leaves
    /// what is stored.
    pub(super) async fn grant(
        &self,
        domain: Domain,
        call: SealedWatch,
    ) -> Result<WatchAnswer, WatchError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let seat = Arc::new(self.seat(domain)?);
        let keys = Arc::clone(&shared.keys);
        let checking = Arc::clone(&seat);
        let checked = spawn_blocking(move || check(&checking, &call, keys.as_ref(), now));
        let Checked {
            grant,
            nonce,
            handle,
        } = checked.await.map_err(|_| AttestError::Busy)??;
        let reference = WatchGrant::reference(&grant.watch, &grant.authorisation_key);
        let purpose = NonceUse::Watch;
        let redeemed = shared
            .nonces
            .redeem(purpose, domain, &reference, &nonce, now);
        redeemed.map_err(AttestError::from)?;
        let answer = |watched: &[WatchedFact]| {
            let unread = grant.facts.iter().filter(|fact| !watched.contains(fact));
            WatchAnswer {
                node: seat.node,
                watch: grant.watch,
                unread: unread.map(|fact| fact.attribute.clone()).collect(),
            }
        };

        let owner = self.keys.owner(&grant.authorisation_key);
        if let Some(held) = self.store.find(&grant.watch).await? {
            let same = held.domain == domain
                && (held.owner, held.reader, held.expires) == (owner, grant.reader, grant.expires)
                && held.facts.iter().all(|fact| grant.facts.contains(fact));
            return if same {
                Ok(answer(&held.facts))
            } else {
                Err(WatchError::Taken)
            };
        }
        let read = |fact: &&WatchedFact| shared.sources.reads(&fact.attribute);
        let facts: Vec<WatchedFact> = grant.facts.iter().filter(read).cloned().collect();
        if let ([], [first, ..]) = (facts.as_slice(), grant.facts.as_slice()) {
            return Err(WatchError::NotRead(first.attribute.clone()));
        }
        let caller = use_of(&grant.authorisation_key, now);
        shared.quota.count(caller).await?;
        let row = NewWatch {
            watch: grant.watch,
            domain,
            owner,
            reader: grant.reader,
            handle: self.keys.seal(&grant.watch, &handle.plain.source_keys)?,
            expires: grant.expires,
            facts: self.baseline(domain, &grant, &facts, &handle).await?,
            again: Some(now),
            people: self.people(&facts, &handle),
        };
        let most = self.config.watches_per_person;
        let row = std::slice::from_ref(&row);
        self.store.insert(row, most, Some(caller), now).await?;
        Ok(answer(&facts))
    }

    /// What later values are compared with. A source that fails leaves nothing to compare with, so the grant is refused;
    /// sources that answer and do not agree leave an empty digest, and the first agreement is a change.
    async fn baseline(
        &self,
        domain: Domain,
        grant: &WatchGrant,
        facts: &[WatchedFact],
        handle: &SignedHandle,
    ) -> Result<Vec<FactRow>, WatchError> {
        let readings = facts.iter().map(|watched| async move {
            let attribute = attribute(domain, &watched.attribute)?;
            let keys = &handle.plain.source_keys;
            let read = fact(&self.shared.sources, attribute, keys, grant.day).await?;
            let digest = match read {
                Fact::Agreed(value) => Some(self.keys.value(&grant.watch, watched, value)),
                Fact::Disputed => None,
                Fact::Failed => return Err(WatchError::Unread(attribute.id.clone())),
            };
            Ok(FactRow {
                fact: watched.clone(),
                digest,
            })
        });
        join_all(readings).await.into_iter().collect()
    }

    /// Every key by which a source of a watched fact may name the person in a feed.
    fn people(
        &self,
        facts: &[WatchedFact],
        handle: &SignedHandle,
    ) -> BTreeSet<contracts::encoding::Bytes32> {
        let sources: BTreeSet<&str> = facts
            .iter()
            .flat_map(|fact| self.shared.sources.sources_of(&fact.attribute))
            .collect();
        let keys = handle.plain.source_keys.iter();
        keys.filter(|(name, _)| *name != PSEUDONYM_KEY)
            .flat_map(|(name, value)| {
                let hash = |source: &&str| self.keys.person(source, name, value);
                sources.iter().map(hash).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Ends a watch, and answers once it is gone durably.
    pub(super) async fn revoke(
        &self,
        domain: Domain,
        call: &SealedWatch,
    ) -> Result<WatchAnswer, WatchError> {
        let seat = self.seat(domain)?;
        let info = watch_revoke_info(domain, seat.node, seat.hpke_epoch);
        let plain = seat.open("revocation", &info, &call.sealed)?;
        let revoke: WatchRevoke =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("revocation"))?;
        if (revoke.version, revoke.committee) != (VERSION, domain) {
            return Err(AttestError::Format("revocation").into());
        }
        let signer = &revoke.authorisation_key;
        bip340::verify(signer, &revoke.message(), &revoke.signature).map_err(AttestError::from)?;
        let owner = self.keys.owner(signer);
        if !self.store.revoke(domain, &revoke.watch, &owner).await? {
            return Err(WatchError::Unknown);
        }
        Ok(WatchAnswer {
            node: seat.node,
            watch: revoke.watch,
            unread: Vec::new(),
        })
    }
}

/// Opens and checks a grant, all but its nonce's single use.
fn check(
    seat: &Seat,
    call: &SealedWatch,
    keys: &dyn contracts::attestation::CommitteeKeys,
    now: UnixTime,
) -> Result<Checked, WatchError> {
    let info = watch_info(seat.domain, seat.node, seat.hpke_epoch);
    let plain = seat.open("grant", &info, &call.sealed)?;
    let grant: WatchGrant =
        serde_json::from_slice(&plain).map_err(|_| AttestError::Format("grant"))?;
    if grant.version != VERSION {
        return Err(AttestError::Format("grant.version").into());
    }
    if (grant.committee, grant.epoch) != (seat.domain, seat.epoch) {
        return Err(AttestError::Committee {
            expected: seat.domain,
            epoch: seat.epoch,
            got: grant.committee,
            got_epoch: grant.epoch,
        }
        .into());
    }
    if !is_today(grant.day, now) {
        return Err(AttestError::Day {
            field: "grant.day",
            got: grant.day,
        }
        .into());
    }
    if grant.nonces.len() > MAX_NONCES {
        return Err(AttestError::Nonces("more than there are nodes").into());
    }
    let nonce = seat.own_nonce(&grant.nonces)?;
    let signer = &grant.authorisation_key;
    let handle = seat.handle(&grant.handle, signer, keys, grant.day)?;
    bip340::verify(signer, &grant.message(), &grant.signature).map_err(AttestError::from)?;
    term(grant.day, grant.expires, handle.plain.expires)?;
    if !(1..=MAX_FACTS).contains(&grant.facts.len())
        || !grant
            .facts
            .is_sorted_by(|one, next| one.attribute < next.attribute)
    {
        return Err(WatchError::Field {
            field: "facts",
            expected: format!("1 to {MAX_FACTS} facts, ascending by attribute"),
        });
    }
    for watched in &grant.facts {
        let attribute: &Attribute = attribute(seat.domain, &watched.attribute)?;
        if *watched != WatchedFact::new(attribute.id.clone(), attribute.period) {
            return Err(AttestError::Period {
                attribute: attribute.id.clone(),
                problem: "the reference period has another length in the catalogue",
            }
            .into());
        }
    }
    Ok(Checked {
        nonce,
        handle,
        grant,
    })
}

/// A watch ends: within a year, and with its handle.
fn term(day: Day, expires: Day, handle: Day) -> Result<(), WatchError> {
    let days = expires.number() - day.number();
    if !(0..=MAX_DAYS).contains(&days) || expires > handle {
        return Err(WatchError::Field {
            field: "expires",
            expected: format!("a day within {MAX_DAYS} days, and not after the handle's, {handle}"),
        });
    }
    Ok(())
}
