//! Reads. All are of the table as it is: a read that need not be consistent may be, too.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::error::{Refusal, invalid, unsupported};
use crate::expression::{KeyRange, key_range, statement};
use crate::value::{Item, check_all, item_size};
use crate::{PageSize, Table, key, key_of};

/// What the API reference says of `Query` and `BatchGetItem`.
const PAGE: usize = 1024 * 1024;
const BATCH: usize = 16 * 1024 * 1024;
const MOST_KEYS: usize = 100;

/// How much more fits into an answer.
struct Room {
    items: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    fn new(page: PageSize, bytes: usize) -> Self {
        let (items, bytes) = match page {
            PageSize::Service => (usize::MAX, bytes),
            PageSize::Bytes(bytes) => (usize::MAX, bytes),
            PageSize::Items(items) => (items.max(1), bytes),
        };
        Self { items, bytes, is_empty: true }
    }

    /// Takes the room of an item, if there is enough; the first always fits.
    fn take(&mut self, size: usize) -> bool {
        let fits = self.items > 0 && (self.is_empty || size <= self.bytes);
        if fits {
            self.items -= 1;
            self.bytes = self.bytes.saturating_sub(size);
            self.is_empty = false;
        }
        fits
    }
}

impl Table {
    /// `GetItem`.
    ///
    /// # Errors
    /// As the service: `ResourceNotFoundException`, `ValidationException`.
    pub fn get(&self, input: &GetItemInput) -> Result<GetItemOutput, GetItemError> {
        let is_projected = input.projection_expression.is_some() || input.attributes_to_get.is_some();
        if is_projected || input.expression_attribute_names.is_some() {
            return Err(unsupported("projections").into());
        }
        let key = input.key.as_ref().ok_or_else(|| invalid("Value null at 'key'"))?;
        check_all(key)?;
        self.is_named(input.table_name.as_deref())?;
        let item = self.read(key)?.cloned();
        Ok(GetItemOutput::builder().set_item(item).build())
    }

    fn read(&self, key: &Item) -> Result<Option<&Item>, Refusal> {
        key::not_empty(key)?;
        let (pk, sk) = key::of_key(key)?;
        Ok(self.get_item(pk, sk))
    }

    /// `BatchGetItem`; the items in the order of their keys in the request.
    ///
    /// # Errors
    /// As the service: `ResourceNotFoundException`, `ValidationException`.
    pub fn batch_get(&self, input: &BatchGetItemInput) -> Result<BatchGetItemOutput, BatchGetItemError> {
        let tables = input.request_items.as_ref();
        let mut tables = tables.into_iter().flatten();
        let (Some((name, wanted)), other) = (tables.next(), tables.next()) else {
            return Err(invalid("Value at 'requestItems' failed to satisfy constraint: at least 1").into());
        };
        if other.is_some() {
            return Err(unsupported("batches from more than one table").into());
        }
        check_batch(wanted)?;
        self.is_named(Some(name))?;
        let (mut found, mut left) = (Vec::new(), Vec::new());
        let mut room = Room::new(self.page, BATCH);
        for key in &wanted.keys {
            let item = self.read(key)?;
            if !left.is_empty() || !room.take(item.map_or(0, item_size)) {
                left.push(key.clone());
            } else {
                found.extend(item.cloned());
            }
        }
        let mut unprocessed = HashMap::new();
        if !left.is_empty() {
            let keys = KeysAndAttributes::builder().set_keys(Some(left));
            let keys = keys.set_consistent_read(wanted.consistent_read).build();
            unprocessed.insert(name.clone(), keys.map_err(|error| invalid(error.to_string()))?);
        }
        let output = BatchGetItemOutput::builder().responses(name, found);
        Ok(output.set_unprocessed_keys(Some(unprocessed)).build())
    }

    /// `Query`: by `key_condition_expression`, in either direction.
    ///
    /// # Errors
    /// As the service: `ResourceNotFoundException`, `ValidationException`.
    pub fn query(&self, input: &QueryInput) -> Result<QueryOutput, QueryError> {
        check_query(input)?;
        let condition = input.key_condition_expression.as_deref();
        let statement = statement(None, "KeyConditionExpression", condition)?;
        let values = input.expression_attribute_values.as_ref();
        if let Some(values) = values {
            check_all(values)?;
        }
        let meaning = statement.meaning(input.expression_attribute_names.as_ref(), values)?;
        let Some(condition) = &statement.condition else {
            return Err(
                invalid("Either the KeyConditions or KeyConditionExpression must be specified").into()
            );
        };
        condition.check(&meaning)?;
        self.is_named(input.table_name.as_deref())?;
        let range = key_range(condition, &meaning)?;
        let start = input.exclusive_start_key.as_ref().map(|key| start(key, &range)).transpose()?;
        let limit = match input.limit {
            None => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or_default(),
        };
        if limit == 0 {
            return Err(invalid("Value at 'Limit' failed to satisfy constraint: at least 1").into());
        }
        let (items, last) = self.page(&range, start, limit, input.scan_index_forward != Some(false));
        let count = i32::try_from(items.len()).unwrap_or(i32::MAX);
        let output = QueryOutput::builder().set_items(Some(items)).count(count).scanned_count(count);
        Ok(output.set_last_evaluated_key(last.map(|sk| key_of(range.partition, sk))).build())
    }

    /// At most `limit` items behind `start`, and the sort key of the last where it ended before the range did, or may
    /// have: at the limit the service does not look whether there is more.
    fn page(
        &self,
        range: &KeyRange<'_>,
        start: Option<&str>,
        limit: usize,
        forward: bool,
    ) -> (Vec<Item>, Option<&str>) {
        let Some(partition) = self.partitions.get(range.partition) else { return (Vec::new(), None) };
        let (low, high) = range.ends();
        let high = match &high {
            Bound::Included(key) => Bound::Included(Cow::as_ref(key)),
            Bound::Excluded(key) => Bound::Excluded(Cow::as_ref(key)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let (low, high) = match (start, forward) {
            (None, _) => (low, high),
            (Some(start), true) => (Bound::Excluded(start), high),
            (Some(start), false) => (low, Bound::Excluded(start)),
        };
        let mut room = Room::new(self.page, PAGE);
        let (mut items, mut last) = (Vec::new(), None);
        let mut rows = partition.range::<str, _>((low, high));
        loop {
            if items.len() == limit || room.items == 0 {
                return (items, last);
            }
            let Some((sk, item)) = (if forward { rows.next() } else { rows.next_back() }) else {
                return (items, None);
            };
            if !room.take(item_size(item)) {
                return (items, last);
            }
            items.push(Item::clone(item));
            last = Some(sk.as_str());
        }
    }
}

/// The sort key behind which a query goes on.
fn start<'a>(key: &'a Item, range: &KeyRange<'_>) -> Result<&'a str, Refusal> {
    check_all(key)?;
    key::not_empty(key)?;
    let (pk, sk) = key::of_key(key).map_err(|_| invalid("The provided starting key is invalid"))?;
    if pk == range.partition && range.holds(sk) {
        return Ok(sk);
    }
    Err(invalid("The provided starting key is outside query boundaries based on provided conditions"))
}

fn check_query(input: &QueryInput) -> Result<(), Refusal> {
    let others = [
        ("indexes", input.index_name.is_some()),
        ("Select", input.select.is_some()),
        ("filters", input.filter_expression.is_some() || input.query_filter.is_some()),
        ("projections", input.projection_expression.is_some() || input.attributes_to_get.is_some()),
        ("KeyConditions", input.key_conditions.is_some() || input.conditional_operator.is_some()),
    ];
    match others.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((what, _)) => Err(unsupported(what)),
        None => Ok(()),
    }
}

fn check_batch(wanted: &KeysAndAttributes) -> Result<(), Refusal> {
    let is_projected = wanted.projection_expression.is_some() || wanted.attributes_to_get.is_some();
    if is_projected || wanted.expression_attribute_names.is_some() {
        return Err(unsupported("projections"));
    }
    if wanted.keys.is_empty() || wanted.keys.len() > MOST_KEYS {
        return Err(invalid("Value at 'keys' failed to satisfy constraint: from 1 to 100"));
    }
    wanted.keys.iter().try_for_each(check_all)?;
    let keys: BTreeSet<_> = wanted.keys.iter().filter_map(|key| key::of_key(key).ok()).collect();
    let readable = wanted.keys.iter().filter(|key| key::of_key(key).is_ok()).count();
    if keys.len() < readable {
        return Err(invalid("Provided list of item keys contains duplicates"));
    }
    Ok(())
}
