//! Deterministic CBOR (RFC 8949 §4.2) for everything that is hashed or signed.

pub use ciborium::Value;

/// Encodes a map with text keys: shortest heads, definite lengths, keys in bytewise order of their encoding (§4.2.1).
///
/// Values are nested [`Value`]s without maps or floats, which keeps the result deterministic.
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Vec<u8> {
    let mut entries = entries.map(|(key, value)| (key.to_owned(), value));
    // Encoded text keys compare by length first, then by bytes.
    entries.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    encode(&Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (Value::Text(key), value))
            .collect(),
    ))
}

/// Encodes a value as it stands.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to memory does not fail");
    bytes
}

/// A byte string.
pub fn bytes(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bytes(bytes.as_ref().to_vec())
}

/// A text string.
pub fn text(text: impl ToString) -> Value {
    Value::Text(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_bytewise_order_of_their_encoding_and_heads_are_shortest() {
        let encoded = map([
            ("b", Value::from(24)),
            ("aa", bytes([7])),
            ("a", Value::from(23)),
        ]);
        // {"a": 23, "b": 24, "aa": h'07'} in the notation of RFC 8949 section 8.
        assert_eq!(
            hex::encode(encoded),
            "a361611761621818626161".to_owned() + "4107"
        );
    }
}
