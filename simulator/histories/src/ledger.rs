//! The way to the table: latency, and what goes wrong with DynamoDB's calls.

#![expect(clippy::result_large_err, reason = "they are the SDK's errors, which the ledger gets from it")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, KeysAndAttributes};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use mayfly_service::simulation::{Table, TableAnswer};

use crate::check::{self, Source};
use crate::plan::{Service, Table as Fault, Trouble};
use crate::stage::{Inner, Stage, current};

/// The SDK's `operation_timeout`, as Mayfly sets it.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// The way to the table.
#[derive(Debug)]
pub struct Ledger(pub Arc<Stage>);

/// What goes wrong with one call.
enum Fate {
    Well,
    /// It is answered with this code.
    Refused(&'static str),
    TimedOut {
        done: bool,
    },
    Repeated,
}

fn failure<E>(code: &'static str, error: impl Fn(ErrorMetadata) -> E) -> SdkError<E, HttpResponse> {
    let meta = ErrorMetadata::builder().code(code).message("simulated").build();
    answered(error(meta))
}

fn answered<E>(error: E) -> SdkError<E, HttpResponse> {
    let status = StatusCode::try_from(400).ok();
    match status {
        Some(status) => SdkError::service_error(error, HttpResponse::new(status, SdkBody::empty())),
        None => SdkError::timeout_error("no status"),
    }
}

/// What is to come of a call that writes, or reads.
fn fate(inner: &mut Inner, stage: &Stage, writes: bool) -> Fate {
    let mut strikes = |fault| inner.strikes(Trouble::Table(fault));
    if strikes(Fault::Throttled) {
        return Fate::Refused("ThrottlingException");
    }
    if strikes(Fault::TimedOutBefore) {
        return Fate::TimedOut { done: false };
    }
    if writes && strikes(Fault::TimedOutAfter) {
        return Fate::TimedOut { done: true };
    }
    if writes && strikes(Fault::Repeated) {
        return Fate::Repeated;
    }
    if inner.is_away(Service::Table, stage.now()) { Fate::TimedOut { done: false } } else { Fate::Well }
}

impl Ledger {
    /// One call: there, done or not, and back.
    async fn call<O, E>(
        &self,
        writes: bool,
        run: impl Fn(&mut Inner) -> Result<O, E>,
        error: impl Fn(ErrorMetadata) -> E,
    ) -> Result<O, SdkError<E, HttpResponse>> {
        let stage = &self.0;
        let (there, back, slow) = {
            let mut inner = stage.lock();
            let slow = inner.strikes(Trouble::Table(Fault::Slow));
            (inner.chance.milliseconds(1, 4), inner.chance.milliseconds(1, 6), slow)
        };
        tokio::time::sleep(there).await;
        let (fate, result) = {
            let mut inner = stage.lock();
            let fate = fate(&mut inner, stage, writes);
            let result = match fate {
                Fate::Refused(_) | Fate::TimedOut { done: false } => None,
                Fate::Well | Fate::TimedOut { done: true } => Some(run(&mut inner)),
                Fate::Repeated => {
                    // The first one's answer is lost; the SDK sends the same again.
                    _ = run(&mut inner);
                    Some(run(&mut inner))
                }
            };
            (fate, result)
        };
        let wait = match fate {
            Fate::TimedOut { .. } => GIVEN_UP,
            Fate::Repeated => Duration::from_secs(2),
            Fate::Well | Fate::Refused(_) if slow => Duration::from_millis(900),
            Fate::Well | Fate::Refused(_) => back,
        };
        tokio::time::sleep(wait).await;
        match (fate, result) {
            (Fate::Refused(code), _) => Err(failure(code, error)),
            (Fate::TimedOut { .. }, _) | (_, None) => Err(SdkError::timeout_error("no answer in time")),
            (Fate::Well | Fate::Repeated, Some(result)) => result.map_err(answered),
        }
    }
}

/// A key's two texts.
fn key(key: Option<&std::collections::HashMap<String, AttributeValue>>) -> Option<(&str, &str)> {
    let key = key?;
    Some((key.get("pk")?.as_s().ok()?, key.get("sk")?.as_s().ok()?))
}

/// The phase of the slot at this key, if one is there, and its runner.
fn phase(inner: &Inner, key: Option<(&str, &str)>) -> Option<[String; 2]> {
    let (pk, sk) = key?;
    if !sk.starts_with("slot#") {
        return None;
    }
    let item = inner.table.get_item(pk, sk)?;
    Some([item.get("phase")?.as_s().ok()?.clone(), item.get("runner")?.as_s().ok()?.clone()])
}

/// Counts the slot's way from phase to phase.
fn passed(inner: &mut Inner, key: Option<(&str, &str)>, before: Option<[String; 2]>) {
    let Some((_, sk)) = key else { return };
    if !sk.starts_with("slot#") {
        return;
    }
    let after = phase(inner, key);
    let phases = |slot: &Option<[String; 2]>| slot.as_ref().map(|[phase, _]| phase.clone());
    let (from, to) = (phases(&before), phases(&after));
    // A slot that was taken again has another runner.
    let anew = before.zip(after).is_some_and(|([_, old], [_, new])| old != new);
    if from != to || anew {
        let named = |phase: Option<String>| phase.unwrap_or_else(|| "free".to_owned());
        let next = if anew { ", the next runner" } else { "" };
        inner.coverage.add("phase", format!("{} → {}{next}", named(from), named(to)));
    }
}

impl Table for Ledger {
    fn get(&self, input: GetItemInput) -> TableAnswer<'_, GetItemOutput, GetItemError> {
        let run = move |inner: &mut Inner| inner.table.get(&input);
        Box::pin(self.call(false, run, GetItemError::generic))
    }

    fn put(&self, input: PutItemInput) -> TableAnswer<'_, PutItemOutput, PutItemError> {
        let run = move |inner: &mut Inner| {
            check::written(inner, self.0.now(), input.item());
            let (pk, sk) = key(input.item()).unzip();
            log(inner, &self.0, "put", pk, sk);
            inner.table.put(&input)
        };
        Box::pin(self.call(true, run, PutItemError::generic))
    }

    fn update(&self, input: UpdateItemInput) -> TableAnswer<'_, UpdateItemOutput, UpdateItemError> {
        let run = move |inner: &mut Inner| {
            if inner.strikes(Trouble::Table(Fault::Conflict)) {
                let meta = ErrorMetadata::builder().code("TransactionConflictException").message("simulated");
                return Err(UpdateItemError::generic(meta.build()));
            }
            check::written(inner, self.0.now(), input.expression_attribute_values());
            let at = key(input.key());
            let before = phase(inner, at);
            let result = inner.table.update(&input);
            log(
                inner,
                &self.0,
                if result.is_ok() { "update" } else { "update refused" },
                at.map(|at| at.0),
                at.map(|at| at.1),
            );
            passed(inner, at, before);
            result
        };
        Box::pin(self.call(true, run, UpdateItemError::generic))
    }

    fn delete(&self, input: DeleteItemInput) -> TableAnswer<'_, DeleteItemOutput, DeleteItemError> {
        let run = move |inner: &mut Inner| {
            let at = key(input.key());
            let before = phase(inner, at);
            let result = inner.table.delete(&input);
            log(
                inner,
                &self.0,
                if result.is_ok() { "delete" } else { "delete refused" },
                at.map(|at| at.0),
                at.map(|at| at.1),
            );
            passed(inner, at, before);
            result
        };
        Box::pin(self.call(true, run, DeleteItemError::generic))
    }

    fn query(&self, input: QueryInput) -> TableAnswer<'_, QueryOutput, QueryError> {
        let source = observed(&input);
        let by = current();
        check::source_asked(&mut self.0.lock(), by, source.as_ref());
        let run = move |inner: &mut Inner| inner.table.query(&input);
        Box::pin(async move {
            let result = self.call(false, run, QueryError::generic).await;
            if let Ok(page) = &result
                && page.last_evaluated_key().is_none()
            {
                check::answered(&mut self.0.lock(), by, source.as_ref());
            }
            result
        })
    }

    fn batch_get(&self, input: BatchGetItemInput) -> TableAnswer<'_, BatchGetItemOutput, BatchGetItemError> {
        let run = move |inner: &mut Inner| {
            if inner.strikes(Trouble::Table(Fault::Unprocessed)) {
                return leave_some(inner, &input);
            }
            inner.table.batch_get(&input)
        };
        Box::pin(self.call(false, run, BatchGetItemError::generic))
    }

    fn transact(
        &self,
        input: TransactWriteItemsInput,
    ) -> TableAnswer<'_, TransactWriteItemsOutput, TransactWriteItemsError> {
        // With the SDK's token, a repetition is the same request: its answer is the first one's.
        let made = std::sync::atomic::AtomicBool::new(false);
        let run = move |inner: &mut Inner| {
            if made.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok(TransactWriteItemsOutput::builder().build());
            }
            if inner.strikes(Trouble::Table(Fault::Conflict)) {
                return Err(conflict(input.transact_items().len()));
            }
            let result = transact(inner, &self.0, &input);
            made.store(result.is_ok(), std::sync::atomic::Ordering::Relaxed);
            result
        };
        Box::pin(self.call(true, run, TransactWriteItemsError::generic))
    }
}

fn transact(
    inner: &mut Inner,
    stage: &Stage,
    input: &TransactWriteItemsInput,
) -> Result<TransactWriteItemsOutput, TransactWriteItemsError> {
    let mut keys = Vec::new();
    for item in input.transact_items() {
        let update = item.update().map(|update| &update.key);
        let at = key(update.or(item.delete().map(|delete| &delete.key)));
        keys.push((at, phase(inner, at)));
        if let Some(update) = item.update() {
            check::written(inner, stage.now(), update.expression_attribute_values());
        }
    }
    let result = inner.table.transact(input);
    for (at, before) in keys {
        let what = if result.is_ok() { "transaction" } else { "transaction refused" };
        log(inner, stage, what, at.map(|at| at.0), at.map(|at| at.1));
        passed(inner, at, before);
    }
    result
}

fn log(inner: &mut Inner, stage: &Stage, what: &str, pk: Option<&str>, sk: Option<&str>) {
    let (pk, sk) = (pk.unwrap_or("?"), sk.unwrap_or("?"));
    inner.digest.add(what.as_bytes());
    inner.digest.add(pk.as_bytes());
    inner.digest.add(sk.as_bytes());
    inner.note(stage.now(), || format!("  #{} table {what} {pk} {sk}", current()));
}

/// The error of a transaction that another one stands in the way of.
fn conflict(items: usize) -> TransactWriteItemsError {
    let reason = |code: &str| CancellationReason::builder().code(code).build();
    let reasons = (0..items).map(|at| reason(if at == 0 { "TransactionConflict" } else { "None" })).collect();
    let cancelled = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons));
    TransactWriteItemsError::TransactionCanceledException(cancelled.build())
}

/// Answers the first of a batch's keys, and leaves the others.
fn leave_some(inner: &Inner, input: &BatchGetItemInput) -> Result<BatchGetItemOutput, BatchGetItemError> {
    let mut first = BatchGetItemInput::builder();
    let mut left = Vec::new();
    for (table, wanted) in input.request_items().into_iter().flatten() {
        let (some, others) = wanted.keys.split_at(wanted.keys.len().min(1));
        let keys = |keys: &[_]| KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).build().ok();
        if let Some(some) = keys(some) {
            first = first.request_items(table, some);
        }
        if let Some(others) = keys(others).filter(|others| !others.keys.is_empty()) {
            left.push((table.clone(), others));
        }
    }
    let Ok(first) = first.build() else { return inner.table.batch_get(input) };
    let mut output = inner.table.batch_get(&first)?;
    output.unprocessed_keys = Some(left.into_iter().collect());
    Ok(output)
}

/// The source that a sweep's query of a whole pool reads.
fn observed(input: &QueryInput) -> Option<Source> {
    let values = input.expression_attribute_values()?;
    let text = |name: &str| values.get(name)?.as_s().ok();
    (text(":from")? == "pool").then(|| text(":pk").cloned().map(Source::Pool))?
}
