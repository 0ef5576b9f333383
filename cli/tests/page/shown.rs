//! What the page costs.

use mayfly_core::ids::{JobId, Repository, RunnerName, SlotIndex};
use mayfly_core::job::Waiting;
use mayfly_core::slot::{Purpose, Slot};

use crate::stage::{Stage, deployment, name, pool};

/// As large as the page ever is, for any number of pools that a person would look at.
const LARGEST: usize = 200_000;

#[tokio::test]
async fn a_thousand_runners_cost_one_query_a_pool_and_a_page_of_bounded_size() {
    let stage = Stage::begin(&[pool("linux-gpu", 1_000, Some(0.4)), pool("other", 10, None)]).await;
    for index in 0..1_000 {
        let runner = RunnerName::new(&deployment(), &name("linux-gpu"), SlotIndex(index), u64::from(index));
        let slot = Slot::reserved(runner, Purpose::Job(JobId(u64::from(index))), stage.ago(60));
        assert!(stage.ledger.reserve(&slot).await.unwrap());
    }
    for job in 0..300 {
        let repository = Repository::new("shader-slang/slang").unwrap();
        let waiting = Waiting {
            queued_at: stage.ago(60),
            job: JobId(5_000 + job),
            repository,
            installation: None,
            unseen_run: None,
        };
        stage.waits("linux-gpu", waiting.job.0, waiting.repository.as_str(), 60).await;
    }
    stage.table.reset_usage();
    let shown = stage.page().await;
    let usage = stage.table.usage();
    assert_eq!(
        usage.requests,
        [("GetItem".to_owned(), 1), ("Query".to_owned(), 2)].into(),
        "the sweep's memory, and each pool"
    );
    // Half of what sweeps pay, who must not read yesterday's.
    assert!(usage.read_units < 45.0, "{usage:?}");
    for told in ["<b>1000</b> of 1010", "… and 975 more runners", "… and 260 more waiting jobs"] {
        assert!(shown.text.contains(told), "{told} is missing");
    }
    assert!(shown.text.len() < LARGEST, "{}", shown.text.len());
}
