//! After a job was taken, ended or held: its VM goes, and what crossed jobs leave behind is set right.

use mayfly_core::crossing::{Settlement, settle};
use mayfly_core::ids::{JobId, RunnerName, SlotIndex};
use mayfly_core::job::{Job, JobState};
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Purpose, Slot};
use mayfly_core::telling::Step;

use super::Settle;
use crate::clock;
use crate::mayfly::Mayfly;
use crate::removal::in_deletion;
use crate::store::{JobWritten, Moved, StoreError, Take, Was};
use crate::turn::Turn;

impl Mayfly {
    pub(super) async fn settle(&self, pool: &Pool, settle: Settle, turn: Turn) {
        let ended = settle.job.state == JobState::Done;
        let slot = settle.ran_on.as_ref().and_then(|(_, slot)| slot.clone());
        let booted = async {
            if let Some(slot) = &slot {
                self.has_booted(pool, slot).await;
            }
        };
        // The deletion leaves at once: it is what costs money, and what the next job waits for.
        let removing = async {
            if let (true, Some(slot)) = (ended, &slot) {
                self.remove(pool, &in_deletion(slot), turn).await;
            }
        };
        let (job, settled) = (settle.job.id, self.set_right(pool, settle, turn));
        let ((), (), settled) = tokio::join!(removing, booted, settled);
        if let Err(error) = settled {
            tracing::warn!(pool = %pool.name, %job, %error, "what the job leaves behind is left for the sweep");
        }
    }

    async fn set_right(&self, pool: &Pool, settle: Settle, turn: Turn) -> Result<(), StoreError> {
        let Settle { job, written, ran_on } = settle;
        let written = match written {
            Some(written) => written,
            None => self.ledger.job_left(&job).await?,
        };
        let before = match written {
            JobWritten::From(before) => before,
            // It was over already: turned away, yet a runner took it, which was meant for another. Where the runner's slot knew of
            // it before, it has been settled before.
            JobWritten::Known(_) => return self.set_right_after(pool, &job, None, ran_on, turn).await,
        };
        let over = async {
            if job.state == JobState::Done {
                self.job_is_over(pool, &job, before.as_ref()).await;
            }
        };
        tokio::join!(over, self.set_right_after(pool, &job, before.as_ref(), ran_on, turn)).1
    }

    /// The same, once the job's record says how far it is.
    async fn set_right_after(
        &self,
        pool: &Pool,
        job: &Job,
        before: Option<&Job>,
        ran_on: Option<(RunnerName, Option<Slot>)>,
        turn: Turn,
    ) -> Result<(), StoreError> {
        if let Some(Job { state: JobState::Waiting, .. }) = before {
            let waiting = before.map_or_else(|| job.waiting(), Job::waiting);
            self.ledger.drop_waiting(&pool.name, &waiting).await?;
        }
        let own = before.and_then(|before| before.state.slot());
        // The job that the runner was meant for: displaced just now, or before and not seen to yet.
        let meant = |slot: &Slot| slot.displaced.or(slot.purpose.job());
        let taken = ran_on.as_ref().map(|(runner, slot)| (runner.slot(), slot.as_ref().and_then(meant)));
        let left = match self::settle(job.id, own, taken) {
            Settlement::Nothing => return Ok(()),
            Settlement::Spare { slot } => return self.make_spare(pool, job.id, slot, turn).await,
            Settlement::Reassign { job: left, slot } => {
                let lost = taken.map_or(slot, |(index, _)| index);
                self.reassign(pool, job.id, (left, lost), slot, turn).await?;
                left
            }
            Settlement::Requeue { job: left } => {
                if let Some((lost, _)) = taken {
                    self.queue_again(pool, left, lost, job.id, turn).await?;
                }
                left
            }
        };
        match ran_on {
            Some((runner, _)) => self.ledger.settled(&runner, left).await,
            None => Ok(()),
        }
    }

    /// The job `left`, which counted on the slot `lost`, gets the slot that was meant for `job`.
    async fn reassign(
        &self,
        pool: &Pool,
        job: JobId,
        (left, lost): (JobId, SlotIndex),
        slot: SlotIndex,
        turn: Turn,
    ) -> Result<(), StoreError> {
        let Some(slot) = self.meant_for(pool, slot, job).await? else {
            return self.queue_again(pool, left, lost, job, turn).await;
        };
        if self.ledger.repurpose(&slot, Purpose::Job(left)).await? == Moved::No {
            return self.queue_again(pool, left, lost, job, turn).await;
        }
        let (runner, why) = (slot.runner.to_string(), Some(took_another(job)));
        let line = Step::Assigned { runner, spare: false, why }.at(clock::now());
        let state = JobState::Assigned { slot: slot.runner.slot() };
        tracing::info!(pool = %pool.name, job = %left, runner = %slot.runner, "crossed jobs: gets the other's runner");
        if !self.ledger.job_assigned(left, Was::WaitingOr(lost), &state, line).await? {
            // It needs none any more; nor does anybody else need this runner.
            let meant = Slot { purpose: Purpose::Job(left), ..slot };
            self.ledger.repurpose(&meant, Purpose::Spare { since: clock::now() }).await?;
        }
        Ok(())
    }

    async fn queue_again(
        &self,
        pool: &Pool,
        job: JobId,
        lost: SlotIndex,
        other: JobId,
        turn: Turn,
    ) -> Result<(), StoreError> {
        if self.requeue(pool, job, lost, &took_another(other)).await? {
            self.serve_first(pool, job, turn).await;
        }
        Ok(())
    }

    /// The runner that was meant for `job` serves the oldest waiting one, or is spare.
    async fn make_spare(
        &self,
        pool: &Pool,
        job: JobId,
        slot: SlotIndex,
        turn: Turn,
    ) -> Result<(), StoreError> {
        let Some(slot) = self.meant_for(pool, slot, job).await? else { return Ok(()) };
        if let Some(waiting) = self.ledger.oldest_waiting(&pool.name, 1).await?.first()
            && self.drained(pool).await.is_none()
            && self.serve(pool, waiting, &Take::Spare(slot.clone()), turn).await?.is_some()
        {
            return Ok(());
        }
        if let Moved::From(slot) =
            self.ledger.repurpose(&slot, Purpose::Spare { since: clock::now() }).await?
        {
            tracing::info!(pool = %pool.name, %job, runner = %slot.runner, "runner is spare: its job needs it no more");
        }
        Ok(())
    }

    async fn meant_for(&self, pool: &Pool, slot: SlotIndex, job: JobId) -> Result<Option<Slot>, StoreError> {
        let slot = self.ledger.slot_at(&pool.name, slot).await?;
        Ok(slot.filter(|slot| slot.purpose == Purpose::Job(job)))
    }
}

/// Why a job counts on its runner no more.
fn took_another(other: JobId) -> String {
    format!("its runner took another job, {other}")
}
