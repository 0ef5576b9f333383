//! What a call came to, in a form in which two answers can be compared.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use simulator_table::Item;

#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Done; the item that was read, or the item before or after.
    Item(Option<Item>),
    /// A query's page, and where it goes on.
    Page(Vec<Item>, Option<Item>),
    /// A batch's items in the order of their keys, and the keys that are left.
    Batch(Vec<Item>, Vec<Item>),
    /// An update that was done and made the item, which it had to tell as it was before.
    Made(Option<Item>),
    /// Refused with this code.
    Refused(String),
    /// Its condition did not hold for this item.
    Condition(Option<Item>),
    /// Cancelled: each write's code, and the item that stood against it.
    Cancelled(Vec<(Option<String>, Option<Item>)>),
}

impl Outcome {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Item(_) | Self::Page(..) | Self::Batch(..) => "done",
            Self::Made(_) => "made",
            Self::Refused(_) => "refused",
            Self::Condition(_) => "condition",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// The same of an update that made the item.
    pub fn of_new(self) -> Self {
        if let Self::Item(item) = self { Self::Made(item) } else { self }
    }

    /// Whether the engine's answer is the same; see the top for what passes as such.
    pub fn agrees_with(&self, engine: &Self) -> bool {
        match (self, engine) {
            (Self::Made(None), Self::Item(item)) => {
                item.as_ref().is_none_or(|item| item.keys().all(|name| name == "pk" || name == "sk"))
            }
            _ => self == engine,
        }
    }
}

/// The errors of an operation, as its outcomes.
pub trait Refusal: ProvideErrorMetadata {
    fn outcome(&self) -> Outcome {
        Outcome::Refused(self.code().unwrap_or("no code").to_owned())
    }
}

macro_rules! conditional {
    ($($error:ident),+) => {$(
        impl Refusal for $error {
            fn outcome(&self) -> Outcome {
                match self {
                    Self::ConditionalCheckFailedException(refused) => Outcome::Condition(refused.item.clone()),
                    _ => Outcome::Refused(self.code().unwrap_or("no code").to_owned()),
                }
            }
        }
    )+};
}

conditional!(PutItemError, UpdateItemError, DeleteItemError);
impl Refusal for aws_sdk_dynamodb::operation::get_item::GetItemError {}
impl Refusal for aws_sdk_dynamodb::operation::query::QueryError {}
impl Refusal for aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError {}

impl Refusal for TransactWriteItemsError {
    fn outcome(&self) -> Outcome {
        let Self::TransactionCanceledException(cancelled) = self else {
            return Outcome::Refused(self.code().unwrap_or("no code").to_owned());
        };
        let reasons = cancelled.cancellation_reasons().iter();
        Outcome::Cancelled(reasons.map(|reason| (reason.code.clone(), reason.item.clone())).collect())
    }
}

pub fn ours<T, E: Refusal>(answer: Result<T, E>, done: impl FnOnce(T) -> Outcome) -> Outcome {
    answer.map_or_else(|error| error.outcome(), done)
}

pub fn theirs<T, E, R>(answer: Result<T, SdkError<E, R>>, done: impl FnOnce(T) -> Outcome) -> Outcome
where
    E: Refusal + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match answer {
        Ok(answer) => done(answer),
        Err(error) => match error.as_service_error() {
            Some(error) => error.outcome(),
            None => panic!("the engine could not be asked: {error:?}"),
        },
    }
}
