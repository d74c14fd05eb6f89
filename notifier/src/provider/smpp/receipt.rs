//! Delivery receipts: the text of SMPP 3.4 appendix B, or the parameters of §5.3.2.

use super::super::{Cause, Delivery};

/// What a receipt says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) id: Option<String>,
    pub(super) delivery: Delivery,
    pub(super) cause: Cause,
}

/// Reads `id:… sub:… dlvrd:… submit date:… done date:… stat:DELIVRD err:000 text:…`.
pub(super) fn parse(text: &str) -> Receipt {
    let field = |name: &str| {
        let at = text.to_ascii_lowercase().find(name)? + name.len();
        text.get(at..)?.split_whitespace().next().map(str::to_owned)
    };
    let stat = field("stat:").unwrap_or_default();
    Receipt {
        id: field("id:").filter(|id| id.len() <= 64),
        delivery: state(&stat),
        cause: if stat == "UNDELIV" {
            network_cause(&field("err:").unwrap_or_default())
        } else {
            Cause::Other
        },
    }
}

fn state(stat: &str) -> Delivery {
    match stat {
        "DELIVRD" => Delivery::Delivered,
        "EXPIRED" | "DELETED" | "UNDELIV" | "REJECTD" => Delivery::Failed,
        // ENROUTE, ACCEPTD, UNKNOWN: nothing final.
        _ => Delivery::Sent,
    }
}

/// The network's error in three digits, as most SMSCs have it: MAP errors of 3GPP TS 29.002 (1 unknown subscriber, 9 illegal
/// subscriber, 11 teleservice not provisioned).
fn network_cause(error: &str) -> Cause {
    match error.parse::<u16>() {
        Ok(1 | 9 | 11) => Cause::Number,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_read() {
        let receipt = parse(
            "id:0A1B sub:001 dlvrd:001 submit date:2611200900 done date:2611200901 stat:DELIVRD err:000 text:CA cov",
        );
        assert_eq!(
            receipt,
            Receipt {
                id: Some("0A1B".to_owned()),
                delivery: Delivery::Delivered,
                cause: Cause::Other
            }
        );
        assert_eq!(parse("id:7 stat:UNDELIV err:001").cause, Cause::Number);
        assert_eq!(
            parse("id:7 stat:UNDELIV err:006"),
            Receipt {
                id: Some("7".to_owned()),
                delivery: Delivery::Failed,
                cause: Cause::Other
            }
        );
        assert_eq!(parse("id:7 stat:ENROUTE").delivery, Delivery::Sent);
        assert_eq!(parse("hello").id, None);
    }
}
