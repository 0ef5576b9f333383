//! Transactions: all writes or none.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::types::TransactWriteItem;

use crate::error::{Refusal, cancelled, invalid, reason};
use crate::value::item_size;
use crate::write::{Action, Write};
use crate::{Table, key};

/// The developer guide's "Quotas": so many writes in a transaction, and so many bytes.
const MOST: usize = 100;
const LARGEST: usize = 4 * 1024 * 1024;

impl Table {
    /// `TransactWriteItems`. What is wrong with a request as such refuses it; what is wrong with one of its writes where
    /// the table is as it is cancels it, with a reason for each.
    ///
    /// # Errors
    /// As the service: `TransactionCanceledException`, `ResourceNotFoundException`, `ValidationException`.
    pub fn transact(
        &mut self,
        input: &TransactWriteItemsInput,
    ) -> Result<TransactWriteItemsOutput, TransactWriteItemsError> {
        let items = input.transact_items.as_deref().unwrap_or_default();
        if items.is_empty() || items.len() > MOST {
            let why =
                "Value at 'transactItems' failed to satisfy constraint: Member must have length from 1 to";
            return Err(invalid(format!("{why} {MOST}")).into());
        }
        let writes = items.iter().map(write).collect::<Result<Vec<_>, _>>()?;
        let writes = writes.into_iter().map(Write::sound).collect::<Result<Vec<_>, _>>()?;
        self.check_together(writes.iter().map(|write| &write.write))?;
        let mut changes = Vec::with_capacity(writes.len());
        let mut refusals = Vec::with_capacity(writes.len());
        for write in &writes {
            match write.change(self) {
                Ok(change) => {
                    changes.push(change);
                    refusals.push(None);
                }
                Err(refusal) => refusals.push(Some(refusal)),
            }
        }
        if changes.len() < writes.len() {
            return Err(cancelled(refusals.into_iter().map(reason).collect()));
        }
        for change in changes {
            self.make(change);
        }
        Ok(TransactWriteItemsOutput::builder().build())
    }

    /// What the service refuses of the writes as a whole.
    fn check_together<'w, 'a: 'w>(&self, writes: impl Iterator<Item = &'w Write<'a>>) -> Result<(), Refusal> {
        let (mut keys, mut size) = (BTreeSet::new(), 0);
        for write in writes {
            self.is_named(write.table)?;
            key::not_empty(write.attributes())?;
            // A key that does not match the schema is told as the reason of a cancellation.
            if let Ok(key) = write.key()
                && !keys.insert(key)
            {
                let why = "Transaction request cannot include multiple operations on one item";
                return Err(invalid(why));
            }
            size += item_size(write.attributes()) + write.values.map_or(0, item_size);
        }
        if size > LARGEST {
            return Err(invalid("Collection size of items exceeded"));
        }
        Ok(())
    }
}

fn write(item: &TransactWriteItem) -> Result<Write<'_>, Refusal> {
    let mut writes = Vec::with_capacity(1);
    if let Some(check) = &item.condition_check {
        writes.push(Write {
            table: Some(&check.table_name),
            action: Action::Check(&check.key),
            condition: Some(&check.condition_expression),
            names: check.expression_attribute_names.as_ref(),
            values: check.expression_attribute_values.as_ref(),
            on_failure: check.return_values_on_condition_check_failure.as_ref(),
        });
    }
    if let Some(put) = &item.put {
        writes.push(Write {
            table: Some(&put.table_name),
            action: Action::Put(&put.item),
            condition: put.condition_expression.as_deref(),
            names: put.expression_attribute_names.as_ref(),
            values: put.expression_attribute_values.as_ref(),
            on_failure: put.return_values_on_condition_check_failure.as_ref(),
        });
    }
    if let Some(delete) = &item.delete {
        writes.push(Write {
            table: Some(&delete.table_name),
            action: Action::Delete(&delete.key),
            condition: delete.condition_expression.as_deref(),
            names: delete.expression_attribute_names.as_ref(),
            values: delete.expression_attribute_values.as_ref(),
            on_failure: delete.return_values_on_condition_check_failure.as_ref(),
        });
    }
    if let Some(update) = &item.update {
        writes.push(Write {
            table: Some(&update.table_name),
            action: Action::Update(&update.key, Some(&update.update_expression)),
            condition: update.condition_expression.as_deref(),
            names: update.expression_attribute_names.as_ref(),
            values: update.expression_attribute_values.as_ref(),
            on_failure: update.return_values_on_condition_check_failure.as_ref(),
        });
    }
    match (writes.pop(), writes.is_empty()) {
        (Some(write), true) => Ok(write),
        _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
    }
}
