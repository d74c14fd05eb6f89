//! What a run leaves behind: bundles and tokens, audited, under a log that a quorum of oracles serves alike.

use contracts::audit::audit;
use contracts::checkpoint::Checkpoint;
use contracts::ids::{NodeId, quorum};
use contracts::merkle::consistent;
use contracts::rules::registry;
use contracts::trust::Trust;
use oracles::wire::ledger::{CheckpointAnswer, ConsistencyAnswer};
use profile::api::types::{Question, TokenAnswer};

use super::fault::Step;
use super::network::oracle_name;
use super::story::Story;
use super::{Decision, DemoError, ORACLES, oracle_config};

impl Story<'_> {
    pub(super) fn trusted(&self) -> Result<Trust, DemoError> {
        let path = self.folder.path("trust.json");
        let bytes = std::fs::read(&path).map_err(DemoError::file(&path))?;
        Trust::parse(&bytes).map_err(|error| DemoError::Other(error.to_string()))
    }

    /// Compares the checkpoints of all oracles: a quorum must serve them, and every shorter log must be a prefix of the
    /// longest.
    pub(super) async fn compare_logs(&self) -> Result<(), DemoError> {
        let failed = |cause: String| DemoError::step(Step::Bundles)(cause);
        let trust = self.trusted()?;
        let mut served: Vec<(NodeId, Checkpoint)> = Vec::new();
        let mut silent = Vec::new();
        for node in oracle_config::nodes() {
            let answer: Result<CheckpointAnswer, _> = self
                .network
                .get(&oracle_name(node), "/v1/ledger/checkpoint", None)
                .await;
            match answer {
                Ok(answer) => {
                    let checkpoint =
                        Checkpoint::open(&answer.checkpoint, trust.origin(), trust.ledger_key())
                            .map_err(|error| failed(format!("oracle {node}: {error}")))?;
                    served.push((node, checkpoint));
                }
                Err(_) => silent.push(node.to_string()),
            }
        }
        let needed = usize::from(quorum(ORACLES));
        if served.len() < needed {
            return Err(failed(format!(
                "{} of {ORACLES} oracles serve the log, {needed} are needed; silent: {}",
                served.len(),
                silent.join(", ")
            )));
        }
        served.sort_by_key(|(_, checkpoint)| checkpoint.size);
        let Some((holder, longest)) = served.pop() else {
            return Ok(());
        };
        for (node, shorter) in served {
            let (old, new) = (shorter.size, longest.size);
            let path = format!("/v1/ledger/consistency?old={old}&new={new}");
            let proof: ConsistencyAnswer = self
                .network
                .get(&oracle_name(holder), &path, None)
                .await
                .map_err(failed)?;
            if !consistent(old, &shorter.root.0, new, &longest.root.0, &proof.path) {
                return Err(failed(format!(
                    "the log of oracle {node} is not a prefix of that of oracle {holder}"
                )));
            }
        }
        self.say(&format!(
            "the oracles serve one log of {} entries, under threshold-signed checkpoints",
            longest.size
        ));
        Ok(())
    }

    /// Fetches bundle and token of a decision, audits the bundle, and writes both beside the trust file.
    pub(super) async fn keep(&self, id: &str, question: &Question) -> Result<Decision, DemoError> {
        let failed = |cause: String| DemoError::step(Step::Bundles)(cause);
        let (_, enrolled) = self.enrolled(id)?;
        let owner = Some(enrolled.owner_token.as_str());
        let route = format!("/v1/questions/{}", question.question);
        let bundle = self
            .network
            .get_bytes("profile", &format!("{route}/bundle"), owner)
            .await
            .map_err(failed)?;
        let token: TokenAnswer = self
            .network
            .get("profile", &format!("{route}/token"), owner)
            .await
            .map_err(failed)?;
        audit(&bundle, &self.trusted()?, registry())
            .map_err(|error| failed(format!("the bundle of {id}: {error}")))?;
        Ok(Decision {
            subject: id.to_owned(),
            contract: question.contract.id.clone(),
            jurisdiction: question.jurisdiction.to_string(),
            verdict: question
                .verdict
                .map(|verdict| verdict.to_string())
                .unwrap_or_default(),
            reasons: question.reasons.clone(),
            outcome: question
                .outcome
                .and_then(|outcome| serde_json::to_value(outcome).ok())
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default(),
            bundle: self.folder.write(&format!("bundles/{id}.json"), &bundle)?,
            token: self
                .folder
                .write(&format!("tokens/{id}.jwt"), token.token.as_bytes())?,
        })
    }
}
