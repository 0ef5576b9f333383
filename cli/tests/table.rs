//! `mayfly table`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

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
