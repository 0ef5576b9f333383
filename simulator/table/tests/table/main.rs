//! The table by itself: what the comparison with the engine does not show, or where that engine is known to differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conditions;
mod ledger;
mod reads;
mod transactions;
mod updates;
mod words;
