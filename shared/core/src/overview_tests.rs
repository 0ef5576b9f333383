use std::collections::BTreeMap;

use super::*;
use crate::sweep::fixtures::{
    at, booting, busy, deleting, idle, policy, pool as configured, slot, spare, waiting as queued,
};

const NOW: i64 = 100;

fn ledger(slots: Vec<Slot>, jobs: u64, state: PoolState) -> PoolLedger {
    let waiting = (1..=jobs).map(|job| queued(100 + job, i64::try_from(job).unwrap())).collect();
    PoolLedger { slots, waiting, state, ..PoolLedger::empty(PoolName::new("linux").unwrap()) }
}

fn limited(max: u16) -> Policy {
    let max_runners = std::num::NonZeroU16::new(max).unwrap();
    policy(vec![Pool { max_runners, ..configured("linux", &["Linux"]) }])
}

fn reasons(policy: &Policy, ledger: &PoolLedger) -> Vec<Reason> {
    waiting(policy, ledger, at(NOW)).into_iter().map(|waiting| waiting.reason).collect()
}

fn trouble(failures: u32, ago: i64) -> Option<Trouble> {
    Some(Trouble { failures, at: at(NOW - ago), why: "no machines".into() })
}

#[test]
fn each_waiting_job_is_told_what_it_waits_for() {
    let full = vec![slot(0, 1, busy()), slot(1, 2, booting())];
    let none = PoolState::default;
    let cooling: BTreeMap<_, _> = [("gcp/us-east1-c".to_owned(), at(NOW + 60))].into();
    let table = [
        ("all are taken", full.clone(), none(), vec![Reason::Full; 2]),
        ("one is free", vec![slot(0, 1, busy())], none(), vec![Reason::SlotFree, Reason::Full]),
        (
            "one is spare",
            vec![spare(0, 1), slot(1, 2, busy())],
            none(),
            vec![Reason::RunnerSpare, Reason::Full],
        ),
        (
            "drained: not even a spare runner serves",
            vec![spare(0, 1)],
            PoolState { draining: Some(at(1)), ..none() },
            vec![Reason::Drained; 2],
        ),
        (
            "GitHub",
            full.clone(),
            PoolState { github_until: Some(at(NOW + 9)), ..none() },
            vec![Reason::GitHub { until: at(NOW + 9) }; 2],
        ),
        (
            "cooling down",
            vec![],
            PoolState { cooling, ..none() },
            vec![Reason::CoolingDown { until: at(NOW + 60) }; 2],
        ),
        (
            "creates fail",
            vec![],
            PoolState { creates: trouble(9, 0), ..none() },
            vec![Reason::CreatesFail { until: at(NOW + 300) }; 2],
        ),
        (
            "boots fail",
            vec![],
            PoolState { boots: trouble(3, 0), ..none() },
            vec![Reason::BootsFail { until: at(NOW + 600) }; 2],
        ),
        (
            "the pause is over",
            vec![],
            PoolState { creates: trouble(9, 300), ..none() },
            vec![Reason::OneAtATime; 2],
        ),
    ];
    for (what, slots, state, expected) in table {
        assert_eq!(reasons(&limited(2), &ledger(slots, 2, state)), expected, "{what}");
    }
    let removed = policy(vec![configured("windows", &["Windows"])]);
    assert_eq!(reasons(&removed, &ledger(full, 1, none())), [Reason::Removed]);
}

#[test]
fn a_reason_says_in_words_which_places_cool_down_and_what_failed() {
    let why = |state: PoolState| waiting(&limited(2), &ledger(vec![], 1, state), at(NOW)).remove(0).why;
    let cooling: BTreeMap<_, _> = [("gcp/us-east1-c".to_owned(), at(NOW + 60))].into();
    let full = why(PoolState { cooling, ..PoolState::default() });
    assert!(full.contains("gcp/us-east1-c until 08:02:40 UTC"), "{full}");
    let creates = why(PoolState { creates: trouble(4, 0), ..PoolState::default() });
    assert!(creates.contains("no machines") && creates.contains("4 creates failed in a row"), "{creates}");
}

#[test]
fn a_pool_is_shown_with_its_runners_the_longest_in_their_phase_first() {
    let online = Slot {
        phase: Phase::Idle { machine: crate::sweep::fixtures::machine(), since: at(5) },
        ..slot(2, 3, idle())
    };
    let cooling: BTreeMap<_, _> =
        [("gcp/us-east1-c".to_owned(), at(NOW + 60)), ("gcp/us-west1-a".to_owned(), at(NOW - 1))].into();
    let state = PoolState { cooling, creates: trouble(1, 7), ..PoolState::default() };
    let mut ledger = ledger(vec![online, slot(0, 1, busy()), slot(1, 2, deleting())], 1, state);
    ledger.unreadable.insert(crate::ids::SlotIndex(9));
    ledger.asked.insert(JobId(101), at(90));
    let seen = SeenPool { pool: ledger.pool.clone(), read: Ok((ledger, vec!["slot 9 is corrupt".into()])) };
    let shown = overview(&limited(10), &[seen], Some(at(50)), at(NOW));
    assert_eq!(shown.last_sweep.at_or_after, Some(at(90)), "it asked GitHub for a job since");
    let [pool] = &shown.pools[..] else { panic!() };
    assert_eq!((pool.taken, pool.unreadable, pool.max_runners, pool.removed), (4, 1, 10, false));
    let expected = [PhaseKind::Busy, PhaseKind::Deleting, PhaseKind::Idle];
    assert_eq!(pool.runners.iter().map(|runner| runner.phase).collect::<Vec<_>>(), expected);
    assert_eq!(pool.runners[0].place.as_deref(), Some("gcp/us-east1-c"));
    let cooling: Vec<&str> = pool.cooling.iter().map(|cooling| cooling.place.as_str()).collect();
    assert_eq!(cooling, ["gcp/us-east1-c"], "the other one is over");
    assert_eq!((pool.failures[0].what, pool.failures[0].failures), ("creates", 1));
    assert_eq!((pool.waiting[0].asked_at, pool.unread.len()), (Some(at(90)), 1));
}

#[test]
fn a_pool_that_could_not_be_read_is_unknown_and_not_empty() {
    let seen = SeenPool { pool: PoolName::new("linux").unwrap(), read: Err("table: no answer".into()) };
    let shown = overview(&limited(2), &[seen], None, at(NOW));
    assert!(shown.pools[0].unknown && shown.pools[0].unread == ["table: no answer"]);
    assert_eq!(shown.last_sweep.says, "no sweep has left word yet");
}

#[test]
fn a_sweep_that_leaves_no_word_for_long_is_missed() {
    let says = |ago: i64| {
        let LastSweep { overdue, says, .. } = overview(&limited(2), &[], Some(at(-ago)), at(0)).last_sweep;
        (overdue, says)
    };
    // `check_after` is five minutes.
    assert!(!says(900).0 && says(200).1.contains("3 min 20 s ago"), "{:?}", says(200));
    assert!(says(901).0 && says(901).1.contains("sweeper"), "{:?}", says(901));
}
