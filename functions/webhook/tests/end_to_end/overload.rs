//! More than can be borne: what is shed, and what is kept. See docs/overload.md.

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::tcp_proxy::Link;
use simulator::Fault;

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::sights::all_over;
use crate::stage::Stage;

impl Stage {
    /// So many deliveries that somebody else signed, one after the other; each is refused.
    async fn flood(&self, count: u64) {
        let job = WorkflowJob::new(4_711, REPOSITORY, &LABELS).queued();
        let forged =
            Delivery::workflow_job("forged", &job, "a secret that somebody guessed").request().event();
        for _ in 0..count {
            let invocation = self.webhook.invoke(forged.clone()).await.unwrap();
            assert_eq!(invocation.response.as_ref().unwrap()["statusCode"], 401);
            invocation.finished().await;
        }
    }

    fn remote_calls(&self) -> u64 {
        self.simulator.with(|world, _| simulator::ENDPOINTS.iter().map(|name| world.calls_of(name)).sum())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_requests_lead_to_nothing_not_even_many_lines_and_good_events_among_them_are_served() {
    let stage = Stage::set(Plot { log: "info", ..Plot::default() }).await;
    stage.table.reset_usage();
    stage.flood(300).await;
    assert_eq!((stage.table.usage().total(), stage.remote_calls()), (0, 0), "{}", stage.story());
    let lines = stage.webhook.log().matches("signature missing or wrong").count();
    assert!((1..=40).contains(&lines), "{lines} lines for 300 requests");
    for _ in 0..5 {
        stage.queue(Duration::from_millis(50));
        stage.flood(50).await;
    }
    stage.until("all good jobs are over", all_over).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_table_makes_answers_late_and_loses_nothing() {
    let stage = Stage::set(Plot::default()).await;
    stage.table.set_link(Link::Slow(Duration::from_millis(300)));
    for _ in 0..5 {
        stage.queue(Duration::from_millis(50));
    }
    stage.until("all jobs are over", |world| all_over(world) && world.deliveries_pending() == 0).await;
    let refused = stage
        .simulator
        .with(|world, _| world.deliveries().iter().filter(|told| told.status != Some(202)).count());
    assert_eq!(refused, 0, "{}", stage.story());
    stage.table.set_link(Link::Open);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_the_table_is_gone_is_refused_and_served_when_it_is_back() {
    let stage = Stage::set(Plot::default()).await;
    stage.table.set_link(Link::Cut);
    for _ in 0..10 {
        stage.queue(Duration::from_millis(50));
    }
    stage.until("all are refused", |world| world.deliveries_pending() == 0).await;
    assert_eq!(stage.calls("gcp.insert"), 0);
    stage.table.set_link(Link::Open);
    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_github_limits_calls_it_is_left_alone_and_every_job_is_served_afterwards() {
    const JOBS: u64 = 20;
    let stage = Stage::set(Plot::limited(30)).await;
    let limited = Fault::Limited { status: 403, retry_after: Duration::from_secs(10) };
    stage.simulator.with(|world, _| world.faults.rate("github.jitconfig", 1.0, limited));
    for _ in 0..JOBS {
        stage.queue(Duration::from_millis(50));
    }
    let done = || stage.simulator.with(|world, _| world.deliveries_pending() == 0) && stage.webhook.idle();
    mayfly_testkit::wait_for("all is told and done", Duration::from_secs(30), done).await.unwrap();
    let asked = stage.calls("github.jitconfig");
    assert!(asked <= JOBS, "{asked} calls were made for {JOBS} jobs");
    stage.simulator.with(|world, _| world.faults.clear());
    stage.sweep_until("all jobs are over", |world, _| all_over(world)).await;
    stage.curtain().await;
}
