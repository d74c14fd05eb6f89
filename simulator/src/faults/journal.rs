//! What nodes that keep a journal must never have done, whatever died when.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::demo::folder::Folder;

/// What is wrong with the journals of `folder`, and how many lines they have.
pub fn check(folder: &Folder, count: u16) -> (Vec<String>, usize) {
    let mut text = String::new();
    for node in 1..=count {
        let path = folder.path(format!("logs/journal-{node}.jsonl"));
        text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
    }
    violations(&text)
}

/// Whether two lines show one nonce in two sessions, two shares of one session, or two values for one leaf.
fn violations(text: &str) -> (Vec<String>, usize) {
    let mut wrong = Vec::new();
    let mut lines = 0;
    // Nonce commitments, by signer: the session that each was made for. What a coordinator tells others of its quorum
    // shows its own too, for which it asks nobody.
    let mut sessions: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut shared: BTreeSet<(String, String)> = BTreeSet::new();
    let mut leaves: BTreeMap<(String, String), String> = BTreeMap::new();
    let at = |line: &Value, path: &str| line.pointer(path).map(Value::to_string);
    for line in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        lines += 1;
        let node = at(&line, "/node").unwrap_or_default();
        let session = at(&line, "/asked/session").unwrap_or_default();
        let mut commits = |signer: &str, commitments: Option<&Value>| {
            for commitment in commitments.and_then(Value::as_array).into_iter().flatten() {
                let key = (signer.to_owned(), commitment.to_string());
                let earlier = sessions.entry(key).or_insert_with(|| session.clone());
                if *earlier != session {
                    wrong.push(format!("node {signer} used a nonce in two sessions"));
                }
            }
        };
        match line.get("topic").and_then(Value::as_str) {
            Some("sign.commit") => commits(&node, line.pointer("/answer/commitments")),
            Some("asks sign.share") => {
                let all = line
                    .pointer("/asked/commitments")
                    .and_then(Value::as_object);
                for (signer, commitments) in all.into_iter().flatten() {
                    commits(signer, Some(commitments));
                }
            }
            Some("sign.share") if !shared.insert((node.clone(), session.clone())) => {
                wrong.push(format!("node {node} gave two shares for one session"));
            }
            Some("attest.acks") => {
                let array = |path| line.pointer(path).and_then(Value::as_array);
                let asked = array("/asked/requests").into_iter().flatten();
                let answered = array("/answer/requests").into_iter().flatten();
                let acks = asked.zip(answered).flat_map(|(request, acks)| {
                    let acks = acks.as_array().into_iter().flatten();
                    acks.map(move |ack| (request, ack))
                });
                for (request, ack) in acks {
                    let (Some(leaf), Some(hash)) = (at(ack, "/0"), at(ack, "/1")) else {
                        continue;
                    };
                    let key = (node.clone(), format!("{request}{leaf}"));
                    let earlier = leaves.entry(key).or_insert_with(|| hash.clone());
                    if *earlier != hash {
                        wrong.push(format!("node {node} acknowledged two values for one leaf"));
                    }
                }
            }
            _ => {}
        }
    }
    (wrong, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(lines: &[Value]) -> Vec<String> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        violations(&text).0
    }

    #[test]
    fn two_uses_of_a_nonce_two_shares_and_two_values_are_found() {
        let commit = |session: &str| json!({"node": 2, "topic": "sign.commit", "asked": {"session": session}, "answer": {"commitments": ["n"]}});
        assert!(of(&[commit("a"), commit("a")]).is_empty());
        assert_eq!(of(&[commit("a"), commit("b")]).len(), 1);
        let asks = json!({"node": 1, "topic": "asks sign.share", "asked": {"session": "b", "commitments": {"2": ["n"]}}});
        assert_eq!(of(&[commit("a"), asks]).len(), 1);
        let share =
            json!({"node": 2, "topic": "sign.share", "asked": {"session": "a"}, "answer": {}});
        assert_eq!(of(&[share.clone(), share]).len(), 1);
        let acks = |hash: &str| {
            json!({"node": 2, "topic": "attest.acks", "asked": {"requests": ["q", "r"]},
                "answer": {"requests": [[], [[{"index": 0}, hash]]]}})
        };
        assert!(of(&[acks("h"), acks("h")]).is_empty());
        assert_eq!(of(&[acks("h"), acks("i")]).len(), 1);
    }
}
