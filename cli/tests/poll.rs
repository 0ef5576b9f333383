//! `mayfly serve --poll` on real sockets: no webhook ever comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use mayfly_testkit::wait_for;
use simulator::{JobSpec, JobState, ServeOptions, Settings, Simulator, World};

use common::{LABELS, Place, SOON, complaint};

const POLL: [&str; 2] = ["--poll", "250ms"];

async fn world(rate_limit: u32) -> Simulator {
    // The simulator is not told where the webhook is, so nobody sends any.
    let settings = Settings { rate_limit, ..Settings::brisk() };
    Simulator::start(settings, ServeOptions { wire_log: None, ..ServeOptions::default() }).await.unwrap()
}

fn queue(simulator: &Simulator, jobs: usize) {
    simulator.with(|world, now| {
        for _ in 0..jobs {
            let job = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(300));
            world.queue_job(now, job);
        }
    });
}

fn all_ran(world: &World) -> bool {
    world.jobs().iter().all(|job| matches!(job.state, JobState::Ended { ran: Some(_), .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_served_and_seen_to_end_without_any_webhook() {
    let simulator = world(1_000_000).await;
    let place = Place::on(&simulator);
    place.replace("max_runners = 3", "max_runners = 2");
    queue(&simulator, 3);
    let serving = place.serve_with(&POLL);

    // Three jobs on two slots: the third waits until an end was noticed.
    let served = simulator.until(SOON, all_ran).await;
    assert!(served.is_ok(), "{:?}\n{}", simulator.with(|world, _| world.jobs()), place.log());
    let empty = |world: &World| world.vms().is_empty() && world.runners().is_empty();
    assert!(simulator.until(SOON, empty).await.is_ok(), "{}", place.log());
    // Nothing is done again for jobs that are over.
    let polls = |world: &World| world.calls_of("gcp.aggregated_instances");
    let before = simulator.with(|world, _| polls(world));
    simulator.until(SOON, |world| polls(world) >= before + 3).await.unwrap();
    assert_eq!(simulator.with(|world, _| world.calls_of("gcp.insert")), 3, "{}", place.log());
    assert_eq!(simulator.with(|world, _| world.calls_of("github.deliveries")), 0);
    assert_eq!(simulator.with(|world, _| world.violations().to_vec()), []);
    assert_eq!(serving.stop().await.code(), Some(0));
    assert!(!place.log().contains("slowed"), "{}", place.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_slow_down_before_half_of_the_hourly_limit_is_used() {
    let simulator = world(60).await;
    let place = Place::on(&simulator);
    let serving = place.serve_with(&POLL);
    wait_for("word of it", SOON, || place.log().contains("polls are slowed down")).await.unwrap();
    let calls = |world: &World| {
        world
            .view()
            .calls
            .iter()
            .filter(|(name, _)| name.starts_with("github."))
            .map(|(_, calls)| calls)
            .sum::<u64>()
    };
    assert!(simulator.with(|world, _| calls(world)) <= 30);
    assert!(place.log().contains("at most half"), "{}", place.log());
    assert_eq!(serving.stop().await.code(), Some(0));
}

#[test]
fn an_enterprise_is_refused_since_its_jobs_cannot_be_found() {
    let place = Place::alone();
    place.replace("organization = \"shader-slang\"", "enterprise = \"acme\"");
    let told = complaint_of(&place);
    assert!(told.contains("--poll") && told.contains("linux-gpu"), "{told}");
}

/// The last line, beside what the log says before it.
fn complaint_of(place: &Place) -> String {
    let output = place
        .mayfly(&["serve", "--listen", "127.0.0.1:0"])
        .args(POLL)
        .env("RUST_LOG", "off")
        .output()
        .unwrap();
    complaint(&output)
}
