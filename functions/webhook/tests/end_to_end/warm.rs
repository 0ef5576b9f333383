//! The warm pool: `min_runners` VMs stand ready at all times.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use simulator::{HappeningKind, VmView, World};

use crate::plot::{POOL, Plot, TABLE};
use crate::sights::{all_over, deleted_by_call, idle_runners, is_over, our_vms, when};
use crate::stage::Stage;

fn warm(max_runners: u16) -> Plot {
    let mut plot = Plot::limited(max_runners);
    plot.pools[0].min_runners = 2;
    plot
}

impl Stage {
    async fn two_stand_ready(&self) -> Vec<VmView> {
        self.sweep_until("two stand ready", |world, _| idle_runners(world) == 2 && our_vms(world).len() == 2)
            .await;
        self.simulator.with(|world, _| our_vms(world))
    }
}

fn names(vms: &[VmView]) -> BTreeSet<String> {
    vms.iter().map(|vm| vm.name.clone()).collect()
}

fn are_gone(world: &World, vms: &[VmView]) -> bool {
    our_vms(world).iter().all(|vm| vms.iter().all(|old| old.id != vm.id))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_vms_stand_ready_without_any_job_and_stay() {
    let stage = Stage::set(warm(4)).await;
    let first = stage.two_stand_ready().await;
    // Longer than any timeout of a runner that is not kept warm.
    stage.sweep_for(Duration::from_secs(4)).await;
    let later = stage.two_stand_ready().await;
    assert_eq!(names(&first), names(&later));
    assert_eq!((stage.calls("gcp.insert"), stage.calls("gcp.delete")), (2, 0), "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_at_once_on_a_warm_runner_which_is_replaced() {
    let stage = Stage::set(warm(4)).await;
    let ready = stage.two_stand_ready().await;
    let job = stage.queue(Duration::from_millis(300));
    let ran_on = stage.simulator.with(|world, _| {
        world.job_state(job).and_then(|state| state.ran().map(|(runner, _)| runner.name.clone()))
    });
    assert!(ran_on.is_some_and(|name| names(&ready).contains(&name)), "GitHub gave it to one that was ready");
    stage.sweep_until("it is over", |world, _| is_over(world, job)).await;
    stage.two_stand_ready().await;
    // One for the used one; the job itself may have asked for another, which then was the replacement.
    assert_eq!(stage.calls("gcp.insert"), 3, "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_runner_that_github_dropped_is_replaced() {
    let stage = Stage::set(warm(4)).await;
    let ready = stage.two_stand_ready().await;
    stage.simulator.with(|world, now| {
        let runner = world.runners().first().unwrap().id;
        world.drop_runner(now, runner);
    });
    stage.until("one is missing", |world| idle_runners(world) == 1).await;
    let now_ready = stage.two_stand_ready().await;
    assert_eq!(names(&ready).intersection(&names(&now_ready)).count(), 1);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aged_warm_runner_is_replaced_before_its_end() {
    let stage = Stage::set(warm(4)).await;
    let ready = stage.two_stand_ready().await;
    // Ten minutes is all they have.
    for vm in &ready {
        stage.age(vm, Duration::from_secs(10 * 60 - 8)).await;
    }
    stage.sweep_until("both are gone", |world, _| are_gone(world, &ready)).await;
    for vm in &ready {
        let (by_call, unregistered, deleted) = stage.simulator.with(|world, _| {
            let at = |kind| when(world, kind, &vm.name).unwrap();
            (deleted_by_call(world, &vm.name), at(HappeningKind::RunnerGone), at(HappeningKind::VmDeleting))
        });
        assert!(by_call && unregistered < deleted, "{}", stage.story());
    }
    stage.two_stand_ready().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_runners_and_jobs_together_stay_within_the_limit() {
    let stage = Stage::set(warm(3)).await;
    stage.two_stand_ready().await;
    for _ in 0..12 {
        stage.queue(Duration::from_millis(200));
    }
    // That there are never more than three is the world's own invariant (I2).
    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    stage.two_stand_ready().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_no_longer_kept_warm_cools_down() {
    let mut stage = Stage::set(warm(4)).await;
    stage.two_stand_ready().await;
    stage.reconfigure(|plot| plot.pools[0].min_runners = 0).await;
    stage.sweep_until("none stands ready", |world, _| our_vms(world).is_empty()).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pool_is_served_although_the_sweeps_memory_cannot_be_read() {
    let stage = Stage::set(warm(4)).await;
    let client = stage.dynamodb().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let spoil = client
        .put_item()
        .table_name(TABLE)
        .item("pk", text("deployment"))
        .item("sk", text("sweep"))
        .item("pool#another", text("planet:mars"));
    spoil.send().await.unwrap();
    let report = stage.sweep().await;
    assert!(report["failed_sources"].to_string().contains("pool#another"), "{report:#}");
    stage.two_stand_ready().await;
    // Mended by a person, it tells of the pool that came meanwhile.
    let mend = client.update_item().table_name(TABLE).key("pk", text("deployment")).key("sk", text("sweep"));
    let mend = mend.update_expression("REMOVE #wrong").expression_attribute_names("#wrong", "pool#another");
    mend.send().await.unwrap();
    let memory = stage.ledger.memory().await.unwrap();
    assert!(memory.pools.keys().any(|pool| pool.as_str() == POOL), "{memory:?}");
    stage.curtain().await;
}
