//! What counts as taken, as on its way out, and as warm.

use std::num::NonZeroU16;

use crate::ids::JobId;
use crate::making::MakingStep;
use crate::policy::Pool;
use crate::slot::{Phase, Purpose, Slot};
use crate::sweep::fixtures::{
    LATER, actions, actions_with, assigned, at, busy, creating, deleting, idle, lab_pool, machine, pool,
    retire, running, seen, slot, spare, vm, waiting, with_job, with_runners, world,
};
use crate::sweep::{Action, VmState, World};

const NONE: Vec<Action> = Vec::new();

fn linux(min: u16, max: u16) -> Pool {
    let max_runners = NonZeroU16::new(max).unwrap();
    Pool { min_runners: min, max_runners, ..pool("linux", &["Linux"]) }
}

/// What a pool whose limit was lowered to one does with two runners: a young spare one, and this one beyond the limit.
fn shrunk(other: &Slot, vms: Vec<super::Vm>) -> Vec<Action> {
    let mut world = world(vec![young(), other.clone()], vec![], vms);
    world.pools[0].state.limit = Some(6);
    actions_with(linux(0, 1), &with_job(world, 1, assigned(5)))
}

fn young() -> Slot {
    spare(0, LATER - 60)
}

#[test]
fn a_runner_that_goes_for_another_reason_leaves_room_for_a_spare_one() {
    let stopped = slot(5, 1, idle());
    let vms = vec![vm(0, VmState::Running), vm(5, VmState::Stopped)];
    assert_eq!(shrunk(&stopped, vms), vec![Action::Delete { slot: stopped }]);

    let stuck = slot(5, 1, deleting());
    let settle = Action::Settle { slot: stuck.clone(), job: JobId(1) };
    assert_eq!(shrunk(&stuck, running([0, 5])), vec![settle]);
}

#[test]
fn a_runner_whose_job_was_crossed_is_on_its_way_out_only_once_it_is_in_deletion() {
    let crossed = |phase| Slot { displaced: Some(JobId(7)), ..slot(5, 1, phase) };
    let settle = |slot: Slot| Action::Settle { slot, job: JobId(7) };
    let going = crossed(deleting());
    assert_eq!(shrunk(&going, running([0, 5])), vec![settle(going)]);
    let runs = crossed(busy());
    let both = vec![retire(&young()), settle(runs.clone())];
    let mut steps = shrunk(&runs, running([0, 5]));
    steps.sort_by_key(|action| matches!(action, Action::Settle { .. }));
    assert_eq!(steps, both);
}

#[test]
fn a_warm_runner_that_is_taken_up_again_is_not_doubled() {
    let reserved = Slot { phase: Phase::Reserved, ..spare(0, 0) };
    let found = world(vec![reserved.clone()], vec![], running([0]));
    let adopt = Action::Adopt { slot: reserved, vm: vm(0, VmState::Running) };
    assert_eq!(actions_with(linux(1, 10), &found), vec![adopt]);

    let half_made =
        Slot { reserved_at: at(LATER - 60), phase: creating(MakingStep::Starting, LATER - 1), ..spare(0, 0) };
    let found = world(vec![half_made.clone()], vec![], running([0]));
    let pool = Pool { min_runners: 1, ..lab_pool() };
    assert_eq!(actions_with(pool, &found), vec![Action::Advance { slot: half_made }]);
}

#[test]
fn a_reserved_slot_of_a_job_is_no_warm_runner() {
    let reserved = slot(0, 1, Phase::Reserved);
    let found = with_job(world(vec![reserved.clone()], vec![], running([0])), 1, assigned(0));
    let steps = actions_with(linux(1, 10), &found);
    assert!(steps.iter().any(|step| matches!(step, Action::Warm { .. })), "{steps:?}");
}

/// A spare runner, idle or booting, while GitHub's list cannot be read.
fn unlisted(phase: Phase, now: i64) -> World {
    let spare = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(0, 0, phase) };
    let mut world = world(vec![spare], vec![waiting(8, 1)], running([0]));
    world.now = at(now);
    world.runners.clear();
    world
}

#[test]
fn a_spare_runner_serves_although_github_cannot_be_asked_for_it() {
    let assigned = |world: &World| matches!(actions(world)[..], [Action::Assign { .. }]);
    assert!(assigned(&unlisted(idle(), LATER)), "it was online");
    let booting = || Phase::Booting { machine: machine(), since: at(0) };
    assert!(assigned(&unlisted(booting(), 599)), "it may come online in time");
    assert!(!assigned(&unlisted(booting(), 600)));
}

#[test]
fn a_vm_that_goes_already_or_whose_deletion_is_seen_to_is_not_deleted_for_its_age() {
    let end = 6 * 3600 + 120;
    let aged = |slot: Slot, state| {
        let runner = seen(&slot.runner, true, true);
        let mut world = with_runners(world(vec![slot], vec![], vec![vm(0, state)]), vec![runner]);
        world.now = at(end);
        actions(&world)
    };
    assert_eq!(aged(slot(0, 1, busy()), VmState::Going), NONE);
    let phase = Phase::Deleting { machine: None, since: at(0), watched_until: Some(at(end + 1)) };
    assert_eq!(aged(slot(0, 1, phase), VmState::Running), NONE);
}
