//! Plays endings: all at once over one network, each by an owner of its own, day by day on the calendar that they share.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::Args;
use contracts::lifecycle::Change;
use futures::future::join_all;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::json;

use super::books;
use super::endings;
use super::postgres::{Server, shared};
use super::script::{Ending, Ends, Step, day};
use super::world::{Failed, Owner, World};
use crate::demo::folder::Folder;
use crate::demo::live::away;
use crate::demo::story::Setting;
use crate::demo::{DemoError, DemoOptions};

/// The day on which every ending begins: the sources hold what the rules of that year ask for.
pub const BEGINS: &str = "2026-06-20";
/// Seconds within which a YES can be taken back: long enough for the owner who does.
const UNDO_SECONDS: u32 = 5;
/// Longest wait for the books to become what they should.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long nothing may come after that.
const GRACE: Duration = Duration::from_millis(1_500);

/// Options of `endings`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Which; all without a name.
    pub names: Vec<String>,
    /// So many of them, drawn by the seed.
    #[arg(long, value_name = "K")]
    pub sample: Option<usize>,
    /// Chooses the sample.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// So many share a network; the others wait for the next.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub together: u16,
    /// Two profile services share a database on this Postgres server, in place of one with SQLite.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Print them, and play nothing.
    #[arg(long)]
    pub list: bool,
    /// Keep the files of the run in this folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<std::path::PathBuf>,
}

impl Options {
    fn chosen(&self) -> Result<Vec<Ending>, DemoError> {
        let mut all = endings::all();
        if let Some(unknown) = self
            .names
            .iter()
            .find(|name| all.iter().all(|ending| ending.name != name.as_str()))
        {
            let known: Vec<&str> = all.iter().map(|ending| ending.name).collect();
            return Err(DemoError::Other(format!(
                "{unknown:?} is no ending: write one of {}",
                known.join(", ")
            )));
        }
        if !self.names.is_empty() {
            all.retain(|ending| self.names.iter().any(|name| name == ending.name));
        }
        if let Some(sample) = self.sample {
            all.shuffle(&mut StdRng::seed_from_u64(self.seed));
            all.truncate(sample);
        }
        Ok(all)
    }
}

/// Plays the endings asked for, and prints a line for each.
///
/// # Errors
/// The network does not start, or endings that went wrong, after all were played.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    let endings = options.chosen()?;
    if options.list {
        for ending in &endings {
            println!("{:28} {}", ending.name, ending.differs);
        }
        return Ok(());
    }
    let since = Instant::now();
    let mut wrong = Vec::new();
    for (at, group) in endings.chunks(options.together.into()).enumerate() {
        let data = options.data.as_ref().map(|data| data.join(at.to_string()));
        let mut folder = Folder::open(data.as_deref())?;
        let server = Server::at(options.postgres.as_deref()).await?;
        let outcome = play(group, &folder, server.as_ref()).await;
        if let Some(server) = server {
            server.clean().await;
        }
        if !outcome.as_ref().is_ok_and(Vec::is_empty) {
            folder.keep();
            eprintln!(
                "what the processes wrote is in {}/logs",
                folder.root().display()
            );
        }
        wrong.extend(outcome?);
    }
    println!(
        "{} endings in {:.0} s, {} went wrong",
        endings.len(),
        since.elapsed().as_secs_f64(),
        wrong.len()
    );
    if wrong.is_empty() {
        return Ok(());
    }
    println!(
        "again: cargo run -p simulator -- endings {}",
        wrong.join(" ")
    );
    Err(DemoError::Other(format!(
        "went wrong: {}",
        wrong.join(", ")
    )))
}

/// Plays endings over one network; the names of those that went wrong.
async fn play(
    endings: &[Ending],
    folder: &Folder,
    server: Option<&Server>,
) -> Result<Vec<&'static str>, DemoError> {
    let cast = (0..).zip(endings).map(|(number, it)| it.double(number));
    let setting = Setting {
        cast: cast.collect(),
        undo_seconds: UNDO_SECONDS,
        ..Setting::default()
    };
    let setting = shared(setting, server);
    let options = DemoOptions::default();
    let mut world = World::start(&options, folder, day(BEGINS), setting, None).await?;
    let owners = world.enrol().await?;
    let world = world;
    let days: BTreeSet<i64> = endings
        .iter()
        .flat_map(|ending| ending.script.iter().map(|(day, _)| *day))
        .collect();
    let mut failures: Vec<Vec<String>> = vec![Vec::new(); endings.len()];
    for day in days {
        world.calm().await.map_err(DemoError::Other)?;
        world.move_to(day).map_err(DemoError::Other)?;
        let plays = endings.iter().zip(&owners).zip(&mut failures);
        join_all(plays.map(|((ending, owner), failed)| {
            let world = &world;
            async move {
                if !failed.is_empty() {
                    return;
                }
                let steps = ending.script.iter().find(|(on, _)| *on == day);
                let Some((_, steps)) = steps else { return };
                if let Err(error) = live(world, owner, steps).await {
                    failed.push(format!("day {day}: {error}"));
                } else if day == ending.last_day() {
                    failed.extend(compare(world, owner, &ending.ends).await);
                }
            }
        }))
        .await;
    }
    // Whatever came after an owner's own last day, the books agree.
    for (owner, failed) in owners.iter().zip(&mut failures) {
        match books::disagreements(&world, owner).await {
            Ok(wrong) => failed.extend(wrong),
            Err(error) => failed.push(error),
        }
    }
    let strangers = books::strangers(&world, &owners).await;
    world.end().await;
    let mut wrong = Vec::new();
    println!("| ending | what differs | result |");
    println!("|---|---|---|");
    for (ending, failed) in endings.iter().zip(&failures) {
        let result = if failed.is_empty() { "holds" } else { "WRONG" };
        println!("| `{}` | {} | {result} |", ending.name, ending.differs);
        for failure in failed {
            println!("  {failure}");
        }
        if !failed.is_empty() {
            wrong.push(ending.name);
        }
    }
    match strangers {
        Ok(strangers) if strangers.is_empty() => Ok(wrong),
        Ok(strangers) => Err(DemoError::Other(strangers.join("; "))),
        Err(error) => Err(DemoError::Other(error)),
    }
}

/// Lives through the steps of one day.
///
/// # Errors
/// The step that did not come about.
pub async fn live(world: &World<'_>, owner: &Owner, steps: &[Step]) -> Result<(), Failed> {
    for step in steps {
        take(world, owner, step)
            .await
            .map_err(|error| format!("{step:?}: {error}"))?;
    }
    Ok(())
}

async fn take(world: &World<'_>, owner: &Owner, step: &Step) -> Result<(), Failed> {
    match step {
        Step::JobLost => world.job(owner, false).await,
        Step::JobFound => world.job(owner, true).await,
        Step::Household(size) => world.household(owner, Some(*size)).await,
        Step::Recovers => world.recovers(owner).await,
        Step::LivesElsewhere => world.moves(owner, away()).await,
        Step::Moves => {
            world.moves(owner, away()).await?;
            let change = Change::Moved { to: away() };
            let body = json!({"event": "changed", "change": change});
            world.report(owner, &body).await
        }
        Step::Agree => world.agree(owner).await,
        Step::TakeBack => world.take_back(owner).await,
        Step::Kill(node) => world.kill(*node).await,
        Step::Restart(node) => world.restart(*node).await,
        Step::Seen => world.until_seen(owner).await,
        Step::Report(change) => {
            let body = json!({"event": "changed", "change": change});
            world.report(owner, &body).await
        }
        Step::Dispute => {
            let state = world.coverage(owner).await?.state;
            let case = state.case.map(|case| case.id);
            let case = case.or(state.last.map(|last| last.case));
            let body = json!({"event": "disputed", "case": case});
            world.report(owner, &body).await
        }
        Step::Reply(words) => world.reply(owner, words).await,
        Step::ReplyAgain(nth, words) => world.reply_again(owner, *nth, words).await,
        Step::Says(agency, what) => world.says(owner, agency, what).await,
        Step::Told(agency, notice) => world.until_told(owner, agency, notice).await,
        Step::Texted(template, times) => world.until_text(owner, template, *times).await,
        Step::Until(sight) => {
            let what = format!("{sight:?}");
            world
                .until(owner, &what, |record| sight.is_in(record))
                .await
                .map(|_| ())
        }
    }
}

/// What is left otherwise than it should be, once nothing more comes; and what does not agree.
async fn compare(world: &World<'_>, owner: &Owner, ends: &Ends) -> Vec<String> {
    let since = Instant::now();
    let left = loop {
        let now = match books::gather(world, owner).await {
            Ok(now) => now,
            Err(error) => return vec![error],
        };
        if now == *ends || since.elapsed() > PATIENCE {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    tokio::time::sleep(GRACE).await;
    let after = match books::gather(world, owner).await {
        Ok(after) => after,
        Err(error) => return vec![error],
    };
    let mut wrong = differences(ends, &after);
    if left != after && wrong.is_empty() {
        wrong.push("the books still changed".to_owned());
    }
    match books::disagreements(world, owner).await {
        Ok(disagree) => wrong.extend(disagree),
        Err(error) => wrong.push(error),
    }
    wrong
}

/// Where the books are not as they should be, a line for each.
pub fn differences(should: &Ends, is: &Ends) -> Vec<String> {
    let mut wrong = Vec::new();
    if should.outcome != is.outcome {
        wrong.push(format!("ended {:?}, not {:?}", is.outcome, should.outcome));
    }
    if should.watched != is.watched {
        wrong.push(format!(
            "watches told {} changes, not {}",
            is.watched, should.watched
        ));
    }
    for (what, should, is) in [
        ("days", &should.days, &is.days),
        ("texts", &should.texts, &is.texts),
        ("agencies", &should.agencies, &is.agencies),
        ("policies", &should.policies, &is.policies),
    ] {
        if should != is {
            wrong.push(format!("{what}: {is:?}, not {should:?}"));
        }
    }
    wrong
}
