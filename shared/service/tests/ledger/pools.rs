//! A pool's own item: what the operator wants of it, and how it fares.

use mayfly_core::gate::{PoolState, Trouble};
use mayfly_core::sweep::PoolLedger;
use mayfly_service::store::Stage;

use super::story::{Story, at, pool};

impl Story {
    /// As both ways of reading tell it, which must agree.
    async fn pool_state(&self) -> PoolState {
        let state = self.ledger.pool_state(&self.pool).await.unwrap();
        let (ledger, corrupt) = self.ledger.pool_ledger(&self.pool).await.unwrap();
        let own = PoolLedger { state: state.clone(), ..PoolLedger::empty(self.pool.clone()) };
        assert_eq!((ledger, corrupt.len()), (own, 0));
        state
    }
}

#[tokio::test]
async fn a_pool_is_drained_since_it_was_first_drained_until_it_is_resumed() {
    let story = Story::begin().await;
    assert!(!story.ledger.resume(&story.pool).await.unwrap());
    assert!(story.dump().await.is_empty(), "to resume what was not drained writes nothing");
    for now in [at(5), at(6)] {
        story.ledger.drain(&story.pool, now).await.unwrap();
        assert_eq!(story.pool_state().await.draining, Some(at(5)));
    }
    assert_eq!(story.ledger.pool_state(&pool("another")).await.unwrap().draining, None);
    assert!(story.ledger.resume(&story.pool).await.unwrap());
    assert!(!story.ledger.resume(&story.pool).await.unwrap());
    assert_eq!(story.pool_state().await, PoolState::default());
    story.ledger.drain(&story.pool, at(7)).await.unwrap();
    assert_eq!(story.pool_state().await.draining, Some(at(7)));
}

#[tokio::test]
async fn how_many_slots_may_still_be_taken_is_kept() {
    let story = Story::begin().await;
    for limit in [10, 4, u16::MAX] {
        story.ledger.set_limit(&story.pool, limit).await.unwrap();
        assert_eq!(story.pool_state().await, PoolState { limit: Some(limit), ..PoolState::default() });
    }
    for _ in 0..2 {
        story.ledger.forget_limit(&story.pool).await.unwrap();
        assert_eq!(story.pool_state().await, PoolState::default());
    }
}

#[tokio::test]
async fn failures_are_counted_for_each_stage_until_it_goes_well() {
    let story = Story::begin().await;
    let trouble = |failures, now, why: &str| Some(Trouble { failures, at: at(now), why: why.to_owned() });
    story.ledger.recovered(&story.pool, Stage::Create).await.unwrap();
    assert!(story.dump().await.is_empty(), "there is nothing to forget");
    for (now, why) in [(1, "no quota"), (2, "no machines")] {
        story.ledger.failed(&story.pool, Stage::Create, why, at(now)).await.unwrap();
    }
    story.ledger.failed(&story.pool, Stage::Boot, &"long ".repeat(100), at(3)).await.unwrap();
    let state = story.pool_state().await;
    assert_eq!(state.creates, trouble(2, 2, "no machines"));
    assert_eq!(state.boots, trouble(1, 3, &"long ".repeat(60)), "in at most 300 characters");

    story.ledger.recovered(&story.pool, Stage::Create).await.unwrap();
    assert_eq!(story.pool_state().await, PoolState { boots: state.boots, ..PoolState::default() });
    story.ledger.failed(&story.pool, Stage::Create, "again", at(9)).await.unwrap();
    assert_eq!(story.pool_state().await.creates, trouble(1, 9, "again"), "counted from the beginning");
}

#[tokio::test]
async fn failures_at_the_same_time_are_all_counted() {
    let story = Story::begin().await;
    let fail = || story.ledger.failed(&story.pool, Stage::Boot, "slow", at(1));
    let (a, b, c) = tokio::join!(fail(), fail(), fail());
    a.and(b).and(c).unwrap();
    assert_eq!(story.pool_state().await.boots.unwrap().failures, 3);
}
