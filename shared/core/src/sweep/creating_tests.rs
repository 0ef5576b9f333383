//! VMs that are made in steps, and placements that say how much room they have.

use super::super::fixtures::{
    LATER, assigned, at, booting, busy, creating, deployment, idle, job, lab_pool, planned_with, policy,
    provider, retire, running, scope, seen, slot, unknown, vm, waiting, with_job, with_runners, world,
};
use super::super::{Action, Next, Observed, Plan, SeenRunner, VmState, World, plan};
use crate::gate::PoolState;
use crate::ids::{JobId, RunnerName};
use crate::job::JobState;
use crate::making::MakingStep;
use crate::policy::Pool;
use crate::slot::{Phase, Purpose, Slot, VmPlace};

const STEP: MakingStep = MakingStep::Cloning { task: None };

/// Slot 1 for job 1, asked for so many seconds ago, at that step, leased until so many seconds from now.
fn half_made(step: MakingStep, ago: i64, leased: i64) -> Slot {
    Slot { reserved_at: at(LATER - ago), ..slot(1, 1, creating(step, LATER + leased)) }
}

fn of(slot: &Slot, vms: Vec<super::Vm>) -> World {
    with_job(world(vec![slot.clone()], vec![], vms), 1, assigned(1))
}

fn planned(world: &World) -> Plan {
    planned_with(lab_pool(), world)
}

fn actions(world: &World) -> Vec<Action> {
    planned(world).steps.into_iter().map(|step| step.action).collect()
}

#[test]
fn a_half_made_vm_is_taken_further_when_nobody_is_at_it() {
    for (state, leased, expected) in [
        (VmState::Running, 30, false),
        (VmState::Running, 0, false),
        (VmState::Running, -1, true),
        // A clone that nobody has started yet.
        (VmState::Stopped, 30, false),
        (VmState::Stopped, -1, true),
    ] {
        let slot = half_made(STEP, 60, leased);
        let advance = vec![Action::Advance { slot: slot.clone() }];
        let expected = if expected { advance } else { vec![] };
        assert_eq!(actions(&of(&slot, vec![vm(1, state)])), expected, "{state:?} leased for {leased} s");
    }
}

#[test]
fn a_half_made_vm_is_not_given_up_before_somebody_has_looked_at_it_in_vain() {
    let timeout = i64::try_from(lab_pool().boot_timeout.as_secs()).unwrap();
    let mut unlooked = half_made(MakingStep::WaitingForAgent, timeout + 300, -301);
    let advance = vec![Action::Advance { slot: unlooked.clone() }];
    assert_eq!(actions(&of(&unlooked, vec![vm(1, VmState::Running)])), advance, "sweeps were far apart");
    unlooked.phase = creating(MakingStep::WaitingForAgent, LATER - 299);
    assert!(
        !actions(&of(&unlooked, vec![vm(1, VmState::Running)])).contains(&advance[0]),
        "somebody was at it when the time was over"
    );
}

/// Its provider's list is behind, and a sweep may take long from that list to the slots.
#[test]
fn a_vm_that_was_off_before_it_was_started_is_not_taken_for_one_that_has_ended() {
    let patience = i64::try_from(policy(vec![]).timing.step_timeout.as_secs()).unwrap();
    for (of_phase, ended) in
        [(busy as fn() -> Phase, "off: its job is over"), (booting, "no event told of a job there")]
    {
        for (ago, is_over) in [(-30, false), (0, false), (patience, false), (patience + 1, true)] {
            let mut phase = of_phase();
            if let Phase::Busy { since, .. } | Phase::Booting { since, .. } = &mut phase {
                *since = at(LATER - ago);
            }
            let slot = Slot { reserved_at: at(LATER - 300), ..slot(1, 1, phase) };
            let plan = planned(&of(&slot, vec![vm(1, VmState::Stopped)]));
            let deleted = plan.steps.iter().find(|step| matches!(step.action, Action::Delete { .. }));
            assert_eq!(deleted.is_some_and(|step| step.why.ends_with(ended)), is_over, "{slot:?}");
            assert!(is_over || plan.steps.is_empty(), "{plan:?}");
        }
    }
}

#[test]
fn a_warm_vm_that_was_off_before_it_was_started_is_counted() {
    for mut phase in [booting(), idle()] {
        if let Phase::Idle { since, .. } | Phase::Booting { since, .. } = &mut phase {
            *since = at(LATER - 5);
        }
        let purpose = Purpose::Spare { since: at(LATER - 60) };
        let warm = Slot { purpose, reserved_at: at(LATER - 60), ..slot(1, 1, phase) };
        let pool = Pool { min_runners: 1, ..lab_pool() };
        let plan = planned_with(pool, &of(&warm, vec![vm(1, VmState::Stopped)]));
        assert!(plan.steps.is_empty(), "no second one is made: {plan:?}");
    }
}

#[test]
fn boot_timeout_counts_from_when_the_vm_was_asked_for() {
    let timeout = i64::try_from(lab_pool().boot_timeout.as_secs()).unwrap();
    let just_booting = |ago: i64| {
        let mut phase = booting();
        if let Phase::Booting { since, .. } = &mut phase {
            *since = at(LATER - 5);
        }
        Slot { reserved_at: at(LATER - ago), ..slot(1, 1, phase) }
    };
    let retired = |slot: &Slot| {
        let actions = actions(&of(slot, vec![vm(1, VmState::Running)]));
        actions.iter().any(|action| matches!(action, Action::Retire { .. }))
    };
    assert!(!retired(&just_booting(timeout - 1)));
    assert!(retired(&just_booting(timeout)));
}

#[test]
fn a_half_made_vm_that_is_in_no_list_is_waited_for_while_somebody_is_at_it() {
    assert_eq!(actions(&of(&half_made(STEP, 60, 30), vec![])), vec![]);
    assert_eq!(actions(&of(&half_made(STEP, 60, -30), vec![])), vec![], "the list may be behind");
    assert_eq!(actions(&of(&half_made(STEP, 200, -120), vec![])), vec![], "so it may, for `step_timeout`");
    let slot = half_made(STEP, 200, -121);
    let next = Next::Own(JobId(1));
    assert_eq!(actions(&of(&slot, vec![])), vec![Action::Release { slot, next }], "its clone failed");
}

/// Why slot 1 is left alone.
fn reasons(world: &World) -> Vec<&'static str> {
    planned(world).left_alone.into_iter().map(|left| left.why).collect()
}

#[test]
fn whoever_looks_is_told_whether_somebody_is_at_a_vm_that_is_in_no_list() {
    assert_eq!(reasons(&of(&half_made(STEP, 60, 30), vec![])), ["its VM is being made"]);
    let behind = of(&half_made(STEP, 60, -30), vec![]);
    assert_eq!(reasons(&behind), ["its VM may be too new to be in the list"]);
}

#[test]
fn while_github_cannot_be_asked_a_half_made_vm_is_taken_further_until_its_time_is_up() {
    let lists: [Option<Observed<Vec<SeenRunner>>>; 2] = [None, Some(unknown())];
    for list in lists {
        let unlisted = |ago| {
            let mut unlisted = of(&half_made(STEP, ago, -1), running([1]));
            unlisted.runners.clear();
            unlisted.runners.extend(list.clone().map(|list| (scope(), list)));
            unlisted
        };
        let slot = half_made(STEP, 599, -1);
        assert_eq!(actions(&unlisted(599)), vec![Action::Advance { slot }]);
        assert_eq!(actions(&unlisted(601)), vec![]);
        assert_eq!(reasons(&unlisted(601)), ["GitHub could not be asked whether its runner is online"]);
    }
}

#[test]
fn a_half_made_vm_of_a_removed_pool_goes_and_is_no_boot_that_failed() {
    let slot = half_made(STEP, 60, -1);
    let mut removed = of(&slot, running([1]));
    removed.removed = vec![Pool::removed(lab_pool().name, lab_pool().scope)];
    let steps = plan(&policy(vec![]), &removed).steps.into_iter().map(|step| step.action);
    assert_eq!(steps.collect::<Vec<_>>(), vec![retire(&slot)]);
}

#[test]
fn a_vm_that_somebody_is_making_becomes_spare_when_its_job_is_over() {
    let slot = half_made(STEP, 60, 30);
    let over = with_job(of(&slot, running([1])), 1, Some(JobState::Done));
    assert_eq!(actions(&over), vec![Action::Spare { slot }]);
}

#[test]
fn a_guest_agent_that_never_comes_is_a_boot_that_failed() {
    let slot = half_made(MakingStep::WaitingForAgent, 601, -1);
    let plan = planned(&of(&slot, running([1])));
    let [step] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let Action::Retire { failed_boot: Some(why), .. } = &step.action else { panic!("{step:?}") };
    assert!(why.contains("guest agent did not answer within boot_timeout"), "{why}");
    let leased = half_made(MakingStep::WaitingForAgent, 601, 10);
    assert_eq!(actions(&of(&leased, running([1]))), vec![], "whoever is at it may be just about done");
}

#[test]
fn an_unreadable_cluster_leaves_a_half_made_vm_alone_and_lets_its_job_go_when_its_time_is_up() {
    let blind = |ago, leased| {
        let slot = half_made(STEP, ago, leased);
        let mut blind = of(&slot, vec![]);
        blind.vms.insert(provider(), unknown());
        (actions(&blind), Action::Settle { slot, job: JobId(1) })
    };
    assert_eq!((blind(60, -30).0, blind(700, 30).0), (vec![], vec![]));
    assert_eq!((blind(599, -30).0, blind(700, 0).0), (vec![], vec![]), "it is leased until then");
    let (late, settle) = blind(700, -30);
    assert_eq!(late, vec![settle]);
}

#[test]
fn a_vm_that_does_not_go_keeps_its_slot_but_not_its_job() {
    let stuck = slot(1, 1, super::super::fixtures::deleting());
    let held = of(&stuck, running([1]));
    assert_eq!(actions(&held), vec![Action::Settle { slot: stuck.clone(), job: JobId(1) }]);
    let let_go = with_job(held, 1, Some(JobState::Waiting));
    let mut let_go = World { pools: let_go.pools.clone(), ..let_go };
    let_go.pools[0].waiting = vec![waiting(1, 0)];
    let next: Vec<Action> = actions(&let_go);
    assert!(
        matches!(
            next.as_slice(),
            [Action::Delete { .. }, Action::Serve { .. }] | [Action::Serve { .. }, Action::Delete { .. }]
        ),
        "{next:?}"
    );
}

#[test]
fn a_half_made_vm_whose_job_is_over_becomes_spare_and_goes_when_the_pool_is_drained() {
    let slot = half_made(STEP, 60, -1);
    let over = with_job(of(&slot, running([1])), 1, Some(JobState::Done));
    assert_eq!(actions(&over), vec![Action::Spare { slot: slot.clone() }]);
    let spare = Slot { purpose: Purpose::Spare { since: at(LATER - 10) }, ..slot };
    let mut drained = of(&spare, running([1]));
    assert_eq!(actions(&drained), vec![Action::Advance { slot: spare.clone() }]);
    drained.pools[0].state.draining = Some(at(LATER - 5));
    assert_eq!(actions(&drained), vec![Action::Retire { slot: spare, failed_boot: None }]);
}

#[test]
fn a_half_made_warm_vm_is_counted_and_may_serve_a_waiting_job() {
    let warm = Slot { purpose: Purpose::Spare { since: at(LATER - 10) }, ..half_made(STEP, 60, 30) };
    let pool = Pool { min_runners: 1, ..lab_pool() };
    assert!(planned_with(pool, &of(&warm, running([1]))).steps.is_empty(), "no second one is made");
    let mut wanted = of(&warm, running([1]));
    wanted.pools[0].waiting = vec![waiting(5, 9_000)];
    wanted.jobs.insert(JobId(5), Some(job(5, JobState::Waiting)));
    assert_eq!(actions(&wanted), vec![Action::Assign { slot: warm, waiting: waiting(5, 9_000) }]);
}

#[test]
fn a_clone_that_nobody_recorded_is_adopted_though_it_is_off() {
    let slot = Slot { reserved_at: at(LATER - 200), ..slot(1, 1, Phase::Reserved) };
    let clone = vm(1, VmState::Stopped);
    let adopt = Action::Adopt { slot: slot.clone(), vm: clone.clone() };
    assert_eq!(actions(&of(&slot, vec![clone])), vec![adopt]);
}

#[test]
fn a_host_that_does_not_answer_proves_nothing_of_its_vms() {
    let slot = half_made(STEP, 200, -121);
    let place = slot.phase.machine().unwrap().vm.clone();
    let mut dark = of(&slot, vec![]);
    dark.unseen.insert(place.clone());
    assert_eq!(actions(&dark), vec![], "it may be this one");
    let elsewhere = VmPlace { at: "pve3/9007".into(), ..place };
    dark.unseen = [elsewhere].into();
    assert!(matches!(actions(&dark).as_slice(), [Action::Release { .. }]), "it is another one");
    // A VM whose place is not known may be any.
    let reserved = Slot { phase: Phase::Reserved, ..slot };
    let mut dark_and_unplaced = of(&reserved, vec![]);
    dark_and_unplaced.now = at(LATER + 1_000);
    dark_and_unplaced.unseen = dark.unseen;
    assert_eq!(actions(&dark_and_unplaced), vec![]);
    // Nor is a registration deleted whose VM it may be.
    let name = RunnerName::new(
        &deployment(),
        &lab_pool().name,
        crate::ids::SlotIndex(3),
        crate::ids::nonce(at(0), 1),
    );
    let mut stray = with_runners(world(vec![], vec![], vec![]), vec![seen(&name, false, false)]);
    stray.unseen = dark_and_unplaced.unseen;
    assert_eq!(actions(&stray), vec![]);
}

fn crowded(room: Option<u32>, waiting_jobs: u64) -> World {
    let queue = (100..100 + waiting_jobs).map(|job| waiting(job, job as i64)).collect();
    let mut world = world(vec![], queue, vec![]);
    for job_id in 100..100 + waiting_jobs {
        world.jobs.insert(JobId(job_id), Some(job(job_id, JobState::Waiting)));
    }
    if let Some(room) = room {
        world.room.insert((provider(), "template 8000".to_owned()), room);
    }
    world
}

#[test]
fn no_more_vms_are_started_than_there_is_room_for() {
    let served = |room| actions(&crowded(room, 5)).len();
    assert_eq!((served(Some(0)), served(Some(2)), served(None)), (0, 2, 5));
    let waits = planned(&crowded(Some(2), 5)).waits;
    assert_eq!(waits.len(), 3);
    assert!(waits.iter().all(|wait| wait.why.contains("no placement has room")), "{waits:?}");
}

#[test]
fn a_vm_that_went_leaves_room_for_the_next() {
    let mut world = crowded(Some(0), 1);
    let gone = slot(1, 1, super::super::fixtures::deleting());
    world.pools[0].slots.push(gone.clone());
    world.jobs.insert(JobId(1), Some(job(1, JobState::Done)));
    let next = Next::Waiting(waiting(100, 100));
    assert_eq!(actions(&world), vec![Action::Release { slot: gone, next }]);
}

#[test]
fn a_second_placement_takes_what_the_first_has_no_room_for() {
    let overflow = |state: PoolState| {
        let mut pool = lab_pool();
        pool.placements.extend(super::super::fixtures::pool("linux", &["Linux"]).placements);
        let mut world = crowded(Some(1), 5);
        world.pools[0].state = PoolState { limit: Some(10), ..state };
        planned_with(pool, &world).steps.len()
    };
    assert_eq!(overflow(PoolState::default()), 5, "nobody knows how much room a cloud has");
    let cooling = [("gcp/us-east1-c".to_owned(), at(LATER + 60))].into();
    assert_eq!(
        overflow(PoolState { cooling, ..PoolState::default() }),
        1,
        "its zones were full a moment ago"
    );
}
