use super::*;
use crate::sweep::fixtures::{at, booting, busy, creating, deleting, idle, machine, slot};

/// One of each kind, each beside the pattern that it stands for: a phase or an event that is added does not compile before
/// it has its row or column in the table.
macro_rules! one_of_each {
    ($all:ident: $of:ty = $($pattern:pat => $sample:expr,)+) => {
        fn $all() -> Vec<$of> {
            let known = |it: &$of| match it { $($pattern => (),)+ };
            let all = vec![$({ let sample = $sample; assert!(matches!(sample, $pattern)); sample }),+];
            all.iter().for_each(known);
            all
        }
    };
}

one_of_each! { all_phases: Slot =
    Slot { phase: Phase::Reserved, .. } => slot(3, 1, Phase::Reserved),
    Slot { phase: Phase::Creating { .. }, .. } => slot(3, 1, creating(MakingStep::Starting, 5)),
    Slot { phase: Phase::Booting { .. }, .. } => slot(3, 1, booting()),
    Slot { phase: Phase::Idle { .. }, .. } => slot(3, 1, idle()),
    Slot { phase: Phase::Busy { .. }, purpose: Purpose::Job(_), .. } => slot(3, 1, busy()),
    Slot { phase: Phase::Busy { .. }, purpose: Purpose::Spare { .. }, .. } => taken(),
    Slot { phase: Phase::Deleting { watched_until: None, .. }, .. } => slot(3, 1, deleting()),
    Slot { phase: Phase::Deleting { watched_until: Some(_), .. }, .. } => watched(),
}

one_of_each! { all_events: SlotEvent =
    SlotEvent::Placed { .. } => SlotEvent::Placed { vm: machine().vm, runner_id: RunnerId(5), registered_at: Some(at(4)) },
    SlotEvent::Unplaced { held: None, .. } => unplaced(None),
    SlotEvent::Unplaced { held: Some(_), .. } => unplaced(Some(at(5))),
    SlotEvent::Making(Making::Step { held: None, .. }) => making(None),
    SlotEvent::Making(Making::Step { held: Some(_), .. }) => making(Some(at(5))),
    SlotEvent::Making(Making::TakenUp { .. }) => SlotEvent::Making(Making::TakenUp { leased_until: at(40) }),
    SlotEvent::Making(Making::GivenUp { .. }) => SlotEvent::Making(Making::GivenUp { held: at(5) }),
    SlotEvent::Making(Making::HandedOver { .. }) => handed_over(5),
    SlotEvent::Online => SlotEvent::Online,
    SlotEvent::Started { .. } => SlotEvent::Started { job: JobId(9) },
    SlotEvent::Ended => SlotEvent::Ended,
    SlotEvent::Retired => SlotEvent::Retired,
    SlotEvent::Watched { .. } => SlotEvent::Watched { until: at(50) },
}

/// In deletion, which somebody waits for until later.
fn watched() -> Slot {
    slot(3, 1, deleting()).apply(&SlotEvent::Watched { until: at(20) }, at(5)).unwrap()
}

/// Busy with a job that is not known, instead of the one that it was meant for.
fn taken() -> Slot {
    slot(3, 1, idle()).taken(at(5)).unwrap()
}

fn unplaced(held: Option<Timestamp>) -> SlotEvent {
    SlotEvent::Unplaced { vm: machine().vm, held }
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
    SlotEvent::Making(Making::HandedOver {
        runner_id: RunnerId(5),
        registered_at: Some(at(4)),
        held: at(held),
    })
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
        "         placed   unplaced held unp making   goes on  taken up given up handed   online   started  ended    retired  watched  taken",
        "reserved booting  -        -        creating -        -        -        -        -        busy     deleting deleting -        -",
        "creating booting  -        reserved -        creating creating deleting booting  -        busy     deleting deleting -        -",
        "booting  booting  reserved -        -        -        -        -        -        idle     busy     deleting deleting -        busy",
        "idle     -        -        -        -        -        -        -        -        -        busy     deleting deleting -        busy",
        "busy     -        -        -        -        -        -        -        -        -        -        deleting -        -        -",
        // With a job that is not known.
        "busy     -        -        -        -        -        -        -        -        -        busy     deleting -        -        -",
        "deleting -        -        -        -        -        -        -        -        -        -        -        -        deleting -",
        // Which somebody waits for already.
        "deleting -        -        -        -        -        -        -        -        -        -        -        -        -        -",
    ];
    assert_eq!(table.len() + 1, expected.len());
    for (row, expected) in table.iter().zip(&expected[1..]) {
        assert_eq!(row.trim_end(), *expected);
    }
}

#[test]
fn a_vm_is_only_taken_out_of_the_place_where_it_was_put() {
    for (phase, held) in [(booting(), None), (creating(MakingStep::Starting, 20), Some(at(20)))] {
        let slot = slot(3, 1, phase);
        let elsewhere = VmPlace { at: "us-west1-a".into(), ..machine().vm };
        assert!(slot.apply(&SlotEvent::Unplaced { vm: elsewhere, held }, at(10)).is_err());
        let back = slot.apply(&unplaced(held), at(10)).unwrap();
        // As if it had not been asked for there: its time runs from when it was taken.
        assert_eq!(back, Slot { phase: Phase::Reserved, ..slot.clone() });
        assert!(slot.apply(&unplaced(Some(at(21))), at(10)).is_err(), "that is another's lease");
    }
}

/// The store's conditions are made from `allowed_in`, so it has to say what `apply` does, but for the events that ask
/// for more than a phase.
#[test]
fn an_event_is_taken_in_the_phases_that_it_is_allowed_in_and_in_no_others() {
    for event in all_events() {
        for kind in PhaseKind::ALL {
            let of_kind = all_phases().into_iter().filter(|slot| slot.phase.kind() == kind);
            let taken: Vec<bool> = of_kind.map(|slot| slot.apply(&event, at(10)).is_ok()).collect();
            let allowed = event.allowed_in().contains(&kind);
            let expected = match (&event, kind) {
                // Where its job is known, and where it is not.
                (SlotEvent::Started { .. }, PhaseKind::Busy) => vec![false, true],
                // Where nobody waits for its end, and where somebody does.
                (SlotEvent::Watched { .. }, PhaseKind::Deleting) => vec![true, false],
                _ => vec![allowed; taken.len()],
            };
            assert_eq!(taken.contains(&true), allowed, "{event:?} while {kind}");
            assert_eq!(taken, expected, "{event:?} while {kind}");
        }
    }
}

#[test]
fn a_refusal_names_the_phase_that_the_event_met() {
    for slot in all_phases() {
        for event in all_events() {
            if let Err(refused) = slot.apply(&event, at(10)) {
                assert_eq!(refused.phase, slot.phase.kind());
            }
        }
    }
    let refused = slot(3, 1, busy()).apply(&SlotEvent::Retired, at(10)).unwrap_err();
    assert_eq!(refused.to_string(), "a busy slot cannot take this event");
}

/// Nothing else changes with an event: not whose slot it is, nor since when it is taken.
#[test]
fn an_event_leaves_the_slots_name_and_age_alone() {
    for slot in all_phases() {
        let next = all_events().into_iter().filter_map(|event| slot.apply(&event, at(10)).ok());
        for next in next.chain(slot.taken(at(10)).ok()) {
            assert_eq!((&next.runner, next.reserved_at), (&slot.runner, slot.reserved_at));
        }
    }
}

#[test]
fn a_phase_is_known_by_its_name() {
    let names = PhaseKind::ALL.map(|kind| kind.to_string());
    assert_eq!(names, ["reserved", "creating", "booting", "idle", "busy", "deleting"]);
    assert_eq!(PhaseKind::ALL.map(|kind| PhaseKind::parse(kind.as_str())), PhaseKind::ALL.map(Some));
    assert_eq!(PhaseKind::parse("gone"), None);
    let kinds: Vec<PhaseKind> = all_phases().iter().map(|slot| slot.phase.kind()).collect();
    assert!(PhaseKind::ALL.iter().all(|kind| kinds.contains(kind)), "no phase is missing in the table");
}

#[test]
fn a_vm_that_is_made_in_steps_says_at_which_it_is() {
    let steps = [MakingStep::Cloning { task: None }, MakingStep::Starting, MakingStep::WaitingForAgent];
    assert_eq!(steps.map(|step| step.to_string()), ["cloning", "starting", "waiting for the guest agent"]);
}

#[test]
fn a_place_is_named_with_its_provider() {
    assert_eq!(machine().vm.to_string(), "gcp/us-east1-c");
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
fn a_vm_that_was_made_in_steps_boots_since_it_was_handed_over() {
    let made = slot(3, 1, creating(MakingStep::WaitingForAgent, 20));
    let booting = made.apply(&handed_over(20), at(300)).unwrap();
    assert_eq!((booting.since(), booting.reserved_at), (at(300), made.reserved_at));
    assert_eq!(booting.phase.machine().unwrap().runner_id, Some(RunnerId(5)));
}

#[test]
fn an_event_that_overtakes_the_hand_over_keeps_the_place() {
    let made = slot(3, 1, creating(MakingStep::WaitingForAgent, 20));
    let busy = made.apply(&SlotEvent::Started { job: JobId(9) }, at(30)).unwrap();
    let machine = busy.phase.machine().unwrap();
    assert_eq!((&machine.vm, machine.runner_id), (&crate::sweep::fixtures::machine().vm, None));
}
