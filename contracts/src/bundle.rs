//! A decision bundle: everything an auditor needs to check one decision offline, as RFC 8785 JSON.
//!
//! It goes to the owner and to whom the owner shows it, and to no one else: its leaves are known to their issuers.

use serde::{Deserialize, Serialize};

use crate::encoding::to_jcs;
use crate::ids::{ContractRef, Jurisdiction, Verdict};
use crate::presentation::{MAX_LEAVES, MAX_PRESENTATION_BYTES, Presentation};
use crate::receipt::Receipt;
use crate::token::MAX_TOKEN_BYTES;
use crate::units::Day;

/// The version that this crate writes and reads.
pub const VERSION: u16 = 1;
/// Most bytes of a bundle that are parsed: presentation, token, 4 KiB for a receipt of each root, and 16 KiB for that of
/// the decision and the summary.
pub const MAX_BUNDLE_BYTES: usize =
    MAX_PRESENTATION_BYTES + MAX_TOKEN_BYTES + MAX_LEAVES * 4 * 1024 + 16 * 1024;

/// A file that is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Longer than is parsed.
    #[error("{0} bytes, more than the {MAX_BUNDLE_BYTES} that are read")]
    TooLarge(usize),
    /// Not JSON, or a field that is missing, unknown, repeated or of the wrong form.
    #[error("{0}")]
    Json(String),
    /// Not the bytes that RFC 8785 gives for its content.
    #[error(
        "not in RFC 8785 (JCS) form: byte {0} differs from what the same content is written as"
    )]
    NotCanonical(usize),
    /// Written for another version of this program.
    #[error("version: expected {VERSION}, got {0}")]
    Version(u16),
}

/// One decision with its evidence.
///
/// The salt of the ledger commitment is the presentation's `ledger_salt` and is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`VERSION`].
    pub version: u16,
    /// The contract decided.
    pub contract: ContractRef,
    /// The state whose rules were applied.
    pub jurisdiction: Jurisdiction,
    /// The date the contract was decided for.
    pub as_of: Day,
    /// YES or NO.
    pub verdict: Verdict,
    /// Attestations and proof.
    pub presentation: Presentation,
    /// The decision token, a compact JWS.
    pub token: String,
    /// Receipt of the `decision` entry.
    pub receipt: Receipt,
    /// Receipts of the `attestation-root` entries, one for each of [`Presentation::roots`], in their order.
    pub roots: Vec<Receipt>,
}

impl Bundle {
    /// The bundle of a presentation and what the decision committee answered to it.
    pub fn new(
        presentation: Presentation,
        token: String,
        receipt: Receipt,
        roots: Vec<Receipt>,
    ) -> Self {
        Self {
            version: VERSION,
            contract: presentation.contract.clone(),
            jurisdiction: presentation.jurisdiction,
            as_of: presentation.as_of,
            verdict: presentation.verdict,
            presentation,
            token,
            receipt,
            roots,
        }
    }

    /// The bytes of the file.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_jcs(self).expect("every field of a bundle has a JSON form")
    }

    /// Reads a file, which must be exactly what [`Bundle::to_bytes`] writes.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let bundle: Self =
            serde_json::from_slice(bytes).map_err(|error| BundleError::Json(error.to_string()))?;
        let canonical = bundle.to_bytes();
        if canonical != bytes {
            let common = canonical.iter().zip(bytes).take_while(|(a, b)| a == b);
            return Err(BundleError::NotCanonical(common.count()));
        }
        if bundle.version != VERSION {
            return Err(BundleError::Version(bundle.version));
        }
        Ok(bundle)
    }
}
