//! The people of the story: enrolment, and the event that starts it.

use std::time::Instant;

use profile::api::types::Profile;
use serde_json::json;

use super::DemoError;
use super::fault::Step;
use super::navigator::Navigator;
use super::story::{PEOPLE, Story, person};
use crate::external;

impl Story<'_> {
    pub(crate) async fn enrol(&mut self) -> Result<(), DemoError> {
        self.enter(Step::Enrol).await;
        let phone = self
            .phone
            .as_ref()
            .ok_or_else(|| DemoError::Other("the notifier has not started".to_owned()))?;
        let navigator = Navigator {
            contacts_token: phone.contacts_token().to_owned(),
            profiles_token: self.folder.secret("profile-navigator")?.0,
        };
        for id in PEOPLE {
            let since = Instant::now();
            let person = person(&self.people, id)?.clone();
            let known = self.memory.people.iter().position(|known| known.id == id);
            let (at, enrolment) = match known {
                Some(at)
                    if self
                        .memory
                        .people
                        .get(at)
                        .is_some_and(|known| known.enrolled) =>
                {
                    continue;
                }
                Some(at) => {
                    let enrolled = &self.memory.people[at];
                    let profile: Profile = self
                        .network
                        .get(
                            "profile",
                            &format!("/v1/profiles/{}", enrolled.profile),
                            Some(&enrolled.owner_token),
                        )
                        .await
                        .map_err(DemoError::step(Step::Enrol))?;
                    (at, profile.enrolment)
                }
                None => {
                    let (enrolled, enrolment) = navigator
                        .begin(&self.network, &person)
                        .await
                        .map_err(DemoError::step(Step::Enrol))?;
                    self.memory.people.push(enrolled);
                    self.folder.remember(&self.memory)?;
                    (self.memory.people.len() - 1, Some(enrolment))
                }
            };
            if let Some(phone) = &self.phone {
                let verified = phone.verify(&self.network, &person.phone).await;
                verified.map_err(DemoError::step(Step::Enrol))?;
            }
            if let Some(enrolment) = enrolment {
                navigator
                    .complete(&self.network, &person, &self.memory.people[at], &enrolment)
                    .await
                    .map_err(DemoError::step(Step::Enrol))?;
            }
            self.memory.people[at].enrolled = true;
            self.folder.remember(&self.memory)?;
            self.say(&format!(
                "{id} is enrolled: proofed by the identity oracles, handles sealed, phone verified by text and known to the notifier alone"
            ));
            self.timed(format!("enrol {id}"), since);
        }
        Ok(())
    }

    /// The owner of the story finds work again.
    pub(crate) async fn find_job(&mut self) -> Result<(), DemoError> {
        let (key, _) = self.folder.secret("payroll-operator")?;
        let registry = self.folder.path("sources/registry.db");
        let ssn = &person(&self.people, PEOPLE[0])?.ssn;
        let case_number = external::registry::case_number(&registry, ssn).await?;
        let event = json!({"event": "job-found", "case_number": case_number});
        let _: serde_json::Value = self
            .network
            .post("payroll", "/admin/events", Some(&key), None, &event)
            .await
            .map_err(DemoError::step(Step::Event))?;
        self.say("ana finds work; the next income report of her payroll shows it");
        Ok(())
    }

    pub(crate) async fn lose_job(&mut self) -> Result<(), DemoError> {
        self.enter(Step::Event).await;
        if self.memory.job_lost {
            return Ok(());
        }
        let (key, _) = self.folder.secret("payroll-operator")?;
        let case_number = external::registry::case_number(
            &self.folder.path("sources/registry.db"),
            &person(&self.people, "ana")?.ssn,
        )
        .await?;
        let _: serde_json::Value = self
            .network
            .post(
                "payroll",
                "/admin/events",
                Some(&key),
                None,
                &json!({"event": "job-lost", "case_number": case_number}),
            )
            .await
            .map_err(DemoError::step(Step::Event))?;
        self.memory.job_lost = true;
        self.folder.remember(&self.memory)?;
        self.say("ana loses her job; the next income report of her payroll shows it");
        Ok(())
    }
}
