//! Claims: a job and its slot are taken together or not at all.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::JobState;
use mayfly_core::slot::{Purpose, Slot, SlotEvent};
use mayfly_service::store::{Claim, JobWritten, Moved, Take};

use super::story::{Story, at, placed, started};

#[tokio::test]
async fn a_job_and_its_slot_are_taken_together() {
    let story = Story::begin().await;
    let (job, slot) = (story.assigned(1, 3), story.slot_for(3, 1));
    assert_eq!(story.ledger.claim(&job, &Take::Free(slot.clone())).await.unwrap(), Claim::Taken);
    assert_eq!(story.ledger.job(JobId(1)).await.unwrap(), Some(job));
    assert_eq!(story.ledger.slot_of(&slot.runner).await.unwrap(), Some(slot.clone()));
    assert_eq!(story.slot_at(3).await, Some(slot));
    assert_eq!(story.dump().await.len(), 2);
}

#[tokio::test]
async fn a_repeated_delivery_writes_nothing() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let before = story.dump().await;
    for index in [3, 4] {
        let again = story.assigned(1, index);
        let claim = story.ledger.claim(&again, &Take::Free(story.slot_for(index, 1))).await.unwrap();
        assert_eq!(claim, Claim::Known(story.assigned(1, 3)), "whether its slot is free or not");
    }
    for state in [JobState::Running { slot: None }, JobState::Done] {
        let job = story.job(1, state.clone());
        assert!(matches!(story.ledger.job_left(&job).await.unwrap(), JobWritten::From(Some(_))));
        let claim =
            story.ledger.claim(&story.assigned(1, 4), &Take::Free(story.slot_for(4, 1))).await.unwrap();
        assert!(matches!(claim, Claim::Known(known) if known.state == state));
    }
    let after = story.dump().await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slot_that_is_taken_is_lost_and_nothing_is_written() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let before = story.dump().await;
    let claim = story.ledger.claim(&story.assigned(2, 3), &Take::Free(story.slot_for(3, 2))).await.unwrap();
    assert_eq!(claim, Claim::SlotLost);
    assert_eq!(story.dump().await, before);
}

#[tokio::test]
async fn of_two_claims_at_a_time_one_wins() {
    let story = Story::begin().await;
    for index in 0..10 {
        let (one, other) = (u64::from(index) + 100, u64::from(index) + 200);
        let claim = |job| {
            let (record, take) = (story.assigned(job, index), Take::Free(story.slot_for(index, job)));
            let ledger = story.ledger.clone();
            async move { ledger.claim(&record, &take).await.unwrap() }
        };
        let (first, second) = tokio::join!(claim(one), claim(other));
        let winner = match (&first, &second) {
            (Claim::Taken, Claim::SlotLost) => one,
            (Claim::SlotLost, Claim::Taken) => other,
            both => panic!("{both:?}"),
        };
        assert_eq!(story.slot_at(index).await.unwrap().purpose, Purpose::Job(JobId(winner)));
        assert_eq!(story.state(one + other - winner).await, None);
    }
}

#[tokio::test]
async fn fifty_jobs_at_once_take_ten_slots_and_no_more() {
    let story = Story::begin().await;
    let claims = (1..=50u64).map(|job| {
        let index = (job % 10) as u16;
        let (record, take) = (story.assigned(job, index), Take::Free(story.slot_for(index, job)));
        let ledger = story.ledger.clone();
        async move { (job, ledger.claim(&record, &take).await.unwrap()) }
    });
    let claims = join_all(claims).await;
    let won: BTreeSet<u64> =
        claims.iter().filter(|(_, claim)| *claim == Claim::Taken).map(|(job, _)| *job).collect();
    assert_eq!(won.len(), 10, "{claims:?}");
    let slots = story.ledger.sample(&story.pool, SlotIndex(0), 100).await.unwrap();
    let holders: BTreeSet<u64> = slots.iter().filter_map(|slot| Some(slot.purpose.job()?.0)).collect();
    assert_eq!((slots.len(), &holders), (10, &won), "each slot has one job, and each job one slot");
    for job in 1..=50 {
        let slot = SlotIndex((job % 10) as u16);
        assert_eq!(story.state(job).await, won.contains(&job).then_some(JobState::Assigned { slot }));
    }
}

#[tokio::test]
async fn a_job_that_was_held_is_claimed_when_it_is_queued_again() {
    let story = Story::begin().await;
    assert_eq!(story.ledger.job_left(&story.job(1, JobState::Held)).await.unwrap(), JobWritten::From(None));
    let mut again = story.assigned(1, 3);
    again.queued_at = at(500);
    let claim = story.ledger.claim(&again, &Take::Free(story.slot_for(3, 1))).await.unwrap();
    assert_eq!(claim, Claim::Taken);
    let job = story.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Assigned { slot: SlotIndex(3) });
    assert_eq!(job.queued_at, at(1), "when it was first heard of");
    assert_eq!(job.timeline.len(), 2);
}

#[tokio::test]
async fn a_spare_runner_is_taken_over_once_and_only_while_it_is_spare() {
    let story = Story::begin().await;
    let slot = story.taken(3, 1, &[placed(5)]).await;
    let not_spare = Slot { purpose: Purpose::Spare { since: at(9) }, ..slot.clone() };
    let claim = story.ledger.claim(&story.assigned(2, 3), &Take::Spare(not_spare)).await.unwrap();
    assert_eq!(claim, Claim::SlotLost, "it is for a job by now");

    let purpose = Purpose::Spare { since: at(9) };
    assert_eq!(story.ledger.repurpose(&slot, purpose).await.unwrap(), Moved::From(slot.clone()));
    let spare = Slot { purpose, ..slot };
    let claim = |job| {
        let (record, take) = (story.assigned(job, 3), Take::Spare(spare.clone()));
        let ledger = story.ledger.clone();
        async move { ledger.claim(&record, &take).await.unwrap() }
    };
    assert_eq!(claim(2).await, Claim::Taken);
    let taken = Slot { purpose: Purpose::Job(JobId(2)), ..spare.clone() };
    assert_eq!(story.slot_at(3).await, Some(taken.clone()), "the runner stays");
    assert_eq!(claim(3).await, Claim::SlotLost);
    assert_eq!(story.slot_at(3).await, Some(taken));
    assert_eq!(story.state(3).await, None);
}

#[tokio::test]
async fn a_slot_is_taken_without_a_job_by_one_and_only_while_it_is_free() {
    let story = Story::begin().await;
    let spare = || story.new_slot(3, Purpose::Spare { since: at(9) });
    let (one, other) = (spare(), spare());
    let (first, second) = tokio::join!(story.ledger.reserve(&one), story.ledger.reserve(&other));
    let winner = match (first.unwrap(), second.unwrap()) {
        (true, false) => one,
        (false, true) => other,
        both => panic!("{both:?}"),
    };
    assert_eq!(story.slot_at(3).await, Some(winner.clone()));
    let job = story.ledger.claim(&story.assigned(2, 3), &Take::Spare(winner)).await.unwrap();
    assert_eq!(job, Claim::Taken, "a job that comes takes it over");
    assert!(!story.ledger.reserve(&spare()).await.unwrap());
}

#[tokio::test]
async fn a_spare_runner_that_took_a_job_or_goes_is_not_taken_over() {
    let story = Story::begin().await;
    for (index, event) in (0..).zip([started(9), SlotEvent::Ended, SlotEvent::Retired]) {
        let job = 100 + u64::from(index);
        let slot = story.taken(index, job, &[placed(5)]).await;
        let spare = Slot { purpose: Purpose::Spare { since: at(9) }, ..slot.clone() };
        story.ledger.repurpose(&slot, spare.purpose).await.unwrap();
        story.ledger.slot_event(&slot.runner, &event, at(10)).await.unwrap();
        let claim = story.ledger.claim(&story.assigned(2, index), &Take::Spare(spare)).await.unwrap();
        assert_eq!(claim, Claim::SlotLost, "{event:?}");
    }
}
