use super::*;
use crate::sweep::fixtures::{LATER, at, planned, world};

const HOOK: &str = "app";

fn attempt(id: u64, guid: &str, seconds: i64) -> Attempt {
    Attempt { id, guid: guid.into(), at: at(seconds), failed: true, tells: Tells::Queued }
}

fn failures(failed: Vec<Attempt>) -> Failures {
    Failures { failed, whole: true, ..Failures::default() }
}

fn planned_for(failures: Failures) -> Plan {
    let mut world = world(vec![], vec![], vec![]);
    world.deliveries.insert(HOOK.into(), failures);
    planned(&world)
}

/// What is asked for again: which event, by which try, how often before.
fn asked_for(plan: &Plan) -> Vec<(&str, u64, u32)> {
    let asked = plan.steps.iter().filter_map(|step| {
        let Action::Redeliver { hook, guid, attempt, times } = &step.action else { return None };
        assert_eq!((hook.as_str(), &step.pool), (HOOK, &None));
        Some((guid.as_str(), *attempt, *times))
    });
    asked.collect()
}

#[test]
fn an_event_that_was_delivered_in_vain_is_asked_for_once_by_its_last_try() {
    let tries = vec![attempt(2, "a", 50), attempt(1, "a", 10), attempt(3, "b", 30)];
    let plan = planned_for(failures(tries));
    assert_eq!(asked_for(&plan), [("a", 2, 0), ("b", 3, 0)], "the oldest first");
}

#[test]
fn an_event_that_came_through_later_is_settled() {
    let succeeded = BTreeSet::from(["a".to_owned()]);
    let plan = planned_for(Failures { succeeded, ..failures(vec![attempt(1, "a", 10)]) });
    assert_eq!(plan.steps, vec![]);
    assert_eq!(plan.left_alone, vec![]);
}

#[test]
fn a_delivery_that_failed_a_moment_ago_is_given_time() {
    assert_eq!(asked_for(&planned_for(failures(vec![attempt(1, "a", LATER - 119)]))), []);
    assert_eq!(asked_for(&planned_for(failures(vec![attempt(1, "a", LATER - 120)]))).len(), 1);
}

#[test]
fn a_delivery_is_asked_for_five_times_after_waits_that_double() {
    let due = |times, ago: i64| {
        let asked = BTreeMap::from([("a".to_owned(), Asked { times, at: at(LATER - ago) })]);
        let plan = planned_for(Failures { asked, ..failures(vec![attempt(1, "a", 0)]) });
        !asked_for(&plan).is_empty()
    };
    for (times, wait) in [(0, 120), (1, 240), (2, 480), (3, 960), (4, 1920)] {
        assert!(!due(times, wait - 1), "{times}");
        assert!(due(times, wait), "{times}");
    }
    assert!(!due(5, LATER), "given up");
}

#[test]
fn the_wait_begins_with_the_last_try_or_request_whichever_is_later() {
    let asked = BTreeMap::from([("a".to_owned(), Asked { times: 1, at: at(0) })]);
    let retried = vec![attempt(1, "a", 0), attempt(2, "a", LATER - 239)];
    assert_eq!(asked_for(&planned_for(Failures { asked, ..failures(retried) })), []);
}

#[test]
fn at_most_eighty_are_asked_for_in_one_sweep_the_oldest_of_all_hooks() {
    let many = |hook: &str, first: u64| {
        let tries = (0..60).map(|n| attempt(n, &format!("{hook}-{n}"), (2 * n + first) as i64)).collect();
        failures(tries)
    };
    let mut world = world(vec![], vec![], vec![]);
    world.deliveries.insert("app".into(), many("app", 0));
    world.deliveries.insert("org".into(), many("org", 1));
    let since: Vec<_> = planned(&world).steps.into_iter().map(|step| step.since).collect();
    assert_eq!(since, (0..80).map(at).collect::<Vec<_>>());
}

#[test]
fn what_is_missed_most_is_asked_for_first() {
    let tells = |id, seconds, tells| Attempt { tells, ..attempt(id, &format!("{id}"), seconds) };
    let queued = (0..80).map(|id| tells(id, 10, Tells::Queued));
    let later = [tells(80, 30, Tells::Started), tells(81, 20, Tells::Started), tells(82, 40, Tells::Ended)];
    let plan = planned_for(failures(queued.chain(later).collect()));
    let asked = asked_for(&plan);
    assert_eq!(asked.len(), 80);
    for guid in ["80", "81", "82"] {
        assert!(asked.iter().any(|(each, ..)| *each == guid), "{guid} of {asked:?}");
    }
    for (action, expected) in
        [("completed", Tells::Ended), ("in_progress", Tells::Started), ("queued", Tells::Queued)]
    {
        assert_eq!(Tells::of(Some(action)), expected);
    }
}

#[test]
fn what_was_asked_for_before_the_oldest_listed_success_came_through_unless_it_failed_again() {
    let planned = |failed, asked_at, since| {
        let asked = BTreeMap::from([("a".to_owned(), Asked { times: 1, at: at(asked_at) })]);
        let succeeded_since = Some(at(since));
        planned_for(Failures { asked, succeeded_since, ..failures(failed) })
    };
    let once = || vec![attempt(1, "a", 10)];
    let came = planned(once(), 100, 101);
    assert_eq!((asked_for(&came).len(), came.settled[HOOK]), (0, later(at(10), STEP)));
    assert_eq!(asked_for(&planned(once(), 101, 101)).len(), 1, "its success would be listed");
    let again = vec![attempt(1, "a", 10), attempt(2, "a", 102)];
    assert_eq!(asked_for(&planned(again, 100, 103)).len(), 1);
}

#[test]
fn what_is_settled_is_not_listed_again() {
    let settled = |failures| planned_for(failures).settled.get(HOOK).copied();
    let one = || vec![attempt(1, "a", 10), attempt(2, "b", 20)];
    assert_eq!(settled(failures(one())), Some(at(10)), "the oldest that is not settled");
    let succeeded = BTreeSet::from(["a".to_owned()]);
    assert_eq!(settled(Failures { succeeded, ..failures(one()) }), Some(at(20)));
    let all = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(settled(Failures { succeeded: all, ..failures(one()) }), Some(later(at(20), STEP)));
    let asked = Asked { times: TIMES_MOST, at: at(20) };
    let given_up = BTreeMap::from([("a".to_owned(), asked), ("b".to_owned(), asked)]);
    assert_eq!(settled(Failures { asked: given_up, ..failures(one()) }), Some(later(at(20), STEP)));
    let newest = Failures { whole: false, ..failures(one()) };
    assert_eq!(settled(newest), Some(at(10)), "those before are never listed while these are");
    assert_eq!(settled(failures(vec![])), None);
}

#[test]
fn the_last_moments_are_never_settled_since_older_tries_may_be_listed_later() {
    let late = failures(vec![attempt(1, "a", LATER - 5)]);
    assert_eq!(planned_for(late).settled[HOOK], at(LATER - 120));
}

#[test]
fn github_keeps_deliveries_for_three_days() {
    let (now, oldest) = (at(LATER), at(LATER - 3 * 86_400));
    assert_eq!(deliveries_since(now, None), oldest);
    assert_eq!(deliveries_since(now, Some(at(5))), at(5));
    assert_eq!(deliveries_since(now, Some(at(-1_000_000))), oldest);
}
