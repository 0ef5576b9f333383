//! The sweep: observe, plan, execute, report.

use mayfly_core::policy::Policy;
use mayfly_core::sweep::{News, Step, plan};
use tokio::time::Instant;

use crate::clock;
use crate::mayfly::Mayfly;

mod calls;
mod deeds;
mod deliveries;
mod discovery;
mod events;
mod execute;
mod jobs;
mod notices;
mod observe;
mod poll;
mod remember;
mod report;

pub use poll::Polling;
pub use report::{Calls, Done, PoolReport, Report, Source, WaitingJob};

impl Mayfly {
    /// One sweep. It stops in good order before the deadline; what is left waits for the next.
    pub async fn sweep(&self, deadline: Instant) -> Report {
        self.sweep_with(News::Delivered, deadline).await
    }

    async fn sweep_with(&self, news: News, deadline: Instant) -> Report {
        let started = Instant::now();
        let before = self.calls_so_far();
        let deadline = clock::working_deadline(deadline);
        // A source that hangs must leave time to act upon the others.
        let looking = started + deadline.saturating_duration_since(started) / 2;
        let seen = self.observe(news, looking).await;
        let timing = news.timing(&self.policy.timing);
        let mut plan = plan(&Policy { timing, ..self.policy.clone() }, &seen.world);
        let mut report = Report::of(&self.policy, &seen.world, &plan);
        report.failed_sources = seen.failed;
        let known = self
            .note_for_the_next(seen.memory.as_ref(), &seen.world, &plan, &mut report.failed_sources)
            .await;
        let planned = plan.steps.len();
        // Nothing is taken in a pool of which nobody would know; what is left out is postponed.
        let is_known = |step: &Step| step.pool.as_ref().is_none_or(|pool| known.contains(pool));
        plan.steps.retain(|step| is_known(step) || !step.action.takes());
        report.done = self.execute(plan.steps, &seen.world.removed, deadline).await;
        report.left_alone = plan.left_alone;
        report.postponed = planned.saturating_sub(report.done.len());
        report.calls = self.calls_so_far().since(&before);
        report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.metrics.swept(&report);
        let oldest = report.pools.iter().flat_map(|pool| &pool.jobs).map(|job| job.since).min();
        tracing::info!(
            steps = planned,
            done = report.done.len(),
            postponed = report.postponed,
            vms = report.vms,
            waiting = report.pools.iter().map(|pool| pool.waiting).sum::<usize>(),
            waiting_longest_s = oldest.map_or(0, |since| clock::now().duration_since(since).as_secs()),
            failed_sources = report.failed_sources.len(),
            took_ms = report.took_ms,
            "swept"
        );
        report
    }
}
