//! What is measured is written as those want it who collect it, and the dashboards draw just that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dashboards;
mod written;
