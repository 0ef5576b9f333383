//! The table refuses exactly what the core refuses, and becomes what the core says.

use std::cell::Cell;

use jiff::Timestamp;
use mayfly_core::ids::{JobId, RunnerId};
use mayfly_core::making::{Making, MakingStep};
use mayfly_core::slot::{Phase, Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::Moved;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::story::{Story, at, machine, placed, started};

/// One event for table and core; the slot after it.
async fn step(story: &Story, slot: Slot, event: &SlotEvent, now: Timestamp) -> Slot {
    let moved = story.ledger.slot_event(&slot.runner, event, now).await.unwrap();
    let after = match slot.apply(event, now) {
        Ok(next) => {
            assert_eq!(moved, Moved::From(slot), "{event:?}");
            next
        }
        Err(_) => {
            assert_eq!(moved, Moved::No, "{event:?} at {slot:?}");
            slot
        }
    };
    assert_eq!(story.slot_at(after.runner.slot().0).await.as_ref(), Some(&after), "after {event:?}");
    after
}

/// GitHub says that the runner is busy, to table and core; the slot after it.
async fn take(story: &Story, slot: Slot, now: Timestamp) -> Slot {
    let moved = story.ledger.taken(&slot, now).await.unwrap();
    let after = match slot.taken(now) {
        Ok(next) => {
            assert_eq!(moved, Moved::From(slot));
            next
        }
        Err(_) => {
            assert_eq!(moved, Moved::No, "{slot:?}");
            slot
        }
    };
    assert_eq!(story.slot_at(after.runner.slot().0).await.as_ref(), Some(&after));
    after
}

fn watched(until: u64) -> SlotEvent {
    SlotEvent::Watched { until: at(until) }
}

fn making(step: MakingStep, leased_until: u64) -> SlotEvent {
    goes_on(step, None, leased_until)
}

fn goes_on(step: MakingStep, held: Option<u64>, leased_until: u64) -> SlotEvent {
    let vm = VmPlace { at: "pve1/9001".to_owned(), ..machine(1).vm };
    SlotEvent::Making(Making::Step { vm, step, held: held.map(at), leased_until: at(leased_until) })
}

fn handed_over() -> SlotEvent {
    SlotEvent::Making(Making::HandedOver { runner_id: RunnerId(6), registered_at: None, held: at(4_000) })
}

fn given_up(held: u64) -> SlotEvent {
    SlotEvent::Making(Making::GivenUp { held: at(held) })
}

fn taken_up(leased_until: u64) -> SlotEvent {
    SlotEvent::Making(Making::TakenUp { leased_until: at(leased_until) })
}

/// A way to each phase, with and without what may be known in it.
fn roads() -> Vec<Vec<SlotEvent>> {
    let (online, ended) = (SlotEvent::Online, SlotEvent::Ended);
    vec![
        vec![],
        vec![making(MakingStep::Cloning { task: Some("UPID:pve1".to_owned()) }, 4_000)],
        vec![making(MakingStep::Cloning { task: None }, 9_000)],
        vec![making(MakingStep::WaitingForAgent, 4_000), SlotEvent::Retired],
        vec![making(MakingStep::Starting, 4_000), started(8)],
        vec![making(MakingStep::Starting, 4_000), handed_over(), online.clone()],
        vec![placed(1)],
        vec![placed(1), online.clone()],
        vec![started(8)],
        vec![placed(1), started(8)],
        vec![placed(1), online, started(8)],
        vec![ended.clone()],
        vec![placed(1), SlotEvent::Retired],
        vec![placed(1), ended.clone(), watched(4_000)],
        vec![placed(1), ended, watched(9_000)],
    ]
}

fn events() -> Vec<SlotEvent> {
    vec![
        placed(2),
        SlotEvent::Unplaced { vm: machine(1).vm, held: None },
        SlotEvent::Unplaced { vm: machine(2).vm, held: None },
        SlotEvent::Unplaced {
            vm: VmPlace { at: "pve1/9001".to_owned(), ..machine(1).vm },
            held: Some(at(4_000)),
        },
        SlotEvent::Unplaced { vm: machine(1).vm, held: Some(at(4_000)) },
        making(MakingStep::Cloning { task: Some("UPID:pve2".to_owned()) }, 10_000),
        making(MakingStep::WaitingForAgent, 10_000),
        goes_on(MakingStep::WaitingForAgent, Some(4_000), 10_000),
        given_up(9_000),
        taken_up(10_000),
        handed_over(),
        SlotEvent::Online,
        started(9),
        SlotEvent::Ended,
        SlotEvent::Retired,
        watched(10_000),
    ]
}

#[tokio::test]
async fn each_event_in_each_phase_does_what_the_core_says() {
    let story = Story::begin().await;
    let mut job = 0;
    for (index, road) in (0..).zip(roads()) {
        for event in events() {
            job += 100;
            let slot = story.taken(index, job, &road).await;
            let slot = step(&story, slot, &event, at(5_000)).await;
            if let Some(displaced) = slot.displaced {
                story.ledger.settled(&slot.runner, displaced).await.unwrap();
            }
            story.ledger.free(&slot).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_slot_does_not_go_on_before_the_job_whose_runner_was_taken_is_seen_to() {
    let story = Story::begin().await;
    let slot = story.taken(3, 1, &[placed(1), started(8), SlotEvent::Ended]).await;
    assert_eq!(slot.displaced, Some(JobId(1)));
    let new = story.slot_for(3, 9);
    story.ledger.free(&slot).await.unwrap();
    story.ledger.settled(&slot.runner, JobId(8)).await.unwrap();
    assert!(!story.ledger.renew(&slot, &new).await.unwrap());
    assert_eq!(story.slot_at(3).await.as_ref(), Some(&slot));

    story.ledger.settled(&slot.runner, JobId(1)).await.unwrap();
    assert!(story.ledger.renew(&slot, &new).await.unwrap());
    assert_eq!(story.slot_at(3).await, Some(new));
}

#[tokio::test]
async fn a_slot_that_is_for_another_job_by_now_is_not_freed_or_handed_on() {
    let story = Story::begin().await;
    let read = story.taken(3, 1, &[placed(1)]).await;
    story.ledger.repurpose(&read, Purpose::Job(JobId(2))).await.unwrap();
    let now = story.slot_at(3).await;
    story.ledger.free(&read).await.unwrap();
    assert!(!story.ledger.renew(&read, &story.slot_for(3, 9)).await.unwrap());
    assert_eq!(story.slot_at(3).await, now);

    let read = story.taken(4, 5, &[placed(1)]).await;
    let spare = Slot { purpose: Purpose::Spare { since: at(1) }, ..read.clone() };
    story.ledger.free(&spare).await.unwrap();
    assert_eq!(story.slot_at(4).await, Some(read));
}

#[tokio::test]
async fn a_runner_that_github_calls_busy_is_busy_with_a_job_that_is_not_known() {
    let story = Story::begin().await;
    for (index, road) in (0..).zip(roads()) {
        let slot = story.taken(index, 100 + u64::from(index), &road).await;
        let slot = take(&story, slot, at(5_000)).await;
        take(&story, slot, at(6_000)).await;
    }
    let slot = story.taken(20, 1, &[placed(1)]).await;
    for as_read in [
        Slot { purpose: Purpose::Job(JobId(2)), ..slot.clone() },
        Slot { purpose: Purpose::Spare { since: at(1) }, ..slot.clone() },
        Slot { runner: story.runner(20), ..slot.clone() },
        story.slot_for(21, 2),
    ] {
        assert_eq!(story.ledger.taken(&as_read, at(5_000)).await.unwrap(), Moved::No, "{as_read:?}");
    }
    assert_eq!(story.slot_at(20).await, Some(slot), "only as it was read");
    assert_eq!(story.slot_at(21).await, None);
}

#[tokio::test]
async fn the_event_that_comes_after_all_fills_in_the_job_of_a_busy_runner() {
    let story = Story::begin().await;
    for (index, (meant, started_job, displaced)) in (0..).zip([(101, 101, None), (102, 9, Some(JobId(102)))])
    {
        let slot = story.taken(index, meant, &[placed(1)]).await;
        let slot = take(&story, slot, at(5_000)).await;
        assert_eq!(slot.displaced, Some(JobId(meant)));
        let slot = step(&story, slot, &started(started_job), at(6_000)).await;
        assert_eq!((slot.purpose, slot.displaced), (Purpose::Job(JobId(started_job)), displaced));
        // Told twice, or of another job: what is known stays.
        step(&story, slot, &started(77), at(7_000)).await;
    }
}

#[tokio::test]
async fn a_busy_runner_without_a_known_job_does_not_go_on_before_the_one_it_was_meant_for_is_seen_to() {
    let story = Story::begin().await;
    let slot = story.taken(3, 1, &[placed(1)]).await;
    let slot = take(&story, slot, at(5_000)).await;
    let slot = step(&story, slot, &SlotEvent::Ended, at(6_000)).await;
    story.ledger.free(&slot).await.unwrap();
    assert_eq!(story.slot_at(3).await.as_ref(), Some(&slot));
    story.ledger.settled(&slot.runner, JobId(1)).await.unwrap();
    story.ledger.free(&slot).await.unwrap();
    assert_eq!(story.slot_at(3).await, None);
}

#[tokio::test]
async fn a_slot_that_is_another_runners_by_now_refuses_everything() {
    let story = Story::begin().await;
    for (index, road) in (0..).zip(roads()) {
        let slot = story.taken(index, 100 + u64::from(index), &road).await;
        let stranger = story.runner(index);
        for event in events() {
            let moved = story.ledger.slot_event(&stranger, &event, at(5_000)).await.unwrap();
            assert_eq!(moved, Moved::No, "{event:?} at {slot:?}");
        }
        let before = Slot { runner: stranger.clone(), ..slot.clone() };
        assert_eq!(story.ledger.repurpose(&before, Purpose::Job(JobId(1))).await.unwrap(), Moved::No);
        assert_eq!(story.ledger.taken(&before, at(5_000)).await.unwrap(), Moved::No);
        assert!(!story.ledger.renew(&before, &story.slot_for(index, 1)).await.unwrap());
        story.ledger.free(&before).await.unwrap();
        assert_eq!(story.ledger.slot_of(&stranger).await.unwrap(), None);
        assert_eq!(story.slot_at(index).await, Some(slot));
    }
}

#[tokio::test]
async fn a_free_slot_takes_no_event_and_becomes_none() {
    let story = Story::begin().await;
    for event in events() {
        let moved = story.ledger.slot_event(&story.runner(1), &event, at(1)).await.unwrap();
        assert_eq!(moved, Moved::No, "{event:?}");
    }
    assert!(story.dump().await.is_empty());
}

#[tokio::test]
async fn what_a_runner_is_for_changes_only_before_it_has_a_job_and_from_what_was_read() {
    let story = Story::begin().await;
    let spare = Purpose::Spare { since: at(4_000) };
    for (index, road) in (0..).zip(roads()) {
        let job = 100 + u64::from(index);
        let slot = story.taken(index, job, &road).await;
        use Phase::{Booting, Creating, Idle, Reserved};
        let may = matches!(slot.phase, Reserved | Creating { .. } | Booting { .. } | Idle { .. });
        let as_read_wrong = Slot { purpose: Purpose::Job(JobId(1)), ..slot.clone() };
        assert_eq!(story.ledger.repurpose(&as_read_wrong, spare).await.unwrap(), Moved::No);
        for purpose in [spare, Purpose::Spare { since: at(4_500) }, Purpose::Job(JobId(7))] {
            let before = story.slot_at(index).await.unwrap();
            let moved = story.ledger.repurpose(&before, purpose).await.unwrap();
            let after = story.slot_at(index).await.unwrap();
            let (wanted, became) = match may {
                true => (Moved::From(before.clone()), Slot { purpose, ..before }),
                false => (Moved::No, before),
            };
            assert_eq!((moved, after), (wanted, became));
        }
    }
}

/// What may happen to a slot; `None` is GitHub saying that its runner is busy.
fn any_event() -> impl Strategy<Value = Option<SlotEvent>> {
    prop_oneof![
        3 => (1..5u64).prop_map(placed).prop_map(Some),
        1 => (3_000..9_000u64).prop_map(|until| Some(making(MakingStep::Starting, until))),
        1 => (3_000..3_004u64, 3_000..3_004u64)
            .prop_map(|(held, until)| Some(goes_on(MakingStep::WaitingForAgent, Some(held), until))),
        1 => (3_000..3_004u64).prop_map(|held| Some(given_up(held))),
        1 => (3_000..9_000u64).prop_map(|until| Some(taken_up(until))),
        1 => Just(Some(handed_over())),
        2 => Just(Some(SlotEvent::Online)),
        2 => (1..5u64).prop_map(started).prop_map(Some),
        1 => Just(Some(SlotEvent::Ended)),
        1 => Just(Some(SlotEvent::Retired)),
        2 => (3_000..9_000u64).prop_map(watched).prop_map(Some),
        2 => Just(None),
    ]
}

#[test]
fn any_story_of_a_slot_is_the_same_in_the_table_and_in_the_core() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::begin());
    // A case that failed leaves its job and its slot behind, so each has its own.
    let cases = Cell::new(0);
    let config = Config { cases: 32, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let stories = (any::<bool>(), prop::collection::vec((any_event(), 1..2_000u64), 1..8));
    let told = TestRunner::new(config).run(&stories, |(spare, events)| {
        cases.set(cases.get() + 1);
        runtime.block_on(whole(&story, cases.get(), spare, &events));
        Ok(())
    });
    told.unwrap();
}

async fn whole(story: &Story, case: u16, spare: bool, events: &[(Option<SlotEvent>, u64)]) {
    let job = 1_000 * u64::from(case) + 1;
    let mut slot = story.taken(case, job, &[]).await;
    if spare {
        let purpose = Purpose::Spare { since: at(2_000) };
        assert_eq!(story.ledger.repurpose(&slot, purpose).await.unwrap(), Moved::From(slot.clone()));
        slot = Slot { purpose, ..slot };
    }
    let mut now = 3_000;
    for (event, pause) in events {
        now += pause;
        slot = match event {
            Some(event) => step(story, slot, &own(event, job), at(now)).await,
            None => take(story, slot, at(now)).await,
        };
    }
}

/// Job 1 stands for the one that the slot was taken for.
fn own(event: &SlotEvent, job: u64) -> SlotEvent {
    if *event == started(1) { started(job) } else { event.clone() }
}

#[tokio::test]
async fn a_deletion_that_nobody_watches_any_more_is_anybodys() {
    let story = Story::begin().await;
    let slot = story.taken(3, 1, &[placed(5), SlotEvent::Ended]).await;
    let now = at(10);
    let watch = |until| SlotEvent::Watched { until: at(until) };
    assert!(matches!(story.ledger.slot_event(&slot.runner, &watch(90), now).await.unwrap(), Moved::From(_)));
    assert_eq!(story.ledger.slot_event(&slot.runner, &watch(95), now).await.unwrap(), Moved::No);
    story.ledger.unwatch(&slot.runner, at(80)).await.unwrap();
    assert_eq!(story.ledger.slot_event(&slot.runner, &watch(95), now).await.unwrap(), Moved::No, "another's");
    story.ledger.unwatch(&slot.runner, at(90)).await.unwrap();
    assert!(matches!(story.ledger.slot_event(&slot.runner, &watch(95), now).await.unwrap(), Moved::From(_)));
}
