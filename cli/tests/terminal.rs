//! What `mayfly` does for who watches it on a terminal, and not elsewhere: colours, and a line for what takes long.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Child, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Deployment, PoolName, RunnerName, SlotIndex};
use mayfly_core::slot::{Purpose, Slot};
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::{wait_for, wait_for_value};

use common::{Place, SOON, Terminal, terminal};

/// A program under way; ended with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program whose standard error is a terminal.
fn watched(place: &Place, arguments: &[&str]) -> (Ended, Terminal) {
    let (terminal, theirs) = terminal();
    let mut command = place.mayfly(arguments);
    command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(theirs);
    (Ended(command.spawn().unwrap()), terminal)
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_coloured_on_a_terminal_unless_no_color_is_set_and_nowhere_else() {
    const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--data", "state.db"];
    for (no_color, is_coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let mut place = Place::alone();
        if let Some(value) = no_color {
            place = place.env("NO_COLOR", value);
        }
        let (_serving, terminal) = watched(&place, &SERVE);
        let told = || terminal.text().contains("using the embedded table");
        wait_for("its first line", SOON, told).await.unwrap();
        assert_eq!(terminal.text().contains('\u{1b}'), is_coloured, "{no_color:?}: {:?}", terminal.text());
    }
    let place = Place::alone();
    let serving = place.serve();
    assert!(place.log().contains("using the embedded table") && !place.log().contains('\u{1b}'));
    assert!(serving.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_over_a_second_says_so_on_a_terminal_in_one_line_that_goes_away() {
    let table = EmbeddedTable::start().unwrap();
    let mut place = Place::alone();
    place.environment.extend(table.env());
    let aws = local_aws_config(&table.endpoint()).await;
    create_table(&aws, "mayfly-test").await.unwrap();
    let deployment = Deployment::new("test").unwrap();
    let ledger = Ledger::new(&aws, "mayfly-test".to_owned(), deployment.clone(), Duration::from_secs(60));
    let (now, pool) = (Timestamp::UNIX_EPOCH, PoolName::new("linux-gpu").unwrap());
    let runner = RunnerName::new(&deployment, &pool, SlotIndex(0), 0);
    let slot = Slot::reserved(runner, Purpose::Spare { since: now }, now);
    assert!(ledger.reserve(&slot).await.unwrap());

    let (mut draining, terminal) = watched(&place, &["drain", "linux-gpu", "--wait"]);
    let line = "waiting for pool linux-gpu: 1 runner left (1 reserved), no job waits … 2 s";
    wait_for("a line that tells the time", SOON, || terminal.text().contains(line)).await.unwrap();
    let text = terminal.text();
    let shown = |line: &str| text.contains(&format!("\r\u{1b}[2K{line}"));
    assert!(shown(&line.replace("2 s", "1 s")) && shown(line), "{text:?}");
    assert!(!text.contains('\n'), "in one place: {text:?}");

    ledger.free(&slot).await.unwrap();
    let ended = wait_for_value("its end", SOON, async || draining.0.try_wait().unwrap()).await.unwrap();
    assert!(ended.success());
    wait_for("the line to go away", SOON, || terminal.text().ends_with("\r\u{1b}[2K")).await.unwrap();
}
