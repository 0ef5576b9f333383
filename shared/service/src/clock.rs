//! The clock, at the edge: the core takes moments as arguments.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Now, in whole milliseconds, as the table keeps it.
pub fn now() -> Timestamp {
    crate::store::to_milliseconds(wall())
}

/// Now.
pub(crate) fn wall() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(now) = crate::simulation::now() {
        return now;
    }
    Timestamp::now()
}

/// Until when an invocation may work: its deadline, less what it takes to stop in good order.
pub fn working_deadline(end: Instant) -> Instant {
    end.checked_sub(STOPPING).unwrap_or(end)
}

/// What it takes to write down where one has stopped.
const STOPPING: Duration = Duration::from_secs(2);

/// The moment of a deadline, in whole milliseconds.
pub fn moment_of(deadline: Instant) -> Timestamp {
    let left = deadline.saturating_duration_since(Instant::now());
    crate::store::to_milliseconds(mayfly_core::slot::later(now(), left))
}

/// The moment of an invocation's deadline, which Lambda gives in epoch milliseconds.
pub fn instant_at(deadline_ms: u64) -> Instant {
    let now_ms = u64::try_from(wall().as_millisecond()).unwrap_or(0);
    Instant::now() + Duration::from_millis(deadline_ms.saturating_sub(now_ms))
}
