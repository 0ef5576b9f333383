//! What is wrong with the way of events: the webhook and its deliveries.

use simulator::{HookOwner, JobSpec, Settings};

use super::common::SOON;
use super::stage::{self, Stage, right};

const HERE: &str = "https://example.com/webhook";

fn of_organization(settings: &mut Settings) {
    settings.hook = HookOwner::Organization("shader-slang".to_owned());
}

/// A job is queued, and GitHub has tried to tell of it.
async fn one_delivery(stage: &Stage) {
    stage.simulator.with(|world, now| world.queue_job(now, JobSpec::new("shader-slang/slang", &["GPU"])));
    let tried = |world: &simulator::World| {
        let all = world.deliveries();
        !all.is_empty() && all.iter().all(|each| each.status.is_some())
    };
    stage.simulator.until(SOON, tried).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_a_webhook() {
    let stage = stage::with(of_organization).await;
    stage.look().wrong("github", "webhook", "nobody is told of jobs", "mayfly github-app webhook URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_goes_elsewhere() {
    let other = "https://other.example.com/webhook";
    for settings in [|_: &mut Settings| {}, of_organization] {
        let stage = stage::with(settings).await.by_hook(other);
        let why = format!("none goes to {other}; there are some that go to {HERE}");
        stage.look().wrong("github", "webhook", &why, &format!("mayfly github-app webhook {other}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organizations_webhook_that_is_right() {
    let stage = stage::with(of_organization).await.by_hook(HERE);
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    found.says("ok", "github", "webhook orgs/shader-slang/hooks/", "goes to", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_may_not_be_read_are_skipped_with_the_reason() {
    let stage = stage::with(|settings| {
        of_organization(settings);
        settings.rights.app_permissions.remove("organization_hooks");
    })
    .await
    .by_hook(HERE);
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    found.says("warning", "github", "permission organization_hooks", "is none", "Webhooks: read and write");
    found.says("skipped", "github", "webhook", "it takes the permission organization_hooks=read", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_told_of_jobs() {
    let stage = stage::with(|settings| settings.rights.app_events = vec!["push".to_owned()]).await;
    stage.look().wrong(
        "github",
        "webhook app: its events",
        "workflow_job is not among them: push",
        "Workflow jobs",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_other_events_or_switched_off() {
    let stage = stage::with(|settings| {
        of_organization(settings);
        settings.rights.hook_events = vec!["push".to_owned()];
        settings.rights.hook_active = false;
    })
    .await
    .by_hook(HERE);
    let found = stage.look();
    found.wrong("github", ": its events", "workflow_job is not among them: push", "Workflow jobs");
    found.wrong("github", "webhook orgs/shader-slang", "is switched off", "tick Active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_address_does_not_end_as_it_should() {
    let stage = right().await;
    stage.simulator.set_webhook("http://127.0.0.1:1/");
    let found = stage.look();
    found.says("warning", "github", "webhook app", "does not end with /webhook", "end with /webhook");
    assert_eq!(found.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_reach_nobody() {
    let stage = right().await;
    stage.simulator.set_webhook("http://127.0.0.1:1/webhook");
    one_delivery(&stage).await;
    stage.look().wrong(
        "github",
        "deliveries",
        "1 of the last 1 of a day failed: 1 with 502",
        "is Mayfly running",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_whose_signature_is_refused() {
    let stage = right().await;
    // GitHub signs with another secret than the one that is configured.
    let serving = tokio::task::block_in_place(|| stage.place.serve());
    stage.simulator.set_webhook(&format!("{}/webhook", serving.url));
    one_delivery(&stage).await;
    let found = stage.look();
    found.wrong("github", "deliveries", "1 with 401", "one of `github.webhook_secrets`");
    assert!(serving.stop().await.success());
}
