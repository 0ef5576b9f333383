//! What we may do at an owner: the App's installation with its permissions, or a token by trying it.

use std::collections::BTreeMap;

use mayfly_core::policy::Scope;
use mayfly_service::config::Config;
use mayfly_service::github::{GitHub, GitHubError, OwnApp, RunnersSeen};
use tokio::time::Instant;

use crate::doctor::finding::Findings;

/// A permission of an App, as far as a deployment needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Need {
    /// As the API calls it.
    name: &'static str,
    /// `read` or `write`.
    level: &'static str,
    /// As the App's settings call it.
    shown: &'static str,
    /// What does not work without it.
    without: &'static str,
    /// Whether nothing works without it.
    vital: bool,
}

const ACTIONS: Need = Need {
    name: "actions",
    level: "read",
    shown: "Actions: read (repository)",
    without: "nobody is told of jobs, and lost ones are not found",
    vital: true,
};

const CHECKS: Need = Need {
    name: "checks",
    level: "write",
    shown: "Checks: read and write (repository)",
    without: "no commit says that its job waits (`notifications.waiting_after`)",
    vital: false,
};

/// What an App needs at a scope; an enterprise's permissions are not among those that GitHub publishes. Hooks matter where
/// the events come by the owner's own webhook, check runs where they are wanted.
fn needed(scope: &Scope, by_its_hook: bool, notifies: bool) -> Vec<Need> {
    let (runners, hooks) = match scope {
        Scope::Organization(_) => (
            Need {
                name: "organization_self_hosted_runners",
                level: "write",
                shown: "Self-hosted runners: read and write (organization)",
                without: "no runner can be registered",
                vital: true,
            },
            ("organization_hooks", "Webhooks: read and write (organization)"),
        ),
        Scope::Repository(_) => (
            Need {
                name: "administration",
                level: "write",
                shown: "Administration: read and write (repository)",
                without: "no runner can be registered",
                vital: true,
            },
            ("repository_hooks", "Webhooks: read and write (repository)"),
        ),
        Scope::Enterprise(_) => return if notifies { vec![CHECKS] } else { Vec::new() },
    };
    let hook = Need {
        name: hooks.0,
        level: "write",
        shown: hooks.1,
        without: "failed deliveries are not asked for again; jobs are found later, by looking through runs",
        vital: false,
    };
    let mut needs = vec![runners, ACTIONS];
    needs.extend(by_its_hook.then_some(hook));
    needs.extend(notifies.then_some(CHECKS));
    needs
}

fn has(permissions: &BTreeMap<String, String>, need: &Need) -> bool {
    let had = permissions.get(need.name).map(String::as_str);
    matches!((had, need.level), (Some("admin" | "write"), _) | (Some("read"), "read"))
}

/// Looks at one owner. Whether runners can be registered there, as far as that can be seen.
pub async fn examine(
    config: &Config,
    github: &GitHub,
    app: Option<&OwnApp>,
    scope: &Scope,
    found: &mut Findings,
    deadline: Instant,
) -> bool {
    if let Some(app) = app
        && !installed(config, github, app, scope, found, deadline).await
    {
        found.skipped(format!("{scope}: runners"), "the App may not look at them");
        return false;
    }
    match github.runners_seen(scope, deadline).await {
        Ok(seen) => {
            judge_runners(config, scope, &seen, app.is_some(), found);
            true
        }
        Err(error) => {
            found.wrong(
                format!("{scope}: runners"),
                error.to_string(),
                mend_of(scope, app.is_some(), &error),
            );
            false
        }
    }
}

/// Whether the App is installed there with what it needs.
async fn installed(
    config: &Config,
    github: &GitHub,
    app: &OwnApp,
    scope: &Scope,
    found: &mut Findings,
    deadline: Instant,
) -> bool {
    let what = format!("{scope}: installation");
    let seen = match github.installation_seen(scope, deadline).await {
        Ok(seen) => seen,
        Err(error) => {
            let mend = format!(
                "install the App {} there (its settings, Install App); a configured `installation_id` must be that one's",
                app.name
            );
            found.wrong(what, error.to_string(), mend);
            return false;
        }
    };
    if let Some(since) = seen.suspended_at {
        let why = format!("is suspended since {since}");
        found.wrong(what, why, format!("unsuspend installation {} in the owner's settings", seen.id));
        return false;
    }
    found.ok(what, seen.id.to_string());
    let mut is_usable = true;
    let notifies = config.policy.waiting_after.is_some();
    for need in needed(scope, config.github.webhook_url.is_some(), notifies) {
        let what = format!("{scope}: permission {}", need.name);
        if has(&seen.permissions, &need) {
            found.ok(what, seen.permissions.get(need.name).cloned().unwrap_or_default());
            continue;
        }
        let had = seen.permissions.get(need.name).map_or("none", String::as_str);
        let why = format!("is {had}, and must be {}: {}", need.level, need.without);
        let mend = if has(&app.permissions, &need) {
            format!("the App asks for it: accept its new permissions at installation {}", seen.id)
        } else {
            format!("give the App {} (its settings, Permissions & events), and accept it there", need.shown)
        };
        if need.vital {
            found.wrong(what, why, mend);
            is_usable &= need.level != "write";
        } else {
            found.warning(what, why, mend);
        }
    }
    is_usable
}

/// What the list of runners tells: a token's kind and scopes, and the versions of runners that were made from the images.
fn judge_runners(config: &Config, scope: &Scope, seen: &RunnersSeen, is_app: bool, found: &mut Findings) {
    found.ok(format!("{scope}: runners"), format!("can be listed; there are {}", seen.total));
    if !is_app {
        match &seen.scopes {
            Some(scopes) => {
                let all: Vec<&str> = scopes.iter().map(String::as_str).collect();
                found.ok("login", format!("a classic token with the scopes {}", all.join(", ")));
            }
            None => found.ok("login", "a fine-grained token, which tells nothing of its permissions"),
        }
    }
    let ours = format!("{}-", config.policy.deployment);
    let mut versions: Vec<&str> = seen
        .versions
        .iter()
        .filter(|(name, _)| name.starts_with(&ours))
        .map(|(_, version)| version.as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let what = format!("{scope}: runner version of the images");
    if versions.is_empty() {
        found.skipped(
            what,
            "GitHub tells it of registered runners only, and there is none of this deployment now",
        );
    } else {
        // What GitHub still accepts is published nowhere: whoever registers is known to be accepted.
        found.ok(what, versions.join(", "));
    }
}

fn mend_of(scope: &Scope, is_app: bool, error: &GitHubError) -> String {
    let status = match error {
        GitHubError::Refused { status, .. } => *status,
        GitHubError::RateLimited { .. } => return "wait, and look again".to_owned(),
        GitHubError::Unavailable { .. } => return "look again; see https://www.githubstatus.com".to_owned(),
    };
    if status == 401 {
        return "make a new token, and put it where `github.token` says".to_owned();
    }
    match (is_app, scope) {
        (true, _) => "give the App what the message names, and accept it at the installation".to_owned(),
        (false, Scope::Organization(_)) => {
            "give the token the scope admin:org, or, a fine-grained one, Self-hosted runners: read and write of the \
             organization"
                .to_owned()
        }
        (false, Scope::Repository(_)) => {
            "give the token the scope repo, or, a fine-grained one, Administration: read and write of the repository"
                .to_owned()
        }
        (false, Scope::Enterprise(_)) => "give the token the scope manage_runners:enterprise".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mayfly_core::ids::{Account, Repository};

    use super::*;

    #[test]
    fn what_is_needed_depends_on_where_runners_register_whose_webhook_it_is_and_what_is_said() {
        let names = |scope: &Scope, by_hook, notifies| -> Vec<&str> {
            needed(scope, by_hook, notifies).iter().map(|need| need.name).collect()
        };
        let organization = Scope::Organization(Account::new("shader-slang").unwrap());
        let repository = Scope::Repository(Repository::new("shader-slang/slang").unwrap());
        assert_eq!(names(&organization, false, false), ["organization_self_hosted_runners", "actions"]);
        assert_eq!(
            names(&organization, true, false),
            ["organization_self_hosted_runners", "actions", "organization_hooks"]
        );
        assert_eq!(names(&repository, true, false), ["administration", "actions", "repository_hooks"]);
        assert_eq!(names(&repository, false, true), ["administration", "actions", "checks"]);
    }

    #[test]
    fn who_may_write_may_read() {
        let had = |level: &str| BTreeMap::from([("actions".to_owned(), level.to_owned())]);
        let write = Need { level: "write", ..ACTIONS };
        assert!(has(&had("read"), &ACTIONS) && has(&had("write"), &ACTIONS) && has(&had("write"), &write));
        assert!(!has(&had("read"), &write) && !has(&BTreeMap::new(), &ACTIONS));
    }
}
