//! Names of the parties and things that several parts share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::encoding::Bytes32;

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} {name:?}: expected {expected}")]
pub struct UnknownName {
    /// What was being named.
    pub kind: &'static str,
    /// The name given.
    pub name: String,
    /// The names that exist.
    pub expected: &'static str,
}

/// A fact domain; each has a committee of its own (O5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Who somebody is: identity proofing, birth date, status.
    Identity,
    /// Where somebody lives.
    Residence,
    /// What somebody earns.
    Income,
    /// Whom somebody lives with.
    Household,
    /// Conditions and observations.
    Medical,
}

impl Domain {
    /// Every domain, in order.
    pub const ALL: [Self; 5] = [
        Self::Identity,
        Self::Residence,
        Self::Income,
        Self::Household,
        Self::Medical,
    ];

    /// The committee id: the domain's name.
    pub fn as_str(self) -> &'static str {
        Committee::from(self).as_str()
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Domain {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|domain| domain.as_str() == name)
            .ok_or_else(|| UnknownName {
                kind: "domain",
                name: name.to_owned(),
                expected: "identity, residence, income, household or medical",
            })
    }
}

/// A committee: one per domain, and the two that see no facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Committee {
    /// Attests identity, runs the OPRF, issues handles.
    Identity,
    /// Attests residence.
    Residence,
    /// Attests income.
    Income,
    /// Attests household composition.
    Household,
    /// Attests medical facts.
    Medical,
    /// Checks presentations and signs tokens.
    Decision,
    /// Keeps the log.
    Ledger,
}

impl Committee {
    /// Every committee, in order.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::Residence,
        Self::Income,
        Self::Household,
        Self::Medical,
        Self::Decision,
        Self::Ledger,
    ];

    /// The committee id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Residence => "residence",
            Self::Income => "income",
            Self::Household => "household",
            Self::Medical => "medical",
            Self::Decision => "decision",
            Self::Ledger => "ledger",
        }
    }

    /// The domain of a fact committee; none for decision and ledger.
    pub fn domain(self) -> Option<Domain> {
        match self {
            Self::Identity => Some(Domain::Identity),
            Self::Residence => Some(Domain::Residence),
            Self::Income => Some(Domain::Income),
            Self::Household => Some(Domain::Household),
            Self::Medical => Some(Domain::Medical),
            Self::Decision | Self::Ledger => None,
        }
    }
}

impl From<Domain> for Committee {
    fn from(domain: Domain) -> Self {
        match domain {
            Domain::Identity => Self::Identity,
            Domain::Residence => Self::Residence,
            Domain::Income => Self::Income,
            Domain::Household => Self::Household,
            Domain::Medical => Self::Medical,
        }
    }
}

impl fmt::Display for Committee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Committee {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|committee| committee.as_str() == name)
            .ok_or_else(|| UnknownName {
                kind: "committee",
                name: name.to_owned(),
                expected: "a domain's name, decision or ledger",
            })
    }
}

/// Members of a committee that may fail in any way: `f = ⌊(n−1)/3⌋`.
pub fn max_faults(members: u16) -> u16 {
    members.saturating_sub(1) / 3
}

/// Signatures that make a quorum, `t = ⌊(n+f)/2⌋ + 1`: two quorums share an honest member.
pub fn quorum(members: u16) -> u16 {
    (members + max_faults(members)) / 2 + 1
}

/// An oracle node's number, also its FROST identifier; from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct NodeId(u16);

impl NodeId {
    /// Wraps a node number.
    ///
    /// # Errors
    /// Zero, which is no FROST identifier (RFC 9591 §4.1).
    pub fn new(number: u16) -> Result<Self, UnknownName> {
        if number == 0 {
            return Err(UnknownName {
                kind: "node",
                name: "0".to_owned(),
                expected: "a number from 1",
            });
        }
        Ok(Self(number))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for NodeId {
    type Error = UnknownName;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<NodeId> for u16 {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An attribute of the catalogue, such as `income.magi_monthly`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttributeId(pub String);

impl fmt::Display for AttributeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for AttributeId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// A contract by its id and the hash of its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractRef {
    /// Such as `us.medicaid.adult-group`.
    pub id: String,
    /// SHA-256 of the canonical form.
    pub hash: Bytes32,
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The contract holds.
    Yes,
    /// The negation of the contract holds.
    No,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "YES",
            Self::No => "NO",
        })
    }
}

macro_rules! jurisdictions {
    ($($code:literal $fips:literal $name:literal),* $(,)?) => {
        /// USPS code, FIPS 5-2 number and name of the 50 states and DC.
        const JURISDICTIONS: [(&str, u8, &str); 51] = [$(($code, $fips, $name)),*];
    };
}

jurisdictions! {
    "AL" 1 "Alabama", "AK" 2 "Alaska", "AZ" 4 "Arizona", "AR" 5 "Arkansas", "CA" 6 "California", "CO" 8 "Colorado",
    "CT" 9 "Connecticut", "DE" 10 "Delaware", "DC" 11 "District of Columbia", "FL" 12 "Florida", "GA" 13 "Georgia",
    "HI" 15 "Hawaii", "ID" 16 "Idaho", "IL" 17 "Illinois", "IN" 18 "Indiana", "IA" 19 "Iowa", "KS" 20 "Kansas",
    "KY" 21 "Kentucky", "LA" 22 "Louisiana", "ME" 23 "Maine", "MD" 24 "Maryland", "MA" 25 "Massachusetts",
    "MI" 26 "Michigan", "MN" 27 "Minnesota", "MS" 28 "Mississippi", "MO" 29 "Missouri", "MT" 30 "Montana",
    "NE" 31 "Nebraska", "NV" 32 "Nevada", "NH" 33 "New Hampshire", "NJ" 34 "New Jersey", "NM" 35 "New Mexico",
    "NY" 36 "New York", "NC" 37 "North Carolina", "ND" 38 "North Dakota", "OH" 39 "Ohio", "OK" 40 "Oklahoma",
    "OR" 41 "Oregon", "PA" 42 "Pennsylvania", "RI" 44 "Rhode Island", "SC" 45 "South Carolina", "SD" 46 "South Dakota",
    "TN" 47 "Tennessee", "TX" 48 "Texas", "UT" 49 "Utah", "VT" 50 "Vermont", "VA" 51 "Virginia", "WA" 53 "Washington",
    "WV" 54 "West Virginia", "WI" 55 "Wisconsin", "WY" 56 "Wyoming",
}

/// One of the 50 states or DC, written as its USPS code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Jurisdiction(u8);

impl Jurisdiction {
    /// All 51, in order of their FIPS numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..51).map(Self)
    }

    fn row(self) -> (&'static str, u8, &'static str) {
        JURISDICTIONS
            .get(usize::from(self.0))
            .copied()
            .expect("only indexes of the table are ever wrapped")
    }

    /// The USPS code, such as `CA`.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// The FIPS 5-2 number, the value of `residence.state`.
    pub fn fips(self) -> u8 {
        self.row().1
    }

    /// The name, such as `California`.
    pub fn name(self) -> &'static str {
        self.row().2
    }
}

impl FromStr for Jurisdiction {
    type Err = UnknownName;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::all()
            .find(|jurisdiction| jurisdiction.code() == code)
            .ok_or_else(|| UnknownName {
                kind: "jurisdiction",
                name: code.to_owned(),
                expected: "a USPS state code or DC, in capitals",
            })
    }
}

impl TryFrom<String> for Jurisdiction {
    type Error = UnknownName;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        code.parse()
    }
}

impl From<Jurisdiction> for String {
    fn from(jurisdiction: Jurisdiction) -> Self {
        jurisdiction.code().to_owned()
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_intersect_in_an_honest_member() {
        assert_eq!([4, 5, 7, 10].map(quorum), [3, 4, 5, 7]);
        for n in 1..=100 {
            let (t, f) = (quorum(n), max_faults(n));
            assert!(2 * t > n + f, "two quorums of {n} share an honest member");
            assert!(t <= n - f, "{n} members finish without the faulty");
        }
    }

    #[test]
    fn names_round_trip() {
        for committee in Committee::ALL {
            assert_eq!(committee.as_str().parse(), Ok(committee));
        }
        for jurisdiction in Jurisdiction::all() {
            assert_eq!(jurisdiction.code().parse(), Ok(jurisdiction));
        }
        assert!("PR".parse::<Jurisdiction>().is_err());
        assert!(NodeId::new(0).is_err());
    }
}
