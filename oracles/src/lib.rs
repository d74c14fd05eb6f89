#![doc = include_str!("../README.md")]

pub mod clock;
pub mod db;
pub mod hpke;
pub mod http;
pub mod problem;
pub mod wire;
