//! What a sweep keeps for the next: which pools there are or were, and which deliveries are settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::PoolName;
use mayfly_core::policy::{Pool, Scope};
use mayfly_core::slot::later;
use mayfly_core::sweep::{Plan, PoolLedger, World};

use super::Source;
use crate::mayfly::Mayfly;
use crate::store::{KnownPool, Memory, StoreError};

/// A removed pool is looked after for so long after it was seen empty. An invocation that began with the configuration of
/// before, of a function that is told of the new one later than the sweeper is, can still take a slot there; and an orphan
/// has its grace.
const WATCHED: Duration = Duration::from_secs(24 * 3600);

impl Mayfly {
    /// Writes down what the next sweep has to know; the pools of which it will.
    pub(super) async fn note_for_the_next(
        &self,
        memory: Option<&Memory>,
        world: &World,
        plan: &Plan,
        failed: &mut Vec<Source>,
    ) -> BTreeSet<PoolName> {
        // One that says how far its slots reach was made known before it said so.
        let says = world.pools.iter().filter(|ledger| ledger.state.limit.is_some());
        let mut known: BTreeSet<PoolName> = says.map(|ledger| ledger.pool.clone()).collect();
        let noted = match memory {
            Some(memory) => {
                known.extend(memory.pools.keys().cloned());
                let noted = self.remember_what_was_seen(memory, world, plan).await;
                noted.map(|()| world.pools.iter().map(|ledger| ledger.pool.clone()).collect::<Vec<_>>())
            }
            // What cannot be read can still be written: a new pool is not to wait until somebody has mended the rest.
            None => {
                let new = new_pools(&self.policy.pools, &world.pools);
                self.ledger.remember_pools(&new, &[]).await.map(|()| new.into_keys().collect())
            }
        };
        match noted {
            Ok(pools) => known.extend(pools),
            Err(error) => failed.push(Source::failed("the sweep's memory".to_owned(), &error)),
        }
        known
    }

    async fn remember_what_was_seen(
        &self,
        memory: &Memory,
        world: &World,
        plan: &Plan,
    ) -> Result<(), StoreError> {
        let (new, forget) = self.pools_to_know(memory, world);
        for pool in &forget {
            self.ledger.forget_limit(pool).await?;
        }
        if !new.is_empty() || !forget.is_empty() {
            self.ledger.remember_pools(&new, &forget).await?;
        }
        let settled = plan.settled.iter().filter(|(hook, at)| memory.settled.get(*hook) != Some(at));
        let settled: BTreeMap<_, _> = settled.map(|(hook, at)| (hook.clone(), *at)).collect();
        self.ledger.remember_settled(&settled).await
    }

    /// The pools whose memory changes, and those to forget. One that was not read, or that has moved with runners left where
    /// it was, stays as it is remembered.
    fn pools_to_know(
        &self,
        memory: &Memory,
        world: &World,
    ) -> (BTreeMap<PoolName, KnownPool>, Vec<PoolName>) {
        let ledger = |pool: &Pool| world.pools.iter().find(|ledger| ledger.pool == pool.name);
        let served = self.policy.pools.iter().filter(|pool| ledger(pool).is_some());
        let served = served.map(|pool| (&pool.name, Some(KnownPool::in_use(&pool.scope))));
        let removed = world.removed.iter().filter_map(|pool| {
            let empty = is_empty(ledger(pool)?);
            Some((&pool.name, removed_pool(memory.pools.get(&pool.name), &pool.scope, empty, world.now)))
        });
        let (mut new, mut forget) = (BTreeMap::new(), Vec::new());
        for (name, pool) in served.chain(removed) {
            match pool {
                Some(pool) if memory.pools.get(name) != Some(&pool) => _ = new.insert(name.clone(), pool),
                None if memory.pools.contains_key(name) => forget.push(name.clone()),
                Some(_) | None => {}
            }
        }
        (new, forget)
    }
}

/// The configured pools that were read, and that no sweep has seen before. Of one that was not read nobody can say where its
/// runners are.
fn new_pools(configured: &[Pool], read: &[PoolLedger]) -> BTreeMap<PoolName, KnownPool> {
    let unseen = read.iter().filter(|ledger| ledger.state.limit.is_none());
    let pools = unseen.filter_map(|ledger| configured.iter().find(|pool| pool.name == ledger.pool));
    pools.map(|pool| (pool.name.clone(), KnownPool::in_use(&pool.scope))).collect()
}

fn is_empty(ledger: &PoolLedger) -> bool {
    ledger.slots.is_empty() && ledger.waiting.is_empty() && ledger.notices.is_empty()
}

/// What is to be known of a pool that is configured no more; `None` once it has been empty for long enough.
fn removed_pool(known: Option<&KnownPool>, scope: &Scope, empty: bool, now: Timestamp) -> Option<KnownPool> {
    if !empty {
        return Some(KnownPool::in_use(scope));
    }
    let emptied = known?.emptied.unwrap_or(now);
    (now < later(emptied, WATCHED)).then(|| KnownPool { scope: scope.clone(), emptied: Some(emptied) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mayfly_core::audience::Audience;
    use mayfly_core::gate::PoolState;
    use mayfly_core::ids::Account;
    use mayfly_core::labels::Labels;
    use mayfly_core::policy::Platform;
    use std::num::NonZeroU16;

    #[test]
    fn of_pools_that_were_read_those_that_no_sweep_has_seen_are_new() {
        let scope = Scope::Organization(Account::new("shader-slang").unwrap());
        let name = |name: &str| PoolName::new(name).unwrap();
        let pool = |called: &str| Pool {
            name: name(called),
            labels: Labels::new(["gpu"]),
            scope: scope.clone(),
            repositories: Vec::new(),
            audience: Audience::ALL,
            runner_group: "default".into(),
            platform: Platform::Linux,
            max_runners: NonZeroU16::MIN,
            min_runners: 0,
            boot_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            max_lifetime: Duration::ZERO,
            placements: Vec::new(),
        };
        let read = |called: &str, limit| PoolLedger {
            pool: name(called),
            slots: Vec::new(),
            unreadable: BTreeSet::new(),
            waiting: Vec::new(),
            asked: BTreeMap::new(),
            notices: Vec::new(),
            state: PoolState { limit, ..PoolState::default() },
        };
        let configured = ["new", "seen", "not-read"].map(pool);
        let ledgers = [read("new", None), read("seen", Some(1)), read("removed", None)];
        let expected = BTreeMap::from([(name("new"), KnownPool::in_use(&scope))]);
        assert_eq!(new_pools(&configured, &ledgers), expected);
    }

    #[test]
    fn a_removed_pool_is_known_until_it_has_been_empty_for_a_day() {
        let scope = Scope::Organization(Account::new("shader-slang").unwrap());
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let emptied = |second| Some(KnownPool { scope: scope.clone(), emptied: Some(at(second)) });
        let used = Some(KnownPool::in_use(&scope));
        let table = [
            ("it has runners", used.clone(), false, 0, used.clone()),
            ("runners, of which no sweep knew", None, false, 0, used.clone()),
            ("nobody knew it, and it is empty", None, true, 0, None),
            ("it is empty for the first time", used.clone(), true, 5, emptied(5)),
            ("it stays empty", emptied(5), true, 86_404, emptied(5)),
            ("it was empty for a day", emptied(5), true, 86_405, None),
            ("somebody took a slot there after all", emptied(5), false, 86_500, used),
        ];
        for (what, known, empty, now, expected) in table {
            assert_eq!(removed_pool(known.as_ref(), &scope, empty, at(now)), expected, "{what}");
        }
    }
}
