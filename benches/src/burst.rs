//! Many jobs at once on few slots, in simulated time: how long until all are over, beside how long it has to take.

use std::collections::BTreeMap;
use std::time::Duration;

use histories::configure::DEPLOYMENT;
use histories::plan::{Act, Deed, Plan, PoolKind, PoolShape, Shape, TimingShape, Wants};
use histories::{Outcome, play_in};
use jiff::Timestamp;
use mayfly_core::ids::{Deployment, RunnerName};
use simulator::{Happening, HappeningKind, Settings, Timing};

use crate::Error;
use crate::measure::{median, percentile};

/// How long each job runs.
const JOB: Duration = Duration::from_secs(600);
/// An account's environments, unless it asks for more.
const ENVIRONMENTS: usize = 1_000;
/// What GitHub grants an App at most, outside of Enterprise Cloud.
const CALLS_AN_HOUR: u32 = 12_500;

/// A burst, and what came of it.
#[derive(Debug, Clone)]
pub struct Burst {
    pub jobs: u32,
    pub slots: u16,
    /// How long it has to take: jobs ÷ slots × (boot + job + delete).
    pub ideal: Duration,
    pub drained: Duration,
    /// VMs at the same time, at most.
    pub most_vms: usize,
    pub hand_over: HandOver,
    /// How many jobs were over, by time since the beginning.
    pub over: Vec<Duration>,
}

/// At a full pool: from the end of a job until the next VM is asked for in its slot.
#[derive(Debug, Clone, Copy)]
pub struct HandOver {
    pub times: usize,
    pub p50: Duration,
    pub p99: Duration,
    /// How much of it the deletion itself takes, from its request until the VM is gone; the median.
    pub deletion: Duration,
}

/// All of it in a simulated cloud that is as slow as the real one.
pub fn burst(jobs: u32, slots: u16) -> Result<Burst, Error> {
    let timing = Timing { jitter: 0.0, ..Timing::realistic() };
    let round = timing.insert + timing.boot + timing.registration + JOB + timing.delete;
    let rounds = jobs.div_ceil(u32::from(slots));
    let differ = |settings: &mut Settings| {
        settings.timing = timing.clone();
        settings.rate_limit = CALLS_AN_HOUR;
        for region in ["us-east1", "us-west1"] {
            for metric in ["NVIDIA_T4_GPUS", "CPUS", "INSTANCES", "IN_USE_ADDRESSES"] {
                settings.set_quota(region, metric, 1e6);
            }
        }
    };
    // Faults would stop then, and calm down what is not there.
    let seconds = round.as_secs() * u64::from(rounds) * 3;
    let plan = plan(jobs, slots, u32::try_from(seconds).unwrap_or(u32::MAX));
    let (outcome, happened) = play_in(&plan, false, differ);
    if let Outcome { broken: Some(broken), .. } = outcome {
        return Err(Error::Figure(format!("a burst of {jobs} jobs on {slots} slots: {broken}")));
    }
    let deployment = Deployment::new(DEPLOYMENT).map_err(Error::set)?;
    let began = happened.first().map(|first| first.time).unwrap_or_default();
    let over: Vec<Duration> = happened
        .iter()
        .filter(|each| each.kind == HappeningKind::JobEnded)
        .map(|each| since(began, each.time))
        .collect();
    let gone = happened.iter().rfind(|each| each.kind == HappeningKind::VmGone);
    Ok(Burst {
        jobs,
        slots,
        ideal: round * jobs / u32::from(slots),
        drained: gone.map(|last| since(began, last.time)).unwrap_or_default(),
        most_vms: most_vms(&happened),
        hand_over: hand_over(&deployment, &happened),
        over,
    })
}

fn since(began: Timestamp, time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(began)).unwrap_or_default()
}

fn plan(jobs: u32, slots: u16, seconds: u32) -> Plan {
    let queue = |tag| Deed::Queue {
        tag,
        repository: 0,
        wants: Wants::Gpu,
        seconds: u32::try_from(JOB.as_secs()).unwrap_or(u32::MAX),
        held: false,
        run: tag / 200,
    };
    let pool = PoolShape {
        kind: PoolKind::Cloud,
        max_runners: slots,
        min_runners: 0,
        boot_timeout: 600,
        idle_timeout: 600,
        max_lifetime: 6 * 3600,
    };
    let shape = Shape {
        pools: vec![pool],
        sweep_every: 60,
        environments: ENVIRONMENTS,
        webhook_timeout: 60,
        sweep_timeout: 300,
        repository_hook: false,
        nodes: 1,
        room: 1,
        machines: None,
        quota_in_operation: false,
        timing: TimingShape {
            orphan_grace: 600,
            step_timeout: 300,
            cooldown: 300,
            redelivery_after: 120,
            check_after: 300,
        },
        waiting_after: None,
    };
    let acts = (0..jobs).map(|tag| Act { at: 0, deed: queue(tag) }).collect();
    Plan { seed: 1, shape, seconds, acts, troubles: Vec::new() }
}

fn most_vms(happened: &[Happening]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for each in happened {
        if each.kind == HappeningKind::VmAsked {
            now += 1;
        } else if each.kind == HappeningKind::VmGone {
            now = now.saturating_sub(1);
        }
        most = most.max(now);
    }
    most
}

/// The first word that is a runner's name.
fn runner(deployment: &Deployment, text: &str) -> Option<RunnerName> {
    text.split_whitespace().find_map(|word| RunnerName::parse(deployment, word))
}

fn hand_over(deployment: &Deployment, happened: &[Happening]) -> HandOver {
    let mut runs_on: BTreeMap<&str, RunnerName> = BTreeMap::new();
    let (mut ended, mut asked_to_go) = (BTreeMap::new(), BTreeMap::new());
    let (mut handed, mut deletions) = (Vec::new(), Vec::new());
    for each in happened {
        // "job 17 …"
        let job = each.text.split_whitespace().nth(1).unwrap_or_default();
        match (each.kind, runner(deployment, &each.text)) {
            (HappeningKind::JobStarted, Some(runner)) => _ = runs_on.insert(job, runner),
            (HappeningKind::JobEnded, _) => {
                if let Some(runner) = runs_on.remove(job) {
                    ended.insert(runner.slot(), each.time);
                }
            }
            (HappeningKind::VmDeleting, Some(runner)) => _ = asked_to_go.insert(runner, each.time),
            (HappeningKind::VmGone, Some(runner)) => {
                deletions.extend(asked_to_go.remove(&runner).map(|asked| since(asked, each.time)));
            }
            (HappeningKind::VmAsked, Some(runner)) => {
                handed.extend(ended.remove(&runner.slot()).map(|ended| since(ended, each.time)));
            }
            _ => {}
        }
    }
    HandOver {
        times: handed.len(),
        p50: median(&handed),
        p99: percentile(&handed, 99),
        deletion: median(&deletions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures;
    use crate::report::Report;

    #[test]
    fn a_small_burst_drains_as_fast_as_it_can() {
        let burst = burst(40, 4).unwrap();
        assert_eq!((burst.over.len(), burst.most_vms, burst.hand_over.times), (40, 4, 36));
        assert!(burst.over.is_sorted());
        let report = Report { burst: Some(burst), ..Report::default() };
        let figures = figures::all(&report);
        assert!(figures.len() == 3 && figures.iter().all(|figure| figure.holds), "{figures:#?}");
    }

    #[test]
    fn a_handover_is_from_the_end_of_a_job_to_the_next_vm_of_its_slot() {
        let deployment = Deployment::new("test").unwrap();
        let at = |second: i64, kind, text: &str| Happening {
            time: Timestamp::from_second(second).unwrap(),
            kind,
            text: text.to_owned(),
        };
        let (first, next) = ("test-gpu-0000-aaaaaaaaaaaa", "test-gpu-0000-bbbbbbbbbbbb");
        let happened = [
            at(0, HappeningKind::VmAsked, &format!("{first} is asked for in us-east1-c")),
            at(9, HappeningKind::JobStarted, &format!("job 7 runs on {first}")),
            at(20, HappeningKind::JobEnded, "job 7 ended: success"),
            at(21, HappeningKind::VmDeleting, &format!("{first} is being deleted through the API")),
            at(61, HappeningKind::VmGone, &format!("{first} is gone from us-east1-c")),
            at(62, HappeningKind::VmAsked, &format!("{next} is asked for in us-east1-c")),
        ];
        let found = hand_over(&deployment, &happened);
        let seconds = |time: Duration| time.as_secs();
        assert_eq!((found.times, seconds(found.p50), seconds(found.deletion)), (1, 42, 40));
        assert_eq!(most_vms(&happened), 1);
    }
}
