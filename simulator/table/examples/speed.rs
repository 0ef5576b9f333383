//! How long calls take: `cargo run --profile histories -p simulator-table --example speed`.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/table/words.rs"]
mod words;

use std::hint::black_box;
use std::time::Instant;

use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use simulator_table::{Item, Table};

use words::{NAME, item, key, number, put, query, text};

const ROUNDS: u32 = 100_000;

fn slot(index: usize) -> Item {
    let mut slot = key("pool#linux-gpu", &format!("slot#{index:04}"));
    slot.extend(item(&[
        ("runner", text("mayfly-prod-linux-gpu-0007-k2j4h5")),
        ("phase", text("idle")),
        ("since", number(1_772_366_400_123_i64)),
        ("reserved_at", number(1_772_366_390_000_i64)),
        ("provider", text("gcp")),
        ("vm_at", text("us-east1-c")),
        ("runner_id", number(123_456)),
        ("job", number(12_345_678_901_i64)),
    ]));
    slot
}

fn event() -> UpdateItemInput {
    let update = UpdateItemInput::builder().table_name(NAME);
    let update = update.set_key(Some(key("pool#linux-gpu", "slot#0007")));
    let update = update.update_expression("SET phase = :idle, since = :now");
    let update = update.condition_expression("runner = :runner AND phase IN (:booting, :idle)");
    let values = item(&[
        (":idle", text("idle")),
        (":booting", text("booting")),
        (":now", number(1_772_366_500_000_i64)),
        (":runner", text("mayfly-prod-linux-gpu-0007-k2j4h5")),
    ]);
    let update = update.set_expression_attribute_values(Some(values)).return_values(ReturnValue::AllOld);
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    update.return_values_on_condition_check_failure(all_old).build().unwrap()
}

fn claim() -> TransactWriteItemsInput {
    let event = event();
    let write = |sk: &str| {
        let update = Update::builder().table_name(NAME).set_key(Some(key("pool#linux-gpu", sk)));
        let update = update.set_update_expression(event.update_expression.clone());
        let update = update.set_condition_expression(event.condition_expression.clone());
        let update = update.set_expression_attribute_values(event.expression_attribute_values.clone());
        TransactWriteItem::builder().update(update.build().unwrap()).build()
    };
    let input = TransactWriteItemsInput::builder().transact_items(write("slot#0003"));
    input.transact_items(write("slot#0007")).build().unwrap()
}

fn time(what: &str, mut call: impl FnMut()) {
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        call();
    }
    let each = begin.elapsed() / ROUNDS;
    println!("{what}: {:.2} µs", each.as_secs_f64() * 1e6);
}

fn main() {
    let mut table = Table::new(NAME);
    for index in 0..50 {
        table.put(&put(slot(index)).build().unwrap()).unwrap();
    }
    let get = GetItemInput::builder().table_name(NAME).set_key(Some(key("pool#linux-gpu", "slot#0007")));
    let get = get.build().unwrap();
    time("get", || _ = black_box(table.get(&get)).unwrap());
    let put = put(slot(7)).build().unwrap();
    time("put", || _ = black_box(table.put(&put)).unwrap());
    let event = event();
    time("conditional update", || _ = black_box(table.update(&event)).unwrap());
    let mut refused = event.clone();
    refused.condition_expression = Some("runner = :booting AND phase IN (:runner)".to_owned());
    time("refused update", || _ = black_box(table.update(&refused)).unwrap_err());
    let claim = claim();
    time("transaction of two updates", || _ = black_box(table.transact(&claim)).unwrap());
    let values = [(":pk", text("pool#linux-gpu")), (":from", text("slot#0010")), (":to", text("slot#~"))];
    let query = query("pk = :pk AND sk BETWEEN :from AND :to", &values).limit(5).build().unwrap();
    time("query of five items", || _ = black_box(table.query(&query)).unwrap());
    time("clone of a table of 50 items", || _ = black_box(table.clone()));
}
