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
async fn one_of_many_asks_for_a_run_and_another_only_when_it_has_died_or_its_day_is_over() {
    let story = Story::begin().await;
    let asked = |at| story.ledger.run_asked(RunId(7), at);
    let many = futures_util::future::join_all((0..20).map(|_| asked(at(0)))).await;
    assert_eq!(many.into_iter().filter(|asks| *asks.as_ref().unwrap()).count(), 1);
    assert_eq!(story.ledger.run(RunId(7), at(1)).await.unwrap(), None, "nothing is known yet");
    let seconds = |seconds| later(at(0), Duration::from_secs(seconds));
    assert_eq!([asked(seconds(9)).await.unwrap(), asked(seconds(11)).await.unwrap()], [false, true]);
    let run = Run { visibility: Some(Visibility::Public), head: Head::Gone };
    story.ledger.run_seen(RunId(7), &run, seconds(12)).await.unwrap();
    assert!(!asked(seconds(3_600)).await.unwrap());
    assert_eq!(story.ledger.run(RunId(7), seconds(3_600)).await.unwrap(), Some(run));
    let day = seconds(12 + 24 * 3600);
    assert!(asked(day).await.unwrap());
    assert_eq!(story.ledger.run(RunId(7), later(day, Duration::from_secs(1))).await.unwrap(), None);
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
