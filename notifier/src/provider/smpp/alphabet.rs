//! Words as octets and back: the SMSC's default alphabet (GSM 03.38, unpacked), Latin-1 and UCS-2 (SMPP 3.4 §5.2.19).

use crate::text::segment::BASIC;

/// Escape to the extension table.
const ESCAPE: u8 = 0x1b;
/// The extension table (3GPP TS 23.038 §6.2.1.1).
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];
/// `data_coding` of the SMSC's default alphabet.
pub(super) const GSM: u8 = 0;
/// `data_coding` of UCS-2.
pub(super) const UCS2: u8 = 8;

fn septet(c: char) -> Option<u8> {
    let at = u8::try_from(BASIC.chars().position(|known| known == c)?).ok()?;
    Some(if at >= ESCAPE { at + 1 } else { at })
}

/// `data_coding` and octets of a text.
pub(super) fn encode(text: &str) -> (u8, Vec<u8>) {
    let mut octets = Vec::with_capacity(text.len());
    for c in text.chars() {
        if let Some(septet) = septet(c) {
            octets.push(septet);
        } else if let Some((_, extended)) = EXTENSION.iter().find(|(known, _)| *known == c) {
            octets.extend([ESCAPE, *extended]);
        } else {
            return (
                UCS2,
                text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            );
        }
    }
    (GSM, octets)
}

/// The words of a text that came in. What no table knows becomes U+FFFD.
pub(crate) fn decode(coding: u8, octets: &[u8]) -> String {
    match coding {
        UCS2 => {
            let units = octets.chunks_exact(2).map(|pair| {
                pair.iter()
                    .fold(0, |unit, octet| unit << 8 | u16::from(*octet))
            });
            char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        // IA5 is ASCII, and Latin-1 is the start of Unicode.
        1 | 3 => octets.iter().map(|octet| char::from(*octet)).collect(),
        _ => decode_gsm(octets),
    }
}

fn decode_gsm(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut octets = octets.iter().copied();
    while let Some(octet) = octets.next() {
        let c = if octet == ESCAPE {
            let next = octets.next();
            EXTENSION
                .iter()
                .find(|(_, known)| Some(*known) == next)
                .map(|(c, _)| *c)
        } else {
            BASIC
                .chars()
                .nth(usize::from(if octet > ESCAPE { octet - 1 } else { octet }))
        };
        text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_the_alphabets() {
        assert_eq!(
            encode("@A é€"),
            (GSM, vec![0x00, 0x41, 0x20, 0x05, 0x1b, 0x65])
        );
        for text in [
            "Reply YES K7",
            "¿Sí? no: tiene í",
            "Responda SI K7 ¿ñ? {x} [y] ~ |",
            "👍 sí",
        ] {
            let (coding, octets) = encode(text);
            assert_eq!(decode(coding, &octets), text);
        }
        assert_eq!(encode("sí").0, UCS2);
        assert_eq!(decode(3, &[0x53, 0xed]), "Sí");
        assert_eq!(
            decode(UCS2, &[0xd8, 0x00, 0x41]),
            "\u{fffd}",
            "half a surrogate, half a unit"
        );
    }
}
