//! Notices, hearings and the time to prove a status.

use crate::units::{BadDate, Day};

/// What kind of adverse action a notice announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdverseAction {
    /// Any other: ten days ahead (42 CFR 431.211).
    Ordinary,
    /// Death, a signed request, admission elsewhere, an unknown address, cover in another state, a change of law or of
    /// level of care: by the day of action (431.213).
    Excepted,
    /// Probable fraud, verified: five days ahead (431.214).
    ProbableFraud,
}

/// Days by which mail is taken to have arrived.
pub(super) const MAIL_DAYS: i64 = 5;

/// Last day to send the notice of an action.
///
/// # Errors
/// Before 1900.
pub fn advance_notice_latest(action: Day, kind: AdverseAction) -> Result<Day, BadDate> {
    action.plus(match kind {
        AdverseAction::Ordinary => -10,
        AdverseAction::Excepted => 0,
        AdverseAction::ProbableFraud => -5,
    })
}

/// Last day to ask for a hearing, 90 days from the mailing of the notice at most (42 CFR 431.221(d)).
///
/// # Errors
/// Past 2199.
pub fn hearing_request_until(notice: Day) -> Result<Day, BadDate> {
    notice.plus(90)
}

/// Whether benefits go on until the hearing: asked for before the day of action (42 CFR 431.230(a)).
pub fn keeps_benefits(asked: Day, action: Day) -> bool {
    asked < action
}

/// Last day of the reasonable opportunity to prove citizenship or status: 90 days from receipt of the notice, which is
/// taken to be five days after its date (42 CFR 435.956(b)(2)).
///
/// # Errors
/// Past 2199.
pub fn reasonable_opportunity_end(notice: Day) -> Result<Day, BadDate> {
    notice.plus(MAIL_DAYS + 90)
}

#[cfg(test)]
mod tests {
    use super::super::tests::day;
    use super::*;

    #[test]
    fn notices_and_their_exceptions() {
        let action = day("2026-03-01");
        let latest = |kind| advance_notice_latest(action, kind).unwrap().to_string();
        assert_eq!(latest(AdverseAction::Ordinary), "2026-02-19");
        assert_eq!(latest(AdverseAction::ProbableFraud), "2026-02-24");
        assert_eq!(latest(AdverseAction::Excepted), "2026-03-01");
        assert!(keeps_benefits(day("2026-02-28"), action));
        assert!(!keeps_benefits(action, action));
        assert_eq!(
            hearing_request_until(day("2026-02-19")),
            Ok(day("2026-05-20"))
        );
        assert_eq!(
            reasonable_opportunity_end(day("2026-01-01")),
            Ok(day("2026-04-06"))
        );
    }
}
