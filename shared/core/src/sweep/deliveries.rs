//! Failed deliveries: GitHub never delivers again by itself, so the sweep asks for it.

use jiff::Timestamp;

/// One try of GitHub to deliver an event of ours (`GET /app/hook/deliveries` and its like).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `id`, of this try alone.
    pub id: u64,
    /// `guid`, the same for all tries of one event (`X-GitHub-Delivery`).
    pub guid: String,
    /// `delivered_at`
    pub at: Timestamp,
    /// Whether the answer was no success (`status_code` outside 200 … 299).
    pub failed: bool,
}
