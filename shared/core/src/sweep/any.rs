//! Worlds of all kinds, for promises that hold over all of them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;

use super::fixtures::{
    at, booting, busy, creating, deleting, event, idle, job, lab_pool, machine, notice, policy, pool,
    provider, runner, scope, seen, slot, vm, waiting, world,
};
use super::{Attempt, Failures, Observed, Tells, VmState, World};
use crate::event::{Change, JobEvent};
use crate::gate::Trouble;
use crate::ids::{CheckRunId, JobId, RunnerName, SlotIndex, nonce};
use crate::job::JobState;
use crate::making::MakingStep;
use crate::notice::{Cause, Notice, Standing};
use crate::policy::{Policy, Pool};
use crate::slot::{Phase, Purpose, Slot, VmPlace};

/// So many runners the pool `linux` may have.
pub const LIMIT: u16 = 10;

/// The pool `linux` of a cloud or of a cluster, with mostly few warm runners.
pub fn any_pool() -> impl Strategy<Value = Pool> {
    (prop_oneof![4 => 0u16..4, 1 => 4u16..14], proptest::bool::weighted(0.3)).prop_map(
        |(min_runners, in_steps)| {
            let pool = if in_steps { lab_pool() } else { pool("linux", &["Linux"]) };
            Pool { min_runners, max_runners: NonZeroU16::new(LIMIT).unwrap(), ..pool }
        },
    )
}

/// The pool's world while it is configured, or after it was, when another pool serves its jobs.
pub fn any_setting() -> impl Strategy<Value = (Policy, World)> {
    let waiting_after = proptest::option::weighted(0.8, (1u64..20_000).prop_map(Duration::from_secs));
    let all = (any_world(), any_pool(), proptest::bool::weighted(0.1), waiting_after);
    all.prop_map(|(mut world, pool, removed, waiting_after)| {
        if !removed {
            return (Policy { waiting_after, ..policy(vec![pool]) }, world);
        }
        world.removed = vec![Pool::removed(pool.name, pool.scope)];
        (Policy { waiting_after, ..policy(vec![super::fixtures::pool("newer", &["Linux"])]) }, world)
    })
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

/// What is known of a job in the queue: its record, and what GitHub says.
fn any_waiting() -> impl Strategy<Value = (Option<Option<JobState>>, Option<Change>)> {
    let record = proptest::option::weighted(0.9, any_state());
    (proptest::option::weighted(0.5, record), proptest::option::weighted(0.2, any_change()))
}

fn any_trouble() -> impl Strategy<Value = Option<Trouble>> {
    let trouble = (0u32..6, 0i64..20_000).prop_map(|(failures, since)| Trouble {
        failures,
        at: at(since),
        why: "no machines".into(),
    });
    proptest::option::weighted(0.2, trouble)
}

/// For how many VMs there is room, where that is known, by both pools' names for it.
fn any_room() -> impl Strategy<Value = Option<u32>> {
    proptest::option::weighted(0.3, 0u32..6)
}

/// A VM that nobody can look at: perhaps one of the world's, perhaps another.
fn any_unseen() -> impl Strategy<Value = Option<VmPlace>> {
    let elsewhere = VmPlace { at: "pve3/9007".into(), ..machine().vm };
    proptest::option::weighted(0.1, prop_oneof![Just(machine().vm), Just(elsewhere)])
}

/// What was said of jobs: of some in the queue, of some of slots, and of some that nobody knows.
fn any_notice() -> impl Strategy<Value = Notice> {
    let job = prop_oneof![3 => 100u64..106, 2 => 0u64..14, 1 => 300u64..303];
    let standing = prop_oneof![
        3 => Just(Standing::Made(CheckRunId(7))), 1 => Just(Standing::Asked), 1 => Just(Standing::Refused)
    ];
    let cause = prop_oneof![Just(Cause::Full), Just(Cause::CoolingDown), Just(Cause::OneAtATime)];
    (job, standing, cause, 0i64..30_000).prop_map(|(job, standing, cause, said_at)| Notice {
        standing,
        cause,
        said_at: at(said_at),
        ..notice(job)
    })
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
    if let Some((online, busy)) = part.runner {
        register(world, &runner(index), online, busy);
    }
    if let Some(state) = &part.job {
        let record = state.clone().map(|state| job(number, state));
        world.jobs.insert(JobId(number), record);
    }
    if let Some(change) = &part.told {
        world.told.push(JobEvent { change: change.clone(), ..event(number, &["Linux"]) });
    }
}

fn register(world: &mut World, name: &RunnerName, online: bool, busy: bool) {
    if let Some(Observed::Known { value, .. }) = world.runners.get_mut(&scope()) {
        value.push(seen(name, online, busy));
    }
}

/// A registration of our making, made then, that neither a slot nor a VM stands behind.
fn strand(world: &mut World, made_at: i64) {
    let pool = pool("linux", &[]).name;
    let name = RunnerName::new(&super::fixtures::deployment(), &pool, SlotIndex(5), nonce(at(made_at), 9));
    register(world, &name, false, false);
}

prop_compose! {
    /// A pool of at most ten that has up to fourteen slots, as after its limit was lowered.
    pub fn any_world()(
        parts in proptest::collection::vec(any_part(), 0..14), queue in proptest::collection::vec(any_waiting(), 0..6),
        now in 0i64..30_000, asked in -200i64..200, draining in proptest::bool::weighted(0.1),
        (creates, boots) in (any_trouble(), any_trouble()),
        failed in proptest::collection::vec(0i64..10_000, 0..4), stray in proptest::option::weighted(0.1, 0i64..30_000),
        (room, unseen, unreadable) in (any_room(), any_unseen(), proptest::option::weighted(0.1, 10u16..14)),
        notices in proptest::collection::vec(any_notice(), 0..4), calls in prop_oneof![4 => Just(20usize), 1 => Just(0usize)],
    ) -> World {
        let mut world = world(vec![], (100..).zip(&queue).map(|(job, _)| waiting(job, job as i64)).collect(), vec![]);
        world.now = at(now);
        world.vms.insert(provider(), Observed::Known { at: at(now + asked), value: vec![] });
        world.runners.insert(scope(), Observed::Known { at: at(now + asked), value: vec![] });
        for (index, part) in (0..).zip(&parts) {
            place(&mut world, index, part);
        }
        for (number, (record, change)) in (100..).zip(queue) {
            world.jobs.extend(record.map(|record| (JobId(number), record.map(|state| job(number, state)))));
            world.told.extend(change.map(|change| JobEvent { change, ..event(number, &["Linux"]) }));
        }
        stray.into_iter().for_each(|made_at| strand(&mut world, made_at));
        for place in ["us-east1-c", "template 8000"] {
            world.room.extend(room.map(|room| ((provider(), place.to_owned()), room)));
        }
        world.unseen.extend(unseen);
        let slots = u16::try_from(parts.len()).unwrap();
        world.pools[0].unreadable.extend(unreadable.filter(|index| *index >= slots).map(SlotIndex));
        let state = &mut world.pools[0].state;
        (state.creates, state.boots) = (creates, boots);
        state.draining = draining.then(|| at(0));
        let failed = (0..).zip(&failed).map(|(id, seconds)| Attempt {
            id, guid: id.to_string(), at: at(*seconds), failed: true, tells: Tells::Queued,
        });
        let failures = Failures { failed: failed.collect(), whole: true, ..Failures::default() };
        world.deliveries.insert("app".into(), failures);
        // A job has one notice.
        let notices: BTreeMap<JobId, Notice> = notices.into_iter().map(|notice| (notice.job, notice)).collect();
        world.pools[0].notices = notices.into_values().collect();
        world.voice.calls = calls;
        world
    }
}
