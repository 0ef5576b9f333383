//! Claims on a cluster's room: of all who choose at once, each sees what those before it took.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use mayfly_core::ids::ProviderName;
use mayfly_core::room::{Claim, Own};

use super::story::{Story, at, number, text};

fn provider() -> ProviderName {
    ProviderName::new("lab").unwrap()
}

fn claim(vmid: u32) -> Claim {
    let storages = ["ceph".to_owned()].into();
    Claim { at: at(1), vmid, host: "pve1".to_owned(), memory: 8 << 30, storages }
}

#[tokio::test]
async fn of_those_who_choose_at_once_none_overwrites_another() {
    let story = Story::begin().await;
    let choose = async |vmid: u32| {
        let mut known = story.ledger.room(&provider()).await.unwrap();
        for _ in 0..200 {
            let mut claims = known.claims.clone();
            assert!(!claims.values().any(|other| other.vmid == vmid));
            claims.insert(format!("vm-{vmid}"), claim(vmid));
            let own = BTreeMap::from([("pve1".to_owned(), Own { at: at(2), bytes: 5 })]);
            let (now, done) = story.ledger.claim_room(&provider(), &known, claims, own).await.unwrap();
            if done {
                return;
            }
            known = now;
        }
        panic!("never done");
    };
    join_all((9_000..9_020).map(choose)).await;
    let room = story.ledger.room(&provider()).await.unwrap();
    let ids: Vec<u32> = room.claims.values().map(|claim| claim.vmid).collect();
    assert_eq!(ids, (9_000..9_020).collect::<Vec<_>>());
    assert_eq!(room.own["pve1"].bytes, 5);
}

#[tokio::test]
async fn what_cannot_be_read_of_it_is_as_good_as_not_there_and_keeps_nobody_from_choosing() {
    let story = Story::begin().await;
    let claims = aws_sdk_dynamodb::types::AttributeValue::M(
        [("vm-1".to_owned(), text("nonsense")), ("vm-2".to_owned(), text("1 9001 pve1 8 ceph"))].into(),
    );
    let key = [("pk", text("provider#lab")), ("sk", text("room"))];
    let item = [&key[..], &[("claims", claims), ("own", text("nonsense")), ("version", number(7))]].concat();
    story.put(&item).await;
    let room = story.ledger.room(&provider()).await.unwrap();
    assert_eq!(room.claims.keys().collect::<Vec<_>>(), ["vm-2"]);
    let (_, done) =
        story.ledger.claim_room(&provider(), &room, BTreeMap::new(), BTreeMap::new()).await.unwrap();
    assert!(done);
}
