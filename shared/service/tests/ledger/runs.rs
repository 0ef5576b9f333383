//! What GitHub said of workflow runs.

use std::time::Duration;

use mayfly_core::audience::{Head, Run, Visibility};
use mayfly_core::ids::RunId;
use mayfly_core::slot::later;

use super::story::{Story, at};

#[tokio::test]
async fn what_was_said_of_a_run_comes_back_for_a_day_and_goes_by_itself() {
    let story = Story::begin().await;
    let heads = [Head::Own, Head::Fork("mallory/slang".into()), Head::Gone];
    let seen = [None, Some(Visibility::Public), Some(Visibility::Internal), Some(Visibility::Private)];
    let runs = heads.iter().flat_map(|head| seen.map(|visibility| Run { visibility, head: head.clone() }));
    for (id, run) in (0..).map(RunId).zip(runs) {
        assert_eq!(story.ledger.run(id, at(0)).await.unwrap(), None);
        story.ledger.run_seen(id, &run, at(0)).await.unwrap();
        assert_eq!(story.ledger.run(id, at(1)).await.unwrap(), Some(run));
    }
    let day = later(at(0), Duration::from_secs(24 * 3600));
    assert_eq!(story.ledger.run(RunId(0), day).await.unwrap(), None, "it is there, and counts no more");
    assert!(story.dump().await.values().all(|item| item.contains_key("expires_at")));
}

#[tokio::test]
async fn a_run_costs_a_write_unit_and_half_a_read_unit() {
    let story = Story::begin().await;
    story.table.reset_usage();
    let run =
        Run { visibility: Some(Visibility::Public), head: Head::Fork("a/".to_owned() + &"b".repeat(5_000)) };
    story.ledger.run_seen(RunId(7), &run, at(0)).await.unwrap();
    story.ledger.run(RunId(7), at(1)).await.unwrap();
    let usage = story.table.usage();
    assert_eq!((usage.write_units, usage.read_units), (1.0, 0.5));
}
