//! Log lines that a stranger can cause at any rate: a few of them, and a count of the others. Each line is paid for.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// In so much time
const WINDOW: Duration = Duration::from_secs(10);
/// so many lines are written.
const LINES_MOST: u32 = 10;

/// Decides of each line whether it is written.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the window began.
    since: Option<Instant>,
    /// How many lines were written in it.
    written: u32,
    /// How many were not, since the last that was.
    hidden: u64,
}

impl Quiet {
    /// Whether the next line is to be written, and if so how many before it were not.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.lock().ok()?.next(Instant::now())
    }
}

impl State {
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| since + WINDOW <= now) {
            (self.since, self.written) = (Some(now), 0);
        }
        if self.written == LINES_MOST {
            self.hidden += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_a_few_lines_and_the_next_one_counts_the_others() {
        let (mut state, now) = (State::default(), Instant::now());
        let written = (0..2_000).filter(|_| state.next(now).is_some()).count();
        assert_eq!(written, 10);
        let later = now + WINDOW;
        assert_eq!([state.next(later), state.next(later)], [Some(1_990), Some(0)]);
    }
}
