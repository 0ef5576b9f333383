//! Moments and how long something is or took, in words.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A moment of today.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// How long something is or took, for people: `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl Age {
    /// From one moment to a later one; none where it is not later, since clocks differ.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self(Duration::try_from(to.duration_since(from)).unwrap_or_default())
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, seconds) = (self.0.as_millis(), self.0.as_secs());
        let two = |f: &mut fmt::Formatter<'_>, big: u64, unit: &str, small: u64, of: &str| match small {
            0 => write!(f, "{big} {unit}"),
            small => write!(f, "{big} {unit} {small} {of}"),
        };
        match seconds {
            0 => write!(f, "{ms} ms"),
            1..60 => write!(f, "{}.{} s", seconds, ms % 1000 / 100),
            60..3600 => two(f, seconds / 60, "min", seconds % 60, "s"),
            3600..86_400 => two(f, seconds / 3600, "h", seconds % 3600 / 60, "min"),
            _ => two(f, seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::fixtures::at;

    #[test]
    fn an_age_is_said_in_two_units_at_most() {
        let said = |ms: u64| Age(Duration::from_millis(ms)).to_string();
        let said = [0, 999, 1_000, 59_999, 60_000, 250_000, 3_600_000, 11_100_000, 86_400_000, 187_200_000]
            .map(said);
        let expected = [
            "0 ms",
            "999 ms",
            "1.0 s",
            "59.9 s",
            "1 min",
            "4 min 10 s",
            "1 h",
            "3 h 5 min",
            "1 d",
            "2 d 4 h",
        ];
        assert_eq!(said, expected);
        assert_eq!(Age::between(at(5), at(0)), Age(Duration::ZERO), "clocks differ");
    }
}
