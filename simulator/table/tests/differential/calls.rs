//! Random calls, each of which can be made to the table and to the engine.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::batch_get_item::builders::BatchGetItemInputBuilder;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemInput;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemInputBuilder;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemInputBuilder;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsInputBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use simulator_table::{Item, Table};

use super::by_key;
use super::expressions::Words;
use super::outcome::{Outcome, ours, theirs};
use super::random::{Random, text};
use super::wrong::spoil;

#[derive(Debug)]
pub enum Call {
    Get(GetItemInputBuilder),
    Put(PutItemInputBuilder),
    Update(UpdateItemInputBuilder),
    Delete(DeleteItemInputBuilder),
    Transact(TransactWriteItemsInputBuilder),
    Query(QueryInputBuilder),
    Batch(BatchGetItemInputBuilder),
}

/// What a write is made of.
#[derive(Debug)]
pub struct Parts {
    pub table: String,
    pub key: Item,
    pub update: String,
    pub condition: Option<String>,
    pub words: Words,
    on_failure: Option<ReturnValuesOnConditionCheckFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Put,
    Update,
    Delete,
    Check,
}

impl Parts {
    fn random(random: &mut Random, table: &str, kind: Kind, single: bool) -> Self {
        let mut words = Words::default();
        let update = if kind == Kind::Update { words.update(random) } else { String::new() };
        let condition = match random.below(if single { 3 } else { 2 }) {
            0 if kind != Kind::Check => None,
            depth => Some(words.condition(random, depth)),
        };
        let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
        let on_failure = (!random.once_in(4)).then_some(all_old);
        let key = random.key();
        let mut parts = Self { table: table.to_owned(), key, update, condition, words, on_failure };
        if random.once_in(if single { 8 } else { 30 }) {
            spoil(&mut parts, random, single);
        }
        parts
    }

    fn item(&self, random: &mut Random) -> Item {
        let mut item = self.key.clone();
        for name in ["phase", "runner", "job", "since", "displaced", "timeline", "claims", "state", "limit"] {
            if !random.once_in(4) {
                item.insert(name.to_owned(), random.value_of(name));
            }
        }
        item
    }

    fn names(&self) -> Option<std::collections::HashMap<String, String>> {
        (!self.words.names.is_empty()).then(|| self.words.names.clone())
    }

    fn values(&self) -> Option<Item> {
        (!self.words.values.is_empty()).then(|| self.words.values.clone())
    }
}

impl Call {
    pub fn random(random: &mut Random, table: &str) -> Self {
        match random.below(20) {
            0 | 1 => Self::get(random, table),
            2..5 => Self::put(random, table),
            5..11 => Self::update(random, table),
            11 | 12 => Self::delete(random, table),
            13..17 => Self::transact(random, table),
            17 | 18 => Self::query(random, table),
            _ => Self::batch(random, table),
        }
    }

    fn get(random: &mut Random, table: &str) -> Self {
        let mut parts = Parts::random(random, table, Kind::Delete, true);
        if random.once_in(5) {
            spoil(&mut parts, random, true);
        }
        let get = GetItemInput::builder().table_name(parts.table).set_key(Some(parts.key));
        Self::Get(get.consistent_read(random.once_in(2)))
    }

    fn put(random: &mut Random, table: &str) -> Self {
        let parts = Parts::random(random, table, Kind::Put, true);
        let returns = random.pick(&[None, Some("NONE"), Some("ALL_OLD"), Some("ALL_OLD"), Some("ALL_NEW")]);
        let put = PutItemInput::builder().table_name(&parts.table).set_item(Some(parts.item(random)));
        let put = put.set_condition_expression(parts.condition.clone());
        let put = put.set_expression_attribute_names(parts.names());
        let put = put.set_expression_attribute_values(parts.values());
        let put = put.set_return_values(returns.map(ReturnValue::from));
        Self::Put(put.set_return_values_on_condition_check_failure(parts.on_failure))
    }

    fn update(random: &mut Random, table: &str) -> Self {
        let parts = Parts::random(random, table, Kind::Update, true);
        let returns = random.pick(&[None, Some("ALL_OLD"), Some("ALL_OLD"), Some("ALL_NEW")]);
        let update = UpdateItemInput::builder().table_name(&parts.table).set_key(Some(parts.key.clone()));
        let update = update.update_expression(&parts.update);
        let update = update.set_condition_expression(parts.condition.clone());
        let update = update.set_expression_attribute_names(parts.names());
        let update = update.set_expression_attribute_values(parts.values());
        let update = update.set_return_values(returns.map(ReturnValue::from));
        Self::Update(update.set_return_values_on_condition_check_failure(parts.on_failure))
    }

    fn delete(random: &mut Random, table: &str) -> Self {
        let parts = Parts::random(random, table, Kind::Delete, true);
        let returns = random.pick(&[None, Some("ALL_OLD"), Some("ALL_OLD")]);
        let delete = DeleteItemInput::builder().table_name(&parts.table).set_key(Some(parts.key.clone()));
        let delete = delete.set_condition_expression(parts.condition.clone());
        let delete = delete.set_expression_attribute_names(parts.names());
        let delete = delete.set_expression_attribute_values(parts.values());
        let delete = delete.set_return_values(returns.map(ReturnValue::from));
        Self::Delete(delete.set_return_values_on_condition_check_failure(parts.on_failure))
    }

    fn transact(random: &mut Random, table: &str) -> Self {
        let mut transact = TransactWriteItemsInput::builder();
        let mut keys = Vec::new();
        for _ in 0..=random.below(3) {
            let kind = random.pick(&[Kind::Put, Kind::Update, Kind::Update, Kind::Delete, Kind::Check]);
            let parts = Parts::random(random, table, kind, false);
            // The same item twice, but seldom.
            if keys.contains(&parts.key) && !random.once_in(4) {
                continue;
            }
            keys.push(parts.key.clone());
            transact = transact.transact_items(write(random, kind, &parts));
        }
        Self::Transact(transact)
    }

    fn query(random: &mut Random, table: &str) -> Self {
        let mut words = Words::default();
        let key = random.key();
        let pk = words.value(key["pk"].clone());
        let sk = random.pick(&["job", "slot#", "slot#0001", "slot#0002", "wait#~"]);
        let range = match random.below(8) {
            0 => String::new(),
            1 => format!(" AND sk = {}", words.value(text(sk))),
            2 => format!(" AND begins_with(sk, {})", words.value(text(sk))),
            3 => format!(" AND sk {} {}", random.pick(&["<", "<=", ">", ">="]), words.value(text(sk))),
            // What is wrong with these the service sees.
            4 => random.pick(&[" AND job = pk", " OR sk = pk", " AND sk <> :v0", " AND"]).to_owned(),
            _ => format!(" AND sk BETWEEN {} AND {}", words.value(text("pool")), words.value(text(sk))),
        };
        let query = QueryInput::builder().table_name(table).consistent_read(random.once_in(2));
        let query = query.key_condition_expression(format!("pk = {pk}{range}"));
        let query = query.set_expression_attribute_values(Some(words.values));
        let query = query.set_limit(random.pick(&[None, None, Some(1), Some(2), Some(2), Some(3), Some(0)]));
        let query = query.set_scan_index_forward(random.pick(&[None, Some(true), Some(false)]));
        let mut start = random.key();
        if !random.once_in(6) {
            start.insert("pk".to_owned(), key["pk"].clone());
        }
        Self::Query(query.set_exclusive_start_key(random.once_in(2).then_some(start)))
    }

    fn batch(random: &mut Random, table: &str) -> Self {
        let mut keys = KeysAndAttributes::builder().consistent_read(random.once_in(2));
        let mut known = Vec::new();
        for _ in 0..=random.below(6) {
            let mut key = random.key();
            if !known.contains(&key) || random.once_in(20) {
                if random.once_in(40) {
                    key.insert("sk".to_owned(), random.number());
                }
                known.push(key.clone());
                keys = keys.keys(key);
            }
        }
        Self::Batch(BatchGetItemInput::builder().request_items(table, keys.build().unwrap()))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "get",
            Self::Put(_) => "put",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Transact(_) => "transact",
            Self::Query(_) => "query",
            Self::Batch(_) => "batch",
        }
    }

    pub fn ask_table(&self, table: &mut Table) -> Outcome {
        match self.clone_builder() {
            Self::Get(get) => ours(table.get(&get.build().unwrap()), |answer| Outcome::Item(answer.item)),
            Self::Put(put) => {
                ours(table.put(&put.build().unwrap()), |answer| Outcome::Item(answer.attributes))
            }
            Self::Update(update) => {
                let before = table.len();
                let update = update.build().unwrap();
                let tells_old = update.return_values == Some(ReturnValue::AllOld);
                let outcome = ours(table.update(&update), |answer| Outcome::Item(answer.attributes));
                if tells_old && table.len() > before { outcome.of_new() } else { outcome }
            }
            Self::Delete(delete) => {
                ours(table.delete(&delete.build().unwrap()), |answer| Outcome::Item(answer.attributes))
            }
            Self::Transact(transact) => {
                ours(table.transact(&transact.build().unwrap()), |_| Outcome::Item(None))
            }
            Self::Query(query) => ours(table.query(&query.build().unwrap()), page),
            Self::Batch(batch) => ours(table.batch_get(&batch.build().unwrap()), found),
        }
    }

    pub async fn ask_engine(&self, client: &Client) -> Outcome {
        match self.clone_builder() {
            Self::Get(get) => theirs(get.send_with(client).await, |answer| Outcome::Item(answer.item)),
            Self::Put(put) => theirs(put.send_with(client).await, |answer| Outcome::Item(answer.attributes)),
            Self::Update(update) => {
                theirs(update.send_with(client).await, |answer| Outcome::Item(answer.attributes))
            }
            Self::Delete(delete) => {
                theirs(delete.send_with(client).await, |answer| Outcome::Item(answer.attributes))
            }
            Self::Transact(transact) => theirs(transact.send_with(client).await, |_| Outcome::Item(None)),
            Self::Query(query) => theirs(query.send_with(client).await, page),
            Self::Batch(batch) => theirs(batch.send_with(client).await, found),
        }
    }

    fn clone_builder(&self) -> Self {
        match self {
            Self::Get(get) => Self::Get(get.clone()),
            Self::Put(put) => Self::Put(put.clone()),
            Self::Update(update) => Self::Update(update.clone()),
            Self::Delete(delete) => Self::Delete(delete.clone()),
            Self::Transact(transact) => Self::Transact(transact.clone()),
            Self::Query(query) => Self::Query(query.clone()),
            Self::Batch(batch) => Self::Batch(batch.clone()),
        }
    }
}

fn page(answer: QueryOutput) -> Outcome {
    assert_eq!(answer.count, i32::try_from(answer.items().len()).unwrap());
    Outcome::Page(answer.items.unwrap_or_default(), answer.last_evaluated_key)
}

/// The service answers a batch in no order.
fn found(answer: BatchGetItemOutput) -> Outcome {
    let items = answer.responses.unwrap_or_default().into_values().flatten();
    let left = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|keys| keys.keys);
    Outcome::Batch(by_key(items).into_values().collect(), by_key(left).into_values().collect())
}

fn write(random: &mut Random, kind: Kind, parts: &Parts) -> TransactWriteItem {
    let (names, values) = (parts.names(), parts.values());
    let (condition, on_failure) = (parts.condition.clone(), parts.on_failure.clone());
    let write = TransactWriteItem::builder();
    match kind {
        Kind::Put => {
            let put = Put::builder().table_name(&parts.table).set_item(Some(parts.item(random)));
            let put = put.set_condition_expression(condition).set_expression_attribute_names(names);
            let put = put.set_expression_attribute_values(values);
            let put = put.set_return_values_on_condition_check_failure(on_failure);
            write.put(put.build().unwrap())
        }
        Kind::Update => {
            let update = Update::builder().table_name(&parts.table).set_key(Some(parts.key.clone()));
            let update = update.update_expression(&parts.update).set_condition_expression(condition);
            let update = update.set_expression_attribute_names(names);
            let update = update.set_expression_attribute_values(values);
            let update = update.set_return_values_on_condition_check_failure(on_failure);
            write.update(update.build().unwrap())
        }
        Kind::Delete => {
            let delete = Delete::builder().table_name(&parts.table).set_key(Some(parts.key.clone()));
            let delete = delete.set_condition_expression(condition).set_expression_attribute_names(names);
            let delete = delete.set_expression_attribute_values(values);
            let delete = delete.set_return_values_on_condition_check_failure(on_failure);
            write.delete(delete.build().unwrap())
        }
        Kind::Check => {
            let check = ConditionCheck::builder().table_name(&parts.table).set_key(Some(parts.key.clone()));
            let check = check.set_condition_expression(condition).set_expression_attribute_names(names);
            let check = check.set_expression_attribute_values(values);
            let check = check.set_return_values_on_condition_check_failure(on_failure);
            write.condition_check(check.build().unwrap())
        }
    }
    .build()
}
