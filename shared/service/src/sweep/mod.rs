//! The sweep: observe, plan, execute, report.

use std::time::Instant;

use mayfly_core::slot::PhaseKind;
use mayfly_core::sweep::{Observed, plan};

use crate::clock;
use crate::mayfly::Mayfly;

mod execute;
mod observe;
mod report;

pub use report::{Done, PoolReport, Report, Source};

impl Mayfly {
    /// One sweep. It stops in good order before the deadline; what is left waits for the next.
    pub async fn sweep(&self, deadline: Instant) -> Report {
        let started = Instant::now();
        let deadline = clock::working_deadline(deadline);
        let (world, mut failed) = self.observe(deadline).await;
        let plan = plan(&self.policy, &world);
        let mut report = Report { now: Some(world.now), ..Report::default() };
        for ledger in &world.pools {
            let vms = PhaseKind::ALL
                .into_iter()
                .map(|kind| (kind, ledger.slots.iter().filter(|slot| slot.phase.kind() == kind).count()));
            let waiting = ledger.waiting.len();
            let slots = vms.filter(|(_, count)| *count > 0).collect();
            report.pools.push(PoolReport { pool: ledger.pool.clone(), waiting, slots });
        }
        report.vms = world
            .vms
            .values()
            .map(|observed| match observed {
                Observed::Known { value, .. } => value.len(),
                Observed::Unknown { .. } => 0,
            })
            .sum();
        let planned = plan.steps.len();
        report.done = self.execute(plan.steps, deadline).await;
        report.left_alone = plan.left_alone;
        report.postponed = planned.saturating_sub(report.done.len());
        report.failed_sources.append(&mut failed);
        report.github_calls = self.github.calls();
        report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            steps = planned,
            done = report.done.len(),
            postponed = report.postponed,
            vms = report.vms,
            failed_sources = report.failed_sources.len(),
            took_ms = report.took_ms,
            "swept"
        );
        report
    }
}
