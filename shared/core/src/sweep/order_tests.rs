//! A plan does not depend on the order in which a source lists what it knows.

use proptest::prelude::*;

use super::any::any_setting;
use super::fixtures::{at, provider};
use super::{News, Observed, PoolLedger, Vm, World, jobs_in_question, jobs_to_ask, plan};
use crate::event::{Change, JobEvent};
use crate::ids::{JobId, PoolName};
use crate::policy::{Policy, Pool};
use crate::slot::VmPlace;

/// An order, by the choices that make it: one for each place of a list.
#[derive(Debug, Clone)]
struct Order(Vec<usize>);

impl Order {
    fn shuffle<T>(&self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.0[place % self.0.len()] % (place + 1));
        }
    }

    fn shuffle_known<T>(&self, list: &mut Observed<Vec<T>>) {
        if let Observed::Known { value, .. } = list {
            self.shuffle(value);
        }
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    proptest::collection::vec(any::<usize>(), 40).prop_map(Order)
}

/// The same world, with every list in that order.
fn shuffled(world: &World, order: &Order) -> World {
    // Named one by one, so that a list that is added does not compile before it is shuffled as well.
    let World {
        now,
        mut pools,
        mut removed,
        mut vms,
        unseen,
        room,
        mut runners,
        jobs,
        mut told,
        mut deliveries,
        voice,
    } = world.clone();
    order.shuffle(&mut pools);
    for PoolLedger { pool: _, slots, unreadable: _, waiting, asked: _, notices, state: _ } in &mut pools {
        order.shuffle(slots);
        order.shuffle(waiting);
        order.shuffle(notices);
    }
    order.shuffle(&mut removed);
    vms.values_mut().for_each(|list| order.shuffle_known(list));
    runners.values_mut().for_each(|list| order.shuffle_known(list));
    order.shuffle(&mut told);
    deliveries.values_mut().for_each(|failures| order.shuffle(&mut failures.failed));
    World { now, pools, removed, vms, unseen, room, runners, jobs, told, deliveries, voice }
}

/// What sources may say twice: a VM whose name another one has as well, a runner that was seen on two pages, a job that was
/// asked for twice, two tries of one delivery at the same moment.
fn with_doubles(mut world: World) -> World {
    for list in world.vms.values_mut() {
        let Observed::Known { value, .. } = list else { continue };
        let elsewhere = VmPlace { provider: provider(), at: "us-east1-d".into() };
        let doubles: Vec<Vm> = value.iter().map(|vm| Vm { place: elsewhere.clone(), ..vm.clone() }).collect();
        value.extend(doubles);
    }
    for list in world.runners.values_mut() {
        let Observed::Known { value, .. } = list else { continue };
        let mut doubles = value.clone();
        doubles.iter_mut().for_each(|runner| runner.busy = !runner.busy);
        value.extend(doubles);
    }
    let told = world.told.clone();
    world.told.extend(told.into_iter().map(|event| JobEvent { change: Change::Held, ..event }));
    for failures in world.deliveries.values_mut() {
        let mut doubles = failures.failed.clone();
        doubles.iter_mut().for_each(|attempt| attempt.id += 100);
        failures.failed.extend(doubles);
    }
    world
}

/// A second pool with a part of the first one's slots and jobs; all of the same age, so that nothing but the order tells
/// which goes first.
fn with_two_pools(mut policy: Policy, mut world: World) -> (Policy, World) {
    let name = PoolName::new("lab").unwrap();
    let second = Pool { name: name.clone(), ..policy.pools[0].clone() };
    let mut other = PoolLedger { pool: name, ..world.pools[0].clone() };
    other.slots.clear();
    other.notices.clear();
    for waiting in &mut other.waiting {
        waiting.job = JobId(waiting.job.0 + 500);
        waiting.queued_at = at(0);
    }
    world.pools.push(other);
    policy.pools.push(second);
    (policy, world)
}

proptest! {
    #[test]
    fn a_plan_does_not_depend_on_the_order_of_any_list((policy, world) in any_setting(), order in any_order(), doubled: bool) {
        let world = if doubled { with_doubles(world) } else { world };
        let (policy, world) = with_two_pools(policy, world);
        prop_assert_eq!(plan(&policy, &shuffled(&world, &order)), plan(&policy, &world));
    }

    #[test]
    fn which_jobs_are_asked_for_does_not_depend_on_the_order_of_any_list(
        (policy, world) in any_setting(), order in any_order(),
    ) {
        let (policy, world) = with_two_pools(policy, world);
        let other = shuffled(&world, &order);
        let news = News::Delivered;
        prop_assert_eq!(jobs_in_question(&policy, &other, news), jobs_in_question(&policy, &world, news));
        prop_assert_eq!(jobs_to_ask(&policy, &other, news), jobs_to_ask(&policy, &world, news));
    }
}
