//! In which order a placement's zones are tried.

use std::collections::BTreeMap;

use crate::ids::Zone;

/// What is known of a region's quota for a placement's accelerator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// `quotas[].limit` of the region.
    pub limit: f64,
    /// `quotas[].usage` of the region.
    pub usage: f64,
    /// What we asked for since the usage was read, and which it therefore does not count yet.
    pub pending: f64,
}

impl Quota {
    /// What is left.
    pub fn free(self) -> f64 {
        self.limit - self.usage - self.pending
    }
}

/// The zones in the order to be tried: regions with most free quota first, then the order configured; a region
/// without room for `wanted` more accelerators is left out. A region whose quota is not known keeps its
/// place behind those that are known to have room: not knowing is no reason to leave a job unserved.
pub fn order(zones: &[Zone], quotas: &BTreeMap<String, Quota>, wanted: f64) -> Vec<Zone> {
    let room = |zone: &Zone| quotas.get(zone.region()).map(|quota| quota.free());
    let mut usable: Vec<&Zone> =
        zones.iter().filter(|zone| room(zone).is_none_or(|free| free >= wanted)).collect();
    // Stable: zones whose regions have the same room stay in the user's order.
    usable.sort_by(|a, b| {
        let (a, b) = (room(a).unwrap_or(0.0), room(b).unwrap_or(0.0));
        b.total_cmp(&a)
    });
    usable.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zones(names: &[&str]) -> Vec<Zone> {
        names.iter().map(|name| Zone::new(*name).unwrap()).collect()
    }

    fn quotas(known: &[(&str, f64, f64, f64)]) -> BTreeMap<String, Quota> {
        known
            .iter()
            .map(|(region, limit, usage, pending)| {
                ((*region).to_owned(), Quota { limit: *limit, usage: *usage, pending: *pending })
            })
            .collect()
    }

    #[test]
    fn the_region_with_most_free_quota_goes_first_then_the_users_order() {
        let configured = zones(&["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]);
        for (story, known, expected) in [
            ("nothing known", vec![], vec!["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]),
            (
                "most free first",
                vec![
                    ("us-east1", 8.0, 6.0, 0.0),
                    ("us-central1", 8.0, 1.0, 0.0),
                    ("us-west1", 4.0, 0.0, 0.0),
                ],
                vec!["us-central1-a", "us-west1-a", "us-east1-c", "us-east1-d"],
            ),
            (
                "what is being created counts",
                vec![
                    ("us-east1", 8.0, 6.0, 0.0),
                    ("us-central1", 8.0, 1.0, 6.0),
                    ("us-west1", 4.0, 0.0, 0.0),
                ],
                vec!["us-west1-a", "us-east1-c", "us-east1-d", "us-central1-a"],
            ),
            (
                "full regions are left out, unknown ones are tried last",
                vec![("us-east1", 8.0, 8.0, 0.0), ("us-west1", 4.0, 3.0, 0.0)],
                vec!["us-west1-a", "us-central1-a"],
            ),
        ] {
            assert_eq!(order(&configured, &quotas(&known), 1.0), zones(&expected), "{story}");
        }
    }

    proptest! {
        #[test]
        fn no_zone_is_tried_twice_or_invented(free in proptest::collection::vec(-3.0f64..9.0, 3), wanted in 1.0f64..4.0) {
            let configured = zones(&["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]);
            let known = quotas(&[
                ("us-east1", free[0], 0.0, 0.0), ("us-central1", free[1], 0.0, 0.0), ("us-west1", free[2], 0.0, 0.0),
            ]);
            let tried = order(&configured, &known, wanted);
            let unique: std::collections::BTreeSet<&Zone> = tried.iter().collect();
            prop_assert_eq!(unique.len(), tried.len());
            for zone in &configured {
                prop_assert_eq!(tried.contains(zone), known[zone.region()].free() >= wanted);
            }
        }
    }
}
