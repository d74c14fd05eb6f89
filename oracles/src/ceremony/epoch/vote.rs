//! What the old epoch signs of the new one.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ids::{Committee, quorum};

use super::member::holds_pending;
use super::messages::{Ballot, STATEMENT};
use crate::ceremony::KeyId;
use crate::ceremony::sign::{MessageSource, SignCall};
use crate::faults;
use crate::keys::keys_of;
use crate::node::{Node, Router};
use crate::peer::Refusal;

pub(super) fn mount(router: &mut Router) {
    for committee in Committee::ALL {
        router.signs(KeyId::Signing(committee), STATEMENT, Votes);
    }
}

struct Votes;

#[async_trait]
impl MessageSource<Ballot> for Votes {
    async fn messages(
        &self,
        node: &Arc<Node>,
        call: SignCall,
        ballot: Ballot,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let statement = &ballot.statement;
        let refused = |why: &str| Err(Refusal::new("other-plan", why.to_owned()));
        if call.key != KeyId::Signing(statement.committee) || call.epoch != statement.previous {
            return refused("the statement is of another committee or epoch");
        }
        if let Err(error) = statement.check() {
            return refused(&error.to_string());
        }
        let record = node.keys().get(call.key, call.epoch)?;
        if record.members != statement.former {
            return refused("the statement names other members before the change");
        }
        let configured = node.config().committee(statement.committee).map(|it| {
            let mut members = it.members.clone();
            members.sort_unstable();
            members
        });
        let agreed =
            statement.members == record.members || Some(&statement.members) == configured.as_ref();
        if !agreed || u16::try_from(statement.members.len()).map(quorum) != Ok(statement.threshold)
        {
            return refused("the new members are not those of this node's configuration");
        }
        let same_keys = statement.keys.len() == keys_of(statement.committee).count()
            && keys_of(statement.committee).all(|key| {
                let named = statement.keys.iter().find(|it| it.key == key.as_str());
                let held = node.keys().get(key, call.epoch).ok();
                let held = held.and_then(|record| record.group_key().ok());
                named.is_some_and(|named| Some(&named.group) == held.as_ref())
            });
        if !same_keys {
            return refused("the group keys would change");
        }
        if !ballot.is_confirmed(node.peers()) {
            return Err(Refusal::new(
                "unconfirmed",
                "not every new member confirmed the statement",
            ));
        }
        if statement.members.contains(&node.id()) && !holds_pending(node, statement) {
            return Err(Refusal::new(
                "unprepared",
                "this node holds no shares of that epoch",
            ));
        }
        let digest = statement.message();
        let body = serde_json::to_string(&ballot).map_err(|error| Refusal::internal(&error))?;
        node.keys()
            .vote(
                statement.committee,
                statement.previous,
                digest.into(),
                &body,
            )
            .await?;
        faults::step("epoch.voted");
        Ok(vec![digest.to_vec()])
    }
}
