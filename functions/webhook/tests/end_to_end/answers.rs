//! Every answer of the contract's HTTP table, by the real binary.

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::function_url::{UrlRequest, UrlResponse};
use mayfly_testkit::lambda::{Function, Launch, StartError};
use mayfly_testkit::tcp_proxy::Link;
use serde_json::{Value, json};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::stage::{PAGE_TOKEN, Stage};

impl Stage {
    async fn answer(&self, request: &UrlRequest) -> UrlResponse {
        let invocation = self.webhook.invoke(request.event()).await.unwrap();
        let response = UrlResponse::from_response(&invocation.response.clone().unwrap()).unwrap();
        invocation.finished().await;
        response
    }

    async fn answer_to(&self, delivery: &Delivery) -> (u16, Value) {
        let response = self.answer(&delivery.request()).await;
        (response.status, response.json())
    }

    fn signed(&self, body: impl Into<Vec<u8>>) -> Delivery {
        Delivery::raw("workflow_job", "guid", body, &self.webhook_secret)
    }

    fn nothing_stored(&self) {
        let usage = self.table.usage();
        assert_eq!(usage.total(), 0, "{usage:?}");
    }
}

fn event(labels: &[&str]) -> Value {
    WorkflowJob::new(123, REPOSITORY, labels).queued()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_is_not_even_read() {
    let stage = Stage::set(Plot::default()).await;
    stage.table.reset_usage();
    let good = Delivery::workflow_job("guid", &event(&LABELS), &stage.webhook_secret);
    let forged = Delivery::workflow_job("guid", &event(&LABELS), "another secret");
    let unsigned = good.clone().with_header("X-Hub-Signature-256", None);
    let old = good
        .clone()
        .with_header("X-Hub-Signature-256", Some("sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    for delivery in [forged, unsigned, old] {
        let (status, body) = stage.answer_to(&delivery).await;
        assert_eq!(status, 401, "{body}");
    }
    stage.nothing_stored();
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_not_understood_is_told_so() {
    let stage = Stage::set(Plot::default()).await;
    stage.table.reset_usage();
    let (status, _) = stage.answer_to(&stage.signed(vec![b' '; (1 << 20) + 1])).await;
    assert_eq!(status, 413);
    for (body, says) in [
        (event(&LABELS).to_string()[..900].to_owned(), "EOF"),
        ("[1, 2]".to_owned(), "invalid"),
        (json!({"action": "queued", "repository": {"full_name": REPOSITORY}}).to_string(), "workflow_job"),
        (event(&LABELS).to_string().replacen("\"id\":123", "\"id\":\"123\"", 1), "workflow_job.id"),
    ] {
        let (status, answer) = stage.answer_to(&stage.signed(body)).await;
        let message = answer["error"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(says) && message.lines().count() == 1, "{status} {answer}");
    }
    let form = Delivery::raw("ping", "guid", "payload=%7B%22zen%22%3A1%7D", &stage.webhook_secret);
    let (status, answer) = stage.answer_to(&form).await;
    assert!(
        status == 400 && answer["error"].as_str().unwrap().contains("application/json"),
        "{status} {answer}"
    );
    stage.nothing_stored();
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_asks_for_nothing_is_ignored_with_its_reason() {
    let stage = Stage::set(Plot::default()).await;
    stage.table.reset_usage();
    let ping = Delivery::raw("ping", "guid", "{\"zen\":\"Design for failure.\"}", &stage.webhook_secret);
    let elsewhere = WorkflowJob::new(123, "somebody/else", &LABELS).queued();
    for (delivery, says) in [
        (ping, "event ping"),
        (stage.signed("{\"action\":\"rerequested\"}"), "action rerequested"),
        (stage.signed(event(&["ubuntu-latest"]).to_string()), "no pool's labels fit [ubuntu-latest]"),
        (stage.signed(elsewhere.to_string()), "somebody/else is not allowed"),
    ] {
        let (status, answer) = stage.answer_to(&delivery).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("ignored")), "{answer}");
        assert!(answer["reason"].as_str().unwrap().contains(says), "{answer}");
    }
    stage.nothing_stored();
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_event_is_accepted_in_any_encoding() {
    let stage = Stage::set(Plot::default()).await;
    let event = WorkflowJob::new(123, REPOSITORY, &["gpu", "linux"]).completed("cancelled");
    let delivery = Delivery::workflow_job("guid", &event, &stage.webhook_secret);
    let response = stage.answer(&delivery.request().base64()).await;
    assert_eq!(response.status, 202, "{}", stage.webhook.log());
    assert_eq!(response.json(), json!({"outcome": "accepted", "pool": "linux-gpu", "job": 123}));
    assert_eq!(response.headers.get("content-type").map(String::as_str), Some("application/json"));
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_other_paths_and_other_methods() {
    let stage = Stage::set(Plot::default()).await;
    let health = stage.answer(&UrlRequest::get("/healthz")).await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(health.json()["version"], env!("CARGO_PKG_VERSION"));
    for (method, path, status) in [
        ("GET", "/webhook", 405),
        ("PUT", "/webhook", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("POST", "/webhook/", 404),
        ("POST", "/admin", 404),
    ] {
        let answer = stage.answer(&UrlRequest::new(method, path)).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_shown_to_whoever_has_its_token() {
    let stage = Stage::set(Plot { page: true, ..Plot::default() }).await;
    stage.table.reset_usage();
    let header = |answer: &UrlResponse, name: &str| answer.headers.get(name).cloned().unwrap_or_default();
    let wrong = UrlRequest::get("/").header("authorization", "Bearer another-token-altogether");
    for request in [UrlRequest::get("/"), UrlRequest::post("/", ""), wrong] {
        let refused = stage.answer(&request).await;
        assert_eq!(refused.status, 401);
        assert!(header(&refused, "www-authenticate").starts_with("Basic "), "{:?}", refused.headers);
    }
    stage.nothing_stored();
    // As AWS hands a form on.
    let form = UrlRequest::post("/", format!("token={PAGE_TOKEN}")).base64();
    let bearer = UrlRequest::get("/").header("authorization", &format!("Bearer {PAGE_TOKEN}"));
    for request in [form, bearer] {
        let page = stage.answer(&request).await;
        assert_eq!(page.status, 200, "{}\n{}", page.text(), stage.webhook.log());
        assert!(page.text().contains("linux-gpu"), "{}", page.text());
        assert!(header(&page, "content-security-policy").contains("default-src 'none'"));
        assert_eq!(header(&page, "cache-control"), "no-store");
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    }
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_recorded_is_to_be_delivered_again() {
    let stage = Stage::set(Plot::default()).await;
    let job = WorkflowJob::new(123, REPOSITORY, &LABELS).installation(stage.simulator.installation_id());
    let deliver = |event: Value| Delivery::workflow_job("guid", &event, &stage.webhook_secret);
    for (link, event) in
        [(Link::Cut, job.queued()), (Link::Cut, job.completed("success")), (Link::Blackhole, job.queued())]
    {
        stage.table.set_link(link);
        let began = tokio::time::Instant::now();
        assert_eq!(stage.answer_to(&deliver(event)).await.0, 503);
        assert!(began.elapsed() < Duration::from_secs(9), "GitHub gives up after ten seconds");
    }
    stage.table.set_link(Link::Open);
    assert_eq!(
        stage.answer_to(&deliver(job.completed("cancelled"))).await.0,
        202,
        "the same environment goes on"
    );
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_stops_the_start_with_one_message() {
    let stage = Stage::set(Plot::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    for (text, says) in [("deployment = \"Prod\"", "missing field"), ("", "missing field `deployment`")] {
        std::fs::write(&path, text).unwrap();
        let launch =
            Launch::new(env!("CARGO_BIN_EXE_webhook")).env("MAYFLY_CONFIG", path.display().to_string());
        match Function::start(launch).await {
            Err(StartError::Init { log, .. }) => {
                assert!(log.contains(says) && log.contains("wrong.toml"), "{log}")
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it started with {text:?}"),
        }
    }
    stage.check().await;
}
