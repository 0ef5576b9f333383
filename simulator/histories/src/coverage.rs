//! How often what happened.

use std::collections::BTreeMap;

use crate::plan::Trouble;

/// How often what happened, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl Coverage {
    /// Once more.
    pub fn add(&mut self, kind: &'static str, name: impl Into<String>) {
        self.count(kind, name.into(), 1);
    }

    /// So often more.
    pub fn count(&mut self, kind: &'static str, name: String, times: u64) {
        *self.counts.entry(kind).or_default().entry(name).or_default() += times;
    }

    /// A trouble struck.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.add("trouble", format!("{trouble:?}"));
    }

    /// Takes in another's.
    pub fn merge(&mut self, other: &Self) {
        for (kind, counts) in &other.counts {
            for (name, times) in counts {
                self.count(kind, name.clone(), *times);
            }
        }
    }

    /// How often.
    pub fn of(&self, kind: &str, name: &str) -> u64 {
        self.counts.get(kind).and_then(|counts| counts.get(name)).copied().unwrap_or(0)
    }

    /// What of these never happened.
    pub fn missing<'a>(&self, kind: &str, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().copied().filter(|name| self.of(kind, name) == 0).collect()
    }

    /// All counts, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        let each = |(kind, counts)| {
            let counts: &BTreeMap<String, u64> = counts;
            let kind: &&'static str = kind;
            counts.iter().map(|(name, times)| (*kind, name.as_str(), *times))
        };
        self.counts.iter().flat_map(each)
    }
}
