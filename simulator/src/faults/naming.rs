//! Who is named for what in the logs of honest parties.

use std::collections::BTreeSet;

use contracts::ids::NodeId;
use serde_json::{Map, Value};

use crate::demo::folder::Folder;

/// What a node is said to have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// No answer, in time or at all.
    Silent,
    /// It refused.
    Refused,
    /// It answered what is not so.
    Lied,
}

/// A line that names a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Whom.
    pub node: NodeId,
    /// For what.
    pub charge: Charge,
    /// By whom: the party whose log it is.
    pub by: String,
    /// The words.
    pub words: String,
}

/// Words of a lie, in the logs and errors of nodes and profile.
const LIES: [&str; 12] = [
    "wrong",
    "cheated",
    "cannot be used",
    "differs",
    "another leaf",
    "rebuilt other",
    "derived other",
    "lied",
    "conflict",
    "forged",
    "differing",
    "culprit",
];
/// Reads the logs of these parties, each a file `logs/PARTY.log` of JSON lines.
pub fn read(folder: &Folder, parties: &[String]) -> BTreeSet<Named> {
    let mut all = BTreeSet::new();
    for party in parties {
        let text =
            std::fs::read_to_string(folder.path(format!("logs/{party}.log"))).unwrap_or_default();
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let level = line.get("level").and_then(Value::as_str);
            let fields = line.get("fields").and_then(Value::as_object);
            if let (Some("WARN" | "ERROR"), Some(fields)) = (level, fields) {
                charges(party, fields, &mut all);
            }
        }
    }
    all
}

/// Who is named in the error of a request.
pub fn of_error(by: &str, error: &str) -> BTreeSet<Named> {
    let mut all = BTreeSet::new();
    // "silent: 3, 4; refused: 2; wrong: none; start …", or a text that speaks of a node.
    for part in error.split(';') {
        let (what, nodes) = part.rsplit_once(": ").unwrap_or((part, ""));
        let charge = match what.rsplit(' ').next() {
            Some("silent") => Charge::Silent,
            Some("refused") => Charge::Refused,
            Some("wrong") => Charge::Lied,
            _ => {
                let fields = Map::from_iter([("error".to_owned(), Value::from(part))]);
                charges(by, &fields, &mut all);
                continue;
            }
        };
        for node in nodes.split(", ").filter_map(number) {
            all.insert(Named {
                node,
                charge,
                by: by.to_owned(),
                words: part.trim().to_owned(),
            });
        }
    }
    all
}

fn number(text: &str) -> Option<NodeId> {
    NodeId::new(text.trim().parse().ok()?).ok()
}

fn charges(party: &str, fields: &Map<String, Value>, all: &mut BTreeSet<Named>) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let words: String = fields
        .iter()
        .filter(|(name, _)| !["node", "member"].contains(&name.as_str()))
        .map(|(_, value)| text(value))
        .collect::<Vec<_>>()
        .join(": ");
    // Whom the fields name, the words before any other node is spoken of are about.
    let mut charged: Vec<(NodeId, &str)> = Vec::new();
    let mentions: Vec<(usize, NodeId)> = words
        .match_indices("node ")
        .filter_map(|(at, _)| Some((at, leading_number(words.get(at + 5..)?)?)))
        .collect();
    let before = mentions.first().map_or(words.len(), |(at, _)| *at);
    let listed = ["nodes", "absent"]
        .into_iter()
        .filter_map(|name| fields.get(name))
        .flat_map(|list| {
            let text = text(list);
            let parts = text.split(|character: char| !character.is_ascii_digit());
            parts.filter_map(number).collect::<Vec<_>>()
        });
    let alone = ["node", "member"]
        .into_iter()
        .filter_map(|name| fields.get(name).map(text).as_deref().and_then(number));
    for node in listed.chain(alone) {
        charged.push((node, words.get(..before).unwrap_or_default()));
    }
    // What follows a mention is about that node, up to the next: errors quote what other nodes say of others.
    for (place, (at, node)) in mentions.iter().enumerate() {
        let end = mentions.get(place + 1).map_or(words.len(), |(at, _)| *at);
        charged.push((*node, words.get(*at..end).unwrap_or_default()));
    }
    for (node, about) in charged {
        // A node's own number in its own log says whose log it is.
        if party == crate::demo::network::oracle_name(node) {
            continue;
        }
        let charge = if about.replace("connection refused", "").contains("refuse") {
            Charge::Refused
        } else if LIES.iter().any(|word| about.contains(word)) {
            Charge::Lied
        } else {
            // "did not answer", "is silent", "took no part", "connection broken" and the like.
            Charge::Silent
        };
        all.insert(Named {
            node,
            charge,
            by: party.to_owned(),
            words: words.clone(),
        });
    }
}

fn leading_number(text: &str) -> Option<NodeId> {
    let end = text.find(|character: char| !character.is_ascii_digit());
    number(text.get(..end.unwrap_or(text.len()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(all: &BTreeSet<Named>) -> Vec<(u16, Charge)> {
        all.iter().map(|it| (it.node.get(), it.charge)).collect()
    }

    #[test]
    fn an_error_names_whom_it_lists_and_nobody_else() {
        let error = "attestation request, committee income: 2 of the 3 good answers needed; silent: 4; refused: none; \
                     wrong: 1, 12; start the missing nodes and ask again";
        assert_eq!(
            named(&of_error("profile", error)),
            [(1, Charge::Lied), (4, Charge::Silent), (12, Charge::Lied)]
        );
        let error = "income, round 2: node 3 cheated: a share that is none; remove or repair it before running again";
        assert_eq!(named(&of_error("client", error)), [(3, Charge::Lied)]);
        assert!(of_error("profile", "committee income: 4 of 3").is_empty());
    }

    #[test]
    fn a_log_names_others_than_its_own_node() {
        let folder = Folder::open(None).unwrap();
        let lines = [
            r#"{"level":"WARN","fields":{"message":"signing ceremony","node":"1","fault":"node 3 gave a wrong signature share"}}"#,
            r#"{"level":"WARN","fields":{"message":"no signer","node":"1","member":"2","error":"node 2 did not answer: timed out"}}"#,
            r#"{"level":"WARN","fields":{"message":"append failed","error":"node 5: 4 of 5; missing: node 6 (node 6 answered what cannot be used)"}}"#,
            r#"{"level":"INFO","fields":{"message":"node started","node":"4"}}"#,
            "thread panicked at node 7",
        ];
        folder
            .write("logs/oracle-1.log", lines.join("\n").as_bytes())
            .unwrap();
        let all = read(&folder, &["oracle-1".to_owned(), "none".to_owned()]);
        assert_eq!(
            named(&all),
            [
                (2, Charge::Silent),
                (3, Charge::Lied),
                (5, Charge::Silent),
                (6, Charge::Silent),
                (6, Charge::Lied),
            ],
            "node 5 only says that node 6 lied"
        );
    }
}
