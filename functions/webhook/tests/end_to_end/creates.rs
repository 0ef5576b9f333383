//! Creates that fail and guests that never come up: tried again, with patience, and said.

use std::time::Duration;

use serde_json::json;
use simulator::{Chance, GuestFaults, JobId, Stockout};

use crate::plot::{POOL, Plot};
use crate::sights::{all_over, pool};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_machines_waits_is_tried_again_with_patience_and_runs_when_there_are_some() {
    let mut plot = Plot::limited(5);
    plot.pools[0].zones = vec!["us-east1-c", "us-west1-a"];
    plot.timing.cooldown = "2s";
    let stage = Stage::set(plot).await;
    let stocked_out = Duration::from_secs(6);
    stage.simulator.with(|world, now| {
        for zone in ["us-east1-c", "us-west1-a"] {
            world.faults.stockout(zone, Stockout::Until(now + stocked_out));
        }
    });
    let jobs: Vec<JobId> = (0..5).map(|_| stage.queue(Duration::from_millis(50))).collect();
    let report = stage.sweep_for(stocked_out).await;
    let waits = pool(&report, POOL).unwrap()["jobs"].to_string();
    assert!(jobs.iter().any(|job| waits.contains(&job.to_string())), "{report:#}");

    // A place that was full is not asked again before its cool-down is over: at most five rounds in this time.
    let sweeps = stage.reports().len();
    let (inserts, registrations) = (stage.calls("gcp.insert"), stage.calls("github.jitconfig"));
    assert!(inserts <= 5 * 5 * 2, "{inserts} inserts in {sweeps} sweeps\n{}", stage.story());
    assert!(registrations <= 5 * 5, "{registrations} registrations in {sweeps} sweeps\n{}", stage.story());

    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    for job in jobs {
        let timeline = stage.timeline(job).await;
        // One that asked a moment after another was refused is told of that instead of the zones.
        let says = |line: &String| line.contains("us-east1-c") || line.contains("every place is full");
        assert!(timeline.iter().any(says), "{timeline:#?}");
    }
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_never_boots_is_replaced_and_its_registration_deleted() {
    let mut plot = Plot::default();
    plot.pools[0].boot_timeout = "2s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.guests.never_boots = Chance::next(1));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its VM is asked for", |world| world.calls_of("gcp.insert") == 1).await;
    let stuck = stage.only_vm().name;
    stage.sweep_until("the job is over", |world, _| all_over(world)).await;
    assert_eq!((stage.calls("gcp.insert"), stage.calls("github.delete_runner")), (2, 1), "{}", stage.story());
    assert!(!stage.is_registered(&stuck));
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("boot")), "{timeline:#?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_boots_keep_failing_is_slowed_down_and_reported() {
    let mut plot = Plot::limited(4);
    plot.pools[0].boot_timeout = "1s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.guests.never_boots = Chance::rate(1.0));
    for _ in 0..4 {
        stage.queue(Duration::from_millis(50));
    }
    let report = stage.sweep_for(Duration::from_secs(12)).await;
    // Each boot takes little more than a second to fail: without patience there would be some forty.
    let inserts = stage.calls("gcp.insert");
    assert!(inserts <= 16, "{inserts} inserts\n{}", stage.story());
    let troubles = pool(&report, POOL).unwrap()["troubles"].as_array().cloned();
    assert!(troubles.is_some_and(|troubles| !troubles.is_empty()), "{report:#}");

    stage.simulator.with(|world, _| world.faults.guests = GuestFaults::default());
    stage
        .sweep_until("all jobs are over, and the trouble with them", |world, report| {
            all_over(world) && pool(report, POOL).is_some_and(|pool| pool["troubles"] == json!([]))
        })
        .await;
    stage.curtain().await;
}
