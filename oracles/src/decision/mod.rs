//! The decision committee: checks presentations, records decisions in the ledger, signs tokens.
//!
//! Each node checks a presentation by itself (`check`, `verifier`) and stores its acceptance (`store`). A token's claims follow
//! from the presentation alone: `iat` from the nonces in it, `exp` from `iat`, `jti` from its digest. The node that is
//! asked coordinates (`coordinate`): it has the others check, appends the `decision` entry that commits to the
//! claims, and then has the committee sign. A signer takes nothing from the coordinator but the `jti` and a ledger
//! receipt, which it verifies against the claims it derived itself; so the coordinator can refuse, never bend.

mod check;
mod coordinate;
mod http;
mod nonce;
mod revoke;
mod role;
mod status;
mod store;
mod verifier;

pub use check::{Keys, Refused, claims_of};
pub use role::{DecisionConfig, DecisionRole, mount};
