//! Cover for a gap: enquiries to insurers, a purchase, and its end; each written down before it leaves, so that whatever is
//! repeated after a crash is the same enquiry, the same purchase, the same ending.
//!
//! What an insurer learns is in `contracts::gap`. Providers and conditions are held against its published plan file here.

mod buy;
mod insurer;
mod market;
mod quote;

use contracts::encoding::Bytes32;
use contracts::gap::{EndRules, Enquiry, FreeOption, Needs, Offer, PlanFile, Ranked, Situation};
use contracts::ids::Jurisdiction;
use contracts::units::Day;
use oracles::hpke::NodeKeyPair;
use oracles::problem::Problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use buy::Term;
pub use insurer::Insurer;
pub use market::CONTRACT;

use crate::seal::SealKey;
use crate::service::Service;
use crate::store::StoredProfile;
use crate::store::gap::StoredEnquiry;

/// What a household needs until its next cover begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapNeed {
    /// What bears on free cover.
    pub situation: Situation,
    /// Where the household lives.
    pub jurisdiction: Jurisdiction,
    /// First day to be covered.
    pub start: Day,
    /// Ages of the members to be covered.
    pub ages: Vec<u8>,
    /// Income in percent of the poverty guideline.
    pub income_percent: u16,
    /// What the plans are held against; it leaves for nowhere.
    pub needs: Needs,
}

/// What can be had for a need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapOffers {
    /// What costs nothing; to be named first.
    pub free: Vec<FreeOption>,
    /// Offers, best first, each with what it could not meet.
    pub offers: Vec<Ranked>,
    /// Insurers that gave no offer, and the code why.
    pub silent: Vec<(String, String)>,
}

/// What an enquiry is, and the one-time key that answers to it are sealed to.
#[derive(Serialize, Deserialize)]
struct Asked {
    enquiry: Enquiry,
    reply_secret: Bytes32,
    /// The insurer's key, as it was published then.
    hpke_key: Bytes32,
    file: PlanFile,
}

impl Asked {
    fn reply(&self) -> NodeKeyPair {
        NodeKeyPair::from_secret(Zeroizing::new(self.reply_secret.0))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.reply_secret.0);
    }
}

/// An enquiry of a profile, opened.
struct Opened {
    stored: StoredEnquiry,
    key: SealKey,
    asked: Asked,
}

impl Opened {
    fn context<'a>(&'a self, kind: &'a str) -> [&'a [u8]; 3] {
        [b"gap", kind.as_bytes(), &self.stored.enquiry.0]
    }

    fn seal<T: Serialize>(&self, kind: &str, value: &T) -> Result<String, Problem> {
        let json = serde_json::to_vec(value).map_err(|_| Problem::internal())?;
        Ok(self.key.seal(&self.context(kind), &json))
    }

    fn open<T: DeserializeOwned>(&self, kind: &str, sealed: &str) -> Result<T, Problem> {
        unseal(&self.key, &self.context(kind), sealed)
    }

    fn offers(&self) -> Result<Vec<Offer>, Problem> {
        match &self.stored.answered {
            Some(answered) => self.open("answered", answered),
            None => Ok(Vec::new()),
        }
    }

    /// The end rules of an offer's plan, as published when it was asked for.
    fn rules(&self, offer: &Offer) -> Result<EndRules, Problem> {
        let plan = self.asked.file.plan(&offer.plan);
        plan.map(|plan| plan.end).ok_or_else(Problem::internal)
    }
}

fn unseal<T: DeserializeOwned>(
    key: &SealKey,
    context: &[&[u8]],
    sealed: &str,
) -> Result<T, Problem> {
    let plain = key.open(context, sealed).map_err(|error| {
        tracing::error!(%error, "a gap record does not open");
        Problem::internal()
    })?;
    serde_json::from_slice(&plain).map_err(|_| Problem::internal())
}

impl Service {
    fn opened(&self, profile: &StoredProfile, stored: StoredEnquiry) -> Result<Opened, Problem> {
        let key = self.wallet(profile)?.question(stored.wallet_index)?;
        let context: [&[u8]; 3] = [b"gap", b"asked", &stored.enquiry.0];
        let asked = unseal(&key, &context, &stored.asked)?;
        Ok(Opened { stored, key, asked })
    }

    async fn opened_by_offer(
        &self,
        profile: &StoredProfile,
        offer: &Bytes32,
    ) -> Result<(Opened, Offer), Problem> {
        let unknown = || Problem::not_found("no such offer of this profile");
        let stored = self
            .store
            .gap_enquiry_of_offer(&profile.profile, offer)
            .await?
            .ok_or_else(unknown)?;
        let opened = self.opened(profile, stored)?;
        let found = opened.offers()?.into_iter().find(|one| one.offer == *offer);
        found.map(|offer| (opened, offer)).ok_or_else(unknown)
    }

    fn insurer(&self, audience: &str) -> Result<&Insurer, Problem> {
        self.insurers
            .iter()
            .find(|insurer| insurer.audience() == audience)
            .ok_or_else(|| Problem::conflict("insurer", "the insurer is no longer configured"))
    }
}
