//! Signed events that are nobody's business here, and ones that somebody made long.

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::function_url::UrlResponse;
use serde_json::{Value, json};

use crate::plot::{LABELS, Plot, PoolPlot, TABLE};
use crate::stage::Stage;

/// One pool for one of the organization's repositories.
fn plot() -> Plot {
    let scope = "organization = \"shader-slang\"\nrepositories = [\"slang\"]";
    Plot { pools: vec![PoolPlot { scope, ..PoolPlot::default() }], ..Plot::default() }
}

impl Stage {
    /// Delivers an event that must be ignored; the reason that is answered.
    async fn ignored(&self, event: &Value) -> String {
        let delivery = Delivery::workflow_job("guid", event, &self.webhook_secret);
        let invocation = self.webhook.invoke(delivery.request().event()).await.unwrap();
        let answer = UrlResponse::from_response(&invocation.response.clone().unwrap()).unwrap();
        invocation.finished().await;
        let body = answer.json();
        assert_eq!((answer.status, &body["outcome"]), (200, &json!("ignored")), "{body}");
        body["reason"].as_str().unwrap().to_owned()
    }

    /// Nobody was asked for anything, and nothing is remembered.
    async fn nothing_was_started(&self) {
        assert_eq!(self.requests(), 0, "GitHub, Google or Proxmox was called\n{}", self.story());
        assert_eq!(self.table.usage().total(), 0, "the table was asked");
        let items = self.dynamodb().await.scan().table_name(TABLE).send().await.unwrap();
        assert_eq!(items.items().len(), 0, "{:?}", items.items());
        assert!(self.simulator.with(|world, _| world.vms().is_empty() && world.runners().is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_from_a_repository_that_no_pool_allows_starts_nothing() {
    let stage = Stage::set(plot()).await;
    stage.table.reset_usage();
    for repository in ["shader-slang/other", "shader-slang/slang-too", "somebody/slang"] {
        let job = WorkflowJob::new(123, repository, &LABELS).installation(stage.simulator.installation_id());
        let elsewhere = job.clone().runner(7, "a-runner-of-theirs");
        for event in [
            job.queued(),
            job.waiting(),
            job.queued_but_waiting(),
            job.completed("cancelled"),
            elsewhere.in_progress(),
            elsewhere.completed("success"),
        ] {
            let reason = stage.ignored(&event).await;
            let expected = format!("repository {repository} is not allowed by any pool whose labels fit");
            assert_eq!(reason, expected);
        }
    }
    stage.nothing_was_started().await;
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_with_labels_without_end_starts_nothing_and_is_answered_in_a_line() {
    let stage = Stage::set(plot()).await;
    stage.table.reset_usage();
    let many: Vec<String> = (0..100_000).map(|number| format!("l{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x\n".repeat(300_000);
    for labels in [&many[..], &["Linux", &long]] {
        let job = WorkflowJob::new(123, "shader-slang/slang", labels);
        let mut event = job.queued();
        // The run's own list of labels, and what else is in an event, is not read.
        event["workflow_job"]["name"] = json!("a name");
        let reason = stage.ignored(&event).await;
        assert!(reason.starts_with("no pool's labels fit [") && reason.chars().count() <= 400, "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
    stage.nothing_was_started().await;
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_repeated_in_an_answer_or_a_log_no_further_than_is_useful() {
    let stage = Stage::set(plot()).await;
    let long = "y".repeat(5_000);
    let unsigned = Delivery::raw("workflow_job", &long, "{}", "another secret");
    let ping = Delivery::raw(&long, &long, "{}", &stage.webhook_secret);
    for (delivery, status) in [(unsigned, 401), (ping, 200)] {
        let invocation = stage.webhook.invoke(delivery.request().event()).await.unwrap();
        let answer = UrlResponse::from_response(&invocation.response.clone().unwrap()).unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().len() < 250, "{}", answer.text());
        invocation.finished().await;
    }
    let log = stage.webhook.log();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains("mayfly_service")).collect();
    assert!(ours.iter().any(|line| line.contains("yyy…")), "{ours:?}");
    assert!(!ours.iter().any(|line| line.contains(&"y".repeat(101))));
    stage.check().await;
}
