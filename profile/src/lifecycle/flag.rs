//! The flag that says whether an owner is covered today: who may pull it, and who is told that it changed.

use contracts::encoding::{Bytes32, tagged_hash, to_base64url};
use contracts::lifecycle::Action;
use contracts::units::Day;
use oracles::problem::Problem;
use zeroize::Zeroizing;

use super::worker::{Done, Job};
use super::{Task, not_watched};
use crate::practice::Practice;
use crate::service::Service;
use crate::store::lifecycle::keep_document;
use crate::store::{StoreError, StoredProfile};

/// The document that names the practice to tell.
const PRACTICE: &str = "practice";

impl Service {
    /// What a provider pulls a profile's coverage flag by. It follows from the operator key and is stored as a hash.
    pub(super) fn flag_of(&self, profile: &Bytes32) -> Zeroizing<String> {
        let secret = self.root.derive("shp/v1/coverage-flag", &profile.0);
        Zeroizing::new(to_base64url(secret.as_ref()))
    }

    /// The name of a profile's coverage flag, for its owner to give to a provider.
    ///
    /// # Errors
    /// 409 when the profile's cover is not looked after.
    pub async fn flag(&self, profile: &StoredProfile) -> Result<String, Problem> {
        let stored = self.store.lifecycle(&profile.profile).await?;
        stored.ok_or_else(not_watched)?;
        Ok(self.flag_of(&profile.profile).to_string())
    }

    /// The id of the flag's `Coverage`: another name than the profile's, which joins this flag's pulls and alerts and nothing else.
    pub(crate) fn flag_id(&self, profile: &Bytes32) -> String {
        let token = self.flag_of(profile);
        to_base64url(tagged_hash("shp/v1/flag-id", &[token.as_bytes()]))
    }

    /// From now on a practice is told when the flag changes; none for nobody.
    ///
    /// # Errors
    /// 400 for a practice that is not configured: an owner names one, and no address. 409 when the profile's cover is not looked
    /// after.
    pub(crate) async fn tell_practice(
        &self,
        profile: &StoredProfile,
        practice: Option<&str>,
    ) -> Result<(), Problem> {
        if let Some(name) = practice
            && self.practice(name).is_none()
        {
            let known: Vec<&str> = self.practices.iter().map(Practice::name).collect();
            let fix = match known.is_empty() {
                true => "none is configured; a provider may pull the flag all the same".to_owned(),
                false => format!("write one of {}", known.join(", ")),
            };
            return Err(Problem::bad_request(format!("practice: {fix}")));
        }
        let stored = self.store.lifecycle(&profile.profile).await?;
        let key = self.lifecycle_key(profile, &stored.ok_or_else(not_watched)?)?;
        let mut tx = self.store.begin().await?;
        keep_document(&mut tx, &key, &profile.profile, PRACTICE, &practice).await?;
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }

    fn practice(&self, name: &str) -> Option<&Practice> {
        self.practices.iter().find(|one| one.name() == name)
    }
}

impl Job<'_> {
    /// Tells the practice that the owner named, on the day from which the flag is another.
    pub(super) async fn alert(&self, on: Day) -> Result<Done, Problem> {
        if on > self.service.clock.today() {
            let action = Action::AlertPcp { on };
            // In a lane of its own: what changes before that day is told before.
            return Ok(Done {
                follow_up: vec![(format!("practice {on}"), Task::Act { action })],
                ..Done::default()
            });
        }
        let named: Option<Option<String>> = self.document(PRACTICE).await?;
        if let Some(name) = named.flatten() {
            match self.service.practice(&name) {
                Some(practice) => {
                    let flag = self.service.flag_id(&self.profile.profile);
                    practice.alert(&flag).await?;
                }
                None => tracing::warn!("an owner's practice is no longer configured"),
            }
        }
        Ok(Done::default())
    }
}
