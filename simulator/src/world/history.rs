//! What happened, for people to watch and for tests to compare.

use jiff::Timestamp;
use serde::Serialize;

/// The kind of a happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs)]
pub enum HappeningKind {
    JobQueued,
    JobWaiting,
    JobApproved,
    JobStarted,
    JobEnded,
    JobCancelled,
    RunnerRegistered,
    RunnerOnline,
    RunnerOffline,
    RunnerGone,
    VmAsked,
    VmRefused,
    VmRunning,
    VmStopped,
    VmDeleting,
    VmGone,
    DeliverySent,
    DeliveryLost,
    FaultStruck,
    Violated,
}

/// Something that happened in the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When.
    pub time: Timestamp,
    /// What kind of thing.
    pub kind: HappeningKind,
    /// What, in words; it holds no secret.
    pub text: String,
}
