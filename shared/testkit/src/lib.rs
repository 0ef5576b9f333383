//! What the workspace's tests share; no shipped program depends on it.
//!
//! * [`lambda`]: real binaries under an emulation of the Lambda Runtime and Extensions APIs that freezes them.
//! * [`function_url`]: HTTP requests as a Function URL hands them to a function.
//! * [`table`]: DynamoDB in process, behind a connection that can be cut, and what it was asked for.
//! * [`tcp_proxy`]: that connection, for anything else that speaks TCP.
//! * [`delivery`]: `workflow_job` events, signed as GitHub signs them.
//! * [`secrets`]: secrets that are recognised wherever they leak to, encoded or not.
//! * [`metrics`]: metrics as those read them who collect them.
//! * [`binaries`]: the workspace's programs, built on demand.
//! * [`wait`]: awaiting a condition instead of sleeping.
//!
//! Servers and child processes are driven by a runtime of their own (see `background`), so they go on while a test
//! computes, blocks, or has paused its clock. Unix only: freezing is done with `SIGSTOP`.

mod background;
pub mod binaries;
pub mod delivery;
pub mod function_url;
pub mod lambda;
pub mod metrics;
pub mod secrets;
pub mod table;
pub mod tcp_proxy;
pub mod wait;
mod wirecheck;

pub use binaries::{binary, example};
pub use wait::{wait_for, wait_for_value};
pub use wirecheck::{wirecheck, wirecheck_new};
