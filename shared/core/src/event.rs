//! GitHub's `workflow_job` event, reduced to what is used.
//!
//! Real deliveries lack fields that GitHub's schema calls required, so only what is used is asked for.

use jiff::Timestamp;
use serde::Deserialize;

use crate::audience::Visibility;
use crate::brief::brief;
use crate::ids::{InstallationId, JobId, Repository, RunId};
use crate::labels::Labels;

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// What happened.
    pub change: Change,
    /// Which job (`workflow_job.id`).
    pub job: JobId,
    /// The job's name, for people.
    pub name: String,
    /// Whose job it is (`repository.full_name`).
    pub repository: Repository,
    /// Who sees that repository (`repository.visibility`, or `repository.private`), where it is said.
    pub visibility: Option<Visibility>,
    /// The workflow run that it is of (`workflow_job.run_id`), where that is said.
    pub run: Option<RunId>,
    /// What its `runs-on` asks for (`workflow_job.labels`).
    pub labels: Labels,
    /// When it was created (`workflow_job.created_at`), where the delivery says so.
    pub created_at: Option<Timestamp>,
    /// When a runner took it (`workflow_job.started_at`), where that is said and it means that: GitHub says it of a job that is
    /// queued as well.
    pub started_at: Option<Timestamp>,
    /// The App's installation that the delivery came from (`installation.id`), where there is one.
    pub installation: Option<InstallationId>,
    /// The enterprise (`enterprise.slug`), where the delivery names it.
    pub enterprise: Option<String>,
}

/// The change an event reports. The runner is named as text: it may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The job waits for a runner.
    Queued,
    /// The job waits for a person's approval: it needs no runner yet.
    Held,
    /// A runner has taken the job.
    Started {
        /// `workflow_job.runner_name`
        runner: Option<String>,
    },
    /// The job is over. Without a runner it was cancelled or skipped before it started.
    Ended {
        /// `workflow_job.runner_name`
        runner: Option<String>,
        /// `workflow_job.conclusion`
        conclusion: Option<String>,
    },
}

/// What is kept of a name or a word of GitHub's, in characters: a runner's name has at most 64.
const WORD_LONGEST: usize = 100;

impl Change {
    /// A runner has taken the job; what is empty is no name, and a long one is cut short.
    pub fn started(runner: Option<String>) -> Self {
        Self::Started { runner: word(runner) }
    }

    /// The job is over; the same of its runner's name and the conclusion.
    pub fn ended(runner: Option<String>, conclusion: Option<String>) -> Self {
        Self::Ended { runner: word(runner), conclusion: word(conclusion) }
    }
}

/// A job's name, of which no more is kept; empty where it has none.
pub fn job_name(text: Option<String>) -> String {
    word(text).unwrap_or_default()
}

fn word(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| brief(&text, WORD_LONGEST))
}

/// What a signed `workflow_job` body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A change we know.
    Job(Box<JobEvent>),
    /// An action that asks for nothing; its name in at most a hundred characters.
    OtherAction(String),
}

/// The longest of serde's own words with a path have some two hundred.
const MALFORMED_LONGEST: usize = 300;

/// Where a body is not what it should be, in one line of at most three hundred characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

#[derive(Deserialize)]
struct Body {
    action: String,
    workflow_job: Job,
    repository: RepositoryPart,
    installation: Option<InstallationPart>,
    enterprise: Option<EnterprisePart>,
}

#[derive(Deserialize)]
struct ActionOnly {
    action: String,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
    run_id: Option<u64>,
    status: Option<String>,
    conclusion: Option<String>,
    labels: Labels,
    runner_name: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct RepositoryPart {
    full_name: Repository,
    private: Option<bool>,
    // As text: a kind that GitHub adds is no reason to lose a job.
    visibility: Option<String>,
}

#[derive(Deserialize)]
struct InstallationPart {
    id: u64,
}

#[derive(Deserialize)]
struct EnterprisePart {
    slug: Option<String>,
}

/// Reads the body of a `workflow_job` delivery.
pub fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let action: ActionOnly = read(body)?;
    if !matches!(action.action.as_str(), "queued" | "waiting" | "in_progress" | "completed") {
        return Ok(Parsed::OtherAction(brief(&action.action, WORD_LONGEST)));
    }
    let body: Body = read(body)?;
    let job = body.workflow_job;
    let RepositoryPart { full_name, private, visibility } = body.repository;
    Ok(Parsed::Job(Box::new(JobEvent {
        change: change(&body.action, job.status.as_deref(), job.runner_name, job.conclusion),
        job: JobId(job.id),
        name: job_name(job.name),
        repository: full_name,
        visibility: Visibility::of(visibility.as_deref(), private),
        run: job.run_id.map(RunId),
        labels: job.labels,
        // A time that cannot be read only costs the job its place in the queue, so it is no reason to lose the job.
        created_at: job.created_at.and_then(|text| text.parse().ok()),
        started_at: job.started_at.and_then(|text| text.parse().ok()),
        installation: body.installation.map(|part| InstallationId(part.id)),
        // One that is cut short has a sign that no slug has: it is still another's.
        enterprise: body.enterprise.and_then(|part| part.slug).map(|slug| brief(&slug, WORD_LONGEST)),
    })))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        // It may repeat what it found there.
        Malformed(brief(&format!("{place}{}", error.inner()), MALFORMED_LONGEST))
    })?;
    json.end().map_err(|error| Malformed(error.to_string()))?;
    Ok(value)
}

/// The change by action and status together: the later of the two, since an event may report a state that the
/// action's name lags behind (GitHub's own example of `queued` has the status `waiting`).
fn change(action: &str, status: Option<&str>, runner: Option<String>, conclusion: Option<String>) -> Change {
    match (action, status) {
        ("completed", _) | (_, Some("completed")) => Change::ended(runner, conclusion),
        ("in_progress", _) | (_, Some("in_progress")) => Change::started(runner),
        ("waiting", _) | (_, Some("waiting")) => Change::Held,
        _ => Change::Queued,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(action: &str, job: Value) -> Vec<u8> {
        let mut full = json!({"id": 7, "labels": ["self-hosted", "GPU"]});
        full.as_object_mut().unwrap().extend(job.as_object().unwrap().clone());
        json!({"action": action, "workflow_job": full, "repository": {"full_name": "shader-slang/slang"}})
            .to_string()
            .into_bytes()
    }

    fn parsed(action: &str, job: Value) -> JobEvent {
        match parse(&body(action, job)).unwrap() {
            Parsed::Job(event) => *event,
            Parsed::OtherAction(action) => panic!("{action} is another action"),
        }
    }

    #[test]
    fn the_status_counts_beside_the_action() {
        let started = Change::Started { runner: None };
        let ended = Change::Ended { runner: None, conclusion: None };
        for (action, status, change) in [
            ("queued", json!("queued"), Change::Queued),
            ("queued", json!(null), Change::Queued),
            ("queued", json!("waiting"), Change::Held),
            ("waiting", json!("waiting"), Change::Held),
            ("queued", json!("in_progress"), started.clone()),
            ("in_progress", json!("queued"), started),
            ("queued", json!("completed"), ended.clone()),
            ("completed", json!("completed"), ended),
        ] {
            assert_eq!(parsed(action, json!({"status": status})).change, change, "{action} {status}");
        }
    }

    #[test]
    fn an_empty_runner_name_is_no_runner() {
        let event = parsed("completed", json!({"runner_name": "", "conclusion": "cancelled"}));
        assert_eq!(event.change, Change::Ended { runner: None, conclusion: Some("cancelled".into()) });
    }

    #[test]
    fn only_what_is_used_is_asked_for() {
        let event = parsed("queued", json!({"created_at": "yesterday"}));
        assert_eq!((event.job, event.created_at, event.installation), (JobId(7), None, None));
    }

    #[test]
    fn a_wrong_body_is_told_where() {
        let cases: [(&[u8], &str); 5] = [
            (b"{\"action\":", "EOF while parsing a value"),
            (b"[]", "invalid length 0"),
            (b"{\"action\":\"queued\"}", "missing field `workflow_job`"),
            (
                br#"{"action":"queued","workflow_job":{"id":"x","labels":[]},"repository":{"full_name":"a/b"}}"#,
                "workflow_job.id: invalid type: string",
            ),
            (
                br#"{"action":"queued","workflow_job":{"id":1,"labels":[1]},"repository":{"full_name":"a/b"}}"#,
                "workflow_job.labels[0]: invalid type: integer",
            ),
        ];
        for (body, says) in cases {
            let message = parse(body).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
    }

    /// What GitHub shows in its list of deliveries, and what is logged, does not grow with what was sent.
    #[test]
    fn whatever_is_sent_is_told_of_in_one_short_line() {
        let long = "x\n".repeat(10_000);
        let bodies = [
            json!({"action": long}),
            json!({"action": "queued", "workflow_job": {"id": long}}),
            json!({"action": "queued", "workflow_job": {"id": 1, "labels": []}, "repository": {"full_name": long}}),
        ];
        for body in bodies {
            let told = match parse(body.to_string().as_bytes()) {
                Ok(Parsed::OtherAction(action)) => action,
                Ok(Parsed::Job(event)) => panic!("{event:?}"),
                Err(malformed) => malformed.to_string(),
            };
            assert!(told.chars().count() <= 400 && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn a_runners_name_and_a_conclusion_are_no_longer_than_they_can_be() {
        let long = "x\n".repeat(10_000);
        let event = parsed("completed", json!({"runner_name": long, "conclusion": long}));
        let Change::Ended { runner: Some(runner), conclusion: Some(conclusion) } = event.change else {
            panic!("{:?}", event.change)
        };
        assert!([runner, conclusion].iter().all(|text| text.chars().count() == 100 && !text.contains('\n')));
    }

    #[test]
    fn what_is_kept_of_a_job_does_not_grow_with_what_was_sent() {
        let long = "x\n".repeat(10_000);
        let body = json!({
            "action": "queued",
            "workflow_job": {"id": 1, "labels": ["GPU"], "name": long, "created_at": long, "started_at": long},
            "repository": {"full_name": "shader-slang/slang"},
            "enterprise": {"slug": long},
        });
        let Parsed::Job(event) = parse(body.to_string().as_bytes()).unwrap() else {
            panic!("another action")
        };
        assert!(event.name.chars().count() <= 100 && event.created_at.is_none(), "{}", event.name);
        // Still one that is named, and nobody's.
        let slug = event.enterprise.unwrap();
        assert!(slug.chars().count() <= 100 && crate::ids::Account::new(slug.clone()).is_err(), "{slug}");
    }

    #[test]
    fn labels_without_end_are_cut_to_more_than_any_runner_has() {
        let many: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
        let same_and_one = [vec!["GPU".to_owned(); 100_000], vec!["Linux".to_owned()]].concat();
        let long = vec!["x".repeat(900_000)];
        for (labels, kept) in [(many, 100), (same_and_one, 2), (long, 1)] {
            let event = parsed("queued", json!({"labels": labels}));
            assert_eq!(event.labels.len(), kept);
            assert!(event.labels.as_slice().iter().all(|label| label.len() <= 300));
            assert!(!Labels::new(["GPU"]).cover(&event.labels));
        }
    }

    /// serde_json goes 128 levels down, and passes over what nobody asked for without going down at all.
    #[test]
    fn what_is_nested_without_end_is_passed_over_or_refused() {
        let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
        let body = |labels: &str, more: &str| {
            format!(
                "{{\"action\":\"queued\",\"workflow_job\":{{\"id\":1,\"labels\":{labels}}},\
                 \"repository\":{{\"full_name\":\"a/b\"}},\"more\":{more}}}"
            )
        };
        assert!(matches!(parse(body("[]", &deep).as_bytes()), Ok(Parsed::Job(_))));
        assert!(parse(body(&deep, "0").as_bytes()).is_err());
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn another_action_needs_no_job() {
        assert_eq!(
            parse(b"{\"action\":\"rerequested\"}").unwrap(),
            Parsed::OtherAction("rerequested".into())
        );
    }
}
