//! Google's Compute Engine clients, answered by a simulated world in process.
//!
//! The official clients are used as they are. Below them, where the library has its HTTP transport, a [`Wire`] takes
//! each call as a [`Request`] and brings back a [`Response`]: no socket, no time of its own, no thread. Whoever
//! implements the wire decides what time it is and how long an answer takes, so that a whole history runs in virtual
//! time.
//!
//! The calls that Mayfly makes are there: `instances.insert`, `get`, `delete` and `aggregatedList`,
//! `zoneOperations.wait` and `get`, `regions.get`, and `instanceTemplates.get`. All others panic, which is what the
//! library has stubs do.
//!
//! ```
//! # use std::sync::{Arc, Mutex, PoisonError};
//! # use jiff::Timestamp;
//! # use simulator::{Request, Settings, World};
//! # use simulator_compute::{Clients, NoAnswer, Sent, Wire};
//! #[derive(Debug)]
//! struct AtOnce(Mutex<World>, Timestamp);
//!
//! impl Wire for AtOnce {
//!     fn send(&self, request: Request) -> Sent {
//!         let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         let answer = world.handle(self.1, &request).answer().ok_or(NoAnswer::Closed);
//!         Box::pin(async { answer })
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
//! let world = World::new(Settings::default(), now);
//! let token = world.access.gcp_token.clone();
//! let clients = Clients::over(Arc::new(AtOnce(Mutex::new(world), now)), &token);
//! let region = clients.regions.get().set_project("slang-runners").set_region("us-east1").send().await?;
//! assert_eq!(region.name.as_deref(), Some("us-east1"));
//! # Ok(())
//! # }
//! ```

mod answer;
mod call;
mod stub;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use google_cloud_compute_v1::client::{InstanceTemplates, Instances, Regions, ZoneOperations};
use simulator::{Request, Response};

use stub::Stub;

/// What comes of a call that was put on the wire, some day.
pub type Sent = Pin<Box<dyn Future<Output = Result<Response, NoAnswer>> + Send>>;

/// Where calls go instead of to a socket.
pub trait Wire: Debug + Send + Sync + 'static {
    /// Sends a call. It begins when this is called or when what is returned is first polled, as the wire likes. A call
    /// that is never answered is a future that is never ready: the caller gives up by dropping it.
    ///
    /// `wall` of the request is the Unix epoch. The world's own access token never expires; for one that does,
    /// the wire has to set it.
    fn send(&self, request: Request) -> Sent;
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// There was no connection to send it on.
    #[error("connection refused")]
    NeverSent,
    /// It was sent, and the connection was closed without an answer.
    #[error("connection closed before message completed")]
    Closed,
}

/// The official clients, over a [`Wire`].
#[derive(Debug, Clone)]
pub struct Clients {
    /// `instances.…`
    pub instances: Instances,
    /// `zoneOperations.…`
    pub operations: ZoneOperations,
    /// `regions.…`
    pub regions: Regions,
    /// `instanceTemplates.…`
    pub templates: InstanceTemplates,
}

impl Clients {
    /// Clients that send their calls over this wire, with this access token. The world takes that of
    /// `world.access.gcp_token`.
    pub fn over(wire: Arc<dyn Wire>, token: &str) -> Self {
        let stub = Arc::new(Stub::new(wire, token));
        Self {
            instances: Instances::from_stub::<Stub>(stub.clone()),
            operations: ZoneOperations::from_stub::<Stub>(stub.clone()),
            regions: Regions::from_stub::<Stub>(stub.clone()),
            templates: InstanceTemplates::from_stub::<Stub>(stub),
        }
    }
}
