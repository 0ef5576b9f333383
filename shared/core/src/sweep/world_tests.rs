use super::*;
use crate::sweep::fixtures::{
    LATER, at, event, machine, policy, provider, runner, scope, seen, vm, with_runners,
};

fn nothing() -> World {
    crate::sweep::fixtures::world(vec![], vec![], vec![])
}

#[test]
fn a_runner_that_is_listed_twice_counts_as_busy_when_it_is_so_in_one_place() {
    let (offline, idle, busy) = ((false, false), (true, false), (true, true));
    for (one, other, presence) in [
        (busy, idle, Presence::Busy),
        (busy, offline, Presence::Busy),
        (idle, offline, Presence::Idle),
        (offline, offline, Presence::Offline),
    ] {
        for (first, second) in [(one, other), (other, one)] {
            let twice = [first, second].map(|(online, busy)| seen(&runner(0), online, busy));
            let (policy, world) = (policy(vec![]), with_runners(nothing(), twice.into()));
            assert_eq!(Index::of(&policy, &world).runner(&scope(), runner(0).as_str()), presence);
        }
    }
}

#[test]
fn of_a_job_that_is_told_of_twice_what_is_further_counts() {
    let further = [
        Change::Held,
        Change::Queued,
        Change::Started { runner: None },
        Change::Ended { runner: None, conclusion: None },
    ];
    for (place, change) in further.iter().enumerate() {
        for before in &further[..=place] {
            for twice in [[before, change], [change, before]] {
                let told = twice.map(|change| JobEvent { change: change.clone(), ..event(1, &["Linux"]) });
                let (policy, world) = (policy(vec![]), World { told: told.into(), ..nothing() });
                let index = Index::of(&policy, &world);
                assert_eq!((index.told(JobId(1)), index.all_told().count()), (Some(change), 1));
            }
        }
    }
}

/// A copy made by hand has the same name; ids come back.
#[test]
fn of_two_vms_of_one_name_the_one_in_the_recorded_place_is_meant_then_one_of_its_provider() {
    let [here, there, elsewhere] = [("gcp", "b"), ("gcp", "a"), ("lab", "a")].map(|(provider, at)| Vm {
        place: VmPlace { provider: ProviderName::new(provider).unwrap(), at: at.into() },
        ..vm(0, VmState::Running)
    });
    let mut world = nothing();
    let lab = elsewhere.place.provider.clone();
    let listed = |value| Observed::Known { at: at(LATER), value };
    world.vms.insert(provider(), listed(vec![here.clone(), there.clone()]));
    world.vms.insert(lab.clone(), listed(vec![elsewhere.clone()]));
    let policy = policy(vec![]);
    let index = Index::of(&policy, &world);
    let meant = |place: Option<&VmPlace>| index.vm(runner(0).as_str(), place);
    for vm in [&here, &there, &elsewhere] {
        assert_eq!(meant(Some(&vm.place)), Sighting::There(vm));
    }
    assert_eq!(meant(Some(&machine().vm)), Sighting::There(&there), "wherever it stands by now");
    assert_eq!(meant(Some(&VmPlace { provider: lab, at: "z".into() })), Sighting::There(&elsewhere));
    assert_eq!(meant(None), Sighting::There(&there));
}
