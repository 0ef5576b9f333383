//! The log: what became of a job is found by its id, and what became of a runner by its name.

use std::time::Duration;

use mayfly_core::ids::{Deployment, RunnerName};
use serde_json::{Map, Value};
use simulator::{JobId, Stockout};

use crate::plot::{DEPLOYMENT, POOL, Plot};
use crate::sights::{all_over, is_running, our_vms};
use crate::stage::{PATIENCE, Stage};

/// One line that Mayfly wrote.
type Line = Map<String, Value>;

/// What Mayfly wrote at info and above, oldest first.
fn ours(log: &str) -> Vec<Line> {
    let is_ours = |line: &&str| {
        let target = line.split_once("\"target\":\"").map_or("", |(_, rest)| rest);
        ["mayfly_service", "webhook", "sweeper"].iter().any(|name| target.starts_with(name))
    };
    let parsed = log.lines().filter(is_ours).map(|line| serde_json::from_str::<Line>(line).unwrap());
    let is_grave = |line: &Line| ["INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap());
    let mut lines: Vec<Line> = parsed.filter(is_grave).collect();
    lines.sort_by_key(|line| line["timestamp"].as_str().unwrap().to_owned());
    lines
}

/// What both functions wrote so far.
fn lines(stage: &Stage) -> Vec<Line> {
    let sweepers: String = stage.sweepers.iter().map(|sweeper| sweeper.log()).collect();
    ours(&(stage.webhook.log() + &sweepers))
}

fn is_of(line: &Line, job: JobId) -> bool {
    line.get("job").and_then(Value::as_str) == Some(job.0.to_string().as_str())
}

/// One job's lines begin with the first of these steps, and the others are all among them. Their order is the order of the
/// lines only as far as one function wrote them: a runner may take its job before its create is told.
fn tells(lines: &[Line], job: JobId, steps: &[&str]) {
    let of_job = lines.iter().filter(|line| is_of(line, job));
    let story: Vec<&str> = of_job.map(|line| line["message"].as_str().unwrap()).collect();
    assert!(story[0].starts_with(steps[0]), "job {job:?} begins with {story:#?}");
    for step in steps {
        let is_told = story.iter().any(|message| message.starts_with(step));
        assert!(is_told, "`{step}` of job {job:?} is not in {story:#?}");
    }
}

/// The texts of a line: its message and its fields, the one left out.
fn texts<'a>(line: &'a Line, but: &'a str) -> impl Iterator<Item = &'a str> {
    line.iter().filter(move |(name, _)| *name != but).filter_map(|(_, value)| value.as_str())
}

/// The names of runners of this deployment in a text.
fn runners(text: &str) -> Vec<String> {
    let deployment = Deployment::new(DEPLOYMENT).unwrap();
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-');
    words.filter(|word| RunnerName::parse(&deployment, word).is_some()).map(str::to_owned).collect()
}

/// Whoever looks for a job, a runner or a pool finds each line that names it: it is a field, and no word among others.
pub fn assert_found(log: &str, jobs: &[JobId]) {
    for line in ours(log) {
        let job = jobs.iter().find(|job| texts(&line, "job").any(|text| text.contains(&job.0.to_string())));
        assert!(job.is_none() || line.contains_key("job"), "{job:?} is no field of {line:?}");
        let runner = texts(&line, "runner").flat_map(runners).next();
        assert!(runner.is_none() || line.contains_key("runner"), "{runner:?} is no field of {line:?}");
        // Of a pool that nobody knows only what is left of it is found.
        if line.contains_key("runner") && line.get("action") != Some(&Value::from("sweep")) {
            assert!(line.contains_key("pool"), "a runner without its pool: {line:?}");
        }
        assert!(!line.contains_key("vm"), "a VM goes by its runner's name: {line:?}");
    }
}

/// In these stories every runner is made for a job, and each line about it is found by that job.
fn is_of_jobs(lines: &[Line], jobs: &[JobId]) {
    for line in lines.iter().filter(|line| line.contains_key("runner")) {
        assert!(jobs.iter().any(|job| is_of(line, *job)), "a runner without its job: {line:?}");
        assert_eq!(line.get("pool"), Some(&Value::from(POOL)), "{line:?}");
    }
}

/// Waits until the jobs are over, and nobody does anything any more.
async fn ends(stage: &Stage) {
    stage.to_the_end().await;
    stage.until("the VMs are gone", |world| world.vms().is_empty() && all_over(world)).await;
    mayfly_testkit::wait_for("the functions to be done", PATIENCE, || stage.webhook.idle()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_job_is_found_by_its_id_from_its_delivery_to_the_end_of_its_vm() {
    let stage = Stage::set(Plot::limited(1)).await;
    stage.simulator.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(100)));
    let first = stage.queue(Duration::from_secs(1));
    stage.until("its VM is asked for", |world| world.calls_of("gcp.insert") > 0).await;
    let second = stage.queue(Duration::from_millis(50));
    ends(&stage).await;
    let lines = lines(&stage);
    let (made, run) = ("VM made", ["job started on", "job ended on", "VM is "]);
    tells(&lines, first, &[&["job gets a slot", "zone passed over", made], &run[..]].concat());
    tells(&lines, second, &[&["job waits", "waiting job gets a slot", made], &run[..]].concat());
    is_of_jobs(&lines, &[first, second]);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_each_step_of_a_job_in_the_lab_and_of_one_that_overflows_to_the_cloud() {
    let mut plot = Plot::overflowing(2);
    plot.vmid_range = (9000, 9000);
    let stage = Stage::set(plot).await;
    let first = stage.queue(Duration::from_secs(3));
    // Before, GitHub might give it the other one's runner.
    stage.until("it runs", |world| is_running(world, first)).await;
    // Long enough that its end is not told before its start.
    let second = stage.queue(Duration::from_secs(1));
    ends(&stage).await;
    let lines = lines(&stage);
    let run = ["VM made", "job started on", "job ended on", "VM is "];
    tells(&lines, second, &[&["job gets a slot", "placement passed over"], &run[..]].concat());
    tells(&lines, first, &[&["job gets a slot"], &run[..]].concat());
    is_of_jobs(&lines, &[first, second]);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sweep_does_for_a_job_is_found_by_its_id_with_the_reason() {
    let mut plot = Plot::limited(1);
    plot.settings.timing.boot = Duration::from_secs(2);
    plot.timing.step_timeout = "4s";
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its VM boots", |world| our_vms(world).iter().any(|vm| vm.status == "RUNNING")).await;
    let booting = stage.only_vm();
    stage.simulator.with(|world, now| world.kill_vm(now, booting.id));
    ends(&stage).await;
    let lines = lines(&stage);
    is_of_jobs(&lines, &[job]);
    tells(
        &lines,
        job,
        &["job gets a slot", "VM made", "sweep", "waiting job gets a slot", "job started on", "job ended on"],
    );
    let sweeps = lines.iter().filter(|line| line["message"] == "sweep" && is_of(line, job));
    let reasons: Vec<&str> = sweeps.map(|line| line["why"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"its VM vanished"), "{reasons:?}");
    stage.curtain().await;
}
