//! What a demo comes to: its figures, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::sweep::PoolLedger;
use simulator::{Api, View, Violation, VmView};

use super::scenario::{LAB, Scenario};
use super::scene::{JobStage, is_strangers, place, was_made};
use super::stage::MAX_RUNNERS;
use super::story::Story;

/// What a demo comes to.
#[derive(Debug, Clone)]
pub struct Summary {
    seed: u64,
    took: Duration,
    planned: usize,
    served: usize,
    cancelled: usize,
    crossed: usize,
    announced_twice: usize,
    repeated: usize,
    /// From queued to in progress, shortest first.
    waits: Vec<Duration>,
    created: usize,
    deleted: usize,
    /// The most VMs at a time, by pool.
    peaks: BTreeMap<String, usize>,
    zones: BTreeMap<String, usize>,
    passed_over: BTreeMap<String, usize>,
    ran: Ran,
    /// Strangers' VMs that are still there, running.
    strangers: Vec<String>,
    harmed: Vec<String>,
    calls: BTreeMap<String, u64>,
    violations: Vec<String>,
    unserved: Vec<String>,
    left: Vec<String>,
}

/// Where jobs ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ran {
    in_lab: usize,
    in_cloud: usize,
    /// Of those in the cloud, the ones that were for the lab.
    overflowed: usize,
}

/// What a summary is made from.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What everything followed from.
    pub seed: u64,
    /// How many jobs there were to be.
    pub planned: usize,
    /// How long it took.
    pub took: Duration,
    /// The world at the end.
    pub view: &'a View,
    /// What it saw broken.
    pub violations: &'a [Violation],
    /// The pools at the end, or why they could not be read.
    pub ledgers: Result<&'a [PoolLedger], &'a str>,
    /// The script.
    pub scenario: &'a Scenario,
    /// What happened.
    pub story: &'a Story,
}

impl Summary {
    /// Adds everything up.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let Evidence { seed, planned, took, view, violations, scenario, story, .. } = *evidence;
        let stage = |wanted| view.jobs.iter().filter(|job| JobStage::of(&job.state) == wanted).count();
        let mut waits: Vec<Duration> =
            view.jobs.iter().filter_map(|job| Some(since(job.created, job.state.ran()?.1))).collect();
        waits.sort();
        let (strangers, ours): (Vec<&VmView>, Vec<&VmView>) =
            view.vms.iter().partition(|vm| is_strangers(vm));
        let deleted: Vec<&VmView> = view.gone_vms.iter().filter(|vm| was_made(vm)).collect();
        let created: Vec<&VmView> = deleted.iter().copied().chain(ours).collect();
        let mut zones = BTreeMap::new();
        for vm in &created {
            *zones.entry(vm.zone.clone()).or_default() += 1;
        }
        Self {
            seed,
            took,
            planned,
            served: stage(JobStage::Served),
            cancelled: stage(JobStage::Cancelled),
            crossed: story.crossed,
            announced_twice: scenario.announced_twice(),
            repeated: story.repeated,
            waits,
            peaks: peaks(view),
            zones,
            passed_over: story.passed_over.clone(),
            ran: ran(view),
            strangers: strangers.iter().map(|vm| format!("{} as {}", vm.name, place(vm))).collect(),
            harmed: harmed(story, &strangers),
            calls: view.calls.clone(),
            violations: violations
                .iter()
                .map(|broken| format!("{:?}: {}", broken.kind, broken.text))
                .collect(),
            unserved: unserved(evidence),
            left: left(evidence),
            deleted: deleted.len(),
            created: created.len(),
        }
    }

    /// Why the demo failed, if it did.
    pub fn failure(&self) -> Option<String> {
        let mut reasons = Vec::new();
        for (what, found) in [
            ("invariants broken", &self.violations),
            ("not served", &self.unserved),
            ("left over", &self.left),
            ("a stranger's VM harmed", &self.harmed),
        ] {
            if !found.is_empty() {
                reasons.push(format!("{what}: {}", found.join("; ")));
            }
        }
        (!reasons.is_empty()).then(|| reasons.join(". "))
    }

    fn write_calls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_sweeps = |api| self.calls_among(SWEEP_LISTS, api);
        let (github_lists, gcp_lists) = (of_sweeps("github"), of_sweeps("gcp"));
        let looks = self.calls_among(LAB_LOOKS, "proxmox");
        let (github, gcp) = (self.calls_of("github") - github_lists, self.calls_of("gcp") - gcp_lists);
        let lab = self.calls_of("proxmox") - looks;
        writeln!(
            f,
            "  API calls   GitHub {github}, {:.2} per job; GCP {gcp}, {:.2} per job in the cloud; Proxmox {lab}, {:.2} per job \
             in the lab",
            per_job(github, self.served),
            per_job(gcp, self.ran.in_cloud),
            per_job(lab, self.ran.in_lab),
        )?;
        writeln!(
            f,
            "              beside them {} lists of sweeps, {looks} looks at the cluster, its tasks and its new VMs",
            github_lists + gcp_lists
        )?;
        writeln!(f, "              {}", list(&self.calls))
    }

    fn calls_of(&self, api: &str) -> u64 {
        let prefix = format!("{api}.");
        self.calls.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, count)| count).sum()
    }

    fn calls_among(&self, names: &[&str], api: &str) -> u64 {
        let prefix = format!("{api}.");
        let counted = names.iter().filter(|name| name.starts_with(&prefix));
        counted.map(|name| self.calls.get(*name).copied().unwrap_or_default()).sum()
    }
}

fn per_job(calls: u64, jobs: usize) -> f64 {
    calls as f64 / jobs.max(1) as f64
}

/// Where the jobs ran that did.
fn ran(view: &View) -> Ran {
    let vms = view.vms.iter().chain(&view.gone_vms).filter(|vm| vm.provider == Api::Proxmox);
    let in_lab: BTreeSet<&str> = vms.map(|vm| vm.name.as_str()).collect();
    let mut ran = Ran::default();
    for job in &view.jobs {
        match job.state.ran() {
            Some((runner, _)) if in_lab.contains(runner.name.as_str()) => ran.in_lab += 1,
            Some(_) => {
                ran.in_cloud += 1;
                ran.overflowed += usize::from(job.labels == LAB.labels);
            }
            None => {}
        }
    }
    ran
}

/// What became of the VM that a stranger made, if it is not as it was.
fn harmed(story: &Story, there: &[&VmView]) -> Vec<String> {
    let mut harmed: Vec<String> = there
        .iter()
        .filter(|vm| vm.status != "running")
        .map(|vm| format!("{} in {}, {}", vm.name, place(vm), vm.status))
        .collect();
    if story.has_stranger && there.is_empty() {
        harmed.push("it is gone".to_owned());
    }
    harmed
}

/// A job's way that is not that of a job in a demo.
fn unserved(evidence: &Evidence<'_>) -> Vec<String> {
    let Evidence { planned, view, scenario, story, .. } = *evidence;
    let mut unserved = Vec::new();
    for job in &view.jobs {
        let stage = JobStage::of(&job.state);
        let meant =
            if scenario.cancelled().contains(&job.id) { JobStage::Cancelled } else { JobStage::Served };
        if stage != meant {
            unserved.push(format!("job {} is {}", story.number(job.id), stage.word()));
        }
    }
    if view.jobs.len() < planned {
        unserved.push(format!("{} jobs were never queued", planned - view.jobs.len()));
    }
    unserved
}

/// What should be gone and is not, in the world and in the table.
fn left(evidence: &Evidence<'_>) -> Vec<String> {
    let Evidence { view, ledgers, story, .. } = *evidence;
    let mut left: Vec<String> = Vec::new();
    let ours = view.vms.iter().filter(|vm| !is_strangers(vm));
    left.extend(ours.map(|vm| format!("VM {} in {}, {}", story.plainly(&vm.name), place(vm), vm.status)));
    left.extend(
        view.runners.iter().map(|runner| format!("runner registration {}", story.plainly(&runner.name))),
    );
    if view.deliveries_pending > 0 {
        left.push(format!("{} deliveries", view.deliveries_pending));
    }
    match ledgers {
        Err(why) => left.push(format!("what the table holds is not known: {why}")),
        Ok(ledgers) => {
            for ledger in ledgers {
                let slot = |slot: &mayfly_core::slot::Slot| {
                    format!("slot of {}, {}", story.plainly(slot.runner.as_str()), slot.phase.kind())
                };
                left.extend(ledger.slots.iter().map(slot));
                let waiting = |job: &mayfly_core::job::Waiting| {
                    format!("queue entry of job {}", story.plainly(&job.job.to_string()))
                };
                left.extend(ledger.waiting.iter().map(waiting));
            }
        }
    }
    left
}

/// The most VMs that each pool had at a time, those included whose zone turned out to be full.
fn peaks(view: &View) -> BTreeMap<String, usize> {
    let mut changes: BTreeMap<String, Vec<(Timestamp, i64)>> = BTreeMap::new();
    for vm in view.gone_vms.iter().chain(&view.vms).filter(|vm| !is_strangers(vm)) {
        let pool = vm.labels.get("mayfly-pool").cloned().unwrap_or_default();
        let changes = changes.entry(pool).or_default();
        changes.push((vm.created, 1));
        changes.extend(vm.gone.map(|gone| (gone, -1)));
    }
    let peak = |mut changes: Vec<(Timestamp, i64)>| {
        // At one moment, those that go before those that come.
        changes.sort();
        let running = changes.iter().scan(0, |count, (_, change)| {
            *count += change;
            Some(*count)
        });
        usize::try_from(running.max().unwrap_or(0)).unwrap_or(0)
    };
    changes.into_iter().map(|(pool, changes)| (pool, peak(changes))).collect()
}

fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The smallest wait that so many percent of the waits do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn list<T: fmt::Display>(counts: &BTreeMap<String, T>) -> String {
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// What each sweep lists, whatever jobs there are.
const SWEEP_LISTS: &[&str] = &[
    "gcp.aggregated_instances",
    "github.runners",
    "github.deliveries",
    "github.installation_repositories",
    "github.runs",
    "github.run_jobs",
];

/// What is asked of a cluster again and again: how far a task is, what there is, and by a sweep, whose a VM is that has no
/// tags yet.
const LAB_LOOKS: &[&str] = &["proxmox.task", "proxmox.resources", "proxmox.config"];

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |wait: Duration| format!("{:.1} s", wait.as_secs_f64());
        let outcome = if self.failure().is_none() { "all served, nothing left" } else { "FAILED" };
        writeln!(f, "mayfly demo: {outcome}, in {} (seed {})", seconds(self.took), self.seed)?;
        writeln!(
            f,
            "  jobs        {} served, {} cancelled before they started, of {}",
            self.served, self.cancelled, self.planned
        )?;
        writeln!(
            f,
            "  wait        p50 {}, p95 {} from queued to in progress (a VM boots in about 2 s here)",
            seconds(percentile(&self.waits, 50)),
            seconds(percentile(&self.waits, 95)),
        )?;
        writeln!(f, "  crossed     {} jobs ran on a runner that was meant for another", self.crossed)?;
        writeln!(
            f,
            "  repeated    {} jobs were announced twice, {} of the repeats were recognised, none acted on",
            self.announced_twice, self.repeated
        )?;
        writeln!(
            f,
            "  VMs         {} created, {} deleted; at most {} at a time, of {MAX_RUNNERS} allowed each",
            self.created,
            self.deleted,
            list(&self.peaks)
        )?;
        writeln!(f, "  places      {}; passed over: {}", list(&self.zones), list(&self.passed_over))?;
        let Ran { in_lab, in_cloud, overflowed } = self.ran;
        writeln!(
            f,
            "  ran         {in_lab} in the lab, {in_cloud} in the cloud, {overflowed} of these since the lab was full"
        )?;
        if !self.strangers.is_empty() {
            let strangers = self.strangers.join(", ");
            writeln!(f, "  stranger    took an id that was chosen for a clone: {strangers}, still there")?;
        }
        self.write_calls(f)?;
        let broken = self.violations.len();
        writeln!(f, "  invariants  checked at every call, {broken} broken")?;
        for violation in &self.violations {
            writeln!(f, "              {violation}")?;
        }
        match self.left.as_slice() {
            [] => {
                writeln!(f, "  left        nothing: no VM, no runner registration, no slot, no waiting job")
            }
            left => writeln!(f, "  left        {}", left.join("\n              ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_waits_that_occurred() {
        let waits: Vec<Duration> = (1..=20).map(Duration::from_secs).collect();
        assert_eq!(percentile(&waits, 50), Duration::from_secs(10));
        assert_eq!(percentile(&waits, 95), Duration::from_secs(19));
        assert_eq!(percentile(&waits[..1], 95), Duration::from_secs(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
