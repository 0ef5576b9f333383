//! Writes of one item.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::error::{Refusal, WriteRefusal, invalid, unsupported};
use crate::expression::{Meaning, Statement, statement};
use crate::value::{Item, LARGEST_ITEM, check_all, item_size, kept_item};
use crate::{Table, key};

/// What a write does, if its condition holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action<'a> {
    Put(&'a Item),
    /// By its key; without an expression it makes sure that the item is there.
    Update(&'a Item, Option<&'a str>),
    Delete(&'a Item),
    /// A transaction's condition on an item that it does not write.
    Check(&'a Item),
}

/// A write, alone or in a transaction, as its input has it.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) table: Option<&'a str>,
    pub(crate) action: Action<'a>,
    pub(crate) condition: Option<&'a str>,
    pub(crate) names: Option<&'a HashMap<String, String>>,
    pub(crate) values: Option<&'a Item>,
    pub(crate) on_failure: Option<&'a ReturnValuesOnConditionCheckFailure>,
}

/// A write that can be made or not, but makes sense.
#[derive(Debug)]
pub(crate) struct Sound<'a> {
    pub(crate) write: Write<'a>,
    statement: Rc<Statement>,
    meaning: Meaning<'a>,
}

/// What a write comes to.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pk: &'a str,
    sk: &'a str,
    to: To,
}

#[derive(Debug)]
enum To {
    Same,
    Item(Item),
    Nothing,
}

impl<'a> Write<'a> {
    /// Checks all that can be checked without the table.
    pub(crate) fn sound(self) -> Result<Sound<'a>, Refusal> {
        let (Action::Put(attributes)
        | Action::Update(attributes, _)
        | Action::Delete(attributes)
        | Action::Check(attributes)) = self.action;
        check_all(attributes)?;
        let update = match self.action {
            Action::Put(item) if item_size(item) > LARGEST_ITEM => {
                return Err(invalid("Item size has exceeded the maximum allowed size"));
            }
            Action::Update(_, update) => update,
            Action::Put(_) | Action::Delete(_) | Action::Check(_) => None,
        };
        if let Some(values) = self.values {
            check_all(values)?;
        }
        let statement = statement(update, "ConditionExpression", self.condition)?;
        let meaning = statement.meaning(self.names, self.values)?;
        if let Some(update) = &statement.update {
            update.check(&meaning)?;
        }
        if let Some(condition) = &statement.condition {
            condition.check(&meaning)?;
        }
        Ok(Sound { write: self, statement, meaning })
    }

    /// Where its key is to be found.
    pub(crate) fn attributes(&self) -> &'a Item {
        let (Action::Put(attributes)
        | Action::Update(attributes, _)
        | Action::Delete(attributes)
        | Action::Check(attributes)) = self.action;
        attributes
    }

    pub(crate) fn key(&self) -> Result<(&'a str, &'a str), Refusal> {
        match self.action {
            Action::Put(item) => key::of_item(item),
            Action::Update(key, _) | Action::Delete(key) | Action::Check(key) => key::of_key(key),
        }
    }
}

impl<'a> Sound<'a> {
    /// What the write comes to in this table, if its condition holds there.
    pub(crate) fn change(&self, table: &Table) -> Result<Change<'a>, WriteRefusal> {
        let (pk, sk) = self.write.key()?;
        let known = table.find(pk, sk);
        if let Some(condition) = &self.statement.condition {
            let holds = match known {
                Some(item) => condition.holds(item, &self.meaning),
                None => condition.holds(&Item::new(), &self.meaning),
            };
            if !holds {
                let wanted = self.write.on_failure == Some(&ReturnValuesOnConditionCheckFailure::AllOld);
                let item = known.filter(|_| wanted).map(|item| Item::clone(item));
                return Err(WriteRefusal::Condition(item));
            }
        }
        let to = match self.write.action {
            Action::Put(item) => To::Item(kept_item(item)),
            Action::Update(key, _) => To::Item(self.updated(known.map_or(key, AsRef::as_ref))?),
            Action::Delete(_) => To::Nothing,
            Action::Check(_) => To::Same,
        };
        Ok(Change { pk, sk, to })
    }

    fn updated(&self, before: &Item) -> Result<Item, Refusal> {
        let Some(update) = &self.statement.update else { return Ok(before.clone()) };
        let after = update.apply(before, &self.meaning)?;
        if item_size(&after) > LARGEST_ITEM {
            return Err(invalid("Item size to update has exceeded the maximum allowed size"));
        }
        Ok(after)
    }
}

impl Table {
    /// Makes a change; the item as it was.
    pub(crate) fn make(&mut self, change: Change<'_>) -> Option<Arc<Item>> {
        let Change { pk, sk, to } = change;
        match to {
            To::Same => None,
            To::Item(item) => self.insert(pk, sk, item),
            To::Nothing => self.remove(pk, sk),
        }
    }

    fn write(&mut self, write: Write<'_>) -> Result<Option<Arc<Item>>, WriteRefusal> {
        let write = write.sound()?;
        self.is_named(write.write.table)?;
        key::not_empty(write.write.attributes())?;
        let change = write.change(self)?;
        Ok(self.make(change))
    }

    /// `PutItem`.
    ///
    /// # Errors
    /// As the service: `ConditionalCheckFailedException`, `ResourceNotFoundException`, `ValidationException`.
    pub fn put(&mut self, input: &PutItemInput) -> Result<PutItemOutput, PutItemError> {
        if input.expected.is_some() || input.conditional_operator.is_some() {
            return Err(unsupported("Expected").into());
        }
        let returns_old = returns_old(input.return_values.as_ref())?;
        let item = input.item.as_ref().ok_or_else(|| invalid("Value null at 'item'"))?;
        let before = self.write(Write {
            table: input.table_name.as_deref(),
            action: Action::Put(item),
            condition: input.condition_expression.as_deref(),
            names: input.expression_attribute_names.as_ref(),
            values: input.expression_attribute_values.as_ref(),
            on_failure: input.return_values_on_condition_check_failure.as_ref(),
        })?;
        Ok(PutItemOutput::builder().set_attributes(owned(before, returns_old)).build())
    }

    /// `UpdateItem`; of the return values, `NONE`, `ALL_OLD` and `ALL_NEW`. `ALL_OLD` of a new item is nothing at all.
    ///
    /// # Errors
    /// As the service: `ConditionalCheckFailedException`, `ResourceNotFoundException`, `ValidationException`.
    pub fn update(&mut self, input: &UpdateItemInput) -> Result<UpdateItemOutput, UpdateItemError> {
        let replaced = input.expected.is_some() || input.conditional_operator.is_some();
        if replaced || input.attribute_updates.is_some() {
            return Err(unsupported("Expected and AttributeUpdates").into());
        }
        let returns_new = input.return_values == Some(ReturnValue::AllNew);
        let returns_old = !returns_new && returns_old(input.return_values.as_ref())?;
        let key = input.key.as_ref().ok_or_else(|| invalid("Value null at 'key'"))?;
        let before = self.write(Write {
            table: input.table_name.as_deref(),
            action: Action::Update(key, input.update_expression.as_deref()),
            condition: input.condition_expression.as_deref(),
            names: input.expression_attribute_names.as_ref(),
            values: input.expression_attribute_values.as_ref(),
            on_failure: input.return_values_on_condition_check_failure.as_ref(),
        })?;
        let attributes = if returns_new {
            let (pk, sk) = key::of_key(key)?;
            self.get_item(pk, sk).cloned()
        } else {
            owned(before, returns_old)
        };
        Ok(UpdateItemOutput::builder().set_attributes(attributes).build())
    }

    /// `DeleteItem`. That there is no such item is no error.
    ///
    /// # Errors
    /// As the service: `ConditionalCheckFailedException`, `ResourceNotFoundException`, `ValidationException`.
    pub fn delete(&mut self, input: &DeleteItemInput) -> Result<DeleteItemOutput, DeleteItemError> {
        if input.expected.is_some() || input.conditional_operator.is_some() {
            return Err(unsupported("Expected").into());
        }
        let returns_old = returns_old(input.return_values.as_ref())?;
        let key = input.key.as_ref().ok_or_else(|| invalid("Value null at 'key'"))?;
        let before = self.write(Write {
            table: input.table_name.as_deref(),
            action: Action::Delete(key),
            condition: input.condition_expression.as_deref(),
            names: input.expression_attribute_names.as_ref(),
            values: input.expression_attribute_values.as_ref(),
            on_failure: input.return_values_on_condition_check_failure.as_ref(),
        })?;
        Ok(DeleteItemOutput::builder().set_attributes(owned(before, returns_old)).build())
    }
}

/// Whether the item as it was is asked for; nothing else is known here.
fn returns_old(wanted: Option<&ReturnValue>) -> Result<bool, Refusal> {
    match wanted {
        None | Some(ReturnValue::None) => Ok(false),
        Some(ReturnValue::AllOld) => Ok(true),
        Some(_) => Err(invalid("Return values set to invalid value")),
    }
}

fn owned(item: Option<Arc<Item>>, wanted: bool) -> Option<Item> {
    item.filter(|_| wanted).map(Arc::unwrap_or_clone)
}
