#![doc = include_str!("../README.md")]

pub mod application;
pub mod catalogue;
pub mod checkpoint;
pub mod encoding;
pub mod group;
pub mod ids;
pub mod jwk;
pub mod jws;
pub mod merkle;
pub mod receipt;
pub mod rules;
pub mod statement;
pub mod status;
pub mod token;
pub mod trust;
pub mod units;
