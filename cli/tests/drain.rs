//! `mayfly drain`, against a real table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{
    Deployment, JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName, SlotIndex,
};
use mayfly_core::job::{Job, JobState};
use mayfly_core::slot::{Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use mayfly_testkit::wait_for_value;
use rustix::process::{Pid, Signal, kill_process};

use common::{Place, SOON, complaint};

/// A place whose table is an engine that the test can look into.
struct Story {
    table: EmbeddedTable,
    place: Place,
    ledger: Ledger,
    pool: PoolName,
}

impl Story {
    async fn begin() -> Self {
        let table = EmbeddedTable::start().unwrap();
        let mut place = Place::alone();
        place.environment.extend(table.env());
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, "mayfly-test").await.unwrap();
        let ledger = Ledger::new(&aws, "mayfly-test".to_owned(), deployment(), Duration::from_secs(60));
        Self { table, place, ledger, pool: PoolName::new("linux-gpu").unwrap() }
    }

    /// A taken slot, brought on by these events.
    async fn taken(&self, index: u16, events: &[SlotEvent]) -> Slot {
        let runner = RunnerName::new(&deployment(), &self.pool, SlotIndex(index), u64::from(index));
        let mut slot = Slot::reserved(runner, Purpose::Spare { since: at(0) }, at(0));
        assert!(self.ledger.reserve(&slot).await.unwrap());
        for event in events {
            self.ledger.slot_event(&slot.runner, event, at(1)).await.unwrap();
            slot = slot.apply(event, at(1)).unwrap();
        }
        slot
    }

    async fn is_drained(&self) -> bool {
        self.ledger.pool_state(&self.pool).await.unwrap().draining.is_some()
    }

    fn waiting(&self, arguments: &[&str]) -> Waiting {
        let arguments = [&["drain", "linux-gpu", "--wait"], arguments].concat();
        let mut command = self.place.mayfly(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let log = BufReader::new(child.stderr.take().unwrap());
        Waiting { child, lines, log }
    }
}

/// A `mayfly drain --wait` under way; ended with it.
struct Waiting {
    child: Child,
    lines: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
}

impl Waiting {
    /// Its next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Its end.
    async fn end(mut self) -> Output {
        let status = wait_for_value("the end of mayfly drain", SOON, async || self.child.try_wait().unwrap())
            .await
            .unwrap();
        let mut stderr = Vec::new();
        self.log.read_to_end(&mut stderr).unwrap();
        Output { status, stdout: Vec::new(), stderr }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deployment() -> Deployment {
    Deployment::new("test").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn placed() -> SlotEvent {
    let vm = VmPlace { provider: ProviderName::new("gcp").unwrap(), at: "us-east1-c".to_owned() };
    SlotEvent::Placed { vm, runner_id: RunnerId(7), registered_at: None }
}

fn started() -> SlotEvent {
    SlotEvent::Started { job: JobId(9) }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    text
}

#[tokio::test]
async fn the_flag_is_set_and_taken_back_as_the_ledger_reads_it() {
    let story = Story::begin().await;
    story.taken(0, &[placed(), started()]).await;
    story.taken(1, &[placed(), started()]).await;
    story.taken(2, &[placed()]).await;
    let job = Job {
        id: JobId(1),
        pool: story.pool.clone(),
        repository: Repository::new("shader-slang/slang").unwrap(),
        queued_at: at(0),
        installation: None,
        unseen_run: None,
        state: JobState::Waiting,
        timeline: Vec::new(),
    };
    story.ledger.enqueue(&job).await.unwrap();
    let standing = "3 runners left (2 busy, 1 booting), 1 job waits";
    let run = |arguments: &[&str]| said(&story.place.run(arguments));

    assert_eq!(
        run(&["drain", "linux-gpu", "--resume"]),
        format!("pool linux-gpu: was not drained; {standing}\n")
    );
    for _ in 0..2 {
        assert_eq!(run(&["drain", "linux-gpu"]), format!("pool linux-gpu: drained; {standing}\n"));
        assert!(story.is_drained().await);
    }
    assert_eq!(run(&["drain", "linux-gpu", "--resume"]), format!("pool linux-gpu: resumed; {standing}\n"));
    assert!(!story.is_drained().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn to_wait_ends_when_the_last_slot_is_free_and_tells_of_each_change() {
    let story = Story::begin().await;
    let (busy, booting) = (story.taken(0, &[placed(), started()]).await, story.taken(1, &[placed()]).await);
    let mut waiting = story.waiting(&[]);
    assert_eq!(waiting.line(), "pool linux-gpu: drained; 2 runners left (1 busy, 1 booting), no job waits");
    assert!(story.is_drained().await);
    story.ledger.free(&booting).await.unwrap();
    assert_eq!(waiting.line(), "pool linux-gpu: drained; 1 runner left (1 busy), no job waits");
    story.ledger.slot_event(&busy.runner, &SlotEvent::Ended, at(2)).await.unwrap();
    assert_eq!(waiting.line(), "pool linux-gpu: drained; 1 runner left (1 deleting), no job waits");

    // A table that is away for a moment is no reason to give up.
    story.table.set_link(Link::Cut);
    let mut warning = String::new();
    waiting.log.read_line(&mut warning).unwrap();
    assert!(warning.contains("trying again"), "{warning}");
    story.table.set_link(Link::Open);
    story.ledger.free(&story.ledger.slot_of(&busy.runner).await.unwrap().unwrap()).await.unwrap();
    assert_eq!(waiting.line(), "pool linux-gpu: drained; no runner left, no job waits");
    assert_eq!(waiting.end().await.status.code(), Some(0));
    assert!(story.is_drained().await, "until it is resumed");
}

#[tokio::test]
async fn an_empty_pool_is_not_waited_for() {
    let story = Story::begin().await;
    let told = said(&story.place.run(&["drain", "linux-gpu", "--wait"]));
    assert_eq!(told, "pool linux-gpu: drained; no runner left, no job waits\n");
}

#[tokio::test]
async fn to_wait_is_bounded() {
    let story = Story::begin().await;
    story.taken(0, &[]).await;
    let told = complaint(&story.place.run(&["drain", "linux-gpu", "--wait", "--timeout", "100ms"]));
    assert!(
        told.contains("linux-gpu") && told.contains("--timeout") && told.contains("1 reserved"),
        "{told}"
    );
    assert!(story.is_drained().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_waiting_and_not_the_drain() {
    let story = Story::begin().await;
    story.taken(0, &[]).await;
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        let mut waiting = story.waiting(&[]);
        waiting.line();
        kill_process(Pid::from_child(&waiting.child), signal).unwrap();
        let told = complaint(&waiting.end().await);
        assert!(told.contains(name) && told.contains("--resume"), "{told}");
        assert!(story.is_drained().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_wait_ends_when_somebody_resumes_the_pool() {
    let story = Story::begin().await;
    story.taken(0, &[]).await;
    let mut waiting = story.waiting(&[]);
    waiting.line();
    assert!(story.ledger.resume(&story.pool).await.unwrap());
    let told = complaint(&waiting.end().await);
    assert!(told.contains("resumed"), "{told}");
}

#[tokio::test]
async fn a_pool_that_is_not_configured_is_an_error_that_names_those_that_are() {
    let story = Story::begin().await;
    for name in ["windows", "Linux GPU"] {
        let told = complaint(&story.place.run(&["drain", name]));
        assert!(told.contains(&format!("`{name}`")) && told.contains("`linux-gpu`"), "{told}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_or_does_not_answer_is_said_in_one_message() {
    let story = Story::begin().await;
    story.place.replace("mayfly-test", "mayfly-never-made");
    let told = complaint(&story.place.run(&["drain", "linux-gpu"]));
    assert!(told.contains("no table") && told.contains("mayfly table create"), "{told}");
    story.table.set_link(Link::Cut);
    let told = complaint(&story.place.run(&["drain", "linux-gpu", "--wait"]));
    assert!(told.contains("draining a pool"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mayfly_that_serves_on_this_machine_is_reached_at_the_address_in_its_log() {
    let mut place = Place::alone();
    let serving = place.serve();
    let endpoint = place.table_of_serve();
    place.environment.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint.clone()));
    let told = said(&place.run(&["drain", "linux-gpu"]));
    assert_eq!(told, "pool linux-gpu: drained; no runner left, no job waits\n");
    let aws = local_aws_config(&endpoint).await;
    let ledger = Ledger::new(&aws, "mayfly-test".to_owned(), deployment(), Duration::from_secs(60));
    let state = ledger.pool_state(&PoolName::new("linux-gpu").unwrap()).await.unwrap();
    assert!(state.draining.is_some());
    assert!(said(&place.run(&["drain", "linux-gpu", "--resume"])).contains("resumed"));
    assert_eq!(serving.stop().await.code(), Some(0));
}
