//! A workflow run: whose code it runs, and who sees its repository.

use std::collections::VecDeque;
use std::sync::Mutex;

use mayfly_core::audience::{Head, Run, Visibility};
use mayfly_core::ids::{InstallationId, Repository, RunId};
use mayfly_core::policy::Scope;
use serde::Deserialize;
use tokio::time::Instant;

use super::http::{Call, NOT_FOUND, Said, Status};
use super::refusal::refused;
use super::{GitHub, GitHubError, Permission};

/// So many runs are remembered: what is asked for is not asked again for each job of a matrix, and what a search for lost jobs
/// reads in a list not at all. What they say never changes.
const REMEMBERED_MOST: usize = 500;

/// The runs that were read last.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<VecDeque<(RunId, Run)>>);

impl Runs {
    pub(super) fn get(&self, id: RunId) -> Option<Run> {
        let runs = self.0.lock().ok()?;
        runs.iter().find(|(known, _)| *known == id).map(|(_, run)| run.clone())
    }

    fn put(&self, id: RunId, run: Run) {
        let Ok(mut runs) = self.0.lock() else { return };
        if runs.iter().all(|(known, _)| *known != id) {
            runs.truncate(REMEMBERED_MOST - 1);
            runs.push_front((id, run));
        }
    }
}

/// Schema `workflow-run`, as far as it is used.
#[derive(Deserialize)]
pub(super) struct RunAnswer {
    id: u64,
    event: Option<String>,
    repository: Option<RepositoryAnswer>,
    head_repository: Option<RepositoryAnswer>,
}

/// Schema `minimal-repository`, as far as it is used.
#[derive(Deserialize)]
struct RepositoryAnswer {
    id: Option<u64>,
    full_name: Option<String>,
    private: Option<bool>,
    visibility: Option<String>,
}

impl RunAnswer {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    fn run(self) -> Run {
        let own = self.repository.as_ref();
        let visibility = own.and_then(|own| Visibility::of(own.visibility.as_deref(), own.private));
        let proposes = self.event.is_some_and(|event| event.starts_with("pull_request"));
        let head = match self.head_repository {
            Some(head) if own.is_some_and(|own| own.is_other_than(&head)) => {
                Head::Fork(head.full_name.unwrap_or_default())
            }
            None if proposes => Head::Gone,
            Some(_) | None => Head::Own,
        };
        Run { visibility, head }
    }
}

impl RepositoryAnswer {
    /// By id, since a repository may have been renamed between two answers; by name where there is none.
    fn is_other_than(&self, head: &Self) -> bool {
        match (self.id, head.id) {
            (Some(own), Some(head)) => own != head,
            _ => self.full_name != head.full_name,
        }
    }
}

impl GitHub {
    /// A workflow run (`GET /repos/{owner}/{repo}/actions/runs/{run_id}`), remembered for the other jobs of it. Anybody who sees
    /// the repository may ask; none where GitHub shows us no such run.
    pub async fn run(
        &self,
        repository: &Repository,
        run: RunId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Option<Run>, GitHubError> {
        const DOING: &str = "looking a run up";
        if let Some(known) = self.runs.get(run) {
            return Ok(Some(known));
        }
        let scope = Scope::Repository(repository.clone());
        let path = format!("/{scope}/actions/runs/{run}");
        let call = Call::get(DOING, &path).needs(Permission::Actions).query("exclude_pull_requests", true);
        // Not finding ourselves is an error before this: only what is said of the run itself counts.
        match self.send(&scope, installation, call, deadline).await? {
            Status::Ok(answer) => {
                let seen = answer.read::<RunAnswer>(DOING)?.run();
                self.runs.put(run, seen.clone());
                Ok(Some(seen))
            }
            Status::Said(Said { status: NOT_FOUND, .. }) => Ok(None),
            Status::Said(said) => Err(refused(DOING, &scope, Permission::Actions, said)),
        }
    }

    /// A run that was looked up or listed lately.
    pub fn known_run(&self, run: RunId) -> Option<Run> {
        self.runs.get(run)
    }

    /// Remembers what somebody else was told of a run.
    pub fn learn_run(&self, id: RunId, run: Run) {
        self.runs.put(id, run);
    }

    pub(super) fn remember_runs(&self, runs: Vec<RunAnswer>) {
        for run in runs {
            self.runs.put(RunId(run.id), run.run());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(answer: Value) -> Run {
        serde_json::from_value::<RunAnswer>(answer).unwrap().run()
    }

    #[test]
    fn a_run_of_another_repositorys_code_is_a_forks_whatever_it_is_called() {
        let own = json!({"id": 1, "full_name": "a/b", "private": false});
        let head = |head: Value| {
            run(json!({"id": 7, "event": "pull_request", "repository": own, "head_repository": head}))
        };
        assert_eq!(head(json!({"id": 1, "full_name": "renamed/b"})).head, Head::Own);
        assert_eq!(head(json!({"id": 2, "full_name": "x/b"})).head, Head::Fork("x/b".into()));
        assert_eq!(head(json!({"full_name": "x/b"})).head, Head::Fork("x/b".into()));
        assert_eq!(head(Value::Null).head, Head::Gone);
        assert_eq!(head(Value::Null).visibility, Some(Visibility::Public));
        let pushed = run(json!({"id": 7, "event": "push", "repository": own, "head_repository": null}));
        assert_eq!(pushed.head, Head::Own);
    }

    #[test]
    fn the_last_runs_are_remembered_and_no_more() {
        let runs = Runs::default();
        let seen = Run { visibility: None, head: Head::Own };
        for id in 0..2_000 {
            runs.put(RunId(id), seen.clone());
        }
        assert_eq!(runs.0.lock().unwrap().len(), REMEMBERED_MOST);
        assert_eq!((runs.get(RunId(1_999)), runs.get(RunId(0))), (Some(seen), None));
    }
}
