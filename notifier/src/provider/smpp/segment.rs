//! Where a segment belongs in a longer text: the user data header of 3GPP TS 23.040 §9.2.3.24, or the `sar_*` parameters of
//! SMPP 3.4 §5.3.2.22 to 24.

/// Place of a segment in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The phone's number for the text; the three ways of saying it number apart.
    pub(super) reference: u32,
    /// How many segments there are.
    pub(super) total: u8,
    /// Which one this is, from 1.
    pub(super) number: u8,
}

/// Concatenated short messages, 8-bit reference.
const CONCATENATED: u8 = 0x00;
/// Concatenated short messages, 16-bit reference.
const CONCATENATED_WIDE: u8 = 0x08;
const WIDE: u32 = 1 << 16;
const SAR: u32 = 2 << 16;

/// Takes the header off: what it says of the place, and the words behind it. Nothing if it is longer than the text.
pub(super) fn split(octets: &[u8]) -> Option<(Option<Place>, &[u8])> {
    let (length, rest) = octets.split_first()?;
    let (mut header, words) = rest.split_at_checked(usize::from(*length))?;
    let mut place = None;
    while let [id, length, after @ ..] = header {
        let (data, next) = after.split_at_checked(usize::from(*length))?;
        place = match (*id, data) {
            (CONCATENATED, [reference, total, number]) => {
                Some((u32::from(*reference), *total, *number))
            }
            (CONCATENATED_WIDE, [high, low, total, number]) => {
                let reference = u32::from(u16::from_be_bytes([*high, *low]));
                Some((WIDE | reference, *total, *number))
            }
            _ => place,
        };
        header = next;
    }
    let place = place.and_then(|(reference, total, number)| Place::new(reference, total, number));
    Some((place, words))
}

impl Place {
    /// A place that exists in a text of several segments.
    fn new(reference: u32, total: u8, number: u8) -> Option<Self> {
        (total > 1 && (1..=total).contains(&number)).then_some(Self {
            reference,
            total,
            number,
        })
    }

    /// The place that the `sar_*` parameters name.
    pub(super) fn sar(reference: u16, total: u8, number: u8) -> Option<Self> {
        Self::new(SAR | u32::from(reference), total, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_headers() {
        let place = |reference, total, number| {
            Some(Place {
                reference,
                total,
                number,
            })
        };
        assert_eq!(
            split(&[5, 0, 3, 7, 2, 1, b'Y']),
            Some((place(7, 2, 1), &b"Y"[..]))
        );
        assert_eq!(
            split(&[6, 8, 4, 1, 7, 3, 3, b'Y']),
            Some((place(WIDE | 263, 3, 3), &b"Y"[..]))
        );
        // Beside a port (IE 05), and after it.
        assert_eq!(
            split(&[11, 5, 4, 0, 1, 0, 2, 0, 3, 7, 2, 2, b'Y']),
            Some((place(7, 2, 2), &b"Y"[..]))
        );
        assert_eq!(Place::sar(7, 2, 1), place(SAR | 7, 2, 1));
    }

    #[test]
    fn places_that_cannot_be_are_none_and_short_headers_nothing() {
        for (total, number) in [(0, 0), (1, 1), (2, 0), (2, 3)] {
            assert_eq!(split(&[5, 0, 3, 7, total, number]), Some((None, &[][..])));
        }
        for short in [&[][..], &[5], &[5, 0, 3, 7, 2], &[3, 0, 3, 7, 2, 1]] {
            assert_eq!(split(short), None, "{short:?}");
        }
        assert_eq!(split(&[0, b'Y']), Some((None, &b"Y"[..])));
    }
}
