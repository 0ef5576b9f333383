//! Items that are not as Mayfly writes them: told, and in nobody's way.

use aws_sdk_dynamodb::types::AttributeValue;
use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::JobState;
use mayfly_service::store::{Claim, StoreError, Take};

use super::story::{Story, at, number, placed, pool, text};

type Attributes = Vec<(&'static str, AttributeValue)>;

impl Story {
    /// A slot's item as the ledger writes it, but for these attributes.
    async fn put_slot(&self, index: u16, others: Attributes) {
        let runner = self.runner(index);
        let mut item = vec![
            ("pk", text("pool#linux-gpu")),
            ("sk", text(&format!("slot#{index:04}"))),
            ("runner", text(runner.as_str())),
            ("reserved_at", number(1_000)),
            ("since", number(1_000)),
            ("phase", text("reserved")),
            ("job", number(1)),
        ];
        for (name, value) in others {
            item.retain(|(known, _)| *known != name);
            item.push((name, value));
        }
        self.put(&item).await;
    }

    async fn put_waiting(&self, key: &str, others: Attributes) {
        let mut item = vec![("pk", text("pool#linux-gpu")), ("sk", text(key))];
        item.extend(others);
        self.put(&item).await;
    }
}

fn wrong_slots() -> Vec<(Attributes, &'static str)> {
    let machine = || vec![("provider", text("gcp")), ("vm_at", text("us-east1-c")), ("runner_id", number(1))];
    vec![
        (vec![("phase", text("dancing"))], "phase is no valid name"),
        (vec![("phase", text("booting"))], "its machine is missing"),
        (machine().into_iter().take(2).collect(), "its machine is incomplete"),
        (vec![("runner", text("somebody-elses"))], "runner is no valid name"),
        (vec![("runner", text("prod-linux-gpu-0099-aaaaaaaaaaaa"))], "its contents belong to another key"),
        (vec![("spare_since", number(5))], "it has a job and is spare"),
        (vec![("job", text("1"))], "job is no number"),
        (vec![("job", number(-1))], "job is out of range"),
        (vec![("since", number("1e40"))], "since is out of range"),
        (vec![("reserved_at", number(i64::MAX))], "reserved_at is no moment"),
        (vec![("phase", AttributeValue::Bool(true))], "phase is no text"),
    ]
}

#[tokio::test]
async fn a_wrong_slot_is_named_and_hides_no_other() {
    let story = Story::begin().await;
    let (first, last) = (story.taken(0, 1, &[placed(5)]).await, story.taken(50, 2, &[]).await);
    for (index, (attributes, _)) in (1..).zip(wrong_slots()) {
        story.put_slot(index, attributes).await;
    }
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!(ledger.slots, [first.clone(), last.clone()]);
    assert_eq!(corrupt.len(), wrong_slots().len());
    for ((index, (_, why)), error) in (1u16..).zip(wrong_slots()).zip(corrupt) {
        let text = error.to_string();
        let key = format!("pool#linux-gpu / slot#{index:04}");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
        assert!(text.contains(&key) && text.contains(why) && text.contains("by hand"), "{text}");
        let alone = story.ledger.slot_at(&story.pool, SlotIndex(index)).await;
        assert!(matches!(alone, Err(StoreError::Corrupt { .. })));
    }
    // A sample of two reaches beyond what cannot be read, and such a slot is not taken for a job.
    assert_eq!(story.ledger.sample(&story.pool, SlotIndex(0), 2).await.unwrap(), [first, last]);
    let claim = story.ledger.claim(&story.assigned(9, 1), &Take::Free(story.slot_for(1, 9))).await.unwrap();
    assert_eq!(claim, Claim::SlotLost);
}

#[tokio::test]
async fn a_wrong_entry_does_not_hold_the_queue_up() {
    let story = Story::begin().await;
    story.put_waiting("wait#0", vec![]).await;
    let moved = vec![("job", number(1)), ("queued_at", number(5)), ("repository", text("a/b"))];
    story.put_waiting("wait#2020-01-01T00:00:00.000Z#1", moved).await;
    let job = story.job(1, JobState::Waiting);
    story.ledger.enqueue(&job).await.unwrap();
    assert_eq!(story.ledger.oldest_waiting(&story.pool, 1).await.unwrap(), [job.waiting()]);
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((ledger.waiting, corrupt.len()), (vec![job.waiting()], 2));
}

#[tokio::test]
async fn a_wrong_job_is_unknown_and_not_absent() {
    let story = Story::begin().await;
    story.ledger.job_left(&story.job(1, JobState::Done)).await.unwrap();
    let key = |id: u64| [("pk", text(&format!("job#{id}"))), ("sk", text("job"))];
    story.put(&[key(2).to_vec(), vec![("state", text("assigned"))]].concat()).await;
    story.put(&key(3)).await;
    let states = story.ledger.job_states(&[1, 2, 3, 4].map(JobId)).await.unwrap();
    let states: Vec<_> = states.into_iter().map(|(job, state)| (job.0, state)).collect();
    assert_eq!(states, [(1, Some(JobState::Done)), (4, None)]);
    let error = story.ledger.job(JobId(2)).await.unwrap_err().to_string();
    assert!(error.contains("job#2 / job"), "{error}");
}

#[tokio::test]
async fn a_wrong_pool_item_is_as_good_as_none() {
    let story = Story::begin().await;
    let wrong = [
        ("pk", text("pool#linux-gpu")),
        ("sk", text("pool")),
        ("cool#gcp/us-east1-c", text("soon")),
        ("cool#gcp/us-east1-d", number(i64::MAX)),
        ("cool#gcp/us-west1-a", number(at(5).as_millisecond())),
        ("github_until", AttributeValue::Null(true)),
    ];
    story.put(&wrong).await;
    let state = story.ledger.pool_state(&story.pool).await.unwrap();
    assert_eq!(state.cooling, [("gcp/us-west1-a".to_owned(), at(5))].into());
    assert_eq!(state.github_until, None);
    assert_eq!(story.ledger.pool_state(&pool("none")).await.unwrap(), Default::default());
}
