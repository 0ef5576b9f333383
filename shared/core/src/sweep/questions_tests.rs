use super::*;
use crate::ids::PoolName;
use crate::sweep::fixtures::{
    LATER, at, booting, busy, deleting, idle, job, policy, pool, running, scope, seen, slot, spare, unknown,
    vm, waiting, with_job, with_runners, world,
};

fn linux() -> Policy {
    policy(vec![pool("linux", &["Linux"])])
}

fn asked(world: &World) -> Vec<u64> {
    jobs_to_ask(&linux(), world, News::Delivered).into_iter().map(|question| question.job.0).collect()
}

fn in_question(world: &World) -> Vec<u64> {
    jobs_in_question(&linux(), world, News::Delivered).into_iter().map(|job| job.0).collect()
}

/// Slot 0 for job 1, with its VM, its record and its runner as GitHub sees it.
fn one(phase: Phase, runner: Option<(bool, bool)>) -> World {
    let slot = slot(0, 1, phase);
    let runners = runner.map(|(online, busy)| seen(&slot.runner, online, busy)).into_iter().collect();
    let state = JobState::Assigned { slot: slot.runner.slot() };
    with_job(with_runners(world(vec![slot], vec![], running([0])), runners), 1, Some(state))
}

const IDLE: Option<(bool, bool)> = Some((true, false));
const BUSY: Option<(bool, bool)> = Some((true, true));
const OFFLINE: Option<(bool, bool)> = Some((false, false));

#[test]
fn github_is_asked_for_jobs_whose_runner_does_something_else_than_it_should() {
    for (phase, strange, normal) in [
        (booting(), vec![IDLE, BUSY], vec![OFFLINE, None]),
        (idle(), vec![IDLE, BUSY], vec![OFFLINE, None]),
        (busy(), vec![IDLE, OFFLINE, None], vec![BUSY]),
        (Phase::Reserved, vec![], vec![IDLE, BUSY, OFFLINE, None]),
        (deleting(), vec![], vec![IDLE, BUSY, OFFLINE, None]),
    ] {
        for runner in strange {
            let mut world = one(phase.clone(), runner);
            assert_eq!(asked(&world), [1], "{phase:?} {runner:?}");
            world.now = at(300);
            assert_eq!(asked(&world), [1], "{phase:?} {runner:?} after check_after");
            world.now = at(299);
            assert!(asked(&world).is_empty(), "the event may be on its way");
        }
        for runner in normal {
            assert!(asked(&one(phase.clone(), runner)).is_empty(), "{phase:?} {runner:?}");
        }
    }
}

#[test]
fn nothing_is_asked_where_a_list_is_missing_or_the_vm_is_not_running() {
    let mut unlisted = one(busy(), None);
    unlisted.runners.insert(scope(), unknown());
    assert!(asked(&unlisted).is_empty());
    let mut unseen = one(busy(), None);
    unseen.vms.values_mut().for_each(|list| *list = unknown());
    assert!(asked(&unseen).is_empty());
    let mut stopped = one(busy(), None);
    let value = vec![vm(0, VmState::Stopped)];
    stopped.vms.values_mut().for_each(|list| {
        *list = crate::sweep::Observed::Known { at: at(LATER), value: value.clone() };
    });
    assert!(asked(&stopped).is_empty());
}

#[test]
fn a_job_that_the_table_has_as_over_or_not_at_all_is_not_asked_for() {
    assert!(asked(&with_job(one(busy(), None), 1, Some(JobState::Done))).is_empty());
    assert!(asked(&with_job(one(busy(), None), 1, None)).is_empty());
    let mut unread = one(busy(), None);
    unread.jobs.clear();
    assert!(asked(&unread).is_empty());
}

#[test]
fn a_job_that_waits_for_long_is_asked_for_now_and_then() {
    let mut world = world(vec![], vec![waiting(8, LATER - 300), waiting(9, LATER - 299)], vec![]);
    let questions = jobs_to_ask(&linux(), &world, News::Delivered);
    let entry = (PoolName::new("linux").unwrap(), waiting(8, LATER - 300));
    let Question { job, repository, installation, waiting } = questions[0].clone();
    assert_eq!((questions.len(), job, waiting), (1, JobId(8), Some(entry.clone())));
    assert_eq!((repository, installation), (entry.1.repository, entry.1.installation));
    world.pools[0].asked.insert(JobId(8), at(LATER - 299));
    assert!(asked(&world).is_empty(), "it was asked for lately");
    world.pools[0].asked.insert(JobId(8), at(LATER - 300));
    assert_eq!(asked(&world), [8]);
}

#[test]
fn the_questions_of_one_sweep_are_bounded_and_the_longest_not_heard_of_come_first() {
    let slots: Vec<Slot> = (0..60)
        .map(|n| {
            slot(
                n,
                n.into(),
                Phase::Idle { machine: crate::sweep::fixtures::machine(), since: at(60 - i64::from(n)) },
            )
        })
        .collect();
    let queue = (100..160).map(|job| waiting(job, job as i64)).collect();
    let mut world = world(slots, queue, running(0..60));
    for n in 0..60u16 {
        world.jobs.insert(JobId(n.into()), Some(job(n.into(), JobState::Waiting)));
    }
    for n in 100..110 {
        world.pools[0].asked.insert(JobId(n), at(5_000));
    }
    let waiting: Vec<u64> = (110..130).collect();
    assert_eq!(asked(&world)[40..], waiting, "those asked for lately stand behind those never asked for");
    // Some slots may stay strange for long, so others are asked for in each minute: all of them in two.
    let mut seen = std::collections::BTreeSet::new();
    for minute in 0..3 {
        world.now = at(10_000 + 60 * minute);
        let questions = asked(&world);
        assert_eq!(questions.len(), 60);
        seen.extend(questions.into_iter().filter(|job| *job < 100));
    }
    assert_eq!(seen, (0..60).collect());
}

#[test]
fn the_table_is_asked_for_the_jobs_of_slots_that_are_not_plainly_in_order() {
    assert!(in_question(&one(busy(), BUSY)).is_empty());
    assert_eq!(in_question(&one(busy(), None)), [1]);
    assert_eq!(in_question(&one(deleting(), None)), [1]);
    assert_eq!(in_question(&world(vec![slot(0, 1, busy())], vec![], vec![])), [1], "its VM is gone");
    for phase in [Phase::Reserved, booting(), idle()] {
        let mut world = one(phase, IDLE);
        assert_eq!(in_question(&world), [1]);
        world.now = at(119);
        assert!(in_question(&world).is_empty());
    }
    assert!(in_question(&world(vec![spare(0, 0)], vec![], vec![])).is_empty(), "it has no job");
}

const POLLED: News = News::Polled { every: Duration::from_secs(20) };

#[test]
fn without_webhooks_a_runner_is_looked_into_from_the_next_poll_on() {
    let mut world = one(idle(), BUSY);
    world.now = at(60);
    assert!(asked(&world).is_empty(), "an event may be on its way");
    let jobs = |world: &World| -> Vec<u64> {
        jobs_to_ask(&linux(), world, POLLED).into_iter().map(|question| question.job.0).collect()
    };
    assert_eq!(jobs(&world), [1]);
    assert!(jobs_in_question(&linux(), &world, POLLED).contains(&JobId(1)), "its record is needed for that");
    world.now = at(19);
    assert!(jobs(&world).is_empty());
    // A waiting job costs a call each time, and runs tell of it anyway.
    let waits = crate::sweep::fixtures::world(vec![], vec![waiting(9, LATER - 299)], vec![]);
    assert!(jobs(&waits).is_empty());
}

#[test]
fn without_webhooks_a_vm_that_powered_off_is_how_a_jobs_end_shows() {
    for (phase, worth) in [(booting(), true), (idle(), true), (busy(), true), (deleting(), false)] {
        let mut stopped = one(phase.clone(), None);
        let value = vec![vm(0, VmState::Stopped)];
        stopped.vms.values_mut().for_each(|list| {
            *list = crate::sweep::Observed::Known { at: at(LATER), value: value.clone() };
        });
        assert_eq!(jobs_to_ask(&linux(), &stopped, POLLED).len(), usize::from(worth), "{phase:?}");
        assert!(asked(&stopped).is_empty());
    }
}

#[test]
fn polls_shorten_no_wait_that_is_not_for_events() {
    let timing = Timing::default();
    let polled = POLLED.timing(&timing);
    assert_eq!(polled, Timing { check_after: Duration::from_secs(20), ..timing.clone() });
    assert_eq!(News::Delivered.timing(&timing), timing);
    let rare = News::Polled { every: Duration::from_secs(3_600) };
    assert_eq!(rare.timing(&timing), timing);
}
