//! Status lists: nothing is revoked yet, so each list is all zero, signed anew each day.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use contracts::encoding::Bytes;
use contracts::ids::Committee;
use contracts::jwk::thumbprint;
use contracts::status::{self, LIST_SIZE, StatusList, StatusListClaims};
use contracts::units::Day;
use serde::{Deserialize, Serialize};

use super::role::DecisionRole;
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, MessageSource, SignCall, SignTopic};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::peer::Refusal;
use crate::problem::Problem;

/// Seconds that a list is good for, from midnight UTC of its day: that day and the next.
pub(super) const LIFETIME: u32 = 2 * 86_400;
/// Lists, by number and day.
pub(super) const LIST: SignTopic<ListContext> = SignTopic::new("decision.status-list");

/// Which list of which day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListContext {
    pub(super) list: u64,
    pub(super) day: Day,
}

/// Rebuilds lists.
pub(super) struct ListSource(pub(super) Arc<DecisionRole>);

impl ListSource {
    pub(super) fn rebuild(&self, context: ListContext) -> Result<String, Refusal> {
        let role = &self.0;
        let today = role.node.clock().today();
        // Clocks differ around midnight.
        if (context.day.number() - today.number()).abs() > 1 {
            return Err(Refusal::new("day", "the list is not of today"));
        }
        if context.list > contracts::token::MAX_INDEX / LIST_SIZE {
            return Err(Refusal::new("list", "no such list"));
        }
        let claims = StatusListClaims::new(
            &StatusList::all_valid(),
            &status::uri(&role.config.issuer, context.list),
            context.day.start(),
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
        Ok(vec![self.rebuild(context)?.into_bytes()])
    }
}

impl DecisionRole {
    /// The Status List Token of a list, as of today.
    ///
    /// # Errors
    /// 404 for a list that no token is in; 503 when too few members sign.
    pub(super) async fn status_list(&self, list: u64) -> Result<String, Problem> {
        let day = self.node.clock().today();
        let cached = self
            .lists
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&list)
            .filter(|(of, _)| *of == day)
            .map(|(_, jws)| jws.clone());
        if let Some(jws) = cached {
            return Ok(jws);
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
        let signed = sign::sign(&self.node, key, LIST, &ListContext { list, day }).await?;
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
        lists.retain(|_, (of, _)| *of == day);
        lists.insert(list, (day, jws.clone()));
        Ok(jws)
    }
}
