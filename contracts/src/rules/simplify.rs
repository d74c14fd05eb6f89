//! A tree with the same meaning and a shorter proof.
//!
//! What is under an `and` holds together: a relation that the others imply is left out, a branch that they contradict
//! too. What all branches of an `or` share is said once, and so is a branch that several `or`s of one `and` share. All
//! of this is exact for facts that are not known as well: a relation is left out only where another says that its facts
//! are known.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::statement::{Atom, Bounds, Node, Relation};

/// The same statement over values within bounds, with no more slots and branches than it had.
///
/// What can never hold is left as it is.
pub(super) fn simplify(node: &Node, bounds: &[Bounds]) -> Node {
    let flat = node.clone().flatten();
    let context = Context {
        facts: bounds
            .iter()
            .map(|bound| ((bound.min.into(), bound.max.into()), false))
            .collect(),
        ranges: BTreeMap::new(),
        choices: Vec::new(),
        open: Vec::new(),
    };
    match context.reduce(&flat, MAX_ROUNDS) {
        Reduced::Open(reduced) if weight(&reduced) <= weight(&flat) => reduced,
        _ => flat,
    }
}

/// Passes over one `and`; each makes the tree smaller, so it is a bound on work and not on correctness.
const MAX_ROUNDS: usize = 32;

/// Elements that a proof carries for a tree: slacks with what they add to the range proof, and selectors.
fn weight(node: &Node) -> usize {
    fn selectors(node: &Node) -> usize {
        match node {
            Node::And(children) => children.iter().map(selectors).sum(),
            Node::Or(children) => {
                children.len().saturating_sub(1) + children.iter().map(selectors).sum::<usize>()
            }
            Node::Atom(_) => 0,
        }
    }
    let slots = node.slots();
    slots + 2 * slots.next_power_of_two().ilog2() as usize + selectors(node)
}

enum Reduced {
    /// Implied by what is around it.
    True,
    /// Contradicted by it, or by bounds.
    False,
    Open(Node),
}

/// A sum of facts, coprime and with a positive first coefficient.
type Form = Vec<(usize, i64)>;

/// Least and greatest value of a form.
type Range = (i128, i128);

/// What holds around a node.
#[derive(Clone)]
struct Context {
    /// Where each fact lies, and whether it is known.
    facts: Vec<(Range, bool)>,
    /// Ranges of forms whose facts are known, from atoms that hold.
    ranges: BTreeMap<Form, Range>,
    /// `or`s that hold.
    choices: Vec<Rc<Node>>,
    /// Relations that may be taken not to hold, being other branches of an `or` around.
    open: Vec<(Form, Range)>,
}

fn divisor(terms: &[(usize, i64)]) -> i128 {
    fn gcd(a: i128, b: i128) -> i128 {
        if b == 0 { a.abs() } else { gcd(b, a % b) }
    }
    let coefficients = terms
        .iter()
        .map(|(_, coefficient)| i128::from(*coefficient));
    coefficients.fold(0, gcd)
}

/// The form of an atom, and where it must lie; none where there is no such integer, or for an atom without facts.
fn demand(atom: &Atom) -> Option<(Form, Range)> {
    let divisor = divisor(&atom.terms);
    let (_, first) = atom.terms.first()?;
    let sign = if *first < 0 { -1 } else { 1 };
    let scale = sign * divisor;
    let form = atom.terms.iter().map(|&(fact, coefficient)| {
        let coefficient = i64::try_from(i128::from(coefficient) / scale).ok()?;
        Some((fact, coefficient))
    });
    let form: Form = form.collect::<Option<_>>()?;
    let constant = i128::from(atom.constant);
    let range = match atom.relation {
        Relation::EqZero if constant % divisor != 0 => return None,
        Relation::EqZero => (-constant / scale, -constant / scale),
        // scale·f + c ≥ 0
        Relation::GeZero if sign > 0 => (-constant.div_euclid(divisor), i128::MAX),
        Relation::GeZero => (i128::MIN, constant.div_euclid(divisor)),
    };
    Some((form, range))
}

/// Ends that are open are `i128::MIN` and `i128::MAX`, and stay so.
fn plus((a, b): Range, (c, d): Range) -> Option<Range> {
    let end = |x: i128, y: i128, open: i128| match () {
        () if x == open || y == open => Some(open),
        () => x.checked_add(y),
    };
    Some((end(a, c, i128::MIN)?, end(b, d, i128::MAX)?))
}

fn negative((a, b): Range) -> Range {
    let end = |x: i128| match x {
        i128::MIN => i128::MAX,
        i128::MAX => i128::MIN,
        x => -x,
    };
    (end(b), end(a))
}

fn times(range: Range, factor: i64) -> Option<Range> {
    let scale = i128::from(factor.unsigned_abs());
    let end = |x: i128| match x {
        i128::MIN | i128::MAX => Some(x),
        x => x.checked_mul(scale),
    };
    let scaled = (end(range.0)?, end(range.1)?);
    Some(if factor < 0 { negative(scaled) } else { scaled })
}

/// The integers `x` with `factor·x` in the range.
fn divided(range: Range, factor: i64) -> Range {
    let (low, high) = if factor < 0 { negative(range) } else { range };
    let scale = i128::from(factor.unsigned_abs());
    let low = match low {
        i128::MIN => low,
        low => -(-low).div_euclid(scale),
    };
    let high = match high {
        i128::MAX => high,
        high => high.div_euclid(scale),
    };
    (low, high)
}

fn meet((a, b): Range, (c, d): Range) -> Range {
    (a.max(c), b.min(d))
}

impl Context {
    fn assume(&mut self, atom: &Atom) {
        let Some((form, wanted)) = demand(atom) else {
            return;
        };
        let (range, _) = self.range(&form);
        self.ranges.insert(form.clone(), meet(range, wanted));
        self.narrow(&form, meet(range, wanted));
        let wider: Vec<(Form, Range)> = self
            .ranges
            .iter()
            .filter(|(other, _)| other.len() > 1 && **other != form)
            .filter(|(other, _)| {
                other
                    .iter()
                    .any(|(fact, _)| form.iter().any(|(f, _)| f == fact))
            })
            .map(|(other, range)| (other.clone(), *range))
            .collect();
        for (other, range) in wider {
            self.narrow(&other, range);
        }
    }

    /// What a known form's range says of each of its facts: `factor·x` is the form less the rest.
    fn narrow(&mut self, form: &Form, range: Range) {
        for &(fact, factor) in form {
            let mut others = form.iter().filter(|(other, _)| *other != fact);
            let rest = others.try_fold((0, 0), |sum, &(other, factor)| {
                plus(sum, times(self.fact(other).0, factor)?)
            });
            let left = rest.and_then(|rest| plus(range, negative(rest)));
            if let Some((old, known)) = self.facts.get_mut(fact) {
                *known = true;
                if let Some(left) = left {
                    *old = meet(*old, divided(left, factor));
                }
            }
        }
    }

    fn fact(&self, fact: usize) -> (Range, bool) {
        let nothing = ((i128::MIN, i128::MAX), false);
        self.facts.get(fact).copied().unwrap_or(nothing)
    }

    /// Where a form can lie, and whether all of its facts are known.
    fn range(&self, form: &Form) -> (Range, bool) {
        let of_facts = form
            .iter()
            .try_fold(((0, 0), true), |(sum, known), &(fact, factor)| {
                let (range, here) = self.fact(fact);
                Some((plus(sum, times(range, factor)?)?, known & here))
            });
        let (range, known) = of_facts.unwrap_or(((i128::MIN, i128::MAX), false));
        match self.ranges.get(form) {
            Some(direct) => (meet(range, *direct), true),
            None => (range, known),
        }
    }

    fn atom(&self, atom: &Atom) -> Reduced {
        let open = || Reduced::Open(Node::Atom(atom.clone()));
        let Some((form, wanted)) = demand(atom) else {
            return open();
        };
        let (range, known) = self.range(&form);
        let (low, high) = meet(range, wanted);
        let excluded =
            |(other, from): &(Form, Range)| *other == form && meet(*from, wanted) == wanted;
        if low > high || self.open.iter().any(excluded) {
            Reduced::False
        } else if known && range == (low, high) {
            Reduced::True
        } else {
            open()
        }
    }

    /// Whether one of these holds whatever the value: together they leave nothing out of a known form's range.
    fn exhausts(&self, branches: &[Node]) -> bool {
        let mut pieces: BTreeMap<Form, Vec<Range>> = BTreeMap::new();
        for branch in branches {
            let demands = parts(branch).iter().map(|part| match part {
                Node::Atom(atom) => demand(atom),
                _ => None,
            });
            let Some(demands) = demands.collect::<Option<Vec<_>>>() else {
                continue;
            };
            let Some((form, _)) = demands.first() else {
                continue;
            };
            if demands.iter().all(|(other, _)| other == form) {
                let ranges = demands.iter().map(|(_, range)| *range);
                let range = ranges.fold((i128::MIN, i128::MAX), meet);
                pieces.entry(form.clone()).or_default().push(range);
            }
        }
        pieces.into_iter().any(|(form, mut pieces)| {
            let ((low, high), known) = self.range(&form);
            pieces.sort_unstable();
            // The least value that no piece so far has.
            let open = pieces.iter().try_fold(low, |open, (from, to)| match to {
                _ if *from > open => Some(open),
                _ if *to >= high => None,
                to => Some(open.max(to + 1)),
            });
            known && open.is_none()
        })
    }

    fn suppose(&mut self, node: &Node) {
        for part in parts(node) {
            match part {
                Node::Atom(atom) => self.assume(atom),
                Node::Or(_) => self.choices.push(Rc::new(part.clone())),
                Node::And(_) => self.suppose(part),
            }
        }
    }

    /// Assumes what follows from the `or`s of which one branch is left; false where one has none.
    fn settle(&mut self) -> bool {
        let choices = self.choices.clone();
        let mut open: Vec<Vec<&Node>> = choices
            .iter()
            .map(|choice| branches(choice).iter().collect())
            .collect();
        loop {
            let before = open.len();
            for left in &mut open {
                left.retain(|branch| !self.refutes(branch));
                match left.as_slice() {
                    [] => return false,
                    [only] => self.suppose(only),
                    _ => {}
                }
            }
            open.retain(|left| left.len() > 1);
            if open.len() == before {
                return true;
            }
        }
    }

    fn refutes(&self, branch: &Node) -> bool {
        parts(branch).iter().any(|part| match part {
            Node::Atom(atom) => matches!(self.atom(atom), Reduced::False),
            _ => false,
        })
    }

    fn reduce(&self, node: &Node, rounds: usize) -> Reduced {
        match node {
            Node::Atom(atom) => self.atom(atom),
            Node::And(children) => self.and(children.clone(), rounds),
            Node::Or(children) => self.or(children, rounds),
        }
    }

    fn and(&self, mut children: Vec<Node>, rounds: usize) -> Reduced {
        for _ in 0..rounds {
            let mut shared: Vec<Rc<Node>> = children.iter().cloned().map(Rc::new).collect();
            // Each in the context of all the others.
            let mut index = 0;
            while let Some(child) = shared.get(index).cloned() {
                let mut inner = self.clone();
                for (_, node) in shared
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index)
                {
                    match &**node {
                        Node::Or(_) => inner.choices.push(Rc::clone(node)),
                        _ => inner.suppose(node),
                    }
                }
                if matches!(*child, Node::Or(_)) && !inner.settle() {
                    return Reduced::False;
                }
                match inner.reduce(&child, rounds - 1) {
                    Reduced::True => drop(shared.remove(index)),
                    Reduced::False => return Reduced::False,
                    Reduced::Open(node) => {
                        if let Some(child) = shared.get_mut(index) {
                            *child = Rc::new(node);
                        }
                        index += 1;
                    }
                }
            }
            let reduced = shared.into_iter().map(Rc::unwrap_or_clone).collect();
            let mut reduced = share(flat(Node::And(reduced), true));
            push_down(&mut reduced);
            if reduced == children {
                break;
            }
            children = reduced;
        }
        match children.len() {
            0 => Reduced::True,
            _ => Reduced::Open(Node::And(children).flatten()),
        }
    }

    fn or(&self, children: &[Node], rounds: usize) -> Reduced {
        let mut open: Vec<Node> = Vec::new();
        let mut left = children;
        while let [child, after @ ..] = left {
            left = after;
            let mut inner = self.clone();
            inner.suppose(child);
            if !inner.settle() {
                continue;
            }
            let mut alone = self.clone();
            for other in open.iter().chain(after) {
                if let Node::Atom(atom) = other {
                    alone.open.extend(demand(atom));
                }
            }
            match alone.reduce(child, rounds) {
                Reduced::True => return Reduced::True,
                Reduced::False => {}
                Reduced::Open(node) => open.extend(flat(node, false)),
            }
        }
        let mut distinct: Vec<Node> = Vec::new();
        for node in open {
            if !distinct.contains(&node) {
                distinct.push(node);
            }
        }
        if self.exhausts(&distinct) {
            return Reduced::True;
        }
        // A branch that says more than another adds nothing.
        let mut index = 0;
        while let Some(node) = distinct.get(index) {
            let others = distinct.iter().enumerate();
            let mut others = others.filter(|(other, _)| *other != index);
            if others.any(|(_, other)| parts(other).iter().all(|part| parts(node).contains(part))) {
                distinct.remove(index);
            } else {
                index += 1;
            }
        }
        match distinct.as_slice() {
            [] => return Reduced::False,
            [only] => return Reduced::Open(only.clone()),
            _ => {}
        }
        // a·x ∨ a·y = a·(x ∨ y)
        let mut common: Vec<Node> = distinct.first().map(parts).unwrap_or_default().to_vec();
        common.retain(|part| distinct.iter().all(|node| parts(node).contains(part)));
        if common.is_empty() || rounds == 0 {
            return Reduced::Open(Node::Or(distinct));
        }
        let rest = distinct.iter().map(|node| {
            let mut rest = parts(node).to_vec();
            rest.retain(|part| !common.contains(part));
            Node::And(rest).flatten()
        });
        let rest = Node::Or(rest.collect());
        common.push(rest);
        self.and(common, rounds - 1)
    }
}

/// The children of an `and`, or the node itself.
fn parts(node: &Node) -> &[Node] {
    match node {
        Node::And(children) => children,
        other => std::slice::from_ref(other),
    }
}

/// The children of an `or`; none of another node.
fn branches(node: &Node) -> &[Node] {
    match node {
        Node::Or(branches) => branches,
        _ => &[],
    }
}

/// The children of a node of one kind once it is flat, or the node itself.
fn flat(node: Node, and: bool) -> Vec<Node> {
    match node.flatten() {
        Node::And(children) if and => children,
        Node::Or(children) if !and => children,
        other => vec![other],
    }
}

/// `(a ∨ x)·(a ∨ y) = a ∨ x·y`, for the branch that most `or`s share.
fn share(mut children: Vec<Node>) -> Vec<Node> {
    loop {
        let all = children.iter().flat_map(branches);
        let count = |branch: &Node| {
            let with = children
                .iter()
                .filter(|child| branches(child).contains(branch));
            with.count()
        };
        let most = all
            .map(|branch| (count(branch), branch))
            .max_by_key(|(count, _)| *count);
        let Some((2.., shared)) = most else {
            return children;
        };
        let shared = shared.clone();
        let (with, without): (Vec<Node>, Vec<Node>) = children
            .into_iter()
            .partition(|child| branches(child).contains(&shared));
        let mut common: Vec<Node> = with.first().map(branches).unwrap_or_default().to_vec();
        common.retain(|branch| with.iter().all(|node| branches(node).contains(branch)));
        let mut rest = Vec::new();
        let mut whole = false;
        for node in &with {
            let mut left = branches(node).to_vec();
            left.retain(|branch| !common.contains(branch));
            whole |= left.is_empty();
            rest.push(Node::Or(left).flatten());
        }
        if !whole {
            common.push(Node::And(rest));
        }
        children = without;
        children.push(Node::Or(common).flatten());
    }
}

/// `a·(x ∨ y) = a·x ∨ y` where `y` implies `a`: spares the slot of `a` where `y` has one that `x` does not use.
fn push_down(children: &mut Vec<Node>) {
    let implied = |atom: &Atom, branch: &Node| {
        let Some((form, wanted)) = demand(atom) else {
            return false;
        };
        parts(branch).iter().any(|part| match part {
            Node::Atom(other) => demand(other)
                .is_some_and(|(other, range)| other == form && meet(range, wanted) == range),
            _ => false,
        })
    };
    for index in 0..children.len() {
        let Some(Node::Atom(atom)) = children.get(index).cloned() else {
            continue;
        };
        if atom.relation != Relation::GeZero {
            continue;
        }
        for place in 0..children.len() {
            let Some(Node::Or(branches)) = children.get(place) else {
                continue;
            };
            if !branches.iter().any(|branch| implied(&atom, branch)) {
                continue;
            }
            let pushed = branches.iter().map(|branch| {
                if implied(&atom, branch) {
                    branch.clone()
                } else {
                    Node::And(vec![Node::Atom(atom.clone()), branch.clone()]).flatten()
                }
            });
            let pushed = Node::Or(pushed.collect());
            let slots = children.get(place).map_or(0, Node::slots);
            if pushed.slots() <= slots {
                if let Some(child) = children.get_mut(place) {
                    *child = pushed;
                }
                children.remove(index);
                return;
            }
        }
    }
}
