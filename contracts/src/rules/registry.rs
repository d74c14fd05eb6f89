//! The registered contracts: only these are compiled, proved or signed.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::applied::{Applied, applied};
use super::compile::Compiler;
use super::compiled::Compiled;
use super::content::content_hash;
use super::error::RuleError;
use super::file::{Contract, Rule};
use super::lower::MAX_CONTRACT_DEPTH;
use crate::catalogue::{Attribute, Catalogue, catalogue};
use crate::encoding::Bytes32;
use crate::ids::{AttributeId, ContractRef, Jurisdiction};
use crate::params::{Tables, tables};
use crate::units::Day;

/// The files of `contracts/rules/`, by name.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded_contracts.rs"));

/// A set of contracts with their content hashes.
#[derive(Debug, Clone)]
pub struct Registry {
    contracts: Vec<(Contract, Bytes32)>,
    catalogue: Catalogue,
    tables: Tables,
}

/// The contracts of this release.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        Registry::load(EMBEDDED.iter().copied()).expect("a test reads the embedded contracts")
    });
    &REGISTRY
}

impl Registry {
    /// Reads contract files, given as (name, text), against the catalogue and tables of this release.
    ///
    /// # Errors
    /// [`RuleError::File`], or [`RuleError::Overlap`] when two files define one id for one day.
    pub fn load<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, RuleError> {
        let (catalogue, tables) = (catalogue().clone(), tables().clone());
        let mut contracts: Vec<Contract> = Vec::new();
        for (name, text) in files {
            let contract = Contract::parse(name, text)?;
            for other in contracts.iter().filter(|other| other.id == contract.id) {
                let day = contract.from.max(other.from);
                if contract.in_force(day) && other.in_force(day) {
                    return Err(RuleError::Overlap {
                        id: contract.id,
                        first: other.file.clone(),
                        second: name.to_owned(),
                        day,
                    });
                }
            }
            contracts.push(contract);
        }
        contracts.sort_by(|a, b| (&a.id, a.from).cmp(&(&b.id, b.from)));
        let hash = |contract: &Contract| {
            content_hash(
                contract,
                &contracts,
                &catalogue,
                &tables,
                MAX_CONTRACT_DEPTH,
            )
        };
        let hashes: Vec<Bytes32> = contracts.iter().map(hash).collect();
        let contracts = contracts.into_iter().zip(hashes).collect();
        Ok(Self {
            contracts,
            catalogue,
            tables,
        })
    }

    /// Reads contract files in the place of this release's contracts of the same ids, beside its others.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn beside_release(files: &[(&str, &str)]) -> Result<Self, RuleError> {
        let mut ids = BTreeSet::new();
        for (name, text) in files {
            ids.insert(Contract::parse(name, text)?.id);
        }
        let others = registry().contracts.iter().map(|(contract, _)| contract);
        let others = others.filter(|contract| !ids.contains(&contract.id));
        let others = others.map(|contract| (contract.file.as_str(), contract.source.as_str()));
        Self::load(files.iter().copied().chain(others))
    }

    /// Every contract with its reference, by id and first day.
    pub fn iter(&self) -> impl Iterator<Item = (&Contract, ContractRef)> {
        self.contracts.iter().map(|(contract, hash)| {
            let reference = ContractRef {
                id: contract.id.clone(),
                hash: *hash,
            };
            (contract, reference)
        })
    }

    /// The contract of an id in force on a day.
    ///
    /// # Errors
    /// [`RuleError::UnknownContract`] or [`RuleError::NotInForce`].
    pub fn get(&self, id: &str, as_of: Day) -> Result<(&Contract, ContractRef), RuleError> {
        let mut windows = Vec::new();
        for (contract, reference) in self.iter().filter(|(contract, _)| contract.id == id) {
            if contract.in_force(as_of) {
                return Ok((contract, reference));
            }
            windows.push(match contract.until {
                Some(until) => format!("from {} to {until}", contract.from),
                None => format!("from {}", contract.from),
            });
        }
        if windows.is_empty() {
            return Err(RuleError::UnknownContract(id.to_owned()));
        }
        Err(RuleError::NotInForce {
            id: id.to_owned(),
            as_of,
            windows: windows.join(", "),
        })
    }

    /// Compiles the contract of an id for a jurisdiction and day.
    ///
    /// # Errors
    /// [`RuleError`]: unknown, not in force, not offered there, a table without a row, or a rule that cannot be
    /// proved, naming the clause.
    pub fn compile(
        &self,
        id: &str,
        jurisdiction: &Jurisdiction,
        as_of: Day,
    ) -> Result<Compiled, RuleError> {
        let (contract, reference) = self.get(id, as_of)?;
        Compiler {
            contract,
            hash: reference.hash,
            catalogue: &self.catalogue,
            tables: &self.tables,
            jurisdiction: *jurisdiction,
            as_of,
            others: &|id| self.get(id, as_of).ok().map(|(contract, _)| contract),
        }
        .compile()
    }

    /// The numbers that a rule takes from tables in a state on a day.
    pub fn applied(&self, rule: &Rule, jurisdiction: Jurisdiction, as_of: Day) -> Vec<Applied> {
        applied(rule, &self.tables, jurisdiction, as_of)
    }

    /// An attribute of the catalogue that the contracts were read against.
    pub fn attribute(&self, id: &AttributeId) -> Option<&Attribute> {
        self.catalogue.get(id)
    }

    /// The contract with this content hash.
    pub fn by_hash(&self, hash: &[u8; 32]) -> Option<(&Contract, ContractRef)> {
        self.iter().find(|(_, reference)| reference.hash.0 == *hash)
    }
}
