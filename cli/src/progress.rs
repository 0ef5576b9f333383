//! What takes over a second says so on a terminal: one line on standard error, rewritten each second, and gone at the end.
//! Elsewhere nothing is said: what is written down, or read by a program, has no use for it.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Nothing is said of what is done by then; after it, how long it takes is told so often.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a person waits for, perhaps in several parts.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    is_seen: bool,
}

impl Progress {
    /// The waiting begins.
    pub fn begin() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Self { begun: Instant::now(), is_seen: !dumb && io::stderr().is_terminal() }
    }

    /// Does a part of it; `what` is what it is.
    pub async fn during<T>(&self, what: impl Display, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut line = Line { is_shown: false };
        let mut next = (self.begun + PATIENCE).max(Instant::now());
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(next), if self.is_seen => {
                    line.show(&format!("{what} … {}", spent(self.begun.elapsed())));
                    next += PATIENCE;
                }
            }
        }
    }
}

/// Does something that may take over a second; `what` is what it is.
pub async fn during<T>(what: impl Display, work: impl Future<Output = T>) -> T {
    Progress::begin().during(what, work).await
}

/// The line, as long as it is shown. Whatever ends the waiting, it is gone then.
struct Line {
    is_shown: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        let width = crossterm::terminal::size().map_or(0, |(width, _)| usize::from(width));
        let width = if width == 0 { 80 } else { width };
        // One that is broken in two could not be taken back.
        let text: String = text.chars().take(width.saturating_sub(1)).collect();
        write(&format!("\r\x1b[2K{text}"));
        self.is_shown = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_shown {
            write("\r\x1b[2K");
        }
    }
}

/// A terminal that is gone is no reason to stop what is done.
fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn spent(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_as_people_do() {
        for (seconds, told) in [(1, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (3660, "1 h 1 min")] {
            assert_eq!(spent(Duration::from_secs(seconds)), told);
        }
    }
}
