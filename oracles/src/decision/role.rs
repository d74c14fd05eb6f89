//! The decision committee as a role of a node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use contracts::attestation::SignedRoot;
use contracts::ids::Committee;
use contracts::jwk::{JwkSet, ed25519_key, thumbprint};
use contracts::presentation::{AudienceKind, MAX_PRESENTATION_BYTES, Presentation};
use contracts::receipt::{Entry, Receipt};
use contracts::token;
use contracts::trust::CommitteeKey;
use contracts::units::UnixTime;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::check::{self, Keys, Refused};
use super::coordinate::{TOKEN, TokenSource};
use super::nonce::Nonces;
use super::store::{Accepted, Store};
use super::verifier::Verifier;
use super::{http, revoke, status};
use crate::ceremony::KeyId;
use crate::keys::{KeyError, Standing};
use crate::ledger::{self, Client, Ledger as _};
use crate::node::{Node, Router, StartError};
use crate::peer::{Refusal, Topic};

/// Asks a member to check a presentation and store its acceptance.
pub(super) const ACCEPT: Topic<Presentation, AcceptAnswer> =
    Topic::new("decision.accept").with_caps(MAX_PRESENTATION_BYTES + 1024, 1024);

/// A member accepted the presentation; it will sign the token that follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptAnswer {
    /// The entry that the member expects in the ledger.
    pub(super) entry: Entry,
}

/// `[roles.decision]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionConfig {
    /// `iss` of the tokens: the URL under which the JWK Set and the status lists are served.
    pub issuer: String,
    /// Canonical ids of the registered agencies, which keep cases and are shown `T`. When not given, any audience that
    /// is not named below may be shown a presentation of either form.
    #[serde(default)]
    pub audiences: Option<Vec<String>>,
    /// Canonical ids of the registered insurers, which are shown none.
    #[serde(default)]
    pub insurers: Vec<String>,
    /// Canonical ids of the registered providers, which are shown none.
    #[serde(default)]
    pub providers: Vec<String>,
    /// Keys of fact committees that this node does not sit on.
    #[serde(default)]
    pub committee_keys: Vec<CommitteeKey>,
}

impl DecisionConfig {
    /// What an audience is registered as; none for one that is not, where any may ask.
    ///
    /// # Errors
    /// [`Refused::Audience`].
    fn kind(&self, audience: &str) -> Result<Option<AudienceKind>, Refused> {
        let named = |ids: &[String]| ids.iter().any(|id| id == audience);
        let kinds = [
            (AudienceKind::Insurer, self.insurers.as_slice()),
            (AudienceKind::Provider, self.providers.as_slice()),
            (
                AudienceKind::Agency,
                self.audiences.as_deref().unwrap_or(&[]),
            ),
        ];
        let found = kinds.into_iter().find(|(_, ids)| named(ids));
        match found {
            Some((kind, _)) => Ok(Some(kind)),
            None if self.audiences.is_none() => Ok(None),
            None => Err(Refused::Audience(check::short(audience))),
        }
    }
}

/// The decision role of a node.
pub struct DecisionRole {
    pub(super) node: Arc<Node>,
    pub(super) config: DecisionConfig,
    pub(super) store: Store,
    pub(super) nonces: Nonces,
    pub(super) ledger: Client,
    /// Lists as last signed, and when.
    pub(super) lists: Mutex<HashMap<u64, (UnixTime, String)>>,
    verifier: Verifier,
}

impl DecisionRole {
    /// The fact committees' keys: those this node held a share of, those that followed by a change of epoch, and those it
    /// was configured with.
    fn keys(&self) -> Keys {
        let keys = self.node.keys();
        let held = keys.known().into_iter().filter_map(|record| {
            let KeyId::Signing(committee) = record.key else {
                return None;
            };
            Some(CommitteeKey {
                committee,
                epoch: record.epoch,
                suite: contracts::trust::Suite::of(committee),
                key: record.group_key().ok()?,
            })
        });
        let changes = keys.changes();
        let followed = changes.iter().filter_map(|it| it.statement.committee_key());
        let told = self.config.committee_keys.clone();
        Keys(held.chain(followed).chain(told).collect())
    }

    /// The committee as it stands now.
    pub(super) fn committee(&self) -> Standing {
        let standing = self.node.standing(Committee::Decision);
        standing.expect("mounted only where the committee is known")
    }

    /// The committee's present key.
    ///
    /// # Errors
    /// Before key generation.
    pub(super) fn key(&self) -> Result<VerifyingKey, KeyError> {
        let key = KeyId::Signing(Committee::Decision);
        let epoch = self.node.epoch(Committee::Decision);
        let group = self.node.keys().get(key, epoch)?.group_key()?;
        <[u8; 32]>::try_from(group.0.as_slice())
            .ok()
            .and_then(|bytes| ed25519_key(&bytes).ok())
            .ok_or(KeyError::Decode { key, epoch })
    }

    /// The committee's keys of every epoch this node holds.
    pub(super) fn jwks(&self) -> JwkSet {
        let keys: Vec<VerifyingKey> = self
            .node
            .keys()
            .known()
            .into_iter()
            .filter(|record| record.key == KeyId::Signing(Committee::Decision))
            .filter_map(|record| {
                let bytes = <[u8; 32]>::try_from(record.group_key().ok()?.0.as_slice()).ok()?;
                ed25519_key(&bytes).ok()
            })
            .collect();
        JwkSet::new(&keys)
    }

    pub(super) fn now(&self) -> UnixTime {
        self.node.clock().now()
    }

    /// Checks a presentation and stores the acceptance; one accepted before keeps its claims and is not checked again.
    ///
    /// # Errors
    /// [`Refused`], naming the check.
    pub(super) async fn accept(&self, presentation: Presentation) -> Result<Accepted, Refused> {
        let (me, now) = (self.node.id(), self.now());
        let jti = presentation.digest();
        if let Some(accepted) = self.store.accepted(&jti).await? {
            return Ok(accepted);
        }
        let committee = self.committee();
        check::check_nonces(
            &presentation,
            me,
            &committee.members,
            committee.threshold,
            now,
        )?;
        if let Some(kind) = self.config.kind(&presentation.audience)? {
            presentation.check_kind(kind)?;
        }
        let nonce = presentation.nonce_of(me).ok_or(Refused::NoNonce)?;
        if !self.nonces.good(nonce, now) {
            return Err(Refused::UnknownNonce(me));
        }
        self.store.precheck(&presentation, me).await?;
        let (presentation, compiled) = self.verifier.verify(presentation, self.keys(), now).await?;
        self.roots(&presentation).await?;
        let accepted = Accepted {
            claims: check::claims_of(&presentation, &self.config.issuer)?,
            salt: presentation.ledger_salt,
        };
        self.store
            .accept(&presentation, &compiled, &accepted, me, now)
            .await?;
        Ok(accepted)
    }

    /// Receipts of the roots that a presentation's leaves stand under: what a fact committee signed out of sight of the
    /// log counts for nothing.
    ///
    /// # Errors
    /// [`Refused::Unrecorded`], or [`Refused::Ledger`] when no member of the ledger committee answers.
    pub(super) async fn roots(&self, presentation: &Presentation) -> Result<Vec<Receipt>, Refused> {
        let roots = presentation.roots();
        let entries: Vec<Entry> = roots.into_iter().map(SignedRoot::entry).collect();
        self.ledger.find(&entries).await?.ok_or(Refused::Unrecorded)
    }

    /// The signing input of the token recorded at an index, for claims this node accepted.
    pub(super) fn signing_input(
        &self,
        accepted: &Accepted,
        origin: &str,
        index: u64,
    ) -> Result<String, KeyError> {
        let kid = thumbprint(&self.key()?);
        let claims = accepted.claims.clone().recorded_at(origin, index);
        Ok(token::signing_input(&claims, &kid))
    }
}

/// The ledger entry of an accepted presentation.
pub(super) fn entry_of(accepted: &Accepted) -> Entry {
    Entry {
        kind: contracts::receipt::EntryKind::Decision,
        commitment: accepted.claims.commitment(&accepted.salt),
    }
}

/// Mounts the decision role on a node that sits on its committee.
///
/// # Errors
/// [`StartError::Role`] for an unusable `[roles.decision]`; database errors.
pub async fn mount(node: &Arc<Node>, router: &mut Router) -> Result<(), StartError> {
    if !node.serves(Committee::Decision) {
        return Ok(());
    }
    let Some(config) = node.config().role::<DecisionConfig>("decision")? else {
        tracing::warn!(
            "configuration section roles.decision is missing: this node decides nothing"
        );
        return Ok(());
    };
    if config.issuer.is_empty() || config.issuer.len() > token::MAX_NAME_BYTES {
        return Err(StartError::Role {
            role: "decision",
            cause: format!(
                "roles.decision.issuer: write a URL of 1 to {} bytes",
                token::MAX_NAME_BYTES
            ),
        });
    }
    let role = Arc::new(DecisionRole {
        store: Store::open(node.db().clone()).await?,
        nonces: Nonces::new(node.peers().identity()),
        ledger: ledger::of(node),
        node: node.clone(),
        config,
        lists: Mutex::default(),
        verifier: Verifier::start(node.runtime()),
    });
    let accepting = role.clone();
    router.answers(ACCEPT, move |_node, from, presentation| {
        let role = accepting.clone();
        async move {
            if !role.committee().members.contains(&from) {
                return Err(Refusal::new(
                    "not-a-member",
                    "only members of the decision committee coordinate decisions",
                ));
            }
            let accepted = role.accept(presentation).await?;
            Ok(AcceptAnswer {
                entry: entry_of(&accepted),
            })
        }
    });
    revoke::mount(&role, router);
    let key = KeyId::Signing(Committee::Decision);
    router.signs(key, TOKEN, TokenSource(role.clone()));
    router.signs(key, status::LIST, status::ListSource(role.clone()));
    let serving = role.clone();
    router.routes(move |config| http::routes(config, &serving));
    Ok(())
}
