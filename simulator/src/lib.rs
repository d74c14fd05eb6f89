//! The demo network and the systems of others that it talks to.

pub mod bench;
pub mod demo;
pub mod drill;
pub mod external;
pub mod faults;
pub mod role;
