use proptest::prelude::*;

use super::*;
use crate::sweep::fixtures::{at, booting, busy, idle, slot};

fn any_step() -> impl Strategy<Value = Step> {
    let name = || "[a-z]{1,9}-[a-z-]{1,20}-[0-9]{4}-[a-z2-9]{12}";
    let why = || "[ -~]{0,60}[a-z]";
    let place = || prop_oneof!["gcp/us-east[0-9]-[a-d]", "lab/pve[0-9]/9[0-9]{3}"];
    let moment = || (0i64..2_000_000_000).prop_map(at);
    prop_oneof![
        (name(), any::<bool>()).prop_map(|(runner, spare)| Step::Claimed { runner, spare }),
        why().prop_map(|why| Step::Queued { why }),
        why().prop_map(|why| Step::Waits { why }),
        (name(), any::<bool>(), proptest::option::of(why()))
            .prop_map(|(runner, spare, why)| Step::Assigned { runner, spare, why }),
        name().prop_map(|runner| Step::Registered { runner }),
        (name(), place()).prop_map(|(runner, place)| Step::Made { runner, place }),
        (name(), place(), why()).prop_map(|(runner, place, over)| Step::PassedOver { runner, place, over }),
        name().prop_map(|runner| Step::Online { runner }),
        (name(), proptest::option::of((place(), moment())), why())
            .prop_map(|(runner, vm, why)| Step::GivenUp { runner, vm, why }),
        (proptest::option::of(name()), any::<u64>(), 0..3usize).prop_map(|(runner, job, which)| {
            let meant = [Meant::Own, Meant::Other(JobId(job)), Meant::Spare][which];
            Step::Started { runner, meant }
        }),
        (proptest::option::of(name()), "[a-z_]{1,20}")
            .prop_map(|(runner, conclusion)| Step::Ended { runner, conclusion }),
    ]
}

proptest! {
    #[test]
    fn a_line_is_read_back_as_it_was_written(step in any_step()) {
        let line = step.at(at(0));
        prop_assert_eq!(Step::read(&line.what), (step.clone(), false));
        prop_assert_eq!(Step::read(&asked(line).what), (step, true));
    }
}

#[test]
fn every_place_that_was_tried_is_named_however_long_the_reasons_are() {
    let tried = |reasons: &[(&str, &str)]| {
        together(&reasons.iter().map(|(place, why)| format!("{place}: {why}")).collect::<Vec<_>>())
    };
    assert_eq!(
        tried(&[("a", "no quota"), ("lab", "no room: pve1"), ("b", "no quota")]),
        "a, b: no quota; lab: no room: pve1"
    );
    let long = "The zone does not have enough resources available to fulfil the request. ".repeat(5);
    let zones: Vec<String> = (0..5).map(|zone| format!("us-east1-{zone}: {zone} {long}")).collect();
    let text = together(&zones);
    assert!((0..5).all(|zone| text.contains(&format!("us-east1-{zone}: "))), "{text}");
    assert!(text.chars().count() < 280, "{text}");
}

#[test]
fn a_line_without_a_form_is_told_as_it_stands() {
    for text in ["", "held, GitHub says when asked", "goes to pool windows: linux is configured no more"] {
        assert_eq!(Step::read(text), (Step::Said(text.to_owned()), false));
    }
}

#[test]
fn the_job_that_takes_a_runner_tells_how_that_came_there() {
    let texts = |slot: &Slot| {
        way_of(slot)
            .iter()
            .map(|line| (line.at, line.what.replace(slot.runner.as_str(), "R")))
            .collect::<Vec<_>>()
    };
    let mut slot = slot(3, 1, booting());
    slot.way.registered_at = Some(at(-2));
    let registered = (at(-2), "R is registered at GitHub, with a JIT config".to_owned());
    let made = (slot.since(), "VM of R is under way in gcp/us-east1-c".to_owned());
    assert_eq!(texts(&slot), [registered.clone(), made.clone()]);
    let online = (at(9), "R is online, a sweep saw".to_owned());
    let slot = slot.apply(&crate::slot::SlotEvent::Online, at(9)).unwrap();
    assert_eq!(texts(&slot), [registered, made, online]);
}

#[test]
fn whom_a_runner_was_meant_for_is_known_from_its_slot() {
    let own = slot(3, 1, booting());
    assert_eq!(meant(&own, JobId(1)), Meant::Own);
    assert_eq!(meant(&own, JobId(2)), Meant::Other(JobId(1)));
    let spare = Slot { purpose: Purpose::Spare { since: at(0) }, ..slot(3, 1, idle()) };
    assert_eq!(meant(&spare, JobId(2)), Meant::Spare);
    // GitHub's list said that it is busy, before the event told with which job.
    let taken = slot(3, 1, idle()).taken(at(5)).unwrap();
    assert_eq!(meant(&taken, JobId(1)), Meant::Own);
    assert_eq!(meant(&taken, JobId(2)), Meant::Other(JobId(1)));
    assert_eq!(way_of(&slot(3, 1, busy())), []);
}
