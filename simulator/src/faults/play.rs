//! One scenario on real processes, and the verdict on it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contracts::checkpoint::Checkpoint;
use contracts::ids::{Committee, NodeId, Verdict, quorum};
use contracts::merkle::consistent;
use oracles::ceremony::KeyId;
use oracles::wire::ledger::{CheckpointAnswer, ConsistencyAnswer};
use profile::api::types::{Question, State};

use super::client::{self, Owner, Step, decide, timed};
use super::cluster::{Cluster, copy_template};
use super::fault::{At, Fault};
use super::journal;
use super::naming::{self, Charge, Named};
use super::scenario::{Act, Scenario};
use super::sources::{ASKED_ABOUT, Reads, Sources};
use crate::demo::DemoError;
use crate::demo::folder::Folder;
use crate::demo::network::oracle_name;
use crate::demo::oracle_config::first_nodes;

/// Somebody else, over the limit.
const SECOND: &str = "bruno";
/// How long logs may take to name a node after the last request.
const NAMING_LIMIT: Duration = Duration::from_secs(12);
/// By how much longer a coordinator lives than the one before.
const ABANDONED_AFTER: Duration = Duration::from_millis(15);
/// The key that generations generate: one of the suite whose shares the liar can forge.
const GENERATED: KeyId = KeyId::Signing(Committee::Income);
/// A key generated before it where somebody replays: from it he has what he says again.
const GENERATED_BEFORE: KeyId = KeyId::Signing(Committee::Medical);

/// How a scenario went.
#[derive(Debug)]
pub struct Outcome {
    /// The requests, in order.
    pub steps: Vec<Step>,
    /// Who was named for what, of the faulty nodes.
    pub named: Vec<Named>,
    /// What should not have been.
    pub violations: Vec<String>,
}

impl Outcome {
    /// The worst charge against each faulty node, in words for a table.
    pub fn charges(&self) -> String {
        let mut nodes: Vec<NodeId> = self.named.iter().map(|named| named.node).collect();
        nodes.dedup();
        nodes
            .into_iter()
            .filter_map(|node| {
                let of_node = self.named.iter().filter(|named| named.node == node);
                let worst = of_node.max_by_key(|named| named.charge)?;
                let charge = match worst.charge {
                    Charge::Silent => "silent",
                    Charge::Refused => "refused",
                    Charge::Lied => "lied",
                };
                Some(format!("{node} {charge}"))
            })
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The scenario of one run.
pub struct Play<'a> {
    scenario: &'a Scenario,
    sources: &'a Sources<'a>,
    cluster: Cluster<'a>,
    steps: Vec<Step>,
    violations: Vec<String>,
    errors: BTreeSet<Named>,
}

/// Plays a scenario in `folder`, from a template that its acts other than key generation start from.
///
/// # Errors
/// The set-up: what the scenario is about is in the outcome.
pub async fn play(
    scenario: &Scenario,
    sources: &Sources<'_>,
    template: &Folder,
    folder: &Folder,
) -> Result<Outcome, DemoError> {
    if ![Act::Generate, Act::Abandon].contains(&scenario.act) {
        copy_template(template, folder)?;
    }
    let reads = Reads {
        // The bribe of colluders is a job that they say was lost.
        job_lost: scenario.act != Act::Collude,
        doctored: false,
    };
    let journal = scenario.act == Act::Return;
    let cluster = Cluster::open(folder, sources, scenario.n, reads, journal).await?;
    let mut play = Play {
        scenario,
        sources,
        cluster,
        steps: Vec::new(),
        violations: Vec::new(),
        errors: BTreeSet::new(),
    };
    match scenario.act {
        Act::Serve => play.serve(&scenario.faults).await?,
        Act::Collude => play.collude().await?,
        Act::Generate => play.generate().await?,
        Act::Abandon => play.abandon().await?,
        Act::Return => play.come_back().await?,
    }
    let outcome = play.judge().await;
    Ok(outcome)
}

impl Play<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    fn decision_bounds(&self) -> (Duration, Duration) {
        let n = self.scenario.n;
        let bounds = self.sources.bounds;
        (bounds.attestation(n), bounds.decision(n))
    }

    /// Everything that owners ask for, which must succeed.
    async fn serve(&mut self, faults: &[At]) -> Result<(), DemoError> {
        self.cluster.start(faults).await?;
        self.cluster.start_profile().await?;
        self.ask_all(ASKED_ABOUT, Verdict::Yes).await;
        self.must_succeed();
        self.look_into_requests()?;
        self.compare_logs().await;
        Ok(())
    }

    /// What every honest node was asked, as it reads it.
    fn look_into_requests(&mut self) -> Result<(), DemoError> {
        let faulty = self.scenario.faulty();
        for node in first_nodes(self.scenario.n).filter(|node| !faulty.contains(node)) {
            let found = self.cluster.requests_of(node, self.sources.today)?;
            self.violations.extend(found);
        }
        Ok(())
    }

    async fn ask_all(&mut self, person: &str, truth: Verdict) {
        let n = self.scenario.n;
        let bounds = self.decision_bounds();
        let steps = &mut self.steps;
        let enrol = Owner::enrol(&self.cluster, self.sources, person);
        let mut violation = None;
        if let Some(owner) = timed(steps, "enrol", self.sources.bounds.enrolment(n), enrol).await
            && let Some(question) = decide(steps, &owner, bounds).await
        {
            violation = audited(&owner, &question, truth).await.err();
        }
        let append = client::append(&self.cluster);
        timed(steps, "append", self.sources.bounds.append(n), append).await;
        self.violations.extend(violation);
    }

    /// More liars than a committee stands: nothing wrong may come of it, and an end must.
    async fn collude(&mut self) -> Result<(), DemoError> {
        self.cluster.start(&[]).await?;
        self.cluster.start_profile().await?;
        let n = self.scenario.n;
        let enrol = Owner::enrol(&self.cluster, self.sources, ASKED_ABOUT);
        if timed(
            &mut self.steps,
            "enrol",
            self.sources.bounds.enrolment(n),
            enrol,
        )
        .await
        .is_none()
        {
            self.must_succeed();
            return Ok(());
        }
        let liars = self.scenario.faulty();
        self.cluster.restart(&liars, &self.scenario.faults).await?;
        self.cluster.network.kill("profile").await;
        self.cluster.start_profile().await?;
        let bounds = self.decision_bounds();
        let owner = Owner::resume(&self.cluster, self.sources, ASKED_ABOUT);
        let mut violation = None;
        match owner {
            Ok(owner) => {
                if let Some(question) = decide(&mut self.steps, &owner, bounds).await {
                    // An answer is no fault, if it is the truth: colluders may also hold still.
                    violation = audited(&owner, &question, Verdict::No).await.err();
                }
            }
            Err(error) => violation = Some(error),
        }
        self.violations.extend(violation);
        let lie = |at: &At| at.fault == Fault::WrongValue;
        let attested = self.steps.iter().any(|step| step.name == "prove");
        if self.scenario.faults.iter().all(lie) && attested {
            self.wrong("facts were attested on which no quorum agrees");
        }
        let errors: Vec<String> = self
            .steps
            .iter()
            .filter_map(|step| step.result.clone().err())
            .collect();
        for error in errors {
            self.errors.extend(naming::of_error("profile", &error));
        }
        Ok(())
    }

    /// A generation that must end with an error that names the node, and one that must succeed.
    async fn generate(&mut self) -> Result<(), DemoError> {
        self.cluster.start(&self.scenario.faults).await?;
        let faulty = self.scenario.faulty();
        // A node lies to others, and the one that coordinates is one of them.
        let honest = first_nodes(self.scenario.n).find(|node| !faulty.contains(node));
        let honest = honest.ok_or_else(|| DemoError::Other("no node is honest".to_owned()))?;
        let replays = |at: &At| at.fault == Fault::Replay;
        if self.scenario.faults.iter().any(replays)
            && let Err(error) = self
                .cluster
                .generate(honest, Some(GENERATED_BEFORE))
                .await?
        {
            self.wrong(format!("the generation before it failed: {error}"));
        }
        let since = Instant::now();
        let first = self.cluster.generate(honest, Some(GENERATED)).await?;
        let took = since.elapsed();
        let dies_last =
            |at: &At| matches!(at.fault, Fault::Crash(step, _) if step == "dkg.activate");
        match &first {
            Ok(_) => self.wrong("the key generation succeeded with a faulty member"),
            Err(error) => {
                let named = naming::of_error("coordinator", &error.to_string());
                if error.node().is_none_or(|node| !faulty.contains(&node)) {
                    self.wrong(format!("the error does not name the faulty node: {error}"));
                }
                self.errors.extend(named);
            }
        }
        self.steps.push(Step {
            name: "generate",
            took,
            bound: self.sources.bounds.generation(),
            result: Ok(()),
        });
        // A key that somebody uses already is a key that must not be lost.
        let mut in_use: BTreeSet<String> = BTreeSet::new();
        for node in first_nodes(self.scenario.n).filter(|node| !faulty.contains(node)) {
            in_use.extend(self.group_key(node).await);
        }
        if !in_use.is_empty() && !self.scenario.faults.iter().all(dies_last) {
            self.wrong("a key is in use though its generation failed");
        }
        self.cluster.restart(&faulty, &[]).await?;
        let since = Instant::now();
        let again = self.cluster.generate(honest, Some(GENERATED)).await?;
        self.steps.push(Step {
            name: "generate again",
            took: since.elapsed(),
            bound: self.sources.bounds.generation(),
            result: again.map_err(|error| error.to_string()),
        });
        self.must_succeed();
        let mut keys = BTreeSet::new();
        for node in first_nodes(self.scenario.n) {
            keys.insert(self.group_key(node).await);
        }
        if keys.len() != 1 || keys.contains(&None) {
            self.wrong(format!("the members do not hold one key: {keys:?}"));
        }
        if !in_use.is_empty() && !in_use.iter().all(|key| keys.contains(&Some(key.clone()))) {
            self.wrong("a key that was in use is lost");
        }
        Ok(())
    }

    /// A generation is left at one instant after another; what was in use after one must be what is in use at the end.
    async fn abandon(&mut self) -> Result<(), DemoError> {
        self.cluster.start(&[]).await?;
        let first = first_nodes(self.scenario.n).next();
        let first = first.ok_or_else(|| DemoError::Other("no node".to_owned()))?;
        let mut in_use: BTreeSet<String> = BTreeSet::new();
        let since = Instant::now();
        for attempt in 1u32.. {
            let generation = self.cluster.generate(first, Some(GENERATED));
            let ended = tokio::time::timeout(ABANDONED_AFTER * attempt, generation).await;
            for node in first_nodes(self.scenario.n) {
                in_use.extend(self.group_key(node).await);
            }
            if let Ok(ended) = ended {
                self.steps.push(Step {
                    name: "generate again",
                    took: since.elapsed(),
                    bound: self.sources.bounds.generation(),
                    result: ended?.map_err(|error| error.to_string()),
                });
                break;
            }
        }
        self.must_succeed();
        for node in first_nodes(self.scenario.n) {
            in_use.insert(self.group_key(node).await.unwrap_or_default());
        }
        if in_use.len() != 1 {
            self.wrong(format!("more than one key was in use, or none: {in_use:?}"));
        }
        Ok(())
    }

    async fn group_key(&self, node: NodeId) -> Option<String> {
        let info: oracles::wire::info::NodeInfo = self
            .cluster
            .network
            .get(&oracle_name(node), "/v1/info", None)
            .await
            .ok()?;
        let held = info.keys.iter().find(|held| held.key == GENERATED)?;
        serde_json::to_string(&held.group_key).ok()
    }

    /// A death at a step, a return, and requests that need who returned.
    async fn come_back(&mut self) -> Result<(), DemoError> {
        self.serve(&self.scenario.faults).await?;
        let faulty = self.scenario.faulty();
        for node in &faulty {
            if !self.cluster.network.has_died(&oracle_name(*node)) {
                self.wrong(format!("node {node} did not die: its step was not reached"));
            }
        }
        self.cluster.restart(&faulty, &[]).await?;
        // As many others as may be missing: every quorum now has the nodes that returned.
        let missing = self.scenario.n - quorum(self.scenario.n);
        let others = first_nodes(self.scenario.n)
            .filter(|node| !faulty.contains(node))
            .collect::<Vec<_>>();
        for node in others.iter().rev().take(usize::from(missing)) {
            self.cluster.network.kill(&oracle_name(*node)).await;
        }
        self.ask_all(SECOND, Verdict::No).await;
        self.must_succeed();
        let (wrong, lines) = journal::check(self.cluster.folder, self.scenario.n);
        self.violations.extend(wrong);
        if lines == 0 {
            self.wrong("the nodes kept no journal");
        }
        Ok(())
    }

    fn must_succeed(&mut self) {
        let failed: Vec<String> = self
            .steps
            .iter()
            .filter_map(|step| {
                let error = step.result.as_ref().err()?;
                Some(format!("{} failed: {error}", step.name))
            })
            .collect();
        self.violations.extend(failed);
        self.violations.dedup();
    }

    /// The logs of honest nodes: each a prefix of the longest.
    async fn compare_logs(&mut self) {
        if let Err(error) = self.one_log().await {
            self.wrong(error);
        }
    }

    async fn one_log(&self) -> Result<(), String> {
        let trust = client::trust(&self.cluster)?;
        let faulty = self.scenario.faulty();
        let mut served: Vec<(NodeId, Checkpoint)> = Vec::new();
        for node in first_nodes(self.scenario.n).filter(|node| !faulty.contains(node)) {
            let answer: CheckpointAnswer = self
                .cluster
                .network
                .get(&oracle_name(node), "/v1/ledger/checkpoint", None)
                .await?;
            let checkpoint =
                Checkpoint::open(&answer.checkpoint, trust.origin(), trust.ledger_key())
                    .map_err(|error| format!("the checkpoint of node {node}: {error}"))?;
            served.push((node, checkpoint));
        }
        served.sort_by_key(|(_, checkpoint)| checkpoint.size);
        let Some((holder, longest)) = served.pop() else {
            return Ok(());
        };
        for (node, shorter) in served {
            let (old, new) = (shorter.size, longest.size);
            let path = format!("/v1/ledger/consistency?old={old}&new={new}");
            let proof: ConsistencyAnswer = self
                .cluster
                .network
                .get(&oracle_name(holder), &path, None)
                .await?;
            if !consistent(old, &shorter.root.0, new, &longest.root.0, &proof.path) {
                return Err(format!(
                    "FORKED: the log of node {node} is no prefix of node {holder}'s"
                ));
            }
        }
        Ok(())
    }

    /// What the logs say, once they had time to, and whether it is what they should.
    async fn judge(mut self) -> Outcome {
        let over: Vec<String> = self
            .steps
            .iter()
            .filter(|step| step.took > step.bound)
            .map(|step| {
                format!(
                    "{} took {:.1} s, its bound is {:.0} s",
                    step.name,
                    step.took.as_secs_f64(),
                    step.bound.as_secs_f64()
                )
            })
            .collect();
        self.violations.extend(over);
        let faulty = self.scenario.faulty();
        let expected: BTreeSet<NodeId> = self
            .scenario
            .faults
            .iter()
            // Where no quorum agrees, nobody can tell who lies.
            .filter(|at| at.fault.must_be_named() && self.scenario.act != Act::Collude)
            .map(|at| at.node)
            .collect();
        let mut honest: Vec<String> = first_nodes(self.scenario.n)
            .filter(|node| !faulty.contains(node))
            .map(oracle_name)
            .collect();
        honest.extend(["profile", client::CLIENT].map(str::to_owned));
        let since = Instant::now();
        let said = loop {
            let mut said = naming::read(self.cluster.folder, &honest);
            said.extend(self.errors.clone());
            let named: BTreeSet<NodeId> = said.iter().map(|named| named.node).collect();
            if expected.is_subset(&named) || since.elapsed() > NAMING_LIMIT {
                break said;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        self.cluster.network.end().await;
        for node in &expected {
            if !said.iter().any(|named| named.node == *node) {
                self.wrong(format!("nobody names node {node}"));
            }
        }
        for slandered in said
            .iter()
            .filter(|named| named.charge == Charge::Lied && !faulty.contains(&named.node))
        {
            self.violations.push(format!(
                "{} says that honest node {} lied: {}",
                slandered.by, slandered.node, slandered.words
            ));
        }
        Outcome {
            steps: self.steps,
            named: said
                .into_iter()
                .filter(|named| faulty.contains(&named.node))
                .collect(),
            violations: self.violations,
        }
    }
}

async fn audited(owner: &Owner<'_, '_>, question: &Question, truth: Verdict) -> Result<(), String> {
    match question.state {
        State::Decided | State::Done => owner.audit(question, truth).await,
        state => Err(format!("the question stays {state:?}")),
    }
}
