//! A function that scales as Lambda does: an invocation takes a free environment, or starts another.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::front::FunctionUrl;
use super::function::{Function, Invocation, InvokeError, StartError};
use super::launch::Launch;
use super::record::Event;
use crate::background::lock;

/// The environments of one function. Clones share them; dropping the last clone kills all processes.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    launch: Launch,
    limit: usize,
    functions: Mutex<Vec<Arc<Function>>>,
    observer: Mutex<Option<Observer>>,
}

/// Is told each invocation's event and the environment that takes it.
type Observer = Arc<dyn Fn(&Value, &Arc<Function>) + Send + Sync>;

impl Fleet {
    /// A fleet that starts its environments as invocations come, up to `limit` (the function's reserved concurrency).
    pub fn new(launch: Launch, limit: usize) -> Self {
        Self {
            inner: Arc::new(Inner { launch, limit, functions: Mutex::default(), observer: Mutex::default() }),
        }
    }

    /// Starts one environment, so that the first invocation finds it warm and a bad configuration shows at once.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn warm(&self) -> Result<(), StartError> {
        match self.inner.reserve() {
            Ok((function, _permit)) => function.environment().await.map(drop),
            Err(InvokeError::Start(error)) => Err(error),
            // All are up and busy.
            Err(InvokeError::Throttled { .. } | InvokeError::Gone) => Ok(()),
        }
    }

    /// Invokes the function in a free environment, or in a new one.
    ///
    /// # Errors
    /// [`InvokeError`]; `Throttled` when as many environments as may be are all busy.
    pub async fn invoke(&self, payload: Value) -> Result<Invocation, InvokeError> {
        self.inner.invoke(payload).await
    }

    /// Calls `observer` as each invocation goes to its environment, with the event: for tests that do something to
    /// whoever works on that event. It must not block.
    pub fn observe(&self, observer: impl Fn(&Value, &Arc<Function>) + Send + Sync + 'static) {
        *lock(&self.inner.observer) = Some(Arc::new(observer));
    }

    /// Puts a Function URL in front of the fleet.
    ///
    /// # Errors
    /// If no loopback port can be had.
    pub fn serve_url(&self) -> io::Result<FunctionUrl> {
        FunctionUrl::serve(Arc::downgrade(&self.inner))
    }

    /// The environments so far, in the order they were first needed.
    pub fn functions(&self) -> Vec<Arc<Function>> {
        lock(&self.inner.functions).clone()
    }

    /// All that the environments printed so far, one after another.
    pub fn log(&self) -> String {
        self.functions().iter().map(|function| function.log()).collect()
    }

    /// What happened in all environments so far, by time.
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.functions().iter().flat_map(|function| function.events()).collect();
        events.sort_by_key(|event| event.at);
        events
    }

    /// Whether nothing runs: every environment is frozen, or dead.
    pub fn idle(&self) -> bool {
        self.functions().iter().all(|function| function.is_free())
    }

    /// Kills every process; the next invocations start others.
    pub async fn kill_all(&self) {
        for function in self.functions() {
            function.kill().await;
        }
    }
}

impl Inner {
    pub(crate) async fn invoke(&self, payload: Value) -> Result<Invocation, InvokeError> {
        let (function, permit) = self.reserve()?;
        let observer = lock(&self.observer).clone();
        if let Some(observer) = observer {
            observer(&payload, &function);
        }
        function.invoke_with(permit, payload).await
    }

    /// A free environment and the right to its next invocation; a new one if none is free and one more may be.
    fn reserve(&self) -> Result<(Arc<Function>, OwnedSemaphorePermit), InvokeError> {
        let mut functions = lock(&self.functions);
        let free = functions.iter().find_map(|function| Some((function.clone(), function.reserve()?)));
        if let Some(free) = free {
            return Ok(free);
        }
        let throttled = InvokeError::Throttled { limit: self.limit };
        if functions.len() >= self.limit {
            return Err(throttled);
        }
        let function = Arc::new(Function::dormant(self.launch.clone())?);
        let permit = function.reserve().ok_or(throttled)?;
        functions.push(function.clone());
        Ok((function, permit))
    }
}
