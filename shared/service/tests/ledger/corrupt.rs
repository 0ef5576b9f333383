//! Items that are not as Mayfly writes them: told, and in nobody's way.

use aws_sdk_dynamodb::types::AttributeValue;
use mayfly_core::gate::Trouble;
use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::JobState;
use mayfly_service::store::{Claim, Memory, Stage, StoreError, Take};

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
        (machine().into_iter().take(1).collect(), "its machine is incomplete"),
        ([machine(), vec![("phase", text("creating"))]].concat(), "step is missing"),
        (
            [
                machine(),
                vec![("phase", text("creating")), ("step", text("dancing")), ("leased_until", number(1))],
            ]
            .concat(),
            "no step of making a VM",
        ),
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
    assert_eq!(ledger.unreadable.len(), wrong_slots().len(), "they are not free");
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
    let states = story.ledger.jobs(&[1, 2, 3, 4].map(JobId)).await.unwrap();
    let states: Vec<_> = states.into_iter().map(|(job, known)| (job.0, known.map(|job| job.state))).collect();
    assert_eq!(states, [(1, Some(JobState::Done)), (4, None)]);
    let error = story.ledger.job(JobId(2)).await.unwrap_err().to_string();
    assert!(error.contains("job#2 / job"), "{error}");
}

#[tokio::test]
async fn a_wrong_item_is_told_of_in_one_short_line() {
    let story = Story::begin().await;
    let long = "z\n".repeat(1_000);
    let item = |key: &str, state: &str| {
        [("pk", text("pool#linux-gpu")), ("sk", text(key)), ("phase", text(state)), ("runner", text(state))]
    };
    story.put(&item(&format!("wait#{}", &long[..900]), &long)).await;
    story.put(&item("slot#0001", &long)).await;
    story
        .put(&[("pk", text("job#7")), ("sk", text("job")), ("state", text(&long)), ("pool", text("a"))])
        .await;
    let (_, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    let job = story.ledger.job(JobId(7)).await.unwrap_err();
    assert_eq!(corrupt.len(), 2);
    for error in corrupt.iter().chain([&job]) {
        let told = error.to_string();
        assert!(told.len() <= 500 && !told.contains('\n'), "{told}");
    }
}

#[tokio::test]
async fn a_text_for_people_is_read_as_a_short_one_however_long_it_is_there() {
    let story = Story::begin().await;
    let long = "z\n".repeat(50_000);
    let pool = [
        ("pk", text("pool#linux-gpu")),
        ("sk", text("pool")),
        ("creates_failed", number(1)),
        ("creates_failed_at", number(1)),
        ("creates_failed_why", text(&long)),
    ];
    story.put(&pool).await;
    let state = story.ledger.pool_state(&story.pool).await.unwrap();
    let line = AttributeValue::L(vec![text(&format!("2026-03-01T12:00:00Z {long}"))]);
    let job = [
        ("pk", text("job#7")),
        ("sk", text("job")),
        ("pool", text("linux-gpu")),
        ("repository", text("shader-slang/slang")),
        ("queued_at", number(1)),
        ("state", text("waiting")),
        ("timeline", line),
    ];
    story.put(&job).await;
    let job = story.ledger.job(JobId(7)).await.unwrap().unwrap();
    let why = state.creates.unwrap().why;
    assert!(why.len() <= 500 && !why.contains('\n'), "{} bytes", why.len());
    assert!(job.timeline[0].what.len() <= 500, "{} bytes", job.timeline[0].what.len());
}

#[tokio::test]
async fn what_is_too_long_for_a_place_is_none() {
    let story = Story::begin().await;
    let long = text(&"z".repeat(100_000));
    let machine =
        |at: AttributeValue| vec![("phase", text("busy")), ("provider", text("cloud")), ("vm_at", at)];
    story.put_slot(1, machine(long.clone())).await;
    story.put_slot(2, machine(text("us-east1-c"))).await;
    let task =
        [("phase", text("creating")), ("leased_until", number(1)), ("step", text("cloning")), ("task", long)];
    story.put_slot(3, [machine(text("pve1/9000"))[1..].to_vec(), task.to_vec()].concat()).await;
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((ledger.slots.len(), corrupt.len()), (1, 2), "{corrupt:?}");
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
        ("limit", number(70_000)),
        ("creates_failed", text("many")),
        ("creates_failed_at", number(1)),
        ("boots_failed", number(3)),
        ("boots_failed_why", number(3)),
    ];
    story.put(&wrong).await;
    let state = story.ledger.pool_state(&story.pool).await.unwrap();
    assert_eq!(state.cooling, [("gcp/us-west1-a".to_owned(), at(5))].into());
    assert_eq!((state.github_until, state.draining, state.limit), (None, None, None));
    assert_eq!((state.creates, state.boots), (None, None));
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((ledger.state.cooling, corrupt.len()), (state.cooling, 0));

    // Nor does it keep anything from being written.
    for stage in [Stage::Create, Stage::Boot] {
        story.ledger.failed(&story.pool, stage, "no quota", at(7)).await.unwrap();
    }
    story.ledger.set_limit(&story.pool, 5).await.unwrap();
    let state = story.ledger.pool_state(&story.pool).await.unwrap();
    let trouble = |failures| Some(Trouble { failures, at: at(7), why: "no quota".to_owned() });
    assert_eq!((state.limit, state.creates, state.boots), (Some(5), trouble(1), trouble(4)));
    assert_eq!(story.ledger.pool_state(&pool("none")).await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_drain_that_cannot_be_read_is_one() {
    let story = Story::begin().await;
    let key = [("pk", text("pool#linux-gpu")), ("sk", text("pool"))];
    for wrong in [text("yes"), AttributeValue::Bool(false), number(i64::MAX)] {
        story.put(&[key.to_vec(), vec![("draining", wrong.clone())]].concat()).await;
        assert!(story.ledger.pool_state(&story.pool).await.unwrap().draining.is_some(), "{wrong:?}");
        let (ledger, _) = story.ledger.pool_ledger(&story.pool).await.unwrap();
        assert!(ledger.state.draining.is_some(), "{wrong:?}");
        assert!(story.ledger.resume(&story.pool).await.unwrap());
        assert_eq!(story.ledger.pool_state(&story.pool).await.unwrap().draining, None);
    }
}

#[tokio::test]
async fn an_entry_is_served_whatever_is_known_of_when_it_was_asked_about() {
    let story = Story::begin().await;
    let job = story.job(1, JobState::Waiting);
    let attributes = vec![
        ("job", number(1)),
        ("queued_at", number(at(1).as_millisecond())),
        ("repository", text("shader-slang/slang")),
        ("installation", number(77)),
        ("unseen_run", number(5)),
        ("asked_at", text("yesterday")),
    ];
    story.put_waiting("wait#2026-03-01T12:00:00.001Z#1", attributes).await;
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((ledger.waiting, ledger.asked, corrupt.len()), (vec![job.waiting()], [].into(), 0));
}

#[tokio::test]
async fn advice_to_the_next_sweep_may_be_wrong_and_a_pool_may_not() {
    let story = Story::begin().await;
    let key = [("pk", text("deployment")), ("sk", text("sweep"))];
    let advice = [
        ("discovery", number(1)),
        ("discovery_round", number(1)),
        ("settled#app", text("all")),
        ("settled#hook/1", number(at(5).as_millisecond())),
        ("somebody-elses", text("note")),
    ];
    story.put(&[key.to_vec(), advice.to_vec()].concat()).await;
    let settled = [("hook/1".to_owned(), at(5))].into();
    assert_eq!(story.ledger.memory().await.unwrap(), Memory { settled, ..Memory::default() });
    for (name, value) in [
        ("pool#linux-gpu", text("planet:mars")),
        ("pool#linux-gpu", number(1)),
        ("pool#Linux GPU", text("organization:shader-slang")),
    ] {
        story.put(&[key.to_vec(), vec![(name, value)]].concat()).await;
        let error = story.ledger.memory().await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { key, .. } if key == "deployment / sweep"), "{error}");
    }
}

#[tokio::test]
async fn a_delivery_whose_count_cannot_be_read_is_not_asked_for_again_and_hides_no_other() {
    let story = Story::begin().await;
    assert!(story.ledger.redelivery("fine", 0, at(1)).await.unwrap());
    let wrong = [("pk", text("delivery#wrong")), ("sk", text("delivery")), ("asked", text("often"))];
    story.put(&wrong).await;
    let known = story.ledger.redeliveries(&["fine", "wrong"].map(str::to_owned).into()).await.unwrap();
    assert_eq!(known.into_keys().collect::<Vec<_>>(), ["fine"]);
    assert!(!story.ledger.redelivery("wrong", 0, at(2)).await.unwrap());
}
