//! The table itself, a pool's own item, and looking for free slots.

use std::num::NonZeroU16;

use aws_sdk_dynamodb::types::{BillingMode, KeyType, TableStatus, TimeToLiveStatus};
use mayfly_core::candidates::gaps;
use mayfly_core::gate::PoolState;
use mayfly_core::ids::SlotIndex;
use mayfly_service::store::{CreateTable, StoreError, Take, create_table};

use super::story::{Story, TABLE, at};

#[tokio::test]
async fn the_table_is_made_once_and_as_the_contract_says() {
    let story = Story::begin().await;
    assert_eq!(create_table(&story.aws, "another").await.unwrap(), CreateTable::Created);
    for _ in 0..2 {
        assert_eq!(create_table(&story.aws, TABLE).await.unwrap(), CreateTable::Existed);
    }
    let table = story.client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let keys: Vec<_> = table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    assert_eq!(keys, [("pk", &KeyType::Hash), ("sk", &KeyType::Range)]);
    assert_eq!(table.table_status(), Some(&TableStatus::Active));
    assert_eq!(table.deletion_protection_enabled(), Some(true));
    let billing = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    assert_eq!(billing, Some(&BillingMode::PayPerRequest));
    assert!(table.global_secondary_indexes().is_empty() && table.local_secondary_indexes().is_empty());
    let ttl = story.client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name(), Some("expires_at"));
    assert_eq!(ttl.time_to_live_status(), Some(&TimeToLiveStatus::Enabled));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let story = Story::begin().await;
    let unprotected = story.client.update_table().table_name(TABLE).deletion_protection_enabled(false);
    unprotected.send().await.unwrap();
    story.client.delete_table().table_name(TABLE).send().await.unwrap();
    let told = [
        story.ledger.drain(&story.pool, at(1)).await.err(),
        story.ledger.pool_ledger(&story.pool).await.err(),
        story.ledger.pool_state(&story.pool).await.err(),
        story.ledger.claim(&story.assigned(1, 1), &Take::Free(story.slot_for(1, 1))).await.err(),
    ];
    for error in told {
        let error = error.unwrap();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("mayfly table create"), "{error}");
    }
}

#[tokio::test]
async fn what_one_invocation_learnt_all_know() {
    let story = Story::begin().await;
    let place = |zone: &str| format!("gcp/{zone}");
    assert_eq!(story.ledger.pool_state(&story.pool).await.unwrap(), PoolState::default());
    story.ledger.cool_down(&story.pool, &[], at(1)).await.unwrap();
    assert!(story.dump().await.is_empty(), "nothing was full");

    let (first, second) = (place("us-east1-c"), place("us-east1-d"));
    story
        .ledger
        .cool_down(&story.pool, &[first.clone(), second.clone(), first.clone()], at(1))
        .await
        .unwrap();
    story.ledger.hold_github(&story.pool, at(2)).await.unwrap();
    story.ledger.cool_down(&story.pool, std::slice::from_ref(&second), at(3)).await.unwrap();
    let cooling = [(first, at(1)), (second, at(3))].into();
    let wanted = PoolState { cooling, github_until: Some(at(2)), ..PoolState::default() };
    assert_eq!(story.ledger.pool_state(&story.pool).await.unwrap(), wanted);
    assert_eq!(wanted.cooling_at("gcp", at(1)), ["us-east1-d".to_owned()].into());
}

#[tokio::test]
async fn a_sample_shows_free_slots_as_gaps() {
    let story = Story::begin().await;
    for index in [0, 1, 3, 6] {
        story.taken(index, 100 + u64::from(index), &[]).await;
    }
    let max = NonZeroU16::new(9).unwrap();
    for (start, limit, taken, free) in [
        (0, 9, vec![0, 1, 3, 6], vec![2, 4, 5, 7, 8]),
        (0, 3, vec![0, 1, 3], vec![2]),
        (2, 1, vec![3], vec![2]),
        (2, 3, vec![3, 6], vec![2, 4, 5, 7, 8]),
        (7, 3, vec![], vec![7, 8]),
    ] {
        let slots = story.ledger.sample(&story.pool, SlotIndex(start), limit).await.unwrap();
        let found: Vec<SlotIndex> = slots.iter().map(|slot| slot.runner.slot()).collect();
        assert_eq!(found, taken.into_iter().map(SlotIndex).collect::<Vec<_>>(), "{limit} from {start}");
        let free: Vec<SlotIndex> = free.into_iter().map(SlotIndex).collect();
        assert_eq!(gaps(SlotIndex(start), &found, limit, max), free, "{limit} from {start}");
    }
}
