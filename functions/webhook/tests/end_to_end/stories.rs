//! Jobs and their VMs, from the webhook to nothing being left.

use std::collections::BTreeSet;
use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use simulator::{Chance, Settings, Stockout};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::sights::all_over;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_four_times_makes_one_vm_and_one_jit_config() {
    four_times(Plot::default(), "gcp.insert").await;
}

/// The same delivery comes four times; `create` is the call that makes a VM.
pub async fn four_times(plot: Plot, create: &str) {
    let stage = Stage::set(plot).await;
    let job = WorkflowJob::new(4711, REPOSITORY, &LABELS).installation(stage.simulator.installation_id());
    let delivery = Delivery::workflow_job("guid", &job.queued(), &stage.webhook_secret);
    // Two at the same time, then two more.
    for _ in 0..2 {
        let event = delivery.request().event();
        let (first, second) = tokio::join!(stage.webhook.invoke(event.clone()), stage.webhook.invoke(event));
        for invocation in [first.unwrap(), second.unwrap()] {
            assert_eq!(invocation.response.clone().unwrap()["statusCode"], 202);
            invocation.finished().await;
        }
    }
    assert_eq!((stage.calls(create), stage.calls("github.jitconfig")), (1, 1));
    // GitHub knows no such job, so nobody runs it: it ends, and its VM goes when it has idled long enough.
    let ended = Delivery::workflow_job("guid-2", &job.completed("cancelled"), &stage.webhook_secret);
    stage.webhook.invoke(ended.request().event()).await.unwrap().finished().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_on_a_vm_of_its_own_and_the_vm_goes() {
    let stage = Stage::set(Plot::default()).await;
    stage.queue(Duration::from_millis(50));
    stage.until("the job is over", all_over).await;
    stage.until("its VM is gone", |world| world.vms().is_empty()).await;
    assert_eq!((stage.calls("gcp.insert"), stage.calls("gcp.delete"), stage.calls("gcp.wait")), (1, 1, 1));
    assert_eq!((stage.calls("github.jitconfig"), stage.calls("github.delete_runner")), (1, 0));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crossed_jobs_lose_no_vm_while_it_is_busy_and_leave_none() {
    crossed(Stage::set(crossing(Plot::limited(12))).await).await;
}

/// Whoever is idle gets a job, by chance; a dozen at once cross for certain.
pub fn crossing(plot: Plot) -> Plot {
    let settings = Settings { seed: 5, random_matching: true, ..plot.settings };
    Plot { settings, ..plot }
}

/// A dozen jobs at once, some of which cross; on a machine that is busy elsewhere they may come one by one, and then a dozen more.
pub async fn crossed(stage: Stage) {
    for _ in 0..5 {
        for _ in 0..12 {
            stage.queue(Duration::from_millis(1500));
        }
        stage.to_the_end().await;
        // What follows the last events may still be under way.
        let settled = || stage.webhook.idle();
        mayfly_testkit::wait_for("the functions to be done", Duration::from_secs(60), settled).await.unwrap();
        let log = format!("{}{}", stage.webhook.log(), stage.sweepers[0].log());
        // The one left behind gets the other's runner, or queues again where the other has none yet.
        if log.contains("crossed jobs") || log.contains("its runner took another job") {
            return stage.curtain().await;
        }
    }
    panic!("no two jobs crossed in this story: {}", stage.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_at_once_on_ten_slots_are_all_served() {
    burst(Plot { environments: 250, ..Plot::limited(10) }).await;
}

/// Two hundred jobs at once, on however many slots there are.
pub async fn burst(plot: Plot) {
    let stage = Stage::set(plot).await;
    for _ in 0..200 {
        stage.queue(Duration::from_millis(10));
    }
    stage.to_the_end().await;
    // That there were never more VMs than slots is one of the world's own invariants (I2).
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_region_with_most_free_quota_is_taken() {
    let mut plot = Plot::default();
    for (region, limit) in [("us-east1", 2.0), ("us-central1", 5.0), ("us-west1", 3.0)] {
        plot.settings.set_quota(region, "NVIDIA_T4_GPUS", limit);
    }
    let stage = Stage::set(plot).await;
    stage.queue(Duration::from_millis(50));
    stage.until("the job is over", all_over).await;
    assert_eq!(stage.zones(), BTreeSet::from(["us-central1-a".to_owned()]));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stockout_in_the_first_zone_is_served_by_the_next() {
    let stage = Stage::set(Plot::default()).await;
    stage.simulator.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(100)));
    stage.queue(Duration::from_millis(50));
    stage.until("the job is over", all_over).await;
    assert_eq!(stage.zones(), BTreeSet::from(["us-east1-d".to_owned()]));
    assert_eq!(stage.calls("gcp.insert"), 2);
    stage.queue(Duration::from_millis(50));
    stage.until("the second job is over", all_over).await;
    assert_eq!(stage.calls("gcp.insert"), 3, "the full zone is remembered");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_its_runner_to_the_next_job_or_to_the_sweep() {
    let stage = Stage::set(Plot::limited(1)).await;
    let cancelled = stage.queue(Duration::from_millis(50));
    stage.until("the VM is asked for", |world| world.calls_of("gcp.insert") == 1).await;
    let next = stage.queue(Duration::from_millis(50));
    stage.simulator.with(|world, now| world.cancel_job(now, cancelled));
    stage
        .until("the next job is over", |world| world.job_state(next).is_some_and(|state| state.is_over()))
        .await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_behind_an_approval_gets_its_vm_when_it_is_approved() {
    let stage = Stage::set(Plot::default()).await;
    let spec = simulator::JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_millis(50)).waiting();
    let job = stage.simulator.with(|world, now| world.queue_job(now, spec));
    stage.until("GitHub has said that it waits", |world| world.view().deliveries_pending == 0).await;
    stage.sweep().await;
    assert_eq!(stage.calls("gcp.insert"), 0);
    stage.simulator.with(|world, now| world.approve_job(now, job));
    stage.until("the job is over", all_over).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_repeated_and_reordered_deliveries_change_nothing() {
    let stage = Stage::set(Plot::default()).await;
    bad_deliveries(&stage);
    for _ in 0..20 {
        stage.queue(Duration::from_millis(100));
    }
    stage.to_the_end().await;
    stage.curtain().await;
}

/// Half of GitHub's deliveries come twice, and half of them late.
pub fn bad_deliveries(stage: &Stage) {
    stage.simulator.with(|world, _| {
        world.faults.deliveries.duplicated = Chance::rate(0.5);
        world.faults.deliveries.reordered = Chance::rate(0.5);
        world.faults.deliveries.reorder_max = Duration::from_millis(800);
    });
}

impl Stage {
    /// The zones in which VMs were in the end.
    fn zones(&self) -> BTreeSet<String> {
        let view = self.simulator.with(|world, _| world.view());
        view.vms.into_iter().chain(view.gone_vms).filter(|vm| vm.runner.is_some()).map(|vm| vm.zone).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_end_was_never_told_gets_no_second_vm() {
    let stage = Stage::set(Plot::default()).await;
    stage.queue(Duration::from_millis(50));
    stage.until("the VM is asked for", |world| world.calls_of("gcp.insert") == 1).await;
    stage.simulator.with(|world, _| world.faults.deliveries.never = Chance::next(2));
    stage.until("the job is over", all_over).await;
    stage.simulator.with(|world, _| world.faults.deliveries.never = Chance::default());
    for _ in 0..40 {
        stage.sweep().await;
        if stage.calls("github.job") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!((stage.calls("github.job"), stage.calls("gcp.insert")), (1, 1));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_vm_never_boots_is_not_forgotten_for_one_that_comes_later() {
    let stage = Stage::set(Plot::limited(1)).await;
    stage.simulator.with(|world, _| world.faults.guests.never_boots = Chance::next(1));
    let first = stage.queue(Duration::from_millis(50));
    stage.until("the VM is asked for", |world| world.calls_of("gcp.insert") == 1).await;
    while stage.calls("gcp.delete") == 0 {
        stage.sweep().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Its slot is going; the next job comes to a full pool and waits for it.
    let second = stage.queue(Duration::from_millis(50));
    stage.to_the_end().await;
    let ran =
        |job| stage.simulator.with(|world, _| world.job_state(job).is_some_and(|state| state.is_over()));
    assert!(ran(first) && ran(second));
    stage.curtain().await;
}
