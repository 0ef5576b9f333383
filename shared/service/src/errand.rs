//! A slot that is to become a VM, for whom, and what a placement answers.

use jiff::Timestamp;
use mayfly_core::ids::{InstallationId, JobId};
use mayfly_core::job::Waiting;
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Slot, VmPlace};
use tokio::time::Instant;
use tracing::field::{DisplayValue, display};

use crate::github::GitHubError;
use crate::provider::Created;

/// Whom a VM is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want<'a> {
    /// This job.
    Job(&'a Waiting),
    /// Nobody yet: it is kept warm.
    Warm,
}

impl Want<'_> {
    pub(crate) fn job(self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(job.job),
            Self::Warm => None,
        }
    }

    pub(crate) fn installation(self) -> Option<InstallationId> {
        match self {
            Self::Job(job) => job.installation,
            Self::Warm => None,
        }
    }
}

/// A slot that is to become a VM.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub pool: &'a Pool,
    pub slot: &'a Slot,
    pub want: Want<'a>,
    /// Until when there is time for it.
    pub deadline: Instant,
    /// The same moment, as the lease on a VM that is made in steps says it.
    pub lease: Timestamp,
}

impl Errand<'_> {
    /// The job as logs show it; none for a VM that is kept warm. A sweep that goes on with a VM knows it from the slot.
    pub(crate) fn shown_job(&self) -> Option<DisplayValue<JobId>> {
        self.want.job().map(display).or_else(|| shown_job(self.slot))
    }
}

/// What one placement answered.
pub(crate) enum Tried {
    Made(Created),
    /// It is being made in steps, and somebody will go on with it.
    Begun(VmPlace),
    PassedOver(Passed),
    Unclear(String),
    NotRegistered(GitHubError),
}

/// A placement that was passed over.
pub(crate) struct Passed {
    /// Why, for people.
    pub text: String,
    pub why: Why,
    /// The slot says that the VM is there.
    pub placed: Option<VmPlace>,
}

/// Why a placement was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It has no room until another VM goes: that is no failure, and nothing to be patient about.
    NoRoom,
    /// It is full for a while.
    Full,
    /// It would or could not.
    Failed,
}

impl Passed {
    pub(crate) fn new(text: impl Into<String>, why: Why) -> Self {
        Self { text: text.into(), why, placed: None }
    }
}

/// What becomes of a create whose slot is somebody else's by now.
pub(crate) const TAKEN_OVER: &str = "the slot was taken over by a sweep";

/// The job that a slot's runner is for, as logs show it; none for one that is spare.
pub(crate) fn shown_job(slot: &Slot) -> Option<DisplayValue<JobId>> {
    slot.purpose.job().map(display)
}
