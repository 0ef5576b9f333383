//! A job as the ledger remembers it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{InstallationId, JobId, PoolName, Repository, RunId, SlotIndex};

/// A job's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The pool that serves it.
    pub pool: PoolName,
    /// Whose it is.
    pub repository: Repository,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// The installation whose token registers its runner, where the delivery named one.
    pub installation: Option<InstallationId>,
    /// The run that says whether its pool may serve it ([`crate::audience`]), where that is not known without.
    pub unseen_run: Option<RunId>,
    /// How far it is.
    pub state: JobState,
    /// What happened to it, oldest first.
    pub timeline: Vec<Moment>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a person's approval; it needs no runner.
    Held,
    /// It waits for a slot.
    Waiting,
    /// A slot's runner is meant for it.
    Assigned {
        /// Which.
        slot: SlotIndex,
    },
    /// A runner runs it.
    Running {
        /// The slot, when the runner is of its pool.
        slot: Option<SlotIndex>,
    },
    /// It is over. Kept for late and repeated events.
    Done,
}

impl JobState {
    /// The name in the table.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Assigned { .. } => "assigned",
            Self::Running { .. } => "running",
            Self::Done => "done",
        }
    }

    /// The slot that is meant for it or runs it.
    pub fn slot(&self) -> Option<SlotIndex> {
        match self {
            Self::Assigned { slot } => Some(*slot),
            Self::Running { slot } => *slot,
            Self::Held | Self::Waiting | Self::Done => None,
        }
    }

    /// Whether the job still needs a runner to come.
    pub fn wants_a_runner(&self) -> bool {
        match self {
            Self::Waiting | Self::Assigned { .. } => true,
            Self::Held | Self::Running { .. } | Self::Done => false,
        }
    }
}

/// One line of a job's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What happened, for people.
    pub what: String,
}

impl Moment {
    /// A line.
    pub fn new(at: Timestamp, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A job that got no slot, as it stands in its pool's queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it was queued; the oldest goes first.
    pub queued_at: Timestamp,
    /// Which job.
    pub job: JobId,
    /// Whose it is.
    pub repository: Repository,
    /// The installation whose token registers its runner.
    pub installation: Option<InstallationId>,
    /// The run that says whether its pool may serve it, where that is not known without.
    pub unseen_run: Option<RunId>,
}

impl Job {
    /// Its entry in the queue.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            queued_at: self.queued_at,
            job: self.id,
            repository: self.repository.clone(),
            installation: self.installation,
            unseen_run: self.unseen_run,
        }
    }
}
