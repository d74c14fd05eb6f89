//! The device of the navigator who helps somebody enrol: the only place, beside the person, where phone number and SSN
//! are typed in. The number goes to the notifier, the claims sealed to the identity oracles; the profile gets neither.

use oracles::wire::enrol::{Claims, ClaimsBox, Ssn, VERSION};
use profile::api::types::{CreatedProfile, EnrolProfile, Enrolment, Profile};
use serde::Deserialize;
use serde_json::json;

use super::folder::Enrolled;
use super::network::{Network, fresh_key};
use crate::external::Person;
use contracts::ids::Domain;

/// Navigators' tokens at the notifier and the profile service.
pub struct Navigator {
    /// At the notifier, to register a phone.
    pub contacts_token: String,
    /// At the profile service, to create a profile.
    pub profiles_token: String,
}

#[derive(Deserialize)]
struct Contact {
    contact: String,
}

impl Navigator {
    /// Registers the phone and creates a profile.
    ///
    /// # Errors
    /// One line.
    pub async fn begin(
        &self,
        network: &Network<'_>,
        person: &Person,
    ) -> Result<(Enrolled, Enrolment), String> {
        let contact: Contact = network
            .post(
                "notifier",
                "/v1/contacts",
                Some(&self.contacts_token),
                None,
                &json!({"phone": person.phone, "language": person.language}),
            )
            .await?;
        let created: CreatedProfile = network
            .post(
                "profile",
                "/v1/profiles",
                Some(&self.profiles_token),
                Some(&fresh_key()),
                &json!({}),
            )
            .await?;
        let enrolled = Enrolled {
            id: person.id.clone(),
            profile: created.profile,
            owner_token: created.owner_token,
            contact: contact.contact,
            enrolled: false,
            question: None,
        };
        Ok((enrolled, created.enrolment))
    }

    /// Seals the person's claims to every identity oracle and completes the enrolment.
    ///
    /// # Errors
    /// One line.
    pub async fn complete(
        &self,
        network: &Network<'_>,
        person: &Person,
        enrolled: &Enrolled,
        enrolment: &Enrolment,
    ) -> Result<Profile, String> {
        let claims = Claims {
            version: VERSION,
            ssn: Ssn::parse(&person.ssn).map_err(|error| error.to_string())?,
            given_name: person.given_name.clone(),
            family_name: person.family_name.clone(),
            birth_date: person
                .birth_date
                .parse()
                .map_err(|error: contracts::units::BadDate| error.to_string())?,
            consents: Domain::ALL.to_vec(),
            authorisation_key: enrolment.authorisation_key,
            enrol_id: enrolment.enrol_id,
        };
        let claims: Vec<ClaimsBox> =
            oracles::wire::enrol::seal_claims(&claims, &enrolment.recipients)
                .map_err(|error| error.to_string())?;
        let body = EnrolProfile {
            claims,
            contact: Some(enrolled.contact.clone()),
            replaces: false,
        };
        network
            .post(
                "profile",
                &format!("/v1/profiles/{}/enrol", enrolled.profile),
                Some(&enrolled.owner_token),
                Some(&fresh_key()),
                &body,
            )
            .await
    }
}
