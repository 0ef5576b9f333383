//! What the table holds: by an older version, by hand, or half written.
//!
//! An input's first line says what is done, a byte each; each other line changes one item of a busy deployment.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::types::AttributeValue;
use simulator::ViolationKind;
use simulator_table::Table;

use crate::attributes::{Item, change};
use crate::choices::Choices;
use crate::scene::{Act, Playing, Scene};

/// No input has more changes than that, and no more is done.
const CHANGES_MOST: usize = 24;
const ACTS_MOST: usize = 5;

/// Plays an input.
///
/// - Nothing panics, every invocation ends before its deadline, and sends no more requests than an honest one could need.
/// - A slot whose item cannot be read is nobody's to take: its item stays there, and stays its runner's and its purpose's, as
///   long as no event names that runner. (Such an event may mend it. A waiting job's entry is a hint, and is written anew.)
/// - No stranger's VM is touched, every VM carries its marks and its end, and every call is one that its vendor has published,
///   whatever the table says (I3, I6).
/// - What is logged and told is bounded, and holds no secret.
pub fn items(data: &[u8]) {
    let mut input = Choices::new(data);
    let mut first = Choices::new(input.line());
    let mut acts = Vec::new();
    while !first.is_over() && acts.len() < ACTS_MOST {
        acts.push(act(&mut first));
    }
    Scene::busy(|scene| {
        let mut items: Vec<Item> = scene.table.items().cloned().collect();
        for _ in 0..CHANGES_MOST {
            if input.is_over() {
                break;
            }
            change(&mut items, &mut Choices::new(input.line()));
        }
        let playing = Playing::begin(scene);
        playing.stage.lock().table = table(items);
        let tells_of_runners = acts.iter().any(|act| matches!(act, Act::Completed(_) | Act::Started(_)));
        let unreadable = if tells_of_runners { BTreeMap::new() } else { unreadable(&playing, scene) };
        playing.play(&acts);
        playing.play(&[Act::Sweep]);
        let inner = playing.stage.lock();
        for ((pk, sk), before) in &unreadable {
            let Some(after) = inner.table.get_item(pk, sk) else {
                panic!("{pk} / {sk} could not be read, and is gone: {before:?}");
            };
            for name in ["runner", "job", "spare_since"] {
                assert_eq!(
                    before.get(name),
                    after.get(name),
                    "{name} of {pk} / {sk}, which could not be read"
                );
            }
        }
        let of_the_table = [ViolationKind::BusyVmDeleted, ViolationKind::PoolOverLimit];
        let broken =
            inner.world.violations().iter().find(|violation| !of_the_table.contains(&violation.kind));
        assert!(broken.is_none(), "{broken:?}");
    });
}

fn act(choices: &mut Choices<'_>) -> Act {
    let what = choices.byte();
    let nth = usize::from(what >> 4);
    match what % 13 {
        0 => Act::Queued(0),
        1 => Act::Queued(1),
        2 => Act::Completed(nth),
        3 => Act::Started(nth),
        4 => Act::Again(nth),
        5 => Act::Sweep,
        6 => Act::Overview,
        7 => Act::Job(nth),
        8 => Act::Runner(nth),
        9 => Act::Drain(true),
        10 => Act::Drain(false),
        11 => Act::Wait(600),
        _ => Act::Page,
    }
}

/// A table with these, as far as it takes them.
fn table(items: Vec<Item>) -> Table {
    let mut table = Table::new("mayfly-test");
    for item in items {
        let put = PutItemInput::builder().table_name("mayfly-test").set_item(Some(item)).build();
        // What DynamoDB refuses can be in no table.
        _ = put.map(|put| table.put(&put).is_ok());
    }
    table
}

type Key = (String, String);

/// The slots that the program itself cannot read.
fn unreadable(playing: &Playing<'_>, scene: &Scene) -> BTreeMap<Key, Item> {
    let mut found = BTreeMap::new();
    for pool in &scene.policy().pools {
        let read = playing.run(playing.mayfly.ledger.pool_ledger(&pool.name));
        let Ok((_, corrupt)) = read else { panic!("the partition of {} cannot be read", pool.name) };
        let told: Vec<String> = corrupt.iter().map(ToString::to_string).collect();
        let inner = playing.stage.lock();
        for item in inner.table.items() {
            let text = |name: &str| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok());
            let (Some(pk), Some(sk)) = (text("pk"), text("sk")) else { continue };
            let names = |told: &String| told.starts_with(&format!("table: item {pk} / {sk}: "));
            if sk.starts_with("slot#") && told.iter().any(names) {
                found.insert((pk.clone(), sk.clone()), item.clone());
            }
        }
    }
    found
}
