//! Updates, and what puts and deletions have of their own.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue as V, ReturnValue, ReturnValuesOnConditionCheckFailure};
use simulator_table::Table;

use super::words::{
    FAILED, NAME, REFUSED, assert_refused, code, delete, item, key, number, put, table, text, update, updated,
};

fn lines(of: &[&str]) -> V {
    V::L(of.iter().map(|line| text(line)).collect())
}

#[test]
fn every_value_is_of_the_item_as_it_was() {
    let mut table = table(&[("a", number(1)), ("b", number(2)), ("timeline", lines(&["x"]))]);
    let after = updated(&mut table, "SET a = b, b = a, c = a + b", &[]).unwrap();
    assert_eq!((&after["a"], &after["b"], &after["c"]), (&number(2), &number(1), &number(3)));
    let update = "SET c = if_not_exists(d, if_not_exists(a, :v)), d = :v REMOVE a ADD b :v";
    let after = updated(&mut table, update, &[(":v", number(40))]).unwrap();
    assert_eq!((&after["c"], &after["d"], &after["b"]), (&number(2), &number(40), &number(41)));
    assert_eq!(after.get("a"), None);
}

#[test]
fn lists_grow_at_their_end_and_indexes_mean_what_they_meant() {
    let mut table = table(&[("timeline", lines(&["0", "1", "2"]))]);
    let after = updated(
        &mut table,
        "SET timeline[23] = :b, timeline[9] = :a REMOVE timeline[0], timeline[1]",
        &[(":a", text("a")), (":b", text("b"))],
    );
    assert_eq!(after.unwrap()["timeline"], lines(&["2", "a", "b"]));
    let update = "SET timeline = list_append(if_not_exists(timeline, :none), :more)";
    let after = updated(&mut table, update, &[(":none", lines(&[])), (":more", lines(&["c"]))]);
    assert_eq!(after.unwrap()["timeline"], lines(&["2", "a", "b", "c"]));
    let after = updated(&mut table, "SET timeline[0] = :v", &[(":v", text("first"))]);
    assert_eq!(after.unwrap()["timeline"], lines(&["first", "a", "b", "c"]));
}

#[test]
fn numbers_are_kept_as_the_service_writes_them() {
    let map = V::M([("x".to_owned(), number("1.50"))].into());
    let mut table = table(&[("n", number("007")), ("map", map)]);
    assert_eq!(table.get_item("a", "b").unwrap()["n"], number(7));
    let after = updated(&mut table, "SET #m = :v ADD n :n", &[(":v", number("1e3")), (":n", number("0.50"))]);
    assert_refused(after, "not defined", "#m");
    let after = updated(&mut table, "SET m = :v ADD n :n", &[(":v", number("1e3")), (":n", number("0.50"))]);
    let after = after.unwrap();
    assert_eq!((&after["m"], &after["n"]), (&number(1000), &number("7.5")));
    assert_eq!(after["map"].as_m().unwrap()["x"], number("1.5"));
}

#[test]
fn an_update_that_makes_an_item_tells_nothing_of_before() {
    let mut table = Table::new(NAME);
    let input = update("SET n = :v", &[(":v", number(1))]).return_values(ReturnValue::AllOld);
    let input = input.build().unwrap();
    assert_eq!(table.update(&input).unwrap().attributes, None);
    let mut made = key("a", "b");
    made.insert("n".to_owned(), number(1));
    assert_eq!(table.get_item("a", "b"), Some(&made));
    assert_eq!(table.update(&input).unwrap().attributes, Some(made));
}

#[test]
fn an_update_of_nothing_makes_the_item() {
    let mut table = Table::new(NAME);
    let mut input = update("x", &[]).build().unwrap();
    input.update_expression = None;
    table.update(&input).unwrap();
    assert_eq!(table.items().collect::<Vec<_>>(), [&key("a", "b")]);
    assert_eq!((table.len(), table.is_empty()), (1, false));
}

#[test]
fn updates_that_mean_nothing_are_refused_and_change_nothing() {
    let mut table = table(&[("n", number(1)), ("s", text("x")), ("timeline", lines(&["0"]))]);
    let before: Vec<_> = table.items().cloned().collect();
    let (n, s, l) = (number(1), text("x"), lines(&[]));
    let huge = text(&"x".repeat(400 * 1024));
    for (expression, values, why) in [
        ("", vec![], "can not be empty"),
        (" ", vec![], "<EOF>"),
        ("SET", vec![], "<EOF>"),
        ("SET n", vec![], "<EOF>"),
        ("SET n = :v,", vec![(":v", n.clone())], "<EOF>"),
        ("n = :v", vec![(":v", n.clone())], "Syntax error; token: \"n\""),
        ("SET n = :v SET s = :v", vec![(":v", n.clone())], "\"SET\" section can only be used once"),
        ("SET n = :v REMOVE n", vec![(":v", n.clone())], "overlap"),
        ("SET n = :v, n = :v", vec![(":v", n.clone())], "overlap"),
        ("SET timeline[0] = :v REMOVE timeline", vec![(":v", n.clone())], "overlap"),
        ("REMOVE timeline[0], timeline[0]", vec![], "overlap"),
        ("SET pk = :v", vec![(":v", s.clone())], "part of the key"),
        ("REMOVE sk", vec![], "part of the key"),
        ("SET limit = :v", vec![(":v", n.clone())], "reserved keyword: limit"),
        ("SET n = s + :v", vec![(":v", n.clone())], "incorrect data type"),
        ("SET n = n + :v", vec![(":v", s.clone())], "operator or function: +, operand type: S"),
        ("SET n = n + n + :v", vec![(":v", n.clone())], "Syntax error; token: \"+\""),
        ("SET n = absent", vec![], "does not exist in the item"),
        ("SET n = absent + :v", vec![(":v", n.clone())], "does not exist in the item"),
        ("SET s = list_append(s, :v)", vec![(":v", l.clone())], "incorrect data type"),
        ("SET s = list_append(timeline, :v)", vec![(":v", n.clone())], "list_append, operand type: N"),
        ("SET s = list_append(timeline)", vec![], "Syntax error; token: \")\""),
        ("SET s = if_not_exists(:v, s)", vec![(":v", n.clone())], "Syntax error; token: \":v\""),
        ("SET s = size(timeline)", vec![], "Invalid function name; function: size"),
        ("SET s.x = :v", vec![(":v", n.clone())], "document path"),
        ("SET absent[0] = :v", vec![(":v", n.clone())], "document path"),
        ("REMOVE absent[0]", vec![], "document path"),
        ("ADD s :v", vec![(":v", n.clone())], "incorrect data type"),
        ("ADD n :v", vec![(":v", s.clone())], "operator: ADD, operand type: S"),
        ("ADD n s", vec![], "Syntax error; token: \"s\""),
        ("SET s = :v", vec![(":v", n.clone()), (":unused", n.clone())], "unused"),
        ("SET s = :v", vec![(":v", number("9".repeat(39)))], "numeric value"),
        ("ADD n :v", vec![(":v", number("1e100"))], "38 significant digits"),
        ("SET s = :v", vec![(":v", huge)], "maximum allowed size"),
        ("DELETE tags :v", vec![(":v", V::Ss(vec!["a".into()]))], "does not support"),
    ] {
        assert_refused(updated(&mut table, expression, &values), why, expression);
    }
    assert_eq!(table.items().cloned().collect::<Vec<_>>(), before);
}

#[test]
fn maps_of_names_and_values_are_not_empty_and_not_for_nothing() {
    let mut table = table(&[]);
    let mut empty_values = update("REMOVE n", &[]).build().unwrap();
    empty_values.expression_attribute_values = Some(item(&[]));
    let mut empty_names = update("REMOVE n", &[]).build().unwrap();
    empty_names.expression_attribute_names = Some([].into());
    let unused = update("REMOVE n", &[]).expression_attribute_names("#n", "n").build().unwrap();
    let mut without_expression = update("x", &[(":v", number(1))]).build().unwrap();
    without_expression.update_expression = None;
    for input in [empty_values, empty_names, unused, without_expression] {
        assert_eq!(code(&table.update(&input).unwrap_err()), REFUSED, "{input:?}");
    }
    let named = update("REMOVE #n, #m", &[]).expression_attribute_names("#n", "n");
    let same = named.expression_attribute_names("#m", "n").build().unwrap();
    assert_eq!(code(&table.update(&same).unwrap_err()), REFUSED, "two aliases of one attribute overlap");
}

#[test]
fn keys_are_two_texts_that_are_not_empty() {
    let mut table = Table::new(NAME);
    let mut more = key("a", "b");
    more.insert("n".to_owned(), number(1));
    let wrong = [
        item(&[("pk", text("a"))]),
        more,
        item(&[("pk", text("a")), ("sk", number(1))]),
        key("", "b"),
        key("a", ""),
        key(&"x".repeat(2049), "b"),
        key("a", &"x".repeat(1025)),
    ];
    for key in wrong {
        let input = update("REMOVE n", &[]).set_key(Some(key.clone())).build().unwrap();
        assert_eq!(code(&table.update(&input).unwrap_err()), REFUSED, "{key:?}");
        let input = delete("a", "b").set_key(Some(key)).build().unwrap();
        assert_eq!(code(&table.delete(&input).unwrap_err()), REFUSED);
    }
    for wrong in [item(&[("pk", text("a"))]), item(&[("pk", text("a")), ("sk", number(1))]), key("a", "")] {
        assert_eq!(code(&table.put(&put(wrong).build().unwrap()).unwrap_err()), REFUSED);
    }
    assert!(table.is_empty());
}

#[test]
fn a_failed_condition_tells_the_item_if_asked() {
    let mut table = table(&[("n", number(1))]);
    let refusing = || delete("a", "b").condition_expression("attribute_exists(x)");
    let Err(DeleteItemError::ConditionalCheckFailedException(plain)) =
        table.delete(&refusing().build().unwrap())
    else {
        panic!("it was not refused")
    };
    assert_eq!((plain.item, plain.message.is_some()), (None, true));
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    let telling = refusing().return_values_on_condition_check_failure(all_old.clone()).build().unwrap();
    let error = table.delete(&telling).unwrap_err();
    assert_eq!(code(&error), FAILED);
    let DeleteItemError::ConditionalCheckFailedException(telling) = error else { panic!("{error:?}") };
    assert_eq!(telling.item.as_ref(), table.get_item("a", "b"));
    let absent = update("REMOVE n", &[]).set_key(Some(key("no", "item")));
    let absent = absent.condition_expression("attribute_exists(pk)");
    let absent = absent.return_values_on_condition_check_failure(all_old).build().unwrap();
    let Err(UpdateItemError::ConditionalCheckFailedException(absent)) = table.update(&absent) else {
        panic!("it was not refused")
    };
    assert_eq!(absent.item, None);
}

#[test]
fn a_put_replaces_the_whole_item_and_a_deletion_takes_it() {
    let mut table = table(&[("n", number(1))]);
    let input = put(key("a", "b")).return_values(ReturnValue::AllOld).build().unwrap();
    assert_eq!(table.put(&input).unwrap().attributes.unwrap()["n"], number(1));
    assert_eq!(table.get_item("a", "b"), Some(&key("a", "b")));
    let input = delete("a", "b").build().unwrap();
    assert_eq!(table.delete(&input).unwrap().attributes, Some(key("a", "b")));
    assert_eq!(table.delete(&input).unwrap().attributes, None);
    assert!(table.is_empty());
}

#[test]
fn a_table_of_another_name_is_not_found() {
    let mut table = Table::new("another");
    let error = table.update(&update("REMOVE n", &[]).build().unwrap()).unwrap_err();
    assert!(matches!(error, UpdateItemError::ResourceNotFoundException(_)));
    assert_eq!(code(&error), "ResourceNotFoundException");
    // What is wrong with the request itself comes first.
    let error = table.update(&update("REMOVE", &[]).build().unwrap()).unwrap_err();
    assert_eq!(code(&error), REFUSED);
}
