//! Openings that the owner chooses to give away: values of one question's leaves, for a hearing say.

use contracts::encoding::Bytes32;
use contracts::ids::AttributeId;
use contracts::issuance::Opening;
use contracts::leaf::Leaf;
use contracts::openings::{LeafOpening, Openings};
use oracles::problem::Problem;

use super::attest::{HEAD, opening_context};
use super::{Proved, kind};
use crate::service::Service;
use crate::store::StoredProfile;
use crate::wallet::Wallet;

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
        let (question, key) = self.keyed(profile, id).await?;
        let _: crate::oracle::Decision = self.decided(&question, &key, kind::DECISION).await?;
        let proved: Proved = self.decided(&question, &key, kind::PROVED).await?;
        let shown = &proved.presentation;
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
        let mut openings = Vec::new();
        for leaf in leaves().filter(|leaf| attributes.contains(&leaf.attribute)) {
            let sealed = self.store.sealed_opening(&profile.profile, leaf).await?;
            let (index, sealed) = sealed.ok_or_else(corrupt)?;
            let opening = unseal(&wallet, leaf, index, &sealed)?;
            openings.push(LeafOpening::new(leaf, &opening));
        }
        Ok(Openings::new(shown, openings).to_bytes())
    }
}

fn unseal(wallet: &Wallet, leaf: &Leaf, index: u32, sealed: &str) -> Result<Opening, Problem> {
    let keys = wallet.leaf(leaf.committee, index)?;
    let hash = leaf.hash();
    let bytes = keys
        .opening
        .open(&opening_context(&hash), sealed)
        .map_err(|_| corrupt())?;
    let (_, opening) = bytes.split_first_chunk::<HEAD>().ok_or_else(corrupt)?;
    Opening::from_bytes(opening).map_err(|_| corrupt())
}

fn corrupt() -> Problem {
    tracing::error!("a sealed opening does not open");
    Problem::internal()
}
