//! The figures to reach, and whether they are.

use std::ops::RangeInclusive;

use crate::Error;
use crate::burst::Burst;
use crate::calls::Calls;
use crate::counts::{Cost, Fill};
use crate::measure::{mebibytes, ratio, shown};
use crate::report::Report;
use crate::sweeps::Sweep;
use crate::warm::{Kind, Pace};

/// One of them.
#[derive(Debug, Clone)]
pub struct Figure {
    pub what: &'static str,
    pub reach: String,
    pub reached: String,
    /// Whether what is to be reached is.
    pub holds: bool,
    /// Whether it is as it is known to be: where that is not what is to be reached, it must at least get no worse, and what was
    /// not counted at all is no success. Times and memory are always as known: they are for people.
    pub is_as_known: bool,
}

/// VMs that a provider lists on a page, and runners on one of GitHub's.
const VMS_A_PAGE: u64 = 500;
const RUNNERS_A_PAGE: u64 = 100;
const MEMORY_MOST: u64 = 32 << 20;

/// All of which something was measured.
pub fn all(report: &Report) -> Vec<Figure> {
    let mut figures = jobs(report);
    figures.extend(sweeps(&report.sweeps));
    figures.extend(report.burst.iter().flat_map(burst));
    figures.extend(times(report));
    figures
}

/// An error where a count is worse than it is known to be.
pub fn check(report: &Report) -> Result<(), Error> {
    let wrong: Vec<String> = all(report)
        .into_iter()
        .filter(|figure| !figure.is_as_known)
        .map(|figure| format!("{}: {}, to reach is {}", figure.what, figure.reached, figure.reach))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Figure(wrong.join("\n"))) }
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

/// The dearest of some jobs: to be at most `limit`, and known to be within these.
fn counted(
    what: &'static str,
    limit: f64,
    known: RangeInclusive<f64>,
    of: &[&Cost],
    part: impl Fn(&Cost) -> f64,
) -> Option<Figure> {
    let reached = most(of.iter().map(|cost| part(cost)));
    (!of.is_empty()).then(|| Figure {
        what,
        reach: format!("≤ {limit}"),
        reached: format!("{:.2}", reached).trim_end_matches('0').trim_end_matches('.').to_owned(),
        holds: reached <= limit,
        is_as_known: known.contains(&reached),
    })
}

fn is_full(cost: &Cost) -> bool {
    matches!(cost.fill, Fill::Full(_))
}

fn jobs(report: &Report) -> Vec<Figure> {
    let (full, room): (Vec<&Cost>, Vec<&Cost>) = report.jobs.iter().partition(|cost| is_full(cost));
    let all: Vec<&Cost> = report.jobs.iter().collect();
    let lab: Vec<&Cost> = report.lab.iter().collect();
    let create = |cost: &Cost| cost.before_create.unwrap_or_default() as f64;
    let answer = |cost: &Cost| cost.before_answer as f64;
    let of = |part: fn(&Calls) -> f64| move |cost: &Cost| cost.middle(part);
    let figures = [
        counted(
            "replies awaited before the create leaves, warm, a slot is free, GCP",
            2.0,
            2.0..=2.0,
            &room,
            create,
        ),
        counted("the same, Proxmox", 2.0, 1.0..=4.0, &lab, create),
        counted("replies awaited before the answer, warm, a slot is free", 1.0, 1.0..=1.0, &room, answer),
        counted("the same, the pool is full", 1.0, 1.0..=4.0, &full, answer),
        counted("GitHub calls of a job, without look-ups", 1.05, 1.0..=1.05, &all, of(Calls::github)),
        counted(
            "provider calls of a job, GCP, a slot is free, without look-ups",
            3.0,
            3.0..=3.0,
            &room,
            of(Calls::provider),
        ),
        counted("the same, the pool is full", 3.0, 3.0..=4.0, &full, of(Calls::provider)),
        counted(
            "provider calls of a job, Proxmox, without look-ups and polls",
            8.0,
            8.0..=9.0,
            &lab,
            of(Calls::provider),
        ),
        counted("write units of a job, GCP, a slot is free", 12.0, 8.0..=11.0, &room, of(Calls::write_units)),
        counted("the same, Proxmox", 12.0, 8.0..=14.0, &lab, of(Calls::write_units)),
        counted(
            "the same, GCP, the pool is full, and its runner was made for another",
            12.0,
            8.0..=20.0,
            &full,
            of(Calls::write_units),
        ),
        counted("read units of a job, a slot is free", 4.0, 0.0..=4.0, &room, of(Calls::read_units)),
        counted("the same, the pool is full", 4.0, 0.0..=13.0, &full, of(Calls::read_units)),
    ];
    let flat = (report.jobs.len() > 1).then(|| flat(&report.jobs));
    figures.into_iter().flatten().chain(flat).collect()
}

/// The dearest size of pool against the cheapest, filled in the same way. (One that is looked at as a whole is a little cheaper than one
/// that is probed.)
fn flat(jobs: &[Cost]) -> Figure {
    let kinds: [fn(&Cost) -> bool; 3] =
        [|cost| cost.fill == Fill::Empty, |cost| cost.fill == Fill::Half, is_full];
    let growth = kinds.iter().map(|kind| {
        let units = |cost: &Cost| cost.middle(Calls::write_units) + cost.middle(Calls::read_units);
        let of = || jobs.iter().filter(|cost| kind(cost)).map(units);
        most(of()) / of().fold(f64::INFINITY, f64::min)
    });
    let growth = most(growth);
    Figure {
        what: "units of a job in the dearest size of pool, against the cheapest",
        reach: "flat: ≤ 1.2 ×".to_owned(),
        reached: format!("{growth:.2} ×"),
        holds: growth <= 1.2,
        is_as_known: growth <= 1.2,
    }
}

fn sweeps(sweeps: &[Sweep]) -> Option<Figure> {
    let (first, rest) = sweeps.split_first()?;
    let beyond = rest.iter().map(|sweep| {
        let provider = first.provider + u64::from(sweep.vms).div_ceil(VMS_A_PAGE).saturating_sub(1);
        // After a full page there may be another.
        let github = first.github + u64::from(sweep.vms) / RUNNERS_A_PAGE;
        sweep.provider.saturating_sub(provider)
            + sweep.github.saturating_sub(github)
            // The table answers by the megabyte: some thousand slots each.
            + sweep.table.saturating_sub(first.table + u64::from(sweep.vms) / 1_000)
    });
    let beyond = beyond.max()?;
    let was_counted = first.provider > 0 && first.github > 0 && first.table > 0;
    Some(Figure {
        what: "calls of a sweep that finds nothing to do, beyond a constant and its pages",
        reach: "0".to_owned(),
        reached: beyond.to_string(),
        holds: beyond == 0,
        is_as_known: beyond == 0 && was_counted,
    })
}

/// In simulated time, so that it is counted too.
fn burst(burst: &Burst) -> Vec<Figure> {
    let drain = ratio(burst.drained, burst.ideal);
    let served = burst.over.len() == burst.jobs as usize && burst.most_vms == usize::from(burst.slots);
    let hand_over = ratio(burst.hand_over.p50, burst.hand_over.deletion);
    let handed = burst.hand_over.times >= (burst.jobs - u32::from(burst.slots)) as usize;
    let known = |what, reach: &str, reached, holds| Figure {
        what,
        reach: reach.to_owned(),
        reached,
        holds,
        is_as_known: holds,
    };
    vec![
        known("a burst's drain time, against the ideal", "≤ 1.05 ×", format!("{drain:.3} ×"), drain <= 1.05),
        known(
            "of its jobs served, and VMs at the same time",
            "all, and as many as slots",
            format!("{} of {}, {} in {} slots", burst.over.len(), burst.jobs, burst.most_vms, burst.slots),
            served,
        ),
        known(
            "end of a job → next VM asked for, at a full pool, against the deletion itself",
            "≤ 1.1 ×",
            format!("{hand_over:.2} ×"),
            handed && (1.0..=1.1).contains(&hand_over),
        ),
    ]
}

fn times(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut timed = |what, reach: &str, reached: String, holds| {
        figures.push(Figure { what, reach: reach.to_owned(), reached, holds, is_as_known: true });
    };
    if let Some([webhook, hello]) = &report.starts {
        let times = ratio(webhook.to_answer, hello.to_answer);
        let what = "cold start → first answer, against a hello-world function";
        timed(what, "≤ 4 ×", format!("{times:.1} ×"), times <= 4.0);
        let cpu = webhook.cpu_to_ready;
        timed("processor time of the start", "< 5 ms", shown(cpu), cpu.as_micros() < 5_000);
    }
    if let Some(memory) = report.warm.iter().map(|warm| warm.memory).max() {
        let what = "resident memory at most, over all warm events";
        timed(what, "≤ 32 MiB", mebibytes(memory), memory <= MEMORY_MOST);
    }
    let paced = |warm: &&crate::warm::Warm| warm.pace == Pace::FiftyASecond && warm.kind == Kind::Ours;
    for warm in report.warm.iter().filter(paced) {
        let times = ratio(warm.p99, warm.p50);
        timed(
            "p99 of the answer at 50 events/s on one processor, against its p50",
            "≤ 3 ×",
            format!("{times:.1} × at {:.0}/s", warm.rate),
            times <= 3.0 && warm.rate >= 49.0,
        );
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Cloud;

    #[test]
    fn what_was_not_counted_is_no_success() {
        let nothing = Sweep { provider: 0, ..sweep(0) };
        assert!(!sweeps(&[nothing, sweep(600)]).unwrap().is_as_known);
        assert!(jobs(&Report::default()).is_empty());
    }

    #[test]
    fn flat_is_what_costs_the_same_in_pools_of_each_size_filled_alike() {
        let cost = |max_runners, fill, units: &[(&str, f64)]| Cost {
            cloud: Cloud::Google,
            max_runners,
            fill,
            before_answer: 1,
            before_create: Some(2),
            calls: vec![Calls::of_these(units)],
        };
        let units = |writes, reads| [("write units", writes), ("read units", reads)];
        let alike = [
            cost(10, Fill::Empty, &units(10.0, 2.0)),
            cost(5_000, Fill::Empty, &units(10.0, 2.0)),
            cost(10, Fill::Full(5), &units(20.0, 8.0)),
            cost(5_000, Fill::Full(5), &units(21.0, 8.0)),
        ];
        let figure = flat(&alike);
        assert!(figure.holds && figure.reached == "1.04 ×", "{figure:?}");
        let growing = [cost(10, Fill::Half, &units(10.0, 2.0)), cost(5_000, Fill::Half, &units(10.0, 200.0))];
        assert!(!flat(&growing).is_as_known);
    }

    fn sweep(vms: u16) -> Sweep {
        let (github, provider) = (2 + u64::from(vms) / 100, u64::from(vms).div_ceil(500).max(1));
        Sweep { vms, github, searching: 0, provider, table: 3, took: std::time::Duration::ZERO, memory: 0 }
    }

    #[test]
    fn a_sweep_may_cost_its_pages_and_no_call_more() {
        let reached = |sweeps_: &[Sweep]| sweeps(sweeps_).unwrap().reached;
        assert_eq!(reached(&[sweep(0), sweep(500), sweep(10_000)]), "0");
        assert_eq!(reached(&[sweep(0), Sweep { github: 10, ..sweep(600) }]), "2");
    }
}
