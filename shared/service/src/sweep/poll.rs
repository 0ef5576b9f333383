//! Polls: sweeps that are told of nothing by webhooks, for a host that GitHub cannot reach.

use std::time::Duration;

use mayfly_core::pace::Pace;
use mayfly_core::policy::Scope;
use mayfly_core::sweep::News;
use tokio::time::Instant;

use super::Report;
use crate::clock;
use crate::mayfly::Mayfly;

/// Polls, one after the other: how far apart they should be, and what they turned out to cost.
#[derive(Debug)]
pub struct Polling {
    every: Duration,
    pace: Pace,
    is_slowed: bool,
}

impl Polling {
    /// Polls so far apart, as far as GitHub's limit allows it.
    pub fn new(every: Duration) -> Self {
        Self { every, pace: Pace::default(), is_slowed: false }
    }
}

impl Mayfly {
    /// One sweep that asks for everything, since no webhook tells of anything: it looks for queued jobs each time, and learns
    /// of starts and ends from runs, runners and VMs. Hooks and their deliveries are not looked at. Beside the report,
    /// how long after this poll's beginning the next one is due.
    pub async fn poll(&self, polling: &mut Polling, deadline: Instant) -> (Report, Duration) {
        let mut report = self.sweep_with(News::Polled { every: polling.every }, deadline).await;
        let beat =
            polling.pace.next(polling.every, report.calls.github, self.github.allowance(), clock::now());
        let wait = beat.wait.max(self.github.limited_for().unwrap_or_default());
        report.slowed = beat.slowed.map(|slowed| slowed.to_string());
        match &report.slowed {
            Some(why) => {
                tracing::warn!(asked_for = ?polling.every, next_after = ?wait, why, "polls are slowed down");
            }
            None if polling.is_slowed => {
                tracing::info!(every = ?polling.every, "polls are as far apart as asked for again");
            }
            None => {}
        }
        polling.is_slowed = report.slowed.is_some();
        (report, wait)
    }

    /// The pools whose jobs no poll can find: GitHub lists no enterprise's repositories.
    pub fn pools_not_polled(&self) -> Vec<&mayfly_core::policy::Pool> {
        let pools = self.policy.pools.iter();
        pools.filter(|pool| matches!(pool.scope, Scope::Enterprise(_))).collect()
    }
}
