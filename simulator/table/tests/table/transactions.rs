//! Transactions.

use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use simulator_table::{Item, Table};

use super::words::{NAME, REFUSED, code, item, key, number, table, text};

fn update(
    sk: &str,
    expression: &str,
    condition: &str,
    values: &[(&str, AttributeValue)],
) -> TransactWriteItem {
    let update = Update::builder().table_name(NAME).set_key(Some(key("a", sk))).update_expression(expression);
    let update = update.condition_expression(condition);
    let update = update.set_expression_attribute_values((!values.is_empty()).then(|| item(values)));
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    let update = update.return_values_on_condition_check_failure(all_old).build().unwrap();
    TransactWriteItem::builder().update(update).build()
}

fn delete(sk: &str, condition: &str) -> TransactWriteItem {
    let delete = Delete::builder().table_name(NAME).set_key(Some(key("a", sk)));
    TransactWriteItem::builder().delete(delete.condition_expression(condition).build().unwrap()).build()
}

fn put(item: Item) -> TransactWriteItem {
    TransactWriteItem::builder()
        .put(Put::builder().table_name(NAME).set_item(Some(item)).build().unwrap())
        .build()
}

fn check(sk: &str, condition: &str) -> TransactWriteItem {
    let check = ConditionCheck::builder().table_name(NAME).set_key(Some(key("a", sk)));
    let check = check.condition_expression(condition).build().unwrap();
    TransactWriteItem::builder().condition_check(check).build()
}

fn transact(table: &mut Table, writes: Vec<TransactWriteItem>) -> Result<(), Box<TransactWriteItemsError>> {
    let input = TransactWriteItemsInput::builder().set_transact_items(Some(writes)).build().unwrap();
    table.transact(&input).map(|_| ()).map_err(Box::new)
}

fn reasons(error: &TransactWriteItemsError) -> Vec<(Option<&str>, bool)> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error:?}") };
    let reason = |reason: &CancellationReason| reason.item.is_some();
    cancelled.cancellation_reasons().iter().map(|one| (one.code(), reason(one))).collect()
}

#[test]
fn all_writes_are_made_together() {
    let mut table = table(&[("n", number(1))]);
    let writes = vec![
        update("b", "SET n = n + :v", "attribute_exists(pk)", &[(":v", number(1))]),
        update("new", "SET n = :v", "attribute_not_exists(pk)", &[(":v", number(5))]),
        put(key("a", "put")),
        delete("none", "attribute_not_exists(pk)"),
        check("absent", "attribute_not_exists(pk)"),
    ];
    transact(&mut table, writes).unwrap();
    assert_eq!(table.get_item("a", "b").unwrap()["n"], number(2));
    assert_eq!(table.get_item("a", "new").unwrap()["n"], number(5));
    assert_eq!(table.len(), 3);
    transact(&mut table, vec![delete("put", "attribute_exists(pk)")]).unwrap();
    assert_eq!(table.len(), 2);
}

#[test]
fn one_refusal_leaves_all_as_it_was_and_each_write_has_its_reason() {
    let mut table = table(&[("n", text("x"))]);
    let before: Vec<Item> = table.items().cloned().collect();
    let writes = vec![
        put(key("a", "put")),
        update("b", "REMOVE n", "attribute_not_exists(pk)", &[]),
        update("none", "SET n = :v", "attribute_exists(pk)", &[(":v", number(1))]),
        check("none2", "attribute_exists(pk)"),
    ];
    let error = transact(&mut table, writes).unwrap_err();
    let failed = Some("ConditionalCheckFailed");
    assert_eq!(reasons(&error), [(Some("None"), false), (failed, true), (failed, false), (failed, false)]);
    assert_eq!(code(&*error), "TransactionCanceledException");
    // What is wrong with a write only since the item is as it is.
    let writes = vec![
        update("b", "SET m = n + :v", "attribute_exists(pk)", &[(":v", number(1))]),
        update("c", "SET pk = :v", "attribute_not_exists(pk)", &[(":v", text("z"))]),
        put(item(&[("pk", text("a"))])),
    ];
    let error = transact(&mut table, writes).unwrap_err();
    let wrong = (Some("ValidationError"), false);
    assert_eq!(reasons(&error), [wrong, wrong, wrong]);
    assert_eq!(table.items().cloned().collect::<Vec<_>>(), before);
}

#[test]
fn a_transaction_that_means_nothing_is_refused_as_a_whole() {
    let mut table = table(&[]);
    let fine = || put(key("a", "put"));
    let both = {
        let (put, delete) = (fine().put, delete("x", "attribute_exists(pk)").delete);
        TransactWriteItem::builder().set_put(put).set_delete(delete).build()
    };
    let n = number(1);
    for writes in [
        vec![],
        (0..101).map(|index| put(key("a", &index.to_string()))).collect(),
        vec![fine(), fine()],
        vec![fine(), check("put", "attribute_exists(pk)")],
        vec![fine(), both],
        vec![TransactWriteItem::builder().build()],
        vec![fine(), put(key("", "x"))],
        vec![fine(), update("x", "SET n = :v", "attribute_exists(pk)", &[])],
        vec![
            fine(),
            update("x", "SET n = :v", "attribute_exists(pk)", &[(":v", n.clone()), (":w", n.clone())]),
        ],
        vec![fine(), update("x", "SET n = n + :v", "attribute_exists(pk)", &[(":v", text("x"))])],
        vec![fine(), update("x", "SET n = :v, n = :v", "attribute_exists(pk)", &[(":v", n.clone())])],
        vec![fine(), delete("x", "")],
        vec![fine(), check("x", "status = pk")],
    ] {
        assert_eq!(code(&*transact(&mut table, writes.clone()).unwrap_err()), REFUSED, "{writes:?}");
    }
    assert_eq!(table.len(), 1);
    let most = (0..100).map(|index| put(key("a", &index.to_string()))).collect();
    transact(&mut table, most).unwrap();
    let mut another = Table::new("another");
    assert_eq!(code(&*transact(&mut another, vec![fine()]).unwrap_err()), "ResourceNotFoundException");
}
