//! Observation: what the sources say, each asked once.
//!
//! The lists of VMs and runners first, all at the same time, then the table: what is in a list and not in the table has
//! no slot any more. Then the jobs that all this raises questions about.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use mayfly_core::ids::{ProviderName, RunnerName};
use mayfly_core::policy::{Policy, Pool, Scope};
use mayfly_core::sweep::{Failures, News, Observed, PoolLedger, SeenRunner, World};
use tokio::time::Instant;

use super::Source;
use super::jobs::Ways;
use crate::clock;
use crate::mayfly::Mayfly;
use crate::provider::Listed;
use crate::store::Memory;

/// What was seen.
pub(super) struct Seen {
    pub world: World,
    /// What earlier sweeps left to know; `None` where it could not be read.
    pub memory: Option<Memory>,
    pub failed: Vec<Source>,
}

/// So many pools that are configured no more are brought to their end at a time.
const REMOVED_MOST: usize = 100;
impl Mayfly {
    /// Asks all sources. One that does not answer is unknown, and said.
    pub(super) async fn observe(&self, news: News, deadline: Instant) -> Seen {
        let mut failed = Vec::new();
        let now = clock::now();
        let memory = match self.ledger.memory().await {
            Ok(memory) => Some(memory),
            Err(error) => {
                failed.push(Source::failed("the sweep's memory".to_owned(), &error));
                None
            }
        };
        let removed = self.removed_pools(memory.as_ref());
        let scopes: BTreeSet<&Scope> =
            self.policy.pools.iter().chain(&removed).map(|pool| &pool.scope).collect();
        let ((lists, no_vms), (runners, no_runners), (deliveries, hooked, no_deliveries)) = tokio::join!(
            self.observe_vms(deadline),
            self.observe_runners(&scopes, deadline),
            self.deliveries_of(news, memory.as_ref(), deadline),
        );
        failed.extend(no_vms.into_iter().chain(no_runners).chain(no_deliveries));
        let (removed, too_many) = with_unseen(&self.policy, removed, &runners);
        failed.extend(too_many);
        let (mut pools, no_pools) = self.observe_pools(&removed).await;
        failed.extend(no_pools);
        pools.retain(|ledger| self.is_where_it_was(ledger, memory.as_ref(), &mut failed));
        let mut world = World {
            now,
            pools,
            removed,
            vms: BTreeMap::new(),
            unseen: BTreeSet::new(),
            room: BTreeMap::new(),
            runners,
            jobs: BTreeMap::new(),
            told: Vec::new(),
            deliveries,
            // After GitHub's lists, whose answers say how much of its limit is left.
            voice: self.voice(),
        };
        take_in(&mut world, lists);
        let ways = Ways { news, hooked };
        self.observe_jobs(&mut world, memory.as_ref(), ways, &mut failed, deadline).await;
        Seen { world, memory, failed }
    }

    /// What failed to be delivered; nobody looks where no webhook is meant to come.
    async fn deliveries_of(
        &self,
        news: News,
        memory: Option<&Memory>,
        deadline: Instant,
    ) -> (BTreeMap<String, Failures>, bool, Vec<Source>) {
        match news {
            News::Delivered => self.observe_deliveries(memory, deadline).await,
            News::Polled { .. } => (BTreeMap::new(), false, Vec::new()),
        }
    }

    fn removed_pools(&self, memory: Option<&Memory>) -> Vec<Pool> {
        let pools = memory.into_iter().flat_map(|memory| &memory.pools);
        let removed = pools.filter(|(name, _)| self.policy.pool(name).is_none());
        removed.map(|(name, known)| Pool::removed(name.clone(), known.scope.clone())).collect()
    }

    /// Whether a pool's runners register where those of its slots did. Where its configuration says another place since, GitHub
    /// cannot be asked there whether they are busy: nothing is done to them, and that is said.
    fn is_where_it_was(
        &self,
        ledger: &PoolLedger,
        memory: Option<&Memory>,
        failed: &mut Vec<Source>,
    ) -> bool {
        let before = memory.and_then(|memory| memory.pools.get(&ledger.pool)).map(|known| &known.scope);
        let now = self.policy.pool(&ledger.pool).map(|pool| &pool.scope);
        let Some((before, now)) = before.zip(now).filter(|(before, now)| before != now) else { return true };
        if ledger.slots.is_empty() {
            return true;
        }
        let why = format!(
            "its runners register at {now} by now, and {} of them did at {before}: set that back and drain the pool \
             before it moves, or give the new one another name",
            ledger.slots.len()
        );
        tracing::error!(pool = %ledger.pool, why, "this pool is not swept");
        failed.push(Source { source: format!("pool {}", ledger.pool), why });
        false
    }

    async fn observe_vms(
        &self,
        deadline: Instant,
    ) -> (BTreeMap<ProviderName, Observed<Listed>>, Vec<Source>) {
        let lists = self.providers().map(|(name, provider)| async move {
            let at = clock::now();
            (name.clone(), at, provider.list(&self.policy.deployment, deadline).await)
        });
        known(join_all(lists).await, |name| format!("provider {name}"))
    }

    async fn observe_runners(
        &self,
        scopes: &BTreeSet<&Scope>,
        deadline: Instant,
    ) -> (BTreeMap<Scope, Observed<Vec<SeenRunner>>>, Vec<Source>) {
        let lists = scopes.iter().map(|scope| async move {
            let at = clock::now();
            ((*scope).clone(), at, self.github.runners(scope, deadline).await)
        });
        known(join_all(lists).await, |scope| format!("runners {scope}"))
    }

    async fn observe_pools(&self, removed: &[Pool]) -> (Vec<PoolLedger>, Vec<Source>) {
        let pools = self.policy.pools.iter().chain(removed);
        let read = pools.map(|pool| async { (&pool.name, self.ledger.pool_ledger(&pool.name).await) });
        let (mut ledgers, mut failed) = (Vec::new(), Vec::new());
        for (pool, read) in join_all(read).await {
            let source = || format!("pool {pool}");
            match read {
                Ok((ledger, corrupt)) => {
                    ledgers.push(ledger);
                    failed.extend(corrupt.iter().map(|error| Source::failed(source(), error)));
                }
                Err(error) => failed.push(Source::failed(source(), &error)),
            }
        }
        (ledgers, failed)
    }
}

/// Pools that are configured no more, and that no sweep had seen before: runners of theirs tell of them, and of where
/// they are registered.
fn with_unseen(
    policy: &Policy,
    mut removed: Vec<Pool>,
    runners: &BTreeMap<Scope, Observed<Vec<SeenRunner>>>,
) -> (Vec<Pool>, Option<Source>) {
    let mut is_more = false;
    for (scope, list) in runners {
        for runner in list.values() {
            let Some(name) = RunnerName::parse(&policy.deployment, &runner.name) else { continue };
            let known = removed.iter().any(|pool| &pool.name == name.pool());
            if known || policy.pool(name.pool()).is_some() {
                continue;
            }
            if removed.len() < REMOVED_MOST {
                removed.push(Pool::removed(name.pool().clone(), scope.clone()));
            } else {
                is_more = true;
            }
        }
    }
    let too_many = is_more.then(|| Source {
        source: "pools that are configured no more".to_owned(),
        why: format!("runners have the names of more than {REMOVED_MOST}: the others are left alone"),
    });
    (removed, too_many)
}

/// What the providers listed becomes part of the world.
fn take_in(world: &mut World, lists: BTreeMap<ProviderName, Observed<Listed>>) {
    for (provider, listed) in lists {
        let vms = match listed {
            Observed::Known { at, value: Listed { vms, unseen, room } } => {
                world.unseen.extend(unseen);
                world.room.extend(room.into_iter().map(|(place, room)| ((provider.clone(), place), room)));
                Observed::Known { at, value: vms }
            }
            Observed::Unknown { why } => Observed::Unknown { why },
        };
        world.vms.insert(provider, vms);
    }
}

/// What each source said, or that it said nothing.
fn known<K: Ord, V, E: std::error::Error>(
    lists: Vec<(K, jiff::Timestamp, Result<V, E>)>,
    named: impl Fn(&K) -> String,
) -> (BTreeMap<K, Observed<V>>, Vec<Source>) {
    let (mut observed, mut failed) = (BTreeMap::new(), Vec::new());
    for (key, at, listed) in lists {
        let seen = match listed {
            Ok(value) => Observed::Known { at, value },
            Err(error) => {
                failed.push(Source::failed(named(&key), &error));
                Observed::Unknown { why: error.to_string() }
            }
        };
        observed.insert(key, seen);
    }
    (observed, failed)
}

#[cfg(test)]
mod tests {
    use mayfly_core::ids::{Account, Deployment, RunnerId};
    use mayfly_core::policy::Timing;

    use super::*;

    /// Whoever may register runners can give them any name.
    #[test]
    fn runners_with_names_of_pools_without_end_are_told_of() {
        let scope = Scope::Organization(Account::new("shader-slang").unwrap());
        let policy = Policy {
            deployment: Deployment::new("prod").unwrap(),
            pools: Vec::new(),
            timing: Timing::default(),
            waiting_after: None,
        };
        let runner = |number: u64| SeenRunner {
            id: RunnerId(number),
            name: format!("prod-p{number}-0001-abcdefghijkm"),
            online: true,
            busy: false,
        };
        let unseen = |count: u64| {
            let value = (0..count).map(runner).collect();
            let list = Observed::Known { at: jiff::Timestamp::UNIX_EPOCH, value };
            with_unseen(&policy, Vec::new(), &[(scope.clone(), list)].into())
        };
        let (removed, too_many) = unseen(100);
        assert!(removed.len() == 100 && too_many.is_none());
        let (removed, too_many) = unseen(5_000);
        assert!(removed.len() == 100 && too_many.is_some_and(|source| source.why.contains("more than 100")));
    }
}
