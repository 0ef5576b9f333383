//! What was said on commits is remembered beside its pool, and written only as it was read.

use mayfly_core::ids::{CheckRunId, Commit, InstallationId, JobId, Repository};
use mayfly_core::notice::{Cause, Notice, Standing};

use super::story::{Story, at};

fn notice(job: u64) -> Notice {
    Notice {
        job: JobId(job),
        repository: Repository::new("shader-slang/slang").unwrap(),
        installation: Some(InstallationId(77)),
        queued_at: at(job),
        commit: Commit::new("0123456789".repeat(4)).unwrap(),
        name: format!("Mayfly: waiting for a runner (build, job {job})"),
        standing: Standing::Asked,
        cause: Cause::CoolingDown,
        said_at: at(1_000),
    }
}

impl Story {
    async fn notices(&self) -> Vec<Notice> {
        let (ledger, corrupt) = self.ledger.pool_ledger(&self.pool).await.unwrap();
        assert_eq!(corrupt.len(), 0, "{corrupt:?}");
        ledger.notices
    }
}

#[tokio::test]
async fn a_notice_is_read_along_with_its_pool_as_it_was_written() {
    let story = Story::begin().await;
    story.ledger.set_limit(&story.pool, 10).await.unwrap();
    story.taken(3, 1, &[]).await;
    story.ledger.enqueue(&story.job(8, mayfly_core::job::JobState::Waiting)).await.unwrap();
    let (first, second) = (notice(8), Notice { installation: None, ..notice(9) });
    for each in [&first, &second] {
        assert!(story.ledger.notice_begins(&story.pool, each).await.unwrap());
        assert!(!story.ledger.notice_begins(&story.pool, each).await.unwrap(), "there is one already");
    }
    assert_eq!(story.notices().await, [first, second]);
    let (ledger, _) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((ledger.slots.len(), ledger.waiting.len(), ledger.state.limit), (1, 1, Some(10)));
    assert_eq!(story.queue().await.len(), 1, "the queue is read without it");
}

#[tokio::test]
async fn what_github_has_is_remembered_until_it_is_over() {
    let story = Story::begin().await;
    let first = notice(8);
    story.ledger.notice_begins(&story.pool, &first).await.unwrap();
    for standing in [Standing::Made(CheckRunId(30_000_000_007)), Standing::Refused] {
        assert!(story.ledger.notice_stands(&story.pool, &first, standing).await.unwrap());
        assert_eq!(story.notices().await, [Notice { standing, ..first.clone() }]);
    }
    for _ in 0..2 {
        story.ledger.notice_over(&story.pool, first.job).await.unwrap();
        assert_eq!(story.notices().await, []);
    }
    assert!(story.dump().await.is_empty());
    assert!(!story.ledger.notice_stands(&story.pool, &first, Standing::Made(CheckRunId(7))).await.unwrap());
    assert!(story.dump().await.is_empty(), "what is over is not brought back");
}

#[tokio::test]
async fn who_read_what_is_no_longer_so_changes_nothing() {
    let story = Story::begin().await;
    let first = notice(8);
    story.ledger.notice_begins(&story.pool, &first).await.unwrap();
    assert!(story.ledger.notice_changes(&story.pool, &first, Cause::Full, at(2_000)).await.unwrap());
    assert!(!story.ledger.notice_changes(&story.pool, &first, Cause::NoRoom, at(3_000)).await.unwrap());
    assert!(!story.ledger.notice_stands(&story.pool, &first, Standing::Refused).await.unwrap());
    let now = Notice { cause: Cause::Full, said_at: at(2_000), ..first };
    assert_eq!(story.notices().await, [now]);
}
