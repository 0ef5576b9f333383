//! The clock, at the edge: the core takes moments as arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Now, in whole milliseconds, as the table keeps it.
pub fn now() -> Timestamp {
    crate::store::to_milliseconds(Timestamp::now())
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
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let left_ms = u128::from(deadline_ms).saturating_sub(now_ms);
    Instant::now() + Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
}
