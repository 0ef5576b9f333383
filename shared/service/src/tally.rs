//! How requests were answered.

use std::sync::atomic::{AtomicU64, Ordering};

use mayfly_core::metrics::StatusClass;

/// How many requests were answered how. A request that nobody waited for to the end is in none.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; StatusClass::ALL.len()]);

/// What was counted so far, in the order of [`StatusClass::ALL`].
pub(crate) type Counts = [u64; StatusClass::ALL.len()];

impl Tally {
    /// A request was answered with that status, or not at all.
    pub(crate) fn answered(&self, status: Option<u16>) {
        if let Some(count) = self.0.get(StatusClass::of(status) as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
