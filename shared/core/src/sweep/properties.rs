//! Promises that hold over all worlds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::any::{LIMIT, any_pool, any_setting, any_world};
use super::fixtures::{actions_with, at, policy, provider, scope, unknown};
use super::world::{Index, Presence, Sighting};
use super::{Action, Next, VmState, plan};
use crate::event::Change;
use crate::ids::{JobId, RunnerName, SlotIndex};
use crate::slot::{PhaseKind, Purpose, Slot};

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
        | Action::Announce { .. }
        | Action::Amend { .. }
        | Action::Conclude { .. }
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
        | Action::Announce { .. }
        | Action::Amend { .. }
        | Action::Conclude { .. }
        | Action::BootFailed { .. }
        | Action::Recover
        | Action::Limit { .. } => (None, None),
    }
}

proptest! {
    /// I9: without the VMs nothing goes, neither VMs nor slots nor registrations.
    #[test]
    fn without_a_providers_list_nothing_is_taken_away(mut world in any_world(), pool in any_pool()) {
        world.vms.insert(provider(), unknown());
        for action in actions_with(pool, &world) {
            prop_assert!(removed(&action).is_none() && !matches!(action, Action::Adopt { .. }), "{action:?}");
        }
    }

    /// I9: without the runners only what another source proves goes (a VM that is gone, stopped or too old), and spare
    /// runners, for which GitHub itself is asked.
    #[test]
    fn without_githubs_list_nothing_goes_on_its_account(mut world in any_world(), pool in any_pool(), missing: bool) {
        world.runners.insert(scope(), unknown());
        if missing {
            world.runners.clear();
        }
        for action in actions_with(pool, &world) {
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
    fn without_the_pools_part_of_the_table_nothing_is_taken_away(mut world in any_world(), pool in any_pool()) {
        world.pools.clear();
        for action in actions_with(pool, &world) {
            let harmless = matches!(action, Action::Tell { .. } | Action::Redeliver { .. });
            prop_assert!(harmless, "{action:?}");
        }
    }

    /// I9: a job that could not be looked up keeps what it has.
    #[test]
    fn without_the_jobs_records_no_slot_is_taken_from_a_job(mut world in any_world(), pool in any_pool()) {
        world.jobs.clear();
        for action in actions_with(pool, &world) {
            if let Action::Release { slot, .. } | Action::Spare { slot } = &action {
                prop_assert!(slot.purpose.job().is_none(), "{action:?}");
            }
            prop_assert!(!matches!(action, Action::Tell { .. } | Action::Requeue { .. }), "{action:?}");
        }
    }

    /// I1, as far as a plan can break it: a slot in deletion had its job's end recorded, or its registration deleted.
    #[test]
    fn a_vm_whose_runner_github_lists_as_busy_is_not_touched_within_max_lifetime(
        mut world in any_world(), pool in any_pool(), now in 0i64..6 * 3600,
    ) {
        world.now = at(now);
        let policy = policy(vec![pool.clone()]);
        let index = Index::of(&policy, &world);
        for action in actions_with(pool, &world) {
            let Some((name, slot)) = removed(&action) else { continue };
            let runs = matches!(index.vm(&name, None), Sighting::There(vm) if vm.state == VmState::Running);
            let ending = slot.is_some_and(|slot| slot.phase.kind() == PhaseKind::Deleting);
            let busy = index.runner(&scope(), &name) == Presence::Busy;
            prop_assert!(!runs || !busy || ending, "{action:?}");
        }
    }

    /// I2: a slot is given away once, only when no VM stands for it, and never beyond the limit; nor a job twice.
    #[test]
    fn no_slot_and_no_job_is_given_twice_and_none_beyond_the_limit(world in any_world(), pool in any_pool()) {
        let (mut slots, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        let policy = policy(vec![pool.clone()]);
        let index = Index::of(&policy, &world);
        let taken: BTreeSet<SlotIndex> = world.pools[0].slots.iter().map(|slot| slot.runner.slot()).collect();
        let mut after = taken.len();
        let all = actions_with(pool.clone(), &world);
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
    fn one_thing_is_done_with_a_slot_at_a_time_and_the_oldest_first((policy, world) in any_setting()) {
        let plan = plan(&policy, &world);
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
    fn each_waiting_job_is_served_or_told_why((policy, world) in any_setting()) {
        let plan = plan(&policy, &world);
        let served = plan.steps.iter().filter_map(|step| given(&step.action).1);
        let mut all: Vec<JobId> = served.chain(plan.waits.iter().map(|wait| wait.job)).collect();
        all.retain(|job| (100..200).contains(&job.0));
        all.sort();
        let gone = |job: &JobId| world.told.iter().any(|event| event.job == *job && event.change != Change::Queued);
        let queue = world.pools[0].waiting.iter().map(|waiting| waiting.job);
        let queue: Vec<JobId> = queue.filter(|job| !gone(job)).collect();
        prop_assert_eq!(all, queue);
    }
}
