//! The way of every request to the table.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;

/// What a call answers.
pub(super) type Sent<T, E> = Result<T, SdkError<E, HttpResponse>>;

macro_rules! calls {
    ($($name:ident: $module:ident, $request:ident, $output:ident, $error:ident, $simulated:ident;)*) => {
        impl super::Ledger {
            $(pub(super) async fn $name(
                &self,
                request: aws_sdk_dynamodb::operation::$module::builders::$request,
            ) -> Sent<
                aws_sdk_dynamodb::operation::$module::$output,
                aws_sdk_dynamodb::operation::$module::$error,
            > {
                #[cfg(feature = "simulation")]
                if let Some(table) = &self.outside {
                    let input = request.as_input().clone().build().map_err(SdkError::construction_failure)?;
                    self.count.one();
                    return table.$simulated(input).await;
                }
                request.send().await
            })*
        }
    };
}

calls! {
    send_get: get_item, GetItemFluentBuilder, GetItemOutput, GetItemError, get;
    send_put: put_item, PutItemFluentBuilder, PutItemOutput, PutItemError, put;
    send_update: update_item, UpdateItemFluentBuilder, UpdateItemOutput, UpdateItemError, update;
    send_delete: delete_item, DeleteItemFluentBuilder, DeleteItemOutput, DeleteItemError, delete;
    send_query: query, QueryFluentBuilder, QueryOutput, QueryError, query;
    send_batch_get: batch_get_item, BatchGetItemFluentBuilder, BatchGetItemOutput, BatchGetItemError, batch_get;
    send_transact: transact_write_items, TransactWriteItemsFluentBuilder, TransactWriteItemsOutput,
        TransactWriteItemsError, transact;
}
