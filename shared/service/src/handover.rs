//! Waiting jobs get slots: free ones, spare runners, and those whose VM is gone.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::candidates::{gaps, scattered, start};
use mayfly_core::event::Change;
use mayfly_core::ids::{JobId, PoolName, SlotIndex};
use mayfly_core::job::{JobState, Moment, Waiting};
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Phase, Purpose, Slot, later};
use mayfly_core::telling::Step;

use crate::clock;
use crate::errand::Want;
use crate::github::{GitHubError, NOT_FOUND};
use crate::mayfly::Mayfly;
use crate::provision::{Provisioned, TURNED_AWAY_MOST};
use crate::store::{StoreError, Take, Was};
use crate::turn::Turn;

/// What a look at a part of a pool's slots showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Runners that nobody waits for.
    pub spare: Vec<Slot>,
    /// Free slots.
    pub free: Vec<SlotIndex>,
    /// Slots whose VM is going, unwatched.
    pub deleting: Vec<Slot>,
}

/// A pool of up to this many slots is looked at as a whole: about 16 KB, 2 read units.
const WHOLE_POOL_MOST: u16 = 64;
/// A larger one is probed at random places with growing samples, until one shows a free slot: 2 read units in all.
const PROBES: [u16; 2] = [16, 32];
/// The only job of a queue looks at so many, since nobody else would find it a slot before the next sweep. Of a pool
/// that has a hundredth of its slots free, it then overlooks all of them once in two hundred times. 16 read units.
const LAST_LOOK: [u16; 1] = [512];

impl Mayfly {
    /// Looks for slots that a job could take, at a cost that does not depend on the pool's size.
    pub(crate) async fn look(&self, pool: &Pool) -> Result<Look, StoreError> {
        self.look_at(pool, &PROBES).await
    }

    /// Looks at so many slots, anywhere in the pool, and then at so many, until something is found.
    async fn look_at(&self, pool: &Pool, sizes: &[u16]) -> Result<Look, StoreError> {
        let max = pool.max_runners;
        let whole = [max.get()];
        let sizes = if max.get() <= WHOLE_POOL_MOST { &whole } else { sizes };
        let mut look = Look::default();
        for &size in sizes {
            let start = start(size, max, crate::random::bits());
            // One more than is there, so that a sample that holds all of them is known to.
            let limit = usize::from(size) + 1;
            let slots = self.ledger.sample(&pool.name, start, limit).await?;
            let taken: Vec<SlotIndex> = slots.iter().map(|slot| slot.runner.slot()).collect();
            look.free = gaps(start, &taken, limit, max);
            look.sort(slots);
            if !look.free.is_empty() || !look.spare.is_empty() {
                break;
            }
        }
        Ok(look)
    }

    /// What a job is best served with: a spare runner, else a free slot.
    pub(crate) fn best(&self, pool: &Pool, look: &Look, job: JobId) -> Option<Take> {
        if let Some(spare) = look.spare.first() {
            return Some(Take::Spare(spare.clone()));
        }
        // Any of them, so that those who look at the same time do not all want the same.
        let index = pick(&look.free)?;
        Some(Take::Free(self.new_slot(pool, index, Purpose::Job(job))))
    }

    /// Serves a job that has just been queued, if it is the oldest and a look at the pool shows how: a free slot, a spare
    /// runner, or a slot whose VM is going while nobody waits for the end of it.
    pub(crate) async fn serve_first(&self, pool: &Pool, job: JobId, turn: Turn) {
        if let Err(error) = self.try_serve_first(pool, job, turn).await {
            tracing::warn!(pool = %pool.name, %job, %error, "a waiting job could not be given a slot: it is left for the sweep");
        }
    }

    async fn try_serve_first(&self, pool: &Pool, job: JobId, turn: Turn) -> Result<(), StoreError> {
        if self.known_closed(pool).is_some() {
            return Ok(());
        }
        // Where another waits for longer the pool is full, and whoever ends next serves the oldest.
        let queue = self.ledger.oldest_waiting(&pool.name, 1).await?;
        let Some(first) = queue.first().filter(|first| first.job == job) else { return Ok(()) };
        let look = self.look_at(pool, &LAST_LOOK).await?;
        if let Some(take) = self.best(pool, &look, first.job) {
            if matches!(take, Take::Spare(_)) && self.drained(pool).await.is_some() {
                return Ok(());
            }
            self.serve(pool, first, &take, turn).await?;
        } else if let Some(slot) = look.deleting.first()
            && let Some(leaving) = self.leaving(slot)
        {
            self.watch(pool, slot, leaving, turn).await;
        }
        Ok(())
    }

    /// Takes a slot, free or spare, for a waiting job; `None` when somebody else was quicker, or it was turned away.
    pub(crate) async fn serve(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        take: &Take,
        turn: Turn,
    ) -> Result<Option<Provisioned>, StoreError> {
        let turned_away = match take {
            Take::Free(_) => self.turned_away(pool, waiting, turn).await?,
            Take::Spare(_) => self.turned_away_from_spare(pool, waiting, turn).await?,
        };
        if turned_away || !self.ledger.serve(&pool.name, waiting, take).await? {
            return Ok(None);
        }
        match take {
            Take::Free(slot) => {
                self.assign_and_provision(pool, slot, waiting, (Was::Waiting, None), turn).await
            }
            Take::Spare(slot) => {
                let step = Step::Assigned { runner: slot.runner.to_string(), spare: true, why: None };
                let line = step.at(clock::now());
                let state = JobState::Assigned { slot: slot.runner.slot() };
                if !self.ledger.job_assigned(waiting.job, Was::Waiting, &state, line).await? {
                    // It was served, or ended, while its entry was still in the queue.
                    let taken = Slot { purpose: Purpose::Job(waiting.job), ..slot.clone() };
                    self.ledger.repurpose(&taken, slot.purpose).await?;
                    return Ok(None);
                }
                tracing::info!(pool = %pool.name, job = %waiting.job, runner = %slot.runner, "waiting job gets a spare runner");
                Ok(Some(Provisioned::Spare))
            }
        }
    }

    /// A slot whose VM is gone goes to a waiting job; `None` when somebody else was quicker, or the job was turned away.
    pub(crate) async fn hand_over(
        &self,
        pool: &Pool,
        slot: &Slot,
        waiting: &Waiting,
        turn: Turn,
    ) -> Result<Option<Provisioned>, StoreError> {
        let new = self.new_slot(pool, slot.runner.slot(), Purpose::Job(waiting.job));
        if self.turned_away(pool, waiting, turn).await? || !self.ledger.hand_over(slot, &new, waiting).await?
        {
            return Ok(None);
        }
        let made = self.assign_and_provision(pool, &new, waiting, (Was::Waiting, None), turn);
        tokio::join!(made, self.vm_is_over(pool, slot)).0
    }

    /// A slot whose VM is gone goes to the job it was taken for, unless GitHub says that this needs no runner any more:
    /// its last event may have been lost, and would be waited for in vain by one VM after the other. `None` when
    /// the slot was not taken.
    pub(crate) async fn renew(
        &self,
        pool: &Pool,
        old: &Slot,
        job: JobId,
        turn: Turn,
    ) -> Result<Option<Provisioned>, StoreError> {
        let Some(mut job) = self.ledger.job(job).await? else {
            self.free(pool, old).await?;
            return Ok(None);
        };
        let seen = self.github.job(&job.repository, job.id, job.installation, turn.deadline).await;
        let state = match seen.map(|seen| seen.change) {
            Ok(Change::Queued) => None,
            Ok(Change::Held) => Some(JobState::Held),
            Ok(Change::Started { .. }) => Some(JobState::Running { slot: None }),
            Ok(Change::Ended { .. }) => Some(JobState::Done),
            Err(GitHubError::Refused { status: NOT_FOUND, .. })
                if is_forgotten(&job.waiting(), clock::now()) =>
            {
                Some(JobState::Done)
            }
            Err(error) => {
                // Not knowing is no reason to leave a job unserved.
                tracing::warn!(pool = %pool.name, job = %job.id, runner = %old.runner, %error, "whether the job still waits is not known: it gets another runner");
                None
            }
        };
        if let Some(state) = state {
            tracing::info!(pool = %pool.name, job = %job.id, runner = %old.runner, state = state.as_str(), "GitHub says how far the job is");
            let line = Moment::new(clock::now(), format!("{}, GitHub says when asked", state.as_str()));
            if state == JobState::Held {
                let was = Was::WaitingOr(old.runner.slot());
                self.ledger.job_assigned(job.id, was, &state, line).await?;
            } else {
                job.timeline = vec![line];
                job.state = state;
                self.ledger.job_left(&job).await?;
            }
            self.free(pool, old).await?;
            return Ok(None);
        }
        let new = self.new_slot(pool, old.runner.slot(), Purpose::Job(job.id));
        if !self.ledger.renew(old, &new).await? {
            return Ok(None);
        }
        let was = Was::WaitingOr(old.runner.slot());
        let why = format!("nothing came of {}", old.runner);
        let waiting = job.waiting();
        let made = self.assign_and_provision(pool, &new, &waiting, (was, Some(why)), turn);
        tokio::join!(made, self.vm_is_over(pool, old)).0
    }

    /// A waiting job has just been given the slot: that is written down, and its VM made.
    async fn assign_and_provision(
        &self,
        pool: &Pool,
        slot: &Slot,
        waiting: &Waiting,
        was: (Was, Option<String>),
        turn: Turn,
    ) -> Result<Option<Provisioned>, StoreError> {
        if !self.assign(pool, slot, waiting, was).await? {
            return Ok(None);
        }
        // On the heap: it is large, and at the bottom of every chain of steps. Unboxed, its size would count in each of
        // them, and a debug build's stack would overflow.
        Ok(Some(Box::pin(self.provision(pool, slot, Want::Job(waiting), turn)).await))
    }

    /// Writes down that a waiting job has the slot, or frees it where the job needs none any more: `false`.
    async fn assign(
        &self,
        pool: &Pool,
        slot: &Slot,
        waiting: &Waiting,
        (was, why): (Was, Option<String>),
    ) -> Result<bool, StoreError> {
        let state = JobState::Assigned { slot: slot.runner.slot() };
        let step = Step::Assigned { runner: slot.runner.to_string(), spare: false, why };
        let line = step.at(clock::now());
        if !self.ledger.job_assigned(waiting.job, was, &state, line).await? {
            // It ended, or was started elsewhere, while its entry was still in the queue.
            tracing::info!(pool = %pool.name, job = %waiting.job, runner = %slot.runner, "the job needs no runner any more");
            self.free(pool, slot).await?;
            return Ok(false);
        }
        tracing::info!(pool = %pool.name, job = %waiting.job, runner = %slot.runner, "waiting job gets a slot");
        Ok(true)
    }

    /// A free slot, this one if nobody has taken it, for the job that waits for longest, written down; none where nobody waits, or none
    /// is free.
    pub(crate) async fn next_taker(
        &self,
        pool: &Pool,
        freed: SlotIndex,
        turn: Turn,
    ) -> Result<Option<(Slot, Waiting)>, StoreError> {
        let mut freed = Some(freed).filter(|freed| freed.0 < pool.max_runners.get());
        for _ in 0..TURNED_AWAY_MOST {
            if self.known_closed(pool).is_some() {
                break;
            }
            let queue = self.ledger.oldest_waiting(&pool.name, 1).await?;
            let Some(first) = queue.into_iter().next() else { break };
            if self.turned_away(pool, &first, turn).await? {
                continue;
            }
            let free = match freed.take() {
                Some(freed) => Some(freed),
                None => pick(&self.look_at(pool, &LAST_LOOK).await?.free),
            };
            let Some(index) = free else { break };
            let slot = self.new_slot(pool, index, Purpose::Job(first.job));
            if self.ledger.serve(&pool.name, &first, &Take::Free(slot.clone())).await?
                && self.assign(pool, &slot, &first, (Was::Waiting, None)).await?
            {
                return Ok(Some((slot, first)));
            }
        }
        Ok(None)
    }

    /// A job in the queue of one pool is to go to another's; `false` where it waits no more. In between it is held, as one that
    /// waits for approval is: from there any event, or any sweep that finds it queued, takes it on.
    pub(crate) async fn leaves_for(
        &self,
        old: &PoolName,
        pool: &Pool,
        waiting: &Waiting,
        why: &str,
    ) -> Result<bool, StoreError> {
        let line = Moment::new(clock::now(), format!("goes to pool {}: {why}", pool.name));
        if !self.ledger.job_assigned(waiting.job, Was::Waiting, &JobState::Held, line).await? {
            return Ok(false);
        }
        self.ledger.drop_waiting(old, waiting).await?;
        Ok(true)
    }

    /// Queues a job again that lost the runner in this slot; `false` where it does not count on that any more.
    pub(crate) async fn requeue(
        &self,
        pool: &Pool,
        job: JobId,
        lost: SlotIndex,
        why: &str,
    ) -> Result<bool, StoreError> {
        let Some(job) = self.ledger.job(job).await?.filter(|job| job.state.wants_a_runner()) else {
            return Ok(false);
        };
        let line = Step::Waits { why: why.to_owned() }.at(clock::now());
        let waits = self.ledger.requeue(&pool.name, &job.waiting(), lost, line).await?;
        if waits {
            tracing::info!(pool = %pool.name, job = %job.id, why, "job waits again");
        }
        Ok(waits)
    }

    /// A slot that was free when this process last looked.
    pub(crate) fn hint(&self, pool: &Pool) -> Option<SlotIndex> {
        let mut hints = self.hints.lock().ok()?;
        let free = hints.get_mut(&pool.name)?;
        let index = pick(free)?;
        free.retain(|hint| *hint != index);
        Some(index)
    }

    /// Remembers slots that were free just now.
    pub(crate) fn remember(&self, pool: &Pool, free: &[SlotIndex]) {
        if let Ok(mut hints) = self.hints.lock() {
            let known = scattered(free.to_vec(), HINTS_MOST, crate::random::bits);
            hints.insert(pool.name.clone(), known);
        }
    }
}

/// GitHub fails a job that no runner took within a day.
const QUEUED_LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Whether a job that GitHub answers 404 for is over: it was queued for longer than any job is, so its run was deleted.
pub(crate) fn is_forgotten(waiting: &Waiting, now: Timestamp) -> bool {
    later(waiting.queued_at, QUEUED_LONGEST) <= now
}

/// So many free slots are remembered for each pool.
const HINTS_MOST: usize = 64;

impl Look {
    fn sort(&mut self, slots: Vec<Slot>) {
        for slot in slots {
            match (&slot.phase, slot.purpose) {
                (
                    Phase::Creating { .. } | Phase::Booting { .. } | Phase::Idle { .. },
                    Purpose::Spare { .. },
                ) => self.spare.push(slot),
                (Phase::Deleting { watched_until, .. }, _) => {
                    if watched_until.is_none_or(|until| until < clock::now()) {
                        self.deleting.push(slot);
                    }
                }
                (
                    Phase::Reserved
                    | Phase::Creating { .. }
                    | Phase::Booting { .. }
                    | Phase::Idle { .. }
                    | Phase::Busy { .. },
                    _,
                ) => {}
            }
        }
    }
}

fn pick(free: &[SlotIndex]) -> Option<SlotIndex> {
    let count = u64::try_from(free.len()).ok().filter(|count| *count > 0)?;
    free.get(usize::try_from(crate::random::bits() % count).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_github_does_not_know_is_over_when_no_job_waits_for_so_long() {
        let queued_at = Timestamp::UNIX_EPOCH;
        let waiting = Waiting {
            queued_at,
            job: JobId(1),
            repository: mayfly_core::ids::Repository::new("shader-slang/slang").unwrap(),
            installation: None,
            unseen_run: None,
        };
        let day = Duration::from_secs(24 * 3600);
        assert!(is_forgotten(&waiting, later(queued_at, day)));
        assert!(!is_forgotten(&waiting, later(queued_at, day - Duration::from_secs(1))));
    }
}
