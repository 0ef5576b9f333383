//! Runners registered just in time, in their pool's runner group.

use jiff::Timestamp;
use mayfly_core::brief::brief;
use mayfly_core::ids::{InstallationId, RunnerId, RunnerName};
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Pool, Scope};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::http::{CONFLICT, Call, NOT_FOUND, Said, Status, within};
use super::refusal::refused;
use super::{GitHub, GitHubError, NAME_LONGEST, PAGE, Permission, Removal};
use crate::secret::Secret;

/// An organization's runner groups are looked through for so many pages.
pub(super) const GROUP_PAGES_MOST: usize = 20;
/// What is told of the groups that there are, in characters.
const GROUPS_LONGEST: usize = 300;
/// What a runner group is called that everybody has.
const DEFAULT_GROUP: &str = "default";

/// A runner registered just in time: its id, and what its VM starts it with.
#[derive(Debug)]
pub struct Registration {
    /// Its id.
    pub runner_id: RunnerId,
    /// When GitHub had answered.
    pub at: Timestamp,
    /// `encoded_jit_config`: good for one runner and one job.
    pub jit_config: Secret,
}

#[derive(Deserialize)]
struct JitAnswer {
    runner: RunnerAnswer,
    encoded_jit_config: String,
}

#[derive(Deserialize)]
struct RunnerAnswer {
    id: u64,
}

#[derive(Deserialize)]
struct GroupsAnswer {
    runner_groups: Vec<GroupAnswer>,
}

#[derive(Deserialize)]
struct GroupAnswer {
    id: u64,
    name: String,
}

impl GitHub {
    /// Registers a runner for one job. A name that is registered already means that an earlier reply was lost: that
    /// registration is deleted, and the runner registered again.
    pub async fn register(
        &self,
        pool: &Pool,
        runner: &RunnerName,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Registration, GitHubError> {
        const DOING: &str = "registering a runner";
        let group = self.group(pool, installation, deadline).await?;
        let path = format!("/{}/actions/runners/generate-jitconfig", pool.scope);
        let body = jit_request(runner, group, &pool.labels);
        // The second round is for a name that an earlier try of ours left behind.
        for _ in 0..2 {
            let call = Call::post(DOING, &path, &body);
            match self.send(&pool.scope, installation, call, deadline).await? {
                Status::Ok(answer) => {
                    let answer: JitAnswer = answer.read(DOING)?;
                    let runner_id = RunnerId(answer.runner.id);
                    return Ok(Registration {
                        runner_id,
                        at: crate::clock::now(),
                        jit_config: Secret::new(answer.encoded_jit_config),
                    });
                }
                Status::Said(Said { status: CONFLICT, .. }) => {
                    let name = runner.as_str();
                    let removal = self.remove_by_name(&pool.scope, name, installation, deadline).await?;
                    if removal == Removal::Busy {
                        let why = "a runner of this name is busy already".to_owned();
                        return Err(GitHubError::Refused { doing: DOING, status: CONFLICT, why });
                    }
                }
                Status::Said(said) => return Err(refused(DOING, &pool.scope, Permission::Runners, said)),
            }
        }
        Err(GitHubError::Unavailable { doing: DOING, why: "the name stays registered".to_owned() })
    }

    /// Looks up what registering a runner needs, unless that is known: what it would be refused for shows here.
    pub async fn prepare(
        &self,
        pool: &Pool,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<(), GitHubError> {
        self.group(pool, installation, deadline).await.map(|_| ())
    }

    /// The id of the pool's runner group; looked up once, then remembered.
    async fn group(
        &self,
        pool: &Pool,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<u64, GitHubError> {
        const DOING: &str = "looking a runner group up";
        if matches!(pool.scope, Scope::Repository(_)) {
            // Repositories have only the default group, whose id is 1.
            return Ok(1);
        }
        let name = pool.runner_group.to_lowercase();
        // Kept locked while it is looked up: those who come at the same time want the same.
        let mut groups = within(deadline, DOING, async { Ok(self.groups.lock().await) }).await?;
        if let Some(id) = groups.get(&(pool.scope.clone(), name.clone())) {
            return Ok(*id);
        }
        let path = format!("/{}/actions/runner-groups", pool.scope);
        let (mut seen, mut is_whole) = (Vec::new(), false);
        for page in 1..=GROUP_PAGES_MOST {
            let call = Call::get(DOING, &path).query("per_page", PAGE).query("page", page);
            let answer = self.answer(&pool.scope, installation, call, deadline).await?;
            let answer = answer.read::<GroupsAnswer>(DOING)?.runner_groups;
            if let Some(group) = answer.iter().find(|group| group.name.to_lowercase() == name) {
                groups.insert((pool.scope.clone(), name), group.id);
                return Ok(group.id);
            }
            is_whole = answer.len() < PAGE;
            seen.extend(answer.into_iter().take(PAGE).map(|group| brief(&group.name, NAME_LONGEST)));
            if is_whole {
                break;
            }
        }
        if name == DEFAULT_GROUP {
            // It may have been renamed; its id is 1 all the same.
            return Ok(1);
        }
        let first = if is_whole { String::new() } else { format!(" among the first {}", seen.len()) };
        let names = brief(&seen.join(", "), GROUPS_LONGEST);
        let why = format!("no runner group `{}`{first}; there are: {names}", pool.runner_group);
        Err(GitHubError::Refused { doing: DOING, status: NOT_FOUND, why })
    }
}

fn jit_request(runner: &RunnerName, group: u64, labels: &Labels) -> serde_json::Value {
    json!({
        "name": runner.as_str(),
        "runner_group_id": group,
        "labels": labels.as_slice(),
        "work_folder": "_work",
    })
}
