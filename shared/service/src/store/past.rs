//! What is over, for the status page: the last jobs of a pool in a ring of items, and what its VMs ran and cost, a month an item. They
//! stand in the pool's partition before all that sweeps read, so that these do not pay for them.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{JobId, PoolName, Repository};
use mayfly_core::page::Past;
use mayfly_core::past::{OverJob, Used, month};
use mayfly_core::price::Cost;
use mayfly_core::slot::later;
use mayfly_core::sweep::PoolLedger;

use super::item::{
    Item, Reader, expiry, moment, month_key, month_sort_key, number, over_key, short, text, told,
};
use super::read::{Range, into_ledger};
use super::{COST, Ledger, StoreError, unavailable};

/// A job that is over is shown so long.
const OVER_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// A month is kept so long, for whoever asks the table; the page shows the one that is.
const MONTH_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// The page reads at most so much of a pool, in pages of 1 MB: more than 9,999 slots and ten thousand waiting jobs.
const PAGES_MOST: usize = 8;

/// All that the page shows of a pool.
#[derive(Debug)]
pub struct PoolRead {
    /// Its own item, its slots and its queue.
    pub ledger: PoolLedger,
    /// What could not be read.
    pub corrupt: Vec<StoreError>,
    /// What is over. What is there now is not counted yet.
    pub past: Past,
}

impl Ledger {
    /// Remembers a job that is over, in place of an older one. One write unit.
    pub async fn job_over(&self, pool: &PoolName, over: &OverJob) -> Result<(), StoreError> {
        let doing = "remembering a job that is over";
        let request = self.client.put_item().table_name(&self.table).set_item(Some(over_item(pool, over)));
        let sent = self.send_put(request.return_consumed_capacity(COST)).await;
        sent.map(|_| ()).map_err(unavailable(doing))
    }

    /// Adds what a VM that is gone ran and cost to its pool's month. One write unit. Not conditional: where the reply is lost and
    /// the request repeated it counts twice.
    pub async fn vm_over(&self, pool: &PoolName, used: &Used, now: Timestamp) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(month_key(pool, &month(now))))
            .update_expression(
                "SET expires_at = :expires_at ADD vms :vms, vm_ms :ms, unpriced_ms :unpriced, cost_micros :cost",
            )
            .expression_attribute_values(":expires_at", expiry(later(now, MONTH_KEPT)))
            .expression_attribute_values(":vms", number(used.vms))
            .expression_attribute_values(":ms", number(used.ms))
            .expression_attribute_values(":unpriced", number(used.unpriced_ms))
            .expression_attribute_values(":cost", number(used.cost.0));
        let sent = self.send_update(request.return_consumed_capacity(COST)).await;
        sent.map(|_| ()).map_err(unavailable("adding up what VMs ran"))
    }

    /// All of a pool and what is over in it, by one query, as good as new.
    pub async fn pool_and_past(&self, pool: &PoolName, now: Timestamp) -> Result<PoolRead, StoreError> {
        let from = month_sort_key(&month(now));
        let doing = "reading a pool for the page";
        let range = Range { pool, from: &from, to: "wait#~", limit: usize::MAX, consistent: false, doing };
        let (mut ledger, mut past) = (PoolLedger::empty(pool.clone()), Past::default());
        let read = |item: &Reader<'_>| {
            let key = item.text("sk")?;
            if key == from {
                past.gone = item.used()?;
            } else if key.starts_with("month#") {
                // Another one's, by somebody whose clock is ahead.
            } else if key.starts_with("over#") {
                past.over.push(item.over()?);
            } else {
                into_ledger(&mut ledger, item, &self.deployment)?;
            }
            Ok(())
        };
        let (_, corrupt, is_cut) = self.pages(range, PAGES_MOST, read).await?;
        past.is_cut = is_cut;
        Ok(PoolRead { ledger, corrupt, past })
    }
}

fn over_item(pool: &PoolName, over: &OverJob) -> Item {
    let mut item = over_key(pool, over.place());
    let mut put = |name: &str, value| _ = item.insert(name.to_owned(), value);
    put("job", number(over.job));
    put("repository", text(over.repository.as_str()));
    put("queued_at", moment(over.queued_at));
    put("ended_at", moment(over.ended_at));
    put("conclusion", short(&over.conclusion));
    put("expires_at", expiry(later(over.ended_at, OVER_KEPT)));
    if let Some(runner) = &over.runner {
        put("runner", short(runner));
    }
    for (name, at) in [("made_at", over.made_at), ("started_at", over.started_at)] {
        if let Some(at) = at {
            put(name, moment(at));
        }
    }
    item
}

impl Reader<'_> {
    fn over(&self) -> Result<OverJob, StoreError> {
        let job = self.maybe_number("job")?.ok_or_else(|| self.corrupt("job is missing"))?;
        let repository = Repository::new(self.text("repository")?);
        Ok(OverJob {
            job: JobId(job),
            repository: repository.map_err(|_| self.corrupt("repository is no valid name"))?,
            runner: self.maybe_text("runner")?.map(told),
            queued_at: self.moment("queued_at")?,
            made_at: self.maybe_moment("made_at")?,
            started_at: self.maybe_moment("started_at")?,
            ended_at: self.moment("ended_at")?,
            conclusion: told(self.text("conclusion")?),
        })
    }

    fn used(&self) -> Result<Used, StoreError> {
        Ok(Used {
            vms: self.maybe_number("vms")?.unwrap_or_default(),
            ms: self.maybe_number("vm_ms")?.unwrap_or_default(),
            unpriced_ms: self.maybe_number("unpriced_ms")?.unwrap_or_default(),
            cost: Cost(self.maybe_number("cost_micros")?.unwrap_or_default()),
        })
    }
}
