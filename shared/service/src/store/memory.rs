//! What one sweep tells the next, and how often a delivery was asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::ids::{Account, PoolName, Repository};
use mayfly_core::policy::Scope;
use mayfly_core::slot::later;
use mayfly_core::sweep::Asked;

use super::item::{DELIVERY, Item, Reader, delivery_key, expiry, memory_key, moment, number, text};
use super::write::{Write, Written};
use super::{Ledger, StoreError};

/// The prefix of the attributes that hold a pool's scope.
const POOL: &str = "pool#";
/// The prefix of the attributes that say since when a pool is empty.
const EMPTIED: &str = "emptied#";
/// The prefix of the attributes that say which failed deliveries of a hook are settled.
const SETTLED: &str = "settled#";
const KEEPING: &str = "keeping the sweep's memory";
const DISCOVERY: &str = "discovery";
const ROUND: &str = "discovery_round";
const SWEPT: &str = "swept_at";

/// GitHub keeps a delivery for three days to be asked for again.
const DELIVERY_KEPT: Duration = Duration::from_secs(4 * 24 * 3600);
/// So many pools are written in one update: an expression of DynamoDB has at most 4 KB.
const POOLS_AT_ONCE: usize = 100;

/// What one sweep tells the next. All of it is advice, except the pools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Pools that were ever served here: one that is configured no more is drained down by itself.
    pub pools: BTreeMap<PoolName, KnownPool>,
    /// Where the search for lost jobs goes on, and when this round of it began; `None` before the first.
    pub discovery: Option<(String, Timestamp)>,
    /// For each hook, until when its failed deliveries are settled.
    pub settled: BTreeMap<String, Timestamp>,
    /// When a sweep last left word here. Not each does: only those that have something to write down, of which the search for
    /// lost jobs is one about every `check_after`.
    pub swept_at: Option<Timestamp>,
}

/// A pool that was served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPool {
    /// Where its runners register.
    pub scope: Scope,
    /// Since when it is seen to have no runner and no job, where it is configured no more.
    pub emptied: Option<Timestamp>,
}

impl KnownPool {
    /// One that is configured, or has runners or jobs.
    pub fn in_use(scope: &Scope) -> Self {
        Self { scope: scope.clone(), emptied: None }
    }
}

impl Memory {
    /// Advice that cannot be read is as good as not there; a pool is not.
    fn read(item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(item);
        let mut memory = Self::default();
        for name in item.keys().collect::<BTreeSet<_>>() {
            if let Some(pool) = name.strip_prefix(POOL) {
                let invalid = || reader.corrupt(format!("{name} is no pool with its scope"));
                let pool = PoolName::new(pool).map_err(|_| invalid())?;
                let scope = reader.maybe_text(name)?.and_then(read_scope).ok_or_else(invalid)?;
                // Not as it is written: then it is as good as in use, and looked after for longer.
                let emptied = reader.maybe_moment(&format!("{EMPTIED}{pool}")).unwrap_or_default();
                memory.pools.insert(pool, KnownPool { scope, emptied });
            } else if let Some(hook) = name.strip_prefix(SETTLED)
                && let Ok(Some(at)) = reader.maybe_moment(name)
            {
                memory.settled.insert(hook.to_owned(), at);
            }
        }
        if let (Ok(Some(cursor)), Ok(Some(round))) =
            (reader.maybe_text(DISCOVERY), reader.maybe_moment(ROUND))
        {
            memory.discovery = Some((cursor.to_owned(), round));
        }
        memory.swept_at = reader.maybe_moment(SWEPT).unwrap_or_default();
        Ok(memory)
    }
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::Organization(name) => format!("organization:{name}"),
        Scope::Repository(name) => format!("repository:{name}"),
        Scope::Enterprise(slug) => format!("enterprise:{slug}"),
    }
}

fn read_scope(text: &str) -> Option<Scope> {
    match text.split_once(':')? {
        ("organization", name) => Account::new(name).ok().map(Scope::Organization),
        ("repository", name) => Repository::new(name).ok().map(Scope::Repository),
        ("enterprise", slug) => Account::new(slug).ok().map(Scope::Enterprise),
        _ => None,
    }
}

impl Ledger {
    /// What earlier sweeps left to know.
    pub async fn memory(&self) -> Result<Memory, StoreError> {
        let item = self.get(memory_key(), "reading the sweep's memory").await?;
        Memory::read(&item.unwrap_or_default())
    }

    /// Remembers pools, and forgets others.
    pub async fn remember_pools(
        &self,
        add: &BTreeMap<PoolName, KnownPool>,
        forget: &[PoolName],
    ) -> Result<(), StoreError> {
        let names = |pool: &PoolName| [format!("{POOL}{pool}"), format!("{EMPTIED}{pool}")];
        let add: Vec<_> = add.iter().collect();
        for some in add.chunks(POOLS_AT_ONCE) {
            let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
            for (pool, known) in some {
                let [scope, emptied] = names(pool);
                set.insert(scope, text(scope_text(&known.scope)));
                match known.emptied {
                    Some(at) => _ = set.insert(emptied, moment(at)),
                    None => remove.push(emptied),
                }
            }
            self.change_attributes(memory_key(), set, &remove, KEEPING).await?;
        }
        let stays = |pool: &PoolName| add.iter().any(|(added, _)| *added == pool);
        let forget: BTreeSet<&PoolName> = forget.iter().filter(|pool| !stays(pool)).collect();
        for some in forget.into_iter().collect::<Vec<_>>().chunks(POOLS_AT_ONCE) {
            let remove: Vec<String> = some.iter().flat_map(|pool| names(pool)).collect();
            self.change_attributes(memory_key(), BTreeMap::new(), &remove, KEEPING).await?;
        }
        Ok(())
    }

    /// Remembers where the search for lost jobs goes on, and when this round of it began.
    pub async fn remember_discovery(
        &self,
        cursor: &str,
        round: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let set = [
            (DISCOVERY.to_owned(), text(cursor)),
            (ROUND.to_owned(), moment(round)),
            (SWEPT.to_owned(), moment(now)),
        ];
        self.put_memory(set.into()).await
    }

    /// Remembers until when the failed deliveries of these hooks are settled; what is known of others stays.
    pub async fn remember_settled(&self, settled: &BTreeMap<String, Timestamp>) -> Result<(), StoreError> {
        let set = settled.iter().map(|(hook, at)| (format!("{SETTLED}{hook}"), moment(*at)));
        self.put_memory(set.collect()).await
    }

    /// How often, and when last, each of these deliveries (by GUID) was asked for again. One that never was is left out;
    /// so is one whose item cannot be read, and then [`Ledger::redelivery`] refuses it.
    pub async fn redeliveries(
        &self,
        guids: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Asked>, StoreError> {
        let mut asked = BTreeMap::new();
        for item in self.batches(guids.iter().map(|guid| delivery_key(guid)), "reading deliveries").await? {
            match Reader::new(&item).delivery() {
                Ok((guid, times)) => _ = asked.insert(guid.to_owned(), times),
                Err(error) => {
                    tracing::error!(%error, "a failed delivery's record cannot be read: it is not asked for again")
                }
            }
        }
        Ok(asked)
    }

    /// Counts one more, where the delivery was asked for `times` times before; `false` when somebody else was quicker.
    pub async fn redelivery(&self, guid: &str, times: u32, now: Timestamp) -> Result<bool, StoreError> {
        let condition = if times == 0 { "attribute_not_exists(pk)" } else { "asked = :times" };
        let update = "SET asked = :next, asked_at = :now, expires_at = :expires_at";
        let write = Write::update(delivery_key(guid), update, condition)
            .value(":next", number(times.saturating_add(1)))
            .value(":now", moment(now))
            .value(":expires_at", expiry(later(now, DELIVERY_KEPT)));
        let write = if times == 0 { write } else { write.value(":times", number(times)) };
        Ok(matches!(self.write(write, "counting a redelivery").await?, Written::Before(_)))
    }

    async fn put_memory(&self, set: BTreeMap<String, AttributeValue>) -> Result<(), StoreError> {
        self.put_attributes(memory_key(), set, KEEPING).await
    }
}

impl Reader<'_> {
    fn delivery(&self) -> Result<(&str, Asked), StoreError> {
        let guid = self.text("pk")?.strip_prefix(DELIVERY);
        let guid = guid.ok_or_else(|| self.corrupt("its key names no delivery"))?;
        let times = self.maybe_number("asked")?.ok_or_else(|| self.corrupt("asked is missing"))?;
        Ok((guid, Asked { times, at: self.moment("asked_at")? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_back_as_it_was_written() {
        let account = Account::new("shader-slang").unwrap();
        let repository = Repository::new("shader-slang/slang").unwrap();
        for scope in
            [Scope::Organization(account.clone()), Scope::Repository(repository), Scope::Enterprise(account)]
        {
            assert_eq!(read_scope(&scope_text(&scope)), Some(scope));
        }
        for wrong in ["", "organization", "organization:", "planet:mars", "repository:slang"] {
            assert_eq!(read_scope(wrong), None, "{wrong}");
        }
    }
}
