//! Observation: what the sources say, each asked once, all at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::join_all;
use mayfly_core::ids::PoolName;
use mayfly_core::sweep::{Observed, PoolLedger, World, jobs_in_question};

use super::Source;
use crate::clock;
use crate::mayfly::Mayfly;
use crate::store::StoreError;

impl Mayfly {
    /// Asks all sources. One that does not answer is unknown, and said.
    pub(super) async fn observe(&self, deadline: Instant) -> (World, Vec<Source>) {
        let now = clock::now();
        let mut failed = Vec::new();
        let (pools, vms) = tokio::join!(
            join_all(
                self.policy
                    .pools
                    .iter()
                    .map(|pool| async { (&pool.name, self.pool_ledger(&pool.name).await) })
            ),
            join_all(self.providers().map(|(name, provider)| async move {
                (name, clock::now(), provider.list(&self.policy.deployment, deadline).await)
            })),
        );
        let mut world = World { now, pools: Vec::new(), vms: BTreeMap::new(), jobs: BTreeMap::new() };
        for (pool, read) in pools {
            match read {
                Ok((ledger, corrupt)) => {
                    world.pools.push(ledger);
                    failed.extend(corrupt.into_iter().map(|error| source(format!("pool {pool}"), &error)));
                }
                Err(error) => failed.push(source(format!("pool {pool}"), &error)),
            }
        }
        for (name, at, listed) in vms {
            let observed = match listed {
                Ok(value) => Observed::Known { at, value },
                Err(error) => {
                    failed.push(source(format!("provider {name}"), &error));
                    Observed::Unknown { why: error.to_string() }
                }
            };
            world.vms.insert(name.clone(), observed);
        }
        let asked = jobs_in_question(&self.policy, &world);
        match self.ledger.job_states(&asked).await {
            Ok(jobs) => world.jobs = jobs,
            Err(error) => failed.push(source("jobs".to_owned(), &error)),
        }
        (world, failed)
    }

    /// The table's part of a pool, with what it remembers of GitHub.
    async fn pool_ledger(&self, pool: &PoolName) -> Result<(PoolLedger, Vec<StoreError>), StoreError> {
        let (ledger, state) = tokio::join!(self.ledger.pool_ledger(pool), self.ledger.pool_state(pool));
        let (mut ledger, corrupt) = ledger?;
        ledger.github_until = state?.github_until;
        Ok((ledger, corrupt))
    }
}

fn source(source: String, error: &dyn std::error::Error) -> Source {
    tracing::warn!(source, %error, "a source could not be read: nothing is deleted on its account");
    Source { source, why: error.to_string() }
}
