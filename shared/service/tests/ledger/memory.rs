//! What one sweep tells the next, how often a delivery was asked for again, and how much the table was asked.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use mayfly_core::ids::{Account, PoolName, Repository};
use mayfly_core::policy::Scope;
use mayfly_core::sweep::Asked;
use mayfly_service::store::{KnownPool, Memory};

use super::story::{Story, at, ledger, pool};

fn pools() -> [(PoolName, KnownPool); 3] {
    let account = Account::new("shader-slang").unwrap();
    let windows = Scope::Repository(Repository::new("shader-slang/slang").unwrap());
    [
        (pool("linux-gpu"), KnownPool { scope: Scope::Organization(account.clone()), emptied: None }),
        (pool("windows"), KnownPool { scope: windows, emptied: None }),
        (pool("lab"), KnownPool { scope: Scope::Enterprise(account), emptied: Some(at(5)) }),
    ]
}

#[tokio::test]
async fn a_new_deployment_remembers_nothing() {
    let story = Story::begin().await;
    assert_eq!(story.ledger.memory().await.unwrap(), Memory::default());
    story.ledger.remember_pools(&[].into(), &[]).await.unwrap();
    story.ledger.remember_settled(&[].into()).await.unwrap();
    assert!(story.dump().await.is_empty());
}

#[tokio::test]
async fn what_a_sweep_leaves_the_next_one_finds() {
    let story = Story::begin().await;
    let pools: BTreeMap<_, _> = pools().into();
    let settled = |moments: &[(&str, u64)]| -> BTreeMap<String, jiff::Timestamp> {
        moments.iter().map(|(hook, moment)| ((*hook).to_owned(), at(*moment))).collect()
    };
    story.ledger.remember_pools(&pools, &[]).await.unwrap();
    story.ledger.remember_discovery("shader-slang/slang page 3", at(7), at(9)).await.unwrap();
    story.ledger.remember_settled(&settled(&[("app", 1), ("orgs/shader-slang/hooks/5", 2)])).await.unwrap();
    story.ledger.remember_settled(&settled(&[("app", 3)])).await.unwrap();
    let left = Memory {
        pools,
        discovery: Some(("shader-slang/slang page 3".to_owned(), at(7))),
        settled: settled(&[("app", 3), ("orgs/shader-slang/hooks/5", 2)]),
        swept_at: Some(at(9)),
    };
    assert_eq!(story.ledger.memory().await.unwrap(), left);
    story.ledger.remember_discovery("", at(8), at(10)).await.unwrap();
    let next = Memory { discovery: Some((String::new(), at(8))), swept_at: Some(at(10)), ..left };
    assert_eq!(story.ledger.memory().await.unwrap(), next);
}

#[tokio::test]
async fn a_pool_is_remembered_as_it_was_last_seen_until_it_is_forgotten() {
    let story = Story::begin().await;
    let [first, second, third] = pools();
    let add = |some: &[(PoolName, KnownPool)]| some.iter().cloned().collect::<BTreeMap<_, _>>();
    story.ledger.remember_pools(&add(&[first.clone(), second.clone()]), &[]).await.unwrap();
    let moved = (first.0.clone(), third.1.clone());
    let forget = [second.0, moved.0.clone(), pool("never-there")];
    story.ledger.remember_pools(&add(&[moved.clone(), third.clone()]), &forget).await.unwrap();
    assert_eq!(story.ledger.memory().await.unwrap().pools, add(&[moved, third]), "what is added stays");
}

#[tokio::test]
async fn hundreds_of_pools_are_remembered_and_forgotten() {
    let story = Story::begin().await;
    let known = pools()[0].1.clone();
    let pools: BTreeMap<_, _> =
        (0..250).map(|number| (pool(&format!("pool-of-long-name{number}")), known.clone())).collect();
    story.ledger.remember_pools(&pools, &[]).await.unwrap();
    assert_eq!(story.ledger.memory().await.unwrap().pools, pools);
    let all: Vec<PoolName> = pools.into_keys().collect();
    story.ledger.remember_pools(&[].into(), &all).await.unwrap();
    assert_eq!(story.ledger.memory().await.unwrap(), Memory::default());
}

#[tokio::test]
async fn each_redelivery_is_counted_once_and_remembered_longer_than_github_keeps_the_delivery() {
    let story = Story::begin().await;
    let guid = "0b989ba4-242f-11e5-81e1-c7b6966d2516";
    let known =
        async || story.ledger.redeliveries(&[guid.to_owned(), "none".to_owned()].into()).await.unwrap();
    assert_eq!(known().await, [].into());
    let tell = |times, now| story.ledger.redelivery(guid, times, at(now));
    let (one, other) = tokio::join!(tell(0, 1), tell(0, 1));
    assert!(one.unwrap() != other.unwrap(), "of two at a time one wins");
    assert_eq!(known().await, [(guid.to_owned(), Asked { times: 1, at: at(1) })].into());
    assert!(!tell(0, 2).await.unwrap() && !tell(2, 2).await.unwrap());
    assert!(tell(1, 5).await.unwrap());
    assert_eq!(known().await, [(guid.to_owned(), Asked { times: 2, at: at(5) })].into());
    let item = &story.dump().await[&format!("delivery#{guid} / delivery")];
    let expiry = AttributeValue::N((at(5).as_second() + 4 * 24 * 3600).to_string());
    assert_eq!(item["expires_at"], format!("{expiry:?}"));
}

#[tokio::test]
async fn the_counts_of_many_deliveries_are_read_at_once() {
    let story = Story::begin().await;
    let guids: BTreeSet<String> = (0..230).map(|number| format!("guid-{number}")).collect();
    for guid in guids.iter().step_by(10) {
        assert!(story.ledger.redelivery(guid, 0, at(1)).await.unwrap());
    }
    story.table.reset_usage();
    let known = story.ledger.redeliveries(&guids).await.unwrap();
    assert_eq!(known.into_keys().collect::<Vec<_>>(), guids.into_iter().step_by(10).collect::<Vec<_>>());
    assert_eq!(story.table.usage().total(), 3);
    story.ledger.redeliveries(&BTreeSet::new()).await.unwrap();
    assert_eq!(story.table.usage().total(), 3);
}

#[tokio::test]
async fn the_ledger_knows_how_many_requests_it_has_sent() {
    let story = Story::begin().await;
    let (counted, other) = (ledger(&story.aws), ledger(&story.aws));
    assert_eq!(counted.requests(), 0);
    story.table.reset_usage();
    counted.drain(&story.pool, at(1)).await.unwrap();
    counted.clone().pool_ledger(&story.pool).await.unwrap();
    counted.redeliveries(&["a".to_owned()].into()).await.unwrap();
    assert_eq!((counted.requests(), story.table.usage().total()), (3, 3));
    assert_eq!(other.requests(), 0);
    story.table.reset_usage();
}
