//! DynamoDB's item calls as plain state: one table in process, without sockets, threads or a clock, fast enough for a
//! simulation that runs millions of histories. It is asked with the AWS SDK's own inputs and answers with its own outputs
//! and errors, so that what was written for the service runs over it unchanged.
//!
//! What it does is what the API reference and the developer guide of Amazon DynamoDB say, and where these say nothing,
//! what the service is seen to do. A request that the service does not take is refused, and so is one that this table
//! does not know how to carry out: an index, a projection, a filter, the parameters that expressions have replaced, and
//! sets in updates. It never throttles, and says nothing of capacity. A transaction's client request token means nothing
//! to it: sent twice, a transaction is made twice.

#![allow(clippy::result_large_err, reason = "the errors are the AWS SDK's own")]

mod error;
mod expression;
mod key;
mod number;
mod read;
mod transact;
mod value;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use error::Refusal;
use number::Number;
pub use value::Item;

pub(crate) const PARTITION_KEY: &str = "pk";
pub(crate) const SORT_KEY: &str = "sk";
/// The attribute that TTL goes by.
const EXPIRES_AT: &str = "expires_at";
/// TTL leaves alone what expired longer ago than five years: the developer guide's "Using time to live".
const TOO_LONG_AGO: i64 = 5 * 365 * 24 * 3600;

/// How much one answer holds before the rest is left to another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageSize {
    /// As the service has it: 1 MB for a query, 16 MB for a batch.
    #[default]
    Service,
    /// So many bytes, but at least one item.
    Bytes(usize),
    /// So many items, and at least one; also so many keys of a batch, found or not.
    Items(usize),
}

/// A table with the partition key `pk` and the sort key `sk`, both texts, and TTL by `expires_at`.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    /// By partition key and sort key. No partition is empty.
    partitions: BTreeMap<String, BTreeMap<String, Arc<Item>>>,
    page: PageSize,
}

impl Table {
    /// An empty table.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), partitions: BTreeMap::new(), page: PageSize::Service }
    }

    /// The table, with answers of that size: so that paging can be tried with few items.
    #[must_use]
    pub fn with_page_size(mut self, page: PageSize) -> Self {
        self.page = page;
        self
    }

    /// All items, in the order of their keys.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.partitions.values().flat_map(|partition| partition.values().map(AsRef::as_ref))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.partitions.values().map(BTreeMap::len).sum()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The item with that key.
    pub fn get_item(&self, pk: &str, sk: &str) -> Option<&Item> {
        self.find(pk, sk).map(AsRef::as_ref)
    }

    /// Deletes what TTL would have deleted at that time, at the latest; how many items that were. An item without a number
    /// in `expires_at` stays. The service takes up to a few days for it, so a test should also see the table without.
    pub fn expire(&mut self, now_epoch_seconds: i64) -> usize {
        let before = self.len();
        let second = |second: i64| Number::parse(&second.to_string());
        let (now, oldest) =
            (second(now_epoch_seconds), second(now_epoch_seconds.saturating_sub(TOO_LONG_AGO)));
        let is_over = |item: &Item| {
            let at = item.get(EXPIRES_AT).and_then(|value| value.as_n().ok());
            let at = at.and_then(|at| Number::parse(at));
            at.is_some() && at < now && at >= oldest
        };
        self.partitions.retain(|_, partition| {
            partition.retain(|_, item| !is_over(item));
            !partition.is_empty()
        });
        before - self.len()
    }

    fn find(&self, pk: &str, sk: &str) -> Option<&Arc<Item>> {
        self.partitions.get(pk)?.get(sk)
    }

    fn insert(&mut self, pk: &str, sk: &str, item: Item) -> Option<Arc<Item>> {
        let item = Arc::new(item);
        // Most writes are to an item that is there, and need no key of their own.
        let Some(partition) = self.partitions.get_mut(pk) else {
            self.partitions.insert(pk.to_owned(), BTreeMap::from([(sk.to_owned(), item)]));
            return None;
        };
        match partition.get_mut(sk) {
            Some(known) => Some(std::mem::replace(known, item)),
            None => partition.insert(sk.to_owned(), item),
        }
    }

    fn remove(&mut self, pk: &str, sk: &str) -> Option<Arc<Item>> {
        let partition = self.partitions.get_mut(pk)?;
        let item = partition.remove(sk);
        if partition.is_empty() {
            self.partitions.remove(pk);
        }
        item
    }

    fn is_named(&self, name: Option<&str>) -> Result<(), Refusal> {
        match name {
            None | Some("") => Err(error::invalid("Value null at 'tableName' failed to satisfy constraint")),
            Some(name) if name == self.name => Ok(()),
            Some(_) => Err(Refusal::NoTable),
        }
    }
}

/// The attributes of a key.
fn key_of(pk: &str, sk: &str) -> Item {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    Item::from([(PARTITION_KEY.to_owned(), text(pk)), (SORT_KEY.to_owned(), text(sk))])
}
