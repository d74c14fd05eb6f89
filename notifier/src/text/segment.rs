//! How many segments a text is sent in (3GPP TS 23.038 §6.2.1, TS 23.040 §9.2.3.24.1).

/// The GSM 7-bit default alphabet without the escape character.
pub(crate) const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: each takes two septets.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How a text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Septets: 160 in one segment, 153 in each of several.
    Gsm7,
    /// UTF-16 code units: 70 in one segment, 67 in each of several.
    Ucs2,
}

/// Encoding and number of segments of a text.
pub fn segments(text: &str) -> (Encoding, usize) {
    let septets = text.chars().try_fold(0_usize, |sum, c| {
        if BASIC.contains(c) {
            Some(sum + 1)
        } else if EXTENSION.contains(c) {
            Some(sum + 2)
        } else {
            None
        }
    });
    let (encoding, units, single, each) = match septets {
        Some(septets) => (Encoding::Gsm7, septets, 160, 153),
        None => (Encoding::Ucs2, text.encode_utf16().count(), 70, 67),
    };
    let count = if units <= single {
        1
    } else {
        units.div_ceil(each)
    };
    (encoding, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_networks_bill_them() {
        assert_eq!(segments(""), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"a".repeat(160)), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"a".repeat(161)), (Encoding::Gsm7, 2));
        assert_eq!(segments(&"a".repeat(307)), (Encoding::Gsm7, 3));
        assert_eq!(segments(&"€".repeat(80)), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"€".repeat(81)), (Encoding::Gsm7, 2));
        assert_eq!(segments("¿Está?").0, Encoding::Ucs2);
        assert_eq!(segments(&"á".repeat(71)), (Encoding::Ucs2, 2));
        assert_eq!(BASIC.chars().count(), 127);
    }
}
