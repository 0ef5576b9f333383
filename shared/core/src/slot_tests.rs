use super::*;
use crate::sweep::fixtures::{at, booting, busy, creating, deleting, idle, machine, slot};

fn all_phases() -> Vec<Slot> {
    let phases = [Phase::Reserved, creating(MakingStep::Starting, 5), booting(), idle(), busy(), deleting()];
    let meant = phases.into_iter().map(|phase| slot(3, 1, phase));
    meant.chain([taken()]).collect()
}

/// Busy with a job that is not known, instead of the one that it was meant for.
fn taken() -> Slot {
    slot(3, 1, idle()).taken(at(5)).unwrap()
}

fn making(held: Option<Timestamp>) -> SlotEvent {
    SlotEvent::Making(Making::Step {
        vm: machine().vm,
        step: MakingStep::Starting,
        held,
        leased_until: at(40),
    })
}

fn handed_over(held: i64) -> SlotEvent {
    SlotEvent::Making(Making::HandedOver { runner_id: RunnerId(5), held: at(held) })
}

fn all_events() -> Vec<SlotEvent> {
    vec![
        SlotEvent::Placed { vm: machine().vm, runner_id: RunnerId(5) },
        making(None),
        making(Some(at(5))),
        SlotEvent::Making(Making::TakenUp { leased_until: at(40) }),
        SlotEvent::Making(Making::GivenUp { held: at(5) }),
        handed_over(5),
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
        "         placed   making   goes on  taken up given up handed   online   started  ended    retired  watched  taken",
        "reserved booting  creating -        -        -        -        -        busy     deleting deleting -        -",
        "creating booting  -        creating creating deleting booting  -        busy     deleting deleting -        -",
        "booting  booting  -        -        -        -        -        idle     busy     deleting deleting -        busy",
        "idle     -        -        -        -        -        -        -        busy     deleting deleting -        busy",
        "busy     -        -        -        -        -        -        -        -        deleting -        -        -",
        "deleting -        -        -        -        -        -        -        -        -        -        deleting -",
        // With a job that is not known.
        "busy     -        -        -        -        -        -        -        busy     deleting -        -        -",
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

#[test]
fn a_vm_that_is_made_in_steps_is_one_invocations_at_a_time() {
    let until = |at: Timestamp| SlotEvent::Making(Making::TakenUp { leased_until: at });
    let leased = slot(3, 1, creating(MakingStep::WaitingForAgent, 20));
    assert!(leased.apply(&until(at(60)), at(20)).is_err(), "it is leased until then");
    let taken_up = leased.apply(&until(at(60)), at(21)).unwrap();
    for late in [making(Some(at(20))), SlotEvent::Making(Making::GivenUp { held: at(20) }), handed_over(20)] {
        assert!(taken_up.apply(&late, at(22)).is_err(), "whoever was at it before is not believed any more");
    }
    assert_eq!(taken_up.phase, creating(MakingStep::WaitingForAgent, 60));
}

#[test]
fn a_vm_that_was_made_in_steps_boots_since_it_was_asked_for() {
    let made = slot(3, 1, creating(MakingStep::WaitingForAgent, 20));
    let booting = made.apply(&handed_over(20), at(300)).unwrap();
    assert_eq!(booting.since(), made.reserved_at);
    assert_eq!(booting.phase.machine().unwrap().runner_id, Some(RunnerId(5)));
}

#[test]
fn an_event_that_overtakes_the_hand_over_keeps_the_place() {
    let made = slot(3, 1, creating(MakingStep::WaitingForAgent, 20));
    let busy = made.apply(&SlotEvent::Started { job: JobId(9) }, at(30)).unwrap();
    let machine = busy.phase.machine().unwrap();
    assert_eq!((&machine.vm, machine.runner_id), (&crate::sweep::fixtures::machine().vm, None));
}
