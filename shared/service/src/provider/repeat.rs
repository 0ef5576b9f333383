//! Calls that may be repeated, and how long is waited between two tries.

use std::time::Duration;

use tokio::time::Instant;

/// Why a call failed, as far as repeating it is concerned.
pub(super) trait CallFailed {
    /// Whether the same call may well succeed a moment later. Only for calls that may be repeated freely.
    fn passes(&self) -> bool;
    /// How long the other side asked to be left alone.
    fn retry_after(&self) -> Option<Duration>;
}

/// Makes a call that may be repeated freely up to three times, as long as its failure is one that passes.
/// `limit` bounds each try.
pub(super) async fn repeated<T, E: CallFailed, F: Future<Output = Result<T, E>>>(
    deadline: Instant,
    limit: Duration,
    // Not an `AsyncFn`: the future of one that borrows cannot be spawned.
    call: impl Fn(Duration) -> F,
) -> Result<T, E> {
    const TRIES_MAX: u32 = 3;
    let mut tries = 1;
    loop {
        let error = match call(until(deadline, limit)).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if tries == TRIES_MAX || !error.passes() {
            return Err(error);
        }
        let Some(wait) = backoff(tries, error.retry_after(), deadline) else { return Err(error) };
        tokio::time::sleep(wait).await;
        tries += 1;
    }
}

/// What is left until `deadline`, but no more than `most`.
pub(super) fn until(deadline: Instant, most: Duration) -> Duration {
    deadline.saturating_duration_since(Instant::now()).min(most)
}

/// How long to wait before the next try, the `tries`th one having failed; `None` when the deadline does not allow it.
/// Doubling, and never the same twice, so that those who failed together do not come back together.
pub(super) fn backoff(tries: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
    /// Before the second try; doubled for each further one.
    const FIRST: Duration = Duration::from_millis(100);
    /// No longer than this, unless more is asked for.
    const LONGEST: Duration = Duration::from_secs(3);
    let doubled = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST);
    let wait = crate::random::jitter(doubled).max(asked.unwrap_or_default());
    (wait < deadline.saturating_duration_since(Instant::now())).then_some(wait)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Busy(Option<Duration>);

    impl CallFailed for Busy {
        fn passes(&self) -> bool {
            true
        }

        fn retry_after(&self) -> Option<Duration> {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_failing_is_called_three_times_and_never_past_its_deadline() {
        let hour = Duration::from_secs(3600);
        let began = Instant::now();
        for (asked, calls) in [(None, 3), (Some(Duration::from_secs(5)), 3), (Some(hour * 24 * 365), 1)] {
            let made = AtomicU32::new(0);
            let busy = |_| {
                made.fetch_add(1, Ordering::Relaxed);
                async { Err::<(), Busy>(Busy(asked)) }
            };
            repeated(began + hour, Duration::from_secs(1), busy).await.unwrap_err();
            assert_eq!(made.load(Ordering::Relaxed), calls, "{asked:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_doubles_up_to_three_seconds() {
        let deadline = Instant::now() + Duration::from_secs(3600);
        for tries in [1, 5, 10, 1_000, u32::MAX] {
            let wait = backoff(tries, None, deadline).unwrap();
            // Half more by chance.
            assert!(wait <= Duration::from_millis(4_500), "{tries}: {wait:?}");
        }
    }
}
