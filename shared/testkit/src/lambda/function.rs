//! A function with one environment at a time.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::environment::{Answer, Environment, Work};
use super::launch::Launch;
use super::record::{Event, Record};
use crate::background::lock;

/// Why a function could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be run at all.
    #[error("can't start {program}: {source}")]
    Spawn {
        /// The program's path.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The program ended, reported an error or took too long before it waited for its first event.
    #[error("init failed: {reason}; its output:\n{log}")]
    Init {
        /// What happened.
        reason: String,
        /// All that the program printed, earlier environments included.
        log: String,
    },
    /// The emulation itself could not get what it needs (a port, a temporary file).
    #[error("the emulation can't start: {0}")]
    Emulation(#[source] io::Error),
}

/// Why an invocation did not come about. A function that fails is no error here, but in [`Invocation::response`].
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No environment was up, and none could be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// All environments are busy and no more may be started; Lambda's 429.
    #[error("throttled: all {limit} environments are busy")]
    Throttled {
        /// The fleet's limit.
        limit: usize,
    },
    /// The environment was killed before it took the invocation.
    #[error("the environment was killed before the invocation reached it")]
    Gone,
}

/// What Lambda reports for an invocation that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct FunctionError {
    /// `errorType`: the program's own, or Lambda's (`Sandbox.Timedout`, `Runtime.ExitError`, …).
    pub error_type: String,
    /// `errorMessage`.
    pub message: String,
}

impl FunctionError {
    pub(crate) fn new(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error_type: error_type.into(), message: message.into() }
    }
}

/// How an invocation ended, the work after its answer included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Runtime and extensions wait for their next event, and the process is stopped.
    Frozen,
    /// It was not over at the function's timeout, and the process was killed.
    TimedOut,
    /// The process ended by itself; exit code or signal, in words.
    Exited(String),
    /// The test killed the process.
    Killed,
}

/// An invocation that was answered, or failed.
#[derive(Debug)]
pub struct Invocation {
    /// The invocation's id, as the function saw it.
    pub request_id: String,
    /// The runtime's response, or why there is none.
    pub response: Result<Value, FunctionError>,
    /// From the invocation to its answer; the start of the process not included.
    pub answered_after: Duration,
    end: watch::Receiver<Option<End>>,
}

impl Invocation {
    /// Waits until all is over, at the latest at the function's timeout.
    pub async fn finished(&self) -> End {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(end) => (*end).clone().unwrap_or(End::Killed),
            Err(_) => End::Killed,
        }
    }

    /// Whether all is over.
    pub fn is_finished(&self) -> bool {
        self.end.borrow().is_some()
    }
}

/// A function with one environment at a time. Dropping it kills the process.
pub struct Function {
    launch: Launch,
    record: Arc<Record>,
    slot: Arc<Semaphore>,
    environment: Mutex<Option<Arc<Environment>>>,
}

impl Function {
    /// Starts the program and waits until it is initialised, and thereby frozen.
    ///
    /// # Errors
    /// [`StartError`]; for a program that stops at start its reason and output.
    pub async fn start(launch: Launch) -> Result<Self, StartError> {
        let function = Self::dormant(launch)?;
        function.environment().await?;
        Ok(function)
    }

    /// A function whose environment starts with the first invocation.
    ///
    /// # Errors
    /// [`StartError::Emulation`] if there is no place for its output.
    pub fn dormant(launch: Launch) -> Result<Self, StartError> {
        let record = Arc::new(Record::new().map_err(StartError::Emulation)?);
        Ok(Self { launch, record, slot: Arc::new(Semaphore::new(1)), environment: Mutex::default() })
    }

    /// Invokes the function and waits for its answer. If an earlier invocation is not over (answered and frozen again),
    /// waits for that first; if the environment has died, starts another.
    ///
    /// # Errors
    /// [`InvokeError`], never `Throttled`.
    pub async fn invoke(&self, payload: Value) -> Result<Invocation, InvokeError> {
        let slot = self.slot.clone();
        let permit = slot.acquire_owned().await.map_err(|_| InvokeError::Gone)?;
        self.invoke_with(permit, payload).await
    }

    /// The right to the next invocation, if the environment is free.
    pub(crate) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        self.slot.clone().try_acquire_owned().ok()
    }

    /// Whether no invocation is under way.
    pub(crate) fn is_free(&self) -> bool {
        self.slot.available_permits() > 0
    }

    pub(crate) async fn invoke_with(
        &self,
        permit: OwnedSemaphorePermit,
        payload: Value,
    ) -> Result<Invocation, InvokeError> {
        let environment = self.environment().await?;
        let (answer, is_answered) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        environment.invoke(Work { payload, answer, end, permit });
        let Answer { request_id, response, after } = is_answered.await.map_err(|_| InvokeError::Gone)?;
        Ok(Invocation { request_id, response, answered_after: after, end: ended })
    }

    /// The environment, started if there is none. Only whoever holds the permit (or nobody else yet) calls this.
    pub(crate) async fn environment(&self) -> Result<Arc<Environment>, StartError> {
        let current = lock(&self.environment).clone().filter(|environment| environment.alive());
        if let Some(environment) = current {
            return Ok(environment);
        }
        let environment = Arc::new(Environment::start(&self.launch, &self.record).await?);
        *lock(&self.environment) = Some(environment.clone());
        Ok(environment)
    }

    /// Kills the process (`SIGKILL`), whatever it is doing, and waits until it is gone. An invocation under way ends as
    /// [`End::Killed`]; the next one starts another process.
    pub async fn kill(&self) {
        let environment = lock(&self.environment).take();
        if let Some(environment) = environment {
            environment.kill().await;
        }
    }

    /// Whether the process is stopped, waiting for an invocation.
    pub fn frozen(&self) -> bool {
        self.record.frozen()
    }

    /// All that the program printed so far, on stdout and stderr, over all environments.
    pub fn log(&self) -> String {
        self.record.log()
    }

    /// What happened so far, in order, over all environments.
    pub fn events(&self) -> Vec<Event> {
        self.record.events()
    }

    /// How many times the process had to be started again.
    pub fn restart_count(&self) -> u32 {
        self.record.environments().saturating_sub(1)
    }

    /// How long the current environment's init took, from the start of the process until it waited for an event.
    pub fn init_duration(&self) -> Option<Duration> {
        self.record.init()
    }

    /// The process id, while there is a process.
    pub fn pid(&self) -> Option<i32> {
        self.record.process().map(|pid| pid.as_raw_nonzero().get())
    }

    /// The most memory that the process has had resident, in bytes (`VmHWM`); Linux only.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}
