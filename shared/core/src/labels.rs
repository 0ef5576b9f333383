//! Labels as GitHub compares them: letter case aside, a job fits where all of its labels are.

use std::collections::BTreeSet;
use std::fmt;

/// A set of labels, compared without regard to ASCII letter case, as GitHub does; written as it was first given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    given: Vec<String>,
    folded: BTreeSet<String>,
}

impl Labels {
    /// The labels in the order given, each once.
    pub fn new<S: Into<String>>(labels: impl IntoIterator<Item = S>) -> Self {
        let mut set = Self::default();
        for label in labels {
            let label = label.into();
            if set.folded.insert(label.to_lowercase()) {
                set.given.push(label);
            }
        }
        set
    }

    /// Whether a runner with these labels takes a job that asks for `wanted`.
    pub fn cover(&self, wanted: &Labels) -> bool {
        wanted.folded.is_subset(&self.folded)
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
        f.write_str(&self.given.join(", "))
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
