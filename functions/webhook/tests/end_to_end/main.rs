//! The whole of Mayfly: the real functions under an emulation of Lambda that freezes them, a real DynamoDB engine, and
//! a strict simulation of GitHub, GCP and Proxmox. Each test is a short story; at its end nothing may be left, no invariant
//! broken, no call unlike the vendors' descriptions, and no secret in any output or in the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod counts;
mod creates;
mod deadline;
mod drain;
mod faults;
mod forks;
mod freeze;
mod intruder;
mod lab;
mod lab_trouble;
mod limits;
mod logs;
mod lost;
mod metrics;
mod notices;
mod orphans;
mod overload;
mod plot;
mod reach;
mod replay;
mod sights;
mod sources;
mod stage;
mod stories;
mod storm;
mod strangers;
mod surplus;
mod warm;
