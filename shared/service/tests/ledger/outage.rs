//! A table that does not answer: an error in time, and never a panic or half a claim.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use mayfly_core::ids::{JobId, PoolName, SlotIndex};
use mayfly_core::job::{JobState, Moment};
use mayfly_core::slot::{Purpose, SlotEvent};
use mayfly_service::store::{
    Claim, Ledger, Moved, Stage, StoreError, Take, Was, create_table, local_aws_config,
};
use mayfly_testkit::tcp_proxy::{Link, TcpProxy};
use mayfly_testkit::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::story::{Story, TABLE, at, ledger, placed};

/// A webhook's sender waits ten seconds; the SDK's own limit is five.
const IN_TIME: Duration = Duration::from_secs(8);

type Told<'a> = BoxFuture<'a, Option<StoreError>>;

/// What there is to ask of pools and between sweeps.
fn advice_unavailable<'a>(ledger: &'a Ledger, pool: &'a PoolName) -> Vec<Told<'a>> {
    let guids = || ["a".to_owned()].into();
    vec![
        Box::pin(async { ledger.drain(pool, at(1)).await.err() }),
        Box::pin(async { ledger.resume(pool).await.err() }),
        Box::pin(async { ledger.set_limit(pool, 1).await.err() }),
        Box::pin(async { ledger.forget_limit(pool).await.err() }),
        Box::pin(async { ledger.failed(pool, Stage::Boot, "why", at(1)).await.err() }),
        Box::pin(async { ledger.recovered(pool, Stage::Boot).await.err() }),
        Box::pin(async { ledger.memory().await.err() }),
        Box::pin(async { ledger.remember_pools(&[].into(), std::slice::from_ref(pool)).await.err() }),
        Box::pin(async { ledger.remember_discovery("a", at(1), at(1)).await.err() }),
        Box::pin(async { ledger.remember_settled(&[("a".to_owned(), at(1))].into()).await.err() }),
        Box::pin(async move { ledger.redeliveries(&guids()).await.err() }),
        Box::pin(async { ledger.redelivery("a", 0, at(1)).await.err() }),
    ]
}

/// All that the ledger can be asked, at once; each has to say that the table is not there.
async fn all_unavailable(story: &Story, ledger: &Ledger) -> Vec<String> {
    let (slot, waiting) = (story.slot_for(1, 1), story.job(1, JobState::Waiting).waiting());
    let (free, held, line) =
        (Take::Free(slot.clone()), story.job(1, JobState::Held), Moment::new(at(1), "a"));
    let (job, new, queued, pool) =
        (story.assigned(1, 1), story.slot_for(1, 1), story.job(2, JobState::Waiting), &story.pool);
    let (spare, places) = (Purpose::Spare { since: at(1) }, ["gcp/a".to_owned()]);
    let asked: Vec<Told<'_>> = vec![
        Box::pin(async { ledger.claim(&job, &free).await.err() }),
        Box::pin(async { ledger.enqueue(&queued).await.err() }),
        Box::pin(async { ledger.requeue(pool, &waiting, SlotIndex(1), line.clone()).await.err() }),
        Box::pin(async { ledger.serve(pool, &waiting, &free).await.err() }),
        Box::pin(async { ledger.hand_over(&slot, &new, &waiting).await.err() }),
        Box::pin(async { ledger.renew(&slot, &new).await.err() }),
        Box::pin(async { ledger.drop_waiting(pool, &waiting).await.err() }),
        Box::pin(async { ledger.job_left(&held).await.err() }),
        Box::pin(async {
            ledger.job_assigned(JobId(1), Was::Waiting, &JobState::Waiting, line.clone()).await.err()
        }),
        Box::pin(async { ledger.note(JobId(1), line.clone()).await.err() }),
        Box::pin(async { ledger.slot_event(&slot.runner, &SlotEvent::Ended, at(1)).await.err() }),
        Box::pin(async { ledger.repurpose(&slot, spare).await.err() }),
        Box::pin(async { ledger.free(&slot).await.err() }),
        Box::pin(async { ledger.sample(pool, SlotIndex(0), 5).await.err() }),
        Box::pin(async { ledger.oldest_waiting(pool, 5).await.err() }),
        Box::pin(async { ledger.slot_of(&slot.runner).await.err() }),
        Box::pin(async { ledger.job(JobId(1)).await.err() }),
        Box::pin(async { ledger.pool_ledger(pool).await.err() }),
        Box::pin(async { ledger.jobs(&[JobId(1)]).await.err() }),
        Box::pin(async { ledger.pool_state(pool).await.err() }),
        Box::pin(async { ledger.cool_down(pool, &places, at(1)).await.err() }),
        Box::pin(async { ledger.hold_github(pool, at(1)).await.err() }),
        Box::pin(async { ledger.asked(pool, &waiting, at(1)).await.err() }),
        Box::pin(async { ledger.reserve(&slot).await.err() }),
        Box::pin(async { ledger.taken(&slot, at(1)).await.err() }),
    ];
    let asked = asked.into_iter().chain(advice_unavailable(ledger, pool));
    let began = Instant::now();
    let told = join_all(asked).await;
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let text = |(place, error): (usize, Option<StoreError>)| match error {
        Some(error @ (StoreError::Unavailable { .. } | StoreError::Missing { .. })) => error.to_string(),
        other => panic!("{place}: {other:?}"),
    };
    told.into_iter().enumerate().map(text).collect()
}

#[tokio::test]
async fn a_table_that_is_cut_off_is_unavailable_and_comes_back() {
    let story = Story::begin().await;
    story.table.set_link(Link::Cut);
    all_unavailable(&story, &story.ledger).await;
    let created = create_table(&story.aws, TABLE).await;
    assert!(matches!(created, Err(StoreError::Unavailable { .. })), "{created:?}");
    story.table.set_link(Link::Open);
    assert!(story.dump().await.is_empty());
    story.taken(1, 1, &[]).await;
}

#[tokio::test]
async fn a_table_that_never_answers_is_given_up_in_time() {
    let story = Story::begin().await;
    story.table.set_link(Link::Blackhole);
    all_unavailable(&story, &story.ledger).await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_told_as_made() {
    let story = Story::begin().await;
    story.table.reset_usage();
    let proxy = TcpProxy::start(story.table.address()).unwrap();
    let through = ledger(&local_aws_config(&format!("http://{}", proxy.address())).await);
    proxy.set(Link::CutAfterReceived(0));
    let slot = story.slot_for(1, 1);
    let (job, take) = (story.assigned(1, 1), Take::Free(slot.clone()));
    let mended = async {
        let made = || story.table.usage().total() > 0;
        wait_for("the claim to take effect", Duration::from_secs(5), made).await.unwrap();
        proxy.set(Link::Open);
    };
    let (claimed, ()) = tokio::join!(through.claim(&job, &take), mended);
    match claimed {
        Ok(claimed) => assert_eq!(claimed, Claim::Taken, "sent again with the same token"),
        // On a slow machine all tries may have been cut off.
        Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{error}"),
    }
    assert_eq!(story.slot_at(1).await, Some(slot), "made, and once");
    assert_eq!(through.claim(&job, &take).await.unwrap(), Claim::Known(job), "for the redelivery");
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_may_be_told_again() {
    let story = Story::begin().await;
    let slot = story.taken(1, 1, &[placed(1)]).await;
    story.table.set_link(Link::CutAfterReceived(0));
    let told = story.ledger.slot_event(&slot.runner, &SlotEvent::Ended, at(9)).await;
    assert!(matches!(told, Err(StoreError::Unavailable { .. })), "{told:?}");
    story.table.set_link(Link::Open);
    let after = slot.apply(&SlotEvent::Ended, at(9)).unwrap();
    assert_eq!(story.slot_at(1).await, Some(after));
    let again = story.ledger.slot_event(&slot.runner, &SlotEvent::Ended, at(10)).await.unwrap();
    assert_eq!(again, Moved::No);
}

/// Answers every request so, for ever.
pub async fn canned(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\n");
                let length = format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{length}{body}").as_bytes()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_table_that_throttles_breaks_or_babbles_is_unavailable() {
    let story = Story::begin().await;
    let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#;
    let cancelled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Code":"None"},{"Code":"ThrottlingError"}]}"#;
    let denied = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no such right"}"#;
    let none = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no such table"}"#;
    for (status, body, why) in [
        ("400 Bad Request", throttled, "slow down"),
        ("400 Bad Request", cancelled, "cancelled"),
        ("400 Bad Request", denied, "no such right"),
        ("400 Bad Request", none, "mayfly table create"),
        ("500 Internal Server Error", "", "error"),
        ("503 Service Unavailable", "<html>", "error"),
        ("200 OK", "<html>{", "error"),
    ] {
        let aws = local_aws_config(&canned(status, body).await).await;
        for text in all_unavailable(&story, &ledger(&aws)).await {
            assert!(text.contains(why), "{status} {body}: {text}");
        }
    }
}
