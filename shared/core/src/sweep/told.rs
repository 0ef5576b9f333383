//! What GitHub says of jobs, and no event did: it is made good.

use super::plan::{Action, Plan, Step};
use super::world::Index;
use crate::event::{Change, JobEvent};
use crate::ids::{PoolName, RunnerName};
use crate::job::{Job, JobState};
use crate::policy::Pool;
use crate::route::route;
use crate::slot::{Slot, earlier};

/// Records what was missed: jobs that were queued, taken or ended without our being told, and jobs that the ledger
/// has lost sight of.
pub(super) fn make_good(index: &Index<'_>, plan: &mut Plan) {
    for event in index.all_told() {
        // What could not be read is not known to be missing.
        let Some(record) = index.world.jobs.get(&event.job) else { continue };
        if let Some((pool, action, why)) = missed(index, event, record.as_ref()) {
            let since = event.created_at.unwrap_or(index.world.now);
            plan.steps.push(Step { pool: Some(pool), action, why, since });
        }
    }
}

fn missed(
    index: &Index<'_>,
    event: &JobEvent,
    record: Option<&Job>,
) -> Option<(PoolName, Action, &'static str)> {
    let tell = || Action::Tell { event: event.clone() };
    let Some(job) = record else {
        let pool = route(index.policy, event).ok().filter(|_| event.change == Change::Queued)?;
        return Some((pool.name.clone(), tell(), "GitHub has it queued, and no event told of it"));
    };
    let pool = || job.pool.clone();
    match (&event.change, &job.state) {
        (Change::Queued, JobState::Held) => {
            Some((pool(), tell(), "GitHub has it queued, and no event told of its approval"))
        }
        (Change::Queued, JobState::Waiting) => moved(index, event, job).or_else(|| lost(index, job)),
        (Change::Queued, JobState::Assigned { .. }) => lost(index, job),
        (Change::Held, JobState::Waiting | JobState::Assigned { .. }) => {
            Some((pool(), tell(), "GitHub says that it waits for approval"))
        }
        (Change::Started { .. }, JobState::Held | JobState::Waiting | JobState::Assigned { .. }) => {
            Some((pool(), tell(), "GitHub says that a runner has it, and no event told of it"))
        }
        (
            Change::Ended { .. },
            JobState::Held | JobState::Waiting | JobState::Assigned { .. } | JobState::Running { .. },
        ) => Some((pool(), tell(), "GitHub says that it is over, and no event told of it")),
        (Change::Started { runner: Some(runner) }, JobState::Running { .. }) => unstarted(index, runner)
            .map(|pool| (pool, tell(), "its runner's slot does not know that it runs")),
        // GitHub's own lists may be behind; what is over stays over.
        (Change::Queued, JobState::Running { .. } | JobState::Done)
        | (Change::Held, JobState::Held | JobState::Running { .. } | JobState::Done)
        | (Change::Started { .. }, JobState::Running { .. } | JobState::Done)
        | (Change::Ended { .. }, JobState::Done) => None,
    }
}

/// The pool of a runner whose slot has not heard of its start.
fn unstarted(index: &Index<'_>, runner: &str) -> Option<PoolName> {
    use crate::slot::PhaseKind::{Booting, Creating, Idle, Reserved};
    let runner = RunnerName::parse(&index.policy.deployment, runner)?;
    let slot = index.ledger(runner.pool())?.slots.iter().find(|slot| slot.runner == runner)?;
    matches!(slot.phase.kind(), Reserved | Creating | Booting | Idle).then(|| runner.pool().clone())
}

/// A job in the queue of a pool that is configured no more.
fn moved(index: &Index<'_>, event: &JobEvent, job: &Job) -> Option<(PoolName, Action, &'static str)> {
    if index.policy.pool(&job.pool).is_some() {
        return None;
    }
    let pool: &Pool = route(index.policy, event).ok()?;
    let action = Action::Move { event: event.clone(), waiting: job.waiting() };
    Some((pool.name.clone(), action, "its pool is configured no more, and this one serves it as well"))
}

/// A job that wants a runner, and that neither the queue nor a slot has.
fn lost(index: &Index<'_>, job: &Job) -> Option<(PoolName, Action, &'static str)> {
    let ledger = index.ledger(&job.pool)?;
    let has = |slot: &Slot| slot.purpose.job() == Some(job.id) || slot.displaced == Some(job.id);
    let known = ledger.waiting.iter().any(|waiting| waiting.job == job.id) || ledger.slots.iter().any(has);
    let why = "GitHub has it queued, and neither the queue nor a slot knows it";
    // Its slot or its place in the queue may have been written after the pool's part of the table was read.
    let written = job.timeline.iter().map(|moment| moment.at).max().unwrap_or(job.queued_at);
    let settled = written <= earlier(index.world.now, index.policy.timing.step_timeout);
    (settled && !known).then(|| (job.pool.clone(), Action::Requeue { job: job.id }, why))
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
