//! The world, the table, the time, and what is counted.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_service::simulation::{Compute, Outside};
use simulator::{Api, Request, World};
use simulator_compute::Clients;
use simulator_table::Table;
use tokio::time::Instant;

use crate::answers::Meddling;
use crate::ledger::Ledger;
use crate::line::Line;

/// No invocation needs as many requests; one that sends more is on a way without an end. The largest honest number is that
/// of a list of a hundred thousand VMs, 200 pages, beside 40 pages of deliveries and 100 of the discovery.
const REQUESTS_MOST: u32 = 2_000;
/// The same of the table.
const TABLE_REQUESTS_MOST: u32 = 5_000;

/// The stage. Everything on it is on one thread; the lock is only for the types' sake.
pub struct Stage {
    inner: Mutex<Inner>,
    start: Instant,
    began: Timestamp,
}

/// What is on the stage.
pub struct Inner {
    /// GitHub, Google and the cluster.
    pub world: World,
    /// The table.
    pub table: Table,
    /// What becomes of answers on their way.
    pub meddling: Meddling,
    /// Requests sent to GitHub and the providers.
    pub requests: u32,
    /// Requests sent to the table.
    pub table_requests: u32,
    /// Requests that end something: a VM, or a runner.
    pub ends: Vec<String>,
}

thread_local! {
    static CLOCK: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> Timestamp {
    CLOCK.get().map_or(Timestamp::UNIX_EPOCH, |(began, start)| after(began, start.elapsed()))
}

/// splitmix64
fn chance() -> u64 {
    let state = CHANCE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `time` later.
pub fn after(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Stage {
    /// A stage on which it is `began` now. Chance is the same each time.
    pub fn new(world: World, table: Table, began: Timestamp) -> Arc<Self> {
        let start = Instant::now();
        CLOCK.set(Some((began, start)));
        CHANCE.set(1);
        mayfly_service::simulation::begin(clock, chance);
        let inner = Inner {
            world,
            table,
            meddling: Meddling::default(),
            requests: 0,
            table_requests: 0,
            ends: Vec::new(),
        };
        Arc::new(Self { inner: Mutex::new(inner), start, began })
    }

    /// What is on the stage. Not to be held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        after(self.began, self.start.elapsed())
    }

    /// Waits until then.
    pub async fn sleep_until(&self, time: Timestamp) {
        let since = Duration::try_from(time.duration_since(self.began)).unwrap_or_default();
        tokio::time::sleep_until(self.start + since).await;
    }

    /// The ways to this stage.
    pub fn outside(self: &Arc<Self>) -> Outside {
        let token = self.lock().world.access.gcp_token.clone();
        let clients = Clients::over(Arc::new(Line::new(self, Api::Gcp)), &token);
        Outside {
            github: Arc::new(Line::new(self, Api::GitHub)),
            proxmox: Arc::new(Line::new(self, Api::Proxmox)),
            compute: Compute {
                instances: clients.instances,
                operations: clients.operations,
                regions: clients.regions,
                templates: clients.templates,
            },
            table: Arc::new(Ledger(self.clone())),
            dynamodb: dynamodb(),
        }
    }
}

impl Inner {
    /// Counts a request to GitHub or a provider; ends the run where there are too many.
    pub fn count(&mut self, request: &Request) {
        self.requests += 1;
        assert!(self.requests <= REQUESTS_MOST, "more than {REQUESTS_MOST} requests: {}", request.path);
        if is_end(request) {
            self.ends.push(format!("{} {} {}", request.api.name(), request.method.name(), request.path));
        }
    }

    /// Counts a request to the table.
    pub fn count_table(&mut self) {
        self.table_requests += 1;
        assert!(self.table_requests <= TABLE_REQUESTS_MOST, "more than {TABLE_REQUESTS_MOST} table requests");
    }
}

/// Whether a request ends a VM or a runner.
fn is_end(request: &Request) -> bool {
    request.method == simulator::Method::Delete || request.path.ends_with("/status/stop")
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// A client that only writes requests; one for the process.
fn dynamodb() -> aws_sdk_dynamodb::Client {
    static CLIENT: OnceLock<aws_sdk_dynamodb::Client> = OnceLock::new();
    let make = || {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    };
    CLIENT.get_or_init(make).clone()
}
