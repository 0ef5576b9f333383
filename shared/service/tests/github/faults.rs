//! GitHub fails, babbles, or says nothing.

use std::time::Duration;

use futures_util::future::join_all;
use simulator::{Fault, Settings};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::story::{SOON, Story, client, is_unavailable};

#[tokio::test]
async fn what_passes_is_asked_for_again() {
    let faults =
        [500, 502, 503].map(Fault::ErrorBefore).into_iter().chain([Fault::ClosedBefore, Fault::Garbage]);
    let endpoints = ["access_token", "runner_groups", "runners"];
    let cases = faults.zip(endpoints.into_iter().cycle()).map(async |(fault, endpoint)| {
        let story = Story::begin(Settings::brisk()).await;
        story.strike(&format!("github.{endpoint}"), fault.clone());
        story.register(0).await.unwrap();
        let found =
            story.github.find(&story.pool.scope, story.name(0).as_str(), None, Instant::now() + SOON).await;
        assert!(found.unwrap().is_some(), "{fault:?}");
        assert_eq!(story.calls([endpoint]), [2], "{fault:?}");
        story.end();
    });
    join_all(cases).await;
}

#[tokio::test]
async fn what_does_not_pass_is_told_after_three_tries() {
    let faults = [Fault::ErrorBefore(500), Fault::ClosedBefore, Fault::Garbage];
    let cases = faults.into_iter().map(async |fault| {
        let story = Story::begin(Settings::brisk()).await;
        story.always("github.runners", fault.clone());
        let told =
            story.github.find(&story.pool.scope, story.name(0).as_str(), None, Instant::now() + SOON).await;
        assert!(is_unavailable(&told), "{fault:?}: {told:?}");
        assert_eq!(story.calls(["runners"]), [3], "{fault:?}");
        story.end();
    });
    join_all(cases).await;
}

/// Measures a registration against its deadline. A loaded machine may be late, but not by another try.
async fn late(story: &Story, time: Duration) -> Duration {
    let began = Instant::now();
    let told = story.register_within(0, time).await;
    assert!(is_unavailable(&told), "{told:?}");
    began.elapsed().saturating_sub(time)
}

#[tokio::test]
async fn nothing_is_waited_for_beyond_the_deadline() {
    // Made first, and then all measured at the same time: what takes time is the making.
    let mut stories = Vec::new();
    for endpoint in ["github.jitconfig", "github.access_token", "github.runner_groups"] {
        for fault in [Fault::HangsBefore, Fault::ErrorBefore(503), Fault::Slow(Duration::from_secs(60))] {
            let story = Story::begin(Settings::brisk()).await;
            story.always(endpoint, fault.clone());
            stories.push((endpoint, fault, story));
        }
    }
    let measured = stories.iter().map(async |(endpoint, fault, story)| {
        let late = late(story, Duration::from_millis(700)).await;
        assert!(late < Duration::from_secs(1), "{endpoint} {fault:?}: {late:?} late");
    });
    join_all(measured).await;
    let story = Story::begin(Settings::brisk()).await;
    assert!(late(&story, Duration::ZERO).await < Duration::from_secs(1));
    assert_eq!((story.github.calls(), story.calls(["access_token"])), (0, [0]), "no time, no call");
}

#[tokio::test]
async fn nobody_waits_for_anothers_call_beyond_his_own_deadline() {
    for endpoint in ["github.access_token", "github.runner_groups"] {
        let story = Story::begin(Settings::brisk()).await;
        story.strike(endpoint, Fault::HangsBefore);
        let patient = story.register_within(1, Duration::from_secs(60));
        let hasty = async {
            let hangs = |world: &simulator::World| world.calls_of(endpoint) > 0;
            story.world.until(SOON, hangs).await.unwrap();
            late(&story, Duration::from_millis(300)).await
        };
        tokio::pin!(patient);
        tokio::select! {
            told = &mut patient => panic!("{told:?}"),
            late = hasty => assert!(late < Duration::from_secs(1), "{endpoint}: {late:?} late"),
        }
    }
}

#[tokio::test]
async fn a_github_that_cannot_be_reached_is_told_as_such() {
    let story = Story::begin(Settings::brisk()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let github = client(&format!("http://{nobody}"), story.app(None));
    let told = github.register(&story.pool, &story.name(0), None, Instant::now() + SOON).await;
    assert!(is_unavailable(&told));
    let text = told.unwrap_err().to_string();
    assert!(text.contains("no answer") && text.contains("refused"), "{text}");
    assert_eq!(github.calls(), 3);
}
