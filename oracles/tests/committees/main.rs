//! The ledger and decision committees as four real nodes over loopback.

mod cluster;
mod decision;
mod ledger;
mod owner;
