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
