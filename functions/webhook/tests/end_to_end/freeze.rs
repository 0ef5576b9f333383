//! Answer first, work on, and be frozen only when the work is done.

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::lambda::{End, EventKind, Function};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_leaves_before_the_vm_is_created_and_the_vm_is_created_before_the_freeze() {
    let mut plot = Plot::default();
    // Slow enough to tell before from after.
    plot.settings.timing.insert = Duration::from_millis(400);
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the VM is asked for", |world| world.calls_of("gcp.insert") == 1).await;
    stage.until("the job is over", |world| world.job_state(job).is_some_and(|state| state.is_over())).await;

    let created = stage
        .simulator
        .with(|world, _| world.view().gone_vms.iter().chain(&world.vms()).map(|vm| vm.created).min());
    let created: std::time::SystemTime = created.unwrap().into();
    let events = stage.webhook.events();
    let first =
        events.iter().find(|event| matches!(event.kind, EventKind::Invoked { .. })).unwrap().environment;
    let of_first = || events.iter().filter(|event| event.environment == first);
    let when = |wanted: fn(&EventKind) -> bool| {
        let invoked = of_first().position(|event| matches!(event.kind, EventKind::Invoked { .. })).unwrap();
        of_first().skip(invoked).find(|event| wanted(&event.kind)).unwrap().time
    };
    let answered = when(|kind| matches!(kind, EventKind::Responded { .. }));
    let frozen = when(|kind| matches!(kind, EventKind::Frozen));
    assert!(answered < created, "answered {answered:?}, created {created:?}");
    assert!(created < frozen, "created {created:?}, frozen {frozen:?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_outlasts_the_invocation_is_left_to_the_sweep_in_good_order() {
    let mut plot = Plot::default();
    plot.settings.timing.insert = Duration::from_secs(30);
    let stage = Stage::set(plot).await;
    // An environment of its own, with little time.
    let function = Function::start(stage.launch.clone().timeout(Duration::from_secs(4))).await.unwrap();
    let event =
        WorkflowJob::new(77, REPOSITORY, &LABELS).installation(stage.simulator.installation_id()).queued();
    let delivery = Delivery::workflow_job("guid-77", &event, &stage.webhook_secret);
    let invocation = function.invoke(delivery.request().event()).await.unwrap();
    assert_eq!(invocation.response.clone().unwrap()["statusCode"], 202);
    assert_eq!(invocation.finished().await, End::Frozen, "{}", function.log());
    assert_eq!(stage.calls("gcp.insert"), 1);
    let report = stage.sweep().await;
    assert_eq!(
        report["pools"][0]["slots"],
        serde_json::json!({"booting": 1}),
        "the create is recorded: {report:#}"
    );
    stage.check().await;
}
