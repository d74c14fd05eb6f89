//! Whom a presentation is counted by: the pseudonym `T` at an audience that keeps cases, elsewhere `N`, which the
//! decision committee alone sees.

use curve25519_dalek::RistrettoPoint;
use serde::{Deserialize, Serialize};

use super::{Presentation, PresentationError};
use crate::encoding::Bytes32;
use crate::group::hash_to_group;
use crate::units::{Period, UnixTime};

/// What an audience is registered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudienceKind {
    /// A state agency: keeps a case per person and must know it again.
    Agency,
    /// An insurer: is asked for plans, without identity.
    Insurer,
    /// A provider: learns whether somebody is covered.
    Provider,
}

impl AudienceKind {
    /// Whether a person must be known again there: by `T`, which is the token's `sub`.
    pub fn keeps_cases(self) -> bool {
        self == Self::Agency
    }
}

/// What a presentation to an audience that keeps no cases says in place of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enquiry {
    /// The calendar month (UTC) in which it is decided, and questions are counted.
    pub period: Period,
    /// The token's `sub`: 32 bytes drawn at random for this presentation.
    pub subject: Bytes32,
}

/// The base of pseudonyms at an audience, `HashToGroup(audience)`.
pub fn pseudonym_base(audience: &str) -> RistrettoPoint {
    hash_to_group("shp/v1/pseudonym", audience.as_bytes())
}

/// The base under which enquiries are counted, `HashToGroup("restraint", audience, period)`.
pub fn restraint_base(audience: &str, period: &Period) -> RistrettoPoint {
    // No audience holds a zero byte: `check_form` wants visible ASCII.
    let message = [audience.as_bytes(), &[0], period.to_string().as_bytes()].concat();
    hash_to_group("shp/v1/restraint", &message)
}

impl Enquiry {
    /// For a decision at an instant, under a subject that the caller drew at random.
    ///
    /// # Errors
    /// [`PresentationError::Now`] outside the calendar.
    pub fn at(decided: UnixTime, subject: Bytes32) -> Result<Self, PresentationError> {
        Ok(Self {
            period: month_of(decided)?,
            subject,
        })
    }
}

fn month_of(instant: UnixTime) -> Result<Period, PresentationError> {
    instant
        .day()
        .and_then(Period::month_of)
        .map_err(|_| PresentationError::Now)
}

impl Presentation {
    /// The base of the presentation's pseudonym: that of `T`, or of `N` in an enquiry.
    pub fn pseudonym_base(&self) -> RistrettoPoint {
        match &self.enquiry {
            None => pseudonym_base(&self.audience),
            Some(enquiry) => restraint_base(&self.audience, &enquiry.period),
        }
    }

    /// The token's `sub`: `T`, or the random subject of an enquiry. Never `N`.
    pub fn subject(&self) -> Bytes32 {
        match &self.enquiry {
            None => (*self.pseudonym.as_bytes()).into(),
            Some(enquiry) => enquiry.subject,
        }
    }

    /// Checks that `T` goes to audiences that keep cases, and to no others.
    ///
    /// # Errors
    /// [`PresentationError::Kind`].
    pub fn check_kind(&self, kind: AudienceKind) -> Result<(), PresentationError> {
        if kind.keeps_cases() == self.enquiry.is_none() {
            Ok(())
        } else {
            Err(PresentationError::Kind(kind))
        }
    }

    /// Checks that an enquiry is counted in the month of its decision, the token's `iat`.
    ///
    /// # Errors
    /// [`PresentationError::Month`].
    pub fn check_month(&self, decided: UnixTime) -> Result<(), PresentationError> {
        match &self.enquiry {
            Some(enquiry) if enquiry.period != month_of(decided)? => {
                Err(PresentationError::Month(enquiry.period))
            }
            _ => Ok(()),
        }
    }

    /// A period that is no month would be a count of its own; `N` in the token would tell the audience what it must not
    /// know.
    pub(super) fn check_enquiry(&self) -> Result<(), PresentationError> {
        let Some(enquiry) = &self.enquiry else {
            return Ok(());
        };
        if Period::month_of(enquiry.period.start).ok() != Some(enquiry.period) {
            return Err(PresentationError::Month(enquiry.period));
        }
        if enquiry.subject.0 == *self.pseudonym.as_bytes() {
            return Err(PresentationError::Subject);
        }
        Ok(())
    }
}
