//! The runtime that drives everything a test starts: one a process, apart from the test's own, so that a test that
//! blocks its thread or pauses its clock holds up neither a freeze nor a deadline.

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

/// SQLite blocks the thread that serves its request; the others keep freezing and timing out on time.
const WORKERS: usize = 4;

static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();

/// The background runtime's handle; started on first use.
pub(crate) fn handle() -> io::Result<Handle> {
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(WORKERS).thread_name("testkit").enable_all().build()
    });
    match runtime {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// Binds a loopback port of the system's choice, registered with the background runtime.
pub(crate) fn listen() -> io::Result<(tokio::net::TcpListener, std::net::SocketAddr)> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let _guard = handle()?.enter();
    Ok((tokio::net::TcpListener::from_std(listener)?, address))
}

/// A test that panics while it holds a lock must still be able to read logs and records.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
