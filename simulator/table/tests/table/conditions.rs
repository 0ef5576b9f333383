//! Conditions.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue as V;

use super::words::{assert_refused, holds, number, table, text};

fn full() -> simulator_table::Table {
    let list = V::L(vec![number(1), text("x")]);
    table(&[
        ("phase", text("busy")),
        ("job", number(10)),
        ("displaced", number("10.0")),
        ("timeline", list),
        ("own", V::M([("h".to_owned(), text("1"))].into())),
        ("yes", V::Bool(true)),
        ("tags", V::Ss(vec!["a".into(), "b".into()])),
        ("bytes", V::B(Blob::new("abc"))),
    ])
}

#[test]
fn conditions_hold_as_the_guide_says() {
    let table = full();
    let n = |value: i64| number(value);
    for (condition, values, holding) in [
        ("attribute_exists(pk)", vec![], true),
        ("attribute_not_exists(watched)", vec![], true),
        ("attribute_exists(timeline[1])", vec![], true),
        ("attribute_exists(timeline[2])", vec![], false),
        ("attribute_exists(own.h)", vec![], true),
        ("job = displaced", vec![], true),
        ("job = watched", vec![], false),
        ("job <> watched", vec![], true),
        ("job = :v", vec![(":v", n(10))], true),
        ("job = :v", vec![(":v", number("1e1"))], true),
        ("job = :v", vec![(":v", text("10"))], false),
        ("job <> :v", vec![(":v", text("10"))], true),
        // As numbers: as texts it would be the other way round.
        ("job > :v", vec![(":v", n(9))], true),
        ("job < :v", vec![(":v", text("9"))], false),
        (":v < job", vec![(":v", n(9))], true),
        ("job BETWEEN :a AND :b", vec![(":a", n(9)), (":b", n(10))], true),
        ("job between :a and :b", vec![(":a", n(11)), (":b", n(12))], false),
        ("phase IN (:a, :b)", vec![(":a", text("idle")), (":b", text("busy"))], true),
        ("phase IN (:a)", vec![(":a", text("idle"))], false),
        ("begins_with(phase, :v)", vec![(":v", text("bu"))], true),
        ("begins_with(bytes, :v)", vec![(":v", V::B(Blob::new("ab")))], true),
        ("begins_with(job, :v)", vec![(":v", text("1"))], false),
        ("contains(phase, :v)", vec![(":v", text("us"))], true),
        ("contains(tags, :v)", vec![(":v", text("b"))], true),
        ("contains(timeline, :v)", vec![(":v", number("1.0"))], true),
        ("contains(timeline, :v)", vec![(":v", text("1"))], false),
        ("tags = :v", vec![(":v", V::Ss(vec!["b".into(), "a".into()]))], true),
        ("attribute_type(job, :v)", vec![(":v", text("N"))], true),
        ("attribute_type(yes, :v)", vec![(":v", text("BOOL"))], true),
        ("attribute_type(watched, :v)", vec![(":v", text("N"))], false),
        ("size(phase) = :v", vec![(":v", n(4))], true),
        ("size(timeline) < :v", vec![(":v", n(2))], false),
        ("size(job) > :v", vec![(":v", n(0))], false),
        // AND binds closer than OR, NOT closer than either.
        ("attribute_exists(pk) OR attribute_exists(x) AND attribute_exists(y)", vec![], true),
        ("(attribute_exists(pk) OR attribute_exists(x)) AND attribute_exists(y)", vec![], false),
        ("NOT attribute_exists(x) AND attribute_exists(pk)", vec![], true),
        ("NOT (attribute_exists(x) OR attribute_exists(pk))", vec![], false),
    ] {
        assert_eq!(holds(&table, condition, &values), Ok(holding), "{condition} {values:?}");
    }
}

#[test]
fn conditions_that_mean_nothing_are_refused() {
    let table = full();
    let (n, t) = (number(1), text("x"));
    for (condition, values, why) in [
        ("", vec![], "can not be empty"),
        ("  ", vec![], "<EOF>"),
        ("state = job", vec![], "reserved keyword: state"),
        ("job = :v", vec![], "not defined"),
        ("job = #n", vec![], "not defined"),
        ("job = job", vec![], "must be distinct"),
        ("contains(job, job)", vec![], "must be distinct"),
        ("attribute_exists(pk)", vec![(":v", n.clone())], "unused"),
        ("ATTRIBUTE_EXISTS(pk)", vec![], "Invalid function name"),
        ("attribute_exists(:v)", vec![(":v", n.clone())], "Syntax error"),
        ("attribute_exists(pk) extra", vec![], "Syntax error; token: \"extra\""),
        ("((attribute_exists(pk)))", vec![], "redundant parentheses"),
        ("(attribute_exists(pk)", vec![], "<EOF>"),
        ("job", vec![], "<EOF>"),
        ("job = 1", vec![], "Syntax error; token: \"1\""),
        ("job == :v", vec![(":v", n.clone())], "Syntax error"),
        ("timeline[01] = :v", vec![(":v", n.clone())], "Syntax error"),
        ("job = :v;", vec![(":v", n.clone())], "Syntax error; token: \";\""),
        ("job\u{a0}= :v", vec![(":v", n.clone())], "Syntax error"),
        ("job < :v", vec![(":v", V::Bool(true))], "operand type: BOOL"),
        ("job BETWEEN :v AND :w", vec![(":v", n.clone()), (":w", t.clone())], "same data type"),
        ("job BETWEEN :v AND :w", vec![(":v", number(2)), (":w", n.clone())], "greater than or equal"),
        ("begins_with(phase, :v)", vec![(":v", n.clone())], "operand type: N"),
        ("attribute_type(job, :v)", vec![(":v", t)], "Invalid attribute type name"),
        ("attribute_type(job, :v)", vec![(":v", n)], "operand type: N"),
        ("job = :v", vec![(":v", number("ten"))], "numeric value: ten"),
        ("job = :v", vec![(":v", V::Null(false))], "must have the value of true"),
        ("job = :v", vec![(":v", V::Ss(vec![]))], "may not be empty"),
        ("job = :v", vec![(":v", V::Ns(vec!["1".into(), "1.0".into()]))], "duplicates"),
    ] {
        assert_refused(holds(&table, condition, &values), why, condition);
    }
}

#[test]
fn an_expression_has_its_bounds() {
    let table = full();
    let long = format!("phase = :v{}", " OR phase = :v".repeat(300));
    assert_refused(holds(&table, &long, &[(":v", text("x"))]), "maximum allowed size", "long");
    let deep = format!("{}attribute_exists(pk)", "NOT ".repeat(1000));
    assert_refused(holds(&table, &deep, &[]), "too many operators", "deep");
    let deep = format!("{}attribute_exists(pk){}", "(NOT ".repeat(60), ")".repeat(60));
    assert_eq!(holds(&table, &deep, &[]), Ok(true));
}
