//! Registrations deleted, and looked up.

use mayfly_core::ids::RunnerId;
use mayfly_service::github::{GitHubError, Removal};
use simulator::{Fault, Settings};
use tokio::time::Instant;

use super::story::{SOON, Story, refusal};

impl Story {
    async fn remove(&self, runner: RunnerId) -> Result<Removal, GitHubError> {
        self.github.remove(&self.pool.scope, runner, None, Instant::now() + SOON).await
    }

    async fn remove_by_name(&self, slot: u16) -> Result<Removal, GitHubError> {
        self.github
            .remove_by_name(&self.pool.scope, self.name(slot).as_str(), None, Instant::now() + SOON)
            .await
    }

    async fn find(&self, slot: u16) -> Option<RunnerId> {
        self.github
            .find(&self.pool.scope, self.name(slot).as_str(), None, Instant::now() + SOON)
            .await
            .unwrap()
            .map(|runner| runner.id)
    }
}

#[tokio::test]
async fn a_registration_is_deleted_or_gone_already() {
    let story = Story::begin(Settings::brisk()).await;
    let (first, second) = (story.register(0).await.unwrap(), story.register(1).await.unwrap());
    assert_eq!(story.find(0).await, Some(first.runner_id));
    for _ in 0..2 {
        assert_eq!(story.remove(first.runner_id).await.unwrap(), Removal::Gone);
    }
    assert_eq!(story.find(0).await, None);
    for _ in 0..2 {
        assert_eq!(story.remove_by_name(1).await.unwrap(), Removal::Gone);
    }
    assert_eq!(story.remove(second.runner_id).await.unwrap(), Removal::Gone);
    assert!(story.runners().is_empty());
    story.end();
}

#[tokio::test]
async fn a_busy_runner_stays() {
    let story = Story::begin(Settings::brisk()).await;
    let registration = story.register(0).await.unwrap();
    story.make_busy(0, &registration).await;
    assert_eq!(story.remove(registration.runner_id).await.unwrap(), Removal::Busy);
    assert_eq!(story.remove_by_name(0).await.unwrap(), Removal::Busy);
    assert!(story.runners()[0].busy);
    story.end();
}

#[tokio::test]
async fn a_deletion_whose_reply_was_lost_is_done() {
    for fault in [Fault::ClosedAfter, Fault::ErrorAfter(500)] {
        let story = Story::begin(Settings::brisk()).await;
        let registration = story.register(0).await.unwrap();
        story.strike("github.delete_runner", fault);
        assert_eq!(story.remove(registration.runner_id).await.unwrap(), Removal::Gone);
        assert_eq!((story.calls(["delete_runner"]), story.runners().len()), ([2], 0));
        story.end();
    }
}

#[tokio::test]
async fn what_is_not_known_is_neither_gone_nor_busy() {
    let story = Story::begin(Settings::brisk()).await;
    let registration = story.register(0).await.unwrap();
    story.strike("github.delete_runner", Fault::ErrorBefore(403));
    let (status, why) = refusal(story.remove(registration.runner_id).await);
    assert!(status == 403 && why.contains("Self-hosted runners: write"), "{why}");
    story.strike("github.runners", Fault::ErrorBefore(403));
    assert_eq!(refusal(story.remove_by_name(0).await).0, 403);
    assert_eq!(story.runners().len(), 1);
    story.end();
}
