//! Amounts in words.

use std::fmt;
use std::time::Duration;

use crate::price::Cost;

/// So many of something, in the singular or the plural.
pub(super) struct Count(pub usize, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        write!(f, "{count} {what}{}", if *count == 1 { "" } else { "s" })
    }
}

/// How long VMs ran: `0.4 h`, `1 234 h`.
pub(super) struct Hours(pub Duration);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_secs() / 360;
        match tenths {
            0..100 => write!(f, "{}.{} h", tenths / 10, tenths % 10),
            _ => write!(f, "{} h", grouped(tenths / 10)),
        }
    }
}

/// What VMs cost, in the user's own currency.
pub(super) struct Money<'a> {
    pub cost: Cost,
    pub currency: &'a str,
}

impl fmt::Display for Money<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.cost.0 / 10_000;
        if hundredths == 0 && self.cost.0 > 0 {
            f.write_str("< 0.01")?;
        } else {
            write!(f, "{}.{:02}", grouped(hundredths / 100), hundredths % 100)?;
        }
        if self.currency.is_empty() { Ok(()) } else { write!(f, " {}", self.currency) }
    }
}

/// Digits in threes, a narrow space between them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_said_as_people_write_them() {
        let money = |micros, currency| Money { cost: Cost(micros), currency }.to_string();
        assert_eq!(money(0, "USD"), "0.00 USD");
        assert_eq!(money(9_999, ""), "< 0.01");
        assert_eq!(money(1_234_567_890_000, "EUR"), "1\u{202f}234\u{202f}567.89 EUR");
        let hours = |seconds| Hours(Duration::from_secs(seconds)).to_string();
        assert_eq!(hours(0), "0.0 h");
        assert_eq!(hours(5_400), "1.5 h");
        assert_eq!(hours(36_000), "10 h");
        assert_eq!(hours(4_500_000), "1\u{202f}250 h");
        assert_eq!([Count(1, "job"), Count(2, "job")].map(|it| it.to_string()), ["1 job", "2 jobs"]);
    }
}
