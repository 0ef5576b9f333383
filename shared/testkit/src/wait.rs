//! Awaiting a condition, in place of sleeping and hoping.

use std::time::{Duration, Instant};

/// A condition that did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} in vain for {what}")]
pub struct WaitedInVain {
    /// What was awaited, in the caller's words.
    pub what: String,
    /// For how long.
    pub waited: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Waits until `condition` holds, at most for `limit` of real time. Runs on the caller's tokio runtime.
///
/// # Errors
/// [`WaitedInVain`], which says what was awaited.
pub async fn wait_for(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), WaitedInVain> {
    wait_for_value(what, limit, async || condition().then_some(())).await
}

/// Waits until `probe` gives a value, at most for `limit` of real time; a probe under way is not interrupted before.
///
/// # Errors
/// [`WaitedInVain`], which says what was awaited.
pub async fn wait_for_value<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, WaitedInVain> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // Taken before the probe: a probe that began in time counts, however slow the machine.
        let waited = start.elapsed();
        let left = limit.saturating_sub(waited).max(FIRST_PAUSE);
        if let Ok(Some(value)) = tokio::time::timeout(left, probe()).await {
            return Ok(value);
        }
        if waited >= limit {
            return Err(WaitedInVain { what: what.to_owned(), waited });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_is_awaited_or_named() {
        let mut asked = 0;
        let third = wait_for_value("the third", Duration::from_secs(60), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(third.await.unwrap(), 3);
        let error = wait_for("a miracle", Duration::from_millis(5), || false).await.unwrap_err();
        assert!(error.to_string().ends_with("in vain for a miracle"), "{error}");
        wait_for("what is so already", Duration::ZERO, || true).await.unwrap();
    }
}
