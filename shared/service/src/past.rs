//! What is over is measured, and written down for the status page, where there is one: after the answer, beside the work that matters, and a loss is
//! a line less on a page.

use mayfly_core::job::Job;
use mayfly_core::past::{OverJob, Used};
use mayfly_core::policy::Pool;
use mayfly_core::slot::Slot;

use crate::clock;
use crate::mayfly::Mayfly;
use crate::store::StoreError;

impl Mayfly {
    /// Remembers a job that is over; `before` is what was recorded of it until then.
    pub(crate) async fn job_is_over(&self, pool: &Pool, job: &Job, before: Option<&Job>) {
        if self.page.is_none() {
            return;
        }
        let Some(over) = OverJob::of(job, before) else { return };
        // On the heap: the SDK's futures are large, and this one seldom there.
        if let Err(error) = Box::pin(self.ledger.job_over(&pool.name, &over)).await {
            tracing::debug!(pool = %pool.name, job = %job.id, %error, "the page will not show this job");
        }
    }

    /// Counts what the VM of a slot ran and cost, which is gone, or about to be replaced.
    pub(crate) async fn vm_is_over(&self, pool: &Pool, slot: &Slot) {
        self.metrics.left_by_vm(pool, slot);
        if self.page.is_none() {
            return;
        }
        let now = clock::now();
        let Some(used) = Used::of(Some(pool), slot, now) else { return };
        if let Err(error) = Box::pin(self.ledger.vm_over(&pool.name, &used, now)).await {
            tracing::debug!(pool = %pool.name, runner = %slot.runner, %error, "the page will not count this VM");
        }
    }

    /// Frees a slot, where it is still as it was read; whether it was.
    pub(crate) async fn free(&self, pool: &Pool, slot: &Slot) -> Result<bool, StoreError> {
        let freed = self.ledger.free(slot).await?;
        if freed {
            self.vm_is_over(pool, slot).await;
        }
        Ok(freed)
    }
}
