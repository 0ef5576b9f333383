//! One execution environment, as seen from outside: what it is started from, and the messages that reach it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::actor::Actor;
use super::api;
use super::function::{End, FunctionError, StartError};
use super::launch::Launch;
use super::process::{self, Process};
use super::record::Record;
use crate::background;

/// What an invocation tells the runtime and the extensions.
#[derive(Debug, Clone)]
pub(crate) struct NextEvent {
    pub(crate) request_id: String,
    pub(crate) deadline_ms: u128,
    pub(crate) arn: String,
    pub(crate) payload: Value,
}

/// The answer to an invocation, and how long it took.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request_id: String,
    pub(crate) response: Result<Value, FunctionError>,
    pub(crate) after: Duration,
}

/// An invocation to carry out. The permit stands for the environment's one place; it is freed when all is over.
pub(crate) struct Work {
    pub(crate) payload: Value,
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) end: watch::Sender<Option<End>>,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What the process (through its API) and the test ask of an environment.
pub(crate) enum Message {
    RuntimeNext(oneshot::Sender<NextEvent>),
    ExtensionNext(String, oneshot::Sender<NextEvent>),
    /// The reply is the extension's identifier, or `None` when init is over.
    Register(String, oneshot::Sender<Option<String>>),
    /// The reply says whether that invocation was still to be answered.
    Answer(String, Result<Value, FunctionError>, oneshot::Sender<bool>),
    InitError(FunctionError),
    ExtensionError(String),
    Invoke(Work),
    Kill(oneshot::Sender<()>),
}

/// A running environment; dropping it kills the process.
pub(crate) struct Environment {
    messages: mpsc::UnboundedSender<Message>,
    record: Arc<Record>,
}

impl Environment {
    /// Starts the program and waits until it is initialised, and thereby frozen.
    pub(crate) async fn start(launch: &Launch, record: &Arc<Record>) -> Result<Self, StartError> {
        let (ready, is_ready) = oneshot::channel();
        let (messages, inbox) = mpsc::unbounded_channel();
        let (listener, address) = background::listen().map_err(StartError::Emulation)?;
        let background = background::handle().map_err(StartError::Emulation)?;
        let spawned = {
            let _guard = background.enter();
            Process::spawn(launch, address, record)
        };
        let process = spawned
            .map_err(|source| StartError::Spawn { program: launch.program.display().to_string(), source })?;
        // Weak, or the API's server would keep the environment it serves alive.
        let server = background.spawn(api::serve(listener, messages.downgrade(), launch.clone()));
        let actor = Actor::new(process, launch.clone(), record.clone(), ready);
        background.spawn(async move {
            actor.run(inbox).await;
            server.abort();
        });
        let environment = Self { messages, record: record.clone() };
        match is_ready.await {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(reason)) => Err(StartError::Init { reason, log: record.log() }),
            Err(_) => Err(StartError::Init { reason: "the emulation stopped".to_owned(), log: record.log() }),
        }
    }

    pub(crate) fn alive(&self) -> bool {
        !self.messages.is_closed()
    }

    /// Hands over an invocation; if the environment is gone, the work's channels close.
    pub(crate) fn invoke(&self, work: Work) {
        let _ = self.messages.send(Message::Invoke(work));
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn kill(&self) {
        let (done, is_done) = oneshot::channel();
        if self.messages.send(Message::Kill(done)).is_ok() {
            let _ = is_done.await;
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // At once, for the test's process may be about to exit; the task then finds the process ended.
        if let Some(group) = self.record.process().filter(|_| self.alive()) {
            process::kill(group);
        }
    }
}
