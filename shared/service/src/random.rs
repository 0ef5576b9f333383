//! Randomness, at the edge: the core takes it as an argument.

use std::time::Duration;

/// 64 random bits from the operating system.
pub fn bits() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(bits) = crate::simulation::bits() {
        return bits;
    }
    // Without an entropy source there is no TLS either, so nothing is lost by the clock in its place.
    getrandom::u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    })
}

/// Between a half and one and a half of the wait, so that those who failed together do not come back together.
pub fn jitter(wait: Duration) -> Duration {
    let share = (bits() >> 11) as f64 / (1u64 << 53) as f64;
    wait.mul_f64(0.5 + share)
}
