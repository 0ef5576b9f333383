//! What is said on the commit of a job that waits for long.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{CheckRunView, Fault, Stockout, World};

use crate::plot::{Plot, REPOSITORY};
use crate::sights::{all_over, is_over, is_running};
use crate::stage::Stage;

/// One slot, and jobs that wait for it are spoken of after a second.
fn told() -> Plot {
    Plot { waiting_after: Some("1s"), ..Plot::limited(1) }
}

/// No zone has a machine for so long.
fn stock_out(stage: &Stage, time: Duration) {
    let zones = stage.plot.pools[0].zones.clone();
    stage.simulator.with(|world, now| {
        zones.iter().for_each(|zone| world.faults.stockout(zone, Stockout::Until(now + time)));
    });
}

/// The only check run that there is.
fn check_run(world: &World) -> Option<CheckRunView> {
    let runs = world.check_runs();
    assert!(runs.len() <= 1, "{runs:#?}");
    runs.into_iter().next()
}

fn is_concluded(world: &World) -> bool {
    check_run(world).is_some_and(|run| run.status == "completed")
}

/// Nothing is remembered any more, and a sweep says nothing more.
async fn is_forgotten(stage: &Stage) {
    let (ledger, _) = stage.ledger.pool_ledger(&crate::sights::pool_name("linux-gpu")).await.unwrap();
    assert_eq!(ledger.notices, []);
}

/// How often GitHub was asked for what a notice takes.
fn said(stage: &Stage) -> [u64; 2] {
    ["github.create_check_run", "github.update_check_run"].map(|endpoint| stage.calls(endpoint))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_zone_has_a_machine_for_says_so_on_its_commit_until_it_starts() {
    let mut plot = told();
    plot.timing.cooldown = "4s";
    let stage = Stage::set(plot).await;
    // Over before the next try: there is one reason all the time.
    stock_out(&stage, Duration::from_secs(2));
    let job = stage.queue(Duration::from_millis(300));
    stage.sweep_until("its commit says so", |world, _| check_run(world).is_some()).await;
    let run = stage.simulator.with(|world, _| check_run(world)).unwrap();
    assert_eq!((run.status.as_str(), run.repository.as_str()), ("queued", REPOSITORY));
    assert_eq!(run.name, format!("Mayfly: waiting for a runner (test, job {job})"));
    let title = "waiting for capacity: nvidia-tesla-t4 out of stock or quota in 4 zones, next try at ";
    assert!(run.title.starts_with(title) && run.title.ends_with(" UTC, then every 4.0 s"), "{}", run.title);
    assert!(run.summary.contains("| place in the queue | 1 of 1 |"), "{}", run.summary);
    assert!(
        run.summary.contains("`cloud`: us-east1-c was full, and is asked again after"),
        "{}",
        run.summary
    );

    stage.sweep_until("it has started, and its commit says so", |world, _| is_concluded(world)).await;
    let over = stage.simulator.with(|world, _| check_run(world)).unwrap();
    assert_eq!((over.id, over.conclusion.as_deref()), (run.id, Some("neutral")));
    assert!(
        over.title.starts_with("started after ") && over.title.contains(" on test-linux-gpu-0000-"),
        "{}",
        over.title
    );
    stage.to_the_end().await;
    assert!(stage.simulator.with(|world, _| is_over(world, job)));
    is_forgotten(&stage).await;
    assert_eq!(said(&stage), [1, 1], "said once, and concluded");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_it_waits_says_so_on_its_commit() {
    let stage = Stage::set(told()).await;
    let first = stage.queue(Duration::from_secs(600));
    stage.until("the slot is taken", |world| is_running(world, first)).await;
    let second = stage.queue(Duration::from_millis(50));
    stage.sweep_until("the second one's commit says so", |world, _| check_run(world).is_some()).await;
    let run = stage.simulator.with(|world, _| check_run(world)).unwrap();
    assert_eq!((run.external_id, run.details_url.is_some()), (second.to_string(), true));
    assert_eq!(run.title, "waiting for capacity: all runners of the pool linux-gpu are taken (at most 1)");

    stage.simulator.with(|world, now| world.cancel_job(now, second));
    stage.sweep_until("its commit says that it is over", |world, _| is_concluded(world)).await;
    let over = stage.simulator.with(|world, _| check_run(world)).unwrap();
    assert_eq!(over.conclusion.as_deref(), Some("skipped"), "no commit fails on this account");
    assert_eq!(over.title, "ended without a runner: cancelled");
    stage.simulator.with(|world, now| world.cancel_job(now, first));
    stage.curtain().await;
}

/// Creates of check runs go wrong, and the job is served all the same.
async fn served_all_the_same(stage: Stage, warnings: usize) -> Stage {
    let first = stage.queue(Duration::from_secs(4));
    stage.until("the slot is taken", |world| is_running(world, first)).await;
    for _ in 0..3 {
        stage.queue(Duration::from_millis(50));
    }
    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    let log = stage.sweepers[0].log();
    let warned = log.matches("GitHub refuses a check run").count();
    assert_eq!(warned, warnings, "{}", stage.story());
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_jobs_are_served_all_the_same_and_one_warning_says_why() {
    let mut plot = told();
    plot.settings.rights.app_permissions.remove("checks");
    let stage = served_all_the_same(Stage::set(plot).await, 1).await;
    let asked = said(&stage)[0];
    assert!((1..=3).contains(&asked), "{asked}: those that were planned before GitHub refused");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_nothing_is_said_and_nothing_remembered() {
    let stage = served_all_the_same(Stage::set(Plot::limited(1)).await, 0).await;
    assert_eq!(said(&stage), [0, 0]);
    let done = json!(stage.reports()).to_string();
    assert!(!done.contains("announce"), "{done}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_nothing_open_that_anybody_sees() {
    let stage = Stage::set(told()).await;
    stage.simulator.with(|world, _| world.faults.once("github.create_check_run", Fault::ClosedAfter));
    let first = stage.queue(Duration::from_secs(8));
    stage.until("the slot is taken", |world| is_running(world, first)).await;
    let second = stage.queue(Duration::from_millis(50));
    let twice = |world: &World, _: &Value| world.check_runs().len() == 2;
    stage.sweep_until("what was not heard is said once more", twice).await;
    stage.simulator.with(|world, now| world.cancel_job(now, second));
    let seen = |world: &World, _: &Value| world.check_runs()[1].status == "completed";
    stage.sweep_until("the newest of the name is over", seen).await;
    let names = stage
        .simulator
        .with(|world, _| world.check_runs().into_iter().map(|run| run.name).collect::<Vec<_>>());
    assert_eq!(names[0], names[1], "of which GitHub shows the newest");
    stage.simulator.with(|world, now| world.cancel_job(now, first));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_concluded_when_notices_are_switched_off() {
    let mut stage = Stage::set(told()).await;
    let first = stage.queue(Duration::from_secs(600));
    stage.until("the slot is taken", |world| is_running(world, first)).await;
    let second = stage.queue(Duration::from_millis(50));
    stage.sweep_until("the second one's commit says so", |world, _| check_run(world).is_some()).await;
    stage.reconfigure(|plot| plot.waiting_after = None).await;
    stage.sweep_until("it is concluded", |world, _| is_concluded(world)).await;
    is_forgotten(&stage).await;
    stage.sweep().await;
    assert_eq!(said(&stage), [1, 1], "nothing more is said");
    stage.simulator.with(|world, now| {
        world.cancel_job(now, first);
        world.cancel_job(now, second);
    });
    stage.curtain().await;
}
