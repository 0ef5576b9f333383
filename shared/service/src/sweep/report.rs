//! What a sweep saw and did.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mayfly_core::gate::Trouble;
use mayfly_core::ids::{JobId, PoolName};
use mayfly_core::policy::Policy;
use mayfly_core::slot::PhaseKind;
use mayfly_core::sweep::{LeftAlone, Observed, Plan, PoolLedger, World};
use serde::Serialize;

/// What a sweep saw and did; the sweeper's answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// When it began to look.
    pub now: Option<Timestamp>,
    /// Each pool, as the table had it.
    pub pools: Vec<PoolReport>,
    /// How many VMs of this deployment the providers had.
    pub vms: usize,
    /// How many runners GitHub listed where the pools' are registered, strangers' included.
    pub runners: usize,
    /// What was done, or tried.
    pub done: Vec<Done>,
    /// What was left alone, and why.
    pub left_alone: Vec<LeftAlone>,
    /// How many steps were left for the next sweep, for want of time.
    pub postponed: usize,
    /// The sources that could not be read; nothing was deleted on their account.
    pub failed_sources: Vec<Source>,
    /// How many requests the sweep sent.
    pub calls: Calls,
    /// How long the sweep took, in milliseconds.
    pub took_ms: u64,
    /// Why the next poll comes later than was asked for, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowed: Option<String>,
}

/// A pool as the table had it.
#[derive(Debug, Clone, Serialize)]
pub struct PoolReport {
    /// Which.
    pub pool: PoolName,
    /// How many jobs wait.
    pub waiting: usize,
    /// How many slots are taken, by phase.
    pub slots: BTreeMap<PhaseKind, usize>,
    /// Whether it is being drained.
    pub draining: bool,
    /// Whether it is configured no more, and only brought to its end.
    pub removed: bool,
    /// The jobs that go on waiting after this sweep, oldest first: the first hundred.
    pub jobs: Vec<WaitingJob>,
    /// What keeps failing.
    pub troubles: Vec<String>,
}

/// A job that goes on waiting.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingJob {
    /// Which.
    pub job: JobId,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: String,
}

/// How many requests were sent, those that were repeated included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// To GitHub.
    pub github: u64,
    /// To providers.
    pub provider: u64,
    /// To the table.
    pub table: u64,
}

/// Something that was done, or tried.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// For which pool; none where it was for all.
    pub pool: Option<PoolName>,
    /// What: the plan's action.
    pub action: &'static str,
    /// To what: a runner's or VM's name, a job, or a delivery.
    pub what: String,
    /// Why it was planned.
    pub why: &'static str,
    /// How it went.
    pub outcome: String,
}

/// A source that could not be read.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Which.
    pub source: String,
    /// Why.
    pub why: String,
}

impl Source {
    /// Says, in the log as well, that a source could not be read.
    pub(super) fn failed(source: String, error: &dyn std::error::Error) -> Self {
        tracing::warn!(source, %error, "a source could not be read: nothing is deleted on its account");
        Self { source, why: error.to_string() }
    }

    /// The same of a job that GitHub was asked about.
    pub(super) fn job_failed(job: JobId, error: &dyn std::error::Error) -> Self {
        let source = format!("job {job}");
        tracing::warn!(%job, source, %error, "a source could not be read: nothing is deleted on its account");
        Self { source, why: error.to_string() }
    }
}

/// So many waiting jobs of a pool are named.
const JOBS_NAMED: usize = 100;

impl Report {
    /// What was seen, and what is planned to wait.
    pub(super) fn of(policy: &Policy, world: &World, plan: &Plan) -> Self {
        Self {
            now: Some(world.now),
            pools: world.pools.iter().map(|ledger| PoolReport::of(policy, ledger, plan)).collect(),
            vms: world.vms.values().map(|observed| Observed::values(observed).len()).sum(),
            runners: world.runners.values().map(|observed| Observed::values(observed).len()).sum(),
            ..Self::default()
        }
    }
}

impl PoolReport {
    fn of(policy: &Policy, ledger: &PoolLedger, plan: &Plan) -> Self {
        let mut slots = BTreeMap::new();
        for slot in &ledger.slots {
            *slots.entry(slot.phase.kind()).or_default() += 1;
        }
        let waits = plan.waits.iter().filter(|wait| wait.pool == ledger.pool).take(JOBS_NAMED);
        let jobs = waits.map(|wait| WaitingJob { job: wait.job, since: wait.since, why: wait.why.clone() });
        let trouble = |what: &str, trouble: &Option<Trouble>| {
            let Trouble { failures, at, why } = trouble.as_ref()?;
            Some(format!("{what} failed {failures} times in a row, last at {at}: {why}"))
        };
        let troubles = [trouble("creates", &ledger.state.creates), trouble("boots", &ledger.state.boots)];
        Self {
            pool: ledger.pool.clone(),
            waiting: ledger.waiting.len(),
            slots,
            draining: ledger.state.draining.is_some(),
            removed: policy.pool(&ledger.pool).is_none(),
            jobs: jobs.collect(),
            troubles: troubles.into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mayfly_core::ids::Deployment;
    use mayfly_core::job::Waiting;
    use mayfly_core::notice::Cause;
    use mayfly_core::policy::Timing;
    use mayfly_core::sweep::Wait;

    use super::*;

    #[test]
    fn a_report_names_a_hundred_waiting_jobs_of_a_pool_and_counts_all() {
        let (pool, since) = (PoolName::new("linux").unwrap(), Timestamp::UNIX_EPOCH);
        let wait = |number: u64| Wait {
            pool: pool.clone(),
            job: JobId(number),
            since,
            why: "the pool is full".to_owned(),
            cause: Cause::Full,
            until: None,
            place: 1,
        };
        let waiting = |number: u64| Waiting {
            queued_at: since,
            job: JobId(number),
            repository: mayfly_core::ids::Repository::new("shader-slang/slang").unwrap(),
            installation: None,
            unseen_run: None,
        };
        let plan = Plan { waits: (0..5_000).map(wait).collect(), ..Plan::default() };
        let ledger =
            PoolLedger { waiting: (0..5_000).map(waiting).collect(), ..PoolLedger::empty(pool.clone()) };
        let policy = Policy {
            deployment: Deployment::new("prod").unwrap(),
            pools: Vec::new(),
            timing: Timing::default(),
            waiting_after: None,
        };
        let report = PoolReport::of(&policy, &ledger, &plan);
        assert_eq!((report.jobs.len(), report.waiting), (100, 5_000));
    }
}
