//! The ledger against a DynamoDB engine, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod corrupt;
mod cost;
mod jobs;
mod long;
mod memory;
mod notices;
mod outage;
mod past;
mod phases;
mod pools;
mod queue;
mod room;
mod runs;
mod story;
mod table;
