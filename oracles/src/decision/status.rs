//! Status lists: each member signs the bits it has evidence for, at the time of signing.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use contracts::encoding::Bytes;
use contracts::ids::Committee;
use contracts::jwk::thumbprint;
use contracts::status::{self, LIST_SIZE, StatusListClaims};
use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};

use super::role::DecisionRole;
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, MessageSource, SignCall, SignTopic};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::peer::Refusal;
use crate::problem::Problem;
use crate::wire::decision::MAX_SKEW;

/// Seconds that readers and members keep a list before it is signed anew: what a revocation takes at most to be seen.
pub(super) const TTL: u32 = 300;
/// Seconds that a list may be relied on while no newer one can be had.
pub(super) const LIFETIME: u32 = 86_400;
/// Times that members are brought to the same list before one is signed: another revocation may come in between.
const ATTEMPTS: usize = 3;
/// Lists, by number and instant.
pub(super) const LIST: SignTopic<ListContext> = SignTopic::new("decision.status-list");

/// Which list, as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListContext {
    pub(super) list: u64,
    pub(super) at: UnixTime,
}

/// Rebuilds lists.
pub(super) struct ListSource(pub(super) Arc<DecisionRole>);

impl ListSource {
    /// The list as this member has it now, dated by the coordinator within the skew of clocks: an old list under a new
    /// date would hide a revocation.
    pub(super) async fn rebuild(&self, context: ListContext) -> Result<String, Refusal> {
        let role = &self.0;
        if (context.at.0 - role.now().0).abs() > MAX_SKEW {
            return Err(Refusal::new("time", "the list is not of now"));
        }
        if context.list > contracts::token::MAX_INDEX / LIST_SIZE {
            return Err(Refusal::new("list", "no such list"));
        }
        let claims = StatusListClaims::new(
            &role.store.revoked(context.list).await?,
            &status::uri(&role.config.issuer, context.list),
            context.at,
            TTL,
            LIFETIME,
        );
        Ok(status::signing_input(&claims, &thumbprint(&role.key()?)))
    }
}

#[async_trait]
impl MessageSource<ListContext> for ListSource {
    async fn messages(
        &self,
        _node: &Arc<Node>,
        _call: SignCall,
        context: ListContext,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        Ok(vec![self.rebuild(context).await?.into_bytes()])
    }
}

impl DecisionRole {
    /// The Status List Token of a list, and the seconds that a reader may keep it.
    ///
    /// # Errors
    /// 404 for a list that no token is in; 503 when too few members sign.
    pub(super) async fn status_list(&self, list: u64) -> Result<(String, i64), Problem> {
        let now = self.now();
        let left = |at: UnixTime| at.0 + i64::from(TTL) - now.0;
        let cached = self
            .lists
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&list)
            .filter(|(at, _)| (1..=i64::from(TTL)).contains(&left(*at)))
            .cloned();
        if let Some((at, jws)) = cached {
            return Ok((jws, left(at)));
        }
        // List 0 exists before its first token; a later one once the log has reached it.
        if list > 0 {
            let trust = self.ledger.trust()?;
            let size = self
                .ledger
                .checkpoint()
                .await
                .and_then(|note| {
                    let open = contracts::checkpoint::Checkpoint::open;
                    open(&note, trust.origin(), trust.ledger_key()).ok()
                })
                .map_or(0, |checkpoint| checkpoint.size);
            if list > size / LIST_SIZE {
                return Err(Problem::not_found(format!("no token is in list {list}")));
            }
        }
        let key = KeyId::Signing(Committee::Decision);
        let context = ListContext { list, at: now };
        let mut attempt = 0;
        let signed = loop {
            if let Err(refusal) = self.agree_on(list).await {
                tracing::error!(%refusal, "this node's list could not be brought up to date");
            }
            attempt += 1;
            match sign::sign(&self.node, key, LIST, &context).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::warn!(%error, "the members have different lists");
                }
                result => break result?,
            }
        };
        let input = signed
            .messages
            .into_iter()
            .next()
            .and_then(|message| String::from_utf8(message).ok());
        let signature = signed
            .signatures
            .first()
            .and_then(|signature| Bytes::from_slice(signature).ok());
        let (Some(input), Some(signature)) = (input, signature) else {
            return Err(Problem::internal());
        };
        let jws = status::assemble(&input, &signature);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.retain(|_, (at, _)| left(*at) > 0);
        lists.insert(list, (now, jws.clone()));
        Ok((jws, i64::from(TTL)))
    }
}
