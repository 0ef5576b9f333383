//! The plan: an ordered list of named steps over the observed world, each saying what it does and why, or why something
//! is left alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::world::{Index, Vm, World};
use super::{deliveries, notices, pool, strays, told};
use crate::event::JobEvent;
use crate::ids::{JobId, PoolName, RunnerId, RunnerName, SlotIndex};
use crate::job::Waiting;
use crate::notice::{Cause, Ending, Notice, Words};
use crate::policy::Policy;
use crate::slot::Slot;

/// What is to be done, in this order, and what is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done.
    pub steps: Vec<Step>,
    /// Not to be done, and why.
    pub left_alone: Vec<LeftAlone>,
    /// The jobs that go on waiting, and why.
    pub waits: Vec<Wait>,
    /// Up to when the failed deliveries of each hook are settled.
    pub settled: BTreeMap<String, Timestamp>,
}

/// One thing to do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For which pool; none where it is for all.
    pub pool: Option<PoolName>,
    /// What.
    pub action: Action,
    /// Why, for people.
    pub why: &'static str,
    /// Since when it is to be done, about: the oldest go first.
    pub since: Timestamp,
}

/// Something that looks as if something were to be done, and why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// What: a runner's or VM's name, or a delivery.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// A job that goes on waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In which pool's queue.
    pub pool: PoolName,
    /// Which.
    pub job: JobId,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub why: String,
    /// The kind of reason.
    pub cause: Cause,
    /// When the next VM is tried, where that is known.
    pub until: Option<Timestamp>,
    /// Its place among those that go on waiting in its pool, from 1.
    pub place: usize,
}

/// What can be done. Each leaves the executor no choice but how far it gets; each is conditional on the ledger still
/// saying what it said when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The slot's VM is gone: its registration goes as well, if it is still there, and the slot goes on.
    Release {
        /// The slot as it was observed.
        slot: Slot,
        /// Who gets it.
        next: Next,
    },
    /// Nothing may run on the slot's VM any more: it is deleted.
    Delete {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// The runner is not needed: GitHub is asked to delete its registration, and only if it agrees the VM goes.
    Retire {
        /// The slot as it was observed.
        slot: Slot,
        /// Why its boot counts as failed, where it does.
        failed_boot: Option<String>,
    },
    /// A VM of a reserved slot exists although nobody recorded its create: it is recorded now.
    Adopt {
        /// The slot as it was observed.
        slot: Slot,
        /// Its VM.
        vm: Vm,
    },
    /// A VM that is made in steps, and that nobody is at any more, is taken further.
    Advance {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// GitHub sees the runner: it has booted.
    Online {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// GitHub says that the runner is busy, with a job that no event told of.
    Taken {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// The slot's runner is meant for a job that is over: it is spare from now on.
    Spare {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// A job that counted on this runner when another took it queues again, unless it was seen to already.
    Settle {
        /// The slot as it was observed.
        slot: Slot,
        /// The job that was left without a runner.
        job: JobId,
    },
    /// A spare runner serves a waiting job.
    Assign {
        /// The slot as it was observed.
        slot: Slot,
        /// The job.
        waiting: Waiting,
    },
    /// A free slot is taken for a waiting job.
    Serve {
        /// The slot.
        index: SlotIndex,
        /// The job.
        waiting: Waiting,
    },
    /// A free slot is taken for a runner that is kept warm.
    Warm {
        /// The slot.
        index: SlotIndex,
    },
    /// A VM with our marks that no slot knows: GitHub is asked to delete a registration of its name, and only if it
    /// agrees, or knows none, the VM goes.
    Sweep {
        /// The VM.
        vm: Vm,
    },
    /// A registration of our making that neither a slot nor a VM stands behind: it is deleted, unless its runner is busy.
    Unregister {
        /// Whose.
        runner: RunnerName,
        /// Its id at GitHub.
        id: RunnerId,
    },
    /// GitHub says of a job what no event did: it is recorded as if the event had come.
    Tell {
        /// The event.
        event: JobEvent,
    },
    /// A job that GitHub says is queued, and that neither the queue nor a slot has: it queues again.
    Requeue {
        /// The job.
        job: JobId,
    },
    /// A job in the queue of a pool that is configured no more: another pool serves it.
    Move {
        /// The job, as GitHub has it.
        event: JobEvent,
        /// Its entry in the queue.
        waiting: Waiting,
    },
    /// GitHub is asked to deliver an event again.
    Redeliver {
        /// By which hook.
        hook: String,
        /// Which event.
        guid: String,
        /// The last try of it.
        attempt: u64,
        /// How often it was asked for already.
        times: u32,
    },
    /// A job leaves the queue: it needs no runner any more, and its record says so, or there is none.
    Drop {
        /// Its entry.
        waiting: Waiting,
    },
    /// A job waits for long: that is said on its commit.
    Announce {
        /// The job.
        waiting: Waiting,
        /// Why it waits.
        cause: Cause,
        /// What is said.
        words: Words,
    },
    /// What was said of a job that waits for long is brought up to date, or said once more where it may not have been heard.
    Amend {
        /// What was said.
        notice: Notice,
        /// Why the job waits now.
        cause: Cause,
        /// What is said.
        words: Words,
    },
    /// A job waits no more: what was said of it is concluded.
    Conclude {
        /// What was said.
        notice: Notice,
        /// What became of the job.
        ending: Ending,
    },
    /// A VM stopped before its runner ever came online: that counts as a boot that failed.
    BootFailed {
        /// Which, for people.
        why: String,
    },
    /// Boots succeed again: the failures before are forgotten.
    Recover,
    /// How far a pool's slots may reach has changed.
    Limit {
        /// One more than the highest that is taken or may be.
        limit: u16,
    },
}

impl Action {
    /// Whether it takes a slot that is free, or says how far a pool's slots reach: nothing of that is done in a pool of which
    /// nobody would know, should it be removed.
    pub fn takes(&self) -> bool {
        match self {
            Self::Serve { .. } | Self::Warm { .. } | Self::Limit { .. } => true,
            // A job that is told of, or moved, makes its pool known itself.
            Self::Tell { .. } | Self::Move { .. } => false,
            Self::Release { .. }
            | Self::Delete { .. }
            | Self::Retire { .. }
            | Self::Adopt { .. }
            | Self::Advance { .. }
            | Self::Online { .. }
            | Self::Taken { .. }
            | Self::Spare { .. }
            | Self::Settle { .. }
            | Self::Assign { .. }
            | Self::Sweep { .. }
            | Self::Unregister { .. }
            | Self::Requeue { .. }
            | Self::Redeliver { .. }
            | Self::Drop { .. }
            | Self::Announce { .. }
            | Self::Amend { .. }
            | Self::Conclude { .. }
            | Self::BootFailed { .. }
            | Self::Recover => false,
        }
    }
}

/// Who gets a slot whose VM is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The job it was taken for, which still needs a runner.
    Own(JobId),
    /// A waiting job.
    Waiting(Waiting),
    /// Nobody, since the pool starts no VM now: the job it was taken for queues again.
    Requeue(JobId),
    /// Nobody: the slot is free.
    Nobody,
}

/// What repairs the world. Pure: the same world gives the same plan, in whichever order its lists are. The oldest troubles come first, since there may be
/// no time for all.
pub fn plan(policy: &Policy, world: &World) -> Plan {
    let index = Index::of(policy, world);
    let mut plan = Plan::default();
    for ledger in index.ledgers() {
        if let Some(pool) = index.pool(&ledger.pool) {
            pool::repair(&index, pool, ledger, &mut plan);
        }
    }
    told::make_good(&index, &mut plan);
    strays::clear(&index, &mut plan);
    deliveries::redeliver(world, &policy.timing, &mut plan);
    plan.steps.sort_by_key(|step| step.since);
    notices::keep(&index, &mut plan);
    plan
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
