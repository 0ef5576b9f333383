//! GitHub asks to be left alone for a while.

use std::time::Duration;

use mayfly_service::github::GitHubError;
use simulator::{Fault, Settings};
use tokio::time::Instant;

use super::story::{SOON, Story};

fn limited(status: u16, seconds: u64) -> Fault {
    Fault::Limited { status, retry_after: Duration::from_secs(seconds) }
}

fn retry_after<T: std::fmt::Debug>(told: Result<T, GitHubError>) -> u64 {
    match told {
        Err(GitHubError::RateLimited { retry_after, .. }) => retry_after.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_short_wait_is_waited_and_a_long_one_told() {
    let story = Story::begin(Settings::brisk()).await;
    story.register(0).await.unwrap();
    let began = Instant::now();
    story.strike("github.jitconfig", limited(403, 1));
    story.register(1).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(story.calls(["jitconfig"]), [3]);

    for (status, seconds) in [(403, 17), (429, 3_600)] {
        story.strike("github.jitconfig", limited(status, seconds));
        assert_eq!(retry_after(story.register(2).await), seconds);
    }
    assert_eq!(story.calls(["jitconfig"]), [5], "not asked again");

    // A wait that would end after the deadline is not begun.
    let began = Instant::now();
    story.strike("github.jitconfig", limited(429, 3));
    assert_eq!(retry_after(story.register_within(2, Duration::from_secs(2)).await), 3);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    story.end();
}

#[tokio::test]
async fn a_limit_that_does_not_end_is_told_after_a_few_tries() {
    let story = Story::begin(Settings::brisk()).await;
    story.register(0).await.unwrap();
    story.always("github.jitconfig", limited(429, 1));
    assert_eq!(retry_after(story.register(1).await), 1);
    assert_eq!(story.calls(["jitconfig"]), [4]);
    story.end();
}

#[tokio::test]
async fn a_used_up_allowance_is_told_with_the_time_to_its_renewal() {
    let story = Story::begin(Settings { rate_limit: 3, ..Settings::brisk() }).await;
    story.register(0).await.unwrap();
    let told = retry_after(story.register(1).await);
    assert!((3_500..=3_600).contains(&told), "{told}");
    let gone =
        story.github.remove(&story.pool.scope, mayfly_core::ids::RunnerId(1), None, Instant::now() + SOON);
    assert!(retry_after(gone.await) >= 3_500);
    story.end();
}

#[tokio::test]
async fn a_limit_on_the_token_or_the_group_is_told_as_well() {
    for endpoint in ["github.access_token", "github.runner_groups"] {
        let story = Story::begin(Settings::brisk()).await;
        story.strike(endpoint, limited(403, 90));
        assert_eq!(retry_after(story.register(0).await), 90, "{endpoint}");
        story.register(0).await.unwrap();
        story.end();
    }
}
