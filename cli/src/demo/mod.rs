//! `mayfly demo`: everything on loopback, for a person to watch.
//!
//! [`scenario`] is what happens, [`stage`] where; [`story`] and [`decisions`] put it in words, [`scene`] and [`view`]
//! show it on a terminal, [`plain`] elsewhere; [`summary`] is what it comes to.

mod decisions;
mod plain;
mod scenario;
mod scene;
mod stage;
mod story;
mod summary;
mod view;

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use mayfly_core::explain::Explanation;
use mayfly_core::ids::Deployment;
use mayfly_core::sweep::PoolLedger;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::DemoArgs;
use crate::error::Error;
use crate::explain;
use crate::screen::Screen;
use crate::signals::Signals;
use crate::styled;
use decisions::Decision;
use scenario::Scenario;
use scene::Scene;
use stage::Stage;
use story::{Line, Story};
use summary::{Evidence, Summary};

/// How often the script is played on, the world looked at, and the screen drawn.
const TICK: Duration = Duration::from_millis(100);
/// A demo of up to 30 jobs that takes longer has failed …
const LONGEST: Duration = Duration::from_secs(50);
/// … and for each job more it may take so much longer.
const LONGEST_EACH: Duration = Duration::from_millis(700);
const JOBS_USUAL: u16 = 30;

/// Runs a demo, shows it, and says what it came to.
pub async fn run(args: DemoArgs) -> Result<(), Error> {
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => {
            getrandom::u64().map_err(|error| Error::io("randomness", io::Error::other(error)))? % 1_000_000
        }
    };
    let mut signals = Signals::catch()?;
    let screen = Screen::enter().map_err(|source| Error::io("the terminal", source))?;
    let decisions = log(&args, screen.is_none())?;
    if screen.is_none() {
        say(&format!("mayfly demo: seed {seed}, {} jobs\n", args.jobs))?;
    }
    let longest = LONGEST + LONGEST_EACH * u32::from(args.jobs.saturating_sub(JOBS_USUAL));
    let whole = async {
        let mut demo = Demo::begin(seed, usize::from(args.jobs), screen, decisions).await?;
        demo.play(longest).await?;
        Ok::<_, Error>(demo.end().await)
    };
    let (summary, richest) = tokio::select! {
        summary = whole => summary?,
        _ = signals.next() => return Err(Error::Interrupted),
    };
    say(&summary.to_string())?;
    if let Some(story) = richest {
        say("\nwhat `mayfly explain` says of the job to which most happened:\n\n")?;
        styled::tell(&explain::render(&story))?;
    }
    summary.failure().map_or(Ok(()), |failure| Err(Error::Demo(failure)))
}

/// Mayfly's own log: caught as decisions; written to a file where one is given, its warnings to standard error where
/// nothing is drawn.
fn log(args: &DemoArgs, is_plain: bool) -> Result<UnboundedReceiver<Decision>, Error> {
    let (catcher, decisions) = decisions::catcher();
    let catcher = catcher.with_filter(Targets::new().with_target("mayfly_service", LevelFilter::INFO));
    let file = match &args.log {
        Some(path) => {
            Some(File::create(path).map_err(|source| Error::io(path.display().to_string(), source))?)
        }
        None => None,
    };
    let file = file.map(|file| {
        let layer =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file));
        layer.with_filter(mayfly_service::telemetry::filter())
    });
    let warnings = is_plain.then(|| {
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
        // To the embedded table every condition that did not hold is an error; they are how it is meant to be used.
        let warnings =
            Targets::new().with_default(LevelFilter::WARN).with_target("dynoxide", LevelFilter::ERROR);
        layer.with_filter(warnings)
    });
    let set = tracing_subscriber::registry().with(catcher).with(file).with(warnings).try_init();
    set.map_err(|error| Error::io("the log", io::Error::other(error)))?;
    Ok(decisions)
}

fn say(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.map_err(|source| Error::io("standard output", source))
}

/// A demo under way.
struct Demo {
    seed: u64,
    planned: usize,
    began: Instant,
    stage: Stage,
    scenario: Scenario,
    story: Story,
    decisions: UnboundedReceiver<Decision>,
    screen: Option<Screen>,
    /// The table as last read.
    ledgers: Result<Vec<PoolLedger>, String>,
}

impl Demo {
    async fn begin(
        seed: u64,
        planned: usize,
        screen: Option<Screen>,
        decisions: UnboundedReceiver<Decision>,
    ) -> Result<Self, Error> {
        let stage = Stage::build(seed).await?;
        if screen.is_none() {
            say(&format!("status page while it runs: {}\n", stage.page()))?;
        }
        let began = stage.simulator.with(|_, now| now);
        let deployment = Deployment::new(stage::DEPLOYMENT)
            .map_err(|error| Error::io("the deployment's name", io::Error::other(error)))?;
        Ok(Self {
            seed,
            planned,
            began: Instant::now(),
            stage,
            scenario: Scenario::plan(seed, planned),
            story: Story::begin(began, deployment),
            decisions,
            screen,
            ledgers: Ok(Vec::new()),
        })
    }

    /// Plays the script, shows what happens, and returns when all is over, or after so long.
    async fn play(&mut self, longest: Duration) -> Result<(), Error> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let elapsed = self.began.elapsed();
            self.stage.simulator.with(|world, now| self.scenario.play(world, now, elapsed));
            let is_quiet = self.stage.simulator.with(|world, _| scene::is_quiet(world));
            self.ledgers = self.stage.ledgers().await;
            let lines = self.listen();
            self.show(&lines)?;
            // In this order: a world that is quiet stays so, and the table was read after it was.
            let is_empty = self.ledgers.as_ref().is_ok_and(|ledgers| {
                ledgers.iter().all(|ledger| ledger.slots.is_empty() && ledger.waiting.is_empty())
            });
            if (self.scenario.is_over() && is_quiet && is_empty) || elapsed > longest {
                return Ok(());
            }
        }
    }

    /// What is new.
    fn listen(&mut self) -> Vec<Line> {
        let mut decisions = Vec::new();
        while let Ok(decision) = self.decisions.try_recv() {
            decisions.push(decision);
        }
        let seen = self.story.seen();
        let history = self.stage.simulator.with(|world, _| world.history().get(seen..).map(<[_]>::to_vec));
        self.story.hear(self.scenario.jobs(), &history.unwrap_or_default(), &decisions)
    }

    fn show(&self, lines: &[Line]) -> Result<(), Error> {
        let Some(screen) = &self.screen else {
            return plain::write(lines).map_err(|source| Error::io("standard output", source));
        };
        let shown = screen.size().and_then(|(width, height)| {
            let scene = self.scene();
            screen.draw(&view::render(&scene, self.story.tail().iter(), width, height))
        });
        shown.map_err(|source| Error::io("the terminal", source))
    }

    fn scene(&self) -> Scene {
        let ledgers = self.ledgers.as_deref().unwrap_or_default();
        self.stage.simulator.with(|world, now| Scene {
            seed: self.seed,
            elapsed: self.began.elapsed(),
            jobs_planned: self.planned,
            page: self.stage.page(),
            pools: scene::pools(ledgers),
            vms: scene::vms(world, now, ledgers, &self.story),
            vms_gone: world.view().gone_vms.iter().filter(|vm| scene::was_made(vm)).count(),
            jobs: scene::jobs(world, &self.story),
        })
    }

    /// Gives the terminal back, ends everything, and adds it up.
    async fn end(mut self) -> (Summary, Option<Explanation>) {
        drop(self.screen.take());
        let took = self.began.elapsed();
        let richest = self.stage.richest_story(self.scenario.jobs()).await;
        let simulator = self.stage.close().await;
        let (view, violations) = simulator.with(|world, _| (world.view(), world.violations().to_vec()));
        let ledgers = match &self.ledgers {
            Ok(ledgers) => Ok(ledgers.as_slice()),
            Err(why) => Err(why.as_str()),
        };
        let summary = Summary::of(&Evidence {
            seed: self.seed,
            planned: self.planned,
            took,
            view: &view,
            violations: &violations,
            ledgers,
            scenario: &self.scenario,
            story: &self.story,
        });
        (summary, richest)
    }
}
