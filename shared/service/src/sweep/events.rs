//! What no event told: recorded as if one had.

use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::policy::Pool;

use super::execute::{LOST, StepError};
use crate::clock;
use crate::events::{Follow, Heard};
use crate::mayfly::Mayfly;
use crate::store::{StoreError, Was};
use crate::turn::Turn;

/// No pool has so many slots.
const NO_SLOT: SlotIndex = SlotIndex(u16::MAX);

impl Mayfly {
    /// Records what GitHub said of a job just as its event would have been, and does what follows.
    pub(super) async fn tell(&self, pool: &Pool, event: &JobEvent, turn: Turn) -> Result<String, StepError> {
        if event.change == Change::Held {
            let held = self.hold(pool, event.job, "GitHub says when asked").await?;
            return Ok(if held { "it is held" } else { "it was further already" }.to_owned());
        }
        match self.record_in(pool, event, Heard::Asked).await? {
            // Its own invocation would have looked whether the pool may start VMs; so does this.
            Some(follow @ Follow::Provision(_)) => {
                self.follow_in(pool, follow, Turn::of_event(turn.deadline)).await;
            }
            Some(follow @ (Follow::Settle(_) | Follow::Look(_))) => self.follow_in(pool, follow, turn).await,
            // The next sweep serves it.
            Some(Follow::Queue(_)) | None => {}
        }
        Ok("recorded".to_owned())
    }

    /// The job waits for approval: it leaves the queue, and its runner will find that it is spare.
    async fn hold(&self, pool: &Pool, job: JobId, why: &str) -> Result<bool, StoreError> {
        let Some(job) = self.ledger.job(job).await? else { return Ok(false) };
        let was = job.state.slot().map_or(Was::Waiting, Was::WaitingOr);
        let line = Moment::new(clock::now(), format!("held, {why}"));
        let held = self.ledger.job_assigned(job.id, was, &JobState::Held, line).await?;
        if held {
            self.ledger.drop_waiting(&pool.name, &job.waiting()).await?;
        }
        Ok(held)
    }

    /// A job that wants a runner, and that neither the queue nor a slot seemed to have, queues again; unless one has it.
    pub(super) async fn requeue_lost(&self, pool: &Pool, job: JobId) -> Result<String, StepError> {
        let Some(job) = self.ledger.job(job).await?.filter(|job| job.state.wants_a_runner()) else {
            return Ok("it needs no runner any more".to_owned());
        };
        let lost = match job.state.slot() {
            None => NO_SLOT,
            Some(slot) => {
                let taken = self.ledger.slot_at(&pool.name, slot).await?;
                let has = taken
                    .is_some_and(|slot| slot.purpose.job() == Some(job.id) || slot.displaced == Some(job.id));
                if has {
                    return Ok("its slot knows it by now".to_owned());
                }
                slot
            }
        };
        let waits = self.requeue(pool, job.id, lost, "neither the queue nor a slot knew it").await?;
        Ok(if waits { "it waits again" } else { LOST }.to_owned())
    }

    /// A job in the queue of a pool that is configured no more goes to one that is.
    pub(super) async fn move_job(
        &self,
        pool: &Pool,
        event: &JobEvent,
        waiting: &Waiting,
        turn: Turn,
    ) -> Result<String, StepError> {
        let Some(Job { pool: old, .. }) = self.ledger.job(event.job).await? else {
            return Ok("it is not known any more".to_owned());
        };
        if !self.leaves_for(&old, pool, waiting, &format!("{old} is configured no more")).await? {
            return Ok("it waits no more".to_owned());
        }
        self.tell(pool, event, turn).await
    }
}
