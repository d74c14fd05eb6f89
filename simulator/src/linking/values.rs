//! Every value in what a party has of an owner: scalars, what tokens and encodings hold, numbers and byte strings by place.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::from_base64url;
use contracts::units::Day;
use serde_json::Value;

use super::evidence::{Exchange, Record};

/// Shortest byte string that is taken for one, and length of the pieces that are compared.
const PIECE: usize = 8;
/// Shortest byte string that is taken for a key.
const KEY: usize = 16;
/// Messages of a route whose numbers have a place each; all are searched for equal values.
const PLACES: usize = 3;
/// Deepest nesting that is followed.
const DEPTH: usize = 16;

/// What a record holds.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Text that is no number.
    pub(super) words: BTreeSet<String>,
    /// Every eight bytes in a row of a byte string.
    pub(super) pieces: BTreeSet<u64>,
    /// Numbers, wherever they are.
    pub(super) integers: BTreeSet<i64>,
    /// Numbers by place.
    pub(super) numbers: BTreeMap<String, i64>,
    /// Byte strings by place.
    pub(super) keys: BTreeMap<String, Vec<u8>>,
}

impl Values {
    /// All values of a record.
    pub(super) fn of(record: &Record) -> Self {
        let mut values = Self::default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for exchange in &record.exchanges {
            let nth = counts.entry(&exchange.route).or_default();
            *nth += 1;
            let place = (*nth <= PLACES).then(|| format!("{} {nth}", exchange.route));
            values.exchange(place.as_deref(), exchange);
        }
        for (table, row) in &record.rows {
            let nth = counts.entry(table).or_default();
            *nth += 1;
            let place = format!("table {table} {nth}");
            values.json(Some(&place), row, DEPTH);
        }
        values
    }

    fn exchange(&mut self, place: Option<&str>, exchange: &Exchange) {
        let sub = |name: &str| place.map(|place| format!("{place} {name}"));
        for (name, number) in [
            ("arrival", i64::try_from(exchange.order).unwrap_or(i64::MAX)),
            ("time", exchange.at),
            ("port", exchange.port.into()),
            ("size", i64::try_from(exchange.size).unwrap_or(i64::MAX)),
        ] {
            if let Some(place) = sub(name) {
                self.numbers.insert(place, number);
            }
        }
        let mut lines = exchange.head.lines();
        for part in lines
            .next()
            .unwrap_or_default()
            .split([' ', '/', '?', '&', '='])
        {
            self.text(sub("path").as_deref(), part, DEPTH);
        }
        for line in lines {
            if let Some((name, value)) = line.split_once(':') {
                self.text(sub(name).as_deref(), value.trim(), DEPTH);
            }
        }
        self.json(sub("body").as_deref(), &exchange.body, DEPTH);
        self.json(sub("opened").as_deref(), &exchange.opened, DEPTH);
        // What the party itself said might come back to another.
        self.json(None, &exchange.answer, DEPTH);
    }

    fn json(&mut self, place: Option<&str>, value: &Value, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let sub = |name: &str| place.map(|place| format!("{place}.{name}"));
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    self.json(sub(name).as_deref(), inner, depth);
                }
            }
            Value::Array(items) => {
                for (at, inner) in items.iter().enumerate() {
                    self.json(sub(&at.to_string()).as_deref(), inner, depth);
                }
            }
            Value::Number(number) => {
                if let Some(number) = number.as_i64() {
                    self.number(place, number);
                }
            }
            Value::String(text) => self.text(place, text, depth),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn number(&mut self, place: Option<&str>, number: i64) {
        self.integers.insert(number);
        if let Some(place) = place {
            self.numbers.insert(place.to_owned(), number);
        }
    }

    fn text(&mut self, place: Option<&str>, text: &str, depth: usize) {
        if text.is_empty() {
            return;
        }
        if let Ok(number) = text.parse() {
            return self.number(place, number);
        }
        self.words.insert(text.to_owned());
        if let Ok(day) = text.parse::<Day>() {
            return self.number(place, day.number());
        }
        if let Ok(document @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
            return self.json(place, &document, depth);
        }
        let parts: Vec<&str> = text.split(['.', '~', ' ', ',', ';', '"', ':']).collect();
        for (at, part) in parts.iter().enumerate() {
            let place = match parts.len() {
                1 => place.map(str::to_owned),
                _ => place.map(|place| format!("{place}.{at}")),
            };
            if parts.len() > 1 {
                self.words.insert((*part).to_owned());
            }
            // An application's number is hexadecimal behind a letter.
            let inner = part.split_once('-').map_or(*part, |(_, inner)| inner);
            if let Ok(bytes) = hex::decode(inner) {
                self.bytes(place.as_deref(), &bytes, depth);
            } else if let Ok(bytes) = from_base64url(part) {
                self.bytes(place.as_deref(), &bytes, depth);
            }
        }
    }

    fn bytes(&mut self, place: Option<&str>, bytes: &[u8], depth: usize) {
        if let Ok(document @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(bytes) {
            return self.json(place, &document, depth);
        }
        for piece in bytes.windows(PIECE) {
            let piece = <[u8; PIECE]>::try_from(piece).map(u64::from_be_bytes);
            self.pieces.extend(piece);
        }
        if let Some(place) = place.filter(|_| bytes.len() >= KEY) {
            self.keys.insert(place.to_owned(), bytes.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::encoding::to_base64url;
    use serde_json::json;

    use super::*;

    fn of(body: Value, head: &str) -> Values {
        let exchange = Exchange {
            order: 7,
            at: 1,
            port: 2,
            route: "POST /x".to_owned(),
            head: head.to_owned(),
            size: 3,
            body,
            opened: Value::Null,
            answer: Value::Null,
            answer_size: 0,
        };
        Values::of(&Record {
            exchanges: vec![exchange],
            rows: Vec::new(),
        })
    }

    #[test]
    fn what_a_token_and_a_header_hold_is_found() {
        let payload = to_base64url(json!({"jti": to_base64url([9; 32]), "iat": 1234}).to_string());
        let token = format!(
            "{}.{payload}.{}",
            to_base64url("{\"alg\":\"x\"}"),
            to_base64url([5; 64])
        );
        let head = "POST /x/A-0102030405060708090a0b0c0d0e0f10 HTTP/1.1\r\nx-key: abc-def\r\n\r\n";
        let values = of(json!({"token": token, "day": "2026-06-20"}), head);
        assert_eq!(values.numbers["POST /x 1 body.token.1.iat"], 1234);
        assert_eq!(values.keys["POST /x 1 body.token.1.jti"], [9; 32]);
        assert_eq!(values.keys["POST /x 1 body.token.2"], [5; 64]);
        assert!(values.numbers.contains_key("POST /x 1 body.day"));
        assert!(values.words.contains("abc-def"));
        assert!(values.pieces.contains(&0x0102_0304_0506_0708));
        assert!(values.pieces.contains(&0x0909_0909_0909_0909));
    }
}
