//! Offline audit of a decision bundle: everything is checked again, trusting a trust file and the registered contracts.
//!
//! Checks of time, freshness and reference periods are repeated at the token's `iat`, the instant of the decision. What
//! an offline audit cannot know is whether the token was revoked since: its status list says that.

use serde::Serialize;

use crate::bundle::{Bundle, BundleError};
use crate::encoding::Bytes32;
use crate::ids::{ContractRef, Jurisdiction, Verdict};
use crate::jwk::EcJwk;
use crate::openings::{Opened, Openings, OpeningsError};
use crate::presentation::{self, PresentationError};
use crate::receipt::{EntryKind, ReceiptError};
use crate::rules::{Compiled, Registry, RuleError};
use crate::status::StatusRef;
use crate::token::{self, Claims, TokenError};
use crate::trust::Trust;
use crate::units::{Day, UnixTime};

/// One of the checks of an audit, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The file is one bundle, in its one spelling, without unknown fields.
    Form,
    /// The summary at the top says what presentation and token say.
    Summary,
    /// The contract is registered under this hash and compiles for this jurisdiction and date.
    Contract,
    /// The decision committee signed the token.
    Token,
    /// The token was issued for exactly this presentation.
    Binding,
    /// The decision is in the log, at the index that the token names, and so are the roots that its leaves stand under,
    /// each under a checkpoint of the ledger committee.
    Ledger,
    /// Attestations, purposes, holders' signatures, freshness, periods and the proof, at the token's `iat`.
    Presentation,
    /// Values that the owner opened are those of the bundle's leaves; made where there is an openings file.
    Openings,
}

impl Check {
    /// Every check of a bundle, in order.
    pub const ALL: [Self; 7] = [
        Self::Form,
        Self::Summary,
        Self::Contract,
        Self::Token,
        Self::Binding,
        Self::Ledger,
        Self::Presentation,
    ];
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Form => "form",
            Self::Summary => "summary",
            Self::Contract => "contract",
            Self::Token => "token",
            Self::Binding => "binding",
            Self::Presentation => "presentation",
            Self::Ledger => "ledger",
            Self::Openings => "openings",
        })
    }
}

/// Why a bundle proves nothing; the first check that fails.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// [`Check::Form`].
    #[error("bundle: {0}")]
    Form(#[from] BundleError),
    /// [`Check::Summary`].
    #[error("bundle {0}: differs from presentation.{0}")]
    Summary(&'static str),
    /// [`Check::Contract`]: the question cannot be asked.
    #[error("bundle contract: {0}")]
    Contract(RuleError),
    /// [`Check::Contract`]: another text under the same id.
    #[error("bundle contract.hash: {got} is not the registered text of {id}, {expected}")]
    ContractHash {
        /// Contract id.
        id: String,
        /// Hash of the registered contract in force on the as-of date.
        expected: Bytes32,
        /// Hash in the bundle.
        got: Bytes32,
    },
    /// [`Check::Token`].
    #[error("bundle {0}")]
    Token(#[from] TokenError),
    /// [`Check::Binding`].
    #[error("bundle token claim {claim}: does not match {field}")]
    Binding {
        /// The claim.
        claim: &'static str,
        /// What it should match.
        field: &'static str,
    },
    /// [`Check::Presentation`].
    #[error("bundle: {0}")]
    Presentation(#[from] PresentationError),
    /// [`Check::Ledger`]: the entry is another.
    #[error("bundle receipt.{0}")]
    Entry(&'static str),
    /// [`Check::Ledger`]: a root that its committee signed but the log does not show.
    #[error("bundle roots: {0}")]
    Roots(&'static str),
    /// [`Check::Ledger`]: the receipt does not verify.
    #[error("bundle {0}")]
    Receipt(#[from] ReceiptError),
    /// [`Check::Openings`].
    #[error("openings: {0}")]
    Openings(#[from] OpeningsError),
}

impl AuditError {
    /// The check that failed.
    pub fn check(&self) -> Check {
        match self {
            Self::Form(_) => Check::Form,
            Self::Summary(_) => Check::Summary,
            Self::Contract(_) | Self::ContractHash { .. } => Check::Contract,
            Self::Token(_) => Check::Token,
            Self::Binding { .. } => Check::Binding,
            Self::Presentation(_) => Check::Presentation,
            Self::Entry(_) | Self::Roots(_) | Self::Receipt(_) => Check::Ledger,
            Self::Openings(_) => Check::Openings,
        }
    }

    /// The field of the bundle (or `openings`, the file beside it) that the check is about; the message says more.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Form(_) => "(document)",
            Self::Summary(field) => field,
            Self::Contract(_) => "contract.id",
            Self::ContractHash { .. } => "contract.hash",
            Self::Token(_) | Self::Binding { .. } => "token",
            Self::Presentation(_) => "presentation",
            Self::Entry(_) | Self::Receipt(_) => "receipt",
            Self::Openings(_) => "openings",
            Self::Roots(_) => "roots",
        }
    }
}

/// A check that was made and held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Which.
    pub check: Check,
    /// What was found, in a sentence.
    pub finding: String,
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The contract decided.
    pub contract: ContractRef,
    /// The state whose rules were applied.
    pub jurisdiction: Jurisdiction,
    /// The date the contract was decided for.
    pub as_of: Day,
    /// YES or NO.
    pub verdict: Verdict,
    /// On NO of a group contract: the clauses that fail.
    pub reasons: Vec<String>,
    /// Whom it was decided for.
    pub audience: String,
    /// The subject's pseudonym there.
    pub subject: Bytes32,
    /// When it was decided.
    pub issued_at: UnixTime,
    /// Until when the token may be relied on.
    pub expires_at: UnixTime,
    /// Where to ask whether the token was revoked since: the one thing an offline audit cannot know.
    pub status: StatusRef,
    /// The checks that held: all of [`Check::ALL`], and [`Check::Openings`] where there is a file of them.
    pub checks: Vec<Passed>,
    /// The values that the owner chose to open.
    pub opened: Vec<Opened>,
}

/// Audits the bytes of a bundle.
///
/// # Errors
/// [`AuditError`]: the first check that fails.
pub fn audit(bytes: &[u8], trust: &Trust, registry: &Registry) -> Result<Report, AuditError> {
    let bundle = Bundle::parse(bytes)?;
    let presentation = &bundle.presentation;
    check_summary(&bundle)?;
    let compiled = compile(&bundle, registry)?;
    let claims = token::open(&bundle.token, &trust.decision_keys())?;
    claims.accept(trust.issuer(), &presentation.audience, claims.iat)?;
    check_binding(&bundle, &claims, trust)?;
    presentation.check_month(claims.iat)?;
    let size = check_ledger(&bundle, &claims, trust)?;
    presentation::verify(presentation, &compiled, trust, claims.iat)?;

    let committees: std::collections::BTreeSet<_> = presentation
        .attestations
        .iter()
        .map(|presented| presented.attestation.leaf.committee)
        .collect();
    let finding = |check: Check| match check {
        Check::Form => format!("one RFC 8785 document of {} bytes", bytes.len()),
        Check::Summary => "the summary repeats the presentation".to_owned(),
        Check::Contract => format!(
            "{} is registered under {} and compiles for {} on {}",
            compiled.contract.id, compiled.contract.hash, compiled.jurisdiction, compiled.as_of
        ),
        Check::Token => format!("signed by the decision committee of {}", claims.iss),
        Check::Binding => format!("token {} was issued for this presentation", claims.jti),
        Check::Presentation => format!(
            "{} attestations by {} committees and the proof of {} hold at the token's iat",
            presentation.attestations.len(),
            committees.len(),
            claims.verdict
        ),
        Check::Ledger => format!(
            "entry {} of {} in {}, and the {} roots of its leaves",
            claims.ledger.index,
            size,
            claims.ledger.origin,
            bundle.roots.len()
        ),
        Check::Openings => String::from("none"),
    };
    let checks = Check::ALL
        .into_iter()
        .map(|check| Passed {
            check,
            finding: finding(check),
        })
        .collect();
    Ok(Report {
        contract: claims.contract,
        jurisdiction: claims.jurisdiction,
        as_of: claims.as_of,
        verdict: claims.verdict,
        reasons: claims.reasons,
        audience: claims.aud,
        subject: claims.sub,
        issued_at: claims.iat,
        expires_at: claims.exp,
        status: claims.status.status_list,
        checks,
        opened: Vec::new(),
    })
}

/// Audits the bytes of a bundle and of the openings file beside it.
///
/// # Errors
/// [`AuditError`]: the first check that fails.
pub fn audit_opened(
    bytes: &[u8],
    openings: &[u8],
    trust: &Trust,
    registry: &Registry,
) -> Result<Report, AuditError> {
    let mut report = audit(bytes, trust, registry)?;
    let openings = Openings::parse(openings)?;
    report.opened = openings.check(&Bundle::parse(bytes)?.presentation)?;
    report.checks.push(Passed {
        check: Check::Openings,
        finding: format!("{} values open the leaves they name", report.opened.len()),
    });
    Ok(report)
}

fn check_summary(bundle: &Bundle) -> Result<(), AuditError> {
    let presentation = &bundle.presentation;
    for (field, same) in [
        ("contract", bundle.contract == presentation.contract),
        (
            "jurisdiction",
            bundle.jurisdiction == presentation.jurisdiction,
        ),
        ("as_of", bundle.as_of == presentation.as_of),
        ("verdict", bundle.verdict == presentation.verdict),
    ] {
        if !same {
            return Err(AuditError::Summary(field));
        }
    }
    Ok(())
}

fn compile(bundle: &Bundle, registry: &Registry) -> Result<Compiled, AuditError> {
    let compiled = registry
        .compile(&bundle.contract.id, &bundle.jurisdiction, bundle.as_of)
        .map_err(AuditError::Contract)?;
    if compiled.contract != bundle.contract {
        return Err(AuditError::ContractHash {
            id: bundle.contract.id.clone(),
            expected: compiled.contract.hash,
            got: bundle.contract.hash,
        });
    }
    Ok(compiled)
}

fn check_binding(bundle: &Bundle, claims: &Claims, trust: &Trust) -> Result<(), AuditError> {
    let presentation = &bundle.presentation;
    let cnf = EcJwk::from_compressed(&presentation.cnf);
    for (claim, field, same) in [
        (
            "jti",
            "the digest of presentation",
            claims.jti == presentation.digest(),
        ),
        (
            "sub",
            "the subject of presentation",
            claims.sub == presentation.subject(),
        ),
        (
            "cnf",
            "presentation.cnf",
            cnf.is_ok_and(|cnf| claims.cnf.jwk == cnf),
        ),
        (
            "contract",
            "presentation.contract",
            claims.contract == presentation.contract,
        ),
        (
            "jurisdiction",
            "presentation.jurisdiction",
            claims.jurisdiction == presentation.jurisdiction,
        ),
        (
            "as_of",
            "presentation.as_of",
            claims.as_of == presentation.as_of,
        ),
        (
            "verdict",
            "presentation.verdict",
            claims.verdict == presentation.verdict,
        ),
        (
            "reasons",
            "presentation.reasons",
            claims.reasons == presentation.reasons,
        ),
        (
            "ledger",
            "the origin of the trusted log",
            claims.ledger.origin == trust.origin(),
        ),
    ] {
        if !same {
            return Err(AuditError::Binding { claim, field });
        }
    }
    Ok(())
}

/// Returns the size of the log that the receipt shows.
fn check_ledger(bundle: &Bundle, claims: &Claims, trust: &Trust) -> Result<u64, AuditError> {
    let receipt = &bundle.receipt;
    if receipt.entry.kind != EntryKind::Decision {
        return Err(AuditError::Entry("entry.kind: is not a decision"));
    }
    let commitment = claims
        .commitment_input()
        .commitment(&bundle.presentation.ledger_salt);
    if receipt.entry.commitment != commitment {
        return Err(AuditError::Entry(
            "entry.commitment: does not commit to the token's claims under presentation.ledger_salt",
        ));
    }
    if receipt.index != claims.ledger.index {
        return Err(AuditError::Entry(
            "index: is not the index that the token's ledger claim names",
        ));
    }
    let roots = bundle.presentation.roots();
    if bundle.roots.len() != roots.len() {
        return Err(AuditError::Roots("not one receipt for each root"));
    }
    for (receipt, root) in bundle.roots.iter().zip(roots) {
        if receipt.entry != root.entry() {
            return Err(AuditError::Roots(
                "a receipt of another entry than its root's",
            ));
        }
        receipt.verify(trust)?;
    }
    Ok(receipt.verify(trust)?.size)
}
