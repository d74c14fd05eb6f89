#![doc = include_str!("../README.md")]

pub mod api;
pub mod code;
pub mod config;
pub mod decision;
pub mod gateway;
pub mod phone;
pub mod reply;
pub mod segment;
mod service;
pub mod signer;
pub mod store;
pub mod template;

pub use config::Config;
pub use service::{Running, StartError, start};
