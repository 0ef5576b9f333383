//! What can happen to a job, in whatever order it is told.

use std::time::Duration;

use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment};
use mayfly_service::store::{JobWritten, Was};

use super::story::{RETENTION, Story, TABLE, at, text};

const RUNNING: JobState = JobState::Running { slot: Some(SlotIndex(3)) };

#[tokio::test]
async fn an_end_is_never_taken_back() {
    let story = Story::begin().await;
    let done = story.job(1, JobState::Done);
    assert_eq!(
        story.ledger.job_left(&done).await.unwrap(),
        JobWritten::From(None),
        "the first that is heard"
    );
    for late in [RUNNING, JobState::Held, JobState::Done] {
        let told = story.ledger.job_left(&story.job(1, late)).await.unwrap();
        assert_eq!(told, JobWritten::Known(done.clone()));
    }
    assert_eq!(story.ledger.job(JobId(1)).await.unwrap(), Some(done));
}

#[tokio::test]
async fn only_a_job_that_is_new_is_held_since_the_event_may_be_older_than_its_approval() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let late = story.ledger.job_left(&story.job(1, JobState::Held)).await.unwrap();
    assert_eq!(late, JobWritten::Known(story.assigned(1, 3)));

    assert_eq!(story.ledger.job_left(&story.job(2, JobState::Held)).await.unwrap(), JobWritten::From(None));
    assert_eq!(story.state(2).await, Some(JobState::Held));
    assert!(matches!(
        story.ledger.job_left(&story.job(2, RUNNING)).await.unwrap(),
        JobWritten::From(Some(_))
    ));
    assert_eq!(story.state(2).await, Some(RUNNING));
}

#[tokio::test]
async fn what_an_event_does_not_say_is_kept() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let poor =
        Job { installation: None, queued_at: at(9_999), ..story.job(1, JobState::Running { slot: None }) };
    story.ledger.job_left(&poor).await.unwrap();
    let job = story.ledger.job(JobId(1)).await.unwrap().unwrap();
    let first = story.assigned(1, 3);
    assert_eq!((job.installation, job.queued_at), (first.installation, first.queued_at));
    assert_eq!(job.state, JobState::Running { slot: None }, "the slot it had is no longer its own");
}

#[tokio::test]
async fn a_timeline_is_kept_in_order_and_within_bounds() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let first = story.assigned(1, 3).timeline.remove(0);
    let lines: Vec<Moment> = ["a line\nand another", "ünïcode – ✓", ""]
        .map(|what| Moment::new(at(7) + Duration::from_nanos(1), what))
        .into();
    for line in &lines {
        story.ledger.note(JobId(1), line.clone()).await.unwrap();
    }
    let told = story.ledger.job(JobId(1)).await.unwrap().unwrap().timeline;
    assert_eq!(told, [vec![first], lines].concat());

    // A job that is tried again with every sweep, for days, must stay one that can be written.
    for round in 0..60 {
        let line = Moment::new(at(round), format!("{round} {}", "x".repeat(5_000)));
        story.ledger.note(JobId(1), line).await.unwrap();
        let state = JobState::Assigned { slot: SlotIndex(4) };
        let (was, again) =
            (Was::WaitingOr(SlotIndex(if round == 0 { 3 } else { 4 })), Moment::new(at(round), "again"));
        assert!(story.ledger.job_assigned(JobId(1), was, &state, again).await.unwrap());
    }
    let told = story.ledger.job(JobId(1)).await.unwrap().unwrap().timeline;
    assert_eq!(told.len(), 24);
    assert_eq!(told[23], Moment::new(at(59), "again"));
    assert!(told.iter().all(|line| line.what.len() <= 300));

    story.ledger.note(JobId(2), Moment::new(at(1), "of nobody")).await.unwrap();
    assert_eq!(story.ledger.job(JobId(2)).await.unwrap(), None, "a note makes no job");
}

/// Anybody who has a copy of it can send the start of a job again, as often as he likes.
#[tokio::test]
async fn a_start_that_is_told_without_end_leaves_a_record_that_can_still_be_written() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    for _ in 0..300 {
        let mut started = story.job(1, JobState::Running { slot: Some(SlotIndex(3)) });
        started.timeline = vec![Moment::new(at(5), "x".repeat(300)), Moment::new(at(6), "started")];
        assert!(matches!(story.ledger.job_left(&started).await.unwrap(), JobWritten::From(Some(_))));
    }
    let told = story.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert!(told.timeline.len() <= 40, "{}", told.timeline.len());
    assert_eq!(told.state, JobState::Running { slot: Some(SlotIndex(3)) });

    let ended = story.job(1, JobState::Done);
    assert!(matches!(story.ledger.job_left(&ended).await.unwrap(), JobWritten::From(Some(_))));
    assert!(matches!(story.ledger.job_left(&ended).await.unwrap(), JobWritten::Known(_)));
    let told = story.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!((told.state, told.timeline.last()), (JobState::Done, ended.timeline.last()));
}

#[tokio::test]
async fn a_job_is_forgotten_in_time() {
    let story = Story::begin().await;
    let expiry = async || {
        let get = story.client.get_item().table_name(TABLE).key("pk", text("job#1")).key("sk", text("job"));
        let item = get.send().await.unwrap().item.unwrap();
        item["expires_at"].as_n().unwrap().parse::<i64>().unwrap()
    };
    story.taken(3, 1, &[]).await;
    let told_at = story.job(1, JobState::Done).timeline[0].at.as_second();
    assert_eq!(expiry().await - told_at, 35 * 24 * 3600, "in seconds; not while it may still run");
    story.ledger.job_left(&story.job(1, JobState::Done)).await.unwrap();
    assert_eq!(expiry().await - told_at, RETENTION.as_secs().cast_signed());
}

#[tokio::test]
async fn many_jobs_are_read_at_once() {
    let story = Story::begin().await;
    let states = [JobState::Held, RUNNING, JobState::Done];
    for (id, state) in (100..).zip(&states) {
        story.ledger.job_left(&story.job(id, state.clone())).await.unwrap();
    }
    let asked: Vec<JobId> = (0..230).chain(0..230).map(JobId).collect();
    story.table.reset_usage();
    let told = story.ledger.jobs(&asked).await.unwrap();
    assert_eq!(told.len(), 230);
    for (id, job) in told {
        let known = id.0.checked_sub(100).and_then(|place| states.get(place as usize));
        assert_eq!(job.as_ref().map(|job| &job.state), known, "{id}");
    }
    assert_eq!(story.table.usage().requests["BatchGetItem"], 3);
    assert!(story.ledger.jobs(&[]).await.unwrap().is_empty());
}
