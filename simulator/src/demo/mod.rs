//! `demo`: one eligibility question, answered end to end by real processes, and what it left behind.

mod browser;
pub(crate) mod decisions;
mod evidence;
mod fault;
pub(crate) mod folder;
pub mod form;
pub(crate) mod http_scan;
pub mod live;
pub(crate) mod navigator;
pub(crate) mod network;
pub(crate) mod oracle_config;
pub(crate) mod people;
pub(crate) mod phone;
pub(crate) mod process;
mod report;
pub(crate) mod setup;
pub(crate) mod story;
pub(crate) mod tap;
mod tls_scan;
pub mod trap;
pub mod witness;

use std::path::{Path, PathBuf};

use clap::Args;
use contracts::units::Day;
use serde::Serialize;

pub use fault::{Fault, Step};
pub use report::FactFinder;

/// Oracles of the demo network; each sits on every committee.
pub const ORACLES: u16 = 4;
/// The agency's registered id.
pub const AUDIENCE: &str = "us.ca.dhcs";
/// The registered id of the agency of the state moved to.
pub const AUDIENCE_AWAY: &str = "us.or.oha";
/// The insurer's registered id, as in its plan file.
pub const INSURER: &str = "insurer.bridge-mutual";
/// `iss` of the decision committee's tokens.
pub const ISSUER: &str = "https://decisions.demo.example";
/// Origin of the log.
pub const ORIGIN: &str = "demo.example/ledger";
/// The contract asked about.
pub const CONTRACT: &str = "us.medicaid.adult-group";

/// Options of the demo.
#[derive(Debug, Clone, Default, Args)]
pub struct DemoOptions {
    /// Keep the data in this folder, and continue from what an earlier run left there [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Type the replies to the text messages yourself.
    #[arg(long)]
    pub interactive: bool,
    /// Print a JSON summary as the last line; the files it names are kept.
    #[arg(long)]
    pub json: bool,
    /// Kill an oracle's process when a step begins: kill:ORACLE@STEP. May be given more than once.
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Keep every process up after the story until standard input closes.
    #[arg(long)]
    pub hold: bool,
    /// Tell the story on standard error.
    #[arg(skip)]
    pub aside: bool,
}

impl DemoOptions {
    /// A line of the story.
    fn tell(&self, line: &str) {
        match self.aside {
            true => eprintln!("{line}"),
            false => println!("{line}"),
        }
    }
}

/// Why a run ended early. The data folder keeps its state; a run on the same folder continues.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A file of the data folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A process could not start, or died.
    #[error("{0}")]
    Process(String),
    /// A step of the story failed.
    #[error("step {step}: {cause}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Why, in one line.
        cause: String,
    },
    /// An external system.
    #[error(transparent)]
    External(#[from] crate::external::ExternalError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl DemoError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn step(step: Step) -> impl FnOnce(String) -> Self {
        move |cause| Self::Step {
            step: step.as_str(),
            cause,
        }
    }
}

/// One decision, for the JSON summary.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Decision {
    subject: String,
    contract: String,
    jurisdiction: String,
    verdict: String,
    reasons: Vec<String>,
    outcome: String,
    bundle: PathBuf,
    token: PathBuf,
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    ok: bool,
    data: PathBuf,
    trust: PathBuf,
    jwks: String,
    /// URL of the profile service.
    profile: String,
    issuer: &'static str,
    audience: &'static str,
    decisions: Vec<Decision>,
}

/// The day the run takes as today, and the seconds that its clocks are moved by.
///
/// Today, while the contract asks for nothing but what the sources of the story hold. From 2027 the adult group asks for
/// community engagement, of which they know nothing: then a day under the rules of 2026.
pub(crate) fn calendar(today: Day) -> Result<(Day, i64), DemoError> {
    let answerable = |day: Day| {
        contracts::rules::registry()
            .compile(CONTRACT, &story::home(), day)
            .is_ok_and(|compiled| {
                let mut facts = compiled.facts.iter();
                facts.all(|fact| oracle_config::ATTRIBUTES.contains(&fact.attribute.0.as_str()))
            })
    };
    if answerable(today) {
        return Ok((today, 0));
    }
    let fallback: Day = "2026-11-20"
        .parse()
        .map_err(|error| DemoError::Other(format!("{error}")))?;
    Ok((fallback, (fallback.number() - today.number()) * 86_400))
}

/// Runs the demo.
///
/// # Errors
/// [`DemoError`]; the data folder is kept then, also a temporary one.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    let mut folder = folder::Folder::open(options.data.as_deref())?;
    let result = play(&options, &folder).await;
    if result.is_err() || options.json {
        folder.keep();
    }
    if let Err(error) = &result {
        eprintln!(
            "the state is intact in {}; run again with --data {0} to go on",
            folder.root().display()
        );
        if options.json {
            println!(
                "{}",
                serde_json::json!({"ok": false, "data": folder.root(), "error": error.to_string()})
            );
        }
    }
    result
}

async fn play(options: &DemoOptions, folder: &folder::Folder) -> Result<(), DemoError> {
    let mut story = story::Story::begin(options, folder).await?;
    let told = story.tell().await;
    let summary = match told {
        Ok(decisions) => decisions,
        Err(error) => {
            story.end().await;
            return Err(error);
        }
    };
    story.print_report();
    println!("data      {}", folder.root().display());
    println!("trust     {}", folder.path("trust.json").display());
    for decision in &summary {
        println!("bundle    {}", decision.bundle.display());
    }
    println!(
        "check one with: cargo run --release -p contracts --bin rules -- audit BUNDLE --trust {}",
        folder.path("trust.json").display()
    );
    if options.data.is_none() && !options.json {
        println!("this folder is temporary; give --data DIR to keep one");
    }
    if options.json {
        let summary = Summary {
            ok: true,
            data: folder.root().to_owned(),
            trust: folder.path("trust.json"),
            jwks: story.jwks_url(),
            profile: story.profile_url(),
            issuer: ISSUER,
            audience: AUDIENCE,
            decisions: summary,
        };
        let line =
            serde_json::to_string(&summary).map_err(|error| DemoError::Other(error.to_string()))?;
        println!("{line}");
    }
    if options.hold {
        use tokio::io::AsyncReadExt as _;
        let mut rest = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    }
    story.end().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_plays_today_while_its_sources_can_answer_and_else_under_the_rules_of_2026() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        assert_eq!(calendar(day("2026-12-31")).unwrap(), (day("2026-12-31"), 0));
        let (today, offset) = calendar(day("2027-03-01")).unwrap();
        assert_eq!(today, day("2026-11-20"));
        assert_eq!(offset, -101 * 86_400);
    }
}
