//! Asking insurers what a need costs.

use contracts::encoding::Bytes32;
use contracts::gap::{Candidate, Enquiry, Exchange, Offer, free_options, rank};
use oracles::hpke::NodeKeyPair;
use oracles::problem::Problem;

use super::insurer::Exchanged;
use super::{Asked, GapNeed, GapOffers, Insurer, Opened};
use crate::oracle::random32;
use crate::service::Service;
use crate::store::gap::{StoredEnquiry, answer_enquiry, insert_enquiry};
use crate::store::{StoreError, StoredProfile};
use crate::wallet::Use;

impl Service {
    /// What can be had for a need: what is free, then offers of every insurer, ranked. The same `key` and need find the
    /// enquiries that were made before; another need takes another key.
    ///
    /// # Errors
    /// 400 for ages or days that are none; 503 is an insurer's alone and ends up in [`GapOffers::silent`].
    pub async fn gap_quote(
        &self,
        profile: &StoredProfile,
        key: &str,
        need: &GapNeed,
    ) -> Result<GapOffers, Problem> {
        let free = free_options(&need.situation)
            .map_err(|_| Problem::bad_request("situation: a day from 1900 to 2199"))?;
        let json = serde_json::to_vec(need).map_err(|_| Problem::internal())?;
        let id = [&profile.profile.0[..], key.as_bytes(), &json].concat();
        let digest = self.root.derive("shp/v1/gap-need", &id);
        let digest = Bytes32::from(*digest).to_string();
        let _lock = self.locks.hold(profile.profile).await;
        let (mut opened, mut silent) = (Vec::new(), Vec::new());
        for insurer in &self.insurers {
            match self.enquire(profile, insurer, &digest, need).await {
                Ok(enquiry) => opened.push(enquiry),
                Err(problem) => {
                    silent.push((insurer.audience().to_owned(), problem.code().to_owned()));
                }
            }
        }
        let mut offers = Vec::new();
        for (at, enquiry) in opened.iter().enumerate() {
            offers.extend(enquiry.offers()?.into_iter().map(|offer| (at, offer)));
        }
        let candidates: Vec<Candidate<'_>> = offers
            .iter()
            .filter_map(|(at, offer)| {
                let file = &opened.get(*at)?.asked.file;
                Some(Candidate {
                    offer,
                    file,
                    plan: file.plan(&offer.plan)?,
                })
            })
            .collect();
        Ok(GapOffers {
            free,
            offers: rank(&need.needs, &candidates),
            silent,
        })
    }

    /// The enquiry about a need at one insurer, answered.
    async fn enquire(
        &self,
        profile: &StoredProfile,
        insurer: &Insurer,
        digest: &str,
        need: &GapNeed,
    ) -> Result<Opened, Problem> {
        let find = || {
            self.store
                .gap_enquiry(&profile.profile, digest, insurer.audience())
        };
        let stored = match find().await? {
            Some(stored) => stored,
            None => {
                self.write_down(profile, insurer, digest, need).await?;
                find().await?.ok_or_else(Problem::internal)?
            }
        };
        let mut opened = self.opened(profile, stored)?;
        if opened.stored.answered.is_some() {
            return Ok(opened);
        }
        let Asked {
            enquiry,
            hpke_key,
            file,
            ..
        } = &opened.asked;
        let answer = insurer
            .exchange(Exchange::Enquiry, hpke_key, &opened.asked.reply(), enquiry)
            .await?;
        let offers: Vec<Offer> = match answer {
            Exchanged::Answer(offers) => offers,
            Exchanged::Refused(code) => {
                return Err(Problem::conflict(&code, "the insurer refused the enquiry"));
            }
        };
        for offer in &offers {
            let plan = file.plan(&offer.plan);
            let by_its_plans = plan.is_some_and(|plan| {
                plan.quote(enquiry) == Ok(offer.premium)
                    && offer.start.plus(i64::from(plan.end.longest)) == Ok(offer.latest_end)
            });
            let ours = offer.enquiry == enquiry.enquiry
                && offer.offer == Offer::id(&enquiry.enquiry, &offer.plan)
                && offer.start == enquiry.start
                && offer.file == file.hash();
            if !ours || !by_its_plans {
                return Err(insurer.refused("an offer does not follow from its published plans"));
            }
        }
        let mut ids: Vec<Bytes32> = offers.iter().map(|offer| offer.offer).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != offers.len() {
            return Err(insurer.refused("it offers a plan twice"));
        }
        let sealed = opened.seal("answered", &offers)?;
        let mut tx = self.store.begin().await?;
        answer_enquiry(&mut tx, &opened.stored.enquiry, &sealed, &ids).await?;
        tx.commit().await.map_err(StoreError::from)?;
        opened.stored.answered = Some(sealed);
        Ok(opened)
    }

    /// Makes an enquiry and stores it before it leaves.
    async fn write_down(
        &self,
        profile: &StoredProfile,
        insurer: &Insurer,
        digest: &str,
        need: &GapNeed,
    ) -> Result<(), Problem> {
        let published = insurer.published().await?;
        let reply = NodeKeyPair::generate();
        let bands = published.file.plans.first().map(|plan| &plan.premiums);
        let bands = bands.ok_or_else(|| Problem::conflict("no-plans", "it sells nothing"))?;
        let members: Option<Vec<u8>> = need.ages.iter().map(|age| bands.age_band(*age)).collect();
        let enquiry = Enquiry {
            enquiry: random32(),
            insurer: insurer.audience().to_owned(),
            jurisdiction: need.jurisdiction,
            start: need.start,
            members: members.ok_or_else(Problem::internal)?,
            income: bands
                .income_band(need.income_percent)
                .ok_or_else(Problem::internal)?,
            asked: self.clock.today(),
            reply_key: *reply.public(),
        };
        let id = enquiry.enquiry;
        let asked = Asked {
            enquiry,
            reply_secret: Bytes32::from(*reply.secret()),
            hpke_key: published.hpke_key,
            file: published.file,
        };
        let mut tx = self.store.begin().await?;
        let wallet_index = self
            .store
            .reserve(&mut tx, &profile.profile.to_string(), Use::Question, 1)
            .await?;
        let key = self.wallet(profile)?.question(wallet_index)?;
        let json =
            zeroize::Zeroizing::new(serde_json::to_vec(&asked).map_err(|_| Problem::internal())?);
        let context: [&[u8]; 3] = [b"gap", b"asked", &id.0];
        let stored = StoredEnquiry {
            enquiry: id,
            insurer: insurer.audience().to_owned(),
            wallet_index,
            asked: key.seal(&context, &json),
            answered: None,
        };
        let now = self.clock.now();
        insert_enquiry(&mut tx, &profile.profile, digest, &stored, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
