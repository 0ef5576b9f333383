//! A pool's own item: what one invocation learnt, all know; and what the operator wants of the pool.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::gate::{PoolState, Trouble};
use mayfly_core::ids::PoolName;

use super::item::{Item, moment, number, pool_key, short, told};
use super::write::{Write, Written};
use super::{COST, Ledger, StoreError, unavailable};

/// The prefix of the attributes that say until when a place is not asked.
const COOLING: &str = "cool#";
/// The attribute that says until when GitHub is not asked.
const GITHUB: &str = "github_until";
/// The attribute that says since when the pool is drained.
const DRAINING: &str = "draining";
/// The attribute with the largest `max_runners` whose slots may still be taken.
const LIMIT: &str = "limit";

/// What can fail on the way to a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The create of its VM.
    Create,
    /// From the VM to a runner that GitHub sees.
    Boot,
}

impl Stage {
    /// The attributes that count its failures, and tell when and why the last was.
    fn attributes(self) -> [&'static str; 3] {
        match self {
            Self::Create => ["creates_failed", "creates_failed_at", "creates_failed_why"],
            Self::Boot => ["boots_failed", "boots_failed_at", "boots_failed_why"],
        }
    }
}

/// Reads the pool's item. What is not as Mayfly writes it is as good as not there, with one exception: a drain that
/// cannot be read is one, since no VM is started on a guess.
pub(super) fn read_state(item: &Item) -> PoolState {
    let cooling = item
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(COOLING)?.to_owned(), read_moment(value)?)));
    PoolState {
        cooling: cooling.collect(),
        github_until: item.get(GITHUB).and_then(read_moment),
        draining: item.get(DRAINING).map(|value| read_moment(value).unwrap_or(Timestamp::UNIX_EPOCH)),
        limit: item.get(LIMIT).and_then(read_number),
        creates: trouble(item, Stage::Create),
        boots: trouble(item, Stage::Boot),
    }
}

fn read_number<N: std::str::FromStr>(value: &AttributeValue) -> Option<N> {
    value.as_n().ok()?.parse().ok()
}

fn read_moment(value: &AttributeValue) -> Option<Timestamp> {
    Timestamp::from_millisecond(read_number(value)?).ok()
}

fn trouble(item: &Item, stage: Stage) -> Option<Trouble> {
    let [failures, at, why] = stage.attributes().map(|name| item.get(name));
    let why = why.and_then(|why| why.as_s().ok()).map(|why| told(why)).unwrap_or_default();
    Some(Trouble { failures: read_number(failures?)?, at: read_moment(at?)?, why })
}

impl Ledger {
    /// What is known of a pool. Not the very newest, for half the price: a drain may be missed in its first moment.
    pub async fn pool_state(&self, pool: &PoolName) -> Result<PoolState, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(pool_key(pool)));
        let request = request.return_consumed_capacity(COST);
        let answer = self.send_get(request).await.map_err(unavailable("reading a pool's state"))?;
        Ok(read_state(&answer.item.unwrap_or_default()))
    }

    /// Drains a pool: it takes no new jobs and starts no VMs. One that is drained already is so since it was.
    pub async fn drain(&self, pool: &PoolName, since: Timestamp) -> Result<(), StoreError> {
        let write =
            Write::update(pool_key(pool), "SET #draining = :since", "attribute_not_exists(#draining)")
                .name("#draining", DRAINING)
                .value(":since", moment(since));
        self.write(write, "draining a pool").await.map(|_| ())
    }

    /// Ends the drain of a pool; whether it was drained.
    pub async fn resume(&self, pool: &PoolName) -> Result<bool, StoreError> {
        let write = Write::update(pool_key(pool), "REMOVE #draining", "attribute_exists(#draining)")
            .name("#draining", DRAINING);
        Ok(matches!(self.write(write, "resuming a pool").await?, Written::Before(_)))
    }

    /// Remembers how many slots a pool may still have taken. Not before the sweep's memory knows the pool: one whose item
    /// says it needs not be made known any more.
    pub async fn set_limit(&self, pool: &PoolName, limit: u16) -> Result<(), StoreError> {
        self.remember(pool, BTreeSet::from([LIMIT.to_owned()]), number(limit)).await
    }

    /// Forgets how many slots a pool may have taken, since it is to be forgotten itself.
    pub async fn forget_limit(&self, pool: &PoolName) -> Result<(), StoreError> {
        let write = Write::update(pool_key(pool), "REMOVE #limit", "attribute_exists(#limit)");
        self.write(write.name("#limit", LIMIT), "forgetting a pool").await.map(|_| ())
    }

    /// Counts a failure; `why` is kept in at most 300 characters.
    pub async fn failed(
        &self,
        pool: &PoolName,
        what: Stage,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const COUNTING: &str = "counting a pool's failures";
        let [failures, at, reason] = what.attributes();
        let write = |update, condition: &str| {
            Write::update(pool_key(pool), update, condition)
                .name("#failures", failures)
                .name("#at", at)
                .name("#why", reason)
                .value(":one", number(1))
                .value(":at", moment(now))
                .value(":why", short(why))
        };
        let countable = "attribute_not_exists(#failures) OR attribute_type(#failures, :number)";
        let counted = write("SET #at = :at, #why = :why ADD #failures :one", countable)
            .value(":number", AttributeValue::S("N".to_owned()));
        if let Written::Refused(_) = self.write(counted, COUNTING).await? {
            // What is there is no count, and nothing can be added to it.
            let anew = write("SET #at = :at, #why = :why, #failures = :one", "attribute_exists(pk)");
            self.write(anew, COUNTING).await?;
        }
        Ok(())
    }

    /// Forgets failures, since it went well.
    pub async fn recovered(&self, pool: &PoolName, what: Stage) -> Result<(), StoreError> {
        let [failures, at, why] = what.attributes();
        let write =
            Write::update(pool_key(pool), "REMOVE #failures, #at, #why", "attribute_exists(#failures)")
                .name("#failures", failures)
                .name("#at", at)
                .name("#why", why);
        self.write(write, "forgetting a pool's failures").await.map(|_| ())
    }

    /// Remembers that places (`provider/place`) were full.
    pub async fn cool_down(
        &self,
        pool: &PoolName,
        places: &[String],
        until: Timestamp,
    ) -> Result<(), StoreError> {
        // Each once: DynamoDB refuses an update that names an attribute twice.
        let names: BTreeSet<String> = places.iter().map(|place| format!("{COOLING}{place}")).collect();
        self.remember(pool, names, moment(until)).await
    }

    /// Remembers that GitHub asked not to be asked for a while.
    pub async fn hold_github(&self, pool: &PoolName, until: Timestamp) -> Result<(), StoreError> {
        self.remember(pool, BTreeSet::from([GITHUB.to_owned()]), moment(until)).await
    }

    /// Gives attributes of the pool's item that value, whatever was there.
    async fn remember(
        &self,
        pool: &PoolName,
        names: BTreeSet<String>,
        value: AttributeValue,
    ) -> Result<(), StoreError> {
        let set = names.into_iter().map(|name| (name, value.clone())).collect();
        self.put_attributes(pool_key(pool), set, "remembering a pool's state").await
    }

    /// Sets attributes of an item, which may be new, whatever was there; nothing where there are none.
    pub(super) async fn put_attributes(
        &self,
        key: Item,
        set: BTreeMap<String, AttributeValue>,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        self.change_attributes(key, set, &[], doing).await
    }

    /// The same, and takes others away, in one update.
    pub(super) async fn change_attributes(
        &self,
        key: Item,
        set: BTreeMap<String, AttributeValue>,
        remove: &[String],
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let sets: Vec<String> = (0..set.len()).map(|place| format!("#n{place} = :v{place}")).collect();
        let removes: Vec<String> = (0..remove.len()).map(|place| format!("#r{place}")).collect();
        let clauses = [("SET", sets), ("REMOVE", removes)].into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> =
            clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        if clauses.is_empty() {
            return Ok(());
        }
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(clauses.join(" "))
            .return_consumed_capacity(COST);
        for (place, name) in remove.iter().enumerate() {
            request = request.expression_attribute_names(format!("#r{place}"), name);
        }
        for (place, (name, value)) in set.into_iter().enumerate() {
            request = request
                .expression_attribute_names(format!("#n{place}"), name)
                .expression_attribute_values(format!(":v{place}"), value);
        }
        self.send_update(request).await.map(|_| ()).map_err(unavailable(doing))
    }
}
