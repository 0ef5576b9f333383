//! A table, and short words for requests to it.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemInputBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use simulator_table::{Item, Table};

pub const NAME: &str = "mayfly-test";
pub const REFUSED: &str = "ValidationException";
pub const FAILED: &str = "ConditionalCheckFailedException";

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub fn key(pk: &str, sk: &str) -> Item {
    item(&[("pk", text(pk)), ("sk", text(sk))])
}

/// A table with one item, `a` / `b`, of these attributes.
pub fn table(attributes: &[(&str, AttributeValue)]) -> Table {
    let mut table = Table::new(NAME);
    let mut item = item(attributes);
    item.extend(key("a", "b"));
    table.put(&put(item).build().unwrap()).unwrap();
    table
}

pub fn put(item: Item) -> PutItemInputBuilder {
    PutItemInputBuilder::default().table_name(NAME).set_item(Some(item))
}

/// An update of `a` / `b`.
pub fn update(expression: &str, values: &[(&str, AttributeValue)]) -> UpdateItemInputBuilder {
    let values = (!values.is_empty()).then(|| item(values));
    let update = UpdateItemInputBuilder::default().table_name(NAME).set_key(Some(key("a", "b")));
    update.update_expression(expression).set_expression_attribute_values(values)
}

pub fn delete(pk: &str, sk: &str) -> DeleteItemInputBuilder {
    let delete = DeleteItemInputBuilder::default().table_name(NAME).set_key(Some(key(pk, sk)));
    delete.return_values(ReturnValue::AllOld)
}

pub fn query(condition: &str, values: &[(&str, AttributeValue)]) -> QueryInputBuilder {
    let query = QueryInputBuilder::default().table_name(NAME).key_condition_expression(condition);
    query.set_expression_attribute_values(Some(item(values)))
}

/// The item `a` / `b` after an update, or with what it was refused.
pub fn updated(
    table: &mut Table,
    expression: &str,
    values: &[(&str, AttributeValue)],
) -> Result<Item, String> {
    let update = update(expression, values).return_values(ReturnValue::AllNew).build().unwrap();
    table.update(&update).map(|answer| answer.attributes.unwrap()).map_err(|error| told(&error))
}

/// Whether a condition holds for the item `a` / `b`, or with what it was refused.
pub fn holds(table: &Table, condition: &str, values: &[(&str, AttributeValue)]) -> Result<bool, String> {
    let values = (!values.is_empty()).then(|| item(values));
    let update = UpdateItemInputBuilder::default().table_name(NAME).set_key(Some(key("a", "b")));
    let update = update.condition_expression(condition).set_expression_attribute_values(values);
    match table.clone().update(&update.build().unwrap()) {
        Ok(_) => Ok(true),
        Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
        Err(error) => Err(told(&error)),
    }
}

/// Its code and what it says.
fn told(error: &impl ProvideErrorMetadata) -> String {
    format!("{}: {}", code(error), error.message().unwrap_or("nothing"))
}

/// That something was refused as no valid request, for this reason.
pub fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, String>, why: &str, of: &str) {
    let told = outcome.unwrap_err();
    assert!(told.starts_with(REFUSED) && told.contains(why), "{of}: {told}");
}

pub fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or("no code").to_owned()
}
