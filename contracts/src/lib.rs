#![doc = include_str!("../README.md")]

pub mod application;
pub mod attestation;
pub mod audit;
pub mod bip340;
pub mod bundle;
pub mod calendar;
pub mod catalogue;
pub mod cbor;
pub mod checkpoint;
pub mod encoding;
pub mod epoch;
pub mod gap;
pub mod group;
pub mod handle;
pub mod ids;
pub mod issuance;
pub mod jwk;
pub mod jws;
pub mod leaf;
pub mod lifecycle;
pub mod merkle;
pub mod openings;
pub mod params;
pub mod presentation;
pub mod receipt;
pub mod representation;
pub mod revocation;
pub mod rules;
mod schnorr;
pub mod screening;
pub mod statement;
pub mod status;
#[cfg(test)]
mod testing;
pub mod token;
pub mod trust;
pub mod units;
