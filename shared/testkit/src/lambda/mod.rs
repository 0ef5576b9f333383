//! Real binaries under an emulation of AWS Lambda.
//!
//! The program runs as a child process with a function's environment and talks to the Runtime API (2018-06-01) and the
//! Extensions API (2020-01-01) on a loopback port of its own. As on Lambda,
//!
//! * init ends when the runtime and every registered extension wait for their next event;
//! * an invocation is answered when the runtime posts its response, and over when they all wait again;
//! * whenever they all wait, the process is stopped (`SIGSTOP`); an invocation continues it (`SIGCONT`);
//! * an invocation that is not over at its deadline is ended with the process, and the next one starts another.
//!
//! [`Function`] is one environment, [`Fleet`] as many as concurrency asks for, and [`FunctionUrl`] takes HTTP requests
//! to a fleet. All extensions are internal ones (registered by the function's own process), which may register for
//! `INVOKE` only. Not emulated: response streaming, the Telemetry and Logs APIs, SnapStart.

mod actor;
mod api;
mod environment;
mod fleet;
mod front;
mod function;
mod launch;
mod process;
mod record;

pub use fleet::Fleet;
pub use front::FunctionUrl;
pub use function::{End, Function, FunctionError, Invocation, InvokeError, StartError};
pub use launch::Launch;
pub(crate) use launch::REGION;
pub use record::{Event, EventKind};
