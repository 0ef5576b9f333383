use std::num::NonZeroU16;

use crate::event::Change;
use crate::gate::Trouble;
use crate::ids::{JobId, PoolName, SlotIndex};
use crate::job::{Job, JobState};
use crate::notice::Cause;
use crate::policy::Pool;
use crate::slot::{Phase, Purpose, Slot};
use crate::sweep::fixtures::{
    LATER, actions, actions_with, assigned, at, booting, busy, deleting, idle, job, planned, planned_with,
    policy, pool, provider, release, retire, running, scope, slot, spare, unknown, vm, waiting, with_job,
    with_told, world,
};
use crate::sweep::{Action, Next, Observed, Plan, Vm, VmState, Wait, World, plan};

const NONE: Vec<Action> = Vec::new();

fn linux(min: u16, max: u16) -> Pool {
    let max_runners = NonZeroU16::new(max).unwrap();
    Pool { min_runners: min, max_runners, ..pool("linux", &["Linux"]) }
}

fn serve(index: u16, waiting: crate::job::Waiting) -> Action {
    Action::Serve { index: SlotIndex(index), waiting }
}

fn warm(index: u16) -> Action {
    Action::Warm { index: SlotIndex(index) }
}

fn draining(mut world: World) -> World {
    world.pools[0].state.draining = Some(at(0));
    world
}

/// The VMs of slots 0 and 1 run, that of slot 5 is being deleted.
fn going_beside_running() -> Vec<Vm> {
    running([0, 1]).into_iter().chain([vm(5, VmState::Going)]).collect()
}

fn reasons(plan: &Plan) -> Vec<&str> {
    plan.waits.iter().map(|wait| wait.why.as_str()).collect()
}

fn trouble(failures: u32, since: i64) -> Option<Trouble> {
    Some(Trouble { failures, at: at(since), why: "no machines".into() })
}

/// A slot taken then, whose spare runner is idle since.
fn spare_of(index: u16, reserved_at: i64) -> Slot {
    Slot { reserved_at: at(reserved_at), ..spare(index, reserved_at) }
}

#[test]
fn waiting_jobs_get_the_free_slots_oldest_first() {
    let world = world(vec![slot(1, 1, busy())], vec![waiting(8, 1), waiting(9, 2)], running([1]));
    assert_eq!(actions(&world), vec![serve(0, waiting(8, 1)), serve(2, waiting(9, 2))]);
    assert_eq!(planned(&world).waits, vec![]);
}

#[test]
fn a_spare_runner_serves_a_waiting_job_before_a_new_vm_is_made() {
    let ready = spare(1, 0);
    let world = world(vec![slot(0, 1, deleting()), ready.clone()], vec![waiting(8, 1)], running([1]));
    let steps = actions(&with_job(world, 1, None));
    let gone = release(&slot(0, 1, deleting()), Next::Nobody);
    assert_eq!(steps, vec![gone, Action::Assign { slot: ready, waiting: waiting(8, 1) }]);
}

#[test]
fn a_slot_whose_vm_is_gone_goes_to_its_own_job_then_to_the_oldest_waiting_one() {
    let gone = slot(0, 1, deleting());
    let base = || world(vec![gone.clone()], vec![waiting(8, 1)], vec![]);
    let own = with_job(base(), 1, assigned(0));
    assert_eq!(actions(&own)[..1], [release(&gone, Next::Own(JobId(1)))]);
    let half_written = with_job(base(), 1, Some(JobState::Waiting));
    assert_eq!(actions(&half_written)[..1], [release(&gone, Next::Own(JobId(1)))]);
    for void in [Some(JobState::Done), assigned(3), None] {
        let over = with_job(base(), 1, void);
        assert_eq!(actions(&over), vec![release(&gone, Next::Waiting(waiting(8, 1)))]);
    }
    let mut forgotten = with_job(base(), 1, None);
    forgotten.pools[0].waiting.clear();
    assert_eq!(actions(&forgotten), vec![release(&gone, Next::Nobody)]);
}

#[test]
fn a_job_that_could_not_be_looked_up_keeps_its_slot() {
    assert_eq!(actions(&world(vec![slot(0, 1, deleting())], vec![], vec![])), NONE);
}

#[test]
fn a_job_that_another_pool_serves_by_now_counts_on_no_slot_of_its_old_pool() {
    let gone = slot(0, 1, deleting());
    for state in [JobState::Waiting, JobState::Assigned { slot: SlotIndex(0) }] {
        let elsewhere = Job { pool: PoolName::new("newer").unwrap(), ..job(1, state) };
        let mut world = world(vec![gone.clone()], vec![], vec![]);
        world.jobs.insert(JobId(1), Some(elsewhere));
        assert_eq!(actions(&world), vec![release(&gone, Next::Nobody)]);
    }
}

#[test]
fn while_github_asks_to_be_left_alone_no_runner_is_registered() {
    let own = slot(0, 1, deleting());
    let mut world = with_job(world(vec![own], vec![waiting(8, 1)], vec![]), 1, assigned(0));
    world.pools[0].state.github_until = Some(at(LATER + 1));
    let plan = planned(&world);
    assert_eq!(plan.steps, vec![]);
    assert!(reasons(&plan)[0].starts_with("GitHub asked to be left alone until"));
    world.pools[0].state.github_until = Some(at(LATER));
    assert_eq!(actions(&world).len(), 2);
}

#[test]
fn a_job_that_waits_is_told_why() {
    let full: Vec<Slot> = (0..10).map(|index| slot(index, 1, busy())).collect();
    let plan = planned(&world(full, vec![waiting(8, 1)], running(0..10)));
    let why = "its pool is full: all 10 runners are taken".to_owned();
    let pool = pool("linux", &[]).name;
    assert_eq!(
        plan.waits,
        vec![Wait { pool, job: JobId(8), since: at(1), why, cause: Cause::Full, until: None, place: 1 }]
    );
}

#[test]
fn a_drained_pool_starts_nothing_and_lets_running_jobs_end() {
    let (own, ready) = (slot(1, 2, deleting()), spare(2, LATER - 1));
    let slots = vec![slot(0, 1, busy()), own.clone(), ready.clone(), slot(3, 3, idle())];
    let world = draining(world(slots, vec![waiting(8, 1)], running([0, 2, 3])));
    let world = with_job(with_job(world, 2, assigned(1)), 3, assigned(3));
    let plan = planned_with(linux(2, 10), &world);
    let steps: Vec<Action> = plan.steps.iter().map(|step| step.action.clone()).collect();
    assert_eq!(steps, vec![release(&own, Next::Requeue(JobId(2))), retire(&ready)]);
    assert_eq!(reasons(&plan), ["its pool is being drained; `mayfly drain --resume` ends that"]);
}

#[test]
fn on_resume_waiting_jobs_are_served() {
    let mut world = draining(world(vec![], vec![waiting(8, 1)], vec![]));
    assert_eq!(actions(&world), NONE);
    world.pools[0].state.draining = None;
    assert_eq!(actions(&world), vec![serve(0, waiting(8, 1))]);
}

#[test]
fn a_removed_pool_drains_down_by_itself() {
    let (own, ready) = (slot(1, 2, deleting()), spare(2, LATER - 1));
    let slots = vec![slot(0, 1, busy()), own.clone(), ready.clone()];
    let mut world = with_job(world(slots, vec![waiting(8, 1)], running([0, 2])), 2, assigned(1));
    world.removed = vec![Pool::removed(pool("linux", &[]).name, scope())];
    let plan = plan(&policy(vec![]), &world);
    let steps: Vec<Action> = plan.steps.iter().map(|step| step.action.clone()).collect();
    assert_eq!(steps, vec![release(&own, Next::Requeue(JobId(2))), retire(&ready)]);
    assert_eq!(reasons(&plan), ["its pool is configured no more"]);
}

#[test]
fn a_job_beyond_a_lowered_limit_queues_again() {
    let beyond = slot(10, 1, deleting());
    let mut world = with_job(world(vec![beyond.clone()], vec![], vec![]), 1, assigned(10));
    world.pools[0].state.limit = Some(11);
    assert_eq!(actions(&world), vec![release(&beyond, Next::Requeue(JobId(1)))]);
}

#[test]
fn how_far_a_pools_slots_reach_is_remembered_until_none_is_beyond_the_limit() {
    let noted = |slots: Vec<Slot>, before| {
        let vms = running(slots.iter().map(|slot: &Slot| slot.runner.slot().0));
        let mut world = world(slots, vec![], vms);
        world.pools[0].state.limit = before;
        actions_with(linux(0, 5), &world)
    };
    assert_eq!(noted(vec![slot(8, 1, busy())], Some(10)), vec![Action::Limit { limit: 9 }]);
    assert_eq!(noted(vec![slot(8, 1, busy())], Some(9)), NONE);
    assert_eq!(noted(vec![], Some(9)), vec![Action::Limit { limit: 5 }]);
    assert_eq!(noted(vec![], None), vec![Action::Limit { limit: 5 }]);
}

#[test]
fn nothing_is_given_away_while_more_is_taken_than_a_lowered_limit() {
    let high: Vec<Slot> = (6..9).map(|index| slot(index, index.into(), busy())).collect();
    let mut world = world(high, vec![waiting(8, 1)], running(6..9));
    world.pools[0].state.limit = Some(9);
    assert_eq!(actions_with(linux(0, 3), &world), NONE, "three run, so none of the three free slots is");
    assert_eq!(actions_with(linux(0, 4), &world), vec![serve(0, waiting(8, 1))]);
    let own = slot(0, 1, deleting());
    world.pools[0].slots.push(own.clone());
    let world = with_job(world, 1, assigned(0));
    assert_eq!(actions_with(linux(0, 3), &world), vec![release(&own, Next::Requeue(JobId(1)))]);
}

#[test]
fn a_pool_shrinks_by_as_many_spare_runners_as_needed_those_beyond_the_limit_first() {
    let young = LATER - 60;
    let old = spare_of(0, young - 1);
    let slots = vec![old.clone(), spare_of(1, young), spare_of(5, young)];
    let mut world = world(slots, vec![], running([0, 1, 5]));
    world.pools[0].state.limit = Some(6);
    assert_eq!(actions_with(linux(0, 2), &world), vec![retire(&spare_of(5, young))]);
    assert_eq!(
        actions_with(linux(0, 1), &world),
        vec![retire(&spare_of(1, young)), retire(&spare_of(5, young))]
    );

    world.pools[0].slots[2] = slot(5, 9, busy());
    assert_eq!(actions_with(linux(0, 2), &world), vec![retire(&old)], "the busy one stays, so another goes");
    world.pools[0].slots[2] = slot(5, 9, deleting());
    world.pools[0].slots[2].displaced = Some(JobId(9));
    let steps = actions_with(linux(0, 2), &world);
    assert!(matches!(steps[..], [Action::Settle { .. }]), "the third is on its way out: {steps:?}");
    world.pools[0].slots[2].displaced = None;
    world.vms.insert(provider(), Observed::Known { at: at(LATER), value: going_beside_running() });
    assert_eq!(actions_with(linux(0, 2), &world), NONE, "the third is on its way out");
}

#[test]
fn a_pool_whose_creates_fail_pauses_then_tries_one_at_a_time() {
    let mut world = world(vec![], vec![waiting(8, 1), waiting(9, 2)], vec![]);
    world.pools[0].state.creates = trouble(1, LATER);
    assert_eq!(planned(&world).steps.len(), 2, "a single one slows nothing down");
    world.pools[0].state.creates = trouble(2, LATER);
    let paused = planned(&world);
    assert_eq!(paused.steps, vec![]);
    assert!(paused.waits.iter().all(|wait| wait.why.contains("no machines")), "{:?}", paused.waits);
    world.pools[0].state.creates = trouble(2, LATER - 300);
    let trial = planned(&world);
    assert_eq!(trial.steps.len(), 1);
    assert_eq!(reasons(&trial), ["VMs are made one at a time until one succeeds: no machines"]);
}

#[test]
fn a_pool_whose_boots_fail_tries_no_second_vm_while_one_boots() {
    let tried = |slots: Vec<Slot>, failures| {
        let vms = running(slots.iter().map(|slot: &Slot| slot.runner.slot().0));
        let mut world = world(slots, vec![waiting(8, 1), waiting(9, 2)], vms);
        world.pools[0].state.boots = trouble(failures, 0);
        actions(&world)
    };
    let fresh = |phase| Slot { reserved_at: at(LATER), ..slot(0, 1, phase) };
    assert_eq!(tried(vec![], 3), vec![serve(0, waiting(8, 1))]);
    assert_eq!(tried(vec![fresh(Phase::Reserved)], 3), NONE);
    let machine = crate::sweep::fixtures::machine();
    let boots = fresh(Phase::Booting { machine, since: at(LATER) });
    assert_eq!(tried(vec![boots.clone()], 3), NONE);
    assert_eq!(tried(vec![boots], 2).len(), 2, "single boots that fail slow nothing down");
}

#[test]
fn boots_that_failed_are_forgotten_once_a_runner_comes_online() {
    let forgotten = |slot: Slot| {
        let mut world = with_job(world(vec![slot], vec![], running([0])), 1, assigned(0));
        world.pools[0].state.boots = trouble(3, -60);
        actions(&world).contains(&Action::Recover)
    };
    assert!(forgotten(slot(0, 1, idle())));
    assert!(forgotten(slot(0, 1, busy())));
    assert!(!forgotten(slot(0, 1, booting())));
    let warm = Slot { reserved_at: at(-5_000), ..slot(0, 1, busy()) };
    assert!(!forgotten(warm), "it booted long before, and took a job since");
    let mut before = world(vec![slot(0, 1, busy())], vec![], running([0]));
    before.pools[0].state.boots = trouble(3, 60);
    assert!(!actions(&before).contains(&Action::Recover), "it was up before");
}

#[test]
fn min_runners_stand_ready_in_free_slots() {
    let mut empty = world(vec![], vec![], vec![]);
    assert_eq!(actions_with(linux(2, 10), &empty), vec![warm(0), warm(1)]);
    empty.pools[0].state.limit = Some(2);
    assert_eq!(actions_with(linux(5, 2), &empty), vec![warm(0), warm(1)], "never more than the limit");
    empty.pools[0].waiting.push(waiting(8, 1));
    assert_eq!(actions_with(linux(2, 2), &empty), vec![serve(0, waiting(8, 1)), warm(1)], "jobs go first");
    let used = world(vec![slot(0, 1, busy())], vec![], running([0]));
    assert_eq!(actions_with(linux(1, 10), &used), vec![warm(1)], "a used one is replaced");
}

#[test]
fn warm_runners_on_their_way_are_counted() {
    let fresh = Slot { reserved_at: at(LATER), ..spare(0, LATER) };
    let reserved = Slot { phase: Phase::Reserved, ..fresh.clone() };
    let booting = Slot {
        phase: Phase::Booting { machine: crate::sweep::fixtures::machine(), since: at(LATER) },
        ..fresh
    };
    for slot in [reserved, booting] {
        assert_eq!(actions_with(linux(1, 10), &world(vec![slot.clone()], vec![], running([0]))), NONE);
        let mut unseen = world(vec![slot], vec![], vec![]);
        unseen.vms.values_mut().for_each(|list| *list = crate::sweep::fixtures::unknown());
        assert_eq!(actions_with(linux(1, 10), &unseen), NONE);
    }
}

#[test]
fn a_spare_runner_goes_after_idle_timeout_beyond_those_kept_warm_and_the_youngest_are_kept() {
    let slots = vec![spare_of(0, 1), spare_of(1, 2), spare_of(2, LATER - 599)];
    let world = world(slots, vec![], running([0, 1, 2]));
    assert_eq!(actions_with(linux(0, 10), &world), vec![retire(&spare_of(0, 1)), retire(&spare_of(1, 2))]);
    assert_eq!(actions_with(linux(1, 10), &world), vec![retire(&spare_of(0, 1)), retire(&spare_of(1, 2))]);
    assert_eq!(actions_with(linux(2, 10), &world), vec![retire(&spare_of(0, 1))]);
    assert_eq!(actions_with(linux(3, 10), &world), NONE);
}

#[test]
fn a_warm_runner_that_is_up_is_kept_before_one_that_boots() {
    let young = spare_of(1, LATER - 60);
    let boots = Slot {
        phase: Phase::Booting { machine: crate::sweep::fixtures::machine(), since: at(LATER - 60) },
        ..young
    };
    let world = world(vec![spare_of(0, 1), boots], vec![], running([0, 1]));
    assert_eq!(actions_with(linux(1, 10), &world), NONE);
}

#[test]
fn an_aged_warm_runner_is_renewed_only_when_a_younger_one_is_ready_or_its_time_is_up() {
    let half = 3 * 3600;
    let aged = |now: i64, others: Vec<Slot>| {
        let slots: Vec<Slot> = std::iter::once(spare_of(0, 0)).chain(others).collect();
        let mut world = world(slots, vec![], vec![]);
        world.now = at(now);
        let seen =
            world.pools[0].slots.iter().map(|slot| vm(slot.runner.slot().0, VmState::Running)).collect();
        world
            .vms
            .values_mut()
            .for_each(|list| *list = crate::sweep::Observed::Known { at: at(now), value: Vec::clone(&seen) });
        actions_with(linux(1, 10), &world)
    };
    assert_eq!(aged(half - 1, vec![]), NONE);
    assert_eq!(aged(half, vec![]), vec![warm(1)], "its successor is made first");
    let boots = Phase::Booting { machine: crate::sweep::fixtures::machine(), since: at(half) };
    let boots = Slot { phase: boots, ..spare_of(1, half) };
    assert_eq!(aged(half, vec![boots]), NONE);
    assert_eq!(aged(half, vec![spare_of(1, half)]), vec![retire(&spare_of(0, 0))]);
    let nearly = half / 2 * 3;
    assert_eq!(aged(nearly, vec![]), vec![retire(&spare_of(0, 0)), warm(1)]);
}

#[test]
fn a_job_that_comes_back_to_the_queue_is_not_served_twice() {
    let idle = slot(0, 1, idle());
    let world = world(vec![idle.clone()], vec![waiting(1, 0)], running([0]));
    let world = with_told(with_job(world, 1, Some(JobState::Waiting)), 1, Change::Queued);
    let steps = actions(&world);
    assert_eq!(steps, vec![Action::Spare { slot: idle }, serve(1, waiting(1, 0))]);
}

#[test]
fn a_slot_whose_item_cannot_be_read_is_not_given_away() {
    let mut world = world(vec![], vec![waiting(8, 1), waiting(9, 2)], vec![]);
    world.pools[0].unreadable = [SlotIndex(0)].into();
    world.pools[0].state.limit = Some(2);
    let served = actions_with(linux(0, 2), &world);
    assert_eq!(served, vec![serve(1, waiting(8, 1))], "it may hold a VM, so it counts");
}

#[test]
fn while_github_cannot_be_asked_a_slow_warm_runner_is_not_doubled_by_every_sweep() {
    let warm = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(0, 0, booting()) };
    let mut world = world(vec![warm], vec![], running([0]));
    world.pools[0].state.limit = Some(10);
    world.runners.insert(scope(), unknown());
    assert_eq!(actions_with(linux(1, 10), &world), NONE, "it may still come up");
}

#[test]
fn what_takes_a_free_slot_or_says_how_far_slots_reach_is_told_from_what_repairs() {
    let (slot, index) = (slot(0, 1, busy()), SlotIndex(0));
    let takes = [serve(0, waiting(1, 0)), Action::Warm { index }, Action::Limit { limit: 1 }];
    assert!(takes.iter().all(Action::takes));
    let repairs = [Action::Delete { slot }, Action::Requeue { job: JobId(1) }, Action::Recover];
    assert!(!repairs.iter().any(Action::takes));
}
