//! `mayfly status`, against a real table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{
    Deployment, JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName, SlotIndex,
};
use mayfly_core::job::{Job, JobState};
use mayfly_core::policy::Scope;
use mayfly_core::slot::{Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{KnownPool, Ledger, Stage, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use common::{Place, complaint};

/// A place whose table is an engine that the test can look into.
struct Story {
    table: EmbeddedTable,
    place: Place,
    ledger: Ledger,
    now: Timestamp,
}

impl Story {
    async fn begin() -> Self {
        let table = EmbeddedTable::start().unwrap();
        let mut place = Place::alone();
        place.environment.extend(table.env());
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, "mayfly-test").await.unwrap();
        let ledger = Ledger::new(&aws, "mayfly-test".to_owned(), deployment(), Duration::from_secs(60));
        Self { table, place, ledger, now: mayfly_service::clock::now() }
    }

    /// So many more pools, each like the first one.
    fn pools(&self, names: &[&str]) {
        let path = self.place.path("mayfly.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        let (_, first) = text.split_once("[[pools]]").unwrap();
        let first = format!("[[pools]]{first}");
        for name in names {
            text.push_str(
                &first.replace("linux-gpu\"\nlabels", &format!("{name}\"\nlabels")).replace("GPU", name),
            );
        }
        std::fs::write(path, text).unwrap();
    }

    fn ago(&self, seconds: u64) -> Timestamp {
        self.now.checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    fn ahead(&self, seconds: u64) -> Timestamp {
        self.now.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    /// A taken slot, for a job or spare, brought on by these events.
    async fn taken(&self, pool: &str, index: u16, job: Option<u64>, events: &[SlotEvent]) -> Slot {
        let runner = RunnerName::new(&deployment(), &name(pool), SlotIndex(index), u64::from(index));
        let purpose = job.map_or(Purpose::Spare { since: self.ago(100) }, |job| Purpose::Job(JobId(job)));
        let slot = Slot::reserved(runner, purpose, self.ago(100));
        assert!(self.ledger.reserve(&slot).await.unwrap());
        for event in events {
            self.ledger.slot_event(&slot.runner, event, self.ago(70)).await.unwrap();
        }
        slot
    }

    async fn waits(&self, pool: &str, id: u64) {
        let job = Job {
            id: JobId(id),
            pool: name(pool),
            repository: Repository::new("shader-slang/slang").unwrap(),
            queued_at: self.ago(40 - id % 10),
            installation: None,
            unseen_run: None,
            state: JobState::Waiting,
            timeline: Vec::new(),
        };
        self.ledger.enqueue(&job).await.unwrap();
    }

    fn text(&self) -> String {
        said(&self.place.run(&["status"]))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&said(&self.place.run(&["status", "--json"]))).unwrap()
    }
}

fn name(pool: &str) -> PoolName {
    PoolName::new(pool).unwrap()
}

fn deployment() -> Deployment {
    Deployment::new("test").unwrap()
}

fn placed() -> SlotEvent {
    let vm = VmPlace { provider: ProviderName::new("gcp").unwrap(), at: "us-east1-c".to_owned() };
    SlotEvent::Placed { vm, runner_id: RunnerId(7), registered_at: None }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!text.contains('\u{1b}'), "escape codes");
    text
}

#[tokio::test]
async fn an_empty_deployment_is_shown_as_empty() {
    let story = Story::begin().await;
    let text = story.text();
    for line in [
        "deployment test, ",
        "sweeps: no sweep has left word yet",
        "pool linux-gpu  0 of 3 runners; no job waits",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let shown = story.json();
    assert_eq!((&shown["deployment"], &shown["last_sweep"]["at_or_after"]), (&json!("test"), &Value::Null));
    assert_eq!((&shown["pools"][0]["taken"], &shown["pools"][0]["waiting"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_busy_deployment_is_shown_with_each_runner_its_phase_and_age_at_one_query_a_pool() {
    let story = Story::begin().await;
    story.pools(&["windows"]);
    story.taken("linux-gpu", 0, Some(11), &[placed(), SlotEvent::Started { job: JobId(11) }]).await;
    story.taken("linux-gpu", 1, None, &[placed(), SlotEvent::Online]).await;
    story.taken("windows", 2, Some(12), &[]).await;
    story.ledger.remember_discovery("", story.ago(90), story.ago(80)).await.unwrap();
    // A pool that is configured no more, but not forgotten.
    let scope = Scope::Repository(Repository::new("shader-slang/slang").unwrap());
    story.ledger.remember_pools(&[(name("old"), KnownPool::in_use(&scope))].into(), &[]).await.unwrap();
    story.taken("old", 0, Some(13), &[placed(), SlotEvent::Started { job: JobId(13) }]).await;
    story.table.reset_usage();
    let text = story.text();
    assert_eq!(story.table.usage().total(), 1 + 3, "the sweep's memory, and a query for each of three pools");
    for part in [
        "sweeps: one left word 1 min ",
        "pool linux-gpu  2 of 3 runners: 1 busy, 1 idle; no job waits",
        "  busy       1 min ",
        "test-linux-gpu-0000-aaaaaaaaaaaa  job 11  gcp/us-east1-c",
        "test-linux-gpu-0001-baaaaaaaaaaa  spare  gcp/us-east1-c",
        "pool windows  1 of 3 runners: 1 reserved; no job waits",
        "  reserved   1 min 40 s  test-windows-0002-",
        "pool old  1 runner: 1 busy; no job waits",
        "starts no VMs: its pool is configured no more",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let runner = &story.json()["pools"][0]["runners"][0];
    assert_eq!(
        (&runner["phase"], &runner["job"], &runner["place"]),
        (&json!("busy"), &json!(11), &json!("gcp/us-east1-c"))
    );
}

#[tokio::test]
async fn jobs_that_wait_are_told_why_each_does() {
    let story = Story::begin().await;
    let pools = ["drained", "cooling", "limited", "failing", "free"];
    story.pools(&pools);
    for index in 0..3 {
        story.taken("linux-gpu", index, Some(u64::from(index)), &[placed()]).await;
    }
    let ledger = &story.ledger;
    ledger.drain(&name("drained"), story.ago(30)).await.unwrap();
    ledger.cool_down(&name("cooling"), &["gcp/us-east1-c".to_owned()], story.ahead(500)).await.unwrap();
    ledger.hold_github(&name("limited"), story.ahead(500)).await.unwrap();
    for _ in 0..7 {
        ledger.failed(&name("failing"), Stage::Create, "no such template", story.now).await.unwrap();
    }
    for (place, pool) in (1..).zip(["linux-gpu"].iter().chain(&pools)) {
        story.waits(pool, place).await;
    }
    let until = |at: Timestamp| at.strftime("%H:%M:%S UTC").to_string();
    let (later, creates) = (until(story.ahead(500)), until(story.ahead(300)));
    let text = story.text();
    for part in [
        "job 1 of shader-slang/slang: its pool is full: all 3 runners are taken".to_owned(),
        "job 2 of shader-slang/slang: its pool is being drained".to_owned(),
        format!(
            "job 3 of shader-slang/slang: every place is full, tried again at {later} (gcp/us-east1-c until {later})"
        ),
        format!("  cooling down: gcp/us-east1-c until {later}"),
        format!("job 4 of shader-slang/slang: GitHub asked to be left alone until {later}"),
        format!(
            "job 5 of shader-slang/slang: no VM could be made, tried again at {creates}: no such template (7 creates"
        ),
        "  creates failed 7 times in a row, last ".to_owned(),
        "job 6 of shader-slang/slang: a slot is free: the next sweep takes it".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} is missing in\n{text}");
    }
    let shown = story.json();
    let kinds: Vec<&str> = shown["pools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pool| pool["waiting"][0]["reason"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["full", "drained", "cooling_down", "github", "creates_fail", "slot_free"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_each_change_until_it_is_ended() {
    let story = Story::begin().await;
    let mut command = story.place.mayfly(&["status", "--json", "--watch", "1s"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut taken = || {
        let shown: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        shown["pools"][0]["taken"].as_u64().unwrap()
    };
    assert_eq!(taken(), 0);
    story.taken("linux-gpu", 0, None, &[]).await;
    while taken() == 0 {}
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_watch_is_bounded_and_a_table_that_is_not_there_is_said() {
    let story = Story::begin().await;
    for wrong in ["100ms", "2h", "often"] {
        let output = story.place.run(&["status", "--watch", wrong]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    story.place.replace("mayfly-test", "mayfly-never-made");
    let told = complaint(&story.place.run(&["status"]));
    assert!(told.contains("no table") && told.contains("mayfly table create"), "{told}");
    story.table.set_link(Link::Cut);
    let told = complaint(&story.place.run(&["status"]));
    assert!(told.contains("table: reading the sweep's memory"), "{told}");
}
