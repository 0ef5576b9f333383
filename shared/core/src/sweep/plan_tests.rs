use super::*;
use crate::sweep::fixtures::{
    LATER, actions, at, busy, deleting, idle, job, planned, policy, pool, running, slot, spare, vm, waiting,
    with_job, with_told, world,
};
use crate::sweep::{News, VmState, jobs_in_question, jobs_to_ask};

#[test]
fn a_world_in_order_is_left_alone() {
    let slots = vec![slot(0, 1, busy()), spare(1, LATER - 60)];
    let world = world(slots, vec![], running([0, 1]));
    assert_eq!(actions(&world), vec![]);
    let policy = policy(vec![pool("linux", &["Linux"])]);
    assert_eq!(
        jobs_in_question(&policy, &world, News::Delivered),
        vec![],
        "a pool in good order asks for no job"
    );
    assert_eq!(jobs_to_ask(&policy, &world, News::Delivered), vec![]);
}

#[test]
fn the_oldest_troubles_come_first_whatever_they_are() {
    let mut slots = vec![slot(0, 1, deleting()), slot(1, 2, idle())];
    slots[1].phase = crate::slot::Phase::Deleting { machine: None, since: at(500), watched_until: None };
    let orphan = Vm { created_at: Some(at(200)), ..vm(7, VmState::Running) };
    let world = world(slots, vec![waiting(8, 300), waiting(9, 100)], vec![orphan]);
    let world = with_job(with_job(world, 1, None), 2, None);
    let since: Vec<_> = planned(&world).steps.into_iter().map(|step| step.since).collect();
    assert_eq!(since, [at(0), at(200), at(500)], "the freed slots serve the two jobs");
}

#[test]
fn a_sweep_that_could_read_nothing_does_nothing() {
    let mut world = with_told(world(vec![], vec![], running([7])), 1, crate::event::Change::Queued);
    world.pools.clear();
    world.vms.values_mut().for_each(|list| *list = crate::sweep::fixtures::unknown());
    world.runners.clear();
    world.jobs.clear();
    assert_eq!(planned(&world), Plan::default());
}

#[test]
fn a_pools_ledger_that_nobody_knows_a_pool_for_is_not_planned_for() {
    let mut world = world(vec![slot(0, 1, deleting())], vec![waiting(8, 1)], vec![]);
    world.jobs.insert(crate::ids::JobId(1), Some(job(1, crate::job::JobState::Done)));
    world.pools[0].pool = PoolName::new("other").unwrap();
    assert_eq!(planned(&world), Plan::default());
}
