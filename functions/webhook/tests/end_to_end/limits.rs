//! Smaller limits and removed pools: they drain down by themselves, and nothing that is busy is killed.

use std::time::Duration;

use serde_json::json;
use simulator::World;

use crate::plot::{LABELS, Plot, PoolPlot};
use crate::sights::{all_over, conclusion, is_over, our_vms, pool, pool_name};
use crate::stage::Stage;

const WINDOWS: [&str; 3] = ["self-hosted", "Windows", "GPU"];

fn busy(world: &World) -> usize {
    world.runners().iter().filter(|runner| runner.busy).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_limit_kills_nothing_busy_and_no_vm_is_made_until_fewer_are_left() {
    let mut stage = Stage::set(Plot::limited(6)).await;
    let running: Vec<_> = (0..6).map(|at| stage.queue(Duration::from_millis(2500 + 500 * at))).collect();
    stage.until("six jobs run", |world| busy(world) == 6).await;
    // That no insert is made too early is the world's own invariant (I2), held to the new limit.
    stage.reconfigure(|plot| plot.pools[0].max_runners = 2).await;
    for _ in 0..4 {
        stage.queue(Duration::from_millis(50));
    }
    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    for job in running {
        assert_eq!(stage.simulator.with(|world, _| conclusion(world, job)), "success", "{}", stage.story());
    }
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_pool_ends_its_job_and_leaves_nothing() {
    let windows = PoolPlot { name: "windows-gpu", labels: WINDOWS.to_vec(), ..PoolPlot::default() };
    let plot = Plot { pools: vec![PoolPlot::default(), windows], ..Plot::default() };
    let mut stage = Stage::set(plot).await;
    stage.sweep().await;
    let job = stage.queue_for(&WINDOWS, Duration::from_secs(4));
    stage.until("its job runs", |world| busy(world) == 1 && world.deliveries_pending() == 0).await;
    let told = || stage.webhook.idle();
    mayfly_testkit::wait_for("the function to be told", Duration::from_secs(20), told).await.unwrap();
    stage.reconfigure(|plot| plot.pools.truncate(1)).await;

    let report = stage.sweep().await;
    let removed = pool(&report, "windows-gpu").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!((&removed["removed"], &removed["slots"]), (&json!(true), &json!({"busy": 1})), "{report:#}");
    // The other pool works as ever.
    stage.queue_for(&LABELS, Duration::from_millis(50));
    stage.sweep_until("nothing is left", |world, _| all_over(world) && our_vms(world).is_empty()).await;
    assert_eq!(stage.simulator.with(|world, _| conclusion(world, job)), "success");
    stage
        .sweep_until("the report forgets it", |_, report| {
            pool(report, "windows-gpu").is_none_or(|pool| pool["slots"] == json!({}))
        })
        .await;
    let (ledger, _) = stage.ledger.pool_ledger(&pool_name("windows-gpu")).await.unwrap();
    assert!(ledger.slots.is_empty(), "{ledger:?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_in_a_removed_pool_goes_to_another_that_fits() {
    let big = PoolPlot { name: "big", labels: [&LABELS[..], &["Big"]].concat(), ..PoolPlot::default() };
    let plot =
        Plot { pools: vec![PoolPlot { max_runners: 1, ..PoolPlot::default() }, big], ..Plot::default() };
    let mut stage = Stage::set(plot).await;
    let running = stage.queue(Duration::from_secs(4));
    stage.until("the first runs", |world| busy(world) == 1).await;
    let waiting = stage.queue(Duration::from_millis(50));
    stage.until("the second is announced", |world| world.view().deliveries_pending == 0).await;
    stage.sweep().await;
    stage.reconfigure(|plot| _ = plot.pools.remove(0)).await;
    stage.sweep_until("the second is over", |world, _| is_over(world, waiting)).await;
    let first = stage.simulator.with(|world, _| is_over(world, running));
    assert!(!first, "it did not wait for the first one's slot\n{}", stage.story());
    let timeline = stage.timeline(waiting).await;
    assert!(timeline.iter().any(|line| line.contains("goes to pool big")), "{timeline:#?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_free_slot_of_a_large_pool_is_found_without_a_sweep() {
    const SLOTS: u16 = 500;
    const FREE: u16 = 123;
    let stage = Stage::set(Plot::limited(SLOTS)).await;
    stage.sweep().await;
    stage.busy_runners(0..FREE).await;
    stage.busy_runners(FREE + 1..SLOTS).await;
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its job is over", |world| is_over(world, job)).await;
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("linux-gpu-0123-")), "{timeline:#?}");
}
