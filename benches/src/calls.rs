//! Calls and the table's units, counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::rig::Rig;

/// What was asked of whom: calls by endpoint, the table's by operation, and its units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls(BTreeMap<String, f64>);

/// Remembered for seconds (quotas, a cluster's memory), minutes (templates) or an hour (tokens): not any one job's.
const LOOK_UPS: [&str; 8] = [
    "proxmox.resources",
    "gcp.region",
    "gcp.template",
    "github.access_token",
    "github.find_installation",
    "github.run",
    "github.runner_groups",
    "github.installation_repositories",
];

/// How often depends on how long a guest takes.
const POLLS: [&str; 2] = ["proxmox.task", "proxmox.ping"];

const WRITE_UNITS: &str = "write units";
const READ_UNITS: &str = "read units";

impl Calls {
    /// Since the world began, and the table's since its usage was reset.
    pub fn so_far(rig: &Rig) -> Self {
        let calls = rig.simulator.with(|world, _| world.view().calls);
        let usage = rig.table.usage();
        let counted = calls.into_iter().chain(
            usage.requests.into_iter().map(|(operation, count)| (format!("table.{operation}"), count)),
        );
        let counted = counted.map(|(name, count)| (name, count as f64));
        let units = [(WRITE_UNITS.to_owned(), usage.write_units), (READ_UNITS.to_owned(), usage.read_units)];
        Self(counted.chain(units).collect())
    }

    /// The difference.
    pub fn since(rig: &Rig, before: &Self) -> Self {
        let mut calls = Self::so_far(rig);
        calls.add(-1.0, before);
        calls
    }

    /// Adds so many times another.
    pub fn add(&mut self, factor: f64, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += factor * count;
        }
    }

    /// An average of so many.
    pub fn each(mut self, of: usize) -> Self {
        self.0.retain(|_, count| count.abs() > 1e-9);
        self.0.values_mut().for_each(|count| *count /= of as f64);
        self
    }

    fn of(&self, names: impl Fn(&str) -> bool) -> f64 {
        self.0.iter().filter(|(name, _)| names(name)).map(|(_, count)| count).sum()
    }

    /// GitHub's, without look-ups.
    pub fn github(&self) -> f64 {
        self.of(|name| name.starts_with("github.") && !LOOK_UPS.contains(&name))
    }

    /// The provider's, without look-ups and polls; the first ping of a guest is none.
    pub fn provider(&self) -> f64 {
        let theirs = |name: &str| name.starts_with("gcp.") || name.starts_with("proxmox.");
        let calls = self.of(|name| theirs(name) && !POLLS.contains(&name) && !LOOK_UPS.contains(&name));
        calls + self.of(|name| name == "proxmox.ping").min(1.0)
    }

    /// See [`LOOK_UPS`].
    pub fn look_ups(&self) -> f64 {
        self.of(|name| LOOK_UPS.contains(&name))
    }

    /// Requests to the table.
    pub fn table(&self) -> f64 {
        self.of(|name| name.starts_with("table."))
    }

    pub fn write_units(&self) -> f64 {
        self.of(|name| name == WRITE_UNITS)
    }

    pub fn read_units(&self) -> f64 {
        self.of(|name| name == READ_UNITS)
    }
}

impl fmt::Display for Calls {
    /// Each with how often.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.0.iter().filter(|(name, _)| name.contains('.'));
        let calls: Vec<String> =
            calls.map(|(name, count)| format!("{name} {}", (count * 100.0).round() / 100.0)).collect();
        f.write_str(&calls.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Calls {
        pub fn of_these(calls: &[(&str, f64)]) -> Self {
            Self(calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
        }
    }

    #[test]
    fn look_ups_and_polls_are_no_calls_of_a_job_and_the_first_ping_is_one() {
        let calls = Calls::of_these(&[
            ("github.jitconfig", 1.0),
            ("github.access_token", 1.0),
            ("gcp.insert", 1.0),
            ("gcp.region", 2.0),
            ("proxmox.clone", 1.0),
            ("proxmox.ping", 7.0),
            ("proxmox.task", 9.0),
            ("table.Query", 3.0),
            (WRITE_UNITS, 12.0),
            (READ_UNITS, 2.5),
        ]);
        assert_eq!((calls.github(), calls.provider(), calls.look_ups()), (1.0, 3.0, 3.0));
        assert_eq!((calls.table(), calls.write_units(), calls.read_units()), (3.0, 12.0, 2.5));
    }

    #[test]
    fn an_average_is_of_the_difference() {
        let of = |queries: f64| Calls::of_these(&[("table.Query", queries)]);
        let mut calls = of(25.0);
        calls.add(-1.0, &of(5.0));
        assert_eq!(calls.each(10), of(2.0));
    }
}
