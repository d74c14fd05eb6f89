//! Black-box tests over HTTP, in a network whose parties can be told to lie.

mod access;
mod acting;
mod api;
mod attacks;
mod consents;
mod flag;
mod gap;
mod grants;
mod heard;
mod lifecycle;
mod navigator;
mod renewals;
mod resume;
mod retention;
mod stock;
mod story;
mod wallet;
mod watches;
