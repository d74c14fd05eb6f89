//! The stock of attested leaves: bought several at a time, each for one contract and audience, drawn once, refilled in the
//! background.
//!
//! A leaf names its purpose, a salted hash of contract and audience, when it is asked for. So what is bought ahead is
//! bound to pairs of contract and audience that the owner is expected to use: those asked before, latest first, then the
//! contract at hand for other audiences of the same kind. No leaf fits two audiences, and no salt leaves but with its leaf.
//!
//! A leaf in stock belongs to no question. A question draws it (`store::stock::draw`) before it proves, so two questions
//! never reach for one leaf; it is used up in the transaction that stores the presentation.

mod buy;
mod plan;
mod refill;

pub(crate) use buy::{Buyer, Order};
pub(crate) use plan::Expected;
pub(crate) use refill::run;
