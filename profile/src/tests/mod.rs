//! Black-box tests over HTTP, in a network whose parties can be told to lie.

mod access;
mod api;
mod attacks;
mod gap;
mod heard;
mod lifecycle;
mod renewals;
mod resume;
mod stock;
mod story;
mod wallet;
mod watches;
