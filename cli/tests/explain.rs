//! `mayfly explain`, of jobs that a real `mayfly serve` served on a simulated GitHub and Google Cloud.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Output;
use std::time::Duration;

use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::wait_for;
use serde_json::Value;
use simulator::{Chance, JobId, JobSpec, JobState, ServeOptions, Settings, Simulator, Stockout, World};

use common::{LABELS, Place, SOON, Serving, WEBHOOK_SECRET, complaint};

const REPOSITORY: &str = "shader-slang/slang";

/// A Mayfly that serves, and the address of its table.
struct Story {
    simulator: Simulator,
    place: Place,
    serving: Serving,
}

impl Story {
    /// Two placements, and whoever is idle gets the oldest job.
    async fn begin() -> Self {
        let settings = Settings { random_matching: false, ..Settings::brisk() };
        let options = ServeOptions {
            wire_log: None,
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            ..ServeOptions::default()
        };
        let simulator = Simulator::start(settings, options).await.unwrap();
        let mut place = Place::on(&simulator);
        place.replace("max_runners = 3", "max_runners = 3\nboot_timeout = \"4s\"");
        let second = "\n[[pools.placements]]\nprovider = \"gcp\"\ninstance_template = \"linux-gpu-runner\"\n\
                      zones = [\"us-west1-a\"]\ngpu_type = \"none\"\n";
        place.replace("gpu_type = \"none\"\n", &format!("gpu_type = \"none\"\n{second}"));
        let serving = place.serve();
        simulator.set_webhook(&format!("{}/webhook", serving.url));
        let endpoint = place.table_of_serve();
        place.environment.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint));
        Self { simulator, place, serving }
    }

    fn queue(&self, lasting: Duration) -> JobId {
        let job = JobSpec::new(REPOSITORY, &LABELS).lasting(lasting);
        self.simulator.with(|world, now| world.queue_job(now, job))
    }

    async fn until(&self, what: &str, holds: impl FnMut(&World) -> bool) {
        let held = self.simulator.until(SOON, holds).await;
        assert!(held.is_ok(), "waited in vain until {what}\n{}", self.place.log());
    }

    fn explain(&self, what: &str) -> String {
        said(&self.place.run(&["explain", what]))
    }

    fn json(&self, what: &str) -> Value {
        serde_json::from_str(&said(&self.place.run(&["explain", what, "--json"]))).unwrap()
    }

    /// The job's own record is written right after the answer to its event.
    async fn recorded(&self, job: JobId, state: &str) {
        let known = || self.json(&job.to_string())["state"] == state;
        wait_for(&format!("job {job} to be {state}"), SOON, known).await.unwrap();
    }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!text.contains('\u{1b}'), "escape codes");
    text
}

fn is_running(world: &World, job: JobId) -> bool {
    matches!(world.job_state(job), Some(JobState::Running { .. }))
}

fn is_over(world: &World, job: JobId) -> bool {
    world.job_state(job).is_some_and(|state| state.is_over())
}

/// That these stand in the text, in this order.
fn assert_tells(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("`{part}` is missing, or too early, in\n{text}")
        };
        rest = after;
    }
}

/// The story of the second job; the runners are the one that was made for it, the one that it got instead and that never
/// boots, and the one that runs it.
fn assert_tells_all(
    text: &str,
    (first, second): (JobId, JobId),
    [made_for_second, meant_for_first, ran_second]: [&str; 3],
) {
    assert_tells(
        text,
        &[
            &format!("job {second} of {REPOSITORY}, pool linux-gpu: done"),
            "it is queued",
            &format!("a slot is claimed for it: {made_for_second} is to run it"),
            // Overflowed: the first placement was out of machines a moment ago.
            &format!("{made_for_second} is in gcp/us-west1-a; tried before and passed over: gcp: "),
            "cooling down",
            // Crossed: what is left of the first job's is the second's.
            &format!("its runner took another job, {first}; {meant_for_first} is to run it now"),
            // Retried: that one never boots.
            &format!("{meant_for_first} (its VM in gcp/us-west1-a since "),
            "is given up: its runner did not come online within boot_timeout",
            &format!("nothing came of {meant_for_first}; {ran_second} is to run it now"),
            &format!("GitHub has registered {ran_second}"),
            &format!("the create of {ran_second}'s VM is accepted in gcp/us-west1-a"),
            &format!("it starts on {ran_second}"),
            &format!("it ends on {ran_second}: success"),
            "how long",
            "until the create of its VM was accepted",
            "in all, until it started",
            "GitHub says",
            &format!("it is over on {ran_second}: success"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_overflowed_was_crossed_and_retried_tells_its_true_story() {
    let story = Story::begin().await;
    story.simulator.with(|world, _| {
        world.faults.stockout("us-east1-c", Stockout::Inserts(1));
        world.faults.guests.never_boots = Chance::next(1);
    });
    // The first job's VM never boots; so the second one's runner, the first to be online, is given the first job.
    let first = story.queue(Duration::from_secs(6));
    story.until("the first VM does not boot", |world| world.faults.guests.never_boots.struck == 1).await;
    let second = story.queue(Duration::from_millis(1500));
    story.until("the first job runs", |world| is_running(world, first)).await;
    story.recorded(first, "running").await;
    let runner_of = |job: JobId| {
        let state = story.simulator.with(|world, _| world.job_state(job).cloned());
        state.and_then(|state| state.ran().map(|(runner, _)| runner.name.clone())).unwrap()
    };
    let made_for_second = runner_of(first);
    // A runner that is there is another name of its job.
    let by_runner = story.json(&made_for_second);
    assert_eq!(by_runner["job"], first.0, "{by_runner:#}");
    assert!(
        story
            .explain(&made_for_second)
            .contains(&format!("{made_for_second} runs job {first} in gcp/us-west1-a"))
    );

    story.until("the second job runs", |world| is_running(world, second)).await;
    let ran_second = runner_of(second);
    story.until("both are over", |world| is_over(world, first) && is_over(world, second)).await;
    story.recorded(second, "done").await;
    story.recorded(first, "done").await;
    let text = story.explain(&second.to_string());
    let first_told = story.json(&first.to_string());
    let claimed = first_told["story"][1]["what"].as_str().unwrap().to_owned();
    let meant_for_first = claimed.split_whitespace().find(|word| word.starts_with("test-")).unwrap();
    assert_tells_all(&text, (first, second), [&made_for_second, meant_for_first, &ran_second]);
    // The first job's side of it.
    let text = story.explain(&first.to_string());
    assert_tells(
        &text,
        &[
            "passed over: gcp: every place is full: us-east1-c: ZONE_RESOURCE_POOL_EXHAUSTED",
            &format!("it starts on {made_for_second}, which was meant for job {second}"),
            &format!("it ends on {made_for_second}: success"),
        ],
    );
    // Both slots end up free.
    story.until("nothing is left", |world| world.vms().is_empty()).await;
    let gone = || story.explain(&second.to_string()).contains(&format!("the VM of {ran_second} is gone"));
    wait_for("the slot to be free", SOON, gone).await.unwrap();
    let told = complaint(&story.place.run(&["explain", &ran_second]));
    assert!(told.contains("is gone: its slot is free") && told.contains("by its number"), "{told}");

    let mut canaries = Canaries::new();
    canaries.add("token", &story.simulator.pat());
    canaries.assert_absent(&[("stdout", &text), ("json", &first_told.to_string())]);
    assert_eq!(story.serving.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_found_by_its_address_and_its_story_is_told_without_github() {
    let mut story = Story::begin().await;
    let job = story.queue(Duration::from_millis(100));
    story.until("it is over", |world| is_over(world, job)).await;
    story.recorded(job, "done").await;
    let address = format!("https://github.acme.example/{REPOSITORY}/actions/runs/7/job/{job}?pr=3#step:2:1");
    assert_eq!(story.json(&address)["job"], job.0);
    let elsewhere = format!("https://github.com/somebody/else/actions/runs/7/job/{job}");
    let told = complaint(&story.place.run(&["explain", &elsewhere]));
    assert!(told.contains("not of somebody/else"), "{told}");

    story.place.replace(&story.simulator.github_url(), "http://127.0.0.1:1");
    let text = story.explain(&job.to_string());
    assert_tells(
        &text,
        &["it ends on test-linux-gpu-", "GitHub says", "without an answer: GitHub: looking a job up"],
    );
    story.place.environment.retain(|(name, _)| name != "GITHUB_TOKEN");
    let text = story.explain(&job.to_string());
    assert_tells(&text, &["it ends on test-linux-gpu-", "without an answer", "GITHUB_TOKEN"]);
    assert_eq!(story.serving.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_and_one_that_nobody_knows_are_told_so() {
    let story = Story::begin().await;
    assert!(story.place.run(&["drain", "linux-gpu"]).status.success());
    let job = story.queue(Duration::from_millis(100));
    let waits = || story.place.run(&["explain", &job.to_string()]).status.success();
    wait_for("the job to be known", SOON, waits).await.unwrap();
    let known = || story.json(&job.to_string())["state"] == "waiting";
    wait_for("the job to wait", SOON, known).await.unwrap();
    let text = story.explain(&job.to_string());
    assert_tells(
        &text,
        &["now", "as number 1 in its pool's queue: its pool is being drained", "it is queued"],
    );

    for unknown in ["4711", &format!("https://github.com/{REPOSITORY}/actions/runs/7/job/4711")] {
        let told = complaint(&story.place.run(&["explain", unknown]));
        assert!(told.contains("never told of it") && told.contains("more than 3 d ago"), "{told}");
        assert_eq!(told.contains("GitHub says of it"), unknown.starts_with("https"), "{told}");
    }
    let told = complaint(&story.place.run(&["explain", "some-runner"]));
    assert!(told.contains("actions/runs/RUN/job/JOB") && told.contains("test-POOL-SLOT"), "{told}");
    assert_eq!(story.serving.stop().await.code(), Some(0));
}
