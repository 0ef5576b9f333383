//! What GitHub's answers say of the hourly limits.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::pace::{Allowance, tightest};
use mayfly_core::slot::later;
use reqwest::header::HeaderMap;

/// So many tokens are in use at a time, at most; an App has one for each installation.
const MOST: usize = 64;
/// A window lasts an hour, and clocks differ. One that would last longer is not believed: polls would wait for its end.
const WINDOW_LONGEST: Duration = Duration::from_secs(2 * 3600);

/// What is left of each hourly limit, by the moment when it is renewed: each token has its own.
#[derive(Debug, Default)]
pub(super) struct Allowances(Mutex<BTreeMap<Timestamp, Allowance>>);

impl Allowances {
    /// What is left of the hourly limit, as far as answers told; the tightest where there are several.
    pub(super) fn tightest(&self) -> Option<Allowance> {
        let now = crate::clock::wall();
        let known = self.0.lock().ok()?;
        tightest(known.values().copied().filter(|allowance| !allowance.is_over(now)))
    }

    /// Keeps what an answer says.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        let (Some(told), Ok(mut known)) = (allowance(headers), self.0.lock()) else { return };
        let now = crate::clock::wall();
        known.retain(|_, each| !each.is_over(now));
        let is_endless = told.resets_at > later(now, WINDOW_LONGEST);
        if is_endless || (known.len() >= MOST && !known.contains_key(&told.resets_at)) {
            tracing::debug!(resets_at = %told.resets_at, kept = known.len(), "an hourly limit of GitHub's is not counted");
            return;
        }
        // Answers may overtake each other.
        let lowest = known.entry(told.resets_at).or_insert(told);
        lowest.remaining = lowest.remaining.min(told.remaining);
    }
}

/// A header that is a number.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What an answer says of the hourly limit. GitHub Enterprise Server says nothing unless limits are switched on.
fn allowance(headers: &HeaderMap) -> Option<Allowance> {
    let counted = |name: &str| number(headers, name).and_then(|value| u64::try_from(value).ok());
    let resource = headers.get("x-ratelimit-resource").and_then(|value| value.to_str().ok());
    Some(Allowance {
        limit: counted("x-ratelimit-limit").filter(|_| resource.is_none_or(|name| name == "core"))?,
        remaining: counted("x-ratelimit-remaining")?,
        resets_at: Timestamp::from_second(number(headers, "x-ratelimit-reset")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hourly_limit_is_read_where_it_is_told_and_each_tokens_is_kept() {
        let headers = |limit: &str, remaining: &str, reset: i64, resource: &'static str| -> HeaderMap {
            let reset = reset.to_string();
            [
                ("x-ratelimit-limit", limit),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", &reset),
                ("x-ratelimit-resource", resource),
            ]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into_iter()
            .collect()
        };
        let allowances = Allowances::default();
        let soon = crate::clock::wall().as_second() + 600;
        for nothing in [HeaderMap::new(), headers("30", "1", soon, "search"), headers("x", "1", soon, "core")]
        {
            allowances.learn(&nothing);
            assert_eq!(allowances.tightest(), None);
        }
        allowances.learn(&headers("5000", "1", soon - 3_600, "core"));
        assert_eq!(allowances.tightest(), None, "its window is over");
        allowances.learn(&headers("5000", "4990", soon, "core"));
        allowances.learn(&headers("5000", "4991", soon, "core"));
        assert_eq!(allowances.tightest().map(|told| (told.limit, told.remaining)), Some((5_000, 4_990)));
        allowances.learn(&headers("5000", "0", soon + 365 * 24 * 3_600, "core"));
        assert_eq!(allowances.tightest().map(|told| told.remaining), Some(4_990), "no window lasts a year");
        allowances.learn(&headers("15000", "20", soon + 7, "core"));
        assert_eq!(allowances.tightest().map(|told| (told.limit, told.remaining)), Some((15_000, 20)));
    }

    #[test]
    fn of_windows_without_end_sixty_four_are_kept() {
        let allowances = Allowances::default();
        let soon = crate::clock::wall().as_second() + 600;
        for window in 0..1_000_i64 {
            let told = [
                ("x-ratelimit-limit", 5_000),
                ("x-ratelimit-remaining", 1_000 - window),
                ("x-ratelimit-reset", soon + window),
            ];
            let headers =
                told.map(|(name, value)| (name.parse().unwrap(), value.to_string().parse().unwrap()));
            allowances.learn(&headers.into_iter().collect());
        }
        assert_eq!(allowances.0.lock().unwrap().len(), 64);
        assert_eq!(allowances.tightest().map(|told| told.remaining), Some(1_000 - 63));
    }
}
