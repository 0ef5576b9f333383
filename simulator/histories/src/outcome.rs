//! What came of a history.

use std::time::Duration;

use crate::check::Broken;
use crate::coverage::Coverage;
use crate::stage::Note;

/// What came of a history.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
    /// What happened, counted.
    pub coverage: Coverage,
    /// How much time passed in it.
    pub simulated: Duration,
    /// Differs when anything in it does.
    pub digest: u64,
    /// The timeline, where it was asked for.
    pub notes: Vec<Note>,
}

impl Outcome {
    /// A history that could not be played: a mistake of the generator's.
    pub fn unplayed(why: String) -> Self {
        let broken = Broken { time: jiff::Timestamp::UNIX_EPOCH, promise: "unplayed".to_owned(), text: why };
        Self {
            broken: Some(broken),
            coverage: Coverage::default(),
            simulated: Duration::ZERO,
            digest: 0,
            notes: Vec::new(),
        }
    }
}
