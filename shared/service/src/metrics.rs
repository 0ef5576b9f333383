//! What is measured, on its way out: as log lines on Lambda, or to be read by Prometheus.
//!
//! Recording is a few comparisons under a lock, and nothing at all where nobody asked for metrics. What others' clients count
//! by themselves is read when metrics are written.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{PoolName, ProviderName};
use mayfly_core::metrics::{Api, Metric, Outcome, Reason, Recorded, Sample, StatusClass, emf, prometheus};
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Phase, PhaseKind, Slot};

use crate::clock;
use crate::mayfly::Mayfly;
use crate::provider::{CreateError, PassedOver, Provider};
use crate::sweep::Report;
use crate::tally::Counts;

/// What was measured and not written yet, or, for Prometheus, since the start.
#[derive(Debug, Default)]
pub struct Metrics(Option<Keeping>);

#[derive(Debug)]
struct Keeping {
    /// How a new record begins.
    fresh: fn() -> Recorded,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    recorded: Recorded,
    /// What of the clients' own counts is in it.
    requests: BTreeMap<Api, Counts>,
}

impl Metrics {
    /// For CloudWatch: what an invocation measured is written at its end ([`Mayfly::log_metrics`]).
    pub fn for_cloudwatch() -> Self {
        Self::keeping(Recorded::in_full)
    }

    /// For Prometheus: what was measured since the start is there to be read ([`Mayfly::exposition`]).
    pub fn for_prometheus() -> Self {
        Self::keeping(Recorded::in_buckets)
    }

    fn keeping(fresh: fn() -> Recorded) -> Self {
        let kept = Mutex::new(Kept { recorded: fresh(), requests: BTreeMap::new() });
        Self(Some(Keeping { fresh, kept }))
    }

    /// Works on what is kept, where anything is.
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        let keeping = self.0.as_ref()?;
        // Whoever panicked left nothing half done that matters here.
        let mut kept = keeping.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let was_told = kept.recorded.has_left_out();
        let done = work(&mut kept);
        if kept.recorded.has_left_out() && !was_told {
            tracing::warn!("there are more series of metrics than are kept: the others are left out");
        }
        Some(done)
    }

    fn record(&self, sample: Sample<'_>) {
        self.with(|kept| kept.recorded.record(sample));
    }

    /// An event of a job that a runner of ours took moved that runner's slot, which was as given before. Of the start or, where
    /// nobody heard of that, the end: the first one counts.
    pub(crate) fn taken(&self, pool: &PoolName, event: &JobEvent, before: &Slot) {
        let known = matches!(before.phase, Phase::Busy { .. }) && before.purpose.job().is_some();
        let started = match event.change {
            Change::Started { .. } => event.started_at.unwrap_or_else(clock::now),
            Change::Ended { .. } => match event.started_at {
                Some(started) => started,
                None => return,
            },
            Change::Queued | Change::Held => return,
        };
        if known {
            return;
        }
        if let Some(created) = event.created_at {
            self.record(Sample::QueueWait(pool, since(created, started)));
        }
        self.booted(pool, before, started);
    }

    /// A runner is there, whose slot was as given before: the first time that is seen its boot is over.
    pub(crate) fn booted(&self, pool: &PoolName, before: &Slot, now: Timestamp) {
        if matches!(before.phase, Phase::Reserved | Phase::Creating { .. } | Phase::Booting { .. }) {
            self.record(Sample::BootDuration(pool, since(before.reserved_at, now)));
        }
    }

    /// A placement made no VM.
    pub(crate) fn not_created(&self, pool: &PoolName, provider: &ProviderName, error: &CreateError) {
        let one = |reason| self.create_failure(pool, provider, reason);
        match error {
            CreateError::Full(places) | CreateError::NoRoom(places) => {
                self.passed_over(pool, provider, places)
            }
            CreateError::Refused(_) => one(Reason::Refused),
            CreateError::Unavailable(_) => one(Reason::Unavailable),
            CreateError::Ambiguous { .. } => one(Reason::Unclear),
        }
    }

    /// Some of a placement's places made no VM.
    pub(crate) fn passed_over(&self, pool: &PoolName, provider: &ProviderName, places: &[PassedOver]) {
        places.iter().for_each(|place| self.create_failure(pool, provider, place.reason));
    }

    /// A place made no VM.
    pub(crate) fn create_failure(&self, pool: &PoolName, provider: &ProviderName, reason: Reason) {
        self.record(Sample::CreateFailure(pool, provider, reason));
    }

    /// A slot is left by its VM, which is gone. One that was never known to have a VM counts for nothing.
    pub(crate) fn left_by_vm(&self, pool: &Pool, slot: &Slot) {
        let Some(machine) = slot.phase.machine() else { return };
        // Where it was being deleted it did not cost much longer, whenever somebody came to look.
        let until = match slot.phase {
            Phase::Deleting { since, .. } => since,
            Phase::Reserved
            | Phase::Creating { .. }
            | Phase::Booting { .. }
            | Phase::Idle { .. }
            | Phase::Busy { .. } => clock::now(),
        };
        let lived = since(slot.reserved_at, until);
        self.record(Sample::VmSeconds(&pool.name, lived));
        if let Some(price) = pool.price_at(&machine.vm) {
            self.record(Sample::Cost(&pool.name, price.of(lived)));
        }
    }

    /// A sweep is over.
    pub(crate) fn swept(&self, report: &Report) {
        self.with(|kept| {
            let outcome = match report {
                Report { failed_sources, .. } if !failed_sources.is_empty() => Outcome::Blind,
                Report { postponed: 1.., .. } => Outcome::Postponed,
                Report { .. } => Outcome::Complete,
            };
            let recorded = &mut kept.recorded;
            recorded.record(Sample::Sweep(outcome, Duration::from_millis(report.took_ms)));
            // What of a pool could not be read is not known, and a pool that is gone has nothing.
            recorded.forget(Metric::Runners);
            recorded.forget(Metric::JobsWaiting);
            for pool in &report.pools {
                recorded.record(Sample::JobsWaiting(&pool.pool, pool.waiting));
                for phase in PhaseKind::ALL {
                    let count = pool.slots.get(&phase).copied().unwrap_or(0);
                    recorded.record(Sample::Runners(&pool.pool, phase, count));
                }
            }
        });
    }
}

impl Mayfly {
    /// Writes what was measured to standard output, where CloudWatch Logs finds it: all lines at once, and nothing where nobody asked
    /// for it. To be called before an invocation ends, since what is frozen may never be woken again.
    pub fn log_metrics(&self) {
        if let Some(lines) = self.metric_lines() {
            // Metrics that cannot be written are no reason to fail.
            let _ = std::io::stdout().lock().write_all(lines.as_bytes());
        }
    }

    /// The lines of [`Mayfly::log_metrics`]; what is in them is forgotten here.
    fn metric_lines(&self) -> Option<String> {
        let fresh = self.metrics.0.as_ref()?.fresh;
        let recorded = self.metrics.with(|kept| {
            self.take_in(kept);
            std::mem::replace(&mut kept.recorded, fresh())
        })?;
        let lines = emf::lines(&recorded, &self.policy.deployment, clock::now());
        Some(lines.into_iter().map(|line| line + "\n").collect())
    }

    /// What was measured since the start, in Prometheus' text format.
    pub fn exposition(&self) -> String {
        let text = self.metrics.with(|kept| {
            self.take_in(kept);
            prometheus::text(&kept.recorded)
        });
        text.unwrap_or_default()
    }

    /// What the clients count by themselves becomes part of the record.
    fn take_in(&self, kept: &mut Kept) {
        let mut now: BTreeMap<Api, Counts> = BTreeMap::new();
        let providers = self.providers().map(|(_, provider)| match provider {
            Provider::Gcp(gcp) => (Api::Gcp, gcp.answers()),
            Provider::Proxmox(proxmox) => (Api::Proxmox, proxmox.answers()),
        });
        let own = [(Api::GitHub, self.github.answers()), (Api::DynamoDb, self.ledger.answers())];
        for (api, counts) in own.into_iter().chain(providers) {
            let all = now.entry(api).or_default();
            all.iter_mut().zip(counts).for_each(|(sum, more)| *sum += more);
        }
        for (api, counts) in &now {
            let before = kept.requests.get(api).copied().unwrap_or_default();
            for ((status, count), before) in StatusClass::ALL.iter().zip(counts).zip(before) {
                let more = count.saturating_sub(before);
                if more > 0 {
                    kept.recorded.record(Sample::ApiRequests(*api, *status, more));
                }
            }
        }
        kept.requests = now;
        if let Some(allowance) = self.github.allowance() {
            kept.recorded.record(Sample::RateLimitRemaining(allowance.remaining));
        }
    }
}

/// From one moment to another; nothing where clocks disagree.
fn since(begin: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(begin)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use mayfly_core::event::Parsed;
    use mayfly_core::event::parse;
    use mayfly_core::ids::{Deployment, JobId, RunnerId, RunnerName, SlotIndex};
    use mayfly_core::policy::Scope;
    use mayfly_core::slot::{Purpose, SlotEvent, VmPlace, later};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn pool() -> Pool {
        let name = PoolName::new("linux").unwrap();
        Pool::removed(name, Scope::Organization(mayfly_core::ids::Account::new("acme").unwrap()))
    }

    /// A slot that was taken at the beginning, and lived through these events, ten seconds apart.
    fn slot(events: &[SlotEvent]) -> Slot {
        let runner = RunnerName::new(&Deployment::new("test").unwrap(), &pool().name, SlotIndex(0), 7);
        let mut slot = Slot::reserved(runner, Purpose::Job(JobId(1)), at(0));
        for (place, event) in events.iter().enumerate() {
            let now = later(at(0), Duration::from_secs(10 * (place as u64 + 1)));
            slot = slot.apply(event, now).unwrap();
        }
        slot
    }

    fn placed() -> SlotEvent {
        let vm = VmPlace { provider: ProviderName::new("gcp").unwrap(), at: "us-east1-c".to_owned() };
        SlotEvent::Placed { vm, runner_id: RunnerId(1), registered_at: None }
    }

    /// An event of a job that was queued at second 1 and taken at second 42.
    fn event(action: &str) -> Box<JobEvent> {
        let body = serde_json::json!({
            "action": action,
            "workflow_job": {
                "id": 1, "labels": ["Linux"], "runner_name": "x", "conclusion": "success",
                "created_at": at(1), "started_at": at(42),
            },
            "repository": {"full_name": "acme/it"},
        });
        match parse(body.to_string().as_bytes()).unwrap() {
            Parsed::Job(event) => event,
            Parsed::OtherAction(action) => panic!("{action}"),
        }
    }

    fn text(metrics: &Metrics) -> String {
        metrics.with(|kept| prometheus::text(&kept.recorded)).unwrap()
    }

    #[test]
    fn where_nobody_asked_nothing_is_kept() {
        let metrics = Metrics::default();
        metrics.record(Sample::RateLimitRemaining(1));
        assert!(metrics.0.is_none());
    }

    #[test]
    fn a_start_counts_once_whichever_event_tells_of_it_first() {
        let started = SlotEvent::Started { job: JobId(1) };
        for (events, tells, waits, boots) in [
            (vec![placed()], "in_progress", 1, 1),
            (vec![], "in_progress", 1, 1),
            (vec![placed(), SlotEvent::Online], "in_progress", 1, 0),
            (vec![placed()], "completed", 1, 1),
            (vec![placed(), started], "completed", 0, 0),
        ] {
            let metrics = Metrics::for_prometheus();
            metrics.taken(&pool().name, &event(tells), &slot(&events));
            let text = text(&metrics);
            let count = |name: &str, sum: u32, count: u32| {
                let told = text.contains(&format!("{name}_sum{{pool=\"linux\"}} {sum}\n"));
                assert_eq!(told, count == 1, "{events:?} {tells}: {name}\n{text}");
            };
            count("mayfly_queue_wait_seconds", 41, waits);
            count("mayfly_boot_duration_seconds", 42, boots);
        }
    }

    #[test]
    fn a_vm_counts_from_its_slots_beginning_to_its_deletion_and_what_had_none_does_not() {
        let metrics = Metrics::for_prometheus();
        metrics.left_by_vm(&pool(), &slot(&[]));
        metrics.left_by_vm(&pool(), &slot(&[SlotEvent::Ended]));
        assert_eq!(text(&metrics), "");
        let started = SlotEvent::Started { job: JobId(1) };
        metrics.left_by_vm(&pool(), &slot(&[placed(), started, SlotEvent::Ended]));
        assert!(text(&metrics).contains("mayfly_vm_seconds_total{pool=\"linux\"} 30\n"));
        assert!(!text(&metrics).contains("cost"), "its price is not known");
    }

    #[test]
    fn a_pool_that_is_gone_or_unknown_has_no_phases_any_more() {
        let metrics = Metrics::for_prometheus();
        let seen = crate::sweep::PoolReport {
            pool: pool().name,
            waiting: 2,
            slots: [(PhaseKind::Busy, 3)].into(),
            draining: false,
            removed: false,
            jobs: Vec::new(),
            troubles: Vec::new(),
        };
        metrics.swept(&Report { pools: vec![seen], postponed: 1, ..Report::default() });
        assert!(text(&metrics).contains("mayfly_runners{pool=\"linux\",phase=\"busy\"} 3\n"));
        assert!(text(&metrics).contains("mayfly_runners{pool=\"linux\",phase=\"idle\"} 0\n"));
        assert!(text(&metrics).contains("_count{outcome=\"postponed\"} 1\n"));
        let blind = crate::sweep::Source { source: "pool linux".to_owned(), why: "away".to_owned() };
        metrics.swept(&Report { failed_sources: vec![blind], ..Report::default() });
        assert!(!text(&metrics).contains("linux"));
        assert!(text(&metrics).contains("_count{outcome=\"blind\"} 1\n"));
    }
}
