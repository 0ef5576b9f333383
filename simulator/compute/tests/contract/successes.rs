//! Calls that succeed, and operations in all their states.

use std::time::Duration;

use serde_json::Value;
use simulator::{QuotaRefusal, ServeOptions, Settings, Stockout, Timing};

use crate::both::{Both, settings};
use crate::calls::{ALL, About, Call};

const REQUEST_ID: &str = "6f1b6f0a-3c54-8f0e-9d5b-0c6b5f6b7a10";

/// A world where an insert takes this long, served much faster than in real time.
async fn hasty(insert: Duration) -> Both {
    let timing = Timing { insert, ..settings().timing };
    let options = ServeOptions { speed: 500.0, ..ServeOptions::default() };
    Both::served(Settings { timing, ..settings() }, options).await
}

#[tokio::test]
async fn every_call_answers_the_same_model() {
    let both = Both::start(settings()).await;
    let about = both.operation(Call::Insert, &About::vm("vm-1")).await;
    both.pass(Duration::from_secs(13));
    for call in ALL {
        let about = if call == Call::Insert { &About::vm("vm-2") } else { &about };
        let told = both.same(call, about).await;
        assert_ne!(*told.model(), Value::Object(serde_json::Map::new()), "{call:?}");
    }
    both.finish();
}

#[tokio::test]
async fn an_operation_is_pending_then_running_then_done() {
    let both = Both::start(settings()).await;
    let about = both.operation(Call::Insert, &About::vm("vm-1")).await;
    for (seconds, status, vm) in
        [(0, "PENDING", "PROVISIONING"), (5, "RUNNING", "PROVISIONING"), (13, "DONE", "RUNNING")]
    {
        both.pass(Duration::from_secs(seconds));
        let operation = both.same(Call::Operation, &about).await;
        assert_eq!(operation.model()["status"], status);
        let instance = both.same(Call::Instance, &about).await;
        assert_eq!(instance.model()["status"], vm);
    }
    let done = both.same(Call::Wait, &about).await;
    assert_eq!(done.model()["status"], "DONE");
    both.finish();
}

#[tokio::test]
async fn a_delete_leaves_nothing_behind() {
    let both = Both::start(settings()).await;
    both.operation(Call::Insert, &About::vm("vm-1")).await;
    both.pass(Duration::from_secs(13));
    let about = both.operation(Call::Delete, &About::vm("vm-1")).await;
    let going = both.same(Call::Instance, &about).await;
    assert_eq!(going.model()["status"], "STOPPING");
    both.same(Call::Delete, &about).await;
    both.pass(Duration::from_secs(60));
    assert_eq!(both.same(Call::Wait, &about).await.model()["status"], "DONE");
    assert_eq!(both.same(Call::Instance, &about).await.status(), Some(404));
    both.finish();
}

#[tokio::test]
async fn a_wait_ends_with_its_operation() {
    let both = hasty(Duration::from_secs(100)).await;
    let about = both.operation(Call::Insert, &About::vm("vm-1")).await;
    let done = both.same(Call::Wait, &about).await;
    assert_eq!(done.model()["status"], "DONE");
    assert!(done.model().get("error").is_none());
}

#[tokio::test]
async fn a_wait_ends_after_two_minutes_without_its_operation() {
    let both = hasty(Duration::from_secs(40_000)).await;
    let about = both.operation(Call::Insert, &About::vm("vm-1")).await;
    let undone = both.same(Call::Wait, &about).await;
    assert_eq!(undone.model()["status"], "PENDING");
}

#[tokio::test]
async fn an_operation_tells_why_it_failed() {
    let mut settings = settings();
    settings.quota_refusal = QuotaRefusal::InOperation;
    settings.set_quota("us-central1", "NVIDIA_T4_GPUS", 0.0);
    let both = Both::start(settings).await;
    both.change(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(2)));
    let central = About { zone: "us-central1-a".to_owned(), ..About::vm("vm-3") };
    let mut codes = Vec::new();
    for about in [About::vm("vm-1"), About::vm("vm-2"), central] {
        let about = both.operation(Call::Insert, &about).await;
        both.pass(Duration::from_secs(13));
        let failed = both.same(Call::Wait, &about).await;
        codes.push(failed.model()["error"]["errors"][0]["code"].as_str().unwrap().to_owned());
    }
    codes.sort();
    assert_eq!(codes.len(), 3);
    assert_eq!(codes[0], "QUOTA_EXCEEDED");
    assert!(codes[1].starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"));
    both.finish();
}

#[tokio::test]
async fn a_repeated_request_id_answers_the_first_operation() {
    let both = Both::start(settings()).await;
    let about = About { request_id: Some(REQUEST_ID.to_owned()), ..About::vm("vm-1") };
    let first = both.operation(Call::Insert, &about).await;
    let second = both.operation(Call::Insert, &about).await;
    assert_eq!(first.operation, second.operation);
    both.finish();
}

#[tokio::test]
async fn pages_follow_each_other_to_the_last() {
    let both = Both::start(settings()).await;
    let nothing = both.same(Call::List, &About::vm("")).await;
    assert!(nothing.model().get("nextPageToken").is_none());
    for at in 0..5 {
        let zone = if at % 2 == 0 { "us-east1-c" } else { "us-west1-a" };
        both.operation(Call::Insert, &About { zone: zone.to_owned(), ..About::vm(&format!("vm-{at}")) })
            .await;
    }
    let mut about = About {
        max_results: Some(2),
        filter: Some("labels.mayfly-deployment=\"prod\"".to_owned()),
        ..About::vm("")
    };
    let mut pages = 0;
    loop {
        pages += 1;
        let page = both.same(Call::List, &about).await;
        about.page_token = page.model()["nextPageToken"].as_str().map(str::to_owned);
        if about.page_token.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    about.filter = Some("name=\"nobody\"".to_owned());
    let empty = both.same(Call::List, &about).await;
    assert_eq!(empty.model()["items"]["zones/us-east1-c"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    both.finish();
}
