//! Lines of text that stand out in places: on terminals alone, and in colours unless `NO_COLOR` says otherwise.

use std::io::{self, IsTerminal, Write};

use crossterm::queue;
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};

use crate::error::Error;

/// What a text stands out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing.
    Plain,
    /// Of less interest.
    Dim,
    /// A heading.
    Strong,
    /// As hoped for.
    Good,
    /// Under way.
    Active,
    /// Unusual, and provided for.
    Odd,
    /// Broken.
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text, without control characters.
    pub text: String,
    /// How it stands out.
    pub style: Style,
}

/// One line of the screen.
pub type Line = Vec<Span>;

/// What may make a text stand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing: it is read by a program, or kept in a file.
    Plain,
    /// Bold and dim.
    Grey,
    /// Colours as well.
    Coloured,
}

impl Look {
    /// That of a terminal.
    pub fn of_terminal() -> Self {
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        if coloured { Self::Coloured } else { Self::Grey }
    }

    /// That of standard output.
    pub fn of_output() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if io::stdout().is_terminal() && !dumb { Self::of_terminal() } else { Self::Plain }
    }
}

/// Writes lines to standard output.
pub fn tell(lines: &[Line]) -> Result<(), Error> {
    let look = Look::of_output();
    let mut text = Vec::new();
    let mut out = io::stdout().lock();
    let told = lines.iter().try_for_each(|line| {
        write(&mut text, line, look)?;
        text.push(b'\n');
        Ok(())
    });
    let told = told.and_then(|()| out.write_all(&text)).and_then(|()| out.flush());
    told.map_err(|source: io::Error| Error::io("standard output", source))
}

/// A line, without its end.
pub fn write(frame: &mut Vec<u8>, line: &Line, look: Look) -> io::Result<()> {
    for span in line {
        begin(frame, span.style, look)?;
        queue!(frame, Print(&span.text))?;
        end(frame, span.style, look)?;
    }
    Ok(())
}

fn begin(frame: &mut Vec<u8>, style: Style, look: Look) -> io::Result<()> {
    let colour = |frame: &mut Vec<u8>, colour| match look {
        Look::Coloured => queue!(frame, SetForegroundColor(colour)),
        Look::Plain | Look::Grey => Ok(()),
    };
    if look == Look::Plain {
        return Ok(());
    }
    match style {
        Style::Plain => Ok(()),
        Style::Dim => queue!(frame, SetAttribute(Attribute::Dim)),
        Style::Strong => queue!(frame, SetAttribute(Attribute::Bold)),
        Style::Good => colour(frame, Color::Green),
        Style::Active => colour(frame, Color::Cyan),
        Style::Odd => colour(frame, Color::Yellow),
        Style::Bad => colour(frame, Color::Red),
    }
}

fn end(frame: &mut Vec<u8>, style: Style, look: Look) -> io::Result<()> {
    if look == Look::Coloured {
        queue!(frame, ResetColor)?;
    }
    if style == Style::Plain || look == Look::Plain {
        Ok(())
    } else {
        queue!(frame, SetAttribute(Attribute::Reset))
    }
}

/// A piece of a line.
pub fn span(text: impl Into<String>, style: Style) -> Span {
    let text: String = text.into();
    // A text from outside must not move the cursor.
    Span { text: text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect(), style }
}

/// The line's first `width` columns. All signs used here are one column wide.
pub fn cut(line: Line, width: usize) -> Line {
    let mut room = width;
    let mut kept = Line::new();
    for mut span in line {
        let length = span.text.chars().count();
        if length > room {
            span.text = span.text.chars().take(room).collect();
        }
        room = room.saturating_sub(length);
        if !span.text.is_empty() {
            kept.push(span);
        }
    }
    kept
}
