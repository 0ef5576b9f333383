//! Randomness from a seed: splitmix64.

use std::time::Duration;

/// Numbers that are always the same for the same seed.
#[derive(Debug, Clone, Copy)]
pub struct Chance(u64);

impl Chance {
    /// Those of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another row of numbers.
    pub fn split(&mut self) -> Self {
        Self(self.bits())
    }

    /// A number in 0.0..1.0.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        low + u32::try_from(self.bits() % span).unwrap_or(0)
    }

    /// As often as that.
    pub fn one_in(&mut self, times: u32) -> bool {
        self.between(1, times.max(1)) == 1
    }

    /// One of these; the first of none is a mistake of the caller's.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[(self.bits() % all.len() as u64) as usize].clone()
    }

    /// A time between these, in milliseconds.
    pub fn milliseconds(&mut self, low: u32, high: u32) -> Duration {
        Duration::from_millis(u64::from(self.between(low, high)))
    }
}
