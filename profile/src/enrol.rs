//! Profiles: created by a navigator, enrolled with claims that the profile cannot read.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use contracts::encoding::Bytes32;
use contracts::group::{PEDERSEN, Point};
use contracts::ids::{Committee, Domain, NodeId};
use contracts::issuance::EnrolSecrets;
use curve25519_dalek::scalar::Scalar;
use oracles::problem::Problem;
use oracles::wire::HpkeBox;
use rand_core::OsRng;
use zeroize::Zeroizing;

use crate::api::access::NAVIGATOR;
use crate::api::types::{
    CreatedProfile, EnrolProfile, Enrolment, MAX_CONTACT, Profile, Reproofing,
};
use crate::oracle::{Applicant, Enrolled, random32};
use crate::service::{Service, token_hash};
use crate::store::idempotency::remember;
use crate::store::operator::key_id;
use crate::store::profiles::{insert_profile, set_enrolled};
use crate::store::{NewProfile, Remembered, StoredProfile, StoredSubject, facts};
use crate::wallet::{Entropy, SigningKey, Use, Wallet};

/// Scope of a navigator's idempotency keys: one navigator's key finds no other's profile, nor its owner's token.
fn scope(navigator: &str) -> String {
    match navigator {
        NAVIGATOR => "profiles".to_owned(),
        other => format!("profiles {other}"),
    }
}

/// The context a subject blinding is sealed in.
fn subject_context(profile: &Bytes32, domain: Domain) -> [Vec<u8>; 3] {
    [
        b"subject".to_vec(),
        profile.0.to_vec(),
        domain.as_str().as_bytes().to_vec(),
    ]
}

impl Service {
    /// Creates a profile with a fresh wallet; the same navigator's same idempotency key finds it again. Says whether it is new.
    ///
    /// # Errors
    /// The store's.
    pub async fn create_profile(
        &self,
        navigator: &str,
        idempotency_key: &str,
    ) -> Result<(CreatedProfile, bool), Problem> {
        let profile = random32();
        let entropy = Entropy::generate();
        let enrol_id = Wallet::new(&entropy)?.enrolment(0)?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let id = profile.to_string();
        let stored = match remember(&mut tx, &scope(navigator), idempotency_key, b"", &id, now)
            .await?
        {
            Remembered::First => {
                let new = NewProfile {
                    profile,
                    token_hash: token_hash(&self.owner_token(&profile)),
                    seed: &entropy.seal(&self.operator, &id),
                    seed_key: &key_id(&self.operator),
                    enrol_id,
                    created_at: now,
                };
                insert_profile(&mut tx, &new).await?;
                tx.commit().await.map_err(crate::store::StoreError::from)?;
                self.store.profile(&profile).await?
            }
            Remembered::Again(id) => {
                drop(tx);
                let id = Bytes32::parse(&id).map_err(|_| Problem::internal())?;
                let stored = self.store.profile(&id).await?;
                // A navigator answers for a profile until it is enrolled; from then on the token is the owner's alone.
                if stored
                    .as_ref()
                    .is_some_and(|it| it.handles_expire.is_some())
                {
                    return Err(Problem::conflict(
                        "enrolled",
                        "the profile that this Idempotency-Key created is enrolled: its token is not shown again",
                    ));
                }
                stored
            }
            Remembered::Other => return Err(reused_key()),
        };
        let stored = stored.ok_or_else(Problem::internal)?;
        let created = CreatedProfile {
            profile: stored.profile,
            owner_token: self.owner_token(&stored.profile).to_string(),
            enrolment: self.enrolment(&stored)?,
        };
        Ok((created, stored.profile == profile))
    }

    fn enrolment(&self, profile: &StoredProfile) -> Result<Enrolment, Problem> {
        let wallet = self.wallet(profile)?;
        let key = wallet.authorisation(Domain::Identity, profile.registration)?;
        Ok(Enrolment {
            enrol_id: profile.enrol_id,
            authorisation_key: key.x_only(),
            recipients: self.oracles.recipients(),
        })
    }

    /// What the owner may see of a profile.
    ///
    /// # Errors
    /// The store's.
    pub async fn profile_view(&self, profile: &StoredProfile) -> Result<Profile, Problem> {
        let enrolled = self.is_enrolled(profile);
        let counts = self
            .store
            .handle_counts(&profile.profile.to_string())
            .await?;
        let mut domains: Vec<Domain> = counts
            .into_iter()
            .filter(|(domain, count)| {
                let (_, quorum) = self.oracles.committee(Committee::from(*domain));
                *count >= u32::from(quorum)
            })
            .map(|(domain, _)| domain)
            .collect();
        domains.sort_unstable();
        Ok(Profile {
            profile: profile.profile,
            enrolled,
            handles_expire: profile.handles_expire,
            domains,
            enrolment: match enrolled {
                true => None,
                false => Some(self.enrolment(profile)?),
            },
        })
    }

    /// Whether handles are held that will still be taken today.
    pub(crate) fn is_enrolled(&self, profile: &StoredProfile) -> bool {
        profile
            .handles_expire
            .is_some_and(|expire| expire >= self.clock.today())
    }

    /// Enrols a profile, or finds it enrolled. After any failure the same call goes on: the enrolment id stays, all
    /// else is fresh.
    ///
    /// # Errors
    /// 400 for boxes that do not fit the committee, 409 when enrolled with another contact, 503 without a quorum.
    pub async fn enrol(&self, id: &Bytes32, call: &EnrolProfile) -> Result<Profile, Problem> {
        let _lock = self.locks.hold(*id).await;
        let profile = self
            .store
            .profile(id)
            .await?
            .ok_or_else(Problem::internal)?;
        self.check_enrolment(call)?;
        if self.is_enrolled(&profile) {
            if profile.contact != call.contact {
                return Err(Problem::conflict(
                    "enrolled",
                    "the profile is enrolled with another contact handle",
                ));
            }
            return self.profile_view(&profile).await;
        }
        let wallet = self.wallet(&profile)?;
        let text_id = profile.profile.to_string();
        let mut tx = self.store.begin().await?;
        let attempt = self
            .store
            .reserve(&mut tx, &text_id, Use::Response, 1)
            .await?;
        tx.commit().await.map_err(crate::store::StoreError::from)?;

        let keys: Vec<(Domain, SigningKey)> = Domain::ALL
            .into_iter()
            .map(|domain| Ok((domain, wallet.authorisation(domain, profile.registration)?)))
            .collect::<Result<_, Problem>>()?;
        let secrets = EnrolSecrets {
            subject: Domain::ALL
                .map(|domain| (domain, Scalar::random(&mut OsRng)))
                .to_vec(),
            k: *wallet.pseudonym(profile.registration)?,
            person: *wallet.registration(profile.registration)?,
        };
        let applicant = Applicant {
            enrol_id: profile.enrol_id,
            keys: &keys,
            secrets: &secrets,
            response: &wallet.response(attempt)?,
            replaces: call.replaces,
        };
        let enrolled = self.oracles.enrol(&applicant, &call.claims).await?;
        self.keep_enrolment(&profile, &wallet, attempt, &secrets, &enrolled, call)
            .await?;
        tracing::info!("a profile is enrolled");
        let profile = self.store.profile(id).await?;
        self.profile_view(&profile.ok_or_else(Problem::internal)?)
            .await
    }

    async fn keep_enrolment(
        &self,
        profile: &StoredProfile,
        wallet: &Wallet,
        attempt: u32,
        secrets: &EnrolSecrets,
        enrolled: &Enrolled,
        call: &EnrolProfile,
    ) -> Result<(), Problem> {
        let id = profile.profile.to_string();
        let mut tx = self.store.begin().await?;
        facts::replace_handles(&mut tx, &id, &enrolled.handles).await?;
        for (domain, point) in &enrolled.subjects {
            let blinding = secrets
                .subject_blinding(*domain)
                .ok_or_else(Problem::internal)?;
            let context = subject_context(&profile.profile, *domain);
            let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
            let subject = StoredSubject {
                point: *point,
                attempt,
                blinding: wallet
                    .subject(*domain, attempt)?
                    .seal(&context, blinding.as_bytes()),
            };
            facts::put_subject(&mut tx, &id, *domain, &subject).await?;
        }
        set_enrolled(&mut tx, &id, call.contact.as_deref(), enrolled.expires).await?;
        tx.commit().await.map_err(crate::store::StoreError::from)?;
        Ok(())
    }

    /// Whether somebody was proofed anew as this profile's person; objects to it if told to.
    ///
    /// # Errors
    /// 409 for a profile without handles, 503 without a quorum.
    pub async fn reproofing(
        &self,
        profile: &StoredProfile,
        object: bool,
    ) -> Result<Reproofing, Problem> {
        let wallet = self.wallet(profile)?;
        let identity = wallet.authorisation(Domain::Identity, profile.registration)?;
        let id = profile.profile.to_string();
        let handles = self.store.handles(&id, Domain::Identity).await?;
        if handles.is_empty() {
            return Err(not_enrolled());
        }
        Ok(self.oracles.notice(&identity, &handles, object).await?)
    }

    /// The handles of a domain; those that newcomers lack are resealed and kept.
    pub(crate) async fn handles(
        &self,
        profile: &StoredProfile,
        domain: Domain,
        authorisation: &SigningKey,
    ) -> Result<Vec<(NodeId, HpkeBox)>, Problem> {
        let id = profile.profile.to_string();
        let mut handles = self.store.handles(&id, domain).await?;
        let made = self.oracles.reseal(domain, authorisation, &handles).await;
        if !made.is_empty() {
            let mut tx = self.store.begin().await?;
            facts::add_handles(&mut tx, &id, &made).await?;
            tx.commit().await.map_err(crate::store::StoreError::from)?;
            handles.extend(made.into_iter().map(|it| (it.node, it.sealed)));
            handles.sort_unstable_by_key(|(node, _)| *node);
        }
        Ok(handles)
    }

    fn check_enrolment(&self, call: &EnrolProfile) -> Result<(), Problem> {
        if let Some(contact) = &call.contact {
            check_contact(contact)?;
        }
        let recipients = self.oracles.recipients();
        let nodes: BTreeSet<_> = call.claims.iter().map(|boxed| boxed.node).collect();
        let (_, quorum) = self.oracles.committee(Committee::Identity);
        if nodes.len() != call.claims.len() || nodes.len() < usize::from(quorum) {
            return Err(Problem::bad_request(
                "claims: one box for each member of the identity committee",
            ));
        }
        for boxed in &call.claims {
            let fits = recipients.iter().any(|recipient| {
                (recipient.node, recipient.key_epoch) == (boxed.node, boxed.sealed.key_epoch)
            });
            if !fits {
                return Err(Problem::bad_request(format!(
                    "claims: node {} is no member of the identity committee, or has another key epoch: \
                     seal to the recipients that the profile names",
                    boxed.node
                )));
            }
        }
        Ok(())
    }

    /// A domain's subject point and its blinding `r_d`.
    pub(crate) async fn subject(
        &self,
        profile: &StoredProfile,
        wallet: &Wallet,
        domain: Domain,
    ) -> Result<(Point, Zeroizing<Scalar>), Problem> {
        let stored = self
            .store
            .subject(&profile.profile.to_string(), domain)
            .await?
            .ok_or_else(not_enrolled)?;
        let context = subject_context(&profile.profile, domain);
        let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
        let bytes = wallet
            .subject(domain, stored.attempt)?
            .open(&context, &stored.blinding)
            .map_err(|_| Problem::internal())?;
        let scalar = <[u8; 32]>::try_from(bytes.as_slice())
            .ok()
            .and_then(|bytes| Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes)))
            .ok_or_else(Problem::internal)?;
        Ok((stored.point, Zeroizing::new(scalar)))
    }

    /// The registered `C_k = k·B + r·H`.
    pub(crate) fn person(
        &self,
        profile: &StoredProfile,
        wallet: &Wallet,
    ) -> Result<Point, Problem> {
        let k = wallet.pseudonym(profile.registration)?;
        let r = wallet.registration(profile.registration)?;
        Point::new(PEDERSEN.commit(*k, *r)).map_err(|_| Problem::internal())
    }
}

/// 400: not a handle as the notifier gives them.
pub(crate) fn check_contact(contact: &str) -> Result<(), Problem> {
    let fits = (1..=MAX_CONTACT).contains(&contact.len());
    match fits && contact.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Problem::bad_request(
            "contact: 1 to 200 visible ASCII characters, as the notifier gave it",
        )),
    }
}

/// 409: the profile must be enrolled first.
pub(crate) fn not_enrolled() -> Problem {
    Problem::conflict(
        "not-enrolled",
        "enrol the profile first: it holds no handles that will be taken today",
    )
}

/// 422: an idempotency key came with another body.
pub(crate) fn reused_key() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The Idempotency-Key was used for another request",
        "send a fresh Idempotency-Key with a new request",
    )
}
