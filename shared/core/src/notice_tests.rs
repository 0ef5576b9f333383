use std::collections::BTreeMap;

use super::*;
use crate::audience::{Head, Unwanted};
use crate::gate::PoolState;
use crate::ids::SlotIndex;
use crate::job::Moment;
use crate::sweep::fixtures::{at, job, lab_pool, pool, waiting};
use crate::telling::{Meant, not_served};

const RUNNER: &str = "test-linux-0000-abcdefghijkm";

fn words_of(pool: &Pool, cause: Cause, until: Option<Timestamp>, cooling: &[&str]) -> Words {
    let cooling: BTreeMap<String, Timestamp> =
        cooling.iter().map(|place| ((*place).to_owned(), at(940))).collect();
    let (state, timing) = (PoolState { cooling, ..PoolState::default() }, Timing::default());
    let waiting = waiting(8, 0);
    Situation {
        pool,
        state: &state,
        timing: &timing,
        waiting: &waiting,
        cause,
        until,
        place: 2,
        queue: 3,
        now: at(900),
    }
    .words()
}

/// Beginning of the fixtures' time: 2027-01-15 08:00:00 UTC.
#[test]
fn a_title_says_what_is_waited_for_and_when_it_is_tried_again() {
    let linux = pool("linux", &["Linux"]);
    let mut gpu = linux.clone();
    if let PlacementKind::Gcp(gcp) = &mut gpu.placements[0].kind {
        gcp.gpu_type = Some("nvidia-l4".into());
        gcp.zones = ["us-east1-c", "us-east1-d", "us-west1-a"]
            .map(|zone| crate::ids::Zone::new(zone).unwrap())
            .into();
    }
    let mut both = gpu.clone();
    both.placements.insert(0, lab_pool().placements[0].clone());
    let until = Some(at(940));
    for (pool, cause, title) in [
        (
            &gpu,
            Cause::CoolingDown,
            "waiting for capacity: nvidia-l4 out of stock or quota in 3 zones, next try at 08:15:40 UTC, then every 5 min",
        ),
        (
            &both,
            Cause::CoolingDown,
            "waiting for capacity: no room at gcp, nvidia-l4 out of stock or quota in 3 zones, next try at 08:15:40 UTC, \
             then every 5 min",
        ),
        (
            &linux,
            Cause::CoolingDown,
            "waiting for capacity: linux-gpu-runner out of stock or quota in 1 zone, next try at 08:15:40 UTC, then every \
             5 min",
        ),
        (
            &linux,
            Cause::CreatesFail,
            "waiting for capacity: no VM could be made, next try at 08:15:40 UTC, then at most 5 min apart",
        ),
        (
            &linux,
            Cause::BootsFail,
            "waiting for capacity: VMs are made, and do not come up, next try at 08:15:40 UTC, then with growing pauses",
        ),
        (
            &linux,
            Cause::GitHub,
            "waiting: GitHub's rate limit keeps new runners from being registered, until 08:15:40 UTC",
        ),
        (&linux, Cause::Full, "waiting for capacity: all runners of the pool linux are taken (at most 10)"),
        (&linux, Cause::NoRoom, "waiting for capacity: no host has room for another VM"),
        (
            &linux,
            Cause::OneAtATime,
            "waiting for capacity: after failures VMs are made one at a time until one succeeds",
        ),
        (&linux, Cause::Drained, "waiting: the pool linux takes no jobs, somebody is working on it"),
        (&linux, Cause::Removed, "waiting: the pool linux is configured no more"),
    ] {
        assert_eq!(words_of(pool, cause, until, &[]).title, title);
    }
}

#[test]
fn a_summary_says_since_when_in_which_place_and_what_each_placement_said() {
    let linux = pool("linux", &["Linux"]);
    let words = words_of(&linux, Cause::CoolingDown, Some(at(940)), &["gcp/us-east1-c", "other/us-east1-c"]);
    for part in [
        "runner of the pool `linux`.",
        "| waits since | 2027-01-15 08:00:00 UTC |",
        "| why | waiting for capacity: linux-gpu-runner out of stock",
        "| next try | next try at 08:15:40 UTC, then every 5 min |",
        "| place in the queue | 2 of 3 |",
        "| placement | `gcp`: us-east1-c was full, and is asked again after 08:15:40 UTC |",
        "So it was at 2027-01-15 08:15:00 UTC.",
    ] {
        assert!(words.summary.contains(part), "{part} is not in:\n{}", words.summary);
    }
    let full = words_of(&linux, Cause::Full, None, &[]).summary;
    assert!(
        full.contains("has not said that it is full") && full.contains("as soon as that changes"),
        "{full}"
    );
}

#[test]
fn no_two_jobs_have_check_runs_of_one_name_and_a_name_is_bounded() {
    assert_eq!(check_name(JobId(7), "build (linux)"), "Mayfly: waiting for a runner (build (linux), job 7)");
    assert_eq!(check_name(JobId(7), ""), "Mayfly: waiting for a runner (job 7)");
    assert_ne!(check_name(JobId(7), "build"), check_name(JobId(8), "build"));
    assert!(check_name(JobId(u64::MAX), &"ü\n".repeat(1000)).chars().count() < 170);
}

#[test]
fn causes_are_read_back_as_they_were_written() {
    for cause in Cause::ALL {
        assert_eq!(Cause::parse(cause.as_str()), Some(cause));
    }
    assert_eq!(Cause::parse("weather"), None);
}

#[test]
fn a_record_says_what_became_of_a_job() {
    let started = Step::Started { runner: Some(RUNNER.into()), meant: Meant::Own }.at(at(754));
    let ended = |runner: Option<&str>, conclusion: &str| {
        Step::Ended { runner: runner.map(str::to_owned), conclusion: conclusion.into() }.at(at(800))
    };
    let queued = Moment::new(at(0), "queued, waits: the pool is full");
    let said = |state: JobState, timeline: &[&Moment]| {
        let timeline = timeline.iter().map(|moment| (*moment).clone()).collect();
        let ending = Ending::of(&Job { timeline, ..job(8, state) })?;
        Some((ending.conclusion(), ending.words(at(0)).title))
    };
    let is = |conclusion, title: &str| Some((conclusion, title.to_owned()));
    let running = || JobState::Running { slot: None };
    assert_eq!(said(JobState::Waiting, &[&queued]), None);
    assert_eq!(said(JobState::Assigned { slot: SlotIndex(1) }, &[&queued]), None);
    let after = "started after 12 min 34 s on test-linux-0000-abcdefghijkm";
    assert_eq!(said(running(), &[&queued, &started]), is("neutral", after));
    assert_eq!(said(JobState::Done, &[&started, &ended(Some(RUNNER), "success")]), is("neutral", after));
    assert_eq!(
        said(JobState::Done, &[&ended(Some(RUNNER), "success")]),
        is("neutral", "started on test-linux-0000-abcdefghijkm"),
        "its start was never heard of"
    );
    let cancelled = said(JobState::Done, &[&queued, &ended(None, "cancelled")]);
    assert_eq!(cancelled, is("skipped", "ended without a runner: cancelled"));
    let unwanted = Unwanted::Fork(Head::Fork("mallory/slang".into()));
    let turned_away = Step::Said(not_served(&unwanted)).at(at(60));
    let (conclusion, title) = said(JobState::Done, &[&queued, &turned_away]).unwrap();
    assert_eq!(conclusion, "skipped");
    assert!(title.starts_with("gets no runner here") && !title.contains("mallory"), "{title}");
    assert_eq!(
        said(JobState::Done, &[&turned_away, &ended(Some(RUNNER), "success")]),
        is("neutral", "started on test-linux-0000-abcdefghijkm"),
        "it took the runner of another"
    );
    assert_eq!(said(JobState::Held, &[]), is("skipped", "waits for approval, and for no runner"));
    assert_eq!(said(JobState::Done, &[]), is("skipped", "ended without a runner: over"));
    assert_eq!(said(running(), &[]), is("neutral", "started"));
}

#[test]
fn nothing_that_is_said_at_the_end_marks_a_commit_as_failed() {
    let started = Ending::Started { at: None, runner: None };
    let ended = Ending::Ended { conclusion: "cancelled".into() };
    for ending in [started, ended, Ending::NotServed, Ending::Held, Ending::Forgotten, Ending::Off] {
        assert!(["neutral", "skipped"].contains(&ending.conclusion()), "{ending:?}");
        assert!(ending.words(at(0)).summary.starts_with("The job waited since 2027-01-15 08:00:00 UTC; "));
    }
}

#[test]
fn a_title_is_no_longer_than_a_line_however_much_is_configured() {
    let mut wide = pool("linux", &["Linux"]);
    for number in 0..50 {
        let mut placement = wide.placements[0].clone();
        if let PlacementKind::Gcp(gcp) = &mut placement.kind {
            gcp.instance_template = format!("{}{number}", "t".repeat(60));
        }
        wide.placements.push(placement);
    }
    let words = words_of(&wide, Cause::CoolingDown, Some(at(940)), &[]);
    assert_eq!(words.title.chars().count(), 240);
}
