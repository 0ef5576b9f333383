//! The table against the engine that the project's other tests run on, over the AWS SDK: random histories, in which every
//! call must be answered alike.
//!
//! Where that engine is known to answer otherwise than DynamoDB, the histories keep away from it, and the table follows
//! DynamoDB; `tests/table` has the tests of these:
//!
//! - It answers an update that makes a new item with the bare key as `ALL_OLD`; DynamoDB with nothing. This one is too
//!   common to keep away from, so the comparison lets it pass.
//! - It compares and orders values that have no order (`a < :true`) and takes `attribute_type` with a type that does not
//!   exist, as conditions that do not hold; DynamoDB refuses the request. So it does with an operand that is compared
//!   with itself.
//! - It knows functions in any case; the developer guide says that their case matters.
//! - In a transaction it does not check what the update and condition expressions of single writes are checked for before
//!   any item is read: the types of `:values`, the bounds of `BETWEEN`, and `:values` of the update that are not defined.
//!   It cancels the transaction, or lets it pass, where DynamoDB refuses the request; and it lets a transaction's update
//!   write over the key.
//! - It takes a transaction's `Put` or `Delete` with `ExpressionAttributeValues` for no expression, as DynamoDB
//!   does in some regions and refuses in others; this table refuses it.
//! - A query's key condition may have an empty text there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod expressions;
mod outcome;
mod random;
mod wrong;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use mayfly_testkit::table::EmbeddedTable;
use simulator_table::{Item, Table};

use calls::Call;
use random::Random;

const HISTORIES: u64 = 120;
const CALLS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_answers_as_the_engine_does() {
    let engine = EmbeddedTable::start().unwrap();
    let client = client(&engine).await;
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed);
        let name = format!("history-{seed}");
        create(&client, &name).await;
        let mut table = Table::new(&name);
        let mut history = Vec::new();
        for _ in 0..CALLS {
            let call = Call::random(&mut random, &name);
            history.push(format!("{call:#?}"));
            let (ours, theirs) = (call.ask_table(&mut table), call.ask_engine(&client).await);
            assert!(
                ours.agrees_with(&theirs),
                "seed {seed}, call {}:\n{}\nthe table: {ours:#?}\nthe engine: {theirs:#?}\nitem: {:#?}",
                history.len(),
                history.last().unwrap(),
                table.items().collect::<Vec<_>>()
            );
            *counts.entry((call.name(), ours.kind())).or_default() += 1;
        }
        assert_eq!(by_key(table.items().cloned()), scan(&client, &name).await, "seed {seed}");
    }
    // Histories of nothing but refusals, or of none, would show little.
    for (call, kinds) in [
        ("put", &["done", "refused", "condition"][..]),
        ("update", &["done", "made", "refused", "condition"]),
        ("delete", &["done", "refused", "condition"]),
        ("transact", &["done", "refused", "cancelled"]),
        ("get", &["done", "refused"]),
        ("query", &["done", "refused"]),
        ("batch", &["done", "refused"]),
    ] {
        for kind in kinds {
            assert!(counts.get(&(call, *kind)).is_some_and(|count| *count >= 5), "{call} {kind}: {counts:?}");
        }
    }
}

async fn client(engine: &EmbeddedTable) -> Client {
    use aws_sdk_dynamodb::config::{Credentials, Region};
    let anyone = Credentials::new("local", "local", None, None, "local");
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).endpoint_url(engine.endpoint());
    let config = config.credentials_provider(anyone).region(Region::new("us-east-1"));
    Client::new(&config.load().await)
}

async fn create(client: &Client, name: &str) {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (name, role) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().unwrap();
        let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap();
        request = request.attribute_definitions(attribute).key_schema(key);
    }
    request.send().await.unwrap();
}

async fn scan(client: &Client, name: &str) -> BTreeMap<(String, String), Item> {
    let scan = client.scan().table_name(name).consistent_read(true).send().await.unwrap();
    by_key(scan.items.unwrap_or_default())
}

fn by_key(items: impl IntoIterator<Item = Item>) -> BTreeMap<(String, String), Item> {
    let text = |value: &AttributeValue| value.as_s().unwrap().clone();
    items.into_iter().map(|item| ((text(&item["pk"]), text(&item["sk"])), item)).collect()
}
