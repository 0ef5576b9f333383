//! What a person may name a job by.

use mayfly_core::ids::{Deployment, JobId, Repository, RunnerName};
use mayfly_service::config::Url;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A job; with its repository, where its address says it.
    Job(JobId, Option<Repository>),
    /// A runner of this deployment.
    Runner(RunnerName),
}

impl Target {
    /// Reads a job's number, its address in the browser, or a runner's name; else says what would be right.
    pub fn parse(text: &str, deployment: &Deployment) -> Result<Self, String> {
        if let Ok(job) = text.parse() {
            return Ok(Self::Job(JobId(job), None));
        }
        if let Some((repository, job)) = address(text) {
            return Ok(Self::Job(job, Some(repository)));
        }
        RunnerName::parse(deployment, text).map(Self::Runner).ok_or_else(|| {
            format!(
                "`{text}` is no job's number, no job's address (https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB), and \
                 no runner of this deployment ({deployment}-POOL-SLOT-…)"
            )
        })
    }
}

/// `https://HOST/OWNER/REPO/actions/runs/RUN/job/JOB`, whatever the host: github.com, one of ghe.com, or a server of one's own.
/// Query and fragment, such as `#step:4:1`, are left aside.
fn address(text: &str) -> Option<(Repository, JobId)> {
    let url: Url = text.parse().ok().filter(|url: &Url| matches!(url.scheme(), "https" | "http"))?;
    let parts: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let [owner, name, "actions", "runs", run, "job", job] = parts[..] else { return None };
    run.parse::<u64>().ok()?;
    Some((Repository::new(format!("{owner}/{name}")).ok()?, JobId(job.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Target, String> {
        Target::parse(text, &Deployment::new("prod").unwrap())
    }

    #[test]
    fn a_job_is_named_by_its_number_or_by_its_address_on_any_github() {
        assert_eq!(parsed("51234567890"), Ok(Target::Job(JobId(51_234_567_890), None)));
        let job = Ok(Target::Job(JobId(42), Some(Repository::new("shader-slang/slang").unwrap())));
        let path = "shader-slang/slang/actions/runs/7/job/42";
        for address in [
            format!("https://github.com/{path}"),
            format!("https://acme.ghe.com/{path}/"),
            format!("https://github.acme.example:8443/{path}?pr=12"),
            format!("https://github.com/{path}?check_suite_focus=true#step:4:1"),
        ] {
            assert_eq!(parsed(&address), job, "{address}");
        }
    }

    #[test]
    fn a_runner_is_one_of_this_deployment() {
        let name = "prod-linux-gpu-0007-abcdefghijkm";
        let runner = RunnerName::parse(&Deployment::new("prod").unwrap(), name).unwrap();
        assert_eq!(parsed(name), Ok(Target::Runner(runner)));
    }

    #[test]
    fn anything_else_is_told_what_would_be_right() {
        for wrong in [
            "",
            "-1",
            "next",
            "staging-linux-gpu-0007-abcdefghijkm",
            "https://github.com/shader-slang/slang/actions/runs/7",
            "https://github.com/shader-slang/slang/actions/runs/x/job/42",
            "https://github.com/shader-slang/slang/pull/7",
            "ftp://github.com/shader-slang/slang/actions/runs/7/job/42",
        ] {
            let told = parsed(wrong).unwrap_err();
            assert!(told.contains("actions/runs/RUN/job/JOB") && told.contains("prod-POOL-SLOT"), "{told}");
        }
    }
}
