//! `mayfly explain`: the story of one job.

mod target;
mod view;

pub use view::job as render;

use mayfly_core::ids::{JobId, Repository, RunnerName};
use mayfly_service::config::Config;
use mayfly_service::github::GitHub;
use mayfly_service::look::{JobStory, RunnerStory, Witnesses};
use mayfly_service::store::Ledger;
use mayfly_service::{clock, telemetry};
use serde::Serialize;

use crate::args::ExplainArgs;
use crate::error::Error;
use crate::styled::{self, Line};
use crate::table::aws_config;
use crate::tell::tell;

/// Tells it, or says why nothing can be told.
pub async fn run(args: ExplainArgs) -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let config = Config::load()?;
    let policy = &config.policy;
    let target = target::Target::parse(&args.what, &policy.deployment).map_err(Error::Untold)?;
    let ledger = Ledger::new(
        &aws_config().await,
        config.table.clone(),
        policy.deployment.clone(),
        policy.timing.retention,
    );
    let github = GitHub::new(&config.github);
    let witnesses = Witnesses { ledger: &ledger, policy, github: Ok(&github) };
    let now = clock::now();
    match target {
        target::Target::Job(job, named) => match witnesses.job(job, now).await? {
            JobStory::Told(story) => {
                other_repository(job, named.as_ref(), &story.repository)?;
                say(&*story, args.json, view::job(&story))
            }
            JobStory::Unknown => {
                let asked = match &named {
                    Some(repository) => witnesses.unknown_at_github(repository, job).await,
                    None => None,
                };
                Err(unknown(job, &config, asked))
            }
        },
        target::Target::Runner(runner) => match witnesses.runner(&runner, now).await? {
            RunnerStory::Job(story) => say(&*story, args.json, view::job(&story)),
            RunnerStory::Alone(story) => say(&*story, args.json, view::runner(&story)),
            RunnerStory::Gone(heir) => Err(gone(&runner, heir.as_ref())),
        },
    }
}

fn say(story: &impl Serialize, json: bool, lines: Vec<Line>) -> Result<(), Error> {
    if !json {
        return styled::tell(&lines);
    }
    let json = serde_json::to_string(story);
    tell(json.map_err(|error| Error::io("the JSON", std::io::Error::other(error)))?)
}

/// A number is one job's in all of GitHub, but two GitHubs may both have it.
fn other_repository(job: JobId, named: Option<&Repository>, known: &Repository) -> Result<(), Error> {
    match named {
        Some(named) if !named.as_str().eq_ignore_ascii_case(known.as_str()) => Err(Error::Untold(format!(
            "job {job} is one of {known} in this table, not of {named}: is that address of another GitHub?"
        ))),
        Some(_) | None => Ok(()),
    }
}

fn unknown(job: JobId, config: &Config, asked: Option<String>) -> Error {
    let kept = mayfly_core::age::Age(config.policy.timing.retention);
    let asked = asked.map(|said| format!(". GitHub says of it: {said}")).unwrap_or_default();
    Error::Untold(format!(
        "job {job} is not in table {}: Mayfly was never told of it, no pool serves it, or it ended more than {kept} ago \
         (`timing.retention`){asked}",
        config.table
    ))
}

fn gone(runner: &RunnerName, heir: Option<&RunnerName>) -> Error {
    let made = runner.made_at().map(|at| format!(", made at {at}")).unwrap_or_default();
    let heir = match heir {
        Some(heir) => format!("its slot is {heir}'s by now"),
        None => "its slot is free".to_owned(),
    };
    Error::Untold(format!(
        "runner {runner}{made}, is gone: {heir}, and which job it ran stands in that job's story alone; ask for the job by its \
         number or address"
    ))
}
