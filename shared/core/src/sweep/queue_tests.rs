//! Who waits, who is served by what was let go, and who leaves the queue.

use std::num::NonZeroU16;

use crate::event::Change;
use crate::gate::Trouble;
use crate::ids::{JobId, SlotIndex};
use crate::job::JobState;
use crate::policy::Pool;
use crate::slot::Slot;
use crate::sweep::fixtures::{
    actions, actions_with, assigned, at, deleting, pool, release, running, slot, waiting, with_job,
    with_told, world,
};
use crate::sweep::{Action, Next};

fn linux(min: u16, max: u16) -> Pool {
    let max_runners = NonZeroU16::new(max).unwrap();
    Pool { min_runners: min, max_runners, ..pool("linux", &["Linux"]) }
}

fn trouble(failures: u32) -> Option<Trouble> {
    Some(Trouble { failures, at: at(0), why: "no machines".into() })
}

#[test]
fn an_entry_leaves_the_queue_when_neither_github_nor_its_record_has_it_waiting() {
    let over = Change::Ended { runner: None, conclusion: None };
    let started = Change::Started { runner: None };
    let dropped = |state: Option<Option<JobState>>, change: Option<Change>| {
        let mut world = world(vec![], vec![waiting(8, 1)], vec![]);
        world
            .jobs
            .extend(state.map(|state| (JobId(8), state.map(|state| crate::sweep::fixtures::job(8, state)))));
        let world = match change {
            Some(change) => with_told(world, 8, change),
            None => world,
        };
        actions(&world).contains(&Action::Drop { waiting: waiting(8, 1) })
    };
    for change in [&over, &started, &Change::Held] {
        let change = || Some(change.clone());
        assert!(dropped(Some(None), change()), "forgotten");
        for state in [JobState::Done, JobState::Held, JobState::Running { slot: None }] {
            assert!(dropped(Some(Some(state)), change()));
        }
        for state in [JobState::Waiting, JobState::Assigned { slot: SlotIndex(3) }] {
            assert!(!dropped(Some(Some(state)), change()), "what GitHub says is recorded first");
        }
        assert!(!dropped(None, change()), "its record could not be read");
    }
    for wanted in [None, Some(Change::Queued)] {
        for state in [None, Some(JobState::Done), Some(JobState::Held)] {
            assert!(!dropped(Some(state), wanted.clone()), "GitHub does not say that it needs no runner");
        }
    }
}

#[test]
fn a_full_pools_slot_whose_vm_is_gone_is_given_on_at_once() {
    let gone = slot(0, 1, deleting());
    let full = |jobs| {
        let mut world = world(vec![gone.clone()], jobs, vec![]);
        world.pools[0].state.limit = Some(1);
        world
    };
    let own = with_job(full(vec![]), 1, assigned(0));
    assert_eq!(actions_with(linux(0, 1), &own), vec![release(&gone, Next::Own(JobId(1)))]);
    let next = with_job(full(vec![waiting(8, 1)]), 1, Some(JobState::Done));
    assert_eq!(actions_with(linux(0, 1), &next), vec![release(&gone, Next::Waiting(waiting(8, 1)))]);
}

#[test]
fn a_slot_that_nobody_wants_uses_up_no_trial() {
    let gone = slot(0, 1, deleting());
    let mut world = with_job(world(vec![gone.clone()], vec![], vec![]), 1, Some(JobState::Done));
    world.pools[0].state.creates = trouble(2);
    let warm = Action::Warm { index: SlotIndex(1) };
    assert_eq!(actions_with(linux(1, 10), &world), vec![release(&gone, Next::Nobody), warm]);
}

#[test]
fn a_runner_shows_that_boots_succeed_when_its_own_may_have_ended_after_the_last_that_failed() {
    // `step_timeout` and `boot_timeout` together are twelve minutes.
    for (reserved_at, up_since, forgotten) in
        [(-719, 1, true), (-720, 1, false), (-719, 0, false), (-1, 1, true)]
    {
        let phase = crate::slot::Phase::Busy {
            machine: Some(crate::sweep::fixtures::machine()),
            since: at(up_since),
        };
        let up = Slot { reserved_at: at(reserved_at), ..slot(0, 1, phase) };
        let mut world = world(vec![up], vec![], running([0]));
        world.pools[0].state.boots = trouble(3);
        let recovers = actions(&world).contains(&Action::Recover);
        assert_eq!(recovers, forgotten, "reserved at {reserved_at}, up since {up_since}");
    }
}
