use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::ProviderName;
use crate::slot::{PhaseKind, VmPlace};
use crate::sweep::fixtures::{
    at, booting, busy, deleting, idle, policy, pool, provider, runner, slot, vm, waiting,
};

/// Long after everything in the fixtures happened.
const LATER: i64 = 10_000;

fn world(slots: Vec<Slot>, waiting: Vec<Waiting>, vms: Vec<Vm>) -> World {
    let ledger = PoolLedger { pool: PoolName::new("linux").unwrap(), slots, waiting, github_until: None };
    World {
        now: at(LATER),
        pools: vec![ledger],
        vms: BTreeMap::from([(provider(), Observed::Known { at: at(LATER), value: vms })]),
        jobs: BTreeMap::new(),
    }
}

fn with_job(mut world: World, job: u64, state: Option<JobState>) -> World {
    world.jobs.insert(JobId(job), state);
    world
}

fn planned(world: &World) -> Plan {
    plan(&policy(vec![pool("linux", &["Linux"])]), world)
}

fn actions(world: &World) -> Vec<Action> {
    planned(world).steps.into_iter().map(|step| step.action).collect()
}

fn spare(index: u16, since: i64) -> Slot {
    Slot { purpose: Purpose::Spare { since: at(since) }, ..slot(index, 0, idle()) }
}

fn assigned(index: u16) -> Option<JobState> {
    Some(JobState::Assigned { slot: SlotIndex(index) })
}

#[test]
fn a_world_in_order_is_left_alone() {
    let slots = vec![slot(0, 1, busy()), spare(1, LATER - 60)];
    let world = world(slots, vec![], vec![vm(0, VmState::Running), vm(1, VmState::Running)]);
    assert_eq!(actions(&world), vec![]);
    let asked = jobs_in_question(&policy(vec![pool("linux", &["Linux"])]), &world);
    assert_eq!(asked, vec![], "a pool in good order asks for no job");
}

#[test]
fn waiting_jobs_get_the_free_slots_oldest_first() {
    let world =
        world(vec![slot(1, 1, busy())], vec![waiting(8, 1), waiting(9, 2)], vec![vm(1, VmState::Running)]);
    let serve = |index, waiting| Action::Serve { index: SlotIndex(index), waiting };
    assert_eq!(actions(&world), vec![serve(0, waiting(8, 1)), serve(2, waiting(9, 2))]);
}

#[test]
fn a_spare_runner_serves_a_waiting_job_before_a_new_vm_is_made() {
    let world = world(vec![spare(0, 0)], vec![waiting(8, 1)], vec![vm(0, VmState::Running)]);
    assert_eq!(actions(&world), vec![Action::Assign { slot: spare(0, 0), waiting: waiting(8, 1) }]);
}

#[test]
fn a_spare_runner_goes_after_idle_timeout_beyond_those_kept_warm() {
    let world =
        world(vec![spare(0, 0), spare(1, 0)], vec![], vec![vm(0, VmState::Running), vm(1, VmState::Running)]);
    let mut linux = pool("linux", &["Linux"]);
    linux.min_runners = 1;
    let steps = plan(&policy(vec![linux]), &world).steps;
    assert_eq!(
        steps.into_iter().map(|step| step.action).collect::<Vec<_>>(),
        [Action::Retire { slot: spare(1, 0) }]
    );
}

#[test]
fn a_slot_whose_vm_is_gone_goes_to_its_own_job_then_to_the_oldest_waiting_one() {
    let gone = slot(0, 1, deleting());
    let release = |next| vec![Action::Release { slot: gone.clone(), next }];
    let base = || world(vec![gone.clone()], vec![waiting(8, 1)], vec![]);

    let own = with_job(base(), 1, assigned(0));
    assert_eq!(actions(&own)[..1], release(Next::Own(JobId(1))));
    let over = with_job(base(), 1, Some(JobState::Done));
    assert_eq!(actions(&over), release(Next::Waiting(waiting(8, 1))));
    let mut forgotten = with_job(base(), 1, None);
    forgotten.pools[0].waiting.clear();
    assert_eq!(actions(&forgotten), release(Next::Nobody));
}

#[test]
fn a_deletion_that_came_to_nothing_is_asked_for_again() {
    let still_there = slot(0, 1, deleting());
    let mut world = world(vec![still_there.clone()], vec![], vec![vm(0, VmState::Running)]);
    assert_eq!(actions(&world), vec![Action::Delete { slot: still_there }]);
    world.now = at(10);
    assert_eq!(actions(&world), vec![], "somebody is just asking for it");
}

#[test]
fn while_github_asks_to_be_left_alone_no_runner_is_registered() {
    let own = slot(0, 1, deleting());
    let mut world = with_job(world(vec![own], vec![waiting(8, 1)], vec![]), 1, assigned(0));
    world.pools[0].github_until = Some(at(LATER + 1));
    assert_eq!(actions(&world), vec![]);
    world.pools[0].github_until = Some(at(LATER));
    assert_eq!(actions(&world).len(), 2);
}

#[test]
fn a_job_that_could_not_be_looked_up_keeps_its_slot() {
    let world = world(vec![slot(0, 1, deleting())], vec![], vec![]);
    assert_eq!(actions(&world), vec![]);
}

#[test]
fn a_job_beyond_a_lowered_limit_queues_again() {
    let beyond = slot(10, 1, deleting());
    let world = with_job(world(vec![beyond.clone()], vec![], vec![]), 1, assigned(10));
    assert_eq!(actions(&world), vec![Action::Release { slot: beyond, next: Next::Requeue(JobId(1)) }]);
}

#[test]
fn provisioning_that_nobody_finished_is_taken_up() {
    let left = slot(0, 1, Phase::Reserved);
    let taken_up = |vms| actions(&with_job(world(vec![left.clone()], vec![], vms), 1, assigned(0)));
    assert_eq!(taken_up(vec![]), vec![Action::Release { slot: left.clone(), next: Next::Own(JobId(1)) }]);
    let there = vm(0, VmState::Running);
    assert_eq!(taken_up(vec![there.clone()]), vec![Action::Adopt { slot: left.clone(), vm: there }]);
    assert_eq!(taken_up(vec![vm(0, VmState::Stopped)]), vec![Action::Delete { slot: left.clone() }]);

    let mut fresh = world(vec![left], vec![], vec![]);
    fresh.now = at(60);
    assert_eq!(actions(&fresh), vec![], "somebody may be at it");
}

#[test]
fn a_vm_that_vanished_or_stopped_is_noticed_in_every_phase() {
    for phase in [booting(), idle(), busy()] {
        let slot = slot(0, 1, phase);
        let vanished = with_job(world(vec![slot.clone()], vec![], vec![]), 1, Some(JobState::Done));
        assert_eq!(actions(&vanished), vec![Action::Release { slot: slot.clone(), next: Next::Nobody }]);
        let stopped = world(vec![slot.clone()], vec![], vec![vm(0, VmState::Stopped)]);
        assert_eq!(actions(&stopped), vec![Action::Delete { slot }]);
    }
}

#[test]
fn a_list_asked_for_before_the_vm_was_made_proves_nothing() {
    let world = |phase| {
        let mut world = with_job(world(vec![slot(0, 1, phase)], vec![], vec![]), 1, Some(JobState::Done));
        world.now = at(100);
        world.vms.insert(provider(), Observed::Known { at: at(-1), value: vec![] });
        world
    };
    for phase in [booting(), idle(), busy(), deleting()] {
        assert_eq!(actions(&world(phase)), vec![]);
    }
}

#[test]
fn a_deletion_that_somebody_waits_for_is_theirs() {
    let watched = |until| {
        let phase = Phase::Deleting { machine: None, since: at(0), watched_until: Some(at(until)) };
        actions(&with_job(world(vec![slot(0, 1, phase)], vec![], vec![]), 1, Some(JobState::Done))).len()
    };
    assert_eq!((watched(LATER + 1), watched(LATER)), (0, 1));
}

#[test]
fn a_runner_that_took_no_job_in_time_is_retired_not_killed() {
    let slow = slot(0, 1, booting());
    let world = world(vec![slow.clone()], vec![], vec![vm(0, VmState::Running)]);
    assert_eq!(actions(&world), vec![Action::Retire { slot: slow }]);
}

#[test]
fn a_spare_runner_is_judged_by_idle_timeout_alone() {
    let warm = Slot { purpose: Purpose::Spare { since: at(LATER - 60) }, ..slot(0, 0, booting()) };
    let world = world(vec![warm], vec![], vec![vm(0, VmState::Running)]);
    assert_eq!(actions(&world), vec![]);
}

#[test]
fn a_runner_whose_job_is_over_elsewhere_is_spare() {
    let idle = slot(0, 1, idle());
    for state in [JobState::Done, JobState::Held, JobState::Running { slot: Some(SlotIndex(4)) }] {
        let world =
            with_job(world(vec![idle.clone()], vec![], vec![vm(0, VmState::Running)]), 1, Some(state));
        assert_eq!(actions(&world), vec![Action::Spare { slot: idle.clone() }]);
    }
}

#[test]
fn a_job_whose_runner_was_taken_is_seen_to_before_anything_else() {
    for phase in [busy(), deleting()] {
        let crossed = Slot { displaced: Some(JobId(5)), ..slot(0, 1, phase) };
        let mut world = with_job(world(vec![crossed.clone()], vec![], vec![]), 1, Some(JobState::Done));
        assert_eq!(actions(&world), vec![Action::Settle { slot: crossed, job: JobId(5) }]);
        world.now = at(10);
        assert_eq!(actions(&world), vec![], "the invocation that was told of it may be at it");
    }
}

#[test]
fn an_orphan_goes_after_its_grace_and_a_strangers_vm_never() {
    let orphan = vm(7, VmState::Running);
    let odd = Vm { name: "test-but-not-ours".into(), ..orphan.clone() };
    let young = Vm { created_at: Some(at(LATER - 100)), ..vm(8, VmState::Running) };
    let ageless = Vm { created_at: None, ..vm(9, VmState::Running) };
    let world = world(vec![], vec![], vec![orphan.clone(), odd, young, ageless]);
    assert_eq!(actions(&world), vec![Action::Sweep { vm: orphan }]);
}

#[test]
fn a_pool_that_the_table_did_not_tell_of_has_no_orphans() {
    let mut world = world(vec![], vec![], vec![vm(7, VmState::Running)]);
    world.pools.clear();
    assert_eq!(actions(&world), vec![]);
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Reserved), Just(booting()), Just(idle()), Just(busy()), Just(deleting())]
}

fn any_vm_state() -> impl Strategy<Value = Option<VmState>> {
    proptest::option::of(prop_oneof![Just(VmState::Running), Just(VmState::Stopped), Just(VmState::Going)])
}

fn any_job() -> impl Strategy<Value = Option<JobState>> {
    proptest::option::of(prop_oneof![
        Just(JobState::Waiting),
        Just(JobState::Held),
        Just(JobState::Done),
        (0u16..12).prop_map(|slot| JobState::Assigned { slot: SlotIndex(slot) }),
        (0u16..12).prop_map(|slot| JobState::Running { slot: Some(SlotIndex(slot)) }),
    ])
}

prop_compose! {
    fn any_world()(
        slots in proptest::collection::vec((any_phase(), any_vm_state(), proptest::option::of(any_job())), 0..14),
        queue in 0u64..6, now in 0i64..2_000, asked in 0i64..2_000,
    ) -> World {
        let numbered = || slots.iter().enumerate().map(|(index, entry)| (index as u16, entry));
        let mut world = world(
            numbered().map(|(index, (phase, ..))| slot(index, u64::from(index), phase.clone())).collect(),
            (100..100 + queue).map(|job| waiting(job, job as i64)).collect(),
            numbered().filter_map(|(index, (_, state, _))| Some(vm(index, (*state)?))).collect(),
        );
        world.now = at(now);
        for (index, (.., job)) in numbered() {
            if let Some(job) = job {
                world.jobs.insert(JobId(u64::from(index)), job.clone());
            }
        }
        if let Some(Observed::Known { at: when, .. }) = world.vms.get_mut(&provider()) {
            *when = at(asked);
        }
        world
    }
}

proptest! {
    /// I9, and I1 as far as a plan can break it.
    #[test]
    fn nothing_is_done_to_a_vm_whose_provider_did_not_answer(mut world in any_world()) {
        world.vms.insert(provider(), Observed::Unknown { why: "503".into() });
        for action in actions(&world) {
            let harmless = matches!(action, Action::Serve { .. } | Action::Spare { .. } | Action::Assign { .. });
            prop_assert!(harmless, "{action:?}");
        }
    }

    #[test]
    fn a_running_vm_of_a_busy_slot_is_never_touched(world in any_world()) {
        for action in actions(&world) {
            if let Action::Delete { slot } | Action::Retire { slot } | Action::Release { slot, .. } = action {
                let running = matches!(sight(&world, &slot), Sighting::There(vm) if vm.state == VmState::Running);
                prop_assert!(!running || slot.phase.kind() != PhaseKind::Busy);
            }
        }
    }

    /// I2: a slot is given away once, and only when no VM stands for it.
    #[test]
    fn no_slot_and_no_job_is_given_twice_and_none_beyond_the_limit(world in any_world()) {
        let (mut slots, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        for action in actions(&world) {
            let (index, job) = match action {
                Action::Serve { index, waiting } => (index, Some(waiting.job)),
                Action::Assign { slot, waiting } => (slot.runner.slot(), Some(waiting.job)),
                Action::Release { slot, next } => {
                    prop_assert!(matches!(sight(&world, &slot), Sighting::Gone(_)));
                    let job = match next {
                        Next::Own(job) => Some(job),
                        Next::Waiting(waiting) => Some(waiting.job),
                        Next::Requeue(_) | Next::Nobody => None,
                    };
                    (slot.runner.slot(), job)
                }
                Action::Delete { slot } | Action::Retire { slot } | Action::Spare { slot } | Action::Adopt { slot, .. } => {
                    (slot.runner.slot(), None)
                }
                Action::Sweep { .. } | Action::Settle { .. } => continue,
            };
            prop_assert!(slots.insert(index), "{index} twice");
            if let Some(job) = job {
                prop_assert!(jobs.insert(job), "job {job} twice");
                prop_assert!(index.0 < 10, "{index} is beyond the limit");
            }
        }
    }
}

#[test]
fn a_vm_may_be_in_any_provider_when_its_place_is_unknown() {
    let elsewhere = ProviderName::new("lab").unwrap();
    let mut world = world(vec![], vec![], vec![vm(0, VmState::Running)]);
    world.vms.insert(elsewhere.clone(), Observed::Unknown { why: "down".into() });
    let name = runner(1);
    assert_eq!(world.sight(name.as_str(), None), Sighting::Unknown);
    let place = VmPlace { provider: provider(), at: "us-east1-c".into() };
    assert_eq!(world.sight(name.as_str(), Some(&place)), Sighting::Gone(at(LATER)));
}
