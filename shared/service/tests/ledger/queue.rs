//! The queue, and the slots that its jobs get.

use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::slot::{Phase, Purpose, Slot, SlotEvent};
use mayfly_service::store::{Enqueued, JobWritten, Take, Was};

use super::story::{Story, at, placed, pool, started};

impl Story {
    async fn waiting(&self, id: u64) -> Waiting {
        let job = self.job(id, JobState::Waiting);
        assert_eq!(self.ledger.enqueue(&job).await.unwrap(), Enqueued::Waiting);
        job.waiting()
    }

    async fn requeue(&self, job: &Job) {
        let line = Moment::new(at(1), "waits again");
        self.ledger.requeue(&self.pool, &job.waiting(), SlotIndex(3), line).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_without_a_slot_waits_in_the_order_of_time_then_id() {
    let story = Story::begin().await;
    for (id, queued_at) in [(30, 5_000), (4, 5_000), (5, 999), (200, 70_000), (6, 5_001)] {
        let job = Job { queued_at: at(queued_at), ..story.job(id, JobState::Waiting) };
        assert_eq!(story.ledger.enqueue(&job).await.unwrap(), Enqueued::Waiting);
        assert_eq!(story.ledger.job(JobId(id)).await.unwrap(), Some(job));
    }
    let ids = |queue: Vec<Waiting>| queue.iter().map(|waiting| waiting.job.0).collect::<Vec<_>>();
    let all = ids(story.queue().await);
    assert_eq!((all[0], &all[3..]), (5, [6, 200].as_slice()));
    assert_eq!(
        story.queue().await[0],
        Job { queued_at: at(999), ..story.job(5, JobState::Waiting) }.waiting()
    );
    assert_eq!(ids(story.ledger.oldest_waiting(&story.pool, 2).await.unwrap()), all[..2]);
    assert_eq!(ids(story.ledger.oldest_waiting(&pool("linux"), 9).await.unwrap()), [0; 0], "another pool's");
}

#[tokio::test]
async fn a_repetition_leaves_the_one_entry_that_there_is() {
    let story = Story::begin().await;
    let waiting = story.waiting(1).await;
    let same = story.job(1, JobState::Waiting);
    let by_another_hook = Job { installation: None, ..same.clone() };
    let later = Job { queued_at: at(4_000), ..same.clone() };
    let elsewhere = Job { pool: pool("windows"), ..same.clone() };
    for repetition in [same.clone(), by_another_hook, later, elsewhere] {
        let Enqueued::Known(known) = story.ledger.enqueue(&repetition).await.unwrap() else { panic!() };
        assert_eq!(known, same, "{repetition:?}");
        let places: Vec<_> = story.queue().await.iter().map(|entry| (entry.job, entry.queued_at)).collect();
        assert_eq!(places, [(waiting.job, waiting.queued_at)], "{repetition:?}");
    }
    assert_eq!(story.ledger.oldest_waiting(&pool("windows"), 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_job_that_is_further_leaves_no_ghost_in_the_queue() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let queued = story.job(1, JobState::Waiting);
    for state in [JobState::Running { slot: Some(SlotIndex(3)) }, JobState::Done] {
        let Enqueued::Known(_) = story.ledger.enqueue(&queued).await.unwrap() else { panic!() };
        assert_eq!(story.queue().await, []);
        story.ledger.job_left(&story.job(1, state)).await.unwrap();
    }
    let Enqueued::Known(known) = story.ledger.enqueue(&queued).await.unwrap() else { panic!() };
    assert_eq!((known.state, story.queue().await), (JobState::Done, vec![]));
}

#[tokio::test]
async fn a_job_that_lost_its_runner_waits_again_in_its_old_place() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    let younger = story.waiting(2).await;
    let job = story.assigned(1, 3);
    story.requeue(&job).await;
    assert_eq!(story.queue().await, [job.waiting(), younger]);
    let job = story.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!((job.state, job.timeline.len()), (JobState::Waiting, 2));
}

#[tokio::test]
async fn a_job_that_needs_no_runner_is_not_queued_again() {
    let story = Story::begin().await;
    for (id, state) in (1..).zip([JobState::Running { slot: None }, JobState::Done, JobState::Held]) {
        let job = story.job(id, state.clone());
        story.ledger.job_left(&job).await.unwrap();
        story.requeue(&job).await;
        assert_eq!((story.state(id).await, story.queue().await), (Some(state), vec![]));
    }
    story.requeue(&story.job(99, JobState::Waiting)).await;
    assert_eq!((story.state(99).await, story.queue().await), (None, vec![]));
}

#[tokio::test]
async fn a_waiting_job_is_taken_out_of_the_queue_and_gets_the_slot() {
    let story = Story::begin().await;
    let waiting = story.waiting(1).await;
    let slot = story.slot_for(3, 1);
    assert!(story.ledger.serve(&story.pool, &waiting, &Take::Free(slot.clone())).await.unwrap());
    assert_eq!((story.slot_at(3).await, story.queue().await), (Some(slot), vec![]));
    let state = JobState::Assigned { slot: SlotIndex(3) };
    assert!(
        story
            .ledger
            .job_assigned(JobId(1), Was::Waiting, &state, Moment::new(at(5), "assigned"))
            .await
            .unwrap()
    );
    assert_eq!(story.state(1).await, Some(state.clone()));
    let again = Moment::new(at(5), "a second time");
    assert!(
        !story.ledger.job_assigned(JobId(1), Was::Waiting, &state, again).await.unwrap(),
        "no second slot"
    );
    story.ledger.job_left(&story.job(1, JobState::Done)).await.unwrap();
    let late = Moment::new(at(6), "late");
    for was in [Was::Waiting, Was::WaitingOr(SlotIndex(3))] {
        assert!(!story.ledger.job_assigned(JobId(1), was, &state, late.clone()).await.unwrap());
    }
    assert_eq!(story.state(1).await, Some(JobState::Done));
}

#[tokio::test]
async fn who_serves_too_late_writes_nothing() {
    let story = Story::begin().await;
    story.taken(3, 9, &[]).await;
    let (gone, waiting) = (story.waiting(1).await, story.waiting(2).await);
    story.ledger.drop_waiting(&story.pool, &gone).await.unwrap();
    story.ledger.drop_waiting(&story.pool, &gone).await.unwrap();
    let spare = Slot { purpose: Purpose::Spare { since: at(1) }, ..story.slot_at(3).await.unwrap() };
    let before = story.dump().await;
    for (waiting, take) in [
        (&waiting, Take::Free(story.slot_for(3, 2))),
        (&waiting, Take::Spare(spare)),
        (&gone, Take::Free(story.slot_for(4, 1))),
    ] {
        assert!(!story.ledger.serve(&story.pool, waiting, &take).await.unwrap(), "{take:?}");
    }
    assert_eq!(story.dump().await, before);
}

#[tokio::test]
async fn when_github_was_asked_about_a_waiting_job_is_kept_as_long_as_it_waits() {
    let story = Story::begin().await;
    let (first, second) = (story.waiting(1).await, story.waiting(2).await);
    let asked = async || story.ledger.pool_ledger(&story.pool).await.unwrap().0.asked;
    assert_eq!(asked().await, [].into());
    for moment in [at(5_000), at(6_000)] {
        story.ledger.asked(&story.pool, &first, moment).await.unwrap();
        assert_eq!(asked().await, [(JobId(1), moment)].into());
    }
    assert_eq!(story.queue().await, [first.clone(), second], "the entries are what they were");
    story.ledger.drop_waiting(&story.pool, &first).await.unwrap();
    story.ledger.asked(&story.pool, &first, at(7_000)).await.unwrap();
    assert_eq!((asked().await, story.queue().await.len()), ([].into(), 1), "it comes back by no answer");
}

#[tokio::test]
async fn of_two_who_serve_one_job_one_wins() {
    let story = Story::begin().await;
    for round in 0..5 {
        let waiting = story.waiting(1 + round).await;
        let (one, other) = (2 * round as u16, 2 * round as u16 + 1);
        let (a, b) =
            (Take::Free(story.slot_for(one, 1 + round)), Take::Free(story.slot_for(other, 1 + round)));
        let (first, second) = tokio::join!(
            story.ledger.serve(&story.pool, &waiting, &a),
            story.ledger.serve(&story.pool, &waiting, &b)
        );
        assert!(first.unwrap() != second.unwrap());
        let taken = [story.slot_at(one).await, story.slot_at(other).await];
        assert_eq!(taken.iter().flatten().count(), 1);
    }
}

#[tokio::test]
async fn a_slot_whose_vm_is_gone_is_handed_over_without_what_was_the_old_ones() {
    let story = Story::begin().await;
    let watched = SlotEvent::Watched { until: at(9_000) };
    let old = story.taken(3, 9, &[placed(5), started(9), SlotEvent::Ended, watched]).await;
    let (first, second) = (story.waiting(1).await, story.waiting(2).await);
    let new = story.slot_for(3, 1);
    assert!(story.ledger.hand_over(&old, &new, &first).await.unwrap());
    assert_eq!((story.slot_at(3).await, story.queue().await), (Some(new.clone()), vec![second.clone()]));

    let before = story.dump().await;
    let late = story.slot_for(3, 2);
    assert!(!story.ledger.hand_over(&old, &late, &second).await.unwrap(), "the slot is another's");
    let other_phase = Slot { phase: Phase::Busy { machine: None, since: at(1) }, ..new.clone() };
    assert!(!story.ledger.hand_over(&other_phase, &late, &second).await.unwrap(), "it is not as it was read");
    assert!(!story.ledger.hand_over(&new, &late, &first).await.unwrap(), "the job is served already");
    assert_eq!(story.dump().await, before);
}

#[tokio::test]
async fn a_slot_is_renewed_for_its_own_job_and_freed_by_its_own_runner() {
    let story = Story::begin().await;
    let old = story.taken(3, 9, &[placed(5)]).await;
    let new = story.slot_for(3, 9);
    assert!(story.ledger.renew(&old, &new).await.unwrap());
    assert!(!story.ledger.renew(&old, &story.slot_for(3, 9)).await.unwrap());
    assert_eq!(story.slot_at(3).await, Some(new.clone()));
    story.ledger.free(&old).await.unwrap();
    assert_eq!(story.slot_at(3).await, Some(new.clone()), "freed by a runner that had it before");
    story.ledger.free(&new).await.unwrap();
    story.ledger.free(&new).await.unwrap();
    assert_eq!(story.slot_at(3).await, None);
}

#[tokio::test]
async fn a_whole_pool_is_read_with_all_its_parts() {
    let story = Story::begin().await;
    let slots = [story.taken(0, 8, &[placed(5)]).await, story.taken(11, 9, &[]).await];
    let waiting = [story.waiting(1).await, story.waiting(2).await];
    story.ledger.hold_github(&story.pool, at(1)).await.unwrap();
    let left = story.ledger.job_left(&story.job(7, JobState::Done)).await.unwrap();
    assert_eq!(left, JobWritten::From(None));
    let (ledger, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert!(corrupt.is_empty(), "{corrupt:?}");
    assert_eq!((ledger.slots.as_slice(), ledger.waiting.as_slice()), (slots.as_slice(), waiting.as_slice()));
    assert_eq!(ledger.state.github_until, Some(at(1)));
}
