//! `mayfly table`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use mayfly_testkit::table::EmbeddedTable;

use common::{Place, complaint};

#[test]
fn the_table_is_created_once() {
    let table = EmbeddedTable::start().unwrap();
    let mut place = Place::alone();
    place.environment.extend(table.env());
    for outcome in ["created", "existed already"] {
        let output = place.run(&["table", "create"]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("table mayfly-test: {outcome}\n"));
    }
}

#[test]
fn a_table_that_cannot_be_reached_is_said_in_one_message() {
    let place = Place::alone()
        .env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIATESTKITDUMMY")
        .env("AWS_SECRET_ACCESS_KEY", "testkit-dummy-secret-access-key");
    let told = complaint(&place.run(&["table", "create"]));
    assert!(told.contains("creating the table"), "{told}");
}

/// A real engine, and in front of it the one call of AWS's that it does not know.
struct Aws {
    engine: String,
    client: reqwest::Client,
    /// How often backups were asked for.
    asked: AtomicU32,
}

const NOT_YET: u32 = 2;

async fn answer(State(aws): State<Arc<Aws>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if headers["x-amz-target"] == "DynamoDB_20120810.UpdateContinuousBackups" {
        let wanted: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let on = wanted["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true;
        return match aws.asked.fetch_add(1, Ordering::Relaxed) {
            0..NOT_YET => {
                let kind = "com.amazonaws.dynamodb.v20120810#ContinuousBackupsUnavailableException";
                let why = serde_json::json!({ "__type": kind, "message": "Backups are being enabled for the table" });
                (StatusCode::BAD_REQUEST, why.to_string())
            }
            _ if on && wanted["TableName"] == "mayfly-test" => (StatusCode::OK, "{}".to_owned()),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        };
    }
    let mut request = aws.client.post(&aws.engine).body(body);
    for name in ["x-amz-target", "authorization", "content-type", "x-amz-date"] {
        request = request.header(name, &headers[name]);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_can_be_restored_to_any_moment_as_soon_as_aws_is_ready_for_it() {
    let table = EmbeddedTable::start().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let aws = Arc::new(Aws { engine: table.endpoint(), client, asked: AtomicU32::new(0) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().fallback(answer).with_state(aws.clone());
    tokio::spawn(axum::serve(listener, routes).into_future());
    let mut place = Place::alone();
    place.environment.extend(table.env());
    let place = place.env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    for outcome in ["created", "existed already"] {
        let output = place.run(&["table", "create"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            told,
            format!("table mayfly-test: {outcome}\n"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(
        aws.asked.load(Ordering::Relaxed),
        NOT_YET + 1,
        "of a table that was there already it is left as it is"
    );
}
