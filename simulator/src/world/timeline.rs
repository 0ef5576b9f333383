//! What will happen, in order of time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ids::{JobId, RunnerId, VmId};

/// Something that happens by itself at its time. Ids are never used twice, so an event whose subject is
/// gone or has moved on finds that out and does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A GCP operation starts to be worked on.
    OperationRuns(String),
    /// A GCP operation ends, for better or worse.
    OperationEnds(String),
    /// A task of a Proxmox VE node ends, for better or worse.
    LabTaskEnds(String),
    /// A VM has its machine and is being prepared.
    VmStages(VmId),
    /// The guest is up and looks for its JIT configuration.
    GuestBoots(VmId),
    /// The guest's runner connects to GitHub.
    RunnerConnects(VmId),
    /// A VM is switched off.
    VmStops(VmId),
    /// A VM reaches its `maxRunDuration`, or its guest the end of its lifetime.
    VmExpires(VmId),
    /// A VM's deletion that no API call asked for ends.
    VmVanishes(VmId),
    /// A job is done.
    JobEnds(JobId),
    /// GitHub gives up a job whose runner has not been heard of.
    JobIsLost(JobId),
    /// GitHub notices that a runner has not been heard of.
    RunnerSeemsOffline(RunnerId),
    /// GitHub forgets a runner that has been away for too long.
    RegistrationExpires(RunnerId),
    /// GitHub drops a runner that is idle: a fault.
    RunnerIsDropped(RunnerId),
}

/// Events by time; those of one instant keep the order in which they were planned.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    due: BTreeMap<(Timestamp, u64), Due>,
    planned: u64,
}

impl Timeline {
    /// Plan an event.
    pub fn at(&mut self, time: Timestamp, event: Due) {
        self.planned += 1;
        self.due.insert((time, self.planned), event);
    }

    /// When the next event is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(time, _)| *time)
    }

    /// The next event that is due by `now`, with its time.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        let entry = self.due.first_entry()?;
        let time = entry.key().0;
        (time <= now).then(|| (time, entry.remove()))
    }
}

/// `time` later; the end of time when there is no such moment.
pub fn after(time: Timestamp, duration: std::time::Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}
