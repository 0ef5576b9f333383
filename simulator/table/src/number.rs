//! DynamoDB's numbers: at most 38 significant digits, magnitudes from 1E-130 to 9.9…E+125, exact. The developer guide's
//! "Naming rules and data types" is the source; how a number is written back (no exponent, no needless zeros) is what
//! the service is seen to answer.

use std::cmp::Ordering;

const MOST_DIGITS: u32 = 38;
const SMALLEST: i32 = -130;
const LARGEST: i32 = 125;

/// A number: `digits` times a power of ten. Its digits do not end in a zero, so equal numbers have equal fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    digits: i128,
    exponent: i32,
}

impl Number {
    /// Reads what a request calls a number; `None` for what DynamoDB refuses.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (coefficient, exponent) = match text.find(['e', 'E']) {
            Some(place) => (&text[..place], exponent(&text[place + 1..])?),
            None => (text, 0),
        };
        let (negative, coefficient) = match coefficient.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let read = Coefficient::read(coefficient)?;
        if read.digits == 0 {
            return Some(Self { digits: 0, exponent: 0 });
        }
        let exponent = exponent.checked_add(read.zeros)?.checked_sub(read.fraction)?;
        let digits = if negative { -read.digits } else { read.digits };
        Self { digits, exponent: i32::try_from(exponent).ok()? }.in_range()
    }

    fn in_range(self) -> Option<Self> {
        let magnitude = self.magnitude()?;
        (self.digits == 0 || (SMALLEST..=LARGEST).contains(&magnitude)).then_some(self)
    }

    /// The power of ten of its first digit; `None` where that is out of every range.
    fn magnitude(self) -> Option<i32> {
        let places = i32::try_from(count(self.digits)).ok()?;
        self.exponent.checked_add(places)?.checked_sub(1)
    }

    /// The sum, where it can be kept exactly; DynamoDB itself refuses or rounds what it cannot, and no ledger counts so
    /// far.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        if self.digits == 0 || other.digits == 0 {
            return Some(if self.digits == 0 { other } else { self });
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = u32::try_from(high.exponent - low.exponent).ok()?;
        let digits = high.digits.checked_mul(10_i128.checked_pow(shift)?)?.checked_add(low.digits)?;
        let sum = Self { digits, exponent: low.exponent }.without_zeros();
        if count(sum.digits) > MOST_DIGITS { None } else { sum.in_range() }
    }

    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { digits: -other.digits, ..other })
    }

    fn without_zeros(mut self) -> Self {
        if self.digits == 0 {
            return Self { digits: 0, exponent: 0 };
        }
        while self.digits % 10 == 0 {
            self.digits /= 10;
            self.exponent += 1;
        }
        self
    }

    /// As the service writes it.
    pub(crate) fn text(self) -> String {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs().to_string();
        let Ok(fraction) = usize::try_from(-self.exponent) else {
            let zeros = usize::try_from(self.exponent).unwrap_or_default();
            return format!("{sign}{digits}{:0<zeros$}", "");
        };
        if fraction == 0 {
            return format!("{sign}{digits}");
        }
        match digits.len().checked_sub(fraction) {
            None | Some(0) => format!("{sign}0.{digits:0>fraction$}"),
            Some(point) => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.digits.signum().cmp(&other.digits.signum());
        if by_sign.is_ne() || self.digits == 0 {
            return by_sign;
        }
        let by_magnitude = self.magnitude().cmp(&other.magnitude());
        let by_magnitude = if self.digits < 0 { by_magnitude.reverse() } else { by_magnitude };
        // With the first digit at the same place, both have at most 38 digits from there.
        by_magnitude.then_with(|| {
            let least = self.exponent.min(other.exponent);
            let aligned = |number: &Self| {
                let shift = u32::try_from(number.exponent - least).unwrap_or_default();
                number.digits.saturating_mul(10_i128.saturating_pow(shift))
            };
            aligned(self).cmp(&aligned(other))
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether the text is an integer that is written as the service writes it: most are, and need no other look.
pub(crate) fn is_plain_integer(text: &str) -> bool {
    let digits = match text.as_bytes() {
        [b'-', rest @ ..] => rest,
        rest => rest,
    };
    match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => digits.len() <= MOST_DIGITS as usize && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

struct Coefficient {
    digits: i128,
    /// Zeros that follow the digits.
    zeros: i64,
    /// How many of the written digits stand behind the point.
    fraction: i64,
}

impl Coefficient {
    fn read(text: &[u8]) -> Option<Self> {
        let mut read = Self { digits: 0, zeros: 0, fraction: 0 };
        let (mut significant, mut written, mut behind_point) = (0_u32, false, false);
        for byte in text {
            match byte {
                b'.' if !behind_point => behind_point = true,
                b'0'..=b'9' => {
                    written = true;
                    read.fraction += i64::from(behind_point);
                    let digit = byte - b'0';
                    if digit == 0 {
                        read.zeros += i64::from(read.digits != 0);
                        continue;
                    }
                    let places = u32::try_from(read.zeros).ok()?.checked_add(1)?;
                    significant = if read.digits == 0 { 1 } else { significant.checked_add(places)? };
                    if significant > MOST_DIGITS {
                        return None;
                    }
                    read.digits = read.digits * 10_i128.pow(if read.digits == 0 { 1 } else { places })
                        + i128::from(digit);
                    read.zeros = 0;
                }
                _ => return None,
            }
        }
        written.then_some(read)
    }
}

fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn count(digits: i128) -> u32 {
    digits.unsigned_abs().checked_ilog10().map_or(0, |highest| highest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn numbers_are_written_back_in_one_way() {
        for (written, kept) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("+5", "5"),
            ("5.", "5"),
            (".5", "0.5"),
            ("-12.340", "-12.34"),
            ("1e3", "1000"),
            ("1.5E+3", "1500"),
            ("25e-1", "2.5"),
            ("1e-3", "0.001"),
            ("10203000", "10203000"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(number(written).text(), kept, "{written}");
            assert_eq!(number(kept), number(written), "{written}");
        }
        assert_eq!(number("1e125").text().len(), 126);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let wrong =
            ["", "-", "+e2", "1+2", "1.2.3", "++5", "1e", ".", "NaN", "1_000", " 5", "5 ", "1e+", "é"];
        let beyond =
            ["1e126", "1e-131", "999999999999999999999999999999999999999", "1e99999999999999999999999"];
        for text in wrong.into_iter().chain(beyond) {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_in_order_whatever_their_scale() {
        let rising = [
            "-1e125", "-20", "-1.5", "-1e-130", "0", "1e-130", "0.1", "1", "1.5", "9", "10", "11.01", "1e125",
        ];
        for (place, one) in rising.iter().enumerate() {
            for (other_place, other) in rising.iter().enumerate() {
                assert_eq!(number(one).cmp(&number(other)), place.cmp(&other_place), "{one} {other}");
            }
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        for (one, other, sum) in [
            ("1", "2", "3"),
            ("0", "-7", "-7"),
            ("0.1", "0.2", "0.3"),
            ("95", "5", "100"),
            ("1e10", "1", "10000000001"),
            ("5", "-5", "0"),
        ] {
            assert_eq!(number(one).plus(number(other)).map(Number::text).as_deref(), Some(sum));
        }
        assert_eq!(number("3").minus(number("5")).map(Number::text).as_deref(), Some("-2"));
        assert_eq!(number("1e125").plus(number("1")), None);
        assert_eq!(number("99999999999999999999999999999999999999").plus(number("0.1")), None);
        assert_eq!(number("9e125").plus(number("9e125")), None);
    }

    #[test]
    fn a_plain_integer_is_one_that_is_kept_as_written() {
        for text in ["0", "7", "-7", "1772366400000", "10", "-1"] {
            assert!(is_plain_integer(text), "{text}");
            assert_eq!(number(text).text(), text);
        }
        for text in ["", "-", "-0", "00", "07", "+7", "1.0", "1e3", "x", "1x", "-07"] {
            assert!(!is_plain_integer(text), "{text}");
        }
    }
}
