//! People for any contract: at random, or of whom one path through a statement holds.

use rand::Rng;
use rand::rngs::StdRng;

use crate::rules::Compiled;
use crate::statement::{Atom, Bounds, Node, Relation};

/// A value within bounds, often where people live or at a bound.
pub fn somebody(compiled: &Compiled, rng: &mut StdRng) -> Vec<Option<i64>> {
    let facts = compiled.facts.iter().zip(&compiled.bounds);
    facts
        .map(|(fact, bounds)| {
            let value = match fact.attribute.0.as_str() {
                "residence.state" if rng.gen_bool(0.9) => i64::from(compiled.jurisdiction.fips()),
                "identity.birth_date" => compiled.as_of.number() - rng.gen_range(0..30_000),
                "identity.medicaid_immigration_status" => i64::from(rng.gen_bool(0.8)),
                _ if bounds.max > 1_000_000 => rng.gen_range(0..400_000),
                _ => rng.gen_range(bounds.min..=bounds.max.min(bounds.min + 7)),
            };
            rng.gen_bool(0.95).then_some(value)
        })
        .collect()
}

/// Paths through a statement that take every branch of it at least once, each as the relations along it.
pub fn paths(node: &Node) -> Vec<Vec<&Atom>> {
    match node {
        Node::Atom(atom) => vec![vec![atom]],
        Node::Or(branches) => branches.iter().flat_map(paths).collect(),
        Node::And(children) => {
            let each: Vec<_> = children.iter().map(paths).collect();
            let most = each.iter().map(Vec::len).max().unwrap_or(0);
            let path = |index: usize| {
                let parts = each.iter().map(|paths| paths[index % paths.len()].clone());
                parts.flatten().collect()
            };
            (0..most).map(path).collect()
        }
    }
}

/// The same person with values moved until the relations hold and their facts are known; none if they cannot all hold.
pub fn moved(
    path: &[&Atom],
    bounds: &[Bounds],
    person: &[Option<i64>],
) -> Option<Vec<Option<i64>>> {
    let mut person = person.to_vec();
    for fact in path
        .iter()
        .flat_map(|atom| &atom.terms)
        .map(|(fact, _)| *fact)
    {
        person[fact] = person[fact].or(Some(bounds[fact].min));
    }
    // The facts with the widest bounds give way first, others in later passes.
    for pass in 0..6 {
        for atom in path.iter().filter(|atom| atom.terms.len() == 1 || pass > 0) {
            give_way(atom, bounds, &mut person, pass);
        }
    }
    path.iter()
        .all(|atom| atom.holds(&person) == Some(true))
        .then_some(person)
}

fn give_way(atom: &Atom, bounds: &[Bounds], person: &mut [Option<i64>], pass: usize) {
    if atom.holds(person) == Some(true) {
        return;
    }
    let mut terms = atom.terms.clone();
    terms.sort_by_key(|(fact, _)| std::cmp::Reverse(bounds[*fact].max));
    let (fact, factor) = terms[pass / 3 % terms.len()];
    let others = terms.iter().filter(|(other, _)| *other != fact);
    let rest =
        others.map(|(other, factor)| i128::from(*factor) * i128::from(person[*other].unwrap_or(0)));
    let rest = i128::from(atom.constant) + rest.sum::<i128>();
    let factor = i128::from(factor);
    // factor·x + rest ≥ 0, or = 0.
    let edge = match (atom.relation, factor > 0) {
        (Relation::GeZero, true) => -rest.div_euclid(factor),
        (Relation::GeZero, false) => rest.div_euclid(-factor),
        (Relation::EqZero, _) => -rest / factor,
    };
    let edge = edge.clamp(bounds[fact].min.into(), bounds[fact].max.into());
    person[fact] = i64::try_from(edge).ok();
}
