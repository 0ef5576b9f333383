//! A drained pool takes no new jobs and starts no VMs; what runs ends normally, what arrives waits.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plot::{POOL, Plot};
use crate::sights::{all_over, conclusion, idle_runners, is_over, is_running, our_vms, pool, pool_name};
use crate::stage::Stage;

fn is_draining(report: &Value) -> bool {
    pool(report, POOL).is_some_and(|pool| pool["draining"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_pool_ends_its_jobs_starts_none_and_serves_all_on_resume() {
    let mut plot = Plot::limited(4);
    plot.pools[0].min_runners = 1;
    let stage = Stage::set(plot).await;
    stage.sweep_until("one stands ready", |world, _| idle_runners(world) == 1).await;
    let running = stage.queue(Duration::from_secs(6));
    stage.until("a job runs", |world| is_running(world, running)).await;
    stage.sweep_until("another stands ready", |world, _| idle_runners(world) == 1).await;

    stage.ledger.drain(&pool_name(POOL), Timestamp::now()).await.unwrap();
    let report = stage.sweep_until("only the busy one is left", |world, _| our_vms(world).len() == 1).await;
    assert!(is_draining(&report), "{report:#}");
    let inserts = stage.calls("gcp.insert");
    for _ in 0..3 {
        stage.queue(Duration::from_millis(50));
    }
    stage.sweep_until("its job is over", |world, _| is_over(world, running)).await;
    assert_eq!(stage.simulator.with(|world, _| conclusion(world, running)), "success");
    // The one who saw it end may hand its slot on before it knows of the drain, and takes that back.
    let waiting = |report: &Value| pool(report, POOL).map(|pool| pool["waiting"].clone());
    stage.sweep_until("three wait", |_, report| waiting(report) == Some(json!(3))).await;
    let drained = stage.sweep_until("its VM is gone", |world, report| {
        our_vms(world).is_empty() && pool(report, POOL).is_some_and(|pool| pool["slots"] == json!({}))
    });
    let report = drained.await;
    assert!(is_draining(&report), "{report:#}");
    stage.sweep_for(Duration::from_secs(1)).await;
    assert_eq!(stage.calls("gcp.insert"), inserts, "no VM is made meanwhile\n{}", stage.story());

    assert!(stage.ledger.resume(&pool_name(POOL)).await.unwrap());
    stage.sweep_until("those that waited have run", |world, _| all_over(world)).await;
    stage.curtain().await;
}
