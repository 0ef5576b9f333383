use crate::ids::{ProviderName, RunnerId, RunnerName, SlotIndex, nonce};
use crate::policy::{Pool, Scope};
use crate::sweep::fixtures::{
    LATER, actions, at, deployment, idle, left, policy, pool, provider, runner, scope, seen, slot, unknown,
    vm, with_runners, world,
};
use crate::sweep::{Action, Observed, SeenRunner, Vm, VmState, World, plan};

const NONE: Vec<Action> = Vec::new();

fn orphan() -> Vm {
    vm(7, VmState::Running)
}

fn with_vms(vms: Vec<Vm>) -> World {
    world(vec![], vec![], vms)
}

/// A name made then.
fn named(seconds: i64) -> RunnerName {
    let pool = pool("linux", &[]).name;
    RunnerName::new(&deployment(), &pool, SlotIndex(5), nonce(at(seconds), 9))
}

fn registered(runners: Vec<SeenRunner>) -> World {
    with_runners(world(vec![], vec![], vec![]), runners)
}

fn unregister(runner: &RunnerName) -> Vec<Action> {
    vec![Action::Unregister { runner: runner.clone(), id: RunnerId(77) }]
}

#[test]
fn an_orphan_goes_after_its_grace() {
    for state in [VmState::Running, VmState::Stopped] {
        let orphan = Vm { state, created_at: Some(at(LATER - 300)), ..orphan() };
        assert_eq!(actions(&with_vms(vec![orphan.clone()])), vec![Action::Sweep { vm: orphan.clone() }]);
        let young = Vm { created_at: Some(at(LATER - 299)), ..orphan };
        assert_eq!(actions(&with_vms(vec![young])), NONE);
    }
    let going = Vm { state: VmState::Going, ..orphan() };
    assert_eq!(actions(&with_vms(vec![going])), NONE, "it goes already");
}

#[test]
fn a_vm_with_our_marks_is_ours_whatever_its_name() {
    let odd = Vm { name: "renamed-by-hand".into(), ..orphan() };
    assert_eq!(actions(&with_vms(vec![odd.clone()])), vec![Action::Sweep { vm: odd }]);
}

#[test]
fn an_orphan_whose_provider_does_not_tell_its_age_is_dated_by_its_name() {
    let aged = |name: String| Vm { name, created_at: None, ..orphan() };
    let old = aged(named(0).as_str().to_owned());
    assert_eq!(actions(&with_vms(vec![old.clone()])), vec![Action::Sweep { vm: old }]);
    for young in [LATER - 10, LATER + 10] {
        assert_eq!(actions(&with_vms(vec![aged(named(young).as_str().to_owned())])), NONE);
    }
    let ageless = with_vms(vec![aged("renamed-by-hand".into())]);
    assert_eq!(actions(&ageless), NONE);
    assert_eq!(left(&ageless, "renamed-by-hand"), ["no slot knows it, but its age is not known"]);
}

#[test]
fn a_vm_that_a_slot_knows_is_no_orphan() {
    let mut known = slot(7, 1, idle());
    known.reserved_at = at(LATER);
    let world = world(vec![known], vec![], vec![orphan()]);
    assert!(!actions(&world).iter().any(|action| matches!(action, Action::Sweep { .. })));
}

#[test]
fn a_pool_that_the_table_did_not_tell_of_has_no_orphans() {
    let mut world = with_vms(vec![orphan()]);
    world.pools.clear();
    assert_eq!(actions(&world), NONE);
    let mut world = registered(vec![seen(&named(0), false, false)]);
    world.pools.clear();
    assert_eq!(actions(&world), NONE);
}

#[test]
fn an_orphan_whose_runner_may_be_busy_is_left_alone() {
    let busy = with_runners(with_vms(vec![orphan()]), vec![seen(&runner(7), true, true)]);
    assert_eq!(actions(&busy), NONE);
    let mut unread = with_vms(vec![orphan()]);
    unread.runners.insert(scope(), unknown());
    assert_eq!(actions(&unread), NONE);
    unread.runners.clear();
    assert_eq!(actions(&unread), NONE);
    let idle = with_runners(with_vms(vec![orphan()]), vec![seen(&runner(7), true, false)]);
    assert_eq!(actions(&idle), vec![Action::Sweep { vm: orphan() }]);
}

#[test]
fn of_a_pool_that_nobody_knows_only_stopped_vms_go() {
    let swept = |state| plan(&policy(vec![]), &with_vms(vec![vm(7, state)])).steps.len();
    assert_eq!((swept(VmState::Running), swept(VmState::Stopped)), (0, 1));
}

#[test]
fn a_removed_pools_orphans_go_as_well() {
    let mut world = with_vms(vec![orphan()]);
    world.removed = vec![Pool::removed(pool("linux", &[]).name, scope())];
    assert_eq!(plan(&policy(vec![]), &world).steps.len(), 1);
}

#[test]
fn a_registration_without_slot_and_vm_goes_after_its_grace() {
    let old = named(LATER - 300);
    assert_eq!(actions(&registered(vec![seen(&old, false, false)])), unregister(&old));
    assert_eq!(actions(&registered(vec![seen(&old, true, false)])), unregister(&old));
    for fresh in [LATER - 299, LATER, LATER + 2] {
        assert_eq!(actions(&registered(vec![seen(&named(fresh), false, false)])), NONE);
    }
    let undated = named(1_000_000);
    assert_eq!(actions(&registered(vec![seen(&undated, false, false)])), unregister(&undated));
}

#[test]
fn a_busy_registration_stays() {
    assert_eq!(actions(&registered(vec![seen(&named(0), true, true)])), NONE);
}

#[test]
fn a_registration_whose_vm_is_there_goes_with_it() {
    for state in [VmState::Running, VmState::Stopped, VmState::Going] {
        let vm = Vm { name: named(0).as_str().to_owned(), created_at: Some(at(LATER)), ..vm(5, state) };
        let world = with_runners(with_vms(vec![vm]), vec![seen(&named(0), false, false)]);
        assert_eq!(actions(&world), NONE);
    }
}

#[test]
fn a_registration_whose_vm_may_be_anywhere_stays() {
    let mut world = registered(vec![seen(&named(0), false, false)]);
    world.vms.insert(ProviderName::new("lab").unwrap(), unknown());
    assert_eq!(actions(&world), NONE);
    assert_eq!(
        left(&world, named(0).as_str()),
        ["a provider could not be asked whether this registration has a VM"]
    );
    world.vms.insert(provider(), unknown());
    assert_eq!(actions(&world), NONE);
}

#[test]
fn a_registration_of_a_slot_is_no_stray() {
    let known = slot(0, 1, crate::slot::Phase::Reserved);
    let mut world = with_runners(world(vec![known], vec![], vec![]), vec![seen(&runner(0), false, false)]);
    world.now = at(60);
    assert_eq!(actions(&world), NONE);
}

#[test]
fn strangers_registrations_are_never_touched() {
    let strangers = ["their-runner", "other-linux-0001-aaaaaaaaaaaa", "test-gone-0001-aaaaaaaaaaaa"];
    let stranger = |name: &&str| SeenRunner { name: (*name).to_owned(), ..seen(&runner(0), false, false) };
    assert_eq!(actions(&registered(strangers.iter().map(stranger).collect())), NONE);
}

#[test]
fn a_name_of_ours_that_is_registered_elsewhere_is_not_of_this_pool() {
    let mut world = registered(vec![]);
    let elsewhere = Scope::Enterprise(crate::ids::Account::new("big").unwrap());
    let value = vec![seen(&named(0), false, false)];
    world.runners.insert(elsewhere, Observed::Known { at: at(LATER), value });
    assert_eq!(actions(&world), NONE);
}
