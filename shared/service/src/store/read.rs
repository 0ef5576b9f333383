//! Reading the ledger: bounded queries in one partition, and keyed batches.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use mayfly_core::ids::{JobId, PoolName, RunnerName, SlotIndex};
use mayfly_core::job::{Job, JobState, Waiting};
use mayfly_core::slot::Slot;
use mayfly_core::sweep::PoolLedger;

use super::item::{Item, Reader, job_key, pool_partition, slot_key, slot_sort_key, text};
use super::{Ledger, StoreError, unavailable};

/// `BatchGetItem` takes at most so many keys.
const BATCH: usize = 100;
/// A batch's keys that DynamoDB did not process are asked for again so often.
const BATCH_TRIES: usize = 5;
/// A pool's partition has at most 9,999 slots of some 250 bytes and its queue, in pages of 1 MB.
const PAGES_MOST: usize = 200;

impl Ledger {
    /// At most `limit` taken slots from `start` on, in order. Not the very newest: a claim is conditional anyway.
    pub async fn sample(&self, pool: &PoolName, start: SlotIndex, limit: usize) -> Result<Vec<Slot>, StoreError> {
        let items = self.range(pool, &slot_sort_key(start), "slot#~", limit, false, "looking for a free slot").await?;
        items.iter().map(|item| Reader::new(item).slot(&self.deployment)).collect()
    }

    /// The pool's oldest waiting jobs, at most `limit`.
    pub async fn oldest_waiting(&self, pool: &PoolName, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let items = self.range(pool, "wait#", "wait#~", limit, true, "reading the queue").await?;
        items.iter().map(|item| Reader::new(item).waiting()).collect()
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

    /// All of a pool: its slots and its queue. Items that contradict themselves are left out, and said.
    pub async fn pool_ledger(&self, pool: &PoolName) -> Result<(PoolLedger, Vec<StoreError>), StoreError> {
        let items = self.range(pool, "slot#", "wait#~", usize::MAX, true, "reading a pool").await?;
        let mut ledger = PoolLedger { pool: pool.clone(), slots: Vec::new(), waiting: Vec::new() };
        let mut corrupt = Vec::new();
        for item in &items {
            let reader = Reader::new(item);
            let is_slot = reader.maybe_text("sk")?.is_some_and(|key| key.starts_with("slot#"));
            let read = if is_slot {
                reader.slot(&self.deployment).map(|slot| ledger.slots.push(slot))
            } else {
                reader.waiting().map(|waiting| ledger.waiting.push(waiting))
            };
            corrupt.extend(read.err());
        }
        Ok((ledger, corrupt))
    }

    /// The states of jobs; `None` for one that the table does not know.
    pub async fn job_states(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Option<JobState>>, StoreError> {
        let mut states: BTreeMap<JobId, Option<JobState>> = jobs.iter().map(|job| (*job, None)).collect();
        for batch in jobs.chunks(BATCH) {
            for item in self.batch(batch).await? {
                let job = Reader::new(&item).job()?;
                states.insert(job.id, Some(job.state));
            }
        }
        Ok(states)
    }

    async fn batch(&self, jobs: &[JobId]) -> Result<Vec<Item>, StoreError> {
        const DOING: &str = "reading jobs";
        let unique: std::collections::BTreeSet<JobId> = jobs.iter().copied().collect();
        let mut keys: Vec<Item> = unique.into_iter().map(job_key).collect();
        let mut found = Vec::new();
        for _ in 0..BATCH_TRIES {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| StoreError::Unavailable { doing: DOING, why: error.to_string() })?;
            let answer = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
            let answer = answer.map_err(unavailable(DOING))?;
            found.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            match answer.unprocessed_keys.unwrap_or_default().remove(&self.table) {
                Some(left) if !left.keys.is_empty() => keys = left.keys,
                _ => return Ok(found),
            }
            tokio::time::sleep(crate::random::jitter(std::time::Duration::from_millis(100))).await;
        }
        Err(StoreError::Unavailable { doing: DOING, why: "the table kept leaving keys unread".to_owned() })
    }

    async fn get(&self, key: Item, doing: &'static str) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(unavailable(doing))?.item)
    }

    async fn range(
        &self,
        pool: &PoolName,
        from: &str,
        to: &str,
        limit: usize,
        consistent: bool,
        doing: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MOST {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(pool_partition(pool)))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .consistent_read(consistent)
                .set_limit(i32::try_from(limit - items.len()).ok())
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(unavailable(doing))?;
            items.extend(page.items.unwrap_or_default());
            next = page.last_evaluated_key;
            if next.is_none() || items.len() >= limit {
                return Ok(items);
            }
        }
        Err(StoreError::Unavailable { doing, why: format!("it has more than {PAGES_MOST} pages") })
    }
}
