//! Promises that hold over all worlds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::carry_out::{carry_out, removals};
use super::fixtures::{
    at, booting, busy, creating, deleting, idle, planned_with, policy, pool, provider, runner, scope, seen,
    slot, unknown, vm, waiting, world,
};
use super::world::{Index, Presence, Sighting};
use super::{Action, Attempt, Failures, Next, Observed, Plan, VmState, World};
use crate::event::Change;
use crate::gate::Trouble;
use crate::ids::{JobId, RunnerName, SlotIndex};
use crate::job::JobState;
use crate::making::MakingStep;
use crate::policy::Pool;
use crate::slot::{Phase, PhaseKind, Purpose, Slot};

const LIMIT: u16 = 10;

fn linux(min_runners: u16) -> Pool {
    Pool { min_runners, ..pool("linux", &["Linux"]) }
}

fn any_phase() -> impl Strategy<Value = Phase> {
    let plain =
        prop_oneof![Just(Phase::Reserved), Just(booting()), Just(idle()), Just(busy()), Just(deleting())];
    prop_oneof![5 => plain, 1 => (any_step(), 0i64..30_000).prop_map(|(step, leased)| creating(step, leased))]
}

fn any_step() -> impl Strategy<Value = MakingStep> {
    prop_oneof![
        Just(MakingStep::Cloning { task: None }),
        Just(MakingStep::Starting),
        Just(MakingStep::WaitingForAgent),
    ]
}

fn any_vm_state() -> impl Strategy<Value = Option<VmState>> {
    let running = Just(Some(VmState::Running));
    prop_oneof![4 => running, 1 => Just(None), 1 => Just(Some(VmState::Stopped)), 1 => Just(Some(VmState::Going))]
}

/// Online and busy, where it is listed.
fn any_runner() -> impl Strategy<Value = Option<(bool, bool)>> {
    proptest::option::weighted(0.8, (any::<bool>(), any::<bool>()))
}

fn any_state() -> impl Strategy<Value = JobState> {
    prop_oneof![
        Just(JobState::Waiting),
        Just(JobState::Held),
        Just(JobState::Done),
        (0u16..14).prop_map(|slot| JobState::Assigned { slot: SlotIndex(slot) }),
        (0u16..14).prop_map(|slot| JobState::Running { slot: Some(SlotIndex(slot)) }),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Queued),
        Just(Change::Held),
        (0u16..14).prop_map(|slot| Change::Started { runner: Some(runner(slot).as_str().to_owned()) }),
        Just(Change::Ended { runner: None, conclusion: None }),
    ]
}

/// What is known of one slot, and of the job of its number.
#[derive(Debug, Clone)]
struct Part {
    phase: Phase,
    spare: bool,
    displaced: bool,
    known: bool,
    vm: Option<VmState>,
    runner: Option<(bool, bool)>,
    job: Option<Option<JobState>>,
    told: Option<Change>,
}

prop_compose! {
    fn any_part()(
        phase in any_phase(), spare in proptest::bool::weighted(0.3), displaced in proptest::bool::weighted(0.1),
        known in proptest::bool::weighted(0.9), vm in any_vm_state(), runner in any_runner(),
        job in proptest::option::weighted(0.8, proptest::option::weighted(0.9, any_state())),
        told in proptest::option::weighted(0.2, any_change()),
    ) -> Part {
        Part { phase, spare, displaced, known, vm, runner, job, told }
    }
}

fn any_trouble() -> impl Strategy<Value = Option<Trouble>> {
    let trouble = (0u32..6, 0i64..20_000).prop_map(|(failures, since)| Trouble {
        failures,
        at: at(since),
        why: "no machines".into(),
    });
    proptest::option::weighted(0.2, trouble)
}

fn place(world: &mut World, index: u16, part: &Part) {
    let number = u64::from(index);
    if part.known {
        let displaced = part.displaced.then_some(JobId(200 + number));
        let mut slot = Slot { displaced, ..slot(index, number, part.phase.clone()) };
        if part.spare {
            slot.purpose = Purpose::Spare { since: at(0) };
        }
        world.pools[0].slots.push(slot);
    }
    if let (Some(state), Some(Observed::Known { value, .. })) = (part.vm, world.vms.get_mut(&provider())) {
        value.push(vm(index, state));
    }
    if let (Some((online, busy)), Some(Observed::Known { value, .. })) =
        (part.runner, world.runners.get_mut(&scope()))
    {
        value.push(seen(&runner(index), online, busy));
    }
    if let Some(state) = &part.job {
        let record = state.clone().map(|state| super::fixtures::job(number, state));
        world.jobs.insert(JobId(number), record);
    }
    if let Some(change) = &part.told {
        let event = super::fixtures::event(number, &["Linux"]);
        world.told.push(crate::event::JobEvent { change: change.clone(), ..event });
    }
}

prop_compose! {
    /// A pool of at most ten that has up to fourteen slots, as after its limit was lowered.
    fn any_world()(
        parts in proptest::collection::vec(any_part(), 0..14), queue in 0u64..6, now in 0i64..30_000,
        asked in -200i64..200, draining in proptest::bool::weighted(0.1),
        creates in any_trouble(), boots in any_trouble(), failed in proptest::collection::vec(0i64..10_000, 0..4),
    ) -> World {
        let mut world = world(vec![], (100..100 + queue).map(|job| waiting(job, job as i64)).collect(), vec![]);
        world.now = at(now);
        world.vms.insert(provider(), Observed::Known { at: at(now + asked), value: vec![] });
        world.runners.insert(scope(), Observed::Known { at: at(now + asked), value: vec![] });
        for (index, part) in parts.iter().enumerate() {
            place(&mut world, index as u16, part);
        }
        let state = &mut world.pools[0].state;
        (state.creates, state.boots) = (creates, boots);
        state.draining = draining.then(|| at(0));
        let failed = (0..).zip(&failed).map(|(id, seconds)| Attempt {
            id, guid: id.to_string(), at: at(*seconds), failed: true,
        });
        let failures = Failures { failed: failed.collect(), whole: true, ..Failures::default() };
        world.deliveries.insert("app".into(), failures);
        world
    }
}

fn actions(min: u16, world: &World) -> Vec<Action> {
    planned_with(linux(min), world).steps.into_iter().map(|step| step.action).collect()
}

/// The VM or runner that an action takes away, by name, and its slot where it has one.
fn removed(action: &Action) -> Option<(String, Option<&Slot>)> {
    match action {
        Action::Delete { slot } | Action::Retire { slot, .. } | Action::Release { slot, .. } => {
            Some((slot.runner.to_string(), Some(slot)))
        }
        Action::Sweep { vm } => Some((vm.name.clone(), None)),
        Action::Unregister { runner, .. } => Some((runner.to_string(), None)),
        Action::Adopt { .. }
        | Action::Advance { .. }
        | Action::Online { .. }
        | Action::Taken { .. }
        | Action::Spare { .. }
        | Action::Settle { .. }
        | Action::Assign { .. }
        | Action::Serve { .. }
        | Action::Warm { .. }
        | Action::Tell { .. }
        | Action::Requeue { .. }
        | Action::Move { .. }
        | Action::Redeliver { .. }
        | Action::Drop { .. }
        | Action::BootFailed { .. }
        | Action::Recover
        | Action::Limit { .. } => None,
    }
}

/// The slots and jobs that an action gives away.
fn given(action: &Action) -> (Option<SlotIndex>, Option<JobId>) {
    match action {
        Action::Serve { index, waiting } => (Some(*index), Some(waiting.job)),
        Action::Warm { index } => (Some(*index), None),
        Action::Assign { waiting, .. } => (None, Some(waiting.job)),
        Action::Release { slot, next } => match next {
            Next::Own(job) => (Some(slot.runner.slot()), Some(*job)),
            Next::Waiting(waiting) => (Some(slot.runner.slot()), Some(waiting.job)),
            Next::Requeue(_) | Next::Nobody => (None, None),
        },
        Action::Delete { .. }
        | Action::Retire { .. }
        | Action::Adopt { .. }
        | Action::Advance { .. }
        | Action::Online { .. }
        | Action::Taken { .. }
        | Action::Spare { .. }
        | Action::Settle { .. }
        | Action::Sweep { .. }
        | Action::Unregister { .. }
        | Action::Tell { .. }
        | Action::Requeue { .. }
        | Action::Move { .. }
        | Action::Redeliver { .. }
        | Action::Drop { .. }
        | Action::BootFailed { .. }
        | Action::Recover
        | Action::Limit { .. } => (None, None),
    }
}

proptest! {
    /// I9: without the VMs nothing goes, neither VMs nor slots nor registrations.
    #[test]
    fn without_a_providers_list_nothing_is_taken_away(mut world in any_world(), min in 0u16..4) {
        world.vms.insert(provider(), unknown());
        for action in actions(min, &world) {
            prop_assert!(removed(&action).is_none() && !matches!(action, Action::Adopt { .. }), "{action:?}");
        }
    }

    /// I9: without the runners only what another source proves goes (a VM that is gone, stopped or too old), and spare
    /// runners, for which GitHub itself is asked.
    #[test]
    fn without_githubs_list_nothing_goes_on_its_account(mut world in any_world(), min in 0u16..4, missing: bool) {
        world.runners.insert(scope(), unknown());
        if missing {
            world.runners.clear();
        }
        for action in actions(min, &world) {
            let surplus = |slot: &Slot| {
                matches!(slot.purpose, Purpose::Spare { .. })
                    && matches!(slot.phase.kind(), PhaseKind::Creating | PhaseKind::Booting | PhaseKind::Idle)
            };
            let on_its_account = if let Action::Retire { slot, failed_boot } = &action {
                !surplus(slot) || failed_boot.is_some()
            } else {
                use Action::{Online, Sweep, Taken, Unregister};
                matches!(action, Online { .. } | Taken { .. } | Sweep { .. } | Unregister { .. })
            };
            prop_assert!(!on_its_account, "{action:?}");
        }
    }

    /// I9: of a pool whose part of the table was not read nothing is known.
    #[test]
    fn without_the_pools_part_of_the_table_nothing_is_taken_away(mut world in any_world()) {
        world.pools.clear();
        for action in actions(1, &world) {
            let harmless = matches!(action, Action::Tell { .. } | Action::Redeliver { .. });
            prop_assert!(harmless, "{action:?}");
        }
    }

    /// I9: a job that could not be looked up keeps what it has.
    #[test]
    fn without_the_jobs_records_no_slot_is_taken_from_a_job(mut world in any_world(), min in 0u16..4) {
        world.jobs.clear();
        for action in actions(min, &world) {
            if let Action::Release { slot, .. } | Action::Spare { slot } = &action {
                prop_assert!(slot.purpose.job().is_none(), "{action:?}");
            }
            prop_assert!(!matches!(action, Action::Tell { .. } | Action::Requeue { .. }), "{action:?}");
        }
    }

    /// I1, as far as a plan can break it: a slot in deletion had its job's end recorded, or its registration deleted.
    #[test]
    fn a_vm_whose_runner_github_lists_as_busy_is_not_touched_within_max_lifetime(
        mut world in any_world(), min in 0u16..4, now in 0i64..6 * 3600,
    ) {
        world.now = at(now);
        let policy = policy(vec![linux(min)]);
        let index = Index::of(&policy, &world);
        for action in actions(min, &world) {
            let Some((name, slot)) = removed(&action) else { continue };
            let runs = matches!(index.vm(&name, None), Sighting::There(vm) if vm.state == VmState::Running);
            let ending = slot.is_some_and(|slot| slot.phase.kind() == PhaseKind::Deleting);
            let busy = index.runner(&scope(), &name) == Presence::Busy;
            prop_assert!(!runs || !busy || ending, "{action:?}");
        }
    }

    /// I2: a slot is given away once, only when no VM stands for it, and never beyond the limit; nor a job twice.
    #[test]
    fn no_slot_and_no_job_is_given_twice_and_none_beyond_the_limit(world in any_world(), min in 0u16..14) {
        let (mut slots, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        let policy = policy(vec![linux(min)]);
        let index = Index::of(&policy, &world);
        let taken: BTreeSet<SlotIndex> = world.pools[0].slots.iter().map(|slot| slot.runner.slot()).collect();
        let mut after = taken.len();
        let all = actions(min, &world);
        for action in &all {
            if let Action::Release { slot, next } = action {
                prop_assert!(matches!(index.vm_of(slot), Sighting::Gone(_)));
                after -= usize::from(matches!(next, Next::Nobody | Next::Requeue(_)));
            }
            if let Action::Serve { index, .. } | Action::Warm { index } = action {
                prop_assert!(!taken.contains(index), "{index} is taken");
                after += 1;
            }
            let (slot, job) = given(action);
            prop_assert!(slot.is_none_or(|slot| slot.0 < LIMIT && slots.insert(slot)), "{action:?}");
            prop_assert!(job.is_none_or(|job| jobs.insert(job)), "{action:?}");
        }
        let gives = all.iter().any(|action| given(action).0.is_some());
        prop_assert!(!gives || after <= usize::from(LIMIT), "{after} are taken after {all:?}");
    }

    /// A slot is told one thing at a time; only that its runner is online goes with what follows from it.
    #[test]
    fn one_thing_is_done_with_a_slot_at_a_time_and_the_oldest_first(world in any_world(), min in 0u16..4) {
        let plan = planned_with(linux(min), &world);
        prop_assert!(plan.steps.is_sorted_by_key(|step| step.since));
        let mut slots: BTreeSet<&RunnerName> = BTreeSet::new();
        for step in &plan.steps {
            if let Action::Release { slot, .. } | Action::Delete { slot } | Action::Retire { slot, .. }
                | Action::Adopt { slot, .. } | Action::Advance { slot } | Action::Taken { slot } | Action::Spare { slot }
                | Action::Settle { slot, .. } | Action::Assign { slot, .. } = &step.action
            {
                prop_assert!(slots.insert(&slot.runner), "{} twice in {:?}", slot.runner, plan.steps);
            }
        }
    }

    /// Nobody waits without being told why, and nobody waits who is served.
    #[test]
    fn each_waiting_job_is_served_or_told_why(world in any_world(), min in 0u16..4) {
        let plan = planned_with(linux(min), &world);
        let served = plan.steps.iter().filter_map(|step| given(&step.action).1);
        let mut all: Vec<JobId> = served.chain(plan.waits.iter().map(|wait| wait.job)).collect();
        all.retain(|job| job.0 >= 100);
        all.sort();
        let queue: Vec<JobId> = world.pools[0].waiting.iter().map(|waiting| waiting.job).collect();
        prop_assert_eq!(all, queue);
    }

    /// I8, as far as it can be shown without a clock: what follows from a plan that was carried out (a job that queues
    /// again is served, a runner that became spare serves, a trial that succeeded lets the next ones through) comes to an
    /// end, and nothing is taken away twice.
    #[test]
    fn plans_that_are_carried_out_come_to_an_end(mut world in any_world(), min in 0u16..4) {
        let mut plans: Vec<Plan> = Vec::new();
        loop {
            let plan = planned_with(linux(min), &world);
            if plan.steps.is_empty() {
                break;
            }
            prop_assert!(plans.len() < ROUNDS_MOST, "{:?}", plan.steps);
            world = carry_out(&world, &plan);
            plans.push(plan);
        }
        let twice: Vec<_> = removals(&plans).into_iter().filter(|(_, times)| *times > 1).collect();
        prop_assert_eq!(twice, vec![]);
    }
}

/// So many plans follow from one another at most: a job that was displaced is seen to, the slot's VM is adopted, seen online,
/// spare, and retired, and the next warm runner made.
const ROUNDS_MOST: usize = 6;
