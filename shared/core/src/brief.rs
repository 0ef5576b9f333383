//! Texts of others in messages for people: short, and on one line.

/// The text on one line, in at most `most` characters; what is left out is marked by `…`.
///
/// What is sent to Mayfly is repeated in answers, logs and errors. None of these may grow with it, or be broken up by it.
pub fn brief(text: &str, most: usize) -> String {
    let plain =
        |sign: char| if sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}') { ' ' } else { sign };
    // Looked at as far as it is used.
    let is_longer = text.chars().nth(most).is_some();
    let kept = if is_longer { most.saturating_sub(1) } else { most };
    text.chars().take(kept).map(plain).chain(is_longer.then_some('…')).collect()
}

/// The first so many characters of a text.
pub fn head(text: &str, length: usize) -> &str {
    let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_and_plain_stays_as_it_is() {
        assert_eq!(brief("größe", 5), "größe");
        assert_eq!(brief("", 0), "");
    }

    #[test]
    fn what_is_longer_ends_in_an_ellipsis_and_lines_become_one() {
        assert_eq!(brief("größer", 5), "größ…");
        assert_eq!(brief("a\r\nb\tc\u{0}\u{2028}d", 20), "a  b c  d");
        assert_eq!(brief(&"x".repeat(1 << 20), 3), "xx…");
    }
}
