use crate::event::Change;
use crate::ids::{JobId, PoolName, SlotIndex};
use crate::job::{Job, JobState, Moment};
use crate::policy::Pool;
use crate::slot::{Phase, Slot};
use crate::sweep::fixtures::{
    LATER, at, booting, busy, deleting, event, idle, job, planned, policy, pool, runner, running, scope,
    slot, waiting, with_job, with_told, world,
};
use crate::sweep::{Action, World, plan};

fn started() -> Change {
    Change::Started { runner: Some(runner(4).as_str().to_owned()) }
}

fn ended() -> Change {
    Change::Ended { runner: None, conclusion: Some("cancelled".into()) }
}

/// What is made good of job 1, without what follows for slots and queue.
fn made_good(world: &World) -> Vec<&'static str> {
    let kinds = |action: &Action| {
        [
            ("tell", matches!(action, Action::Tell { .. })),
            ("requeue", matches!(action, Action::Requeue { .. })),
            ("move", matches!(action, Action::Move { .. })),
        ]
    };
    let kind = |action: &Action| kinds(action).into_iter().find(|(_, is)| *is).map(|(kind, _)| kind);
    planned(world).steps.iter().filter_map(|step| kind(&step.action)).collect()
}

/// Every change that GitHub tells of against every state of the record.
#[test]
fn what_github_says_of_a_job_and_no_event_did_is_made_good() {
    let states = [
        None,
        Some(JobState::Held),
        Some(JobState::Waiting),
        Some(JobState::Assigned { slot: SlotIndex(0) }),
        Some(JobState::Running { slot: Some(SlotIndex(0)) }),
        Some(JobState::Done),
    ];
    for (change, expected) in [
        (Change::Queued, ["tell", "tell", "requeue", "requeue", "-", "-"]),
        (Change::Held, ["-", "-", "tell", "tell", "-", "-"]),
        (started(), ["-", "tell", "tell", "tell", "-", "-"]),
        (ended(), ["-", "tell", "tell", "tell", "tell", "-"]),
    ] {
        for (state, expected) in states.iter().zip(expected) {
            let world =
                with_told(with_job(world(vec![], vec![], vec![]), 1, state.clone()), 1, change.clone());
            let done = made_good(&world).first().copied().unwrap_or("-");
            assert_eq!(done, expected, "{change:?} {state:?}");
        }
    }
}

#[test]
fn a_job_whose_record_could_not_be_read_is_not_taken_for_missing() {
    for change in [Change::Queued, Change::Held, started(), ended()] {
        let world = with_told(world(vec![], vec![], vec![]), 1, change);
        assert_eq!(planned(&world).steps, vec![]);
    }
}

#[test]
fn a_job_that_no_pool_serves_is_no_concern() {
    let mut world = with_job(world(vec![], vec![], vec![]), 1, None);
    world.told.push(event(1, &["windows"]));
    assert_eq!(planned(&world).steps, vec![]);
}

#[test]
fn a_queued_job_that_the_queue_or_a_slot_has_is_not_lost() {
    let told = |world| made_good(&with_told(world, 1, Change::Queued));
    let queued = with_job(world(vec![], vec![waiting(1, 0)], vec![]), 1, Some(JobState::Waiting));
    assert!(told(queued).is_empty());
    for phase in [Phase::Reserved, booting(), idle(), busy(), deleting()] {
        let own = with_job(
            world(vec![slot(0, 1, phase.clone())], vec![], running([0])),
            1,
            Some(JobState::Waiting),
        );
        assert!(told(own).is_empty());
        let displaced = Slot { displaced: Some(JobId(1)), ..slot(0, 2, phase) };
        let seen_to = with_job(world(vec![displaced], vec![], running([0])), 1, Some(JobState::Waiting));
        assert!(told(seen_to).is_empty());
    }
}

#[test]
fn a_job_that_was_written_a_moment_ago_is_not_lost() {
    let told = |seconds| {
        let state = JobState::Assigned { slot: SlotIndex(3) };
        let record = Job { timeline: vec![Moment::new(at(seconds), "assigned")], ..job(1, state) };
        let mut world = with_told(world(vec![], vec![], vec![]), 1, Change::Queued);
        world.jobs.insert(JobId(1), Some(record));
        made_good(&world)
    };
    assert!(told(LATER - 119).is_empty(), "its slot may have been claimed after the slots were read");
    assert_eq!(told(LATER - 120), ["requeue"]);
}

#[test]
fn a_job_of_a_pool_that_was_not_read_is_not_lost() {
    let mut world =
        with_told(with_job(world(vec![], vec![], vec![]), 1, Some(JobState::Waiting)), 1, Change::Queued);
    world.pools.clear();
    assert!(made_good(&world).is_empty());
}

#[test]
fn a_slot_that_missed_the_start_of_its_job_is_told_again() {
    let told = |phase| {
        let slots = vec![slot(4, 1, phase)];
        let world = world(slots, vec![], running([4]));
        let state = JobState::Running { slot: Some(SlotIndex(4)) };
        made_good(&with_told(with_job(world, 1, Some(state)), 1, started()))
    };
    for unstarted in [booting(), idle()] {
        assert_eq!(told(unstarted), ["tell"]);
    }
    for heard in [busy(), deleting()] {
        assert!(told(heard).is_empty());
    }
    let strangers = Change::Started { runner: Some("somebody-elses".into()) };
    let state = Some(JobState::Running { slot: None });
    let world = with_told(with_job(world(vec![], vec![], vec![]), 1, state), 1, strangers);
    assert!(made_good(&world).is_empty());
}

#[test]
fn a_job_in_a_removed_pools_queue_moves_to_a_pool_that_serves_it() {
    let mut world = world(vec![], vec![waiting(1, 0)], vec![]);
    world = with_told(with_job(world, 1, Some(JobState::Waiting)), 1, Change::Queued);
    world.removed = vec![Pool::removed(pool("linux", &[]).name, scope())];
    let plan = |pools| plan(&policy(pools), &world).steps;
    let steps = plan(vec![pool("newer", &["Linux"])]);
    let moved = Action::Move { event: event(1, &["Linux"]), waiting: waiting(1, 0) };
    assert_eq!(steps.len(), 1);
    assert_eq!((&steps[0].action, &steps[0].pool), (&moved, &Some(PoolName::new("newer").unwrap())));
    assert_eq!(
        plan(vec![pool("other", &["Windows"])]),
        vec![],
        "nobody else serves it: it waits, and is told why"
    );
}

#[test]
fn what_is_made_good_is_dated_by_the_jobs_creation() {
    let mut world = with_job(world(vec![], vec![], vec![]), 1, None);
    world.told.push(crate::event::JobEvent { created_at: Some(at(7)), ..event(1, &["Linux"]) });
    assert_eq!(planned(&world).steps[0].since, at(7));
}
