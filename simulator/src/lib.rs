//! One strict, stateful world of GitHub, Google Compute Engine and a Proxmox VE cluster.
//!
//! [`World`] is plain state: every call takes the time as an argument, randomness comes from a seed kept
//! in the state, and nothing in it does I/O. A test can drive it in virtual time in one process.
//! [`Simulator`] is the thin shell around it: it serves the world on loopback sockets, sends the webhook
//! deliveries, and writes the traffic log.
//!
//! In virtual time, whoever drives the world goes from one [`World::next_due`] to the next:
//!
//! ```
//! # use simulator::{Api, JobSpec, Method, Request, Settings, World};
//! let mut now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse()?;
//! let mut world = World::new(Settings::default(), now);
//! let job = world.queue_job(now, JobSpec::new("shader-slang/slang", &["self-hosted", "GPU"]));
//! while let Some(due) = world.next_due() {
//!     now = due;
//!     for delivery in world.take_deliveries(now) {
//!         // … hand it to the webhook, then tell the world what was answered
//!         world.delivered(now, delivery.id, 202);
//!     }
//! }
//! let path = format!("/repos/shader-slang/slang/actions/jobs/{job}");
//! let request = Request::new(Api::GitHub, Method::Get, path, now).bearer(&world.access.pat);
//! let answer = world.handle(now, &request).answer().ok_or("answered at once")?;
//! assert_eq!(answer.value()["status"], "queued");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod serve;
mod translate;
mod world;

pub use serve::{Keys, ServeOptions, Simulator, Timeout};
pub use world::faults::{Chance, DeliveryFaults, ENDPOINTS, Fault, Faults, GuestFaults, LabFaults, Stockout};
pub use world::github::runners::Scope;
pub use world::github::{Delivery, HookOwner};
pub use world::history::{Happening, HappeningKind};
pub use world::ids::{DeliveryId, JobId, RunnerId, VmId};
pub use world::intruder::{Found, Mischief};
pub use world::jobs::{Conclusion, JobSpec, JobState, JobStatus};
pub use world::lab::{GuestOs, Lab, Node, Storage, Template};
pub use world::people::BusyRunner;
pub use world::request::{Api, Body, Method, Reply, Request, Response, Ticket};
pub use world::rights::Rights;
pub use world::settings::{
    GroupVisibility, InstanceTemplate, PoolLimit, QuotaRefusal, Repository, RunnerGroup, Settings, Timing,
    Zone,
};
pub use world::view::{CheckRunView, DeliveryView, JobView, NodeView, RunnerView, View, VmView};
pub use world::violations::{Violation, ViolationKind};
pub use world::{Access, World};
