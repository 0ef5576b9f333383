//! What GitHub's answers say of the hourly limits.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use mayfly_core::pace::{Allowance, tightest};
use reqwest::header::HeaderMap;

/// So many tokens are in use at a time, at most; an App has one for each installation.
const MOST: usize = 64;

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
        if known.len() < MOST || known.contains_key(&told.resets_at) {
            // Answers may overtake each other.
            let lowest = known.entry(told.resets_at).or_insert(told);
            lowest.remaining = lowest.remaining.min(told.remaining);
        }
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
        allowances.learn(&headers("15000", "20", soon + 7, "core"));
        assert_eq!(allowances.tightest().map(|told| (told.limit, told.remaining)), Some((15_000, 20)));
    }
}
