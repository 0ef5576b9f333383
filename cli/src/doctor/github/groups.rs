//! A pool's runner group: whether it exists, and whose jobs its runners take.

use mayfly_core::ids::Repository;
use mayfly_core::policy::{Pool, Scope};
use mayfly_service::github::{GitHub, GroupSeen, RepositorySeen};
use tokio::time::Instant;

use crate::doctor::finding::Findings;

/// So many repositories of a pool's list are looked at, a call each.
const REPOSITORIES_MOST: usize = 50;

/// Looks at one pool's group.
pub async fn examine(github: &GitHub, pool: &Pool, found: &mut Findings, deadline: Instant) {
    let repositories = named(github, pool, found, deadline).await;
    if matches!(pool.scope, Scope::Repository(_)) {
        // It has only the default one, which takes all of its jobs.
        return;
    }
    let what = format!("pool {}: runner group {}", pool.name, pool.runner_group);
    let groups = match github.runner_groups(&pool.scope, deadline).await {
        Ok(groups) => groups,
        Err(error) => {
            let mend = "the permission to register runners shows groups too: see what the message names";
            found.wrong(what, error.to_string(), mend);
            return;
        }
    };
    let Some(group) = of_name(&groups, &pool.runner_group) else {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let why = format!("there is none of that name; there are {}", names.join(", "));
        let mend = format!(
            "make the group (settings of {}, Actions, Runner groups), or set the pool's `runner_group` to one of these",
            pool.scope
        );
        found.wrong(what, why, mend);
        return;
    };
    found.ok(&what, format!("exists; it is for {}", audience(group)));
    if group.restricted_to_workflows {
        let mend = "lift the restriction in the group's settings, unless it is meant";
        found.warning(&what, "takes jobs of selected workflows only", mend);
    }
    // An enterprise's groups are for organizations.
    if !matches!(pool.scope, Scope::Organization(_)) {
        return;
    }
    let selected = if group.visibility == "selected" {
        match github.group_repositories(&pool.scope, group.id, deadline).await {
            Ok(selected) => Some(selected),
            Err(error) => {
                found.skipped(format!("{what}: whom it admits"), error.to_string());
                return;
            }
        }
    } else {
        None
    };
    admits(pool, group, selected.as_deref(), &repositories, found);
}

/// The group of that name; the default one may have been renamed.
fn of_name<'a>(groups: &'a [GroupSeen], name: &str) -> Option<&'a GroupSeen> {
    let named = groups.iter().find(|group| group.name.to_lowercase() == name.to_lowercase());
    named.or_else(|| groups.iter().find(|group| group.default && name.eq_ignore_ascii_case("default")))
}

fn audience(group: &GroupSeen) -> &'static str {
    match (group.visibility.as_str(), group.allows_public_repositories) {
        ("selected", true) => "selected repositories",
        ("selected", false) => "selected repositories, no public ones",
        ("private", _) | (_, false) => "all private repositories, no public ones",
        (_, true) => "all repositories",
    }
}

/// The repositories that the pool names, as they are. Patterns may stand for any.
async fn named(github: &GitHub, pool: &Pool, found: &mut Findings, deadline: Instant) -> Vec<RepositorySeen> {
    let only: Vec<Repository> = match &pool.scope {
        Scope::Organization(login) => {
            pool.repositories.iter().filter_map(|pattern| pattern.only(login.as_str())).collect()
        }
        Scope::Repository(name) => vec![name.clone()],
        Scope::Enterprise(_) => Vec::new(),
    };
    let mut seen = Vec::new();
    for name in only.iter().take(REPOSITORIES_MOST) {
        let what = format!("pool {}: repository {name}", pool.name);
        match github.repository_seen(&pool.scope, name, deadline).await {
            Ok(Some(repository)) if repository.archived => {
                let mend = "unarchive it, or take it from the pool's `repositories`";
                found.warning(what, "is archived, and runs no workflows", mend);
            }
            Ok(Some(repository)) => seen.push(repository),
            Ok(None) => {
                let mend = "correct the pool's `repositories`, or let the App (or the token) see it: the installation's \
                            Repository access";
                found.wrong(what, "there is none of that name, or it may not be seen", mend);
            }
            Err(error) => found.skipped(what, error.to_string()),
        }
    }
    seen
}

/// Whether the group takes the jobs of the pool's repositories.
fn admits(
    pool: &Pool,
    group: &GroupSeen,
    selected: Option<&[RepositorySeen]>,
    repositories: &[RepositorySeen],
    found: &mut Findings,
) {
    let what = format!("pool {}: whom its runner group admits", pool.name);
    let settings = format!("settings of runner group {}", group.name);
    let mut refused = false;
    for repository in repositories {
        let name = &repository.full_name;
        let is_selected =
            selected.is_none_or(|all| all.iter().any(|each| each.full_name.eq_ignore_ascii_case(name)));
        let is_public_and_out =
            !repository.private && (group.visibility == "private" || !group.allows_public_repositories);
        if is_public_and_out {
            let why = format!(
                "{name} is public, and the group admits no public repositories: its jobs wait for ever"
            );
            let mend = format!(
                "allow public repositories in the {settings}; whoever can open a pull request there can then have code \
                 run on these runners"
            );
            found.wrong(&what, why, mend);
            refused = true;
        } else if !is_selected {
            let why = format!("{name} is not among the group's repositories: its jobs wait for ever");
            found.wrong(&what, why, format!("add it in the {settings}"));
            refused = true;
        }
    }
    if refused {
        return;
    }
    match selected {
        Some([]) => {
            found.wrong(what, "the group admits no repository at all", format!("add some in the {settings}"));
        }
        Some(all) if !all.iter().any(|each| allows(pool, each)) => {
            let why = "none of the group's repositories is one of the pool's";
            found.wrong(
                what,
                why,
                format!("add them in the {settings}, or correct the pool's `repositories`"),
            );
        }
        Some(all) => found.ok(what, format!("{} repositories", all.len())),
        None => found.ok(what, audience(group)),
    }
}

fn allows(pool: &Pool, repository: &RepositorySeen) -> bool {
    Repository::new(repository.full_name.clone()).is_ok_and(|name| pool.allows(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, default: bool, visibility: &str, public: bool) -> GroupSeen {
        GroupSeen {
            id: 1,
            name: name.to_owned(),
            visibility: visibility.to_owned(),
            default,
            allows_public_repositories: public,
            restricted_to_workflows: false,
        }
    }

    #[test]
    fn a_group_is_known_by_its_name_and_the_default_one_by_being_it() {
        let groups = [group("Everyone", true, "all", true), group("GPU", false, "all", true)];
        let name = |wanted: &str| of_name(&groups, wanted).map(|group| group.name.as_str());
        assert_eq!(name("gpu"), Some("GPU"));
        assert_eq!(name("Default"), Some("Everyone"));
        assert_eq!(name("none"), None);
    }

    #[test]
    fn whom_a_group_is_for_is_said_in_words() {
        assert_eq!(audience(&group("x", false, "all", true)), "all repositories");
        assert_eq!(audience(&group("x", false, "all", false)), "all private repositories, no public ones");
        assert_eq!(audience(&group("x", false, "selected", false)), "selected repositories, no public ones");
    }
}
