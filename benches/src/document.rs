//! `docs/benchmarks.md` and its charts.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Error;
use crate::build::root;
use crate::burst::Burst;
use crate::calls::Calls;
use crate::chart::{Axis, bars, lines};
use crate::counts::{Cost, Fill};
use crate::measure::mebibytes;
use crate::report::Report;

const TEXT: &str = include_str!("benchmarks.md");
/// What the Node function of terraform-aws-github-runner 7.11 took to its first answer on this kind of machine, with stubs of AWS that
/// answer at once, in milliseconds: the middle of 195 to 204.
const NODE: f64 = 200.0;

/// Draws what was measured.
pub fn charts(report: &Report, folder: &Path) -> Result<(), Error> {
    let charts = folder.join("benchmarks");
    std::fs::create_dir_all(&charts)?;
    if let Some([webhook, hello]) = &report.starts {
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let values = [
            ("hello-world, Rust", milliseconds(hello.to_answer)),
            ("Mayfly's webhook", milliseconds(webhook.to_answer)),
            ("terraform-aws-github-runner*", NODE),
        ];
        let chart = bars("Process start → first answer (* measured before, not in this run)", "ms", &values);
        std::fs::write(charts.join("start.svg"), chart)?;
    }
    if !report.jobs.is_empty() {
        std::fs::write(charts.join("units.svg"), units(&report.jobs))?;
    }
    if let Some(burst) = &report.burst {
        std::fs::write(charts.join("burst.svg"), drain(burst))?;
    }
    Ok(())
}

/// Writes what all of it showed.
pub fn write(report: &Report, about: &str, folder: &Path) -> Result<(), Error> {
    let mut text = TEXT.to_owned();
    for (name, value) in [
        ("about", about.to_owned()),
        ("figures", report.figures()),
        ("starts", report.starts_table()),
        ("warm", report.warm_table()),
        ("tail", report.tail_table()),
        ("overload", report.overload_table()),
        ("sizes", sizes()),
        ("jobs", report.jobs_table()),
        ("sweeps", report.sweeps_table()),
        ("burst", report.burst_table()),
    ] {
        let value = if value.is_empty() { "(not measured in this run)".to_owned() } else { value };
        text = text.replace(&format!("{{{{{name}}}}}"), value.trim_end());
    }
    Ok(std::fs::write(folder.join("benchmarks.md"), text)?)
}

/// Where, when and what.
pub fn about() -> Result<String, Error> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes: u64 =
        memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit =
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root()).output()?;
    let day = Timestamp::now().to_zoned(TimeZone::UTC).date();
    Ok(format!(
        "{day}, commit {}, {} processors ({}), {} of memory, Linux {}.",
        String::from_utf8_lossy(&commit.stdout).trim(),
        std::thread::available_parallelism()?,
        model.unwrap_or("of a kind that the kernel does not tell"),
        mebibytes(kibibytes << 10),
        system.trim(),
    ))
}

/// The zips, where `infra/package.sh` has made them.
fn sizes() -> String {
    let mut rows = vec!["| zip, by `infra/package.sh` | size | made |\n| --- | --- | --- |".to_owned()];
    for (kind, folder) in [("arm64", "lambda"), ("x86-64", "lambda-x86-64")] {
        for function in ["webhook", "sweeper"] {
            let zip = root().join("target").join(folder).join(function).join("bootstrap.zip");
            if let Ok(metadata) = std::fs::metadata(zip) {
                let made = metadata.modified().ok().and_then(|made| Timestamp::try_from(made).ok());
                let made = made.map(|made| made.to_zoned(TimeZone::UTC).date().to_string());
                let size = mebibytes(metadata.len());
                rows.push(format!("| {function}, {kind} | {size} | {} |", made.unwrap_or_default()));
            }
        }
    }
    if rows.len() > 1 { rows.join("\n") } else { String::new() }
}

/// Write units of a job by the size of the pool.
fn units(jobs: &[Cost]) -> String {
    let of = |kind: fn(Fill) -> bool| -> Vec<(f64, f64)> {
        let costs = jobs.iter().filter(|cost| kind(cost.fill));
        costs.map(|cost| (f64::from(cost.max_runners).log10(), cost.middle(Calls::write_units))).collect()
    };
    let series = [
        ("empty", of(|fill| fill == Fill::Empty)),
        ("half full", of(|fill| fill == Fill::Half)),
        ("full, 5,000 jobs waiting", of(|fill| matches!(fill, Fill::Full(_)))),
    ];
    let sizes = [10u16, 100, 1_000, 5_000];
    let x = Axis {
        name: "slots of the pool",
        marks: sizes.iter().map(|size| (f64::from(*size).log10(), size.to_string())).collect(),
        from: 1.0,
        to: f64::from(5_000).log10(),
    };
    lines("What a job costs in the table", &x, &upward("write units", 24, 6), &series)
}

fn upward(name: &str, to: u32, step: usize) -> Axis<'_> {
    let marks = (0..=to).step_by(step).map(|mark| (f64::from(mark), mark.to_string())).collect();
    Axis { name, marks, from: 0.0, to: f64::from(to) }
}

/// Jobs that are over, by time.
fn drain(burst: &Burst) -> String {
    let minutes = |time: std::time::Duration| time.as_secs_f64() / 60.0;
    let every = (burst.over.len() / 400).max(1);
    let last = burst.over.len().saturating_sub(1);
    let shown = burst.over.iter().enumerate().filter(|(nth, _)| nth % every == 0 || *nth == last);
    let over: Vec<(f64, f64)> = shown.map(|(nth, at)| (minutes(*at), (nth + 1) as f64)).collect();
    // A job is over before its VM is gone.
    let ideal = burst.ideal.saturating_sub(burst.hand_over.deletion);
    let ideal = vec![(0.0, 0.0), (minutes(ideal), f64::from(burst.jobs))];
    let end = minutes(burst.drained.max(burst.ideal)).ceil();
    let marks = (0..=10u32).map(|tenth| end * f64::from(tenth) / 10.0);
    let x = Axis {
        name: "minutes since they were queued (simulated)",
        marks: marks.map(|mark| (mark, format!("{mark:.0}"))).collect(),
        from: 0.0,
        to: end,
    };
    let title = format!("{} jobs at once on {} slots", burst.jobs, burst.slots);
    let y = upward("jobs over", burst.jobs, (burst.jobs / 5).max(1) as usize);
    lines(&title, &x, &y, &[("Mayfly", over), ("jobs ÷ slots × (boot + job + delete)", ideal)])
}
