//! What happened to a function's environments, and all that they printed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Pid;

use crate::background::lock;

/// Something that happened to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which of the function's environments: 1 for the first, one more for each started after an earlier one died.
    pub environment: u32,
    /// When, for comparison with other instants of the test's process.
    pub at: Instant,
    /// When, by the wall clock.
    pub time: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// What can happen to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The process was started.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// An invocation began.
    Invoked {
        /// The invocation's id.
        request_id: String,
    },
    /// The runtime posted the invocation's response.
    Responded {
        /// The invocation's id.
        request_id: String,
    },
    /// The runtime posted an error in place of a response.
    Failed {
        /// The invocation's id.
        request_id: String,
        /// The error's `errorType`.
        error_type: String,
    },
    /// The runtime asked for its next event and waits.
    RuntimeWaits,
    /// An extension asked for its next event and waits.
    ExtensionWaits {
        /// The name it registered with.
        name: String,
    },
    /// The process is stopped.
    Frozen,
    /// The process was continued.
    Thawed,
    /// The invocation's deadline passed; the process was killed.
    TimedOut,
    /// The process ended by itself.
    Exited {
        /// Exit code or signal, in words.
        status: String,
    },
    /// The test killed the process.
    Killed,
}

/// The record of one function, over all its environments.
pub(crate) struct Record {
    /// Takes the children's output. A file rather than a pipe: what was written is there at once, in order, whatever
    /// happens to the writer; and one without a name, so that nothing is left of it.
    output: File,
    events: Mutex<Vec<Event>>,
    environments: AtomicU32,
    frozen: AtomicBool,
    process: Mutex<Option<Pid>>,
    init: Mutex<Option<Duration>>,
}

impl Record {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            output: tempfile::tempfile()?,
            events: Mutex::default(),
            environments: AtomicU32::new(0),
            frozen: AtomicBool::new(false),
            process: Mutex::default(),
            init: Mutex::default(),
        })
    }

    /// The file for a child's stdout and stderr. All handles share one position, so that nothing is overwritten.
    pub(crate) fn output(&self) -> io::Result<File> {
        self.output.try_clone()
    }

    /// Everything printed so far; if it can't be read, as far as it can.
    pub(crate) fn log(&self) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            // By position: reading must not move the writers' shared one.
            match self.output.read_at(&mut buffer, bytes.len() as u64) {
                Ok(0) | Err(_) => return String::from_utf8_lossy(&bytes).into_owned(),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    pub(crate) fn add(&self, environment: u32, kind: EventKind) {
        lock(&self.events).push(Event { environment, at: Instant::now(), time: SystemTime::now(), kind });
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// Takes down a new environment's process; gives the environment's number.
    pub(crate) fn started(&self, pid: Pid) -> u32 {
        let environment = self.environments.fetch_add(1, Ordering::SeqCst) + 1;
        *lock(&self.process) = Some(pid);
        self.add(environment, EventKind::Started { pid: pid.as_raw_nonzero().get() });
        environment
    }

    pub(crate) fn initialised(&self, after: Duration) {
        *lock(&self.init) = Some(after);
    }

    /// Forgets a process, unless its successor was started already.
    pub(crate) fn ended(&self, pid: Pid) {
        let mut process = lock(&self.process);
        if *process == Some(pid) {
            *process = None;
            self.frozen.store(false, Ordering::SeqCst);
        }
    }

    pub(crate) fn set_frozen(&self, environment: u32, frozen: bool) {
        self.add(environment, if frozen { EventKind::Frozen } else { EventKind::Thawed });
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    pub(crate) fn frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    pub(crate) fn process(&self) -> Option<Pid> {
        *lock(&self.process)
    }

    pub(crate) fn environments(&self) -> u32 {
        self.environments.load(Ordering::SeqCst)
    }

    pub(crate) fn init(&self) -> Option<Duration> {
        *lock(&self.init)
    }
}
