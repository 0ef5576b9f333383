//! Where the time of the answers goes: of the middle ones, and of the slowest.

use std::time::{Duration, Instant};

use mayfly_testkit::table::TableRequest;

use crate::measure::Scheduled;

/// One event, until its answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub begun: Instant,
    pub took: Duration,
    /// Of the function that it was sent to.
    pub scheduled: Scheduled,
}

/// Some answers, each part of their time on the average.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub answers: usize,
    pub took: Duration,
    /// The function ran on its processor. A little of the work after the answer is in it.
    pub running: Duration,
    /// It could have run, and another environment, or the kernel, had the processor.
    pub waiting: Duration,
    /// The table was at the claim.
    pub table: Duration,
}

impl Parts {
    /// What is left: the emulation of Lambda, and the machine between them.
    pub fn rest(&self) -> Duration {
        self.took.saturating_sub(self.running + self.waiting + self.table)
    }
}

/// The middle tenth, and the slowest hundredth.
pub fn split(answers: &[Answer], requests: &[TableRequest]) -> [Parts; 2] {
    let mut sorted = answers.to_vec();
    sorted.sort_unstable_by_key(|answer| answer.took);
    let count = sorted.len();
    let middle = count * 45 / 100..(count * 55).div_ceil(100);
    let slowest = count * 99 / 100..count;
    [middle, slowest].map(|range| parts(&sorted[range], requests))
}

fn parts(answers: &[Answer], requests: &[TableRequest]) -> Parts {
    let count = u32::try_from(answers.len()).unwrap_or(u32::MAX).max(1);
    let average = |part: &dyn Fn(&Answer) -> Duration| answers.iter().map(part).sum::<Duration>() / count;
    Parts {
        answers: answers.len(),
        took: average(&|answer| answer.took),
        running: average(&|answer| answer.scheduled.running),
        waiting: average(&|answer| answer.scheduled.waiting),
        table: average(&|answer| claim(answer, requests)),
    }
}

/// How long the table was at the claim. Where another environment's fell into the same time it may be taken for this one's: the later of two,
/// which the answer is nearer to, is.
fn claim(answer: &Answer, requests: &[TableRequest]) -> Duration {
    let until = answer.begun + answer.took;
    let claims = requests.iter().filter(|request| request.operation == "TransactWriteItems");
    let within = claims.filter(|request| {
        let asked_at = request.answered_at.checked_sub(request.took);
        request.answered_at <= until && asked_at.is_some_and(|asked_at| asked_at >= answer.begun)
    });
    within.max_by_key(|request| request.answered_at).map(|request| request.took).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_are_told_apart_with_what_they_waited_for() {
        let begun = Instant::now();
        let ms = Duration::from_millis;
        let event = |number: u32| {
            let slow = number == 150;
            let scheduled = Scheduled { running: ms(1), waiting: if slow { ms(5) } else { ms(0) } };
            Answer { begun: begun + ms(100) * number, took: if slow { ms(9) } else { ms(3) }, scheduled }
        };
        let claim = |number: u32| TableRequest {
            operation: "TransactWriteItems".to_owned(),
            status: 200,
            error: None,
            capacity_units: Some(4.0),
            answered_at: begun + ms(100) * number + ms(2),
            took: ms(1),
        };
        let answers: Vec<Answer> = (0..200).map(event).collect();
        let requests: Vec<TableRequest> = (0..200).map(claim).collect();
        let [middle, slowest] = split(&answers, &requests);
        assert_eq!(
            (middle.answers, middle.took, middle.waiting, middle.table, middle.rest()),
            (20, ms(3), ms(0), ms(1), ms(1))
        );
        // The slowest of all, and one of the others.
        assert_eq!(
            (slowest.answers, slowest.took, slowest.waiting, slowest.table),
            (2, ms(6), ms(5) / 2, ms(1))
        );
    }
}
