//! Openings that the owner chooses to give away: values of one question's leaves, for a hearing say.

use contracts::encoding::Bytes32;
use contracts::ids::AttributeId;
use contracts::openings::{LeafOpening, Openings};
use contracts::presentation::{Held, Presentation};
use oracles::problem::Problem;

use super::{Proved, kind};
use crate::service::Service;
use crate::stock::Buyer;
use crate::store::StoredProfile;

impl Service {
    /// The openings file of chosen attributes of a decided question: RFC 8785 JSON, for `rules audit --openings`.
    ///
    /// Only the leaves of these attributes are unsealed, each under the key of its own.
    ///
    /// # Errors
    /// 404 for another profile's question, 409 before it is decided, 400 for an attribute that it did not show, or none.
    pub async fn openings(
        &self,
        profile: &StoredProfile,
        id: &Bytes32,
        attributes: &[AttributeId],
    ) -> Result<Vec<u8>, Problem> {
        let (shown, held) = self.shown(profile, id, attributes).await?;
        let openings = held
            .iter()
            .map(|held| LeafOpening::new(&held.attestation.leaf, &held.opening))
            .collect();
        Ok(Openings::new(&shown, openings).to_bytes())
    }

    /// What a decided question showed, and its leaves of chosen attributes, opened: for the owner's side alone.
    ///
    /// # Errors
    /// As of [`Service::openings`].
    pub(crate) async fn shown(
        &self,
        profile: &StoredProfile,
        id: &Bytes32,
        attributes: &[AttributeId],
    ) -> Result<(Presentation, Vec<Held>), Problem> {
        let (question, key) = self.keyed(profile, id).await?;
        let _: crate::oracle::Decision = self.decided(&question, &key, kind::DECISION).await?;
        let proved: Proved = self.decided(&question, &key, kind::PROVED).await?;
        let shown = proved.presentation;
        if attributes.is_empty() {
            return Err(Problem::bad_request("attributes: choose at least one"));
        }
        let leaves = || {
            shown
                .attestations
                .iter()
                .map(|presented| &presented.attestation.leaf)
        };
        for attribute in attributes {
            if !leaves().any(|leaf| leaf.attribute == *attribute) {
                return Err(Problem::bad_request(format!(
                    "attributes: {attribute} is not among the facts of this question"
                )));
            }
        }
        let wallet = self.wallet(profile)?;
        let owner = Buyer {
            service: self,
            profile,
            wallet: &wallet,
        };
        let mut held = Vec::new();
        for leaf in leaves().filter(|leaf| attributes.contains(&leaf.attribute)) {
            let stored = self.store.leaf(&profile.profile, &leaf.hash()).await?;
            held.push(owner.open(&stored.ok_or_else(Problem::internal)?)?);
        }
        Ok((shown, held))
    }
}
