//! Measures Mayfly, and writes what it measured.
//!
//! `cargo measure` does all of it, on a machine that does nothing else; with `--quick` the counts only, few
//! of each, and an error where one is not as it should be.

// Layouts of futures within futures within futures.
#![recursion_limit = "256"]

mod build;
mod burst;
mod calls;
mod chart;
mod counts;
mod document;
mod figures;
mod measure;
mod overload;
mod processors;
mod report;
mod rig;
mod start;
mod sweeps;
mod tail;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use counts::{Cost, Fill, Trial};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use report::Report;
use rig::{Cloud, Programs};
use warm::{Kind, Pace};

/// Mayfly, measured.
#[derive(Debug, Parser)]
struct Args {
    /// Counts only, few of each, with the programs as the tests build them; fails where one is not as it should be
    #[arg(long)]
    quick: bool,
    /// Measures these only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<What>,
    /// Writes benchmarks.md and its charts into this folder; with --only the charts alone, and the tables go to standard output
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Starts,
    Warm,
    Overload,
    Jobs,
    Sweeps,
    Burst,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is needed for a measurement could not be set up, or did not do as it should.
    #[error("{0}")]
    Set(String),
    /// The machine refused something.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] mayfly_service::store::StoreError),
    /// A figure is not as it should be.
    #[error("{0}")]
    Figure(String),
}

impl Error {
    /// Something could not be set up.
    pub fn set(why: impl std::fmt::Display) -> Self {
        Self::Set(why.to_string())
    }
}

const STARTS: usize = 25;
const EVENTS: usize = 5_000;
const WAITING: u16 = 5_000;
const FLOOD: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How much is measured of what is counted.
struct Sizes {
    slots: &'static [u16],
    fills: &'static [Fill],
    jobs: u16,
    reply: Duration,
    vms: &'static [u16],
    burst: (u32, u16),
    /// So many pools are tried at the same time.
    at_once: usize,
}

impl Sizes {
    fn trial(&self, cloud: Cloud, max_runners: u16, fill: Fill) -> Trial {
        Trial { cloud, max_runners, fill, jobs: self.jobs, reply: self.reply }
    }
}

const ALL: Sizes = Sizes {
    slots: &[10, 100, 1_000, 5_000],
    fills: &[Fill::Empty, Fill::Half, Fill::Full(WAITING)],
    jobs: 10,
    reply: Duration::from_millis(50),
    vms: &[0, 100, 1_000, 10_000],
    burst: (10_000, 1_000),
    at_once: 1,
};
const FEW: Sizes = Sizes {
    slots: &[10, 200],
    fills: &[Fill::Empty, Fill::Half, Fill::Full(200)],
    jobs: 3,
    // These programs are slow, and the machine may be busy.
    reply: Duration::from_millis(250),
    vms: &[0, 600],
    burst: (300, 30),
    at_once: 3,
};

async fn run(args: Args) -> Result<(), Error> {
    if args.out.is_some() && args.quick {
        return Err(Error::Set("--out shows what was measured: leave --quick away".to_owned()));
    }
    let timed = [What::Starts, What::Warm, What::Overload];
    if args.quick && args.only.iter().any(|what| timed.contains(what)) {
        return Err(Error::Set("--quick counts, and does not time".to_owned()));
    }
    let asks = |what| if args.only.is_empty() { !args.quick } else { args.only.contains(&what) };
    let counts = |what| asks(what) || args.only.is_empty();
    let programs = if args.quick { build::as_tested()? } else { build::as_shipped()? };
    let sizes = if args.quick { FEW } else { ALL };
    let mut report = Report::default();
    if asks(What::Starts) {
        eprintln!("starts …");
        report.starts = Some(start::side_by_side(&programs, STARTS).await?);
    }
    if asks(What::Warm) {
        report.warm = warm(&programs).await?;
    }
    if asks(What::Overload) {
        eprintln!("a flood of forged requests for {} s …", FLOOD.as_secs());
        report.overload = Some(overload::overload(&programs, FLOOD).await?);
    }
    if counts(What::Jobs) {
        (report.jobs, report.lab) = jobs(&programs, &sizes).await?;
    }
    if counts(What::Sweeps) {
        eprintln!("sweeps …");
        report.sweeps = sweeps::over(&programs, sizes.vms).await?;
    }
    if counts(What::Burst) {
        let (jobs, slots) = sizes.burst;
        eprintln!("{jobs} jobs at once on {slots} slots …");
        // It has a clock of its own.
        let played = tokio::task::spawn_blocking(move || burst::burst(jobs, slots)).await;
        report.burst = Some(played.map_err(Error::set)??);
    }
    // Before a chart changes what is there.
    let about = document::about()?;
    if let Some(folder) = &args.out {
        document::charts(&report, folder)?;
    }
    match &args.out {
        Some(folder) if args.only.is_empty() => document::write(&report, &about, folder)?,
        Some(_) | None => print!("{about}\n\n{}", report.tables()),
    }
    figures::check(&report)
}

/// Jobs on GCP by size and fill, and those on Proxmox. Most of it is waiting for replies.
async fn jobs(programs: &Programs, sizes: &Sizes) -> Result<(Vec<Cost>, Option<Cost>), Error> {
    let pools = sizes.slots.iter().flat_map(|slots| sizes.fills.iter().map(|fill| (*slots, *fill)));
    let google = pools.map(|(slots, fill)| (Cloud::Google, slots, fill));
    let all = google.chain([(Cloud::Proxmox, 10, Fill::Empty)]).map(|(cloud, slots, fill)| async move {
        eprintln!("jobs on {cloud}, {slots} slots, {fill} …");
        counts::of_a_job(programs, sizes.trial(cloud, slots, fill)).await
    });
    let mut costs: Vec<Cost> = stream::iter(all).buffered(sizes.at_once).try_collect().await?;
    let lab = costs.pop();
    Ok((costs, lab))
}

async fn warm(programs: &Programs) -> Result<Vec<warm::Warm>, Error> {
    let mut all = Vec::new();
    for (kind, pace) in [
        (Kind::Ours, Pace::FiftyASecond),
        (Kind::Ours, Pace::OneByOne),
        (Kind::Others, Pace::OneByOne),
        (Kind::Nothing, Pace::FiftyASecond),
    ] {
        eprintln!("{EVENTS} events, {kind}, {pace} …");
        all.push(warm::warm(programs, kind, pace, EVENTS).await?);
    }
    Ok(all)
}
