use super::*;
use crate::sweep::fixtures::{at, booting, busy, deleting, idle, machine, slot};

fn all_phases() -> Vec<Slot> {
    let phases = [Phase::Reserved, booting(), idle(), busy(), deleting()];
    let meant = phases.into_iter().map(|phase| slot(3, 1, phase));
    meant.chain([taken()]).collect()
}

/// Busy with a job that is not known, instead of the one that it was meant for.
fn taken() -> Slot {
    slot(3, 1, idle()).taken(at(5)).unwrap()
}

fn all_events() -> Vec<SlotEvent> {
    vec![
        SlotEvent::Placed { machine: machine() },
        SlotEvent::Online,
        SlotEvent::Started { job: JobId(9) },
        SlotEvent::Ended,
        SlotEvent::Retired,
        SlotEvent::Watched { until: at(50) },
    ]
}

/// Every phase against every event: what follows, or `-` where it is refused.
#[test]
fn the_table_of_transitions() {
    let table: Vec<String> = all_phases()
        .iter()
        .map(|slot| {
            let next = all_events().into_iter().map(|event| slot.apply(&event, at(10)));
            let next = next.chain([slot.taken(at(10))]).map(|next| match next {
                Ok(next) => next.phase.kind().as_str(),
                Err(_) => "-",
            });
            format!(
                "{:9}{}",
                slot.phase.kind().as_str(),
                next.map(|kind| format!("{kind:9}")).collect::<String>()
            )
        })
        .collect();
    let expected = [
        "         placed   online   started  ended    retired  watched  taken",
        "reserved booting  -        busy     deleting deleting -        -",
        "booting  booting  idle     busy     deleting deleting -        busy",
        "idle     -        -        busy     deleting deleting -        busy",
        "busy     -        -        -        deleting -        -        -",
        "deleting -        -        -        -        -        deleting -",
        // With a job that is not known.
        "busy     -        -        busy     deleting -        -        -",
    ];
    assert_eq!(table.len() + 1, expected.len());
    for (row, expected) in table.iter().zip(&expected[1..]) {
        assert_eq!(row.trim_end(), *expected);
    }
}

#[test]
fn a_busy_runner_is_never_retired() {
    assert!(slot(3, 1, busy()).apply(&SlotEvent::Retired, at(10)).is_err());
}

#[test]
fn a_busy_runner_without_a_known_job_leaves_over_the_one_that_was_meant() {
    let taken = taken();
    assert_eq!((taken.purpose, taken.displaced), (Purpose::Spare { since: at(5) }, Some(JobId(1))));
    assert_eq!(taken.phase, Phase::Busy { machine: Some(machine()), since: at(5) });
    let spare = Slot { purpose: Purpose::Spare { since: at(1) }, ..slot(3, 1, idle()) };
    assert_eq!(spare.taken(at(5)).unwrap().displaced, None);
    let earlier = Slot { displaced: Some(JobId(7)), ..spare };
    assert_eq!(earlier.taken(at(5)).unwrap().displaced, Some(JobId(7)));
}

#[test]
fn the_job_of_a_busy_runner_is_filled_in_when_its_event_comes() {
    let started = |slot: &Slot, job| slot.apply(&SlotEvent::Started { job: JobId(job) }, at(10)).unwrap();
    let as_meant = started(&taken(), 1);
    assert_eq!((as_meant.purpose, as_meant.displaced), (Purpose::Job(JobId(1)), None), "settled thereby");
    let another = started(&taken(), 9);
    assert_eq!((another.purpose, another.displaced), (Purpose::Job(JobId(9)), Some(JobId(1))));
}

#[test]
fn a_deletion_is_watched_by_one_at_a_time() {
    let watched = |slot: &Slot, now| slot.apply(&SlotEvent::Watched { until: at(50) }, at(now));
    let first = watched(&slot(3, 1, deleting()), 10).unwrap();
    assert!(watched(&first, 50).is_err());
    assert!(watched(&first, 51).is_ok());
}

#[test]
fn who_runs_the_job_is_what_github_says_not_what_was_meant() {
    let started = slot(3, 1, idle()).apply(&SlotEvent::Started { job: JobId(9) }, at(10)).unwrap();
    assert_eq!((started.purpose, started.displaced), (Purpose::Job(JobId(9)), Some(JobId(1))));
    let as_meant = slot(3, 1, idle()).apply(&SlotEvent::Started { job: JobId(1) }, at(10)).unwrap();
    assert_eq!(as_meant.displaced, None);
}
