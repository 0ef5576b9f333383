//! Answers kept for a while; those who ask for the same thing at the same time share one call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::classify::CallError;

/// An answer and the moment it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Kept<V> {
    /// When the call left, so that what happened before it is in the answer.
    pub asked_at: Instant,
    /// The answer.
    pub answer: Result<V, CallError>,
}

type Cell<V> = Arc<tokio::sync::Mutex<Option<Kept<V>>>>;

/// Answers by name. The names come from the configuration, so there are few.
pub(super) struct Cache<V> {
    cells: Mutex<BTreeMap<String, Cell<V>>>,
}

impl<V: Clone> Cache<V> {
    pub fn new() -> Self {
        Self { cells: Mutex::new(BTreeMap::new()) }
    }

    /// The answer for `key`: the kept one where `good` says that it will do or where it was asked for while we waited in
    /// line, else a new one.
    pub async fn get(
        &self,
        key: &str,
        good: impl Fn(&Kept<V>) -> bool,
        ask: impl AsyncFnOnce() -> Result<V, CallError>,
    ) -> Kept<V> {
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key.to_owned()).or_default())
        };
        let came_at = Instant::now();
        let mut kept = cell.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.asked_at >= came_at || good(kept)) {
            return kept.clone();
        }
        let asked_at = Instant::now();
        let answer = ask().await;
        let new = Kept { asked_at, answer };
        *kept = Some(new.clone());
        new
    }

    /// Forgets the answer for `key`.
    pub fn forget(&self, key: &str) {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<V> Kept<V> {
    /// Whether it was asked for within the last `age`.
    pub fn is_within(&self, age: Duration) -> bool {
        self.asked_at.elapsed() < age
    }
}
