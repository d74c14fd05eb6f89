//! Where each key lives in the BIP-32 tree.
//!
//! `m / 1936224304' / use' / domain' / index'`, and below a leaf `/ role'`. Every step is hardened: a leaked child key
//! exposes neither its siblings nor its parent (P3). The numbers never change: they are the recovery from the seed (P9).

use bip32::ChildNumber;
use contracts::ids::Domain;

/// The first step, ASCII `shp0`, keeps our keys apart from those of other users of one seed (as BIP-43 does).
const ROOT: u32 = 0x7368_7030;
/// Below this every index lies: BIP-32 has 2³¹ hardened children.
pub const MAX_INDEX: u32 = 1 << 31;

/// The steps before the index: root, use and domain.
pub(super) const ABOVE_INDEX: usize = 3;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Signs requests to one domain's committee; index: generation of the handle.
    Authorisation(Domain),
    /// A leaf's one-time keys; index: transaction.
    Leaf(Domain, Role),
    /// A token's `cnf` key; index: decision.
    Confirmation,
    /// The pseudonym scalar k; index: registration.
    Pseudonym,
    /// The blinding of the registered `C_k`; index: registration.
    Registration,
    /// Receives the answer to an enrolment; index: attempt.
    Response,
    /// Seals a domain's subject blinding; index: attempt of enrolment.
    Subject(Domain),
    /// Seals what a question keeps; index: question.
    Question,
    /// The id of an enrolment; index: registration.
    Enrolment,
    /// Seals what a self-held wallet keeps beside its seed; index: 0.
    Backup,
    /// What a representative is known by (BIP-340); index: grant.
    Representative,
}

/// The keys of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// BIP-340 holder key, in the leaf.
    Holder,
    /// X25519 key that the value is sealed to.
    Receive,
    /// Seals the opening at rest.
    Opening,
}

fn domain_number(domain: Domain) -> u32 {
    match domain {
        Domain::Identity => 0,
        Domain::Residence => 1,
        Domain::Income => 2,
        Domain::Household => 3,
        Domain::Medical => 4,
    }
}

/// Where no domain applies.
const NO_DOMAIN: u32 = 255;

impl Use {
    /// The number of the use and of its domain.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::Authorisation(domain) => (0, domain_number(domain)),
            Self::Leaf(domain, _) => (1, domain_number(domain)),
            Self::Confirmation => (2, NO_DOMAIN),
            Self::Pseudonym => (3, NO_DOMAIN),
            Self::Registration => (4, NO_DOMAIN),
            Self::Response => (5, NO_DOMAIN),
            Self::Subject(domain) => (6, domain_number(domain)),
            Self::Question => (7, NO_DOMAIN),
            Self::Enrolment => (8, NO_DOMAIN),
            Self::Backup => (9, NO_DOMAIN),
            Self::Representative => (10, NO_DOMAIN),
        }
    }

    /// The uses whose index is drawn afresh every time, one for each counter. The others' index is a registration, an
    /// attempt that [`Use::Response`] drew, or fixed.
    pub fn drawn() -> Vec<Self> {
        let leaves = Domain::ALL
            .into_iter()
            .map(|domain| Self::Leaf(domain, Role::Holder));
        leaves
            .chain([
                Self::Confirmation,
                Self::Response,
                Self::Question,
                Self::Representative,
            ])
            .collect()
    }

    /// The name under which the high-water mark of used indices is kept; the roles of a leaf share one.
    pub fn counter(self) -> String {
        let (number, domain) = self.numbers();
        format!("{number}/{domain}")
    }

    /// The hardened steps from the root; none for an index of [`MAX_INDEX`] or more.
    pub fn steps(self, index: u32) -> Option<Vec<ChildNumber>> {
        let (number, domain) = self.numbers();
        let mut steps = vec![ROOT, number, domain, index];
        if let Self::Leaf(_, role) = self {
            steps.push(match role {
                Role::Holder => 0,
                Role::Receive => 1,
                Role::Opening => 2,
            });
        }
        steps
            .into_iter()
            .map(|step| ChildNumber::new(step, true).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_hardened_and_do_not_move() {
        let path = |use_: Use, index| {
            let steps = use_.steps(index).unwrap();
            assert!(steps.iter().all(ChildNumber::is_hardened));
            let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
            steps.join("/")
        };
        assert_eq!(
            path(Use::Authorisation(Domain::Identity), 0),
            "1936224304'/0'/0'/0'"
        );
        assert_eq!(
            path(Use::Leaf(Domain::Income, Role::Receive), 7),
            "1936224304'/1'/2'/7'/1'"
        );
        assert_eq!(path(Use::Pseudonym, 0), "1936224304'/3'/255'/0'");
        assert_eq!(path(Use::Question, 5), "1936224304'/7'/255'/5'");
        assert_eq!(path(Use::Enrolment, 1), "1936224304'/8'/255'/1'");
        assert_eq!(path(Use::Backup, 0), "1936224304'/9'/255'/0'");
        assert_eq!(path(Use::Representative, 2), "1936224304'/10'/255'/2'");
        assert_eq!(Use::Confirmation.steps(MAX_INDEX), None);
    }
}
