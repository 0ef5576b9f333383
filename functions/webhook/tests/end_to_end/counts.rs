//! What a sweep costs that finds nothing to do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{JobId, ProviderName, Repository, RunnerId, RunnerName};
use mayfly_core::job::{Job, JobState, Moment};
use mayfly_core::slot::{Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{Claim, Moved, Take};
use serde_json::{Value, json};
use simulator::JobSpec;

use crate::plot::{LABELS, POOL, Plot, REPOSITORY};
use crate::sights::{MARKS, ZONE, pool, pool_name, runner_name};
use crate::stage::Stage;

/// The machines of a pool at work,
const VMS: u16 = 1_000;
/// and those of a smaller one: as many as make every bound on calls be reached that is no page.
const FEW: u16 = 200;
const VMS_PER_PAGE: u64 = 500;
const RUNNERS_PER_PAGE: u64 = 100;

type Calls = BTreeMap<String, u64>;

impl Stage {
    /// One sweep, and the calls that it made, those to the table under `table`.
    async fn counted_sweep(&self) -> (Value, Calls) {
        let before = self.simulator.with(|world, _| world.view().calls);
        self.table.reset_usage();
        let report = self.sweep().await;
        let mut calls = self.simulator.with(|world, _| world.view().calls);
        for (endpoint, count) in &mut calls {
            *count -= before.get(endpoint).copied().unwrap_or_default();
        }
        calls.insert("table".to_owned(), self.table.usage().total());
        // Whether it lists runs or their jobs: it stops after so many calls, and the next sweep goes on.
        let looked = ["github.runs", "github.run_jobs"].map(|name| calls.remove(name).unwrap_or_default());
        calls.insert("looking for lost jobs".to_owned(), looked.iter().sum());
        calls.retain(|_, count| *count > 0);
        (report, calls)
    }

    /// A sweep over so many more busy runners, none of them new.
    async fn counted_sweep_over(&self, slots: Range<u16>) -> (Value, Calls) {
        self.busy_runners(slots).await;
        // Longer than `check_after`.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.sweep().await;
        self.counted_sweep().await
    }

    pub async fn busy_runners(&self, slots: Range<u16>) {
        for first in slots.clone().step_by(50) {
            let runners = (first..slots.end.min(first + 50)).map(|slot| self.busy_runner(slot));
            // Many at once: most of it is waiting for the table.
            futures_util::future::join_all(runners).await;
        }
    }

    /// A runner at work in the world, and in the table all that its events would have left there.
    async fn busy_runner(&self, slot: u16) {
        let runner = runner_name(slot);
        let spec = JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_secs(3600));
        let busy = self
            .simulator
            .with(|world, now| world.add_busy_vm(now, ZONE, runner.as_str(), &MARKS, spec))
            .unwrap();
        self.record(runner, JobId(busy.job.0), RunnerId(busy.runner.0)).await;
    }

    async fn record(&self, runner: RunnerName, id: JobId, runner_id: RunnerId) {
        let now = Timestamp::now();
        let job = Job {
            id,
            pool: pool_name(POOL),
            repository: Repository::new(REPOSITORY).unwrap(),
            queued_at: now,
            installation: None,
            unseen_run: None,
            state: JobState::Running { slot: Some(runner.slot()) },
            timeline: vec![Moment::new(now, "started")],
        };
        let slot = Slot::reserved(runner.clone(), Purpose::Job(id), now);
        assert_eq!(self.ledger.claim(&job, &Take::Free(slot)).await.unwrap(), Claim::Taken);
        let vm = VmPlace { provider: ProviderName::new("cloud").unwrap(), at: ZONE.to_owned() };
        for event in
            [SlotEvent::Placed { vm, runner_id, registered_at: None }, SlotEvent::Started { job: id }]
        {
            let moved = self.ledger.slot_event(&runner, &event, now).await.unwrap();
            assert!(matches!(moved, Moved::From(_)), "{event:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_over_a_thousand_busy_vms_makes_a_constant_number_of_calls_and_one_for_each_page() {
    let mut plot = Plot::limited(VMS);
    // So that the second sweep would ask for each, if it asked for any.
    plot.timing.check_after = "1s";
    let stage = Stage::set(plot).await;
    stage.sweep().await;
    let (_, few) = stage.counted_sweep_over(0..FEW).await;
    let (report, many) = stage.counted_sweep_over(FEW..VMS).await;

    assert_eq!(pool(&report, POOL).unwrap()["slots"], json!({"busy": VMS}), "{report:#}");
    assert_eq!((&report["vms"], &report["done"]), (&json!(VMS), &json!([])), "{report:#}");
    let pages = |per_page| u64::from(VMS).div_ceil(per_page) - u64::from(FEW).div_ceil(per_page);
    let mut expected = few;
    *expected.entry("gcp.aggregated_instances".to_owned()).or_default() += pages(VMS_PER_PAGE);
    *expected.entry("github.runners".to_owned()).or_default() += pages(RUNNERS_PER_PAGE);
    assert_eq!(many, expected);
    stage.check().await;
}
