//! What a history is played on: the world, the table, the time, and what goes wrong now.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use simulator::{Request, Response, World};
use simulator_table::Table;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::check::{Broken, Sources};
use crate::coverage::Coverage;
use crate::plan::{Service, Trouble};

/// The stage. Everything on it is on one thread; the lock is only for the types' sake.
pub struct Stage {
    inner: Mutex<Inner>,
    /// Something happened that may have changed what comes next.
    pub changed: Notify,
    start: Instant,
    began: Timestamp,
}

/// What is on the stage.
pub struct Inner {
    /// GitHub, Google and the cluster.
    pub world: World,
    /// The table.
    pub table: Table,
    /// For all that is left to chance outside of world and program.
    pub chance: Chance,
    /// What goes wrong by chance.
    pub troubles: BTreeMap<Trouble, f64>,
    /// Until when a service is away.
    pub outages: BTreeMap<Service, Timestamp>,
    /// Requests that are still on their way.
    pub late: Vec<LateRequest>,
    /// What happened, counted.
    pub coverage: Coverage,
    /// How many runners each pool keeps warm, where that is the same all the time.
    pub warm: BTreeMap<&'static str, usize>,
    /// Pools that were ever drained.
    pub drained: BTreeSet<String>,
    /// Runners that GitHub was asked to let go while they were not busy.
    pub let_go: BTreeSet<String>,
    /// What each sweep could not read.
    pub sources: BTreeMap<Invocation, Sources>,
    /// The first promise that was seen broken.
    pub broken: Option<Broken>,
    /// What was noted, where somebody wants to read it.
    pub notes: Option<Vec<Note>>,
    /// A digest of all that happened.
    pub digest: Digest,
}

/// A line of a history.
#[derive(Debug, Clone)]
pub struct Note {
    /// When.
    pub time: Timestamp,
    /// What.
    pub text: String,
}

/// An invocation's number.
pub type Invocation = u64;

/// A request that takes effect later.
pub struct LateRequest {
    /// When.
    pub due: Timestamp,
    /// What.
    pub request: Request,
    /// Who may still wait for it.
    pub answer: oneshot::Sender<Option<Response>>,
    /// Whose it is.
    pub by: Invocation,
}

/// A number that differs when anything in the history does (FNV-1a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    /// Of nothing.
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in more.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

thread_local! {
    static CLOCK: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    static SKEW: Cell<i64> = const { Cell::new(0) };
    static CURRENT: Cell<Invocation> = const { Cell::new(0) };
    static PROGRAM: Cell<Chance> = const { Cell::new(Chance::new(0)) };
}

/// The clock of whoever is running, skewed as its environment's is.
fn clock() -> Timestamp {
    let Some((began, start)) = CLOCK.get() else { return Timestamp::UNIX_EPOCH };
    let now = after(began, start.elapsed());
    let skew = jiff::SignedDuration::from_millis(SKEW.get());
    now.checked_add(skew).unwrap_or(now)
}

fn program_chance() -> u64 {
    let mut chance = PROGRAM.get();
    let bits = chance.bits();
    PROGRAM.set(chance);
    bits
}

/// Who is running on this thread: its number, and by how many milliseconds its clock is wrong.
pub fn enter(invocation: Invocation, skew: i64) {
    CURRENT.set(invocation);
    SKEW.set(skew);
}

/// Who is running on this thread.
pub fn current() -> Invocation {
    CURRENT.get()
}

/// `time` later.
pub fn after(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Stage {
    /// A stage for this world; time begins now, at `began`.
    pub fn new(inner: Inner, began: Timestamp, seed: u64) -> Arc<Self> {
        let start = Instant::now();
        CLOCK.set(Some((began, start)));
        PROGRAM.set(Chance::new(seed));
        enter(0, 0);
        mayfly_service::simulation::begin(clock, program_chance);
        Arc::new(Self { inner: Mutex::new(inner), changed: Notify::new(), start, began })
    }

    /// What is on the stage. Not to be held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        after(self.began, self.start.elapsed())
    }

    /// When the world's time was zero.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The program's name for a moment of the world's.
    pub fn instant(&self, time: Timestamp) -> Instant {
        self.start + Duration::try_from(time.duration_since(self.began)).unwrap_or_default()
    }

    /// Waits until then.
    pub async fn sleep_until(&self, time: Timestamp) {
        tokio::time::sleep_until(self.instant(time)).await;
    }

    /// Notes something.
    pub fn note(&self, text: impl FnOnce() -> String) {
        let now = self.now();
        self.lock().note(now, text);
    }
}

impl Inner {
    /// Notes something.
    pub fn note(&mut self, time: Timestamp, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note { time, text: text() });
        }
    }

    /// Whether a trouble strikes now.
    pub fn strikes(&mut self, trouble: Trouble) -> bool {
        let Some(rate) = self.troubles.get(&trouble).copied() else { return false };
        let strikes = rate > 0.0 && self.chance.fraction() < rate;
        if strikes {
            self.coverage.trouble(trouble);
        }
        strikes
    }

    /// Whether nothing reaches a service now.
    pub fn is_away(&mut self, service: Service, now: Timestamp) -> bool {
        let away = self.outages.get(&service).is_some_and(|until| now < *until);
        if away {
            self.coverage.add("outage", format!("{service:?}"));
        }
        away
    }

    /// Counts how often each trouble struck that the world leaves to chance.
    pub fn count_chances(&mut self) {
        for (trouble, times) in crate::troubles::struck_by_chance(&self.world.faults) {
            if times > 0 {
                self.coverage.count("trouble", format!("{trouble:?}"), times);
            }
        }
    }

    /// Keeps the first promise that was broken.
    pub fn break_promise(&mut self, broken: Broken) {
        if self.broken.is_none() {
            self.note(broken.time, || format!("BROKEN {}", broken));
            self.broken = Some(broken);
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}
