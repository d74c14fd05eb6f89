//! JSON as sources send it (RFC 8259), read strictly: bounded in depth and size, no name twice in an object, and numbers kept as
//! they are written, so that no amount passes through a float.

mod de;

use std::collections::BTreeMap;

/// Most arrays and objects inside one another.
const MAX_DEPTH: usize = 64;
/// Most values of one document.
const MAX_VALUES: usize = 200_000;
/// Longest number, in characters.
const MAX_NUMBER: usize = 40;

/// A JSON value. No `Debug`: it holds facts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

/// Why a text is not taken: what it should be, and where. Never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What it should be.
    pub(crate) expected: &'static str,
    /// Line, from 1.
    pub(crate) line: usize,
}

impl Json {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`Fault`], where the text stops being strict JSON.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault {
            expected: "UTF-8 text",
            line: 1,
        })?;
        let mut reader = Reader {
            text,
            at: 0,
            values: 0,
        };
        let value = reader
            .value(0)
            .and_then(|value| reader.end().map(|()| value));
        value.map_err(|expected| Fault {
            expected,
            line: 1 + reader.passed().matches('\n').count(),
        })
    }

    /// The value at a JSON Pointer (RFC 6901).
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Self> {
        let mut here = self;
        for token in pointer.split('/').skip(1) {
            here = match here {
                Self::Object(fields) => fields.get(&token.replace("~1", "/").replace("~0", "~"))?,
                Self::Array(items) => items.get(index(token)?)?,
                _ => return None,
            };
        }
        Some(here)
    }

    /// A field of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

/// Whether a text is a JSON Pointer: empty, or tokens that each begin with `/`, with `~` only in `~0` and `~1`.
pub(crate) fn is_pointer(text: &str) -> bool {
    let escapes = |token: &str| {
        token
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']))
    };
    text.is_empty() || (text.starts_with('/') && escapes(text))
}

fn index(token: &str) -> Option<usize> {
    let index: usize = token.parse().ok()?;
    (index.to_string() == token).then_some(index)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

type Read<T> = Result<T, &'static str>;

impl<'a> Reader<'a> {
    fn passed(&self) -> &'a str {
        self.text.get(..self.at).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is not white space, not taken.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let white = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - white.len();
        white.bytes().next()
    }

    fn take(&mut self, expected: u8, what: &'static str) -> Read<()> {
        if self.peek() != Some(expected) {
            return Err(what);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err("one JSON value and nothing after it"),
        }
    }

    fn value(&mut self, depth: usize) -> Read<Json> {
        if depth > MAX_DEPTH {
            return Err("at most 64 levels deep");
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err("at most 200000 values");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err("a JSON value"),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Read<Json> {
        if !self.rest().starts_with(word) {
            return Err("a JSON value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Read<Json> {
        self.at += 1;
        let mut fields = BTreeMap::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(fields));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err("a name in an object");
            }
            let name = self.string()?;
            self.take(b':', "a colon after a name")?;
            let value = self.value(depth + 1)?;
            // Readers disagree on which of two values counts, so neither does.
            if fields.insert(name, value).is_some() {
                return Err("an object whose names are unique");
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err("a comma or the end of an object"),
            }
        }
        self.at += 1;
        Ok(Json::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Read<Json> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err("a comma or the end of an array"),
            }
        }
        self.at += 1;
        Ok(Json::Array(items))
    }

    /// Finds the closing quote; escapes are serde_json's to decode.
    fn string(&mut self) -> Read<String> {
        let rest = self.rest();
        let mut escaped = false;
        let close = rest.bytes().enumerate().skip(1).find(|(_, byte)| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        });
        let literal = close.and_then(|(at, _)| rest.get(..=at));
        let literal = literal.ok_or("a closed string")?;
        self.at += literal.len();
        serde_json::from_str(literal).map_err(|_| "a string without control characters")
    }

    fn number(&mut self) -> Read<Json> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let literal = rest.get(..end).unwrap_or_default();
        if literal.len() > MAX_NUMBER || serde_json::from_str::<f64>(literal).is_err() {
            return Err("a number of at most 40 characters");
        }
        self.at += end;
        Ok(Json::Number(literal.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_serde(json: &Json) -> serde_json::Value {
        match json {
            Json::Null => serde_json::Value::Null,
            Json::Bool(it) => (*it).into(),
            Json::Number(it) => serde_json::from_str(it).unwrap(),
            Json::Text(it) => it.clone().into(),
            Json::Array(items) => items.iter().map(to_serde).collect(),
            Json::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), to_serde(value)))
                .collect(),
        }
    }

    fn refused(text: &str) -> &'static str {
        Json::parse(text.as_bytes()).err().unwrap().expected
    }

    #[test]
    fn bombs_are_refused_and_what_is_read_is_exact() {
        assert!(refused(&"[".repeat(60_000)).contains("levels"));
        assert!(refused(&format!("[{}0]", "0,".repeat(200_000))).contains("values"));
        assert!(refused(r#"{"a":1,"a":1}"#).contains("unique"));
        assert!(refused(&"9".repeat(41)).contains("number"));
        assert!(refused("1e999").contains("number"));
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "1.",
            "nul",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "[] []",
            "\u{feff}[]",
        ] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        let json = Json::parse(br#" {"a/b": [1, {"~": 0.10}]} "#).ok().unwrap();
        let found = json.pointer("/a~1b/1/~0").unwrap();
        assert!(found == &Json::Number("0.10".into()));
        for nothing in ["/a", "/a~1b/01", "/a~1b/-", "/a~1b/2", "/a~1b/0/x"] {
            assert!(json.pointer(nothing).is_none(), "{nothing}");
        }
        let line = Json::parse(b"{\n\"a\": 1,\n}").err().unwrap();
        assert_eq!(line.line, 3);
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_alike(value in document()) {
            let read = Json::parse(value.to_string().as_bytes()).ok().unwrap();
            prop_assert_eq!(to_serde(&read), value);
        }

        #[test]
        fn what_serde_json_refuses_is_refused(text in r#"[\[\]{}:,"\\0-9a-z.eE+\- ]{0,24}"#) {
            if let Ok(read) = Json::parse(text.as_bytes()) {
                let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(to_serde(&read), theirs);
            }
        }
    }
}
