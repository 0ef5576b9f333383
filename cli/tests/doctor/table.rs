//! What is wrong with the table.

use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use serde_json::{Value, json};

use super::stage::{self, Stage, TABLE, ask, right};

/// A deployment whose table somebody made by hand.
async fn made_by_hand(definition: Value) -> Stage {
    let table = EmbeddedTable::start().unwrap();
    let mut body = json!({ "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST" });
    for (key, value) in definition.as_object().unwrap() {
        body[key] = value.clone();
    }
    ask(&table, "CreateTable", body).await;
    stage::on(|_| {}, table).await
}

fn keys(keys: &[(&str, &str, &str)]) -> Value {
    let schema = keys.iter().map(|(name, role, _)| json!({ "AttributeName": name, "KeyType": role }));
    let types = keys.iter().map(|(name, _, kind)| json!({ "AttributeName": name, "AttributeType": kind }));
    json!({ "KeySchema": schema.collect::<Value>(), "AttributeDefinitions": types.collect::<Value>() })
}

const RIGHT_KEYS: [(&str, &str, &str); 2] = [("pk", "HASH", "S"), ("sk", "RANGE", "S")];

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there() {
    let stage = stage::on(|_| {}, EmbeddedTable::start().unwrap()).await;
    stage.look().wrong("table", TABLE, "there is none of that name", "mayfly table create");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_answer() {
    let stage = right().await;
    stage.table.set_link(Link::Cut);
    stage.look().wrong("table", TABLE, "looking at the table", "AWS_ENDPOINT_URL_DYNAMODB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_another_key() {
    let wrong: [&[_]; 3] = [
        &[("id", "HASH", "S")],
        &[("pk", "HASH", "S"), ("sk", "RANGE", "N")],
        &[("sk", "HASH", "S"), ("pk", "RANGE", "S")],
    ];
    for wrong in wrong {
        let stage = made_by_hand(keys(wrong)).await;
        stage.look().wrong("table", "its key", "and must be pk (S) and sk (S)", "mayfly table create");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_items_never_expire() {
    let stage = made_by_hand(keys(&RIGHT_KEYS)).await;
    stage.look().wrong("table", "its TTL", "is off", "mayfly table create");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_items_expire_by_another_attribute() {
    let stage = made_by_hand(keys(&RIGHT_KEYS)).await;
    let ttl = json!({ "Enabled": true, "AttributeName": "ttl" });
    ask(&stage.table, "UpdateTimeToLive", json!({ "TableName": TABLE, "TimeToLiveSpecification": ttl }))
        .await;
    stage.look().wrong("table", "its TTL", "items expire by ttl", "AttributeName=expires_at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_provisioned_capacity_is_warned_of() {
    let mut definition = keys(&RIGHT_KEYS);
    definition["BillingMode"] = json!("PROVISIONED");
    definition["ProvisionedThroughput"] = json!({ "ReadCapacityUnits": 5, "WriteCapacityUnits": 5 });
    let stage = made_by_hand(definition).await;
    stage.look().says("warning", "table", "its billing", "is provisioned", "PAY_PER_REQUEST");
}
