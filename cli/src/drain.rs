//! `mayfly drain`: a pool runs dry, or serves again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::PoolName;
use mayfly_core::slot::PhaseKind;
use mayfly_core::sweep::PoolLedger;
use mayfly_service::config::Config;
use mayfly_service::store::{Ledger, StoreError};
use mayfly_service::telemetry;
use tokio::time::{Instant, sleep_until};

use crate::args::DrainArgs;
use crate::error::Error;
use crate::progress::{Progress, during};
use crate::signals::Signals;
use crate::table::aws_config;
use crate::tell::tell;

/// How far apart looks at the pool are, right after a change and when nothing changes for a while.
const LOOK_SOON: Duration = Duration::from_secs(2);
const LOOK_SELDOM: Duration = Duration::from_secs(15);
/// So many looks in a row may fail: some minutes. Longer is no passing trouble, such as credentials that have expired.
const LOOKS_FAILED_MOST: u32 = 20;

/// Sets the flag or takes it back, says how the pool stands, and waits where that is asked for.
pub async fn run(args: DrainArgs) -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let config = Config::load()?;
    let pool = known_pool(&config, &args.pool)?;
    let policy = &config.policy;
    let mut signals = Signals::catch()?;
    let ledger = Ledger::new(
        &aws_config().await,
        config.table.clone(),
        policy.deployment.clone(),
        policy.timing.retention,
    );
    let (done, standing) = during("asking the table", set(&ledger, &pool, args.resume)).await?;
    say(&pool, done, &standing)?;
    if args.resume {
        return Ok(());
    }
    if !args.wait {
        return Ok(());
    }
    let deadline = Instant::now().checked_add(args.timeout);
    let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 3600));
    tokio::select! {
        waited = wait(&ledger, &pool, standing, deadline) => waited,
        signal = signals.next() => {
            let why = format!("{signal}: not waited for any more; it stays drained until `--resume`");
            Err(Error::NotDrained { pool: pool.clone(), why })
        }
    }
}

/// Drains a pool, or ends its drain; what that changed, and how the pool stands.
async fn set(ledger: &Ledger, pool: &PoolName, resume: bool) -> Result<(&'static str, Standing), StoreError> {
    let done = if !resume {
        ledger.drain(pool, now()).await?;
        "drained"
    } else if ledger.resume(pool).await? {
        "resumed"
    } else {
        "was not drained"
    };
    Ok((done, Standing::look(ledger, pool).await?))
}

/// The milliseconds that the table keeps.
fn now() -> Timestamp {
    mayfly_service::store::to_milliseconds(mayfly_service::clock::now())
}

fn known_pool(config: &Config, name: &str) -> Result<PoolName, Error> {
    let pools = || config.policy.pools.iter().map(|pool| &pool.name);
    let known = pools().find(|known| known.as_str() == name);
    known.cloned().ok_or_else(|| Error::UnknownPool {
        name: name.to_owned(),
        configured: pools().map(|known| format!("`{known}`")).collect(),
    })
}

/// Returns when no slot of the pool is taken.
async fn wait(
    ledger: &Ledger,
    pool: &PoolName,
    mut standing: Standing,
    deadline: Instant,
) -> Result<(), Error> {
    let (mut pause, mut failed) = (LOOK_SOON, 0);
    let progress = Progress::begin();
    while standing.taken() > 0 {
        let now = Instant::now();
        if now >= deadline {
            let why = format!("not empty within --timeout: {standing}; it stays drained until `--resume`");
            return Err(Error::NotDrained { pool: pool.clone(), why });
        }
        let looking = async {
            sleep_until((now + pause).min(deadline)).await;
            Standing::look(ledger, pool).await
        };
        let looked = progress.during(format_args!("waiting for pool {pool}: {standing}"), looking).await;
        pause = (pause * 3 / 2).min(LOOK_SELDOM);
        let seen = match looked {
            Ok(seen) => seen,
            Err(error) => {
                failed += 1;
                if failed >= LOOKS_FAILED_MOST {
                    return Err(error.into());
                }
                tracing::warn!(%error, "the pool could not be looked at; trying again");
                continue;
            }
        };
        failed = 0;
        if !seen.is_draining {
            let why = format!("somebody resumed it meanwhile: {seen}");
            return Err(Error::NotDrained { pool: pool.clone(), why });
        }
        if seen != standing {
            say(pool, "drained", &seen)?;
            (standing, pause) = (seen, LOOK_SOON);
        }
    }
    Ok(())
}

fn say(pool: &PoolName, done: &str, standing: &Standing) -> Result<(), Error> {
    tell(format_args!("pool {pool}: {done}; {standing}"))
}

/// How a pool stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    is_draining: bool,
    /// Taken slots by phase.
    slots: BTreeMap<PhaseKind, usize>,
    /// Taken slots whose record cannot be read. A VM may stand behind each.
    unreadable: usize,
    waiting: usize,
}

impl Standing {
    async fn look(ledger: &Ledger, pool: &PoolName) -> Result<Self, StoreError> {
        let (ledger, corrupt) = ledger.pool_ledger(pool).await?;
        Ok(Self::of(&ledger, &corrupt))
    }

    fn of(ledger: &PoolLedger, corrupt: &[StoreError]) -> Self {
        let mut slots = BTreeMap::new();
        for slot in &ledger.slots {
            *slots.entry(slot.phase.kind()).or_default() += 1;
        }
        let is_slot = |error: &&StoreError| match error {
            StoreError::Corrupt { key, .. } => key.contains(" / slot#"),
            StoreError::Unavailable { .. } | StoreError::Missing { .. } => false,
        };
        Self {
            is_draining: ledger.state.draining.is_some(),
            slots,
            unreadable: corrupt.iter().filter(is_slot).count(),
            waiting: ledger.waiting.len(),
        }
    }

    /// How many slots are taken.
    fn taken(&self) -> usize {
        self.slots.values().sum::<usize>() + self.unreadable
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last_first = self.slots.iter().rev().map(|(phase, number)| format!("{number} {phase}"));
        let unreadable = (self.unreadable > 0).then(|| format!("{} unreadable", self.unreadable));
        let parts: Vec<String> = last_first.chain(unreadable).collect();
        match self.taken() {
            0 => f.write_str("no runner left")?,
            1 => write!(f, "1 runner left ({})", parts.join(", "))?,
            taken => write!(f, "{taken} runners left ({})", parts.join(", "))?,
        }
        match self.waiting {
            0 => f.write_str(", no job waits"),
            1 => f.write_str(", 1 job waits"),
            waiting => write!(f, ", {waiting} jobs wait"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_pool_stands_is_said_in_plain_words() {
        let standing = |slots: &[(PhaseKind, usize)], unreadable, waiting| {
            let slots = slots.iter().copied().collect();
            Standing { is_draining: true, slots, unreadable, waiting }.to_string()
        };
        for (said, expected) in [
            (standing(&[], 0, 0), "no runner left, no job waits"),
            (standing(&[(PhaseKind::Idle, 1)], 0, 1), "1 runner left (1 idle), 1 job waits"),
            (
                standing(&[(PhaseKind::Booting, 1), (PhaseKind::Busy, 2)], 0, 4),
                "3 runners left (2 busy, 1 booting), 4 jobs wait",
            ),
            (standing(&[(PhaseKind::Busy, 1)], 1, 0), "2 runners left (1 busy, 1 unreadable), no job waits"),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_slot_that_cannot_be_read_is_waited_for_and_an_entry_of_the_queue_is_not() {
        let ledger = PoolLedger::empty(PoolName::new("linux").unwrap());
        let corrupt = |key: &str| StoreError::Corrupt { key: key.to_owned(), why: "phase".to_owned() };
        let standing =
            Standing::of(&ledger, &[corrupt("pool#linux / slot#0001"), corrupt("pool#linux / wait#0")]);
        assert_eq!(standing.taken(), 1);
    }
}
