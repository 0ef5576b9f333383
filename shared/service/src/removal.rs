//! A VM goes.

use mayfly_core::candidates::scattered;
use mayfly_core::ids::{JobId, PoolName};
use mayfly_core::job::JobState;
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Phase, Purpose, Slot, SlotEvent, VmPlace, later};
use tokio::time::Instant;
use tracing::field::display;

use crate::clock;
use crate::errand::shown_job;
use crate::mayfly::Mayfly;
use crate::provider::{Deletion, Going, Provider};
use crate::store::{Moved, StoreError};
use crate::turn::{By, Turn};

/// A deletion under way, and who carries it out.
pub(crate) struct Leaving<'a> {
    provider: &'a Provider,
    going: Going,
}

/// Whose VM goes, as logs tell of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// The VM's name, which is its runner's.
    pub runner: &'a str,
    /// The pool that it was made for.
    pub pool: &'a PoolName,
    /// The job that the runner was for.
    pub job: Option<JobId>,
}

impl<'a> Whose<'a> {
    /// A slot's.
    pub(crate) fn of(slot: &'a Slot) -> Self {
        Self { runner: slot.runner.as_str(), pool: slot.runner.pool(), job: slot.purpose.job() }
    }
}

/// A job that somebody else takes out of the queue meanwhile is passed over: so many of the oldest are read, one time after the
/// other, and so many of them tried each time. Where the first are lost, many take jobs at this moment: a thousand VMs whose
/// jobs began together are gone together.
const QUEUE_SHOWN: [usize; 4] = [20, 80, 320, 1_000];
const QUEUE_TRIES: usize = 4;

impl Mayfly {
    /// Deletes the VM of a slot in deletion. Where a job waits for the slot, and nobody else watches it, waits until
    /// the VM is gone and hands the slot on; otherwise the end is the sweep's.
    pub(crate) async fn remove(&self, pool: &Pool, slot: &Slot, turn: Turn) {
        let Some(leaving) = self.delete_vm_of(slot, turn.deadline).await else { return };
        // A pool that is configured no more has no use for the slot.
        if turn.by == By::Sweep || pool.placements.is_empty() {
            return;
        }
        match self.ledger.oldest_waiting(&pool.name, 1).await {
            Ok(waiting) if waiting.is_empty() => {}
            Ok(_) => self.watch(pool, slot, leaving, turn).await,
            Err(error) => {
                tracing::warn!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, %error, "the queue could not be read: the slot is left for the sweep");
            }
        }
    }

    /// Waits for the VM of a slot in deletion to be gone, unless somebody else does, and hands the slot on. No longer than a
    /// step may take: should this invocation die, nobody else would look after the slot until then.
    pub(crate) async fn watch(&self, pool: &Pool, slot: &Slot, leaving: Leaving<'_>, turn: Turn) {
        let deadline = turn.deadline.min(Instant::now() + self.policy.timing.step_timeout);
        let until = later(clock::now(), deadline.saturating_duration_since(Instant::now()));
        let event = SlotEvent::Watched { until };
        match self.ledger.slot_event(&slot.runner, &event, clock::now()).await {
            Ok(Moved::From(_)) => {}
            Ok(Moved::No) => return,
            Err(error) => {
                return tracing::warn!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, %error, "a deletion is not watched: its end is left for the sweep");
            }
        }
        let gone = leaving.provider.wait_gone(&leaving.going, deadline).await;
        let passed_on = match gone {
            Ok(Deletion::Gone) => self.pass_on(pool, &in_deletion(slot), turn).await,
            Ok(Deletion::UnderWay) => {
                return tracing::info!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, "deletion left for the sweep");
            }
            Err(error) => {
                tracing::warn!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, %error, "the end of a deletion could not be seen: it is left for the sweep");
                Ok(false)
            }
        };
        match passed_on {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, %error, "a slot whose VM is gone was not passed on: it is left for the sweep");
            }
        }
        // Where the slot could not be passed on, a sweep need not wait for somebody who waits no more.
        if let Err(error) = self.ledger.unwatch(&slot.runner, until).await {
            tracing::debug!(pool = %pool.name, job = shown_job(slot), runner = %slot.runner, %error, "the deletion counts as watched for a while");
        }
    }

    /// The slot, whose VM is gone, goes to its own job, if that still counts on it, to a waiting one, or is free; `false` where
    /// it may still be as it was.
    async fn pass_on(&self, pool: &Pool, gone: &Slot, turn: Turn) -> Result<bool, StoreError> {
        if let Some(why) = self.known_closed(pool) {
            if let Purpose::Job(own) = gone.purpose {
                self.requeue(pool, own, gone.runner.slot(), &why).await?;
            }
            return self.free(pool, gone).await;
        }
        let own = match gone.purpose {
            Purpose::Job(own) => self.ledger.job(own).await?.map(|job| (own, job.state)),
            Purpose::Spare { .. } => None,
        };
        if let Some((own, JobState::Waiting)) = own {
            // Taken from the queue, by somebody who did not live to write it into the job.
            self.requeue(pool, own, gone.runner.slot(), "its runner went").await?;
        }
        if let Some((own, state)) = own.filter(|(_, state)| state.slot() == Some(gone.runner.slot()))
            && state.wants_a_runner()
        {
            return self.renew(pool, gone, own, turn).await.map(|made| made.is_some());
        }
        for shown in QUEUE_SHOWN {
            let queue = self.ledger.oldest_waiting(&pool.name, shown).await?;
            if queue.is_empty() {
                break;
            }
            // Any of the oldest: GitHub gives its oldest job to the next runner, whoever it was made for.
            for waiting in scattered(queue, QUEUE_TRIES, crate::random::bits) {
                if self.hand_over(pool, gone, &waiting, turn).await?.is_some() {
                    return Ok(true);
                }
            }
        }
        self.free(pool, gone).await
    }

    /// Frees a slot whose VM, if it had one, is gone; whether it was still as it was read.
    pub(crate) async fn free(&self, pool: &Pool, gone: &Slot) -> Result<bool, StoreError> {
        let freed = self.ledger.free(gone).await?;
        if freed {
            self.metrics.left_by_vm(pool, gone);
        }
        Ok(freed)
    }

    /// Has the provider delete a slot's VM; what is needed to wait for its end, unless it failed.
    pub(crate) async fn delete_vm_of(&self, slot: &Slot, deadline: Instant) -> Option<Leaving<'_>> {
        let whose = Whose::of(slot);
        match slot.phase.machine() {
            Some(machine) => self.delete_vm(whose, &machine.vm, deadline).await,
            None => self.delete_somewhere(whose, deadline).await,
        }
    }

    /// Has a provider delete a VM.
    pub(crate) async fn delete_vm(
        &self,
        whose: Whose<'_>,
        place: &VmPlace,
        deadline: Instant,
    ) -> Option<Leaving<'_>> {
        let Whose { runner, pool, job } = whose;
        let (pool, job) = (pool.as_str(), job.map(display));
        let Some(provider) = self.provider(&place.provider) else {
            tracing::error!(pool, job, runner, %place, "its provider is not configured any more; delete the VM by hand");
            return None;
        };
        match provider.delete(runner, Some(place), deadline).await {
            Ok(going) => {
                if going.is_gone() {
                    tracing::info!(pool, job, runner, %place, "VM is gone already");
                } else {
                    tracing::info!(pool, job, runner, %place, "VM is being deleted");
                }
                Some(Leaving { provider, going })
            }
            Err(error) => {
                tracing::warn!(pool, job, runner, %place, %error, "a VM could not be deleted: it is left for the sweep");
                None
            }
        }
    }

    /// The VM's place was never recorded: each provider looks for its name.
    async fn delete_somewhere(&self, whose: Whose<'_>, deadline: Instant) -> Option<Leaving<'_>> {
        let Whose { runner, pool, job } = whose;
        let (pool, job) = (pool.as_str(), job.map(display));
        let mut found: Option<Leaving<'_>> = None;
        for (provider_name, provider) in self.providers() {
            match provider.delete(runner, None, deadline).await {
                // Gone from one provider says nothing of the others.
                Ok(going) if found.is_none() || !going.is_gone() => found = Some(Leaving { provider, going }),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(pool, job, runner, provider = %provider_name, %error, "a VM could not be looked for: its deletion is left for the sweep");
                    return None;
                }
            }
        }
        if found.as_ref().is_some_and(|leaving| !leaving.going.is_gone()) {
            tracing::info!(pool, job, runner, "VM is being deleted");
        } else {
            tracing::info!(pool, job, runner, "VM is gone already");
        }
        found
    }

    /// What waits for the end of a deletion that somebody else asked for.
    pub(crate) fn leaving(&self, slot: &Slot) -> Option<Leaving<'_>> {
        let place = &slot.phase.machine()?.vm;
        let provider = self.provider(&place.provider)?;
        Some(Leaving { provider, going: provider.going(slot.runner.as_str(), place) })
    }
}

/// The slot as the table has it once its VM is to go.
pub(crate) fn in_deletion(slot: &Slot) -> Slot {
    let machine = slot.phase.machine().cloned();
    Slot { phase: Phase::Deleting { machine, since: clock::now(), watched_until: None }, ..slot.clone() }
}
