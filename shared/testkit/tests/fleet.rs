//! A fleet of environments, and the Function URL in front of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::function_url::UrlRequest;
use mayfly_testkit::lambda::{End, Fleet, InvokeError, Launch};
use mayfly_testkit::{example, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn echo() -> Launch {
    Launch::new(example("mayfly-testkit", "echo").unwrap()).timeout(LIMIT).init_timeout(LIMIT)
}

#[tokio::test]
async fn a_fleet_grows_to_its_limit_and_uses_free_environments_again() {
    let fleet = Fleet::new(echo(), 2);
    fleet.warm().await.unwrap();
    assert_eq!(fleet.functions().len(), 1);
    assert!(fleet.idle());

    // Neither ends by itself, so both environments stay busy.
    let first = fleet.invoke(UrlRequest::get("/hang-after").event()).await.unwrap();
    assert_eq!(fleet.functions().len(), 1);
    let second = fleet.invoke(UrlRequest::get("/hang-after").event()).await.unwrap();
    assert_eq!(fleet.functions().len(), 2);
    assert!(!fleet.idle());
    let refused = fleet.invoke(UrlRequest::get("/").event()).await;
    assert!(matches!(refused, Err(InvokeError::Throttled { limit: 2 })));

    fleet.functions()[1].kill().await;
    assert_eq!(second.finished().await, End::Killed);
    let third = fleet.invoke(UrlRequest::get("/").event()).await.unwrap();
    assert_eq!(third.finished().await, End::Frozen);
    assert_eq!((fleet.functions().len(), fleet.functions()[1].restart_count()), (2, 1));
    fleet.kill_all().await;
    assert_eq!(first.finished().await, End::Killed);
    assert!(fleet.idle());
}

#[tokio::test]
async fn concurrent_requests_are_served_by_as_many_environments() {
    let fleet = Fleet::new(echo(), 4);
    let url = fleet.serve_url().unwrap();
    let client = reqwest::Client::new();
    let requests: Vec<_> =
        (0..4).map(|_| tokio::spawn(client.get(format!("{}/task?ms=20", url.url())).send())).collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 201);
    }
    wait_for("the fleet to be idle", LIMIT, || fleet.idle()).await.unwrap();
    assert_eq!(fleet.log().matches("done /task").count(), 4);
    assert!((1..=4).contains(&fleet.functions().len()));
    assert!(fleet.functions().iter().all(|function| function.frozen()));
}

#[tokio::test]
async fn a_function_url_passes_requests_and_responses_on() {
    let fleet = Fleet::new(echo(), 1);
    let url = fleet.serve_url().unwrap();
    let client = reqwest::Client::new();

    let job = WorkflowJob::new(1, "octo-org/repo", &["self-hosted"]);
    let delivery = Delivery::workflow_job("d-1", &job.queued(), "secret").with_header("X-Test", Some("one"));
    let mut request = client.post(format!("{}/webhook?q=1", url.url())).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-echo"].as_bytes()), (201, &b"yes"[..]));
    assert_eq!(response.headers()["set-cookie"], "a=b");
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        (&body["path"], &body["query"], &body["header"]),
        (&json!("/webhook"), &json!("q=1"), &json!("one"))
    );
    assert_eq!(
        (&body["binary"], body["body"].as_str().unwrap().as_bytes()),
        (&json!(false), &*delivery.body)
    );

    wait_for("the fleet to be idle", LIMIT, || fleet.idle()).await.unwrap();
    let binary = client.post(url.url()).body("plain").send().await.unwrap();
    let body: Value = binary.json().await.unwrap();
    assert_eq!((&body["binary"], &body["body"]), (&json!(true), &json!("plain")), "no content type: base64");

    wait_for("the fleet to be idle", LIMIT, || fleet.idle()).await.unwrap();
    let failed = client.get(format!("{}/error", url.url())).send().await.unwrap();
    assert_eq!(failed.status(), 502);
    wait_for("the fleet to be idle", LIMIT, || fleet.idle()).await.unwrap();
    assert_eq!(client.get(format!("{}/hang-after", url.url())).send().await.unwrap().status(), 201);
    assert_eq!(client.get(url.url()).send().await.unwrap().status(), 429);
    drop(fleet);
    assert_eq!(client.get(url.url()).send().await.unwrap().status(), 503);
}
