//! Why a command ended badly, in one message.

use std::net::SocketAddr;
use std::path::PathBuf;

use mayfly_core::ids::PoolName;
use mayfly_service::config::ConfigError;
use mayfly_service::mayfly::StartError;
use mayfly_service::secret::SecretError;
use mayfly_service::store::StoreError;

/// Why a command ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is not right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration cannot be run here.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A webhook secret cannot be had.
    #[error("`github.webhook_secrets`: {0}")]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedded table's file cannot be opened.
    #[error("{}: cannot be opened as Mayfly's state: {why}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another process has the embedded table's file.
    #[error("{}: another mayfly is using it; stop that one, or give another --data", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The machine refused something.
    #[error("{what}: {source}")]
    Io {
        /// What it was.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// `--metrics-listen` beyond this machine.
    #[error(
        "--metrics-listen {address}: other machines could read the metrics there; say --metrics-exposed if they are meant \
         to, or give a loopback address"
    )]
    MetricsExposed {
        /// The address.
        address: SocketAddr,
    },
    /// `--poll` where no pool's jobs can be found by it.
    #[error(
        "--poll: the jobs of {} cannot be found, since GitHub lists no enterprise's repositories; give such a pool an \
         `organization` or a `repository`, or serve webhooks without --poll",
        pools.join(", ")
    )]
    NothingToPoll {
        /// The pools.
        pools: Vec<String>,
    },
    /// A pool that the configuration does not know.
    #[error("`{name}` is no pool of the configuration, which has {}", configured.join(", "))]
    UnknownPool {
        /// What was given.
        name: String,
        /// The names that would be right.
        configured: Vec<String>,
    },
    /// A pool was not drained when the waiting for it ended.
    #[error("pool {pool}: {why}")]
    NotDrained {
        /// Which.
        pool: PoolName,
        /// What ended the waiting, and how things stand.
        why: String,
    },
    /// Nothing can be told of what was asked for.
    #[error("{0}")]
    Untold(String),
    /// A part of the deployment could not be read.
    #[error("{} could not be read", pools.join(", "))]
    Unread {
        /// Which pools.
        pools: Vec<String>,
    },
    /// A deployment is not as it should be.
    #[error("{wrong} of the findings {} wrong; each says how to mend it", if *wrong == 1 { "is" } else { "are" })]
    Unwell {
        /// How many findings say so.
        wrong: usize,
    },
    /// No configuration can be written from what was given.
    #[error("{0}")]
    Init(String),
    /// The App could not be made, or its webhook not be pointed elsewhere.
    #[error("{0}")]
    App(String),
    /// The demo's world is not as it should be at the end.
    #[error("the demo failed: {0}")]
    Demo(String),
    /// A person stopped the demo.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The machine refused something.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
