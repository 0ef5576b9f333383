//! Reading the ledger: bounded queries in one partition, and keyed batches.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use mayfly_core::ids::{Deployment, JobId, PoolName, RunnerName, SlotIndex};
use mayfly_core::job::{Job, Waiting};
use mayfly_core::slot::Slot;
use mayfly_core::sweep::PoolLedger;

use super::item::{Item, NOTICE, Reader, job_key, pool_partition, slot_key, slot_sort_key, text};
use super::pool::read_state;
use super::{COST, Ledger, StoreError, unavailable};

/// `BatchGetItem` takes at most so many keys.
const BATCH: usize = 100;
/// A batch's keys that DynamoDB did not process are asked for again so often without an answer to any.
const BATCH_TRIES: usize = 5;
/// A pool's partition has at most 9,999 slots of some 250 bytes and its queue, in pages of 1 MB.
const PAGES_MOST: usize = 200;

impl Ledger {
    /// At most `limit` taken slots from `start` on, in order. Not the very newest: a claim is conditional anyway. A slot
    /// that cannot be read is left out, and logged: it must not keep all the others from being used.
    pub async fn sample(
        &self,
        pool: &PoolName,
        start: SlotIndex,
        limit: usize,
    ) -> Result<Vec<Slot>, StoreError> {
        let (from, doing) = (slot_sort_key(start), "looking for a free slot");
        let range = Range { pool, from: &from, to: "slot#~", limit, consistent: false, doing };
        Ok(said(pool, self.range(range, |item| item.slot(&self.deployment)).await?))
    }

    /// The pool's oldest waiting jobs, at most `limit`. An entry that cannot be read is left out, and logged: it must not
    /// keep those behind it from being served.
    pub async fn oldest_waiting(&self, pool: &PoolName, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let doing = "reading the queue";
        let range = Range { pool, from: "wait#", to: "wait#~", limit, consistent: true, doing };
        Ok(said(pool, self.range(range, |item| item.waiting(pool)).await?))
    }

    /// One slot, if it is taken.
    pub async fn slot_at(&self, pool: &PoolName, slot: SlotIndex) -> Result<Option<Slot>, StoreError> {
        let item = self.get(slot_key(pool, slot), "reading a slot").await?;
        item.map(|item| Reader::new(&item).slot(&self.deployment)).transpose()
    }

    /// A runner's slot, if it is still its own.
    pub async fn slot_of(&self, runner: &RunnerName) -> Result<Option<Slot>, StoreError> {
        let slot = self.slot_at(runner.pool(), runner.slot()).await?;
        Ok(slot.filter(|slot| &slot.runner == runner))
    }

    /// One job, if it is known.
    pub async fn job(&self, job: JobId) -> Result<Option<Job>, StoreError> {
        let item = self.get(job_key(job), "reading a job").await?;
        item.map(|item| Reader::new(&item).job()).transpose()
    }

    /// All of a pool: its notices, its own item, its slots and its queue, which stand next to each other. Items that contradict
    /// themselves are left out, and said.
    pub async fn pool_ledger(&self, pool: &PoolName) -> Result<(PoolLedger, Vec<StoreError>), StoreError> {
        let doing = "reading a pool";
        let range = Range { pool, from: NOTICE, to: "wait#~", limit: usize::MAX, consistent: true, doing };
        let mut ledger = PoolLedger::empty(pool.clone());
        let read = |item: &Reader<'_>| into_ledger(&mut ledger, item, &self.deployment);
        let (_, corrupt) = self.range(range, read).await?;
        Ok((ledger, corrupt))
    }

    /// The records of jobs; `None` for one that the table does not know. One whose item cannot be read is left out, and
    /// logged: what became of it is not known.
    pub async fn jobs(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Option<Job>>, StoreError> {
        let unique: BTreeSet<JobId> = jobs.iter().copied().collect();
        let mut found: BTreeMap<JobId, Option<Job>> = unique.iter().map(|job| (*job, None)).collect();
        for item in self.batches(unique.into_iter().map(job_key), "reading jobs").await? {
            let item = Reader::new(&item);
            let id = item.job_id()?;
            match item.job() {
                Ok(job) => found.insert(id, Some(job)),
                Err(error) => {
                    tracing::error!(job = %id, %error, "a job's record cannot be read: nothing is done on its account");
                    found.remove(&id)
                }
            };
        }
        Ok(found)
    }

    /// The items of keys that differ from each other, in as many requests as that takes; one that is not there is left
    /// out.
    pub(super) async fn batches(
        &self,
        keys: impl Iterator<Item = Item>,
        doing: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let keys: Vec<Item> = keys.collect();
        let mut found = Vec::new();
        for batch in keys.chunks(BATCH) {
            found.extend(self.batch(batch.to_vec(), doing).await?);
        }
        Ok(found)
    }

    async fn batch(&self, mut keys: Vec<Item>, doing: &'static str) -> Result<Vec<Item>, StoreError> {
        let (mut found, mut in_vain) = (Vec::new(), 0);
        // Each answer but a few has some of the keys.
        for _ in 0..BATCH + BATCH_TRIES {
            let before = keys.len();
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| StoreError::Unavailable { doing, why: error.to_string() })?;
            let request = self.client.batch_get_item().request_items(&self.table, wanted);
            let answer = self.send_batch_get(request.return_consumed_capacity(COST)).await;
            let answer = answer.map_err(unavailable(doing))?;
            found.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            match answer.unprocessed_keys.unwrap_or_default().remove(&self.table) {
                Some(left) if !left.keys.is_empty() => keys = left.keys,
                _ => return Ok(found),
            }
            in_vain = if keys.len() < before { 0 } else { in_vain + 1 };
            if in_vain >= BATCH_TRIES {
                break;
            }
            tokio::time::sleep(crate::random::jitter(std::time::Duration::from_millis(100))).await;
        }
        Err(StoreError::Unavailable { doing, why: "the table kept leaving keys unread".to_owned() })
    }

    pub(super) async fn get(&self, key: Item, doing: &'static str) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = self.send_get(request.return_consumed_capacity(COST)).await;
        Ok(answer.map_err(unavailable(doing))?.item)
    }

    /// Reads a range page by page; what cannot be decoded is handed back apart.
    async fn range<T>(
        &self,
        range: Range<'_>,
        decode: impl FnMut(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<(Vec<T>, Vec<StoreError>), StoreError> {
        let doing = range.doing;
        match self.pages(range, PAGES_MOST, decode).await? {
            (found, corrupt, false) => Ok((found, corrupt)),
            _ => Err(StoreError::Unavailable { doing, why: format!("it has more than {PAGES_MOST} pages") }),
        }
    }

    /// Reads at most so many pages of a range, and says whether it goes on after them.
    pub(super) async fn pages<T>(
        &self,
        range: Range<'_>,
        most: usize,
        mut decode: impl FnMut(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<(Vec<T>, Vec<StoreError>, bool), StoreError> {
        let Range { pool, from, to, limit, consistent, doing } = range;
        let (mut found, mut corrupt) = (Vec::new(), Vec::new());
        let mut next = None;
        for _ in 0..most {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(pool_partition(pool)))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .consistent_read(consistent)
                .return_consumed_capacity(COST)
                .set_limit(i32::try_from(limit - found.len()).ok())
                .set_exclusive_start_key(next);
            let page = self.send_query(request).await.map_err(unavailable(doing))?;
            for item in page.items.unwrap_or_default() {
                match decode(&Reader::new(&item)) {
                    Ok(read) => found.push(read),
                    Err(error) => corrupt.push(error),
                }
            }
            next = page.last_evaluated_key;
            if next.is_none() || found.len() >= limit {
                return Ok((found, corrupt, false));
            }
        }
        Ok((found, corrupt, true))
    }
}

/// Puts an item of a pool's own, its slots' or its queue's to the others.
pub(super) fn into_ledger(
    ledger: &mut PoolLedger,
    item: &Reader<'_>,
    deployment: &Deployment,
) -> Result<(), StoreError> {
    let key = item.text("sk")?;
    if key == "pool" {
        ledger.state = read_state(item.item());
    } else if key.starts_with("slot#") {
        let slot = item.slot(deployment);
        if slot.is_err()
            && let Some(index) = key.strip_prefix("slot#").and_then(|index| index.parse().ok())
        {
            ledger.unreadable.insert(SlotIndex(index));
        }
        ledger.slots.push(slot?);
    } else if key.starts_with(NOTICE) {
        ledger.notices.push(item.notice()?);
    } else {
        let waiting = item.waiting(&ledger.pool)?;
        // Advice: an entry is served whatever is known of this.
        if let Ok(Some(at)) = item.maybe_moment("asked_at") {
            ledger.asked.insert(waiting.job, at);
        }
        ledger.waiting.push(waiting);
    }
    Ok(())
}

/// A part of a pool's partition, in order.
pub(super) struct Range<'a> {
    pub pool: &'a PoolName,
    pub from: &'a str,
    pub to: &'a str,
    pub limit: usize,
    pub consistent: bool,
    pub doing: &'static str,
}

/// What could be read; what could not is logged.
fn said<T>(pool: &PoolName, (found, corrupt): (Vec<T>, Vec<StoreError>)) -> Vec<T> {
    for error in corrupt {
        tracing::error!(%pool, %error, "a slot or a waiting job cannot be read: it is left out");
    }
    found
}
