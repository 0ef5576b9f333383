//! Durations and addresses as they are written in the configuration.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

/// What [`duration`] takes, for messages.
pub const DURATION: &str = "a duration above zero, such as \"250ms\", \"90s\", \"10m\", \"6h\" or \"3d\"";
pub(super) const ADDRESS: &str = "an https:// URL (http:// is taken for loopback addresses only)";

/// A hundred years: beyond it is a slip of the finger, and arithmetic with moments would end.
const DURATION_LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// `90s` and the like; `None` for anything else, zero included.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 3_600 * 1_000,
        "d" => 24 * 3_600 * 1_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (!duration.is_zero() && duration <= DURATION_LONGEST).then_some(duration)
}

/// An address that a secret may be sent to: https, or http on this very machine.
pub fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (plain && (url.scheme() == "https" || (url.scheme() == "http" && loopback))).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("6h"), Some(Duration::from_secs(21_600)));
        for wrong in ["", "10", "s", "-1s", "1.5h", "0s", "10 m", "1w", "99999999999999999999s", "4000000d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for fine in
            ["https://api.github.com", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:1"]
        {
            assert!(address(fine).is_some(), "{fine}");
        }
        for wrong in [
            "http://api.github.com",
            "ftp://127.0.0.1",
            "api.github.com",
            "https://user:pw@host",
            "http://10.0.0.1",
        ] {
            assert!(address(wrong).is_none(), "{wrong}");
        }
    }
}
