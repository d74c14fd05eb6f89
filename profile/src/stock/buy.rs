//! Buying leaves of one domain: asked for, verified, sealed, stored; opened again when they are shown.

use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::issuance::Opening;
use contracts::presentation::Held;
use contracts::rules::Fact;
use curve25519_dalek::scalar::Scalar;
use oracles::problem::Problem;
use zeroize::Zeroizing;

use super::plan::{Bound, Expected, bind};
use crate::consent::{is_refused, without};
use crate::oracle::{AttestedLeaf, OracleError, Owner, Wanted};
use crate::service::Service;
use crate::store::consents::lock_consents;
use crate::store::{Fetched, Pair, StoreError, StoredLeaf, StoredProfile, facts};
use crate::wallet::{LeafKeys, Role, Use, Wallet};

/// Bytes before the opening proper: purpose salt and subject blinding.
const HEAD: usize = 64;

/// The context an opening is sealed in.
fn opening_context(leaf: &Bytes32) -> [&[u8]; 2] {
    [b"opening", &leaf.0]
}

/// What a leaf is shown with, in one sealed text.
fn seal_opening(
    keys: &LeafKeys,
    leaf: &Bytes32,
    purpose_salt: &Bytes32,
    subject_blinding: &Scalar,
    opening: &Opening,
) -> String {
    let bytes = opening.to_bytes();
    let mut plain = Zeroizing::new(Vec::with_capacity(HEAD + bytes.len()));
    plain.extend_from_slice(&purpose_salt.0);
    plain.extend_from_slice(subject_blinding.as_bytes());
    plain.extend_from_slice(&bytes);
    keys.opening.seal(&opening_context(leaf), &plain)
}

/// Buys and opens leaves of one profile.
pub(crate) struct Buyer<'a> {
    pub(crate) service: &'a Service,
    pub(crate) profile: &'a StoredProfile,
    pub(crate) wallet: &'a Wallet,
}

/// Leaves to be bought of one domain.
pub(crate) struct Order<'a> {
    pub(crate) domain: Domain,
    /// All facts of the contract in the domain: the shape of a request must not tell which are held.
    pub(crate) facts: &'a [&'a Fact],
    /// Whom they are for first.
    pub(crate) pair: &'a Pair,
    /// For whom else some of them are bought.
    pub(crate) others: &'a [Expected],
    /// The question that has the first ones and the spares; none for the stock.
    pub(crate) question: Option<Bytes32>,
}

impl Buyer<'_> {
    /// Asks one committee, again with fresh keys and blindings if that fails, and stores what it attests.
    ///
    /// # Errors
    /// The last attempt's.
    pub(crate) async fn buy(&self, order: &Order<'_>) -> Result<(), Problem> {
        let (service, domain) = (self.service, order.domain);
        let authorisation = self
            .wallet
            .authorisation(domain, self.profile.registration)?;
        let mut handles = service
            .handles(self.profile, domain, &authorisation)
            .await?;
        let (subject, blinding) = service.subject(self.profile, self.wallet, domain).await?;
        let person = match domain {
            Domain::Identity => Some(service.person(self.profile, self.wallet)?),
            _ => None,
        };
        let mut failure: Option<OracleError> = None;
        for attempt in 0..service.oracles.attempts() {
            let owner = Owner {
                authorisation: &authorisation,
                handles: &handles,
                subject: &subject,
                person: person.as_ref(),
            };
            let (wanted, bound) = self.wanted(order).await?;
            match service.oracles.attest(domain, &wanted, &owner).await {
                Ok(leaves) => return self.keep(order, &wanted, &bound, &blinding, leaves).await,
                Err(error) => {
                    tracing::warn!(%domain, attempt, %error, "facts were not attested");
                    let lasting = matches!(error, OracleError::Refused { .. });
                    failure = Some(error);
                    if lasting {
                        break;
                    }
                    // The committee may have changed under way, and have members without a handle.
                    handles = service
                        .handles(self.profile, domain, &authorisation)
                        .await?;
                }
            }
        }
        Err(failure.map_or_else(Problem::internal, Problem::from))
    }

    /// The leaves to ask for, in the order of requests, with keys that are used up from here on.
    async fn wanted<'b>(
        &self,
        order: &Order<'b>,
    ) -> Result<(Vec<Wanted>, Vec<Bound<'b>>), Problem> {
        let indexes = self.service.oracles.indexes();
        let refused = self.service.refused(&self.profile.profile).await?;
        let mut sorted = order.facts.to_vec();
        sorted.sort_unstable();
        let leaves: Vec<(&Fact, u32, Bound<'b>)> = sorted
            .into_iter()
            .flat_map(|fact| {
                let mut bound = bind(fact, order.pair, order.others, indexes);
                if is_refused(&refused, order.domain, &fact.attribute) {
                    // Whatever it is bought for: without consent no source is read.
                    bound.iter_mut().for_each(|bound| bound.withheld = true);
                }
                (0..)
                    .zip(bound)
                    .map(move |(index, bound)| (fact, index, bound))
            })
            .collect();
        let count = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
        let mut tx = self.service.store.begin().await?;
        let profile = self.profile.profile.to_string();
        let use_ = Use::Leaf(order.domain, Role::Holder);
        let first = self
            .service
            .store
            .reserve(&mut tx, &profile, use_, count)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;

        let mut wanted = Vec::with_capacity(leaves.len());
        for (wallet_index, (fact, index, bound)) in (first..).zip(&leaves) {
            let attribute = catalogue()
                .get(&fact.attribute)
                .ok_or_else(Problem::internal)?;
            wanted.push(Wanted {
                fact: (*fact).clone(),
                index: *index,
                audience: bound.pair.audience.clone(),
                contract: bound.pair.contract.hash,
                withheld: bound.withheld,
                freshness_days: attribute.freshness_days,
                wallet_index,
                keys: self.wallet.leaf(order.domain, wallet_index)?,
            });
        }
        Ok((
            wanted,
            leaves.into_iter().map(|(_, _, bound)| bound).collect(),
        ))
    }

    async fn keep(
        &self,
        order: &Order<'_>,
        wanted: &[Wanted],
        bound: &[Bound<'_>],
        subject_blinding: &Scalar,
        leaves: Vec<AttestedLeaf>,
    ) -> Result<(), Problem> {
        let profile = self.profile.profile.to_string();
        let mut tx = self.service.store.begin().await?;
        // Consent may have been withdrawn while the committee worked: then what it read is not kept.
        let said = lock_consents(&mut tx, &self.profile.profile).await?;
        let refused = without(&said, self.service.clock.today());
        for leaf in &leaves {
            let want = wanted.get(leaf.wanted).ok_or_else(Problem::internal)?;
            let bound = bound.get(leaf.wanted).ok_or_else(Problem::internal)?;
            let fact = &want.fact.attribute;
            if is_refused(&refused, order.domain, fact) && !want.withheld {
                let fix = format!(
                    "consent to {} was withdrawn meanwhile: it goes on without",
                    order.domain
                );
                return Err(Problem::conflict("consent-withdrawn", fix));
            }
            let hash = leaf.attestation.leaf.hash();
            let opening = seal_opening(
                &want.keys,
                &hash,
                &leaf.purpose_salt,
                subject_blinding,
                &leaf.opening,
            );
            let own = bound.pair == order.pair && !bound.reserve;
            let fetched = Fetched {
                attestation: &leaf.attestation,
                contract: want.contract,
                audience: &want.audience,
                withheld: want.withheld,
                question: order.question.filter(|_| own),
                wallet_index: want.wallet_index,
                opening: &opening,
            };
            facts::put_leaf(&mut tx, &profile, &fetched).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Opens one leaf with its own key.
    ///
    /// # Errors
    /// A sealed text that is not what was written.
    pub(crate) fn open(&self, stored: &StoredLeaf) -> Result<Held, Problem> {
        let corrupt = || {
            tracing::error!("a sealed opening does not open");
            Problem::internal()
        };
        let leaf = &stored.attestation.leaf;
        let keys = self.wallet.leaf(leaf.committee, stored.wallet_index)?;
        let hash = leaf.hash();
        let bytes = keys
            .opening
            .open(&opening_context(&hash), &stored.opening)
            .map_err(|_| corrupt())?;
        let (head, opening) = bytes.split_first_chunk::<HEAD>().ok_or_else(corrupt)?;
        let (salt, blinding) = head.split_at(32);
        let blinding = <[u8; 32]>::try_from(blinding).map_err(|_| corrupt())?;
        let blinding = Option::<Scalar>::from(Scalar::from_canonical_bytes(blinding));
        Ok(Held {
            attestation: stored.attestation.clone(),
            purpose_salt: Bytes32::from_slice(salt).map_err(|_| corrupt())?,
            key: keys.holder.secret(),
            opening: Opening::from_bytes(opening).map_err(|_| corrupt())?,
            subject_blinding: Zeroizing::new(blinding.ok_or_else(corrupt)?),
        })
    }
}
