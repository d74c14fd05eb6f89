//! Times as these systems write them: RFC 3339, in UTC, to the second.

use contracts::units::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ExternalError, Result};

/// A time as text.
pub(super) fn rfc3339(time: UnixTime) -> Result<String> {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let failed = |error: &dyn std::fmt::Display| ExternalError::Data(error.to_string());
    OffsetDateTime::from_unix_timestamp(time.0)
        .map_err(|error| failed(&error))?
        .format(&format)
        .map_err(|error| failed(&error))
}

/// The second of an RFC 3339 time; none for text that is no such time.
pub(super) fn parsed(text: &str) -> Option<UnixTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(UnixTime(time.unix_timestamp()))
}
