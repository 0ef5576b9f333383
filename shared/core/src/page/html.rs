//! HTML that cannot be broken by what is shown in it: markup is text of this program (`&'static str`), everything else is escaped.

use std::fmt::{self, Display, Write};

/// A text that is cut is at most so long, in characters.
const LONGEST: usize = 300;

/// A document under way.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup. Only what stands in this program's source can be given.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or the value of an attribute in quotes: whatever it holds, it stays that. At most [`LONGEST`] characters.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        let mut escape = Escape { out: &mut self.0, left: LONGEST };
        // Fails where the text is cut, and then all that is wanted is there.
        let _ = write!(escape, "{text}");
        self
    }

    /// The document.
    pub fn done(self) -> String {
        self.0
    }
}

struct Escape<'a> {
    out: &'a mut String,
    left: usize,
}

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for sign in text.chars() {
            if self.left == 0 {
                self.out.push('…');
                return Err(fmt::Error);
            }
            self.left -= 1;
            match sign {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                sign if is_unruly(sign) => self.out.push('\u{fffd}'),
                sign => self.out.push(sign),
            }
        }
        Ok(())
    }
}

/// What is no sign to read: controls, and what turns the direction of all that follows.
fn is_unruly(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.done()
    }

    #[test]
    fn no_text_is_markup_nor_leaves_an_attribute() {
        let hostile = "<script>alert(1)</script>\" onload='x' &lt;\u{0}\n\u{202e}";
        let shown = text(hostile);
        assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\u{0}', '\u{202e}']), "{shown}");
        assert_eq!(text("a & b"), "a &amp; b");
        assert_eq!(text("&lt;"), "&amp;lt;");
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = text(&"ü".repeat(LONGEST + 1));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
        assert_eq!(text(&"ü".repeat(LONGEST)), "ü".repeat(LONGEST));
    }
}
