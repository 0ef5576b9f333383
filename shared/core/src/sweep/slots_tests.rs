use crate::event::Change;
use crate::ids::{JobId, ProviderName, SlotIndex};
use crate::job::JobState;
use crate::slot::{Phase, Purpose, Slot, VmPlace};
use crate::sweep::fixtures::{
    LATER, actions, actions_with, assigned, at, booting, busy, deleting, idle, job, left, policy, pool,
    provider, release, retire, runner, running, scope, seen, slot, unknown, vm, with_job, with_runners,
    with_told, world,
};
use crate::sweep::world::{Index, Sighting};
use crate::sweep::{Action, Next, Observed, Vm, VmState, World};

const NONE: Vec<Action> = Vec::new();

/// One slot with its running VM, and its runner as GitHub sees it: (online, busy), or not at all.
fn with_one(slot: &Slot, runner: Option<(bool, bool)>) -> World {
    let world = world(vec![slot.clone()], vec![], running([slot.runner.slot().0]));
    let runners = runner.map(|(online, busy)| seen(&slot.runner, online, busy));
    with_runners(world, runners.into_iter().collect())
}

fn since(slot: Slot, seconds: i64) -> Slot {
    let since = at(seconds);
    let phase = match slot.phase {
        Phase::Reserved | Phase::Creating { .. } => return Slot { reserved_at: since, ..slot },
        Phase::Booting { machine, .. } => Phase::Booting { machine, since },
        Phase::Idle { machine, .. } => Phase::Idle { machine, since },
        Phase::Busy { machine, .. } => Phase::Busy { machine, since },
        Phase::Deleting { machine, watched_until, .. } => Phase::Deleting { machine, since, watched_until },
    };
    Slot { phase, ..slot }
}

#[test]
fn provisioning_that_nobody_finished_is_taken_up() {
    let stale = slot(0, 1, Phase::Reserved);
    let taken_up = |vms| actions(&with_job(world(vec![stale.clone()], vec![], vms), 1, assigned(0)));
    assert_eq!(taken_up(vec![]), vec![release(&stale, Next::Own(JobId(1)))]);
    let there = vm(0, VmState::Running);
    assert_eq!(taken_up(vec![there.clone()]), vec![Action::Adopt { slot: stale.clone(), vm: there }]);
    assert_eq!(taken_up(vec![vm(0, VmState::Stopped)]), vec![Action::Delete { slot: stale.clone() }]);

    let mut fresh = world(vec![stale], vec![], vec![]);
    fresh.now = at(60);
    assert_eq!(actions(&fresh), NONE, "somebody may be at it");
}

#[test]
fn a_reserved_slot_whose_vm_may_be_anywhere_waits_for_all_providers() {
    let mut world = with_job(world(vec![slot(0, 1, Phase::Reserved)], vec![], vec![]), 1, assigned(0));
    world.vms.insert(ProviderName::new("lab").unwrap(), unknown());
    assert_eq!(actions(&world), NONE);
}

#[test]
fn a_runner_that_github_sees_has_booted() {
    let booting = slot(0, 1, booting());
    let world = with_job(with_one(&booting, Some((true, false))), 1, assigned(0));
    assert_eq!(actions(&world), vec![Action::Online { slot: booting }]);
}

#[test]
fn a_boot_that_takes_too_long_is_replaced_and_counts_as_failed() {
    let slow = slot(0, 1, booting());
    for runner in [Some((false, false)), None] {
        let mut world = with_job(with_one(&slow, runner), 1, assigned(0));
        let why = format!("{}: its runner did not come online within boot_timeout", slow.runner);
        let replaced = vec![Action::Retire { slot: slow.clone(), failed_boot: Some(why) }];
        world.now = at(599);
        assert_eq!(actions(&world), NONE);
        world.now = at(600);
        assert_eq!(actions(&world), replaced);
    }
}

/// Zones that were tried before are not held against the one that took it.
#[test]
fn boot_timeout_counts_from_when_the_create_was_accepted() {
    let mut phase = booting();
    if let Phase::Booting { since, .. } = &mut phase {
        *since = at(80);
    }
    let slow = Slot { reserved_at: at(0), ..slot(0, 1, phase) };
    let mut world = with_job(with_one(&slow, None), 1, assigned(0));
    world.now = at(679);
    assert_eq!(actions(&world), NONE);
    world.now = at(680);
    assert!(matches!(actions(&world).as_slice(), [Action::Retire { .. }]));
}

#[test]
fn a_booting_spare_has_boot_timeout_as_well() {
    let warm = |now| {
        let slow = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(0, 0, booting()) };
        let mut world = with_one(&slow, None);
        world.now = at(now);
        let mut linux = pool("linux", &["Linux"]);
        linux.min_runners = 1;
        actions_with(linux, &world)
    };
    assert_eq!(warm(599), NONE);
    assert!(matches!(&warm(600)[..], [Action::Retire { failed_boot: Some(_), .. }, Action::Warm { .. }]));
}

#[test]
fn a_boot_fails_for_itself_where_another_runner_came_up_since() {
    let slow = since(slot(0, 1, booting()), 10);
    let counts = |other: Slot| {
        let mut world = world(vec![slow.clone(), other], vec![], running([0, 1]));
        world.now = at(700);
        let retired = actions(&world).into_iter().find_map(|action| {
            let Action::Retire { slot, failed_boot } = action else { return None };
            (slot == slow).then_some(failed_boot.is_some())
        });
        retired.unwrap()
    };
    for phase in [idle(), busy()] {
        assert!(!counts(since(slot(1, 2, phase.clone()), 20)), "it came up after this one was asked for");
        assert!(counts(slot(1, 2, phase.clone())), "it was up before");
        let warm = Slot { reserved_at: at(-5_000), ..since(slot(1, 2, phase), 20) };
        assert!(counts(warm), "it was up long before, and has only taken a job since");
    }
    assert!(counts(since(slot(1, 2, booting()), 20)));
}

#[test]
fn while_github_cannot_be_asked_no_boot_has_failed() {
    let slow = slot(0, 1, booting());
    let mut world = with_job(with_one(&slow, None), 1, assigned(0));
    for list in [Some(unknown()), None] {
        world.runners.clear();
        world.runners.extend(list.map(|list| (scope(), list)));
        assert_eq!(actions(&world), NONE);
        assert_eq!(
            left(&world, slow.runner.as_str()),
            ["GitHub could not be asked whether its runner is online"]
        );
    }
}

#[test]
fn an_idle_runner_that_github_dropped_is_replaced() {
    let dropped = slot(0, 1, idle());
    let mut world = with_job(with_one(&dropped, None), 1, assigned(0));
    assert_eq!(actions(&world), vec![retire(&dropped)]);
    world.now = at(60);
    world = with_runners(world, vec![]);
    assert_eq!(actions(&world), NONE, "the list may be older than the runner");
}

#[test]
fn an_idle_runner_that_is_offline_is_replaced_after_a_while() {
    let offline = slot(0, 1, idle());
    let mut world = with_job(with_one(&offline, Some((false, false))), 1, assigned(0));
    assert_eq!(actions(&world), vec![retire(&offline)]);
    world.now = at(299);
    assert_eq!(actions(&world), NONE);
}

#[test]
fn a_busy_runner_of_which_no_event_told_is_recorded() {
    for phase in [booting(), idle()] {
        let spare = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(0, 0, phase.clone()) };
        let of_job = slot(0, 1, phase);
        let taken = |slot: &Slot| vec![Action::Taken { slot: slot.clone() }];
        assert_eq!(actions(&with_one(&spare, Some((true, true)))), taken(&spare));

        let world = with_job(with_one(&of_job, Some((true, true))), 1, assigned(0));
        assert_eq!(actions(&world), NONE, "it may well run its own job");
        for elsewhere in [Change::Queued, Change::Held] {
            let steps = actions(&with_told(world.clone(), 1, elsewhere));
            assert!(steps.contains(&taken(&of_job)[0]), "{steps:?}");
        }
        let mut fresh = with_told(with_one(&of_job, Some((true, true))), 1, Change::Queued);
        fresh.now = at(299);
        assert_eq!(actions(&fresh), NONE, "the event may be on its way");
    }
}

#[test]
fn a_vm_that_vanished_or_stopped_is_noticed_in_every_phase() {
    for phase in [booting(), idle(), busy()] {
        let slot = slot(0, 1, phase);
        let vanished = with_job(world(vec![slot.clone()], vec![], vec![]), 1, Some(JobState::Done));
        assert_eq!(actions(&vanished), vec![release(&slot, Next::Nobody)]);
        let mut stopped = world(vec![slot.clone()], vec![], vec![vm(0, VmState::Stopped)]);
        stopped.runners.clear();
        assert_eq!(actions(&stopped), vec![Action::Delete { slot }]);
    }
}

#[test]
fn a_vm_that_powers_off_before_its_runner_ever_came_online_counts_as_a_failed_boot() {
    let failed = |runner| {
        let mut world = with_one(&slot(0, 1, booting()), runner);
        if let Some(Observed::Known { value, .. }) = world.vms.get_mut(&provider()) {
            *value = vec![vm(0, VmState::Stopped)];
        }
        actions(&world).iter().any(|action| matches!(action, Action::BootFailed { .. }))
    };
    assert!(failed(Some((false, false))), "it is registered still, and not connected");
    assert!(!failed(None), "its registration is used up: it has run a job of which no event told");
}

#[test]
fn a_slot_whose_provider_is_configured_no_more_is_freed_when_its_vms_own_end_has_come() {
    let mut world = with_job(world(vec![slot(0, 1, deleting())], vec![], vec![]), 1, Some(JobState::Done));
    let other = Observed::Known { at: at(LATER), value: vec![] };
    world.vms = [(ProviderName::new("google").unwrap(), other)].into();
    assert_eq!(actions(&world), NONE, "its VM may still run");
    world.now = at(6 * 3600 + 120);
    assert_eq!(actions(&world), vec![release(&slot(0, 1, deleting()), Next::Nobody)]);
}

#[test]
fn a_vm_is_deleted_where_it_is_seen_not_where_it_was_recorded() {
    let slot = slot(0, 1, busy());
    let moved = VmPlace { provider: provider(), at: "us-west1-a".into() };
    let stopped = Vm { place: moved.clone(), ..vm(0, VmState::Stopped) };
    let [Action::Delete { slot }] = &actions(&world(vec![slot], vec![], vec![stopped]))[..] else { panic!() };
    assert_eq!(slot.phase.machine().unwrap().vm, moved);
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
        assert_eq!(actions(&world(phase)), NONE);
    }
}

#[test]
fn a_lost_end_of_a_job_is_made_good() {
    let done = slot(0, 1, busy());
    for gone in [None, Some((false, false)), Some((true, false))] {
        let world = |state| with_job(with_one(&done, gone), 1, state);
        assert_eq!(actions(&world(Some(JobState::Done))), vec![retire(&done)]);
        assert_eq!(actions(&world(None)), vec![retire(&done)], "forgotten, so long over");
        assert_eq!(actions(&world(Some(JobState::Running { slot: Some(SlotIndex(0)) }))), NONE);
        assert_eq!(actions(&with_one(&done, gone)), NONE, "the table could not be asked");
        let mut unlisted = world(Some(JobState::Done));
        unlisted.runners.insert(scope(), unknown());
        assert_eq!(actions(&unlisted), NONE);
        let mut fresh = world(Some(JobState::Done));
        fresh.now = at(299);
        assert_eq!(actions(&fresh), NONE, "the event may be on its way");
    }
    let busy = with_job(with_one(&done, Some((true, true))), 1, Some(JobState::Done));
    assert_eq!(actions(&busy), NONE, "GitHub says that it is busy");
}

#[test]
fn a_runner_whose_job_nobody_knows_goes_when_it_is_done() {
    let unknown_job = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(0, 0, busy()) };
    let at_moment = |runner, now| {
        let mut world = with_one(&unknown_job, runner);
        world.now = at(now);
        actions(&world)
    };
    assert_eq!(at_moment(None, 300), vec![retire(&unknown_job)]);
    assert_eq!(at_moment(Some((true, false)), 599), NONE);
    assert_eq!(at_moment(Some((true, false)), 600), vec![retire(&unknown_job)], "after idle_timeout");
    assert_eq!(at_moment(Some((true, true)), LATER), NONE);
}

#[test]
fn no_vm_outlives_max_lifetime_even_a_busy_one_and_none_ends_before() {
    let end = 6 * 3600 + 120;
    for phase in [Phase::Reserved, booting(), idle(), busy()] {
        let old = slot(0, 1, phase);
        let at_moment = |now, vm: Vm| {
            let mut world = with_job(world(vec![old.clone()], vec![], vec![vm]), 1, assigned(0));
            world.now = at(now);
            actions(&world)
        };
        let delete = Action::Delete { slot: old.clone() };
        assert_eq!(at_moment(end, vm(0, VmState::Running)), vec![delete.clone()]);
        assert!(!at_moment(end - 1, vm(0, VmState::Running)).contains(&delete));
        let unsaid = Vm { created_at: None, ..vm(0, VmState::Running) };
        assert_eq!(at_moment(end, unsaid), vec![delete.clone()], "counted from the slot's own beginning");
        let younger = Vm { created_at: Some(at(60)), ..vm(0, VmState::Running) };
        assert!(!at_moment(end, younger).contains(&delete), "counted from the VM's beginning");
    }
}

#[test]
fn the_vms_of_a_removed_pool_end_by_themselves() {
    let mut world = with_one(&slot(0, 1, busy()), Some((true, true)));
    world.now = at(1_000_000);
    world.removed = vec![crate::policy::Pool::removed(runner(0).pool().clone(), scope())];
    let steps = crate::sweep::plan(&policy(vec![]), &world).steps;
    assert_eq!(steps, vec![]);
}

#[test]
fn a_runner_whose_job_is_over_elsewhere_is_spare() {
    let idle = slot(0, 1, idle());
    for state in [JobState::Done, JobState::Held, JobState::Running { slot: Some(SlotIndex(4)) }] {
        let world = with_job(world(vec![idle.clone()], vec![], running([0])), 1, Some(state));
        assert_eq!(actions(&world), vec![Action::Spare { slot: idle.clone() }]);
    }
}

#[test]
fn an_idle_runner_that_github_gives_no_job_is_reported_then_replaced_with_care() {
    let stuck = slot(0, 1, idle());
    let base = with_job(with_one(&stuck, Some((true, false))), 1, assigned(0));
    let mut world = with_told(base, 1, Change::Queued);
    world.now = at(599);
    assert_eq!(actions(&world), NONE);
    assert!(left(&world, stuck.runner.as_str())[0].contains("runner group"));
    world.now = at(600);
    let [Action::Retire { failed_boot: Some(why), .. }] = &actions(&world)[..] else { panic!() };
    assert!(why.contains("runner group"), "{why}");
}

#[test]
fn a_job_whose_runner_was_taken_is_seen_to_before_anything_else() {
    for phase in [busy(), deleting()] {
        let crossed = Slot { displaced: Some(JobId(5)), ..slot(0, 1, phase) };
        let mut world = with_job(world(vec![crossed.clone()], vec![], vec![]), 1, Some(JobState::Done));
        assert_eq!(actions(&world), vec![Action::Settle { slot: crossed, job: JobId(5) }]);
        world.now = at(10);
        assert_eq!(actions(&world), NONE, "the invocation that was told of it may be at it");
    }
}

#[test]
fn a_deletion_that_came_to_nothing_is_asked_for_again() {
    let still_there = slot(0, 1, deleting());
    let mut world = world(vec![still_there.clone()], vec![], running([0]));
    assert_eq!(actions(&world), vec![Action::Delete { slot: still_there }]);
    world.now = at(10);
    assert_eq!(actions(&world), NONE, "somebody is just asking for it");
    world.vms.insert(provider(), Observed::Known { at: at(LATER), value: vec![vm(0, VmState::Going)] });
    world.now = at(LATER);
    assert_eq!(actions(&world), NONE, "it is under way");
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
fn a_job_waits_for_a_deletion_that_is_seen_to_and_for_no_other() {
    let (now, since) = (LATER, LATER - 120);
    for (since, watched_until, settled) in [
        (since, None, true),
        (since + 1, None, false),
        (since, Some(now - 1), true),
        (since, Some(now), true),
        (since, Some(now + 1), false),
    ] {
        let watched_until = watched_until.map(at);
        let phase = Phase::Deleting { machine: None, since: at(since), watched_until };
        let going = slot(0, 1, phase);
        let world = with_job(world(vec![going.clone()], vec![], running([0])), 1, assigned(0));
        let settle = vec![Action::Settle { slot: going, job: JobId(1) }];
        assert_eq!(actions(&world), if settled { settle } else { NONE }, "since {since}, {watched_until:?}");
    }
}

#[test]
fn a_list_asked_for_when_the_deletion_began_shows_that_the_vm_is_gone() {
    let going = slot(0, 1, deleting());
    let mut world = with_job(world(vec![going.clone()], vec![], vec![]), 1, Some(JobState::Done));
    world.vms.insert(provider(), Observed::Known { at: at(0), value: vec![] });
    assert_eq!(actions(&world), vec![release(&going, Next::Nobody)]);
}

#[test]
fn a_vm_may_be_in_any_provider_when_its_place_is_unknown() {
    let mut world = world(vec![], vec![], running([0]));
    world.vms.insert(ProviderName::new("lab").unwrap(), unknown());
    let policy = policy(vec![]);
    let index = Index::of(&policy, &world);
    assert_eq!(index.vm(runner(1).as_str(), None), Sighting::Unknown);
    let place = VmPlace { provider: provider(), at: "us-east1-c".into() };
    assert_eq!(index.vm(runner(1).as_str(), Some(&place)), Sighting::Gone(at(LATER)));
    assert!(matches!(index.vm(runner(0).as_str(), None), Sighting::There(_)));
}

#[test]
fn a_runner_is_looked_for_where_its_pool_registers() {
    let idle = slot(0, 1, idle());
    let mut world = with_job(with_one(&idle, Some((true, false))), 1, assigned(0));
    let elsewhere = crate::policy::Scope::Repository(job(1, JobState::Done).repository);
    let list = world.runners.remove(&scope()).unwrap();
    world.runners.insert(elsewhere, list);
    assert_eq!(actions(&world), NONE, "nothing is known of its pool's runners");
}
