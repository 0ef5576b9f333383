//! Plays histories from seeds, as many as asked for, on all cores, and stops at the first broken promise.

#![recursion_limit = "256"]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use histories::coverage::Coverage;
use histories::generate;
use histories::shrink::shrink;
use histories::{Outcome, Plan, play};

/// Requests and answers by the thousand each second, all as JSON.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mayfly in histories generated from seeds.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Args {
    /// How many histories to play.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Play one seed, and print all that happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// Play the plan in this file, and print all that happens in it.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Only small histories, of some minutes and a few jobs.
    #[arg(long)]
    small: bool,
    /// Stop after so many minutes, whatever is left.
    #[arg(long)]
    minutes: Option<u64>,
    /// Threads; one for each core unless told otherwise.
    #[arg(long)]
    threads: Option<usize>,
    /// Go on after a broken promise, and list all that fail.
    #[arg(long)]
    keep_going: bool,
    /// How often a failing history is played at most, to find a smaller one.
    #[arg(long, default_value_t = 400)]
    shrink: u32,
    /// Write the smallest plan that fails into this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl Args {
    fn plan_of(&self, seed: u64) -> Plan {
        if self.small { generate::small(seed) } else { generate::plan(seed) }
    }
}

/// What all threads add to.
#[derive(Default)]
struct Sum {
    played: u64,
    simulated: Duration,
    coverage: Coverage,
    failed: BTreeMap<u64, String>,
}

/// So many histories have in them all that can happen; the rarest is in one of a thousand.
const ENOUGH: u64 = 10_000;
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(path) = &args.plan {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        return match serde_json::from_str::<Plan>(&text) {
            Ok(plan) => told(&play(&plan, true)),
            Err(error) => {
                println!("{}: {error}", path.display());
                ExitCode::FAILURE
            }
        };
    }
    match args.seed {
        Some(seed) => told(&play(&args.plan_of(seed), true)),
        None => many(&args),
    }
}

/// Prints a timeline.
fn told(outcome: &Outcome) -> ExitCode {
    for note in &outcome.notes {
        println!("{} {}", note.time, note.text);
    }
    match &outcome.broken {
        None => {
            println!("every promise was kept");
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}

fn many(args: &Args) -> ExitCode {
    let begun = Instant::now();
    let end = args.minutes.map(|minutes| begun + Duration::from_secs(60 * minutes));
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= args.seeds {
                return;
            }
            let seed = args.from + nth;
            let outcome = play(&args.plan_of(seed), false);
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.played += 1;
            sum.simulated += outcome.simulated;
            sum.coverage.merge(&outcome.coverage);
            if let Some(broken) = outcome.broken {
                println!("seed {seed}: {broken}");
                sum.failed.insert(seed, broken.promise);
                stop.store(!args.keep_going, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads.unwrap_or(cores)).map(|_| scope.spawn(work)).collect();
        let mut shown = Instant::now();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if shown.elapsed() >= PROGRESS_EVERY {
                shown = Instant::now();
                println!("{}", speed(&sum.lock().unwrap_or_else(PoisonError::into_inner), begun));
            }
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (kind, name, times) in sum.coverage.iter() {
        println!("{kind:10} {times:12}  {name}");
    }
    println!("{}, {} failed", speed(&sum, begun), sum.failed.len());
    let missing = sum.coverage.missing();
    if !missing.is_empty() {
        println!("never happened: {}", missing.join(", "));
    }
    match sum.failed.first_key_value() {
        // The generator's failure, where there were enough for the rarest.
        None if !missing.is_empty() && sum.played >= ENOUGH => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
        Some((seed, promise)) => {
            smallest(args, *seed, promise);
            ExitCode::FAILURE
        }
    }
}

fn speed(sum: &Sum, begun: Instant) -> String {
    let (took, hours) = (begun.elapsed().as_secs_f64().max(0.001), sum.simulated.as_secs_f64() / 3600.0);
    format!(
        "{} histories, {hours:.0} simulated hours in {took:.0} s: {:.1} histories/s, {:.0} simulated hours/s",
        sum.played,
        sum.played as f64 / took,
        hours / took
    )
}

/// Prints the smallest history that was found to fail in the same way.
fn smallest(args: &Args, seed: u64, promise: &str) {
    println!("seed {seed} broke {promise}; looking for a smaller history …");
    let small = shrink(&args.plan_of(seed), promise, args.shrink);
    let text = serde_json::to_string_pretty(&small).unwrap_or_default();
    if let Some(path) = &args.write
        && let Err(error) = std::fs::write(path, &text)
    {
        println!("{}: {error}", path.display());
    }
    println!("{text}");
    told(&play(&small, true));
}
