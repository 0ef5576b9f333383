//! The embedded DynamoDB engine, on a loopback port of its own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::server::serve_with_shutdown;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::error::Error;

/// How far apart items are removed whose `expires_at` has passed; DynamoDB itself takes up to days.
const EXPIRY_EVERY: Duration = Duration::from_secs(600);

/// A DynamoDB engine with a runtime of its own: it blocks while it writes to its disk, and nobody else waits for that.
#[derive(Debug)]
pub struct Engine {
    endpoint: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// Held as long as the engine runs.
    _lock: Option<File>,
}

impl Engine {
    /// Keeps its data in that file, made when it is not there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = lock(path)?;
        let failed = |why: String| Error::Data { path: path.to_owned(), why };
        let name = path.to_str().ok_or_else(|| failed("its path is no text".to_owned()))?;
        let database = Database::new(name).map_err(|error| failed(error.to_string()))?;
        Self::start(database, Some(lock))
    }

    /// Keeps its data in memory.
    pub fn in_memory() -> Result<Self, Error> {
        let database = Database::memory().map_err(|error| Error::io("the table", io::Error::other(error)))?;
        Self::start(database, None)
    }

    fn start(database: Database, lock: Option<File>) -> Result<Self, Error> {
        let failed = |source| Error::io("the table's loopback port", source);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(failed)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            if let Err(error) = runtime.block_on(serve(listener, database, stopped)) {
                tracing::error!(
                    error,
                    "the embedded table stopped: nothing is recorded until mayfly is started again"
                );
            }
        };
        let thread = std::thread::Builder::new().name("table".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self { endpoint, stop, thread, _lock: lock })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends it; requests under way are answered first, as far as `patience` goes.
    pub async fn stop(self, patience: Duration) {
        // Fails only when the engine has ended already.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join());
        if tokio::time::timeout(patience, joined).await.is_err() {
            tracing::warn!("the embedded table did not end in time; what was answered is kept all the same");
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    database: Database,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let expiring = tokio::spawn(expire(database.clone()));
    let served = serve_with_shutdown(listener, database, async {
        // An engine that was dropped stops as well.
        let _ = stopped.await;
    });
    let result = served.await;
    expiring.abort();
    result
}

/// Removes what has expired, as DynamoDB does by itself.
async fn expire(database: Database) {
    let mut ticks = tokio::time::interval(EXPIRY_EVERY);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(removed)) => tracing::debug!(removed, "expired items removed"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "expired items could not be removed: it is tried again in ten minutes")
            }
            Err(_) => return,
        }
    }
}

/// Two processes on one file would each believe in their own.
fn lock(path: &Path) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |source| Error::io(Path::new(&name).display().to_string(), source);
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}
