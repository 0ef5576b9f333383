//! How much a sweep asks of others.

use crate::mayfly::Mayfly;

use super::Calls;

impl Mayfly {
    pub(super) fn calls_so_far(&self) -> Calls {
        Calls {
            github: self.github.calls(),
            provider: self.providers().map(|(_, provider)| provider.calls()).sum(),
            table: self.ledger.requests(),
        }
    }
}

impl Calls {
    /// Those that were made since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            github: self.github.saturating_sub(before.github),
            provider: self.provider.saturating_sub(before.provider),
            table: self.table.saturating_sub(before.table),
        }
    }
}
