//! Whose code is run: pull requests from forks, public repositories and private ones.

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use serde_json::json;
use simulator::{Fault, JobId, JobSpec, Repository};

use crate::plot::{LABELS, Plot, PoolPlot, REPOSITORY};
use crate::sights::{all_over, conclusion, idle_runners, is_over, is_running};
use crate::stage::Stage;

const FORK: &str = "mallory/slang";

fn of_public(more: &'static str, max_runners: u16) -> Plot {
    let mut plot =
        Plot { pools: vec![PoolPlot { scope: more, max_runners, ..PoolPlot::default() }], ..Plot::default() };
    plot.settings.repositories = vec![Repository::public(REPOSITORY)];
    plot
}

/// As it is when nothing is said of forks.
const DEFAULT: &str = "organization = \"shader-slang\"";
const SERVED: &str = "organization = \"shader-slang\"\nallow_forks = true";
const REFUSED: &str = "organization = \"shader-slang\"\nallow_forks = false";
const PUBLIC_ONLY: &str = "organization = \"shader-slang\"\nvisibility = \"public\"";
const PRIVATE_ONLY: &str = "organization = \"shader-slang\"\nvisibility = \"private\"";

fn spec() -> JobSpec {
    JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_millis(50))
}

impl Stage {
    fn queue_spec(&self, spec: JobSpec) -> JobId {
        self.simulator.with(|world, now| world.queue_job(now, spec))
    }

    async fn heard_all(&self) {
        let told = || self.simulator.with(|world, _| world.deliveries_pending() == 0) && self.webhook.idle();
        mayfly_testkit::wait_for("all is told and done", Duration::from_secs(20), told).await.unwrap();
    }

    /// The fork's job waits at GitHub, and nothing that Mayfly does brings it a VM.
    async fn goes_without(self, job: JobId) {
        self.heard_all().await;
        for _ in 0..3 {
            self.sweep().await;
        }
        let timeline = self.timeline(job).await;
        assert!(
            timeline
                .iter()
                .any(|line| line.contains("not served: it runs the code of the fork mallory/slang")),
            "{timeline:#?}"
        );
        assert_eq!(self.calls("gcp.insert") + self.calls("proxmox.clone"), 0, "{}", self.story());
        assert_eq!(self.calls("github.run"), 1, "{}", self.story());
        assert!(self.simulator.with(|world, _| world.runners().is_empty()));
        self.simulator.with(|world, now| world.cancel_job(now, job));
        self.curtain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_repositorys_pull_request_from_a_fork_starts_no_vm_unless_the_pool_allows_it() {
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.goes_without(job).await;

    let mut lab = of_public(DEFAULT, 10);
    lab.pools[0] = PoolPlot { scope: DEFAULT, ..Plot::lab(10).pools[0].clone() };
    let stage = Stage::set(lab).await;
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.goes_without(job).await;

    let stage = Stage::set(of_public(SERVED, 10)).await;
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.until("its job is over", all_over).await;
    assert_eq!(
        (stage.simulator.with(|world, _| conclusion(world, job)), stage.calls("github.run")),
        (json!("success"), 0)
    );
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_repositories_forks_are_served_unless_the_pool_refuses_them_and_cost_no_call() {
    let stage = Stage::set(Plot::default()).await;
    stage.queue_spec(spec().of_fork(FORK));
    stage.until("its job is over", all_over).await;
    assert_eq!(stage.calls("github.run"), 0);
    stage.curtain().await;

    let mut plot = of_public(REFUSED, 10);
    plot.settings.repositories = vec![Repository::private(REPOSITORY)];
    let stage = Stage::set(plot).await;
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.goes_without(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_repositorys_own_jobs_are_served_and_a_run_is_looked_at_once() {
    let mut stage = Stage::set(Plot { environments: 1, ..of_public(DEFAULT, 10) }).await;
    for again in 0..3 {
        if again == 2 {
            // Another process, which has heard of nothing.
            stage.reconfigure(|_| ()).await;
        }
        stage.queue_spec(JobSpec { run: Some(77), ..spec() });
        stage.heard_all().await;
        stage.to_the_end().await;
    }
    assert_eq!(stage.calls("github.run"), 1, "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_no_delivery_told_of_goes_without_by_the_list_that_showed_it() {
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    stage.simulator.with(|world, _| world.faults.deliveries.lost = simulator::Chance::rate(1.0));
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.sweep_for(Duration::from_secs(6)).await;
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("not served")), "{timeline:#?}");
    assert_eq!((stage.calls("github.run"), stage.calls("gcp.insert")), (0, 0), "{}", stage.story());
    stage.simulator.with(|world, now| world.cancel_job(now, job));
    stage.simulator.with(|world, _| world.faults.clear());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_github_does_not_say_whose_code_it_is_the_job_waits_and_is_served_when_it_does() {
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    stage.simulator.with(|world, _| {
        for _ in 0..3 {
            world.faults.once("github.run", Fault::ErrorBefore(502));
        }
    });
    let job = stage.queue_spec(spec());
    stage.heard_all().await;
    assert_eq!(stage.calls("gcp.insert"), 0, "{}", stage.story());
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    stage.curtain().await;

    // A run that cannot be seen is no fork's of a public repository: everybody sees those.
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    stage.simulator.with(|world, _| world.faults.once("github.run", Fault::ErrorBefore(404)));
    let job = stage.queue_spec(spec());
    stage.until("its job is over", |world| is_over(world, job)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_takes_anothers_runner_costs_the_other_no_more_than_a_wait() {
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    let forks = stage.queue_spec(spec().of_fork(FORK).lasting(Duration::from_secs(3)));
    stage.heard_all().await;
    // GitHub gives a runner to whichever job fits it and has waited for longest: that cannot be helped from here.
    let own = stage.queue_spec(spec());
    stage.until("the fork runs on it", |world| is_running(world, forks)).await;
    stage.until("the other runs on one of its own", |world| is_over(world, own)).await;
    stage.to_the_end().await;
    assert_eq!(stage.calls("gcp.insert"), 2, "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_for_private_repositories_starts_nothing_for_a_public_one() {
    let stage = Stage::set(of_public(PRIVATE_ONLY, 10)).await;
    let job = WorkflowJob::new(4_711, REPOSITORY, &LABELS).private(false);
    let delivery = Delivery::workflow_job("one", &job.queued(), &stage.webhook_secret);
    let invocation = stage.webhook.invoke(delivery.request().event()).await.unwrap();
    let answer = invocation.response.clone().unwrap();
    invocation.finished().await;
    assert_eq!(answer["statusCode"], 200, "{answer:#}");
    assert!(answer["body"].as_str().unwrap().contains("ignored"), "{answer:#}");
    assert_eq!(stage.calls("gcp.insert") + stage.calls("github.jitconfig"), 0);
    stage.curtain().await;
}

/// Two pools with the same labels: one for public repositories, one for the others. GitHub has a private one.
fn by_visibility() -> Plot {
    let pool = |name, scope| PoolPlot { name, scope, ..PoolPlot::default() };
    Plot { pools: vec![pool("open", PUBLIC_ONLY), pool("closed", PRIVATE_ONLY)], ..Plot::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_delivery_told_of_goes_to_the_pool_for_its_kind_of_repository() {
    let stage = Stage::set(by_visibility()).await;
    stage.simulator.with(|world, _| world.faults.deliveries.lost = simulator::Chance::rate(1.0));
    let job = stage.queue_spec(spec());
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    stage.simulator.with(|world, _| world.faults.clear());
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("test-closed-")), "{timeline:#?}");
    assert!(!timeline.iter().any(|line| line.contains("not served")), "{timeline:#?}");
    assert_eq!((stage.calls("gcp.insert"), stage.calls("github.jitconfig")), (1, 1), "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_delivery_does_not_say_who_sees_its_repository_is_passed_to_the_pool_that_serves_it() {
    let stage = Stage::set(by_visibility()).await;
    stage.simulator.with(|world, _| world.faults.deliveries.lost = simulator::Chance::rate(1.0));
    let job = stage.queue_spec(JobSpec { run: Some(77), ..spec() });
    stage.heard_all().await;
    stage.simulator.with(|world, _| world.faults.clear());
    let told = WorkflowJob::new(job.0, REPOSITORY, &LABELS).run(77, 1);
    let mut told = told.installation(stage.simulator.installation_id()).queued();
    for key in ["private", "visibility"] {
        told["repository"].as_object_mut().unwrap().remove(key);
    }
    let delivery = Delivery::workflow_job("by hand", &told, &stage.webhook_secret);
    stage.webhook.invoke(delivery.request().event()).await.unwrap().finished().await;
    stage.until("its job is over", |world| is_over(world, job)).await;
    let timeline = stage.timeline(job).await;
    assert!(
        timeline.iter().any(|line| line.contains("goes to pool closed: the pool serves public")),
        "{timeline:#?}"
    );
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_forks_that_are_not_served_nobody_waits_for_a_sweep() {
    let mut plot = of_public(DEFAULT, 1);
    // Whatever the machine is busy with: a step that takes longer is a sweep's, and here is none.
    plot.timing.step_timeout = "30s";
    let stage = Stage::set(plot).await;
    let first = stage.queue_spec(spec().lasting(Duration::from_secs(60)));
    stage.until("the only slot's job runs", |world| is_running(world, first)).await;
    // A slot goes to any of the twenty that wait for longest: so the other's turn is after all of these.
    let forks: Vec<JobId> = (0..20).map(|_| stage.queue_spec(spec().of_fork(FORK))).collect();
    stage.heard_all().await;
    let own = stage.queue_spec(spec());
    stage.heard_all().await;
    stage.simulator.with(|world, now| world.cancel_job(now, first));
    stage.until("the next VM is asked for", |world| world.calls_of("gcp.insert") == 2).await;
    for fork in &forks {
        let timeline = stage.timeline(*fork).await;
        assert!(timeline.iter().any(|line| line.contains("not served")), "{timeline:#?}\n{}", stage.story());
        stage.simulator.with(|world, now| world.cancel_job(now, *fork));
    }
    stage.sweep_until("the other job is over", |world, _| is_over(world, own)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_job_takes_no_spare_runner_away_from_others() {
    let mut plot = of_public(DEFAULT, 2);
    plot.pools[0].min_runners = 1;
    // As GitHub's own default is: so it gives the runner to nobody.
    plot.settings.runner_groups[0].allows_public_repositories = false;
    let stage = Stage::set(plot).await;
    stage.sweep_until("one stands ready", |world, _| idle_runners(world) == 1).await;
    let job = stage.queue_spec(spec().of_fork(FORK));
    stage.heard_all().await;
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("not served")), "{timeline:#?}");
    // Longer than `idle_timeout`, after which a runner whose job did not take it counts as one that fails.
    stage.sweep_for(Duration::from_secs(4)).await;
    assert_eq!((stage.calls("gcp.insert"), stage.calls("gcp.delete")), (1, 0), "{}", stage.story());
    stage.simulator.with(|world, now| world.cancel_job(now, job));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_refuses_all_forks_serves_no_run_that_it_may_not_see() {
    let mut plot = of_public(REFUSED, 10);
    plot.settings.repositories = vec![Repository::private(REPOSITORY)];
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.rate("github.run", 1.0, Fault::ErrorBefore(404)));
    let job = stage.queue_spec(spec());
    stage.heard_all().await;
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("does not show us the job's run")), "{timeline:#?}");
    assert_eq!(stage.calls("gcp.insert"), 0, "{}", stage.story());
    assert!(stage.simulator.with(|world, _| world.runners().is_empty()));
    // The list of the repository's runs shows it, to a sweep.
    stage.sweep_until("its job is over", |world, _| is_over(world, job)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_of_a_public_repository_asks_for_its_run_once() {
    let stage = Stage::set(of_public(DEFAULT, 10)).await;
    for _ in 0..10 {
        stage.queue_spec(JobSpec { run: Some(77), ..spec() });
    }
    stage.until("all are over", all_over).await;
    // Somebody may have waited in vain, where the machine is busy.
    let asked = stage.calls("github.run");
    assert!((1..=3).contains(&asked), "{asked} of ten asked: {}", stage.story());
    stage.curtain().await;
}
