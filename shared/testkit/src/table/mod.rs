//! DynamoDB in process: dynoxide behind a [`TcpProxy`], so that it can be made unreachable, and with an eye on the
//! wire, so that a test can count what was asked of it.

mod traffic;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dynoxide::Database;
use dynoxide::server::serve_with_shutdown;
use tokio::sync::oneshot;

use crate::background::{self, lock};
use crate::lambda;
use crate::tcp_proxy::{Link, Tap, TcpProxy};
use traffic::ConnectionTap;
pub use traffic::{TableRequest, Usage};

/// Why the table could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The database at that path can't be opened.
    #[error("can't open the database: {0}")]
    Database(String),
    /// No loopback port could be had.
    #[error("can't serve the table: {0}")]
    Serve(#[from] io::Error),
}

/// A DynamoDB endpoint of the test's own. Dropping it stops it.
pub struct EmbeddedTable {
    proxy: TcpProxy,
    requests: Arc<Mutex<Vec<TableRequest>>>,
    _shutdown: oneshot::Sender<()>,
}

impl EmbeddedTable {
    /// Starts one in memory.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn start() -> Result<Self, TableError> {
        Self::serve(Database::memory().map_err(|error| TableError::Database(error.to_string()))?)
    }

    /// Starts one that keeps its data in the file at `path`, made if there is none.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn start_at(path: &Path) -> Result<Self, TableError> {
        let database = Database::new(&path.to_string_lossy());
        Self::serve(database.map_err(|error| TableError::Database(error.to_string()))?)
    }

    fn serve(database: Database) -> Result<Self, TableError> {
        let (listener, address) = background::listen()?;
        let (shutdown, is_shut_down) = oneshot::channel::<()>();
        background::handle()?.spawn(serve_with_shutdown(listener, database, async move {
            let _ = is_shut_down.await;
        }));
        let requests: Arc<Mutex<Vec<TableRequest>>> = Arc::default();
        let kept = requests.clone();
        let proxy = TcpProxy::start_tapped(
            address,
            Some(Arc::new(move || Arc::new(ConnectionTap::new(kept.clone())) as Arc<dyn Tap>)),
        )?;
        Ok(Self { proxy, requests, _shutdown: shutdown })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The variables that lead the AWS SDK here: endpoint, region, and credentials that mean nothing.
    pub fn env(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.endpoint()),
            ("AWS_REGION", lambda::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTKITDUMMY".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testkit-dummy-secret-access-key".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Cuts the connection to it, holds it up, or opens it again.
    pub fn set_link(&self, link: Link) {
        self.proxy.set(link);
    }

    /// The requests that were answered so far, in the order of their answers.
    pub fn requests(&self) -> Vec<TableRequest> {
        lock(&self.requests).clone()
    }

    /// What was asked so far, summed up.
    pub fn usage(&self) -> Usage {
        Usage::of(&lock(&self.requests))
    }

    /// Forgets the requests so far.
    pub fn reset_usage(&self) {
        lock(&self.requests).clear();
    }
}
