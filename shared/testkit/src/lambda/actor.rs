//! The task that owns an environment's process and decides, from what its runtime and extensions ask for, when it is
//! initialised, when an invocation is over, and when it is frozen.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::environment::{Answer, Message, NextEvent, Work};
use super::function::{End, FunctionError};
use super::launch::Launch;
use super::process::Process;
use super::record::{EventKind, Record};

/// Killed processes are reaped within microseconds; this bounds the wait for one stuck in the kernel.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// Longer than any test: the "deadline" of an environment that waits for work.
const NEVER: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Actor {
    process: Process,
    launch: Launch,
    record: Arc<Record>,
    /// The runtime's pending request for its next event.
    runtime: Option<oneshot::Sender<NextEvent>>,
    /// By identifier.
    extensions: BTreeMap<String, Extension>,
    phase: Phase,
}

struct Extension {
    name: String,
    /// Its pending request for its next event.
    waits: Option<oneshot::Sender<NextEvent>>,
}

enum Phase {
    Init { ready: oneshot::Sender<Result<(), String>>, since: Instant },
    Frozen,
    Busy(Current),
}

struct Current {
    request_id: String,
    since: Instant,
    /// Taken when the invocation is answered.
    answer: Option<oneshot::Sender<Answer>>,
    end: watch::Sender<Option<End>>,
    _permit: OwnedSemaphorePermit,
}

/// Why an environment ends.
enum Ending {
    Dropped,
    Killed(oneshot::Sender<()>),
    TimedOut,
    Exited(io::Result<ExitStatus>),
    InitError(FunctionError),
    ExtensionError(String),
}

impl Actor {
    pub(crate) fn new(
        process: Process,
        launch: Launch,
        record: Arc<Record>,
        ready: oneshot::Sender<Result<(), String>>,
    ) -> Self {
        let phase = Phase::Init { ready, since: Instant::now() };
        Self { process, launch, record, runtime: None, extensions: BTreeMap::new(), phase }
    }

    /// Runs the environment until the process has ended.
    pub(crate) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let ending = loop {
            let limit = self.time_left();
            // What the process said before it ended comes before its end.
            let ending = tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => Some(Ending::Dropped),
                },
                status = self.process.wait() => Some(Ending::Exited(status)),
                () = tokio::time::sleep(limit) => Some(Ending::TimedOut),
            };
            if let Some(ending) = ending {
                break ending;
            }
        };
        self.process.kill();
        let _ = timeout(REAP_LIMIT, self.process.wait()).await;
        self.record.ended(self.process.group);
        // Closed before anyone hears of the end, so that the next invocation finds the environment gone.
        drop(inbox);
        self.finish(ending);
    }

    fn note(&self, kind: EventKind) {
        self.record.add(self.process.environment, kind);
    }

    fn time_left(&self) -> Duration {
        match &self.phase {
            Phase::Init { since, .. } => self.launch.init_timeout.saturating_sub(since.elapsed()),
            Phase::Frozen => NEVER,
            Phase::Busy(current) => self.launch.timeout.saturating_sub(current.since.elapsed()),
        }
    }

    async fn handle(&mut self, message: Message) -> Option<Ending> {
        match message {
            Message::RuntimeNext(reply) => {
                self.note(EventKind::RuntimeWaits);
                self.runtime = Some(reply);
                self.freeze_if_idle().await;
            }
            Message::ExtensionNext(id, reply) => {
                // An unknown one's reply is dropped, which refuses it.
                if let Some(extension) = self.extensions.get_mut(&id) {
                    extension.waits = Some(reply);
                    let name = extension.name.clone();
                    self.note(EventKind::ExtensionWaits { name });
                    self.freeze_if_idle().await;
                }
            }
            Message::Register(name, reply) => {
                let _ = reply.send(self.register(name));
            }
            Message::Answer(request_id, response, reply) => {
                let _ = reply.send(self.answer(&request_id, response));
            }
            Message::Invoke(work) => self.invoke(work),
            Message::InitError(error) => return Some(Ending::InitError(error)),
            Message::ExtensionError(error) => return Some(Ending::ExtensionError(error)),
            Message::Kill(done) => return Some(Ending::Killed(done)),
        }
        None
    }

    fn register(&mut self, name: String) -> Option<String> {
        if self.runtime.is_some() || !matches!(self.phase, Phase::Init { .. }) {
            return None;
        }
        let id = unique_id();
        self.extensions.insert(id.clone(), Extension { name, waits: None });
        Some(id)
    }

    /// Takes the invocation's answer; false if this is not the invocation under way, or it has its answer already.
    fn answer(&mut self, request_id: &str, response: Result<Value, FunctionError>) -> bool {
        let Phase::Busy(current) = &mut self.phase else { return false };
        if current.request_id != request_id {
            return false;
        }
        let Some(answer) = current.answer.take() else { return false };
        let (request_id, after) = (current.request_id.clone(), current.since.elapsed());
        self.note(match &response {
            Ok(_) => EventKind::Responded { request_id: request_id.clone() },
            Err(error) => {
                EventKind::Failed { request_id: request_id.clone(), error_type: error.error_type.clone() }
            }
        });
        let _ = answer.send(Answer { request_id, response, after });
        true
    }

    fn invoke(&mut self, work: Work) {
        let request_id = unique_id();
        let deadline = SystemTime::now() + self.launch.timeout;
        let event = NextEvent {
            request_id: request_id.clone(),
            deadline_ms: deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()),
            arn: self.launch.arn(),
            payload: work.payload,
        };
        self.note(EventKind::Invoked { request_id: request_id.clone() });
        self.process.thaw();
        self.record.set_frozen(self.process.environment, false);
        self.phase = Phase::Busy(Current {
            request_id,
            since: Instant::now(),
            answer: Some(work.answer),
            end: work.end,
            _permit: work.permit,
        });
        let extensions = self.extensions.values_mut().filter_map(|extension| extension.waits.take());
        for waiter in extensions.chain(self.runtime.take()) {
            // A closed channel is a process that is about to be found dead.
            let _ = waiter.send(event.clone());
        }
    }

    /// Freezes the process if the runtime and all extensions wait, and no answer is owed.
    async fn freeze_if_idle(&mut self) {
        let all_wait = self.runtime.is_some() && self.extensions.values().all(|each| each.waits.is_some());
        let owed = matches!(&self.phase, Phase::Busy(current) if current.answer.is_some());
        if !all_wait || owed {
            return;
        }
        self.process.freeze().await;
        self.record.set_frozen(self.process.environment, true);
        match mem::replace(&mut self.phase, Phase::Frozen) {
            Phase::Init { ready, since } => {
                self.record.initialised(since.elapsed());
                let _ = ready.send(Ok(()));
            }
            Phase::Busy(current) => {
                current.end.send_replace(Some(End::Frozen));
            }
            Phase::Frozen => {}
        }
    }

    /// Records the end of the process and tells whoever waits for it.
    fn finish(self, ending: Ending) {
        let mut killed = None;
        let (end, event, error) = match ending {
            Ending::Dropped => (End::Killed, EventKind::Killed, exit_error("killed")),
            Ending::Killed(done) => {
                killed = Some(done);
                (End::Killed, EventKind::Killed, exit_error("killed"))
            }
            Ending::TimedOut => {
                let limit = match &self.phase {
                    Phase::Init { .. } => self.launch.init_timeout,
                    Phase::Frozen | Phase::Busy(_) => self.launch.timeout,
                };
                let message = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
                (End::TimedOut, EventKind::TimedOut, FunctionError::new("Sandbox.Timedout", message))
            }
            Ending::Exited(status) => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let error = exit_error(&status);
                (End::Exited(status.clone()), EventKind::Exited { status }, error)
            }
            Ending::InitError(error) => {
                let status = format!("init error {error}");
                (End::Exited(status.clone()), EventKind::Exited { status }, error)
            }
            Ending::ExtensionError(reason) => {
                let status = format!("extension error {reason}");
                let error = FunctionError::new("Extension.Crash", reason);
                (End::Exited(status.clone()), EventKind::Exited { status }, error)
            }
        };
        self.note(event);
        match self.phase {
            Phase::Init { ready, .. } => {
                let _ = ready.send(Err(error.to_string()));
            }
            Phase::Frozen => {}
            Phase::Busy(current) => current.abort(error, end),
        }
        if let Some(done) = killed {
            let _ = done.send(());
        }
    }
}

impl Current {
    fn abort(self, error: FunctionError, end: End) {
        if let Some(answer) = self.answer {
            let (request_id, after) = (self.request_id, self.since.elapsed());
            let _ = answer.send(Answer { request_id, response: Err(error), after });
        }
        self.end.send_replace(Some(end));
    }
}

fn exit_error(status: &str) -> FunctionError {
    FunctionError::new("Runtime.ExitError", format!("Runtime exited without providing a reason ({status})"))
}

/// An id in the form of a UUID, unique within the test's process.
fn unique_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
