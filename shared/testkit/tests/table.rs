//! The embedded table and the connection in front of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use serde_json::{Value, json};

/// One request to the table, on a connection of its own.
async fn ask(table: &EmbeddedTable, operation: &str, body: Value) -> Result<Value, reqwest::Error> {
    request(&reqwest::Client::new(), table, operation, &body).await
}

async fn request(
    client: &reqwest::Client,
    table: &EmbeddedTable,
    operation: &str,
    body: &Value,
) -> Result<Value, reqwest::Error> {
    let scope = "AKIATESTKITDUMMY/20260101/us-east-1/dynamodb/aws4_request";
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    let response = client
        .post(table.endpoint())
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("x-amz-date", "20260101T000000Z")
        .header("authorization", signature)
        .header("content-type", "application/x-amz-json-1.0")
        .body(body.to_string())
        .send()
        .await?;
    response.json().await
}

async fn create(table: &EmbeddedTable) {
    let definition = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
    });
    let created = ask(table, "CreateTable", definition).await.unwrap();
    assert_eq!(created["TableDescription"]["TableName"], "things", "{created}");
}

fn put(pk: &str) -> Value {
    json!({ "TableName": "things", "Item": { "pk": { "S": pk } }, "ReturnConsumedCapacity": "TOTAL" })
}

async fn count(table: &EmbeddedTable) -> u64 {
    ask(table, "Scan", json!({ "TableName": "things" })).await.unwrap()["Count"].as_u64().unwrap()
}

#[tokio::test]
async fn requests_and_capacity_are_counted() {
    let table = EmbeddedTable::start().unwrap();
    create(&table).await;
    table.reset_usage();
    let client = reqwest::Client::new();
    for pk in ["a", "b"] {
        request(&client, &table, "PutItem", &put(pk)).await.unwrap();
    }
    let mut conditional = put("a");
    conditional["ConditionExpression"] = json!("attribute_not_exists(pk)");
    request(&client, &table, "PutItem", &conditional).await.unwrap();
    let key = json!({ "TableName": "things", "Key": { "pk": { "S": "a" } }, "ConsistentRead": true,
        "ReturnConsumedCapacity": "TOTAL" });
    request(&client, &table, "GetItem", &key).await.unwrap();
    let usage = table.usage();
    assert_eq!(usage.total(), 4, "{usage:?}");
    assert_eq!((usage.requests["PutItem"], usage.requests["GetItem"]), (3, 1));
    assert_eq!((usage.write_units, usage.read_units, usage.unreported), (2.0, 1.0, 0));
    let refused: Vec<_> = table.requests().into_iter().filter(|request| request.status != 200).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].error.as_deref(), Some("ConditionalCheckFailedException"));
}

#[tokio::test]
async fn a_table_can_be_cut_held_up_and_opened_again() {
    let table = EmbeddedTable::start().unwrap();
    create(&table).await;
    let kept = reqwest::Client::new();
    request(&kept, &table, "PutItem", &put("a")).await.unwrap();

    table.set_link(Link::Cut);
    assert!(ask(&table, "PutItem", put("b")).await.is_err(), "a new connection");
    assert!(request(&kept, &table, "PutItem", &put("b")).await.is_err(), "one that was open before");

    table.set_link(Link::Blackhole);
    let held = ask(&table, "PutItem", put("c"));
    tokio::pin!(held);
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut held).await;
    assert!(waited.is_err(), "neither an answer nor an error: {waited:?}");
    table.set_link(Link::Open);
    held.await.unwrap();
    assert_eq!(count(&table).await, 2);
}

#[tokio::test]
async fn over_a_slow_connection_each_answer_comes_later_once() {
    let table = EmbeddedTable::start().unwrap();
    create(&table).await;
    let kept = reqwest::Client::new();
    request(&kept, &table, "PutItem", &put("a")).await.unwrap();
    let later = Duration::from_secs(1);
    table.set_link(Link::Slow(later));
    let begun = std::time::Instant::now();
    for pk in ["b", "c"] {
        request(&kept, &table, "PutItem", &put(pk)).await.unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= 2 * later && took < 4 * later, "{took:?}");
    table.set_link(Link::Open);
    assert_eq!(count(&table).await, 3);
}

#[tokio::test]
async fn a_request_can_take_effect_while_its_answer_is_lost() {
    let table = EmbeddedTable::start().unwrap();
    create(&table).await;
    table.set_link(Link::CutAfterReceived(0));
    assert!(ask(&table, "PutItem", put("a")).await.is_err());
    table.set_link(Link::CutAfterSent(10));
    assert!(ask(&table, "PutItem", put("b")).await.is_err());
    table.set_link(Link::CutAfterReceived(40));
    assert!(ask(&table, "PutItem", put("c")).await.is_err());
    table.set_link(Link::Open);
    assert_eq!(count(&table).await, 2);
    let scan = ask(&table, "Scan", json!({ "TableName": "things" })).await.unwrap();
    let keys = scan["Items"].as_array().unwrap().iter().map(|item| item["pk"]["S"].as_str().unwrap());
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "c"]);
}

#[tokio::test]
async fn a_table_in_a_file_outlives_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.db");
    let table = EmbeddedTable::start_at(&path).unwrap();
    create(&table).await;
    ask(&table, "PutItem", put("a")).await.unwrap();
    drop(table);
    let table = EmbeddedTable::start_at(&path).unwrap();
    assert_eq!(count(&table).await, 1);
    let env = table.env();
    assert!(env.contains(&("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), table.endpoint())), "{env:?}");
}
