//! On whose turn something is done, and until when there is time for it.

use tokio::time::Instant;

/// On whose turn something is done, and until when there is time for it.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// What is not done by then is left for the next sweep.
    pub deadline: Instant,
    /// Who does it.
    pub by: By,
}

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An invocation for an event. It knows little of the pool, so it looks whether that may start VMs.
    Event,
    /// A sweep. It has planned for the whole pool, and waits for no VM to be gone: the next sweep finds it.
    Sweep,
}

impl Turn {
    /// An event's.
    pub fn of_event(deadline: Instant) -> Self {
        Self { deadline, by: By::Event }
    }

    /// A sweep's.
    pub fn of_sweep(deadline: Instant) -> Self {
        Self { deadline, by: By::Sweep }
    }
}
