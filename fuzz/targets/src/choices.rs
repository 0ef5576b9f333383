//! An input's bytes, read as choices.
//!
//! A choice is written as two hexadecimal digits, so that the kept inputs are text. Anything else is a choice as it stands: every input
//! means something.

/// What is left of an input. Where it is used up, every choice is the first one.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of an input.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next choice.
    pub fn byte(&mut self) -> u8 {
        if let [one, two, rest @ ..] = self.0
            && let (Some(one), Some(two)) = (digit(*one), digit(*two))
        {
            self.0 = rest;
            return (one << 4) | two;
        }
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// The next two.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        let chosen = if count <= 256 { usize::from(self.byte()) } else { usize::from(self.short()) };
        chosen % count.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// What is there up to the next line end, or up to the end.
    pub fn line(&mut self) -> &'a [u8] {
        let at = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(at);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// The same as text, whatever it is.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.line()).into_owned()
    }
}

/// Choices, written.
pub fn written(choices: &[u8]) -> String {
    choices.iter().map(|choice| format!("{choice:02x}")).collect()
}

fn digit(sign: u8) -> Option<u8> {
    match sign {
        b'0'..=b'9' => Some(sign - b'0'),
        b'a'..=b'f' => Some(sign - b'a' + 10),
        _ => None,
    }
}
