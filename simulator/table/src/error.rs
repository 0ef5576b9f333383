//! Refusals, and the AWS SDK's own errors for them.

use aws_sdk_dynamodb::error::ErrorMetadata;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_sdk_dynamodb::types::error::{
    ConditionalCheckFailedException, ResourceNotFoundException, TransactionCanceledException,
};

use crate::value::Item;

/// Why a request is not carried out, whatever is in the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// `ValidationException`.
    Invalid(String),
    /// `ResourceNotFoundException`.
    NoTable,
}

/// Why a write is not made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WriteRefusal {
    Request(Refusal),
    /// Its condition does not hold; the item as it is, where that was asked for and there is one.
    Condition(Option<Item>),
}

pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::Invalid(message.into())
}

/// What the service does and this table does not: refused, so that nobody takes its silence for an answer.
pub(crate) fn unsupported(what: &str) -> Refusal {
    Refusal::Invalid(format!("the simulated table does not support {what}"))
}

impl From<Refusal> for WriteRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Request(refusal)
    }
}

fn metadata(code: &str, message: &str) -> ErrorMetadata {
    ErrorMetadata::builder().code(code).message(message).build()
}

fn no_table() -> ResourceNotFoundException {
    const MESSAGE: &str = "Requested resource not found";
    let error = ResourceNotFoundException::builder().message(MESSAGE);
    error.meta(metadata("ResourceNotFoundException", MESSAGE)).build()
}

pub(crate) const CONDITION_FAILED: &str = "The conditional request failed";

fn condition_failed(item: Option<Item>) -> ConditionalCheckFailedException {
    let error = ConditionalCheckFailedException::builder().message(CONDITION_FAILED).set_item(item);
    error.meta(metadata("ConditionalCheckFailedException", CONDITION_FAILED)).build()
}

macro_rules! from_refusal {
    ($($error:ident),+) => {$(
        impl From<Refusal> for $error {
            fn from(refusal: Refusal) -> Self {
                match refusal {
                    Refusal::Invalid(message) => Self::generic(metadata("ValidationException", &message)),
                    Refusal::NoTable => Self::ResourceNotFoundException(no_table()),
                }
            }
        }
    )+};
}

macro_rules! from_write_refusal {
    ($($error:ident),+) => {$(
        impl From<WriteRefusal> for $error {
            fn from(refusal: WriteRefusal) -> Self {
                match refusal {
                    WriteRefusal::Request(refusal) => refusal.into(),
                    WriteRefusal::Condition(item) => {
                        Self::ConditionalCheckFailedException(condition_failed(item))
                    }
                }
            }
        }
    )+};
}

from_refusal!(
    GetItemError,
    BatchGetItemError,
    QueryError,
    PutItemError,
    UpdateItemError,
    DeleteItemError,
    TransactWriteItemsError
);
from_write_refusal!(PutItemError, UpdateItemError, DeleteItemError);

/// A transaction of which nothing was written; `reasons` are those of its writes, in their order.
pub(crate) fn cancelled(reasons: Vec<CancellationReason>) -> TransactWriteItemsError {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let meta = metadata("TransactionCanceledException", &message);
    let error =
        TransactionCanceledException::builder().message(message).set_cancellation_reasons(Some(reasons));
    TransactWriteItemsError::TransactionCanceledException(error.meta(meta).build())
}

/// Why one write of a transaction cancelled it; for one that did not, the code is `None`.
pub(crate) fn reason(refusal: Option<WriteRefusal>) -> CancellationReason {
    let reason = CancellationReason::builder();
    match refusal {
        None => reason.code("None").build(),
        Some(WriteRefusal::Condition(item)) => {
            reason.code("ConditionalCheckFailed").message(CONDITION_FAILED).set_item(item).build()
        }
        Some(WriteRefusal::Request(Refusal::Invalid(message))) => {
            reason.code("ValidationError").message(message).build()
        }
        Some(WriteRefusal::Request(Refusal::NoTable)) => {
            reason.code("ResourceNotFound").message("Requested resource not found").build()
        }
    }
}
