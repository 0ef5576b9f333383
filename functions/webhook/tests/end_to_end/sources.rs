//! A source that does not answer is unknown, never empty: nothing is deleted on its account, and the next sweep repairs.

use std::time::Duration;

use mayfly_testkit::tcp_proxy::Link;
use serde_json::Value;
use simulator::{Fault, JobId, VmView};

use crate::plot::Plot;
use crate::sights::{MARKS, ZONE, conclusion, failed, is_over, is_running, our_vms, runner_name};
use crate::stage::Stage;

/// A busy runner, an idle one, and an orphan whose time has come.
struct Scene {
    stage: Stage,
    job: JobId,
    busy: VmView,
    idle: VmView,
}

impl Scene {
    async fn set() -> Self {
        let mut plot = Plot::default();
        plot.pools[0].idle_timeout = "10s";
        let stage = Stage::set(plot).await;
        let job = stage.queue(Duration::from_secs(8));
        stage.until("a job runs", |world| is_running(world, job)).await;
        let busy = stage.only_vm();
        let idle = stage.spare_runner().await;
        stage.simulator.with(|world, now| {
            let orphan = world.add_vm(now, ZONE, runner_name(7).as_str(), &MARKS).unwrap();
            world.age_vm(now, orphan, Duration::from_secs(60));
        });
        Self { stage, job, busy, idle }
    }

    async fn sweep_with(&self, endpoints: &[&str]) -> Value {
        self.stage.simulator.with(|world, _| {
            for endpoint in endpoints {
                world.faults.rate(endpoint, 1.0, Fault::ErrorBefore(503));
            }
        });
        let report = self.stage.sweep().await;
        self.stage.simulator.with(|world, _| world.faults.clear());
        report
    }

    fn nothing_is_deleted(&self, report: &Value) {
        let deletions = (self.stage.calls("gcp.delete"), self.stage.calls("github.delete_runner"));
        assert_eq!(deletions, (0, 0), "{report:#}\n{}", self.stage.story());
    }

    /// The next sweeps repair what is to be repaired, and only that.
    async fn end(self) {
        let Self { stage, job, busy, idle } = self;
        let report = stage
            .sweep_until("the orphan is gone", |world, _| {
                our_vms(world).iter().all(|vm| vm.id == busy.id || vm.id == idle.id)
            })
            .await;
        let left = stage.simulator.with(|world, _| our_vms(world).len());
        assert_eq!(left, 2, "{report:#}\n{}", stage.story());
        stage.sweep_until("the job is over", |world, _| is_over(world, job)).await;
        assert_eq!(stage.simulator.with(|world, _| conclusion(world, job)), "success");
        stage.curtain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_githubs_list_of_runners_nothing_is_deleted() {
    let scene = Scene::set().await;
    let report = scene.sweep_with(&["github.runners"]).await;
    assert!(failed(&report, "runners orgs/shader-slang"), "{report:#}");
    scene.nothing_is_deleted(&report);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_list_of_vms_nothing_is_deleted() {
    let scene = Scene::set().await;
    let report = scene.sweep_with(&["gcp.aggregated_instances"]).await;
    assert!(failed(&report, "provider cloud"), "{report:#}");
    scene.nothing_is_deleted(&report);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_nothing_is_deleted() {
    let scene = Scene::set().await;
    scene.stage.table.set_link(Link::Cut);
    let report = scene.stage.sweep().await;
    scene.stage.table.set_link(Link::Open);
    assert!(failed(&report, "pool linux-gpu"), "{report:#}");
    scene.nothing_is_deleted(&report);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_githubs_deliveries_and_jobs_no_runner_is_deleted() {
    let scene = Scene::set().await;
    let report =
        scene.sweep_with(&["github.deliveries", "github.runs", "github.run_jobs", "github.job"]).await;
    assert!(failed(&report, "deliveries app"), "{report:#}");
    let kept = scene.stage.simulator.with(|world, _| {
        let is_there =
            |vm: &VmView| world.vms().iter().any(|each| each.id == vm.id && each.status == "RUNNING");
        is_there(&scene.busy) && is_there(&scene.idle)
    });
    assert!(kept, "{report:#}\n{}", scene.stage.story());
    scene.end().await;
}
