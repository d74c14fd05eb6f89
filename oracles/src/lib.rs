//! The oracle network: sources read, facts agreed on, attested and signed by committees.

pub mod wire;
