//! Decisions: nonces of the decision nodes, a presentation, a token that says what was proved.

use contracts::attestation::SignedRoot;
use contracts::encoding::Bytes32;
use contracts::ids::{Committee, NodeId};
use contracts::presentation::Presentation;
use contracts::receipt::{EntryKind, Receipt};
use contracts::token::{self, Claims};
use oracles::wire::decision::{DecideAnswer, DecideRequest, NonceAnswer};
use serde::{Deserialize, Serialize};

use super::attest::NONCES;
use super::gather::gather;
use super::{Failure, OracleError, Oracles};

/// A decision that checks out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Compact JWS.
    pub token: String,
    /// Receipt of its ledger entry.
    pub receipt: Receipt,
    /// Receipts of the roots that the presentation's leaves stand under.
    pub roots: Vec<Receipt>,
}

/// Refusals that a new presentation, with fresh nonces and other leaves, answers.
const SPENT: [&str; 4] = ["nonce", "replayed-nonce", "stale", "replayed-attestation"];

/// What came of showing a presentation.
#[derive(Debug)]
pub enum Decided {
    /// A token.
    Token(Box<Decision>),
    /// The decision nodes will not take this presentation, now or later: its nonces ran out, say. A new one needs
    /// other leaves. The code says why.
    Spent(String),
}

impl Oracles {
    /// Nonces of the decision nodes, ascending: of all that answer within a bounded time, at least a quorum.
    ///
    /// # Errors
    /// [`OracleError`].
    pub async fn decision_nonces(&self) -> Result<Vec<(NodeId, Bytes32)>, OracleError> {
        let committee = Committee::Decision;
        let (members, quorum) = self.committee(committee);
        let calls = members.iter().map(|&node| {
            let call = async move {
                let answer: NonceAnswer = self
                    .post(
                        node,
                        "/v1/decision/nonce",
                        &serde_json::json!({}),
                        self.call_timeout(),
                        super::ANSWER_CAP,
                    )
                    .await?;
                if answer.node != node || answer.expires <= self.clock.now() {
                    return Err(Failure::Wrong("another node's, or stale".to_owned()));
                }
                Ok(answer.nonce)
            };
            (node, call)
        });
        let answers = gather(
            NONCES,
            committee,
            calls,
            quorum,
            self.grace(),
            self.call_timeout(),
        )
        .await;
        if answers.good.len() < usize::from(quorum) {
            return Err(answers.into_error(NONCES, committee, quorum));
        }
        Ok(answers.good)
    }

    /// Shows a presentation. Shown again, at whichever node, it gets the same claims.
    ///
    /// # Errors
    /// [`OracleError`] when asking again may help.
    pub async fn decide(&self, presentation: &Presentation) -> Result<Decided, OracleError> {
        let committee = Committee::Decision;
        let coordinators: Vec<NodeId> = presentation.nonces.iter().map(|(node, _)| *node).collect();
        let body = DecideRequest {
            presentation: presentation.clone(),
        };
        let check = |_, answer: DecideAnswer| {
            if !answer.absent.is_empty() {
                tracing::warn!(absent = ?answer.absent, "decision nodes took no part");
            }
            let decision = Decision {
                token: answer.token,
                receipt: answer.receipt,
                roots: answer.roots,
            };
            self.check_decision(presentation, &decision)
                .map_err(Failure::Wrong)?;
            Ok(decision)
        };
        let path = "/v1/decision/decide";
        let decided = self
            .coordinate("decision", committee, &coordinators, path, &body, check)
            .await;
        match decided {
            Ok(decision) => Ok(Decided::Token(Box::new(decision))),
            Err(OracleError::Refused { code, .. }) if SPENT.contains(&code.as_str()) => {
                Ok(Decided::Spent(code))
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that a token says what the presentation proved, under a trusted key, and is the one in the ledger.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_decision(
        &self,
        presentation: &Presentation,
        decision: &Decision,
    ) -> Result<Claims, String> {
        let claims = token::verify(
            &decision.token,
            &self.trust().decision_keys(),
            self.trust().issuer(),
            &presentation.audience,
            self.clock.now(),
        )
        .map_err(|error| error.to_string())?;
        let said = (
            &claims.jti,
            claims.sub,
            claims.cnf.jwk.to_compressed(),
            &claims.contract,
            claims.jurisdiction,
            claims.as_of,
            claims.verdict,
            &claims.reasons,
        );
        let proved = (
            &presentation.digest(),
            presentation.subject(),
            presentation.cnf,
            &presentation.contract,
            presentation.jurisdiction,
            presentation.as_of,
            presentation.verdict,
            &presentation.reasons,
        );
        if said != proved {
            return Err("the token does not say what the presentation proved".to_owned());
        }
        let receipt = &decision.receipt;
        receipt
            .verify(&self.trust())
            .map_err(|error| error.to_string())?;
        let commitment = claims
            .commitment_input()
            .commitment(&presentation.ledger_salt);
        let recorded = (EntryKind::Decision, commitment, receipt.index);
        if (
            receipt.entry.kind,
            receipt.entry.commitment,
            claims.ledger.index,
        ) != recorded
        {
            return Err("the receipt is not that of the token's ledger entry".to_owned());
        }
        let roots = presentation.roots().into_iter().map(SignedRoot::entry);
        if !roots.eq(decision.roots.iter().map(|receipt| receipt.entry)) {
            return Err("the receipts are not those of the leaves' roots".to_owned());
        }
        for root in &decision.roots {
            root.verify(&self.trust())
                .map_err(|error| error.to_string())?;
        }
        if claims.ledger.origin != self.trust().origin() {
            return Err("the token names another log".to_owned());
        }
        Ok(claims)
    }
}
