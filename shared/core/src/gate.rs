//! Whether a pool may start VMs now, and if not, why and until when.
//!
//! What one invocation learnt, all know: it is kept in the pool's own item. A pool whose creates or boots fail in a row
//! is tried again with growing pauses, by one VM at a time, until one succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::policy::{Placement, Pool, Timing};
use crate::slot::later;

/// What is known of a pool beyond its slots and jobs. All of it is advice, except `draining`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Places that were full, and until when they are not asked again. The key is `provider/place`.
    pub cooling: BTreeMap<String, Timestamp>,
    /// Until when GitHub asked not to be asked (`retry-after`).
    pub github_until: Option<Timestamp>,
    /// Since when the pool is drained: it takes no new jobs and starts no VMs.
    pub draining: Option<Timestamp>,
    /// One more than the highest slot that may still be taken: larger than `max_runners` after that was lowered.
    pub limit: Option<u16>,
    /// Creates that failed in a row.
    pub creates: Option<Trouble>,
    /// Boots that failed in a row.
    pub boots: Option<Trouble>,
}

/// Failures in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How many.
    pub failures: u32,
    /// When the last was.
    pub at: Timestamp,
    /// Why the last failed.
    pub why: String,
}

impl PoolState {
    /// The places of a provider that are not to be asked now.
    pub fn cooling_at(&self, provider: &str, now: Timestamp) -> BTreeSet<String> {
        let prefix = format!("{provider}/");
        let cooling = self.cooling.iter().filter(|(_, until)| **until > now);
        cooling.filter_map(|(place, _)| place.strip_prefix(&prefix).map(str::to_owned)).collect()
    }
}

/// Why a pool starts no VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// It is configured no more.
    Removed,
    /// Somebody drains it.
    Draining,
    /// GitHub asked to be left alone, so no runner can be registered.
    GitHub(Timestamp),
    /// Its last creates failed.
    Creates(Timestamp, String),
    /// Its last VMs did not come up.
    Boots(Timestamp, String),
    /// Every place was full a while ago.
    Full(Timestamp),
}

impl Closed {
    /// Until when, where that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Removed | Self::Draining => None,
            Self::GitHub(until) | Self::Creates(until, _) | Self::Boots(until, _) | Self::Full(until) => {
                Some(*until)
            }
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = |at: &Timestamp| at.strftime("%H:%M:%S UTC").to_string();
        match self {
            Self::Removed => f.write_str("its pool is configured no more"),
            Self::Draining => f.write_str("its pool is being drained; `mayfly drain --resume` ends that"),
            Self::GitHub(until) => {
                write!(f, "GitHub asked to be left alone until {}", minute(until))
            }
            Self::Creates(until, why) => {
                write!(f, "no VM could be made, tried again at {}: {why}", minute(until))
            }
            Self::Boots(until, why) => {
                write!(f, "VMs do not come up, tried again at {}: {why}", minute(until))
            }
            Self::Full(until) => write!(f, "every place is full, tried again at {}", minute(until)),
        }
    }
}

/// A create may fail by itself: so many in a row slow nothing down.
const CREATE_FAILURES_BORNE: u32 = 1;
/// Boots that fail may be the fault of single machines: up to so many in a row slow nothing down.
const BOOT_FAILURES_BORNE: u32 = 2;
/// The first pause after failed creates is this part of `cooldown`; it doubles up to the whole.
const FIRST_PAUSE_PART: u32 = 16;
/// The pause after failed boots doubles so often.
const BOOT_PAUSE_DOUBLINGS: u32 = 3;

/// Why the pool starts no VMs now; `None` where it does.
pub fn closed(pool: &Pool, state: &PoolState, timing: &Timing, now: Timestamp) -> Option<Closed> {
    if state.draining.is_some() {
        return Some(Closed::Draining);
    }
    if let Some(until) = state.github_until.filter(|until| *until > now) {
        return Some(Closed::GitHub(until));
    }
    if let Some(trouble) = &state.boots {
        let until = later(trouble.at, boot_pause(trouble.failures, pool.boot_timeout));
        if until > now {
            return Some(Closed::Boots(until, trouble.why.clone()));
        }
    }
    if let Some(trouble) = &state.creates {
        let until = later(trouble.at, create_pause(trouble.failures, timing.cooldown));
        if until > now {
            return Some(Closed::Creates(until, trouble.why.clone()));
        }
    }
    full_until(pool, state, now).map(Closed::Full)
}

/// Whether failures in a row ask for care: one VM at a time, until one succeeds.
pub fn is_in_trouble(state: &PoolState) -> bool {
    let creates_fail = state.creates.as_ref().is_some_and(|it| it.failures > CREATE_FAILURES_BORNE);
    creates_fail || boots_fail(state)
}

/// Whether boots fail so often that no second VM is tried while one is coming up.
pub fn boots_fail(state: &PoolState) -> bool {
    state.boots.as_ref().is_some_and(|trouble| trouble.failures > BOOT_FAILURES_BORNE)
}

fn create_pause(failures: u32, cooldown: Duration) -> Duration {
    let Some(doublings) = failures.checked_sub(CREATE_FAILURES_BORNE + 1) else { return Duration::ZERO };
    let doubled = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    cooldown.min(cooldown.saturating_mul(doubled) / FIRST_PAUSE_PART)
}

fn boot_pause(failures: u32, boot_timeout: Duration) -> Duration {
    match failures.checked_sub(BOOT_FAILURES_BORNE + 1) {
        None => Duration::ZERO,
        Some(doublings) => boot_timeout.saturating_mul(1 << doublings.min(BOOT_PAUSE_DOUBLINGS)),
    }
}

/// Until when every place of every placement cools down; `None` where one does not.
fn full_until(pool: &Pool, state: &PoolState, now: Timestamp) -> Option<Timestamp> {
    let mut earliest = None;
    for placement in &pool.placements {
        let until = cools_until(placement, state, now)?;
        earliest = Some(earliest.map_or(until, |before: Timestamp| before.min(until)));
    }
    earliest
}

/// Until when every place of a placement cools down; `None` where one does not.
pub fn cools_until(placement: &Placement, state: &PoolState, now: Timestamp) -> Option<Timestamp> {
    let mut earliest = None;
    for place in placement.places() {
        let until = state.cooling.get(&format!("{}/{place}", placement.provider));
        let until = until.copied().filter(|until| *until > now)?;
        earliest = Some(earliest.map_or(until, |before: Timestamp| before.min(until)));
    }
    earliest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sweep::fixtures::{at, pool};

    fn trouble(failures: u32) -> Option<Trouble> {
        Some(Trouble { failures, at: at(0), why: "no machines".into() })
    }

    fn is_closed(state: &PoolState, now: i64) -> Option<Closed> {
        closed(&pool("linux", &["Linux"]), state, &Timing::default(), at(now))
    }

    #[test]
    fn the_pause_after_failed_creates_grows_up_to_the_cooldown() {
        let seconds: Vec<u64> = [1, 2, 3, 4, 5, 6, 60]
            .map(|failures| create_pause(failures, Duration::from_secs(320)).as_secs())
            .into();
        assert_eq!(seconds, [0, 20, 40, 80, 160, 320, 320], "a single one slows nothing down");
    }

    #[test]
    fn single_boots_that_fail_slow_nothing_down_many_do() {
        let minutes: Vec<u64> = [1, 2, 3, 4, 5, 6, 7, 60]
            .map(|failures| boot_pause(failures, Duration::from_secs(600)).as_secs() / 60)
            .into();
        assert_eq!(minutes, [0, 0, 10, 20, 40, 80, 80, 80]);
    }

    #[test]
    fn a_pool_says_why_it_is_closed() {
        assert_eq!(is_closed(&PoolState::default(), 0), None);
        let draining = PoolState { draining: Some(at(0)), creates: trouble(1), ..PoolState::default() };
        assert_eq!(is_closed(&draining, 0), Some(Closed::Draining));
        let creates = PoolState { creates: trouble(2), ..PoolState::default() };
        let why = is_closed(&creates, 1).unwrap().to_string();
        assert!(why.contains("no machines") && why.contains("tried again at"), "{why}");
        assert_eq!(is_closed(&creates, 300), None);
        let paused = PoolState { creates: trouble(6), ..PoolState::default() };
        assert_eq!(is_closed(&paused, 299), Some(Closed::Creates(at(300), "no machines".into())));
        assert_eq!(is_closed(&paused, 300), None);
        let boots = PoolState { boots: trouble(3), ..PoolState::default() };
        assert_eq!(is_closed(&boots, 599), Some(Closed::Boots(at(600), "no machines".into())));
        assert_eq!(is_closed(&boots, 600), None);
        let github = PoolState { github_until: Some(at(9)), ..PoolState::default() };
        assert_eq!(is_closed(&github, 8), Some(Closed::GitHub(at(9))));
        assert_eq!(is_closed(&github, 9), None);
    }

    #[test]
    fn a_pool_is_full_when_every_place_of_it_cools_down() {
        let mut state = PoolState::default();
        state.cooling.insert("gcp/us-east1-d".into(), at(60));
        assert_eq!(is_closed(&state, 0), None);
        state.cooling.insert("gcp/us-east1-c".into(), at(60));
        assert_eq!(is_closed(&state, 0), Some(Closed::Full(at(60))));
        assert_eq!(is_closed(&state, 60), None);
    }

    #[test]
    fn only_this_providers_places_that_still_cool_are_left_out() {
        let cooling =
            [("gcp/us-east1-c", 11), ("gcp/us-east1-b", 10), ("gcp/us-west1-a", 9), ("gcp2/us-east1-d", 11)];
        let cooling = cooling.into_iter().map(|(place, until)| (place.to_owned(), at(until))).collect();
        let state = PoolState { cooling, ..PoolState::default() };
        assert_eq!(state.cooling_at("gcp", at(10)), ["us-east1-c".to_owned()].into());
    }

    proptest! {
        #[test]
        fn every_pause_ends(failures: u32, seconds in 0u64..10_000_000) {
            let wait = Duration::from_secs(seconds);
            prop_assert!(create_pause(failures, wait) <= wait);
            prop_assert!(boot_pause(failures, wait) <= wait * 8);
        }
    }
}
