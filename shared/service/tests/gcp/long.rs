//! A Google that is broken, or somebody else: whatever it makes long ends.

use std::time::Duration;

use mayfly_core::ids::Deployment;
use mayfly_service::provider::ProviderError;
use mayfly_service::provider::gcp::GcpCredentials;
use mayfly_service::secret::Secret;
use serde_json::{Value, json};
use simulator::{Fault, ServeOptions, Settings, Simulator};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::story::{Story, canned_provider, place, provider, soon};

/// What Google says that a list of all VMs is.
const LIST: &str = "compute#instanceAggregatedList";

fn why<T: std::fmt::Debug>(told: Result<T, ProviderError>) -> String {
    match told {
        Err(ProviderError::Unavailable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn deployment() -> Deployment {
    Deployment::new("prod").unwrap()
}

#[tokio::test]
async fn pages_without_end_are_no_list() {
    let page = json!({ "kind": LIST, "items": {}, "nextPageToken": "more" });
    let (gcp, asked) = canned_provider(vec![page; 300]).await;
    assert_eq!(why(gcp.list(&deployment(), soon()).await), "more than 200 pages");
    assert_eq!(asked.lock().unwrap().len(), 200);
}

#[tokio::test]
async fn what_google_says_is_repeated_in_a_short_line() {
    let many: Vec<String> = (0..10_000).map(|number| format!("zone\n{number}")).collect();
    let warning = json!({ "code": "UNREACHABLE", "message": "x\n".repeat(100_000) });
    for page in [
        json!({ "kind": LIST, "items": {}, "unreachables": many }),
        json!({ "kind": LIST, "items": {}, "warning": warning }),
        json!({ "kind": LIST, "items": { "zones/us-east1-c": { "warning": warning } } }),
    ] {
        let (gcp, _) = canned_provider(vec![page]).await;
        let why = why(gcp.list(&deployment(), soon()).await);
        assert!(why.chars().count() <= 500 && !why.contains('\n'), "{} characters", why.len());
    }
}

/// Takes connections and answers nobody.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    url
}

/// Time goes on as soon as everybody waits.
#[tokio::test]
async fn a_call_that_is_never_answered_is_given_up_long_before_a_deadline_of_an_hour() {
    let keys = Simulator::start(Settings::brisk(), ServeOptions::default()).await.unwrap();
    let key = Secret::new(keys.service_account_json());
    let gcp = provider(&silent().await, GcpCredentials::ServiceAccount(key));
    tokio::time::pause();
    let hour = || Instant::now() + Duration::from_secs(3600);
    let began = Instant::now();
    why(gcp.list(&deployment(), hour()).await);
    let listed = began.elapsed();
    assert!((60..65).contains(&listed.as_secs()), "three tries of 20 s each: {listed:?}");
    let began = Instant::now();
    gcp.delete("prod-a-0001-aaaaaaaaaaaa", Some(&place("us-east1-c")), hour()).await.unwrap_err();
    let deleted = began.elapsed();
    assert!((30..35).contains(&deleted.as_secs()), "three tries of 10 s each: {deleted:?}");
}

#[tokio::test]
async fn an_insert_that_keeps_failing_is_sent_three_times_in_a_zone() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.placement.zones.truncate(1);
    let limited = Fault::Limited { status: 429, retry_after: Duration::ZERO };
    story.world.with(|world, _| world.faults.rate("gcp.insert", 1.0, limited));
    story.create(0).await.0.unwrap_err();
    assert_eq!(story.calls("gcp.insert"), 3);
    story.end();
}

#[tokio::test]
async fn an_operation_that_is_never_done_is_waited_for_three_times() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.placement.zones.truncate(1);
    // Google answers a wait "after zero seconds" at times.
    let pending: Value = json!({ "name": "operation-1", "status": "PENDING", "kind": "compute#operation" });
    let (gcp, asked) = canned_provider(vec![pending; 20]).await;
    story.gcp = gcp;
    let (created, _) = story.create(0).await;
    let asked = asked.lock().unwrap();
    let waits = asked.iter().filter(|line| line.contains("/wait")).count();
    assert_eq!(waits, 3, "{created:?} {asked:#?}");
}

/// Time goes on as soon as everybody waits.
#[tokio::test]
async fn an_insert_that_hangs_is_given_ten_seconds() {
    let mut story = Story::begin(Settings::brisk()).await;
    let key = Secret::new(story.world.service_account_json());
    story.gcp = provider(&silent().await, GcpCredentials::ServiceAccount(key));
    story.placement.zones.truncate(1);
    tokio::time::pause();
    let began = Instant::now();
    let (created, _) = story.create_within(0, Duration::from_secs(3600)).await;
    let took = began.elapsed();
    assert!(created.is_err(), "{created:?}");
    // What it is told beforehand, the insert, and three looks at what became of it.
    assert!((10..=40).contains(&took.as_secs()), "{took:?}: {created:?}");
    tokio::time::resume();
    story.end();
}

#[tokio::test]
async fn a_deletion_whose_waits_keep_failing_is_left_after_three() {
    let story = Story::begin(Settings::brisk()).await;
    story.create(0).await.0.unwrap();
    let name = story.name(0);
    let before = story.calls("gcp.wait");
    let going = story.gcp.delete(name.as_str(), None, soon()).await.unwrap();
    story.world.with(|world, _| world.faults.rate("gcp.wait", 1.0, Fault::ErrorBefore(503)));
    why(story.gcp.wait_gone(&going, soon()).await);
    assert_eq!(story.calls("gcp.wait") - before, 3);
    story.world.with(|world, _| world.faults.clear());
    story.end();
}
