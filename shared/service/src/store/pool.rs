//! A pool's own item: what one invocation learnt, all know.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::ids::PoolName;

use super::item::{moment, pool_key};
use super::{COST, Ledger, StoreError, unavailable};

/// The prefix of the attributes that say until when a place is not asked.
const COOLING: &str = "cool#";
/// The attribute that says until when GitHub is not asked.
const GITHUB: &str = "github_until";

/// What is known of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Places that were full, and until when they are not asked again. The key is `provider/place`.
    pub cooling: BTreeMap<String, Timestamp>,
    /// Until when GitHub asked not to be asked (`retry-after`).
    pub github_until: Option<Timestamp>,
}

impl PoolState {
    /// The places of a provider that are not to be asked now.
    pub fn cooling_at(&self, provider: &str, now: Timestamp) -> BTreeSet<String> {
        let prefix = format!("{provider}/");
        let cooling = self.cooling.iter().filter(|(_, until)| **until > now);
        cooling.filter_map(|(place, _)| place.strip_prefix(&prefix).map(str::to_owned)).collect()
    }
}

impl Ledger {
    /// What is known of a pool. Not the very newest, for half the price: all of it is advice.
    pub async fn pool_state(&self, pool: &PoolName) -> Result<PoolState, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(pool_key(pool)));
        let request = request.return_consumed_capacity(COST);
        let item =
            request.send().await.map_err(unavailable("reading a pool's state"))?.item.unwrap_or_default();
        let until = |value: &AttributeValue| {
            let milliseconds = value.as_n().ok()?.parse().ok()?;
            Timestamp::from_millisecond(milliseconds).ok()
        };
        let mut state = PoolState { github_until: item.get(GITHUB).and_then(until), ..PoolState::default() };
        let cooling = item
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(COOLING)?.to_owned(), until(value)?)));
        state.cooling.extend(cooling);
        Ok(state)
    }

    /// Remembers that places (`provider/place`) were full.
    pub async fn cool_down(
        &self,
        pool: &PoolName,
        places: &[String],
        until: Timestamp,
    ) -> Result<(), StoreError> {
        // Each once: DynamoDB refuses an update that names an attribute twice.
        let names: BTreeSet<String> = places.iter().map(|place| format!("{COOLING}{place}")).collect();
        self.remember(pool, names, until).await
    }

    /// Remembers that GitHub asked not to be asked for a while.
    pub async fn hold_github(&self, pool: &PoolName, until: Timestamp) -> Result<(), StoreError> {
        self.remember(pool, BTreeSet::from([GITHUB.to_owned()]), until).await
    }

    async fn remember(
        &self,
        pool: &PoolName,
        names: BTreeSet<String>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let sets: Vec<String> = (0..names.len()).map(|place| format!("#n{place} = :until")).collect();
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(pool_key(pool)))
            .update_expression(format!("SET {}", sets.join(", ")))
            .return_consumed_capacity(COST)
            .expression_attribute_values(":until", moment(until));
        for (place, name) in names.into_iter().enumerate() {
            request = request.expression_attribute_names(format!("#n{place}"), name);
        }
        request.send().await.map(|_| ()).map_err(unavailable("remembering a pool's state"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_providers_places_that_still_cool_are_left_out() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cooling = [("gcp/us-east1-c", 20), ("gcp/us-west1-a", 5), ("gcp2/us-east1-d", 20)];
        let cooling = cooling.into_iter().map(|(place, until)| (place.to_owned(), at(until))).collect();
        let state = PoolState { cooling, github_until: None };
        assert_eq!(state.cooling_at("gcp", at(10)), ["us-east1-c".to_owned()].into());
    }
}
