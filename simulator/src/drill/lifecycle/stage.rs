//! The story that is played, from the same beginning each time, with somebody who kills.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use contracts::lifecycle::Outcome;
use contracts::units::Day;
use profile::agency::What;
use tokio::sync::mpsc::UnboundedReceiver;

use super::kills::Kill;
use crate::demo::folder::Folder;
use crate::demo::live::{Scenario, away};
use crate::demo::network::Network;
use crate::demo::story::{AWAY, Setting, home, profiles};
use crate::demo::trap::{Caught, Crossing, Point, Trap};
use crate::demo::{DemoError, DemoOptions};
use crate::faults::copy_folder;
use crate::lifecycle::books;
use crate::lifecycle::play::{BEGINS, live};
use crate::lifecycle::postgres::{Server, shared};
use crate::lifecycle::script::{Ending, Ends, Sight, Step, day};
use crate::lifecycle::world::{Failed, HERE, Owner, World};

/// Seconds after which another worker may take a task of one that died.
const LEASE_SECONDS: u32 = 4;
/// How long the dead stay dead.
const DEAD: Duration = Duration::from_millis(100);
/// How long nothing may come any more before the books are read.
const QUIET: Duration = Duration::from_millis(2_500);

/// The beginning of every run.
pub struct Stage {
    beginning: Folder,
    setting: Setting,
    postgres: Option<Server>,
    services: Vec<String>,
}

/// What came of a run.
pub struct Told {
    /// What is left.
    pub left: Result<Ends, Failed>,
    /// What does not agree in the books.
    pub disagreements: Vec<String>,
    /// Who was killed, in order.
    pub killed: Vec<String>,
    /// What crossed.
    pub crossings: Vec<Crossing>,
    /// How long it took.
    pub seconds: f64,
}

impl Stage {
    /// Generates keys and enrols the owner, a day before the story.
    ///
    /// # Errors
    /// A process or the database.
    pub async fn set(postgres: Option<&str>) -> Result<Self, DemoError> {
        let beginning = Folder::open(None)?;
        let postgres = Server::at(postgres).await?;
        let setting = Setting {
            cast: vec![story().double(0)],
            lease_seconds: LEASE_SECONDS,
            ..Setting::default()
        };
        let setting = shared(setting, postgres.as_ref());
        let options = DemoOptions::default();
        let eve = day(BEGINS)
            .plus(-1)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let mut world = World::start(&options, &beginning, eve, setting.clone(), None).await?;
        let enrolled = world.enrol().await;
        world.end().await;
        enrolled?;
        Ok(Self {
            beginning,
            services: profiles(&setting),
            setting,
            postgres,
        })
    }

    /// The profile services.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Plays the story once, with these kills.
    ///
    /// # Errors
    /// The network does not start; what goes wrong later is in the answer.
    pub async fn play(&self, kills: &[Kill], keep: Option<&Path>) -> Result<Told, DemoError> {
        let since = Instant::now();
        let folder = Folder::open(None)?;
        copy_folder(self.beginning.root(), folder.root())?;
        let mut setting = self.setting.clone();
        if let Some(server) = &self.postgres {
            setting.database = Some(server.again().await?);
        }
        let points = kills.iter().map(|kill| kill.point.clone()).collect();
        let (trap, springs) = Trap::new(points);
        let options = DemoOptions::default();
        let begins: Day = day(BEGINS);
        let mut world =
            World::start(&options, &folder, begins, setting, Some(trap.clone())).await?;
        let owners = world.enrol().await?;
        let world = world;
        let owner = owners
            .first()
            .ok_or_else(|| DemoError::Other("nobody was enrolled".to_owned()))?;
        let victims: BTreeMap<Point, String> = kills
            .iter()
            .map(|kill| (kill.point.clone(), kill.victim.clone()))
            .collect();
        let mut killer = Killer {
            network: world.network(),
            services: &self.services,
            victims,
            killed: Vec::new(),
            dead: None,
        };
        // A kill at the last crossing of all must not leave its victim dead while somebody still asks it.
        let told = async {
            let (left, mut disagreements) = tell(&world, owner).await?;
            let strangers = books::strangers(&world, &owners).await;
            disagreements.extend(strangers.unwrap_or_else(|error| vec![error]));
            Ok((left, disagreements))
        };
        let told = tokio::select! {
            told = told => told,
            failed = killer.kill(springs) => Err(failed),
        };
        let killed = killer.killed;
        let (left, disagreements) = match told {
            Ok((left, disagreements)) => (Ok(left), disagreements),
            Err(error) => (Err(error), Vec::new()),
        };
        world.end().await;
        let failed = left.is_err() || !disagreements.is_empty();
        if let Some(keep) = keep.filter(|_| failed) {
            let name = folder.root().file_name().unwrap_or_default();
            copy_folder(folder.root(), &keep.join(name))?;
            println!("  files: {}", keep.join(name).display());
        }
        Ok(Told {
            left,
            disagreements,
            killed,
            crossings: trap.crossings(),
            seconds: since.elapsed().as_secs_f64(),
        })
    }

    /// Removes what is outside the run's folders.
    pub async fn strike(self) {
        if let Some(server) = self.postgres {
            server.clean().await;
        }
    }
}

/// The three scenarios, one after the other, as one owner lives through them.
fn story() -> Ending {
    use Sight::{Asked, Covered, Ended, Insured, Offered, Pending, Taken, Told};
    use Step::{JobFound, JobLost, Moves, Reply, Report, Says, Texted, Until};
    use contracts::lifecycle::Change;
    let accepted = |from: &str| What::Accepted {
        from: day(from),
        period_end: None,
    };
    Ending::new("all", Scenario::All, "")
        .on(0, [JobLost, Report(Change::IncomeDown), Until(Asked(1))])
        .on(0, [Reply("YES"), Until(Pending), Until(Offered)])
        .on(0, [Reply("YES"), Until(Insured), Texted("gap_begins", 1)])
        .on(
            5,
            [Says(HERE, accepted("2026-06-01")), Until(Covered(home()))],
        )
        .on(5, [Texted("accepted", 1), Texted("gap_ends", 1)])
        .on(10, [Moves, Until(Asked(1)), Reply("YES"), Until(Pending)])
        .on(
            22,
            [Says(AWAY, accepted("2026-07-12")), Until(Covered(away()))],
        )
        .on(
            22,
            [Step::Told(HERE, "covered-elsewhere"), Texted("accepted", 2)],
        )
        .on(30, [JobFound, Report(Change::IncomeUp), Until(Told)])
        .on(30, [Step::Told(AWAY, "loss"), Reply("YES")])
        .on(30, [Until(Offered), Reply("YES"), Until(Taken)])
        .on(
            33,
            [
                Says(
                    AWAY,
                    What::Closed {
                        on: day("2026-09-01"),
                    },
                ),
                Until(Ended(Outcome::Lost)),
                Until(Insured),
                Texted("gap_begins", 2),
                Texted("ending", 1),
            ],
        )
}

/// Lives through the story; what is left once nothing more comes, and what does not agree.
async fn tell(world: &World<'_>, owner: &Owner) -> Result<(Ends, Vec<String>), Failed> {
    for (day, steps) in story().script {
        world.move_to(day)?;
        live(world, owner, &steps)
            .await
            .map_err(|error| format!("day {day}: {error}"))?;
    }
    let mut before = books::gather(world, owner).await?;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = books::gather(world, owner).await?;
        if now == before {
            break;
        }
        before = now;
    }
    let disagreements = books::disagreements(world, owner).await?;
    Ok((books::gather(world, owner).await?, disagreements))
}

/// Kills when a line is held, and starts again whom it killed.
struct Killer<'a> {
    network: &'a Network<'a>,
    services: &'a [String],
    victims: BTreeMap<Point, String>,
    killed: Vec<String>,
    /// A profile service that stays dead while another lives.
    dead: Option<String>,
}

impl Killer<'_> {
    /// Goes on until a process does not start again; why.
    async fn kill(&mut self, mut springs: UnboundedReceiver<Caught>) -> Failed {
        loop {
            let Some(caught) = springs.recv().await else {
                return std::future::pending().await;
            };
            if let Err(error) = self.strike(caught).await {
                return error.to_string();
            }
        }
    }

    async fn strike(&mut self, caught: Caught) -> Result<(), DemoError> {
        let Some(victim) = self.victims.get(&caught.point).cloned() else {
            return Ok(());
        };
        let shared = self.services.len() > 1 && self.services.contains(&victim);
        // Somebody must go on with the work.
        if shared && let Some(dead) = self.dead.take() {
            self.network.restart(&dead).await?;
        }
        self.network.kill(&victim).await;
        self.killed.push(victim.clone());
        drop(caught);
        if shared {
            let other = self.services.iter().find(|name| **name != victim);
            if let Some(other) = other {
                self.network.stand_in(&victim, other);
            }
            self.dead = Some(victim);
            return Ok(());
        }
        tokio::time::sleep(DEAD).await;
        self.network.restart(&victim).await
    }
}
