//! Which jobs are worth asking for. Asking is what costs: a pool in good order asks for none.

use std::time::Duration;

use crate::ids::{InstallationId, JobId, Repository};
use crate::job::{Job, JobState, Waiting};
use crate::policy::{Policy, Pool, Timing};
use crate::slot::{Phase, Purpose, Slot, earlier};

use super::notices;
use super::world::{Index, PoolLedger, Presence, Sighting, VmState, World};

/// GitHub is asked for at most so many jobs of slots in one sweep,
const SLOTS_MOST: usize = 40;
/// and for so many that wait.
const WAITING_MOST: usize = 20;

/// How it is known what becomes of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Webhooks tell. Who was not heard of for `check_after` may have been missed.
    Delivered,
    /// No webhook comes: sweeps find out, about this far apart.
    Polled {
        /// How far.
        every: Duration,
    },
}

impl News {
    /// A runner whose doings have been at odds with its slot for so long is looked into.
    fn patience(self, timing: &Timing) -> Duration {
        match self {
            Self::Delivered => timing.check_after,
            Self::Polled { every } => every.min(timing.check_after),
        }
    }

    /// The waits of a sweep that learns of things in this way: without webhooks there is nothing to wait for, so what
    /// a list says at odds with a slot counts from the next poll on.
    pub fn timing(self, timing: &Timing) -> Timing {
        Timing { check_after: self.patience(timing), ..timing.clone() }
    }
}

/// A job that GitHub is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which.
    pub job: JobId,
    /// Whose it is.
    pub repository: Repository,
    /// The installation whose token sees it.
    pub installation: Option<InstallationId>,
    /// Its entry in its pool's queue, where it waits.
    pub waiting: Option<(crate::ids::PoolName, Waiting)>,
}

/// The jobs whose record the plan depends on: those of slots that are not plainly in order, and those that a notice says
/// wait and that no queue has. Asked for at the table, in
/// batches.
pub fn jobs_in_question(policy: &Policy, world: &World, news: News) -> Vec<JobId> {
    let index = Index::of(policy, world);
    let mut jobs = Vec::new();
    for ledger in index.ledgers() {
        let Some(pool) = index.pool(&ledger.pool) else { continue };
        let doubtful =
            ledger.slots_in_order().into_iter().filter(|slot| is_doubtful(&index, pool, slot, news));
        jobs.extend(doubtful.filter_map(|slot| slot.purpose.job()));
    }
    jobs.extend(notices::jobs_not_waiting(&index));
    jobs
}

fn is_doubtful(index: &Index<'_>, pool: &Pool, slot: &Slot, news: News) -> bool {
    let timing = &news.timing(&index.policy.timing);
    let stale = |wait: Duration| slot.since() <= earlier(index.world.now, wait);
    let runs = matches!(index.vm_of(slot), Sighting::There(vm) if vm.state == VmState::Running);
    match slot.phase {
        Phase::Busy { .. } => !runs || (stale(timing.check_after) && !is_busy(index, pool, slot)),
        Phase::Deleting { .. } => true,
        // Its job's end is the only sign that nobody needs it, and it may take long to be made.
        Phase::Creating { .. } => true,
        Phase::Reserved | Phase::Booting { .. } | Phase::Idle { .. } => {
            !runs || stale(timing.check_after) || stale(timing.step_timeout)
        }
    }
}

fn is_busy(index: &Index<'_>, pool: &Pool, slot: &Slot) -> bool {
    match index.runner(&pool.scope, slot.runner.as_str()) {
        Presence::Busy => true,
        // Nothing follows from a list that was not read, so nothing is asked on its account.
        Presence::Unknown => true,
        Presence::Offline | Presence::Idle | Presence::Absent(_) => false,
    }
}

/// The jobs that GitHub is asked for: those of runners that do not do what they were made for, and those that have
/// waited for so long that their end may have been missed. Runners that are plainly busy are not asked for.
pub fn jobs_to_ask(policy: &Policy, world: &World, news: News) -> Vec<Question> {
    let index = Index::of(policy, world);
    let mut of_slots = Vec::new();
    let mut waiting = Vec::new();
    for ledger in index.ledgers() {
        let Some(pool) = index.pool(&ledger.pool) else { continue };
        let strange = ledger.slots_in_order().into_iter().filter(|slot| is_strange(&index, pool, slot, news));
        of_slots.extend(strange.filter_map(|slot| of_slot(world, slot)));
        waiting.extend(long_waiting(&index, ledger));
    }
    // The longest not heard of first, whichever pool they are of.
    of_slots.sort_by_key(|(since, _)| *since);
    waiting.sort_by_key(|(since, _)| *since);
    // Where there are more, others in each minute: some may stay strange for long.
    let minute = usize::try_from(world.now.as_second() / 60).unwrap_or(0);
    if of_slots.get(SLOTS_MOST).is_some() {
        let first = minute * SLOTS_MOST % of_slots.len();
        of_slots.rotate_left(first);
    }
    let of_slots = of_slots.into_iter().take(SLOTS_MOST);
    of_slots.chain(waiting.into_iter().take(WAITING_MOST)).map(|(_, question)| question).collect()
}

/// Whether a slot's runner does something else than it should, for so long that the event which tells of it must have
/// been missed.
fn is_strange(index: &Index<'_>, pool: &Pool, slot: &Slot, news: News) -> bool {
    let Sighting::There(vm) = index.vm_of(slot) else { return false };
    if vm.state == VmState::Stopped && matches!(news, News::Polled { .. }) {
        // That is how the end of a job shows where no event tells of it.
        return matches!(slot.phase, Phase::Booting { .. } | Phase::Idle { .. } | Phase::Busy { .. });
    }
    if slot.since() > earlier(index.world.now, news.patience(&index.policy.timing)) {
        return false;
    }
    let runs = vm.state == VmState::Running;
    let presence = index.runner(&pool.scope, slot.runner.as_str());
    runs && match (&slot.phase, presence) {
        (Phase::Booting { .. } | Phase::Idle { .. }, Presence::Busy | Presence::Idle) => true,
        (Phase::Booting { .. } | Phase::Idle { .. }, _) => false,
        (Phase::Busy { .. }, Presence::Idle | Presence::Offline | Presence::Absent(_)) => true,
        (Phase::Busy { .. }, Presence::Busy | Presence::Unknown) => false,
        (Phase::Reserved | Phase::Creating { .. } | Phase::Deleting { .. }, _) => false,
    }
}

fn of_slot(world: &World, slot: &Slot) -> Option<(jiff::Timestamp, Question)> {
    let Purpose::Job(job) = slot.purpose else { return None };
    let job: &Job = world.jobs.get(&job)?.as_ref()?;
    let over = job.state == JobState::Done;
    let (repository, installation) = (job.repository.clone(), job.installation);
    let question = Question { job: job.id, repository, installation, waiting: None };
    (!over).then_some((slot.since(), question))
}

fn long_waiting<'a>(
    index: &Index<'a>,
    ledger: &'a PoolLedger,
) -> impl Iterator<Item = (jiff::Timestamp, Question)> + use<'a> {
    let checked = earlier(index.world.now, index.policy.timing.check_after);
    let heard = move |waiting: &Waiting| {
        ledger.asked.get(&waiting.job).map_or(waiting.queued_at, |asked| waiting.queued_at.max(*asked))
    };
    let long = ledger.waiting_in_order().into_iter().filter(move |waiting| heard(waiting) <= checked);
    long.map(move |waiting| {
        let question = Question {
            job: waiting.job,
            repository: waiting.repository.clone(),
            installation: waiting.installation,
            waiting: Some((ledger.pool.clone(), waiting.clone())),
        };
        (heard(waiting), question)
    })
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;
