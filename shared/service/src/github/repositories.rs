//! The repositories whose jobs can reach a scope's runners.

use std::time::Duration;

use mayfly_core::ids::{Account, Repository};
use mayfly_core::policy::Scope;
use serde::Deserialize;
use tokio::time::Instant;

use super::http::{Call, within};
use super::{GitHub, GitHubError, PAGE, Permission};

/// So many pages of repositories are read.
const PAGES_MOST: usize = 10;
/// For so long they are remembered.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
const DOING: &str = "listing the repositories";

/// What `GET /installation/repositories` answers.
#[derive(Deserialize)]
struct OfInstallation {
    repositories: Vec<RepositoryAnswer>,
}

#[derive(Deserialize)]
struct RepositoryAnswer {
    full_name: String,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    disabled: bool,
}

impl GitHub {
    /// The repositories whose jobs can reach a scope's runners, by name, without archived and disabled ones: the repository
    /// itself (no call); an organization's that the App's installation may see, or the token; none of an enterprise, which
    /// GitHub does not list. The first thousand of them (for a token those last pushed to), remembered for ten
    /// minutes.
    pub async fn repositories(
        &self,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<Vec<Repository>, GitHubError> {
        let login = match scope {
            Scope::Repository(repository) => return Ok(vec![repository.clone()]),
            Scope::Enterprise(_) => return Ok(Vec::new()),
            Scope::Organization(login) => login,
        };
        // Kept locked while they are listed: those who come at the same time want the same.
        let mut known = within(deadline, DOING, async { Ok(self.repositories.lock().await) }).await?;
        if let Some((read_at, repositories)) = known.get(scope)
            && read_at.elapsed() < REMEMBERED
        {
            return Ok(repositories.clone());
        }
        let repositories = self.list_repositories(scope, login, deadline).await?;
        known.insert(scope.clone(), (Instant::now(), repositories.clone()));
        Ok(repositories)
    }

    async fn list_repositories(
        &self,
        scope: &Scope,
        login: &Account,
        deadline: Instant,
    ) -> Result<Vec<Repository>, GitHubError> {
        let of_organization = format!("/{scope}/repos");
        let mut repositories = Vec::new();
        let mut is_whole = false;
        for page in 1..=PAGES_MOST {
            let call = if self.auth.is_app() {
                Call::get(DOING, "/installation/repositories")
            } else {
                Call::get(DOING, &of_organization).query("sort", "pushed")
            };
            let call = call.needs(Permission::Metadata).query("per_page", PAGE).query("page", page);
            let answer = self.answer(scope, None, call, deadline).await?;
            let listed = if self.auth.is_app() {
                answer.read::<OfInstallation>(DOING)?.repositories
            } else {
                answer.read::<Vec<RepositoryAnswer>>(DOING)?
            };
            repositories.extend(listed.into_iter().filter_map(|each| live(each, login)));
            if answer.next().is_none() {
                is_whole = true;
                break;
            }
        }
        if !is_whole {
            let most = PAGES_MOST * PAGE;
            tracing::warn!(organization = %login, most, "there are more repositories than are looked at: jobs of the others are found by their deliveries only");
        }
        repositories.sort();
        repositories.dedup();
        Ok(repositories)
    }
}

/// A repository that can have jobs for the organization's runners.
fn live(each: RepositoryAnswer, login: &Account) -> Option<Repository> {
    let repository = Repository::new(each.full_name).ok()?;
    // A configured installation may be another organization's.
    let is_its = repository.owner().eq_ignore_ascii_case(login.as_str());
    (is_its && !each.archived && !each.disabled).then_some(repository)
}
