//! A hosted profile made of a seed that was in use elsewhere.

use oracles::clock::Clock;
use serde_json::{Value, json};

use crate::oracle::random32;
use crate::seal::SealKey;
use crate::service::{owner_token, token_hash};
use crate::store::marks::put_marks;
use crate::store::operator::key_id;
use crate::store::profiles::{has_enrolment, insert_profile};
use crate::store::{NewProfile, Store, StoreError};
use crate::wallet::{Entropy, Marks, Wallet};

/// Stores a profile whose first fresh index of every use is its mark, and answers its id and its owner's token. It is not
/// enrolled: the claims are sent again, and the committee finds the enrolment by the id that follows from the seed.
///
/// # Errors
/// A line to act on: a wrong operator key, a seed that this database has, or the database's.
pub(crate) async fn restore(
    store: &Store,
    operator: &SealKey,
    entropy: &Entropy,
    marks: &Marks,
) -> Result<Value, String> {
    let wallet = Wallet::new(entropy).map_err(|error| error.to_string())?;
    let enrol_id = wallet.enrolment(0).map_err(|error| error.to_string())?;
    let root = store.operator_root(operator).await;
    let root = root.map_err(|error| format!("--operator-key: {error}"))?;
    let profile = random32();
    let id = profile.to_string();
    let token = owner_token(&root, &profile);
    let stored = async {
        let mut tx = store.begin().await?;
        if has_enrolment(&mut tx, &enrol_id).await? {
            return Ok(false);
        }
        let new = NewProfile {
            profile,
            token_hash: token_hash(&token),
            seed: &entropy.seal(operator, &id),
            seed_key: &key_id(operator),
            enrol_id,
            created_at: Clock::default().now(),
        };
        insert_profile(&mut tx, &new).await?;
        put_marks(&mut tx, &id, marks).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(true)
    };
    match stored.await {
        Ok(true) => Ok(json!({"profile": profile, "owner_token": *token})),
        Ok(false) => Err(
            "this seed is a profile of this database already; two would use the same keys"
                .to_owned(),
        ),
        Err(error) => Err(error.to_string()),
    }
}
