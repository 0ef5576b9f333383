//! The sweep: observe, plan, execute, report.

use std::collections::BTreeMap;

use mayfly_core::ids::PoolName;
use mayfly_core::policy::{Policy, Pool, Scope};
use mayfly_core::sweep::{News, Plan, World, plan};
use tokio::time::Instant;

use crate::clock;
use crate::mayfly::Mayfly;
use crate::store::{Memory, StoreError};

mod calls;
mod deeds;
mod deliveries;
mod discovery;
mod events;
mod execute;
mod jobs;
mod observe;
mod poll;
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
        let plan = plan(&Policy { timing, ..self.policy.clone() }, &seen.world);
        let mut report = Report::of(&self.policy, &seen.world, &plan);
        report.failed_sources = seen.failed;
        if let Some(memory) = &seen.memory
            && let Err(error) = self.remember_what_was_seen(memory, &seen.world, &plan).await
        {
            report.failed_sources.push(Source::failed("the sweep's memory".to_owned(), &error));
        }
        let planned = plan.steps.len();
        report.done = self.execute(plan.steps, &seen.world.removed, deadline).await;
        report.left_alone = plan.left_alone;
        report.postponed = planned.saturating_sub(report.done.len());
        report.calls = self.calls_so_far().since(&before);
        report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
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

    /// Keeps what the next sweep has to know: which pools there are or were, and which deliveries are settled.
    async fn remember_what_was_seen(
        &self,
        memory: &Memory,
        world: &World,
        plan: &Plan,
    ) -> Result<(), StoreError> {
        let empty = |pool: &&Pool| {
            let ledger = world.pools.iter().find(|ledger| ledger.pool == pool.name);
            ledger.is_some_and(|ledger| ledger.slots.is_empty() && ledger.waiting.is_empty())
        };
        let gone: Vec<PoolName> = world.removed.iter().filter(empty).map(|pool| pool.name.clone()).collect();
        // One that was not read, or that has moved with runners left where it was, stays as it is remembered.
        let read = |pool: &&Pool| world.pools.iter().any(|ledger| ledger.pool == pool.name);
        let pools = self.policy.pools.iter().chain(&world.removed).filter(read);
        let new: BTreeMap<PoolName, Scope> = pools
            .filter(|pool| memory.pools.get(&pool.name) != Some(&pool.scope) && !gone.contains(&pool.name))
            .map(|pool| (pool.name.clone(), pool.scope.clone()))
            .collect();
        let forget: Vec<PoolName> = gone.into_iter().filter(|pool| memory.pools.contains_key(pool)).collect();
        if !new.is_empty() || !forget.is_empty() {
            self.ledger.remember_pools(&new, &forget).await?;
        }
        let settled = plan.settled.iter().filter(|(hook, at)| memory.settled.get(*hook) != Some(at));
        let settled: BTreeMap<_, _> = settled.map(|(hook, at)| (hook.clone(), *at)).collect();
        self.ledger.remember_settled(&settled).await
    }
}
