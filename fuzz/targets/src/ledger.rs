//! The way to the table: it takes a moment, and nothing goes wrong on it.

#![expect(clippy::result_large_err, reason = "they are the SDK's errors, which the ledger gets from it")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use mayfly_service::simulation::{Table, TableAnswer};

use crate::stage::{Inner, Stage};

/// There and back.
const LATENCY: Duration = Duration::from_millis(4);

/// The way to the table.
#[derive(Debug)]
pub struct Ledger(pub Arc<Stage>);

impl Ledger {
    fn call<'a, O: Send + 'a, E: Send + 'a>(
        &'a self,
        run: impl FnOnce(&mut Inner) -> Result<O, E> + Send + 'a,
    ) -> TableAnswer<'a, O, E> {
        Box::pin(async move {
            tokio::time::sleep(LATENCY).await;
            let result = {
                let mut inner = self.0.lock();
                inner.count_table();
                run(&mut inner)
            };
            result.map_err(|error| match StatusCode::try_from(400).ok() {
                Some(status) => SdkError::service_error(error, HttpResponse::new(status, SdkBody::empty())),
                None => SdkError::timeout_error("no status"),
            })
        })
    }
}

impl Table for Ledger {
    fn get(&self, input: GetItemInput) -> TableAnswer<'_, GetItemOutput, GetItemError> {
        self.call(move |inner| inner.table.get(&input))
    }

    fn put(&self, input: PutItemInput) -> TableAnswer<'_, PutItemOutput, PutItemError> {
        self.call(move |inner| inner.table.put(&input))
    }

    fn update(&self, input: UpdateItemInput) -> TableAnswer<'_, UpdateItemOutput, UpdateItemError> {
        self.call(move |inner| inner.table.update(&input))
    }

    fn delete(&self, input: DeleteItemInput) -> TableAnswer<'_, DeleteItemOutput, DeleteItemError> {
        self.call(move |inner| inner.table.delete(&input))
    }

    fn query(&self, input: QueryInput) -> TableAnswer<'_, QueryOutput, QueryError> {
        self.call(move |inner| inner.table.query(&input))
    }

    fn batch_get(&self, input: BatchGetItemInput) -> TableAnswer<'_, BatchGetItemOutput, BatchGetItemError> {
        self.call(move |inner| inner.table.batch_get(&input))
    }

    fn transact(
        &self,
        input: TransactWriteItemsInput,
    ) -> TableAnswer<'_, TransactWriteItemsOutput, TransactWriteItemsError> {
        self.call(move |inner| inner.table.transact(&input))
    }
}
