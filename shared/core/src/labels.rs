//! Labels as GitHub compares them: letter case aside, a job fits where all of its labels are.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::brief::brief;

/// GitHub takes at most so many labels for a runner (`labels` of `generate-jitconfig`): a job that asks for more fits none.
pub const LABELS_MOST: usize = 100;
/// GitHub's own limit of a label's length, in bytes: a job that asks for a longer one fits no runner.
pub const LABEL_LONGEST: usize = 256;

/// A set of labels, compared without regard to ASCII letter case, as GitHub does; written as it was first given.
///
/// What no runner can have is not kept, but remembered: such a set fits nowhere, however little of it is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    given: Vec<String>,
    folded: BTreeSet<String>,
    is_beyond: bool,
}

impl Labels {
    /// The labels in the order given, each once.
    pub fn new<S: Into<String>>(labels: impl IntoIterator<Item = S>) -> Self {
        let mut set = Self::default();
        for label in labels {
            set.add(&label.into());
        }
        set
    }

    fn add(&mut self, label: &str) {
        self.is_beyond |= label.len() > LABEL_LONGEST;
        let label = brief(label, LABEL_LONGEST);
        let folded = label.to_lowercase();
        if self.folded.len() < LABELS_MOST {
            if self.folded.insert(folded) {
                self.given.push(label);
            }
        } else {
            self.is_beyond |= !self.folded.contains(&folded);
        }
    }

    /// Whether a runner with these labels takes a job that asks for `wanted`.
    pub fn cover(&self, wanted: &Labels) -> bool {
        !wanted.is_beyond && wanted.folded.is_subset(&self.folded)
    }

    /// Whether there were more of them, or longer ones, than any runner can have.
    pub fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    /// Whether no job could tell the two apart.
    pub fn same_as(&self, other: &Labels) -> bool {
        self.folded == other.folded
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.folded.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// The labels as given.
    pub fn as_slice(&self) -> &[String] {
        &self.given
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given.join(", "))?;
        if self.is_beyond { f.write_str(", …") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Labels {
    /// One after the other, so that no more than the limits is ever held.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut labels: A) -> Result<Labels, A::Error> {
                let mut set = Labels::default();
                while let Some(label) = labels.next_element::<String>()? {
                    set.add(&label);
                }
                Ok(set)
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_job_fits_when_all_its_labels_are_there_letter_case_aside() {
        let pool = Labels::new(["self-hosted", "Linux", "GPU"]);
        for (wanted, fits) in [
            (vec!["self-hosted", "linux", "gpu"], true),
            (vec!["GPU"], true),
            (vec!["gpu", "GPU"], true),
            (vec!["self-hosted", "windows"], false),
            (vec!["ubuntu-latest"], false),
        ] {
            assert_eq!(pool.cover(&Labels::new(wanted.clone())), fits, "{wanted:?}");
        }
    }

    /// A job that asks for more than any runner can have must not fit because the rest of it was not kept.
    #[test]
    fn what_is_beyond_a_runners_labels_fits_none() {
        let numbers = |count: usize| (0..count).map(|number| number.to_string());
        let pool = Labels::new(numbers(100));
        assert!(pool.cover(&Labels::new(numbers(100).chain(numbers(50)))), "each once");
        assert!(!pool.cover(&Labels::new(numbers(101))));
        let (longest, longer) = ("x".repeat(256), "x".repeat(257));
        assert!(Labels::new([longest.as_str()]).cover(&Labels::new([longest.as_str()])));
        assert!(!Labels::new([longest.as_str()]).cover(&Labels::new([longer.as_str()])));
        for beyond in [Labels::new(numbers(200_000)), Labels::new([longer.as_str()])] {
            assert!(beyond.len() <= 100 && !beyond.is_empty() && !beyond.cover(&beyond));
            assert!(beyond.to_string().ends_with('…'), "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn letter_case_and_order_never_matter(mut labels in proptest::collection::vec("[a-zA-Z0-9-]{1,8}", 1..6)) {
            let pool = Labels::new(labels.clone());
            labels.reverse();
            let shouted = Labels::new(labels.iter().map(|label| label.to_uppercase()));
            prop_assert!(pool.cover(&shouted) && pool.same_as(&shouted));
        }
    }
}
