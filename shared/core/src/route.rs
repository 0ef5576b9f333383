//! Which pool serves a job.

use crate::brief::brief;
use crate::event::JobEvent;
use crate::policy::{Policy, Pool, Scope};

/// Why no pool serves a job; written into the answer to GitHub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// No pool carries all of the job's labels; these, as far as they fit on a line.
    #[error("no pool's labels fit [{0}]")]
    Labels(String),
    /// The labels fit, but the pool's runners cannot be reached from the repository, or are not meant for it.
    #[error("repository {0} is not allowed by any pool whose labels fit")]
    Repository(String),
}

/// What is told of labels that fit no pool, in characters.
const LABELS_LONGEST: usize = 300;

/// The pool for a job: of those that fit the one with the fewest labels, so that a plain job does not take
/// a special machine; then the order of the configuration.
pub fn route<'a>(policy: &'a Policy, event: &JobEvent) -> Result<&'a Pool, NotServed> {
    let fitting =
        || policy.pools.iter().filter(|pool| !event.labels.is_empty() && pool.labels.cover(&event.labels));
    fitting()
        .filter(|pool| {
            reaches(&pool.scope, event)
                && pool.allows(&event.repository)
                && pool.audience.takes(event.visibility)
        })
        .min_by_key(|pool| pool.labels.len())
        .ok_or_else(|| match fitting().next() {
            Some(_) => NotServed::Repository(event.repository.to_string()),
            None => NotServed::Labels(brief(&event.labels.to_string(), LABELS_LONGEST)),
        })
}

fn reaches(scope: &Scope, event: &JobEvent) -> bool {
    match scope {
        Scope::Organization(login) => event.repository.owner().eq_ignore_ascii_case(login.as_str()),
        Scope::Repository(repository) => event.repository.as_str().eq_ignore_ascii_case(repository.as_str()),
        // A delivery of an app or an organization's hook may not name the enterprise: then its signature vouches.
        Scope::Enterprise(slug) => {
            event.enterprise.as_ref().is_none_or(|named| named.eq_ignore_ascii_case(slug.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Account, Repository};
    use crate::policy::RepositoryPattern;
    use crate::sweep::fixtures::{event, policy, pool};

    #[test]
    fn the_pool_with_the_fewest_labels_wins_then_the_first_configured() {
        let mut policy = policy(vec![
            pool("special", &["self-hosted", "Linux", "GPU", "A100"]),
            pool("plain", &["self-hosted", "Linux", "GPU"]),
            pool("twin", &["self-hosted", "Linux", "gpu2"]),
        ]);
        assert_eq!(route(&policy, &event(1, &["linux", "gpu"])).unwrap().name.as_str(), "plain");
        assert_eq!(route(&policy, &event(1, &["a100"])).unwrap().name.as_str(), "special");
        assert_eq!(route(&policy, &event(1, &["linux"])).unwrap().name.as_str(), "plain");
        policy.pools.swap(1, 2);
        assert_eq!(route(&policy, &event(1, &["linux"])).unwrap().name.as_str(), "twin");
    }

    #[test]
    fn a_job_that_nobody_serves_is_told_why() {
        let mut policy = policy(vec![pool("plain", &["self-hosted", "Linux"])]);
        let labels = route(&policy, &event(1, &["ubuntu-latest"])).unwrap_err();
        assert_eq!(labels.to_string(), "no pool's labels fit [ubuntu-latest]");
        assert!(matches!(route(&policy, &event(1, &[])), Err(NotServed::Labels(_))));

        policy.pools[0].repositories = vec![RepositoryPattern::new("other-*").unwrap()];
        let repository = route(&policy, &event(1, &["linux"])).unwrap_err();
        assert!(matches!(&repository, NotServed::Repository(name) if name == "shader-slang/slang"));
    }

    #[test]
    fn a_job_with_a_thousand_long_labels_is_told_why_in_one_short_line() {
        let labels: Vec<String> = (0..1_000).map(|number| format!("{number}\n{}", "x".repeat(300))).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let told =
            route(&policy(vec![pool("plain", &["Linux"])]), &event(1, &labels)).unwrap_err().to_string();
        assert!(told.chars().count() <= 400 && !told.contains('\n'), "{told}");
    }

    #[test]
    fn runners_of_another_owner_are_out_of_reach() {
        let mut policy = policy(vec![pool("plain", &["Linux"])]);
        policy.pools[0].scope = Scope::Organization(Account::new("Shader-Slang").unwrap());
        assert!(route(&policy, &event(1, &["linux"])).is_ok());
        policy.pools[0].scope = Scope::Repository(Repository::new("shader-slang/other").unwrap());
        assert!(route(&policy, &event(1, &["linux"])).is_err());
        policy.pools[0].scope = Scope::Enterprise(Account::new("big").unwrap());
        let mut event = event(1, &["linux"]);
        assert!(route(&policy, &event).is_ok());
        event.enterprise = Some("small".into());
        assert!(route(&policy, &event).is_err());
    }
}
