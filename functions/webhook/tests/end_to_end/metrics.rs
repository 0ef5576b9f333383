//! What both functions measure of a job's life, as CloudWatch reads it from their logs. That nothing of it is written where nobody
//! asked for it holds every other story to.

use std::time::Duration;

use mayfly_testkit::metrics::cloudwatch::{self, Datum};
use simulator::{Fault, Stockout};

use crate::plot::{DEPLOYMENT, POOL, Plot};
use crate::sights::{all_over, our_vms};
use crate::stage::{PATIENCE, Stage};

/// A pool with two places, metrics, and VMs that cost one unit of some currency a second.
fn plot() -> Plot {
    let mut plot = Plot { metrics: true, ..Plot::limited(1) };
    plot.pools[0].cloud_more = "price_per_hour = 3600.0";
    plot
}

/// The values of a metric, all lines together, where these are among its dimensions.
fn values(data: &[Datum], name: &str, dimensions: &[(&str, &str)]) -> Vec<f64> {
    let has = |datum: &&Datum| {
        let told = |(label, value): &(&str, &str)| datum.dimensions.get(*label).is_some_and(|is| is == value);
        datum.name == name && dimensions.iter().all(told)
    };
    data.iter().filter(has).flat_map(|datum| datum.values.clone()).collect()
}

fn sum(data: &[Datum], name: &str, dimensions: &[(&str, &str)]) -> f64 {
    values(data, name, dimensions).iter().sum()
}

/// What each function has measured so far.
fn measured(stage: &Stage) -> (Vec<Datum>, Vec<Datum>) {
    let read = |log: String| cloudwatch::read(&log).unwrap();
    let sweeper: String = stage.sweepers.iter().map(|sweeper| sweeper.log()).collect();
    (read(stage.webhook.log()), read(sweeper))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_life_is_measured_by_both_functions() {
    let stage = Stage::set(plot()).await;
    stage.simulator.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(100)));
    stage.queue(Duration::from_millis(300));
    stage.until("it is busy", |world| world.runners().iter().any(|runner| runner.busy)).await;
    stage.until("its start is told", |world| world.deliveries_pending() == 0).await;
    stage.sweep().await;
    stage.until("it is over", all_over).await;
    stage.until("its VM is gone", |world| our_vms(world).is_empty()).await;
    let free = |report: &serde_json::Value| report["pools"][0]["slots"] == serde_json::json!({});
    stage.sweep_until("its slot is free", |_, report| free(report)).await;
    mayfly_testkit::wait_for("the webhook to be done", PATIENCE, || stage.webhook.idle()).await.unwrap();

    let (webhook, sweeper) = measured(&stage);
    let all = [webhook.clone(), sweeper.clone()].concat();
    assert!(all.iter().all(|datum| datum.namespace == "Mayfly"));
    assert!(all.iter().all(|datum| datum.dimensions["Deployment"] == DEPLOYMENT));
    let pool = [("Pool", POOL)];
    for once in ["QueueWait", "BootDuration"] {
        let values = values(&all, once, &pool);
        assert!(values.len() == 1 && (0.0..60.0).contains(&values[0]), "{once}: {values:?}");
    }
    let failure = [("Pool", POOL), ("Placement", "cloud"), ("Reason", "capacity")];
    assert_eq!(sum(&all, "CreateFailures", &failure), 1.0, "{all:#?}");
    assert_eq!(sum(&all, "CreateFailures", &[]), 1.0);

    let (lived, cost) = (sum(&all, "VmSeconds", &pool), sum(&all, "Cost", &pool));
    assert!(lived > 0.3 && (lived - cost).abs() < 0.01, "{lived} s cost {cost}");
    assert_eq!(values(&all, "VmSeconds", &pool).len(), 1, "it is gone once");

    for (function, api) in
        [(&webhook, "github"), (&webhook, "gcp"), (&webhook, "dynamodb"), (&sweeper, "gcp")]
    {
        assert!(sum(function, "ApiRequests", &[("Api", api), ("Status", "2xx")]) >= 1.0, "{api}");
    }
    let left = values(&all, "GitHubRateLimitRemaining", &[]);
    assert!(!left.is_empty() && left.iter().all(|left| *left > 0.0), "{left:?}");

    let sweeps = stage.reports().len();
    assert_eq!(values(&sweeper, "SweepDuration", &[("Outcome", "complete")]).len(), sweeps);
    assert!(values(&webhook, "SweepDuration", &[]).is_empty());
    for phase in ["reserved", "creating", "booting", "idle", "busy", "deleting"] {
        let seen = values(&sweeper, "Runners", &[("Pool", POOL), ("Phase", phase)]);
        assert_eq!(seen.len(), sweeps, "{phase}");
        let reported: f64 =
            stage.reports().iter().filter_map(|report| report["pools"][0]["slots"][phase].as_f64()).sum();
        assert_eq!(seen.iter().sum::<f64>(), reported, "{phase}");
    }
    assert_eq!(sum(&sweeper, "JobsWaiting", &pool), 0.0);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_could_not_see_says_so() {
    let stage = Stage::set(plot()).await;
    stage.simulator.with(|world, _| {
        world.faults.rate("gcp.aggregated_instances", 1.0, Fault::ErrorBefore(503));
    });
    let report = stage.sweep().await;
    stage.simulator.with(|world, _| world.faults.clear());
    assert!(!report["failed_sources"].as_array().unwrap().is_empty(), "{report:#}");
    let (_, sweeper) = measured(&stage);
    assert_eq!(values(&sweeper, "SweepDuration", &[("Outcome", "blind")]).len(), 1);
    assert!(sum(&sweeper, "ApiRequests", &[("Api", "gcp"), ("Status", "5xx")]) >= 1.0);
    stage.curtain().await;
}
