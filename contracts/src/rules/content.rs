//! The content hash: one name for everything that can change a verdict.
//!
//! `SHA-256(tag ‖ JCS({contract, attributes, tables, contracts}))`, where `contract` is the parsed file in canonical spelling
//! (layout and comments do not count; texts and citations do), `attributes` are the catalogue entries of every
//! attribute it can ask for, `tables` the hashes of every table it or those attributes read, all states and days, and `contracts` the hashes
//! of the contracts it contains. A number that
//! changes, or a new year's row, is therefore a new hash: an old decision is re-run with the release that made it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::ast::{Expr, ExprKind};
use super::file::Contract;
use crate::catalogue::{Attribute, Catalogue};
use crate::encoding::{Bytes32, tagged_hash, to_jcs};
use crate::ids::AttributeId;
use crate::params::Tables;

/// The attribute that every contract asks for.
pub(super) const PERSON: &str = "identity.person";

#[derive(Default)]
struct Uses<'a> {
    names: BTreeSet<&'a str>,
    poverty: bool,
    groups: BTreeSet<&'a str>,
    parameters: BTreeSet<&'a str>,
    contracts: BTreeSet<&'a str>,
}

impl<'a> Uses<'a> {
    fn gather(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::All(items) | ExprKind::Any(items) => {
                items.iter().for_each(|item| self.gather(item));
            }
            ExprKind::Call(name, items) => {
                if let Some(ExprKind::Name(word)) = items.first().map(|item| &item.kind) {
                    match name.as_str() {
                        "parameter" => drop(self.parameters.insert(word)),
                        "contract" => drop(self.contracts.insert(word)),
                        _ => {}
                    }
                }
                let takes_group = name == "offered" || name.starts_with("limit");
                if let (true, Some(ExprKind::Name(group))) =
                    (takes_group, items.first().map(|item| &item.kind))
                {
                    self.groups.insert(group);
                }
                self.poverty |= name == "poverty_level" || name.starts_with("limit");
                items.iter().for_each(|item| self.gather(item));
            }
            ExprKind::Not(inner) => self.gather(inner),
            ExprKind::Compare(_, left, right)
            | ExprKind::Of(left, right)
            | ExprKind::Sum(left, right)
            | ExprKind::Difference(left, right)
            | ExprKind::Product(left, right) => {
                self.gather(left);
                self.gather(right);
            }
            ExprKind::Between(value, low, high) => {
                for part in [value, low, high] {
                    self.gather(part);
                }
            }
            ExprKind::Name(name) => {
                self.names.insert(name);
            }
            ExprKind::Int(_)
            | ExprKind::Money(_)
            | ExprKind::Percent(_)
            | ExprKind::Date(_)
            | ExprKind::Days(_) => {}
        }
    }
}

/// The content hash of a contract under a catalogue and tables.
///
/// `all` are the contracts it may contain: what `contract(id)` names is hashed in, every window of it, `depth` deep.
pub(super) fn content_hash(
    contract: &Contract,
    all: &[Contract],
    catalogue: &Catalogue,
    tables: &Tables,
    depth: usize,
) -> Bytes32 {
    let mut uses = Uses::default();
    let rules = contract.clauses.iter().map(|clause| &clause.rule);
    for rule in rules.chain(&contract.offered) {
        uses.gather(&rule.expr);
    }
    let clauses = contract.clauses.iter().map(|clause| {
        json!({
            "id": clause.id,
            "reason": clause.reason,
            "citation": clause.citation,
            "text": clause.text,
            "rule": clause.rule.expr.to_string(),
            "from": clause.from,
            "until": clause.until,
        })
    });
    let mut named: BTreeMap<&str, &Attribute> = BTreeMap::new();
    let variants = uses
        .groups
        .iter()
        .flat_map(|group| tables.limits.variants(group));
    for name in uses.names.iter().copied().chain(variants).chain([PERSON]) {
        if let Some(attribute) = catalogue.get(&AttributeId(name.to_owned())) {
            named.insert(name, attribute);
        }
    }
    let mut names: BTreeSet<String> = named
        .values()
        .flat_map(|attribute| attribute.tables.iter().cloned())
        .collect();
    if uses.poverty {
        names.insert(tables.poverty.identity().0.to_owned());
    }
    names.extend(uses.groups.iter().map(|group| format!("limits/{group}")));
    names.extend(
        uses.parameters
            .iter()
            .map(|name| format!("parameters/{name}")),
    );
    let read: BTreeMap<String, Option<Bytes32>> = names
        .into_iter()
        .map(|name| (name.clone(), tables.hash(&name)))
        .collect();
    let mut contained = BTreeMap::new();
    for id in uses.contracts.iter().filter(|_| depth > 0) {
        let hashes = all.iter().filter(|other| other.id == *id);
        let hashes = hashes.map(|other| content_hash(other, all, catalogue, tables, depth - 1));
        contained.insert(id, hashes.collect::<Vec<_>>());
    }
    let whole = json!({
        "contract": {
            "id": contract.id,
            "version": contract.version,
            "title": contract.title,
            "program": contract.program,
            "kind": contract.kind,
            "from": contract.from,
            "until": contract.until,
            "offered": contract.offered.as_ref().map(|rule| rule.expr.to_string()),
            "triggers": contract.triggers,
            "clauses": clauses.collect::<Vec<_>>(),
        },
        "attributes": named.values().collect::<Vec<_>>(),
        "tables": read,
        "contracts": contained,
    });
    let bytes = to_jcs(&whole).expect("strings and integers are JSON");
    tagged_hash("shp/v1/contract", &[&bytes]).into()
}
