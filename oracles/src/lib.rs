#![doc = include_str!("../README.md")]

pub mod agreement;
pub mod clock;
pub mod db;
pub mod hpke;
pub mod http;
pub mod ledger;
pub mod problem;
pub mod sources;
pub mod wire;
