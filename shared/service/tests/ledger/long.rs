//! A table that is broken, or somebody else's: whatever it makes long ends.

use mayfly_core::ids::JobId;
use mayfly_service::store::{Ledger, StoreError, Take, local_aws_config};

use super::outage::canned;
use super::story::{Story, at, ledger};

const MORE: &str =
    r#"{"Items":[],"Count":0,"ScannedCount":0,"LastEvaluatedKey":{"pk":{"S":"a"},"sk":{"S":"b"}}}"#;

async fn saying(status: &'static str, body: &'static str) -> Ledger {
    ledger(&local_aws_config(&canned(status, body).await).await)
}

fn why<T: std::fmt::Debug>(told: Result<T, StoreError>) -> String {
    match told {
        Err(StoreError::Unavailable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pages_without_end_are_read_up_to_a_bound() {
    let (story, table) = (Story::begin().await, saying("200 OK", MORE).await);
    assert_eq!(why(table.pool_ledger(&story.pool).await), "it has more than 200 pages");
    assert_eq!(table.requests(), 200);
    let table = saying("200 OK", MORE).await;
    let read = table.pool_and_past(&story.pool, at(1)).await.unwrap();
    assert!(read.past.is_cut, "the page shows what it has");
    assert_eq!(table.requests(), 8);
}

#[tokio::test]
async fn keys_that_are_never_read_are_asked_for_five_times() {
    let none = r#"{"Responses":{},"UnprocessedKeys":{"mayfly-test":{"Keys":[{"pk":{"S":"job#1"},"sk":{"S":"job"}}]}}}"#;
    let table = saying("200 OK", none).await;
    let told = why(table.jobs(&[JobId(1)]).await);
    assert_eq!((told.as_str(), table.requests()), ("the table kept leaving keys unread", 5));
}

#[tokio::test]
async fn a_conflict_that_never_ends_is_told_after_six_tries() {
    let story = Story::begin().await;
    let conflict = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}"#;
    let table = saying("400 Bad Request", conflict).await;
    let told = table.claim(&story.assigned(1, 1), &Take::Free(story.slot_for(1, 1))).await;
    assert!(why(told).contains("cancelled"));
    assert_eq!(table.requests(), 6);
}

#[tokio::test]
async fn what_the_table_says_is_repeated_in_a_short_line() {
    let long: &'static str = Box::leak(
        format!(
            "{{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"message\":\"{}\"}}",
            "no\\n".repeat(100_000)
        )
        .into_boxed_str(),
    );
    let table = saying("400 Bad Request", long).await;
    let told = why(table.job(JobId(1)).await);
    assert!(told.chars().count() <= 400 && !told.contains('\n'), "{} characters", told.len());
}
