//! What VMs cost, as far as the user says: prices are configured, none is known to the code.

use std::time::Duration;

/// What a VM of a placement costs an hour, in millionths of the user's own currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PricePerHour(u64);

/// An amount of the user's own currency, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(pub u64);

impl PricePerHour {
    /// The dearest that is taken: beyond it is a slip of the finger.
    pub const MOST: f64 = 10_000.0;

    /// A price as it is configured; `None` for what is no price: below zero, not a number, above [`PricePerHour::MOST`].
    pub fn new(price: f64) -> Option<Self> {
        let fine = (0.0..=Self::MOST).contains(&price);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1e10")]
        fine.then(|| Self((price * 1e6).round() as u64))
    }

    /// What so long costs.
    pub fn of(self, long: Duration) -> Cost {
        let cost = u128::from(self.0) * long.as_millis() / 3_600_000;
        Cost(u64::try_from(cost).unwrap_or(u64::MAX))
    }
}

impl Cost {
    /// The amount in the user's own currency.
    pub fn amount(self) -> f64 {
        // Exact up to 2^53 millionths: nine thousand millions.
        self.0 as f64 / 1e6
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        Self(costs.fold(0, |sum, cost| sum.saturating_add(cost.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_costs_its_price_and_a_minute_a_sixtieth() {
        let price = PricePerHour::new(0.36).unwrap();
        assert_eq!(price.of(Duration::from_secs(3600)), Cost(360_000));
        assert_eq!(price.of(Duration::from_secs(60)), Cost(6_000));
        assert_eq!(price.of(Duration::MAX), Cost(u64::MAX));
        assert_eq!([Cost(1_500_000), Cost(2)].into_iter().sum::<Cost>().amount(), 1.500_002);
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for wrong in [-0.01, f64::NAN, f64::INFINITY, 10_000.5] {
            assert_eq!(PricePerHour::new(wrong), None, "{wrong}");
        }
        assert_eq!(PricePerHour::new(0.0), Some(PricePerHour(0)));
    }
}
