//! The terminal: lines drawn in place, and everything as it was before at the end, whatever the end is.

use std::io::{self, IsTerminal, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use crate::styled::{self, Line, Look};

/// A terminal that shows the live view as long as this lives.
#[derive(Debug)]
pub struct Screen {
    look: Look,
}

impl Screen {
    /// Takes the terminal over; `None` where standard output is none that can be drawn on.
    pub fn enter() -> io::Result<Option<Self>> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if dumb || !io::stdout().is_terminal() || crossterm::terminal::size().is_err() {
            return Ok(None);
        }
        // A release build ends at a panic without dropping anything.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        let screen = Self { look: Look::of_terminal() };
        execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(Some(screen))
    }

    /// Columns and lines.
    pub fn size(&self) -> io::Result<(usize, usize)> {
        let (width, height) = crossterm::terminal::size()?;
        Ok((usize::from(width), usize::from(height)))
    }

    /// Shows these lines, from the top.
    pub fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            queue!(frame, MoveTo(0, row))?;
            styled::write(&mut frame, line, self.look)?;
            queue!(frame, Clear(ClearType::UntilNewLine))?;
        }
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        queue!(frame, MoveTo(0, below), Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // A terminal that is gone needs no restoring.
    let _ = execute!(io::stdout(), ResetColor, EnableLineWrap, Show, LeaveAlternateScreen);
}
