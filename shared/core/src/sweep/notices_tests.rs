use proptest::prelude::*;

use super::*;
use crate::ids::CheckRunId;
use crate::job::JobState;
use crate::notice::Cause;
use crate::policy::{Policy, Pool};
use crate::sweep::any::any_setting;
use crate::sweep::fixtures::{LATER, at, notice, policy, pool, running, slot, waiting, with_job, world};
use crate::sweep::{World, jobs_in_question, plan};

/// A full pool of one, for which these jobs wait.
fn full(waiting: Vec<Waiting>) -> World {
    let mut world = world(vec![slot(0, 1, crate::sweep::fixtures::busy())], waiting, running([0]));
    world.pools[0].state.limit = Some(1);
    world
}

fn told_after(seconds: u64) -> Policy {
    let one = Pool { max_runners: std::num::NonZeroU16::MIN, ..pool("linux", &["Linux"]) };
    Policy { waiting_after: Some(Duration::from_secs(seconds)), ..policy(vec![one]) }
}

/// What is done to what is said, and of which job.
fn named(action: &Action) -> Option<(&'static str, u64)> {
    if let Action::Announce { waiting, .. } = action {
        return Some(("announce", waiting.job.0));
    }
    if let Action::Amend { notice, .. } = action {
        return Some(("amend", notice.job.0));
    }
    if let Action::Conclude { notice, .. } = action { Some(("conclude", notice.job.0)) } else { None }
}

fn is_said(action: &Action) -> bool {
    named(action).is_some()
}

fn said(policy: &Policy, world: &World) -> Vec<(&'static str, u64)> {
    plan(policy, world).steps.iter().filter_map(|step| named(&step.action)).collect()
}

#[test]
fn a_job_is_spoken_of_when_it_has_waited_for_long_enough_and_only_once() {
    let queue = || vec![waiting(8, LATER - 601), waiting(9, LATER - 600), waiting(10, LATER - 599)];
    let mut world = full(queue());
    assert_eq!(said(&told_after(600), &world), [("announce", 8), ("announce", 9)], "the oldest first");
    world.pools[0].notices = vec![notice(8), notice(9)];
    assert_eq!(said(&told_after(600), &world), []);
}

#[test]
fn by_default_nothing_is_said() {
    let world = full(vec![waiting(8, 0)]);
    assert_eq!(said(&Policy { waiting_after: None, ..told_after(1) }, &world), []);
}

#[test]
fn a_job_that_is_served_is_not_spoken_of() {
    let served = world(vec![], vec![waiting(8, 0)], vec![]);
    assert_eq!(said(&told_after(600), &served), []);
}

#[test]
fn what_was_said_is_brought_up_to_date_when_the_reason_changed_and_not_too_often() {
    for (standing, cause, said_at, expected) in [
        (Standing::Made(CheckRunId(1)), Cause::Full, 0, None),
        (Standing::Made(CheckRunId(1)), Cause::CoolingDown, LATER - 300, Some("amend")),
        (Standing::Made(CheckRunId(1)), Cause::CoolingDown, LATER - 299, None),
        (Standing::Asked, Cause::Full, LATER - 300, Some("amend")),
        (Standing::Asked, Cause::Full, LATER - 299, None),
        (Standing::Refused, Cause::CoolingDown, 0, None),
    ] {
        let mut world = full(vec![waiting(8, 0)]);
        world.pools[0].notices = vec![Notice { standing, cause, said_at: at(said_at), ..notice(8) }];
        let planned = said(&told_after(600), &world);
        assert_eq!(planned.first().map(|(what, _)| *what), expected, "{standing:?} {cause:?} {said_at}");
    }
    let mut world = full(vec![waiting(8, 0)]);
    world.pools[0].notices = vec![Notice { cause: Cause::NoRoom, said_at: at(LATER - 60), ..notice(8) }];
    assert_eq!(said(&told_after(60), &world), [("amend", 8)], "never later than waiting_after");
}

#[test]
fn what_was_said_is_concluded_when_the_job_is_known_to_want_no_runner() {
    let ended = |job: Option<Option<JobState>>, queued: bool| {
        let mut world = full(if queued { vec![waiting(8, 0)] } else { vec![] });
        world.pools[0].notices = vec![notice(8)];
        world
            .jobs
            .extend(job.map(|state| (JobId(8), state.map(|state| crate::sweep::fixtures::job(8, state)))));
        said(&told_after(600), &world)
    };
    let running = JobState::Running { slot: None };
    let assigned = JobState::Assigned { slot: crate::ids::SlotIndex(3) };
    for state in [running.clone(), JobState::Done, JobState::Held] {
        assert_eq!(ended(Some(Some(state.clone())), false), [("conclude", 8)], "{state:?}");
    }
    assert_eq!(ended(Some(None), false), [("conclude", 8)], "nobody knows it any more");
    assert_eq!(ended(None, false), [], "its record could not be read");
    assert_eq!(ended(Some(Some(JobState::Waiting)), false), [], "it is between the queue and a slot");
    assert_eq!(ended(Some(Some(assigned)), false), [], "its VM is being made");
    assert_eq!(ended(Some(Some(running)), true), [], "it is in the queue");
}

#[test]
fn what_github_was_not_heard_to_have_is_concluded_when_no_request_can_be_on_its_way_any_more() {
    // `orphan_grace` is five minutes.
    for (said_at, expected) in [(LATER - 299, vec![]), (LATER - 300, vec![("conclude", 8)])] {
        let mut world = with_job(full(vec![]), 8, Some(JobState::Done));
        world.pools[0].notices =
            vec![Notice { standing: Standing::Asked, said_at: at(said_at), ..notice(8) }];
        assert_eq!(said(&told_after(600), &world), expected);
        assert_eq!(
            said(&Policy { waiting_after: None, ..told_after(600) }, &world),
            expected,
            "switched off"
        );
    }
}

#[test]
fn the_records_of_jobs_that_left_the_queue_are_asked_for_and_no_others() {
    let mut world = full(vec![waiting(8, 0), waiting(9, 0)]);
    let asked = |world: &World| jobs_in_question(&told_after(600), world, crate::sweep::News::Delivered);
    assert_eq!(asked(&world), []);
    world.pools[0].notices = vec![notice(8), notice(30), notice(20)];
    assert_eq!(asked(&world), [JobId(20), JobId(30)]);
}

#[test]
fn when_nothing_is_to_be_said_any_more_what_was_said_is_concluded() {
    let mut world = full(vec![waiting(8, 0)]);
    world.pools[0].notices = vec![notice(8), notice(9)];
    let off = Policy { waiting_after: None, ..told_after(600) };
    let endings: Vec<Ending> = plan(&off, &world)
        .steps
        .into_iter()
        .filter_map(
            |step| if let Action::Conclude { ending, .. } = step.action { Some(ending) } else { None },
        )
        .collect();
    assert_eq!(endings, [Ending::Off, Ending::Off]);
}

#[test]
fn little_is_said_at_a_time_what_is_over_first_and_then_the_oldest() {
    let mut world = full((100..130).map(|job| waiting(job, 500 - job as i64)).collect());
    world.pools[0].notices = vec![notice(8)];
    let world = with_job(world, 8, Some(JobState::Done));
    let planned = said(&told_after(600), &world);
    assert_eq!(planned.len(), MOST);
    assert_eq!(planned[..3], [("conclude", 8), ("announce", 129), ("announce", 128)]);

    let with = |voice: Voice| said(&told_after(600), &World { voice, ..world.clone() });
    assert_eq!(with(Voice::silent()), [], "little is left of what GitHub grants");
    let muted = Voice { muted: ["shader-slang".to_owned()].into(), ..Voice::default() };
    assert_eq!(with(muted), [("conclude", 8)], "its owner does not want it");
}

#[test]
fn a_job_that_moved_to_another_pool_keeps_its_notice() {
    let mut world = full(vec![waiting(8, 0)]);
    let mut other = PoolLedger::empty(PoolName::new("older").unwrap());
    other.notices = vec![Notice { cause: Cause::Removed, ..notice(8) }];
    world.pools.push(other);
    world.removed.push(Pool::removed(PoolName::new("older").unwrap(), pool("linux", &[]).scope));
    let steps = plan(&told_after(600), &world).steps;
    let step = steps.into_iter().find(|step| is_said(&step.action)).unwrap();
    assert!(matches!(step.action, Action::Amend { cause: Cause::Full, .. }), "{:?}", step.action);
    assert_eq!(step.pool.unwrap().as_str(), "older", "where what was said is remembered");
}

proptest! {
    /// What is said changes nothing else, and comes after it.
    #[test]
    fn nothing_else_depends_on_what_is_said((policy, world) in any_setting()) {
        let all = plan(&policy, &world);
        let silent = plan(&policy, &World { voice: Voice::silent(), ..world.clone() });
        prop_assert!(silent.steps.iter().all(|step| !is_said(&step.action)));
        let rest: Vec<Step> = all.steps.iter().filter(|step| !is_said(&step.action)).cloned().collect();
        prop_assert_eq!(rest, silent.steps);
        prop_assert!(all.steps.is_sorted_by_key(|step| is_said(&step.action)), "{:?}", all.steps);
        prop_assert!(all.steps.iter().filter(|step| is_said(&step.action)).count() <= world.voice.calls);
    }

    /// A job is spoken of once in a sweep, never before its time, and never where notices are off.
    #[test]
    fn a_job_is_spoken_of_once_and_in_time((policy, world) in any_setting()) {
        let mut jobs = BTreeSet::new();
        for step in plan(&policy, &world).steps {
            let Some((what, job)) = named(&step.action) else { continue };
            prop_assert!(jobs.insert(job), "{job} twice");
            let waits = world.pools[0].waiting.iter().find(|waiting| waiting.job.0 == job);
            let long = |after| waits.is_some_and(|waiting| waiting.queued_at <= earlier(world.now, after));
            prop_assert!(what == "conclude" || policy.waiting_after.is_some_and(long), "{what} {job}");
        }
    }
}
