//! What is over, for the status page.

use mayfly_core::ids::{JobId, Repository};
use mayfly_core::past::{OverJob, RING, Used};
use mayfly_core::price::Cost;

use super::story::{Story, at, placed, pool};

fn over(id: u64) -> OverJob {
    OverJob {
        job: JobId(id),
        repository: Repository::new("shader-slang/slang").unwrap(),
        runner: Some("prod-linux-gpu-0001-a".into()),
        queued_at: at(1),
        made_at: Some(at(2)),
        started_at: None,
        ended_at: at(3),
        conclusion: "success".into(),
    }
}

#[tokio::test]
async fn jobs_that_are_over_come_back_as_they_were_and_the_ring_holds_no_more() {
    let story = Story::begin().await;
    let mut expected = std::collections::BTreeMap::new();
    for id in 0..600 {
        story.ledger.job_over(&story.pool, &over(id)).await.unwrap();
        expected.insert(over(id).place(), over(id));
    }
    assert_eq!(expected.len(), usize::from(RING));
    let read = story.ledger.pool_and_past(&story.pool, at(9)).await.unwrap();
    let expected: Vec<OverJob> = expected.into_values().collect();
    assert_eq!((read.past.over, read.corrupt.len(), read.past.is_cut), (expected, 0, false));
    assert!(story.dump().await.values().all(|item| item.contains_key("expires_at")), "they go by themselves");
    let other = story.ledger.pool_and_past(&pool("another"), at(9)).await.unwrap();
    assert!(other.past.over.is_empty());
}

#[tokio::test]
async fn what_vms_ran_and_cost_is_added_up_month_by_month() {
    let story = Story::begin().await;
    let used = Used { vms: 1, ms: 3_600_000, unpriced_ms: 600_000, cost: Cost(350_000) };
    let march = at(0);
    let april = "2026-04-01T00:00:00Z".parse().unwrap();
    let add = || story.ledger.vm_over(&story.pool, &used, march);
    let (a, b, c) = tokio::join!(add(), add(), add());
    a.and(b).and(c).unwrap();
    story.ledger.vm_over(&story.pool, &used, april).await.unwrap();
    let in_march = story.ledger.pool_and_past(&story.pool, march).await.unwrap().past.gone;
    assert_eq!(in_march, Used { vms: 3, ms: 10_800_000, unpriced_ms: 1_800_000, cost: Cost(1_050_000) });
    assert_eq!(story.ledger.pool_and_past(&story.pool, april).await.unwrap().past.gone, used);
}

#[tokio::test]
async fn what_is_over_costs_a_write_unit_each_and_no_sweep_anything() {
    let story = Story::begin().await;
    story.taken(0, 1, &[placed(1)]).await;
    story.table.reset_usage();
    let (before, _) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    let cost = story.table.usage().read_units;
    story.table.reset_usage();
    for id in 0..200 {
        story.ledger.job_over(&story.pool, &over(id)).await.unwrap();
    }
    let used = Used { vms: 1, ms: 1, unpriced_ms: 0, cost: Cost(1) };
    story.ledger.vm_over(&story.pool, &used, at(0)).await.unwrap();
    assert_eq!(story.table.usage().write_units, 201.0);
    story.table.reset_usage();
    let (after, corrupt) = story.ledger.pool_ledger(&story.pool).await.unwrap();
    assert_eq!((after, corrupt.len(), story.table.usage().read_units), (before, 0, cost));
    // The page reads the slots and what is over, at half the price.
    let read = story.ledger.pool_and_past(&story.pool, at(0)).await.unwrap();
    assert!(read.ledger.slots.len() == 1 && read.past.over.len() > 40);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_hides_no_other() {
    let story = Story::begin().await;
    story.ledger.job_over(&story.pool, &over(1)).await.unwrap();
    let key = [("pk", super::story::text("pool#linux-gpu")), ("sk", super::story::text("over#99"))];
    story.put(&key).await;
    story.taken(0, 1, &[]).await;
    let read = story.ledger.pool_and_past(&story.pool, at(0)).await.unwrap();
    assert_eq!((read.past.over.len(), read.ledger.slots.len(), read.corrupt.len()), (1, 1, 1));
}
