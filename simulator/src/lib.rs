//! The demo network and the systems of others that it talks to.

pub mod external;
