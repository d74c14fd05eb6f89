#![doc = include_str!("../README.md")]

pub mod encoding;
pub mod group;
pub mod ids;
pub mod merkle;
pub mod statement;
pub mod units;
