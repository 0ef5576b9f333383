//! Webhooks that never came: a job is served all the same, and a VM goes all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use simulator::{Chance, HookOwner, JobId, JobSpec, World};

use crate::plot::{LABELS, Login, Plot, REPOSITORY};
use crate::sights::{all_over, is_over, is_running, our_vms, pool};
use crate::stage::Stage;

impl Stage {
    /// A job of which the next deliveries go as `faults` says.
    fn queue_with(&self, lasting: Duration, faults: impl FnOnce(&mut World)) -> JobId {
        self.simulator.with(|world, now| {
            faults(world);
            world.queue_job(now, JobSpec::new(REPOSITORY, &LABELS).lasting(lasting))
        })
    }
}

fn next_is_lost(world: &mut World) {
    world.faults.deliveries.lost = Chance::next(1);
}

fn next_never_exists(world: &mut World) {
    world.faults.deliveries.never = Chance::next(1);
}

async fn a_failed_delivery_is_made_good(plot: Plot) {
    let stage = Stage::set(plot).await;
    let job = stage.queue_with(Duration::from_millis(50), next_is_lost);
    stage
        .sweep_until("it is delivered again and its job runs", |world, _| {
            world.calls_of("github.redeliver") > 0 && is_over(world, job)
        })
        .await;
    let guid = stage.simulator.with(|world, _| world.deliveries()[0].guid.clone());
    let redelivered = stage.did("redeliver");
    assert!(redelivered.iter().all(|done| done["what"] == guid), "{redelivered:#?}");
    assert!(stage.calls("github.redeliver") <= 2, "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_of_the_apps_hook_is_delivered_again_and_its_job_runs() {
    a_failed_delivery_is_made_good(Plot::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_of_an_organizations_hook_is_delivered_again_and_its_job_runs() {
    for login in [Login::Token, Login::App] {
        let mut plot = Plot { login, webhook_url: true, ..Plot::default() };
        plot.settings.hook = HookOwner::Organization("shader-slang".to_owned());
        a_failed_delivery_is_made_good(plot).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_of_a_repositorys_hook_is_delivered_again_and_its_job_runs() {
    // Also where the runners are the organization's, and only the events come from its repositories.
    for scope in ["repository = \"shader-slang/slang\"", "organization = \"shader-slang\""] {
        let mut plot = Plot { login: Login::Token, webhook_url: true, ..Plot::default() };
        plot.settings.hook = HookOwner::Repository(REPOSITORY.to_owned());
        plot.pools[0].scope = scope;
        a_failed_delivery_is_made_good(plot).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_keeps_failing_is_asked_for_a_bounded_number_of_times() {
    let stage = Stage::set(Plot::default()).await;
    stage.queue_with(Duration::from_millis(50), |world| world.faults.deliveries.lost = Chance::rate(1.0));
    stage.sweep_for(Duration::from_secs(10)).await;
    let mut again = BTreeMap::<String, usize>::new();
    for delivery in stage.simulator.with(|world, _| world.deliveries()) {
        *again.entry(delivery.guid).or_default() += usize::from(delivery.redelivery);
    }
    let sweeps = stage.reports().len();
    assert!(again.values().all(|count| (1..=5).contains(count)), "{again:?} in {sweeps} sweeps");
    stage.simulator.with(|world, _| world.faults.clear());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_a_person_redelivered_is_left_alone() {
    let stage = Stage::set(Plot::default()).await;
    let job = stage.queue_with(Duration::from_secs(1), next_is_lost);
    let failed = |world: &World| world.deliveries().first().and_then(|first| first.status).is_some();
    stage.until("its delivery has failed", failed).await;
    stage.simulator.with(|world, now| {
        let id = world.deliveries()[0].id;
        assert!(world.redeliver_by_hand(now, id));
    });
    stage.until("its job is over", |world| is_over(world, job)).await;
    // By far longer than a failed delivery is waited for.
    stage.sweep_for(Duration::from_secs(3)).await;
    assert_eq!(stage.calls("github.redeliver"), 0, "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_access_to_the_hook_a_lost_job_is_found_by_listing() {
    let mut plot = Plot::default();
    plot.settings.hook_access = false;
    let stage = Stage::set(plot).await;
    let job = stage.queue_with(Duration::from_millis(50), next_is_lost);
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    assert_eq!((stage.calls("github.redeliver"), stage.calls("gcp.insert")), (0, 1));
    assert!(stage.calls("github.runs") > 0);
    let told = stage.did("tell");
    assert!(told.iter().any(|done| done["what"] == json!(format!("job {job}"))), "{told:#?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_and_no_hook_named_a_lost_job_is_found_by_listing() {
    let mut plot = Plot { login: Login::Token, ..Plot::default() };
    plot.settings.hook = HookOwner::Organization("shader-slang".to_owned());
    let stage = Stage::set(plot).await;
    let job = stage.queue_with(Duration::from_millis(50), next_is_lost);
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    assert_eq!((stage.calls("github.redeliver"), stage.calls("github.deliveries")), (0, 0));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_delivery_never_existed_is_found() {
    let stage = Stage::set(Plot::default()).await;
    let job = stage.queue_with(Duration::from_millis(50), next_never_exists);
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    assert_eq!(stage.calls("gcp.insert"), 1);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_goes_although_nobody_told_that_its_job_is_over_and_its_guest_hangs() {
    let stage = Stage::set(Plot::default()).await;
    stage.simulator.with(|world, _| world.faults.guests.hangs_after_job = Chance::next(1));
    let job = stage.queue(Duration::from_secs(1));
    stage.until("the job runs", |world| is_running(world, job)).await;
    stage.simulator.with(|world, _| next_never_exists(world));
    stage.until("the job is over", |world| is_over(world, job)).await;
    stage.sweep_until("its VM is gone", |world, _| our_vms(world).is_empty()).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_keeps_its_vm_although_nobody_told_that_it_runs() {
    let mut plot = Plot::default();
    plot.pools[0].boot_timeout = "2s";
    plot.pools[0].idle_timeout = "1s";
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_secs(5));
    stage.simulator.with(|world, _| next_never_exists(world));
    stage
        .sweep_until("the table knows that it runs", |_, report| {
            pool(report, "linux-gpu").is_some_and(|pool| pool["slots"] == json!({"busy": 1}))
        })
        .await;
    stage.sweep_until("the job is over", |world, _| is_over(world, job)).await;
    assert_eq!((stage.calls("gcp.insert"), stage.calls("github.delete_runner")), (1, 0), "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cancelled_in_the_queue_leaves_it_although_nobody_told() {
    let stage = Stage::set(Plot::limited(1)).await;
    let long = stage.queue(Duration::from_secs(8));
    stage.until("the first job runs", |world| is_running(world, long)).await;
    let waiting = stage.queue(Duration::from_secs(3600));
    stage
        .sweep_until("the second one waits", |_, report| {
            pool(report, "linux-gpu").is_some_and(|pool| pool["waiting"] == 1)
        })
        .await;
    stage.simulator.with(|world, now| {
        next_never_exists(world);
        world.cancel_job(now, waiting);
    });
    stage
        .sweep_until("the queue is empty", |_, report| {
            pool(report, "linux-gpu").is_some_and(|pool| pool["waiting"] == 0)
        })
        .await;
    let first_runs = stage.simulator.with(|world, _| is_running(world, long));
    assert!(first_runs, "it left the queue because it was asked for, not because a slot came free");
    stage.to_the_end().await;
    assert_eq!(stage.calls("gcp.insert"), 1);
    assert!(stage.simulator.with(|world, _| all_over(world)));
    stage.curtain().await;
}
