//! Conditional writes, alone or together in a transaction.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::item::Item;
use super::{COST, Ledger, StoreError, unavailable};

/// One conditional update or deletion.
#[derive(Debug, Clone)]
pub(super) struct Write {
    key: Item,
    update: Option<String>,
    condition: String,
    values: HashMap<String, AttributeValue>,
    names: HashMap<String, String>,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// It was made; the item as it was before, empty where there was none.
    Before(Item),
    /// Its condition did not hold; the item as it is, empty where there is none.
    Refused(Item),
}

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Transacted {
    /// All its writes were made.
    Made,
    /// The condition of the write at this place did not hold; the item as it is.
    Refused(usize, Item),
}

/// A transaction that met another one on the same item is tried again so often, after waits that double from here.
const CONFLICT_TRIES: u32 = 6;
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

impl Write {
    pub(super) fn update(key: Item, update: impl Into<String>, condition: impl Into<String>) -> Self {
        let (values, names) = (HashMap::new(), HashMap::new());
        Self { key, update: Some(update.into()), condition: condition.into(), values, names }
    }

    pub(super) fn delete(key: Item, condition: impl Into<String>) -> Self {
        Self { key, update: None, condition: condition.into(), values: HashMap::new(), names: HashMap::new() }
    }

    pub(super) fn value(mut self, name: impl Into<String>, value: AttributeValue) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    /// An alias, for an attribute whose name is a reserved word of DynamoDB.
    pub(super) fn name(mut self, alias: &str, name: &str) -> Self {
        self.names.insert(alias.to_owned(), name.to_owned());
        self
    }

    /// The maps as the SDK wants them: an empty one is an error to DynamoDB.
    fn maps(&self) -> (Option<Item>, Option<HashMap<String, String>>) {
        let values = (!self.values.is_empty()).then(|| self.values.clone());
        (values, (!self.names.is_empty()).then(|| self.names.clone()))
    }

    fn in_transaction(&self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let (values, names) = self.maps();
        let failure = ReturnValuesOnConditionCheckFailure::AllOld;
        let incomplete = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unavailable {
            doing: "writing",
            why: error.to_string(),
        };
        Ok(match &self.update {
            Some(update) => {
                let update = Update::builder()
                    .table_name(table)
                    .set_key(Some(self.key.clone()))
                    .update_expression(update)
                    .condition_expression(&self.condition)
                    .set_expression_attribute_values(values)
                    .set_expression_attribute_names(names)
                    .return_values_on_condition_check_failure(failure);
                TransactWriteItem::builder().update(update.build().map_err(incomplete)?).build()
            }
            None => {
                let delete = Delete::builder()
                    .table_name(table)
                    .set_key(Some(self.key.clone()))
                    .condition_expression(&self.condition)
                    .set_expression_attribute_values(values)
                    .set_expression_attribute_names(names)
                    .return_values_on_condition_check_failure(failure);
                TransactWriteItem::builder().delete(delete.build().map_err(incomplete)?).build()
            }
        })
    }
}

impl Ledger {
    /// Makes one write.
    pub(super) async fn write(&self, write: Write, doing: &'static str) -> Result<Written, StoreError> {
        let (values, names) = write.maps();
        let failure = ReturnValuesOnConditionCheckFailure::AllOld;
        let Some(update) = write.update else {
            let request = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(write.key))
                .condition_expression(write.condition)
                .set_expression_attribute_values(values)
                .set_expression_attribute_names(names)
                .return_consumed_capacity(COST)
                .return_values(ReturnValue::AllOld)
                .return_values_on_condition_check_failure(failure);
            return match self.send_delete(request).await {
                Ok(answer) => Ok(Written::Before(answer.attributes.unwrap_or_default())),
                Err(error) => match error.as_service_error() {
                    Some(aws_sdk_dynamodb::operation::delete_item::DeleteItemError::ConditionalCheckFailedException(
                        refused,
                    )) => Ok(Written::Refused(refused.item.clone().unwrap_or_default())),
                    _ => Err(unavailable(doing)(error)),
                },
            };
        };
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(write.key))
            .update_expression(update)
            .condition_expression(write.condition)
            .set_expression_attribute_values(values)
            .set_expression_attribute_names(names)
            .return_consumed_capacity(COST)
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(failure);
        match self.send_update(request).await {
            Ok(answer) => Ok(Written::Before(known(answer.attributes.unwrap_or_default()))),
            Err(error) => match error.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    refused,
                )) => Ok(Written::Refused(refused.item.clone().unwrap_or_default())),
                _ => Err(unavailable(doing)(error)),
            },
        }
    }

    /// Makes all writes or none.
    pub(super) async fn transact(
        &self,
        writes: &[Write],
        doing: &'static str,
    ) -> Result<Transacted, StoreError> {
        let items: Result<Vec<_>, _> = writes.iter().map(|write| write.in_transaction(&self.table)).collect();
        let request = self.client.transact_write_items().set_transact_items(Some(items?));
        let request = request.return_consumed_capacity(COST);
        let mut pause = CONFLICT_PAUSE;
        for try_again in (0..CONFLICT_TRIES).rev() {
            let error = match self.send_transact(request.clone()).await {
                Ok(_) => return Ok(Transacted::Made),
                Err(error) => error,
            };
            use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as Failure;
            let Some(Failure::TransactionCanceledException(cancelled)) = error.as_service_error() else {
                let conflict = error.code() == Some("TransactionInProgressException");
                if conflict && try_again > 0 {
                    pause = wait(pause).await;
                    continue;
                }
                return Err(unavailable(doing)(error));
            };
            let reasons = cancelled.cancellation_reasons();
            let mut placed = reasons.iter().enumerate();
            if let Some((place, reason)) =
                placed.find(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
            {
                return Ok(Transacted::Refused(place, reason.item.clone().unwrap_or_default()));
            }
            if try_again == 0 {
                return Err(unavailable(doing)(error));
            }
            // Another transaction or a throttle: nothing was written.
            pause = wait(pause).await;
        }
        Err(StoreError::Unavailable { doing, why: "other transactions kept the items".to_owned() })
    }
}

/// An update that makes a new item has nothing to tell of before; engines that speak DynamoDB's protocol have been
/// seen to answer with the bare key.
fn known(item: Item) -> Item {
    let bare = item.keys().all(|name| name == "pk" || name == "sk");
    if bare { Item::new() } else { item }
}

/// Waits between a half and one and a half of the pause, and doubles it.
async fn wait(pause: Duration) -> Duration {
    tokio::time::sleep(crate::random::jitter(pause)).await;
    pause * 2
}
