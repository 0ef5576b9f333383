//! Claims: a job and its slot are taken together or not at all.

use jiff::Timestamp;
use mayfly_core::ids::{JobId, PoolName, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::slot::{Purpose, Slot};

use super::item::{Reader, moment, number, slot_key_of, text, waiting_item, waiting_key};
use super::jobs::Was;
use super::slots::{repurpose, retake};
use super::write::{Transacted, Write, Written};
use super::{Ledger, StoreError};

/// A job is new to the table, or was held for approval.
const NEW: &str = "attribute_not_exists(pk) OR #state = :held";

/// Which slot a job takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// A free one, which becomes this.
    Free(Slot),
    /// A spare runner's, as it was read.
    Spare(Slot),
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The job has the slot.
    Taken,
    /// The job is known already; this is how it is. Nothing was written.
    Known(Job),
    /// The slot was taken by somebody else. Nothing was written.
    SlotLost,
}

/// What became of a job that was to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits.
    Waiting,
    /// It was known already; this is how it is.
    Known(Job),
}

impl Take {
    /// The slot.
    pub fn slot(&self) -> &Slot {
        match self {
            Self::Free(slot) | Self::Spare(slot) => slot,
        }
    }

    fn write(&self, job: JobId) -> Write {
        match self {
            Self::Free(slot) => reserve(slot),
            Self::Spare(slot) => repurpose(slot, Purpose::Job(job)),
        }
    }
}

impl Ledger {
    /// Claims a slot for a job that is new, in one conditional transaction; `job` is as it will be.
    pub async fn claim(&self, job: &Job, take: &Take) -> Result<Claim, StoreError> {
        let writes = [self.job_write(job, NEW).value(":held", text("held")), take.write(job.id)];
        Ok(match self.transact(&writes, "claiming a slot").await? {
            Transacted::Made => Claim::Taken,
            Transacted::Refused(0, item) => Claim::Known(Reader::new(&item).job()?),
            Transacted::Refused(..) => Claim::SlotLost,
        })
    }

    /// Queues a job that is new and got no slot.
    pub async fn enqueue(&self, job: &Job) -> Result<Enqueued, StoreError> {
        let waiting = job.waiting();
        // Both at once, to await one reply's time. The order in the queue is by the job's own time and id, so a
        // repeated delivery writes the same entry; one that comes when the job is further takes its entry back.
        let (written, queued) = tokio::join!(
            self.write(self.job_write(job, NEW).value(":held", text("held")), "recording a job"),
            self.put_waiting(&job.pool, &waiting)
        );
        match written? {
            Written::Before(_) => queued.map(|()| Enqueued::Waiting),
            Written::Refused(item) => {
                let known = Reader::new(&item).job()?;
                // By its place in the queue, not by all it holds: a repetition by way of another hook may lack the
                // installation, and is still the entry that the job waits by.
                let is_its_place =
                    waiting_key(&known.pool, &known.waiting()) == waiting_key(&job.pool, &waiting);
                if known.state != JobState::Waiting || !is_its_place {
                    self.drop_waiting(&job.pool, &waiting).await?;
                }
                Ok(Enqueued::Known(known))
            }
        }
    }

    /// Queues a job again that lost the runner in this slot, or got none; `false` where it does not count on the slot any
    /// more. Its state follows the entry, so that a job is never
    /// waiting without being in the queue.
    pub async fn requeue(
        &self,
        pool: &PoolName,
        waiting: &Waiting,
        lost: SlotIndex,
        line: Moment,
    ) -> Result<bool, StoreError> {
        self.put_waiting(pool, waiting).await?;
        let waits = self.job_assigned(waiting.job, Was::WaitingOr(lost), &JobState::Waiting, line).await?;
        if !waits {
            self.drop_waiting(pool, waiting).await?;
        }
        Ok(waits)
    }

    /// Takes a free slot that no job waits for: its purpose is to be spare. `false` when somebody else was quicker.
    pub async fn reserve(&self, slot: &Slot) -> Result<bool, StoreError> {
        Ok(matches!(self.write(reserve(slot), "taking a slot").await?, Written::Before(_)))
    }

    /// Takes a free slot, or a spare runner, for a waiting job; `false` when somebody else was quicker.
    pub async fn serve(&self, pool: &PoolName, waiting: &Waiting, take: &Take) -> Result<bool, StoreError> {
        let writes = [leave_queue(pool, waiting), take.write(waiting.job)];
        Ok(matches!(self.transact(&writes, "serving a waiting job").await?, Transacted::Made))
    }

    /// Gives a slot whose VM is gone to a waiting job; `false` when somebody else was quicker.
    pub async fn hand_over(&self, old: &Slot, new: &Slot, waiting: &Waiting) -> Result<bool, StoreError> {
        let writes = [leave_queue(old.runner.pool(), waiting), retake(old, new)];
        Ok(matches!(self.transact(&writes, "handing a slot over").await?, Transacted::Made))
    }

    /// Gives a slot whose VM is gone to its own job again; `false` when somebody else was quicker.
    pub async fn renew(&self, old: &Slot, new: &Slot) -> Result<bool, StoreError> {
        Ok(matches!(self.write(retake(old, new), "renewing a slot").await?, Written::Before(_)))
    }

    /// Takes a job out of its pool's queue.
    pub async fn drop_waiting(&self, pool: &PoolName, waiting: &Waiting) -> Result<(), StoreError> {
        self.write(leave_queue(pool, waiting), "taking a job out of the queue").await.map(|_| ())
    }

    /// Remembers that GitHub was asked whether a job still waits; nothing where it is not in the queue any more.
    pub async fn asked(&self, pool: &PoolName, waiting: &Waiting, at: Timestamp) -> Result<(), StoreError> {
        let write = Write::update(waiting_key(pool, waiting), "SET asked_at = :at", "attribute_exists(pk)")
            .value(":at", moment(at));
        self.write(write, "noting that GitHub was asked").await.map(|_| ())
    }

    async fn put_waiting(&self, pool: &PoolName, waiting: &Waiting) -> Result<(), StoreError> {
        let request =
            self.client.put_item().table_name(&self.table).set_item(Some(waiting_item(pool, waiting)));
        let sent = self.send_put(request.return_consumed_capacity(super::COST)).await;
        sent.map(|_| ()).map_err(super::unavailable("queueing a job"))
    }
}

/// A free slot has no record.
fn reserve(slot: &Slot) -> Write {
    let (purpose, value) = match slot.purpose {
        Purpose::Job(job) => ("job", number(job)),
        Purpose::Spare { since } => ("spare_since", moment(since)),
    };
    let update = format!(
        "SET runner = :runner, reserved_at = :now, since = :now, phase = :reserved, {purpose} = :purpose"
    );
    Write::update(slot_key_of(&slot.runner), update, "attribute_not_exists(pk)")
        .value(":runner", text(slot.runner.as_str()))
        .value(":now", moment(slot.reserved_at))
        .value(":reserved", text("reserved"))
        .value(":purpose", value)
}

fn leave_queue(pool: &PoolName, waiting: &Waiting) -> Write {
    Write::delete(waiting_key(pool, waiting), "attribute_exists(pk)")
}

/// A moment as the table keeps it: in whole milliseconds.
pub fn to_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
