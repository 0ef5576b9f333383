//! How a deployment stands, as far as its table says: one query for each pool, and what one sweep left for the next. For a
//! person at a terminal, a page, or figures; it decides nothing, and holds no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::age::{Age, clock};
use crate::gate::{Closed, PoolState, Trouble, boots_fail, closed, is_in_trouble};
use crate::ids::{Deployment, JobId, PoolName, Repository, RunnerName};
use crate::job::Waiting;
use crate::policy::{Policy, Pool, Timing};
use crate::slot::{Phase, PhaseKind, Purpose, Slot, later};
use crate::sweep::PoolLedger;

/// What was read of a pool.
#[derive(Debug, Clone)]
pub struct SeenPool {
    /// Which.
    pub pool: PoolName,
    /// What the table holds, with what of it could not be read; or why the pool could not be read at all.
    pub read: Result<(PoolLedger, Vec<String>), String>,
}

/// How a deployment stands.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When the table was read.
    pub now: Timestamp,
    /// Which deployment.
    pub deployment: Deployment,
    /// What is known of the last sweep.
    pub last_sweep: LastSweep,
    /// The pools of the configuration, and those that it has no more but that may have something left.
    pub pools: Vec<PoolOverview>,
}

/// What is known of the last sweep: not each leaves word, only those that write something down.
#[derive(Debug, Clone, Serialize)]
pub struct LastSweep {
    /// The last one that left word; there may have been others since.
    pub at_or_after: Option<Timestamp>,
    /// In words.
    pub says: String,
    /// None has left word for so long that probably none runs, or GitHub does not answer.
    pub overdue: bool,
}

/// How a pool stands.
#[derive(Debug, Clone, Serialize)]
pub struct PoolOverview {
    /// Which.
    pub pool: PoolName,
    /// It is configured no more, and only brought to its end.
    pub removed: bool,
    /// The most runners that it may have.
    pub max_runners: u16,
    /// So many stand ready without a job.
    pub min_runners: u16,
    /// How many slots are taken.
    pub taken: usize,
    /// Those by phase.
    pub phases: BTreeMap<PhaseKind, usize>,
    /// Taken slots of which nothing can be read.
    pub unreadable: usize,
    /// Its runners, those first that are in their phase for longest.
    pub runners: Vec<RunnerOverview>,
    /// Its waiting jobs, oldest first.
    pub waiting: Vec<WaitingOverview>,
    /// Why it starts no VMs now, where it does not.
    pub closed: Option<String>,
    /// Since when it is drained.
    pub draining: Option<Timestamp>,
    /// Until when GitHub asks to be left alone.
    pub github_until: Option<Timestamp>,
    /// Places that were full, and are not asked for a while.
    pub cooling: Vec<Cooling>,
    /// What failed in a row.
    pub failures: Vec<Failures>,
    /// What could not be read, and why. Where the pool could not be read at all, nothing above is known.
    pub unread: Vec<String>,
    /// Nothing of the pool could be read.
    pub unknown: bool,
}

/// A taken slot.
#[derive(Debug, Clone, Serialize)]
pub struct RunnerOverview {
    /// Its runner's name.
    pub runner: RunnerName,
    /// How far that is.
    pub phase: PhaseKind,
    /// Since when it is in that phase.
    pub since: Timestamp,
    /// When the slot was taken.
    pub taken_at: Timestamp,
    /// The job that it is for, or runs; none for a spare one, or where its job is not known yet.
    pub job: Option<JobId>,
    /// Where its VM is, where that is known.
    pub place: Option<String>,
}

/// A waiting job.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingOverview {
    /// Which.
    pub job: JobId,
    /// Whose.
    pub repository: Repository,
    /// Since when.
    pub since: Timestamp,
    /// What it waits for.
    pub reason: Reason,
    /// In words.
    pub why: String,
    /// When GitHub was last asked whether it still waits, where it was.
    pub asked_at: Option<Timestamp>,
}

/// A place that was full.
#[derive(Debug, Clone, Serialize)]
pub struct Cooling {
    /// `provider/place`
    pub place: String,
    /// Until then it is not asked again.
    pub until: Timestamp,
}

/// Failures in a row.
#[derive(Debug, Clone, Serialize)]
pub struct Failures {
    /// `creates` or `boots`.
    pub what: &'static str,
    /// How many.
    pub failures: u32,
    /// When the last was.
    pub at: Timestamp,
    /// Why the last failed.
    pub why: String,
}

/// Why a job waits, as far as the table knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// Its pool is configured no more.
    Removed,
    /// Its pool is drained.
    Drained,
    /// GitHub asks to be left alone.
    #[serde(rename = "github")]
    GitHub {
        /// Until then.
        until: Timestamp,
    },
    /// Creates failed in a row.
    CreatesFail {
        /// The next is tried then.
        until: Timestamp,
    },
    /// Boots failed in a row.
    BootsFail {
        /// The next is tried then.
        until: Timestamp,
    },
    /// Every place was full a while ago.
    CoolingDown {
        /// The first of them is asked again then.
        until: Timestamp,
    },
    /// After failures one VM is made at a time.
    OneAtATime,
    /// All runners are taken.
    Full,
    /// A runner is spare, and is given to it soon.
    RunnerSpare,
    /// A slot is free, and is taken for it soon if a placement has room.
    SlotFree,
}

impl Reason {
    fn of(closed: &Closed) -> Self {
        match closed {
            Closed::Removed => Self::Removed,
            Closed::Draining => Self::Drained,
            Closed::GitHub(until) => Self::GitHub { until: *until },
            Closed::Creates(until, _) => Self::CreatesFail { until: *until },
            Closed::Boots(until, _) => Self::BootsFail { until: *until },
            Closed::Full(until) => Self::CoolingDown { until: *until },
        }
    }
}

/// How a deployment stands, by what was read of it: `swept_at` is when a sweep last left word.
pub fn overview(policy: &Policy, seen: &[SeenPool], swept_at: Option<Timestamp>, now: Timestamp) -> Overview {
    let ledgers = seen.iter().filter_map(|seen| seen.read.as_ref().ok());
    // It is sweeps that ask GitHub.
    let asked = ledgers.flat_map(|(ledger, _)| ledger.asked.values().copied()).max();
    Overview {
        now,
        deployment: policy.deployment.clone(),
        last_sweep: last_sweep(asked.max(swept_at), &policy.timing, now),
        pools: seen.iter().map(|seen| pool(policy, seen, now)).collect(),
    }
}

/// A sweep leaves word with the search for lost jobs, which begins anew after `check_after`.
fn last_sweep(at: Option<Timestamp>, timing: &Timing, now: Timestamp) -> LastSweep {
    let overdue = at.is_some_and(|at| later(at, timing.check_after * 2 + SWEEPS_APART) < now);
    let says = match at {
        None => "no sweep has left word yet".to_owned(),
        Some(at) if overdue => format!(
            "no sweep has left word for {}, though one does about every {} while GitHub answers: look whether the \
             sweeper runs",
            Age::between(at, now),
            Age(timing.check_after)
        ),
        Some(at) => format!(
            "one left word {} ago (one that finds nothing to write down leaves none)",
            Age::between(at, now)
        ),
    };
    LastSweep { at_or_after: at, says, overdue }
}

/// Sweeps are hardly further apart.
const SWEEPS_APART: Duration = Duration::from_secs(5 * 60);

fn pool(policy: &Policy, seen: &SeenPool, now: Timestamp) -> PoolOverview {
    let configured = policy.pool(&seen.pool);
    let (ledger, unread, unknown) = match &seen.read {
        Ok((ledger, corrupt)) => (ledger.clone(), corrupt.clone(), false),
        Err(why) => (PoolLedger::empty(seen.pool.clone()), vec![why.clone()], true),
    };
    let mut phases = BTreeMap::new();
    for slot in &ledger.slots {
        *phases.entry(slot.phase.kind()).or_default() += 1;
    }
    let mut runners: Vec<RunnerOverview> = ledger.slots.iter().map(runner).collect();
    runners.sort_by_key(|runner| (runner.since, runner.runner.slot()));
    let state = &ledger.state;
    let cooling = state.cooling.iter().filter(|(_, until)| **until > now);
    PoolOverview {
        pool: seen.pool.clone(),
        removed: configured.is_none(),
        max_runners: configured.map_or(0, |pool| pool.max_runners.get()),
        min_runners: configured.map_or(0, |pool| pool.min_runners),
        taken: ledger.slots.len() + ledger.unreadable.len(),
        phases,
        unreadable: ledger.unreadable.len(),
        runners,
        waiting: waiting(policy, &ledger, now),
        closed: shut(policy, configured, state, now).map(|closed| closed.to_string()),
        draining: state.draining,
        github_until: state.github_until.filter(|until| *until > now),
        cooling: cooling.map(|(place, until)| Cooling { place: place.clone(), until: *until }).collect(),
        failures: [failures("creates", &state.creates), failures("boots", &state.boots)]
            .into_iter()
            .flatten()
            .collect(),
        unread,
        unknown,
    }
}

fn shut(policy: &Policy, pool: Option<&Pool>, state: &PoolState, now: Timestamp) -> Option<Closed> {
    pool.map_or(Some(Closed::Removed), |pool| closed(pool, state, &policy.timing, now))
}

fn failures(what: &'static str, trouble: &Option<Trouble>) -> Option<Failures> {
    let Trouble { failures, at, why } = trouble.clone()?;
    Some(Failures { what, failures, at, why })
}

fn runner(slot: &Slot) -> RunnerOverview {
    RunnerOverview {
        runner: slot.runner.clone(),
        phase: slot.phase.kind(),
        since: slot.since(),
        taken_at: slot.reserved_at,
        job: slot.purpose.job(),
        place: slot.phase.machine().map(|machine| machine.vm.to_string()),
    }
}

/// A pool's waiting jobs, oldest first, and what each waits for.
pub fn waiting(policy: &Policy, ledger: &PoolLedger, now: Timestamp) -> Vec<WaitingOverview> {
    let mut queue: Vec<&Waiting> = ledger.waiting.iter().collect();
    queue.sort();
    let view = Queue::of(policy, ledger, now);
    let told = queue.into_iter().enumerate().map(|(place, job)| {
        let (reason, why) = view.reason(place);
        WaitingOverview {
            job: job.job,
            repository: job.repository.clone(),
            since: job.queued_at,
            reason,
            why,
            asked_at: ledger.asked.get(&job.job).copied(),
        }
    });
    told.collect()
}

/// What a queue waits for.
struct Queue<'a> {
    closed: Option<Closed>,
    state: &'a PoolState,
    max: usize,
    /// Runners that nobody waits for.
    spare: usize,
    free: usize,
    cooling: String,
}

impl<'a> Queue<'a> {
    fn of(policy: &Policy, ledger: &'a PoolLedger, now: Timestamp) -> Self {
        let pool = policy.pool(&ledger.pool);
        let closed = shut(policy, pool, &ledger.state, now);
        let max = pool.map_or(0, |pool| usize::from(pool.max_runners.get()));
        let serves = !matches!(closed, Some(Closed::Removed | Closed::Draining));
        let within = |slot: &&Slot| usize::from(slot.runner.slot().0) < max;
        let spare = ledger.slots.iter().filter(|slot| serves && is_spare(slot)).filter(within).count();
        let taken = ledger.slots.len() + ledger.unreadable.len();
        let cooling = ledger.state.cooling.iter().filter(|(_, until)| **until > now);
        let cooling: Vec<String> =
            cooling.map(|(place, until)| format!("{place} until {}", clock(*until))).collect();
        Self {
            closed,
            state: &ledger.state,
            max,
            spare,
            free: max.saturating_sub(taken),
            cooling: cooling.join(", "),
        }
    }

    /// What the job at that place waits for.
    fn reason(&self, place: usize) -> (Reason, String) {
        if place < self.spare {
            return (
                Reason::RunnerSpare,
                "a runner is spare: the next sweep gives it to this job".to_owned(),
            );
        }
        if let Some(closed) = &self.closed {
            let why = match closed {
                Closed::Full(_) => format!("{closed} ({})", self.cooling),
                Closed::Removed | Closed::Draining | Closed::GitHub(_) => closed.to_string(),
                Closed::Creates(..) => self.in_a_row(closed, "creates", &self.state.creates),
                Closed::Boots(..) => self.in_a_row(closed, "boots", &self.state.boots),
            };
            return (Reason::of(closed), why);
        }
        if self.free == 0 {
            return (Reason::Full, format!("its pool is full: all {} runners are taken", self.max));
        }
        if is_in_trouble(self.state) {
            let trouble = if boots_fail(self.state) { &self.state.boots } else { &self.state.creates };
            let why = trouble.as_ref().map_or("", |trouble| trouble.why.as_str());
            return (Reason::OneAtATime, format!("VMs are made one at a time until one succeeds: {why}"));
        }
        if place - self.spare < self.free {
            let why = "a slot is free: the next sweep takes it for this job, unless no placement has room, of which the \
                       table does not tell";
            return (Reason::SlotFree, why.to_owned());
        }
        (Reason::Full, format!("{} jobs before it take the runners that are free, of {}", place, self.max))
    }

    fn in_a_row(&self, closed: &Closed, what: &str, trouble: &Option<Trouble>) -> String {
        let failures = trouble.as_ref().map_or(0, |trouble| trouble.failures);
        format!("{closed} ({failures} {what} failed in a row)")
    }
}

/// A runner that nobody waits for, and that a job may have.
fn is_spare(slot: &Slot) -> bool {
    let on_its_way =
        matches!(slot.phase, Phase::Creating { .. } | Phase::Booting { .. } | Phase::Idle { .. });
    on_its_way && matches!(slot.purpose, Purpose::Spare { .. })
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
