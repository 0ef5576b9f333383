//! GitHub, GCP or the table failing: never a panic, never a lost job, never a VM left behind.

use std::time::Duration;

use mayfly_testkit::tcp_proxy::Link;
use simulator::Fault;

use crate::plot::Plot;
use crate::sights::{all_over, failed};
use crate::stage::Stage;

/// One job, with one fault waiting for it; what cannot be done at once is done by a sweep.
async fn served_despite(endpoint: &str, faults: &[Fault]) {
    println!("{endpoint}: {faults:?}");
    let stage = Stage::set(Plot::default()).await;
    stage.simulator.with(|world, _| {
        for fault in faults {
            world.faults.once(endpoint, fault.clone());
        }
    });
    stage.queue(Duration::from_millis(50));
    stage.to_the_end().await;
    assert!(!stage.webhook.log().contains("panicked"), "{}", stage.webhook.log());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_failing_before_or_after_the_deed_loses_no_job() {
    for fault in [Fault::ErrorBefore(500), Fault::ErrorAfter(502), Fault::ClosedAfter, Fault::Garbage] {
        served_despite("github.jitconfig", &[fault]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_refusing_for_a_while_loses_no_job() {
    let limited = |status| Fault::Limited { status, retry_after: Duration::from_secs(1) };
    served_despite("github.jitconfig", &[limited(429), limited(403)]).await;
    served_despite("github.jitconfig", &[Fault::ErrorBefore(403)]).await;
    served_despite("github.access_token", &[Fault::ErrorBefore(500), Fault::ErrorBefore(401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcp_failing_before_or_after_the_deed_loses_no_job_and_doubles_no_vm() {
    for fault in [Fault::ErrorBefore(503), Fault::ErrorAfter(500), Fault::ClosedAfter, Fault::ClosedBefore] {
        served_despite("gcp.insert", &[fault]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gcp_refusing_or_talking_nonsense_loses_no_job() {
    served_despite("gcp.insert", &[Fault::ErrorBefore(403)]).await;
    served_despite("gcp.insert", &[Fault::Garbage]).await;
    served_despite("gcp.wait", &[Fault::ErrorBefore(500), Fault::ErrorBefore(500)]).await;
    served_despite("gcp.delete", &[Fault::ErrorBefore(500), Fault::ErrorAfter(503), Fault::ErrorBefore(503)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_killed_while_it_provisions_loses_no_job_and_leaves_no_vm() {
    let mut plot = Plot::default();
    plot.settings.timing.insert = Duration::from_millis(300);
    let stage = Stage::set(plot).await;
    for endpoint in ["github.jitconfig", "gcp.insert"] {
        let before = stage.calls(endpoint);
        stage.simulator.with(|world, _| world.faults.once(endpoint, Fault::Slow(Duration::from_millis(150))));
        stage.queue(Duration::from_millis(50));
        stage.until("the call is under way", |world| world.calls_of(endpoint) > before).await;
        stage.webhook.kill_all().await;
    }
    stage.to_the_end().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_cannot_read_its_sources_deletes_nothing_and_says_so() {
    let stage = Stage::set(Plot::default()).await;
    stage.queue(Duration::from_secs(8));
    stage.until("the job runs", |world| world.runners().iter().any(|runner| runner.busy)).await;

    stage.simulator.with(|world, _| {
        for _ in 0..10 {
            world.faults.once("gcp.aggregated_instances", Fault::ErrorBefore(503));
        }
    });
    let report = stage.sweep().await;
    assert!(failed(&report, "provider cloud"), "{report:#}");
    stage.simulator.with(|world, _| world.faults.clear());

    stage.table.set_link(Link::Cut);
    let report = stage.sweep().await;
    assert!(failed(&report, "pool linux-gpu"), "{report:#}");
    stage.table.set_link(Link::Open);
    assert_eq!(stage.calls("gcp.delete"), 0);
    stage.until("the job is over", all_over).await;
    stage.curtain().await;
}
