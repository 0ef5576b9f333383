//! How far apart polls are, so that Mayfly takes at most half of what GitHub grants in an hour.
//!
//! A poll costs a call for each list of runners, two for each repository, one for each run that is queued or under way,
//! and what the jobs found ask for. So the pace is not configured but follows from what polls turn out to cost.

use std::time::Duration;

use jiff::Timestamp;

/// What GitHub's answers say of its primary rate limit (headers `x-ratelimit-limit`, `-remaining` and `-reset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls in a whole window, which is an hour.
    pub limit: u64,
    /// Those that are left in this one, whoever made the others.
    pub remaining: u64,
    /// When the next window begins.
    pub resets_at: Timestamp,
}

impl Allowance {
    /// Whether its window is over: it says nothing any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.resets_at <= now
    }
}

/// When the next poll begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// So long after the last one began.
    pub wait: Duration,
    /// What makes it longer than was asked for, where it is.
    pub slowed: Option<Slowed>,
}

/// Why polls are further apart than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowed {
    /// What a poll costs, in calls.
    pub cost: u64,
    /// How many calls polls may still make in this window.
    pub left: u64,
    /// What GitHub grants in an hour.
    pub limit: u64,
    /// How long this window still lasts.
    pub lasts: Duration,
}

impl std::fmt::Display for Slowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cost, left, limit, lasts } = self;
        let seconds = lasts.as_secs();
        write!(
            f,
            "a poll costs {cost} calls, and of the {limit} that GitHub grants in an hour {left} may still be used within \
             {seconds} s: at most half are"
        )
    }
}

/// A poll's cost is a running mean, so that one that starts many VMs at once does not hold up the next.
const NEW_SHARE: u32 = 4;

/// What was learnt of the polls so far.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// How many calls were made in this window,
    used: u64,
    /// and when it ends.
    until: Option<Timestamp>,
    /// What a poll costs, in hundredths of a call.
    cost: Option<u64>,
}

impl Pace {
    /// A poll that made `calls` is over: when the next is due. `allowance` is what GitHub said last, the tightest where
    /// it counts several tokens; without it nothing is known of a limit, and none is kept.
    pub fn next(
        &mut self,
        every: Duration,
        calls: u64,
        allowance: Option<Allowance>,
        now: Timestamp,
    ) -> Beat {
        let new = calls.saturating_mul(100);
        let cost = self.cost.map_or(new, |old| {
            let (share, old) = (u64::from(NEW_SHARE), u128::from(old));
            let mean = (old * u128::from(share - 1) + u128::from(new)) / u128::from(share);
            u64::try_from(mean).unwrap_or(u64::MAX)
        });
        self.cost = Some(cost);
        if self.until.is_none_or(|until| until <= now) {
            (self.used, self.until) = (0, None);
        }
        self.used = self.used.saturating_add(calls);
        let due = Beat { wait: every, slowed: None };
        let Some(Allowance { limit, remaining, resets_at }) = allowance.filter(|known| !known.is_over(now))
        else {
            return due;
        };
        self.until.get_or_insert(resets_at);
        let left = (limit / 2).saturating_sub(self.used).min(remaining);
        let lasts = resets_at.duration_since(now).unsigned_abs();
        let slowed = Slowed { cost: cost.div_ceil(100), left, limit, lasts };
        let wait = spread(lasts, cost, left);
        if wait <= every { due } else { Beat { wait, slowed: Some(slowed) } }
    }
}

/// How far apart polls of that cost (in hundredths) are, when so many calls are left for so long; the rest of the window
/// where not even one is.
fn spread(lasts: Duration, cost: u64, left: u64) -> Duration {
    let hundredths = u128::from(left) * 100;
    if hundredths <= u128::from(cost) {
        // A second more, since the moment is told in whole ones.
        return lasts + Duration::from_secs(1);
    }
    let millis = lasts.as_millis().saturating_mul(u128::from(cost)) / hundredths;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The tightest of several: that of which the fewest calls are left.
pub fn tightest(allowances: impl IntoIterator<Item = Allowance>) -> Option<Allowance> {
    allowances.into_iter().min_by_key(|allowance| (allowance.remaining, allowance.limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_secs(20);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn allowance(limit: u64, remaining: u64, resets: i64) -> Option<Allowance> {
        Some(Allowance { limit, remaining, resets_at: at(resets) })
    }

    #[test]
    fn polls_come_as_asked_for_while_they_are_cheap_or_nothing_is_known_of_a_limit() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(EVERY, 1_000_000, None, at(0)), Beat { wait: EVERY, slowed: None });
        let mut pace = Pace::default();
        for poll in 0..180 {
            let told = allowance(5_000, 5_000 - 6 * (poll + 1), 3_600);
            assert_eq!(pace.next(EVERY, 6, told, at(poll as i64 * 20)).slowed, None, "{poll}");
        }
    }

    #[test]
    fn dear_polls_are_spread_over_the_window_and_it_is_said_why() {
        let beat = Pace::default().next(EVERY, 50, allowance(5_000, 4_950, 3_600), at(0));
        // 2,450 calls are left for 49 polls: one each 73 s.
        assert_eq!(beat.wait.as_secs(), 73);
        let why = beat.slowed.unwrap().to_string();
        assert!(why.contains("costs 50 calls") && why.contains("2450 may still be used"), "{why}");
    }

    #[test]
    fn what_others_use_counts_and_what_is_used_up_comes_back_with_the_next_window() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(EVERY, 10, allowance(5_000, 9, 600), at(0)).wait.as_secs(), 601);
        assert_eq!(pace.next(EVERY, 10, allowance(5_000, 4_990, 4_200), at(601)).wait, EVERY);
        // An allowance of a window that is over says nothing.
        assert_eq!(pace.next(EVERY, 10, allowance(5_000, 0, 600), at(601)).wait, EVERY);
    }

    #[test]
    fn one_dear_poll_does_not_hold_up_the_next_for_long() {
        let mut pace = Pace::default();
        pace.next(EVERY, 6, allowance(5_000, 4_994, 3_600), at(0));
        let beat = pace.next(EVERY, 60, allowance(5_000, 4_934, 3_600), at(20));
        assert!(beat.wait < Duration::from_secs(30), "{:?}", beat.wait);
    }

    #[test]
    fn the_tightest_allowance_counts() {
        let (wide, tight) = (allowance(15_000, 4_000, 60), allowance(5_000, 3_000, 70));
        assert_eq!(tightest([wide.unwrap(), tight.unwrap()]), tight);
        assert_eq!(tightest([]), None);
        assert!(tight.unwrap().is_over(at(70)) && !tight.unwrap().is_over(at(69)));
    }

    proptest! {
        #[test]
        fn at_most_half_of_the_limit_is_used_in_a_window_but_for_the_last_poll(
            limit in 60u64..20_000, costs in prop::collection::vec(1u64..400, 1..40), every in 1u64..120,
        ) {
            let (mut pace, mut now, mut used, mut largest) = (Pace::default(), 0i64, 0u64, 0u64);
            for cost in costs.into_iter().cycle().take(8_000) {
                used += cost;
                largest = largest.max(cost);
                let told = allowance(limit, limit.saturating_sub(used), 3_600);
                let beat = pace.next(Duration::from_secs(every), cost, told, at(now));
                prop_assert!(beat.wait >= Duration::from_secs(every));
                now += i64::try_from(beat.wait.as_millis().div_ceil(1_000)).unwrap();
                if now >= 3_600 {
                    break;
                }
            }
            prop_assert!(used <= limit / 2 + largest, "{used} of {limit}");
        }
    }
}
