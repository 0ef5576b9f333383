use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mayfly_core::event::Change;
use mayfly_core::ids::JobId;
use proptest::prelude::*;
use simulator::{Chance, Fault, JobSpec, ServeOptions, Settings, Simulator, Timing};

use super::*;
use crate::config::{GitHubConfig, GitHubLogin};
use crate::secret::SecretSource;

/// Runs by repository and status, newest first.
type Runs = BTreeMap<(Repository, RunStatus), Vec<u64>>;
const PAGE: usize = 3;

fn repository(name: &str) -> Repository {
    Repository::new(format!("shader-slang/{name}")).unwrap()
}

/// Walks until the budget is used up; the runs that were looked at, and whether a wanted job is in one.
fn walk(mut walk: Walk, runs: &Runs, wanted: impl Fn(u64) -> bool) -> (Vec<(Repository, u64)>, Walk) {
    let mut seen = Vec::new();
    while let Some(ask) = walk.next() {
        match ask {
            Ask::Runs { repository, status, page } => {
                let all = runs.get(&(repository, status)).cloned().unwrap_or_default();
                let ids = all.iter().copied().skip((page - 1) * PAGE).take(PAGE).collect();
                walk.runs(RunsPage { ids, more: all.len() > page * PAGE });
            }
            Ask::Jobs { repository, run } => {
                walk.jobs(1, wanted(run));
                seen.push((repository, run));
            }
        }
    }
    (seen, walk)
}

/// A GitHub whose lists of runs do not end is gone on after, as one that has a thousand runs is.
#[test]
fn pages_of_runs_without_end_are_left_after_twenty() {
    let mut walk = Walk::new(&[repository("a"), repository("b")], &Cursor::default(), u32::MAX);
    let mut asked = Vec::new();
    while let Some(ask) = walk.next() {
        let Ask::Runs { repository, status, page } = ask else { panic!("{ask:?}") };
        walk.runs(RunsPage { ids: Vec::new(), more: true });
        asked.push((repository, status, page));
    }
    assert_eq!(asked.len(), 2 * 2 * 20);
    assert!(asked.iter().all(|(_, _, page)| *page <= 20));
}

/// No more calls than a sweep has time for, however much is found.
#[test]
fn a_walk_that_finds_something_in_every_run_makes_a_hundred_calls() {
    let mut walk = Walk::new(&[repository("a")], &Cursor::default(), 4);
    let mut calls = 0;
    while let Some(ask) = walk.next() {
        calls += 1;
        match ask {
            Ask::Runs { .. } => walk.runs(RunsPage { ids: (0..1_000).rev().collect(), more: true }),
            Ask::Jobs { .. } => walk.jobs(1, true),
        }
    }
    assert_eq!(calls, 100);
}

fn some_runs() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0usize..12, 0usize..12), 0..6)
}

proptest! {
    #[test]
    fn each_run_is_looked_at_once_in_a_round_whatever_the_budget(
        counts in some_runs(), budgets in prop::collection::vec(0u32..12, 1..8), wanted_each in 1u64..9,
    ) {
        let mut runs = Runs::new();
        let mut repositories = Vec::new();
        let mut ids: Vec<u64> = Vec::new();
        let mut next = 1_000;
        for (place, (queued, begun)) in counts.into_iter().enumerate() {
            let name = repository(&format!("r{place}"));
            for (status, count) in [(RunStatus::Queued, queued), (RunStatus::InProgress, begun)] {
                let mut of_it: Vec<u64> = (next..next + count as u64).collect();
                next += count as u64;
                ids.extend(&of_it);
                of_it.reverse();
                runs.insert((name.clone(), status), of_it);
            }
            repositories.insert(0, name);
        }
        let mut cursor = Cursor::default();
        let mut seen: Vec<u64> = Vec::new();
        let lists = runs.len() + ids.len() / PAGE;
        for budget in budgets.into_iter().cycle().take(2 * (lists + ids.len()) + 1) {
            let begun = Walk::new(&repositories, &cursor, budget);
            let (looked_at, ended) = walk(begun, &runs, |run| run % wanted_each == 0);
            let earned = looked_at.iter().filter(|(_, run)| run % wanted_each == 0).count() as u32;
            prop_assert!(ended.calls <= (budget.max(BUDGET_LEAST) + EARNED * earned).min(CALLS_MOST));
            seen.extend(looked_at.into_iter().map(|(_, run)| run));
            cursor = ended.cursor().to_string().parse().unwrap();
            if cursor == Cursor::default() {
                break;
            }
        }
        prop_assert_eq!(&cursor, &Cursor::default(), "the round ends");
        prop_assert_eq!(seen.len(), ids.len(), "none twice");
        prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids.into_iter().collect());
    }
}

#[test]
fn a_cursor_is_read_back_and_nothing_else_is() {
    for text in ["", "shader-slang/slang queued 1 -", "shader-slang/slang in_progress 7 30000000001"] {
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
    }
    for wrong in
        ["x", "slang queued 1 -", "a/b waiting 1 -", "a/b queued 0 -", "a/b queued 1 x", "a/b queued 1"]
    {
        assert_eq!(wrong.parse::<Cursor>(), Err(NoCursor), "{wrong}");
    }
}

#[test]
fn a_repository_that_is_gone_is_gone_on_after() {
    let runs = Runs::from([
        ((repository("a"), RunStatus::Queued), vec![3, 2, 1]),
        ((repository("c"), RunStatus::Queued), vec![6, 5]),
    ]);
    let cursor = "shader-slang/b in_progress 2 2".parse().unwrap();
    let (seen, _) = walk(Walk::new(&[repository("c"), repository("a")], &cursor, 50), &runs, |_| false);
    assert_eq!(seen, [(repository("c"), 6), (repository("c"), 5)]);
}

#[test]
fn what_began_or_came_since_does_not_confuse_the_next_walk() {
    let mut runs = Runs::from([((repository("a"), RunStatus::Queued), vec![5, 4, 3, 2])]);
    let (seen, ended) = walk(Walk::new(&[repository("a")], &Cursor::default(), 3), &runs, |_| false);
    assert_eq!(seen.len(), 2);
    runs.insert((repository("a"), RunStatus::Queued), vec![7, 6, 5, 3, 2]);
    let (seen, _) = walk(Walk::new(&[repository("a")], &ended.cursor(), 50), &runs, |_| false);
    assert_eq!(seen, [(repository("a"), 3), (repository("a"), 2)]);
}

/// A world in which no delivery is ever made, and a client for it.
async fn silent(repositories: &[&str]) -> (Simulator, GitHub) {
    let repositories = repositories.iter().map(|name| simulator::Repository::public(name)).collect();
    let settings = Settings { repositories, timing: Timing::brisk(), ..Settings::default() };
    let options = ServeOptions { wire_log: None, ..ServeOptions::default() };
    let world = Simulator::start(settings, options).await.unwrap();
    world.with(|world, _| world.faults.deliveries.never = Chance::rate(1.0));
    static WORLDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = WORLDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("mayfly-discovery-{}-{number}", std::process::id()));
    std::fs::write(&file, world.pat()).unwrap();
    let github = GitHub::new(&GitHubConfig {
        api_url: world.github_url(),
        webhook_secrets: Vec::new(),
        login: GitHubLogin::Token(SecretSource::File(file.clone())),
        webhook_url: None,
    });
    // The token is read at the first call, and kept.
    github.repositories(&organization(), soon()).await.unwrap();
    std::fs::remove_file(file).unwrap();
    (world, github)
}

fn organization() -> mayfly_core::policy::Scope {
    mayfly_core::policy::Scope::Organization(mayfly_core::ids::Account::new("shader-slang").unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn job(repository: &str, labels: &[&str], run: Option<u64>) -> JobSpec {
    JobSpec { run, ..JobSpec::new(repository, labels).lasting(Duration::from_secs(600)) }
}

fn queue(world: &Simulator, spec: JobSpec) -> JobId {
    world.with(|world, now| JobId(world.queue_job(now, spec).0))
}

async fn look(github: &GitHub, names: &[&str], from: &Cursor, budget: u32) -> Result<Found, GitHubError> {
    let repositories: Vec<Repository> = names.iter().map(|name| Repository::new(*name).unwrap()).collect();
    let queued = |event: &JobEvent| event.change == Change::Queued;
    let wanted =
        |event: &JobEvent| queued(event) && event.labels.as_slice().iter().any(|label| label == "GPU");
    discover(github, Walk::new(&repositories, from, budget), &wanted, soon()).await
}

const SLANG: &str = "shader-slang/slang";
const RHI: &str = "shader-slang/slang-rhi";

#[tokio::test]
async fn a_job_that_no_delivery_told_of_is_found_in_queued_runs_and_in_begun_ones() {
    let (world, github) = silent(&[SLANG, RHI]).await;
    let queued = queue(&world, job(SLANG, &["GPU"], Some(7)));
    queue(&world, job(SLANG, &["somebody-elses"], Some(7)));
    // A run of two jobs, one of which has found a runner.
    let begun = begin(&world, RHI, 9).await;
    let found = look(&github, &[RHI, SLANG], &Cursor::default(), 20).await.unwrap();
    let jobs: Vec<(JobId, &str)> = found.jobs.iter().map(|job| (job.job, job.repository.as_str())).collect();
    assert_eq!(jobs, [(queued, SLANG), (begun, RHI)]);
    assert!(found.round_over && found.next == Cursor::default() && found.failed.is_empty());
    assert_eq!(found.calls, 6, "two lists for each repository, and two runs");
    assert!(found.jobs.iter().all(|job| job.change == Change::Queued && job.created_at.is_some()));
}

/// Has a run begin: one of its jobs runs, the other, whose id is the answer, is queued.
async fn begin(world: &Simulator, repository: &str, run: u64) -> JobId {
    let config = world.with(|world, now| {
        let body = serde_json::json!({ "name": "r-1", "runner_group_id": 1, "labels": ["cpu"] });
        let path = "/orgs/shader-slang/actions/runners/generate-jitconfig";
        let pat = world.access.pat.clone();
        let request = simulator::Request::new(simulator::Api::GitHub, simulator::Method::Post, path, now);
        let answer = world.handle(now, &request.bearer(&pat).json(&body)).answer().unwrap();
        answer.value()["encoded_jit_config"].as_str().unwrap().to_owned()
    });
    world.with(|world, now| {
        let path = "/compute/v1/projects/slang-runners/zones/us-east1-c/instances";
        let instance = serde_json::json!({
            "name": "r-1",
            "labels": { "mayfly-deployment": "prod", "mayfly-pool": "linux" },
            "metadata": { "items": [{ "key": "jit-config", "value": config }] },
            "scheduling": { "maxRunDuration": { "seconds": "21600" }, "instanceTerminationAction": "DELETE" },
        });
        let request = simulator::Request::new(simulator::Api::Gcp, simulator::Method::Post, path, now);
        let request = request.bearer(&world.access.gcp_token);
        let template = "global/instanceTemplates/linux-gpu-runner";
        let request = request.query("sourceInstanceTemplate", template).json(&instance);
        assert_eq!(world.handle(now, &request).answer().unwrap().status, 200);
        world.queue_job(now, job(repository, &["cpu"], Some(run)));
    });
    let busy = |world: &simulator::World| world.runners().iter().any(|runner| runner.busy);
    world.until(Duration::from_secs(20), busy).await.unwrap();
    queue(world, job(repository, &["GPU"], Some(run)))
}

#[tokio::test]
async fn a_walk_goes_on_where_the_one_before_stopped() {
    let (world, github) = silent(&[SLANG, RHI]).await;
    let all: BTreeSet<JobId> = (0..60)
        .map(|run| queue(&world, job(SLANG, &["GPU"], Some(run + 1))))
        .chain((0..3).map(|run| queue(&world, job(RHI, &["other"], Some(run + 1_000)))))
        .collect();
    let mut found_jobs = Vec::new();
    let mut cursor = Cursor::default();
    let mut walks = 0;
    loop {
        let found = look(&github, &[SLANG, RHI], &cursor, 10).await.unwrap();
        assert!(found.calls <= CALLS_MOST, "{}", found.calls);
        found_jobs.extend(found.jobs.iter().map(|job| job.job));
        cursor = found.next.to_string().parse().unwrap();
        walks += 1;
        if found.round_over {
            break;
        }
        assert!(walks < 20);
    }
    let once: BTreeSet<JobId> = found_jobs.iter().copied().collect();
    assert_eq!((found_jobs.len(), once.len(), all.len()), (60, 60, 63));
    assert_eq!(world.with(|world, _| world.calls_of("github.run_jobs")), 63, "each run once");
}

#[tokio::test]
async fn a_repository_that_refuses_does_not_stop_the_others() {
    let (world, github) = silent(&[SLANG]).await;
    let queued = queue(&world, job(SLANG, &["GPU"], Some(7)));
    let found = look(&github, &["shader-slang/deleted", SLANG], &Cursor::default(), 20).await.unwrap();
    assert_eq!(found.jobs.iter().map(|job| job.job).collect::<Vec<_>>(), [queued]);
    assert!(found.round_over && found.failed.len() == 1 && found.failed[0].why.contains("Actions: read"));

    world.with(|world, _| world.faults.once("github.runs", Fault::ErrorBefore(403)));
    let found = look(&github, &[SLANG, RHI], &Cursor::default(), 20).await.unwrap();
    assert!(found.jobs.is_empty() && found.round_over && found.failed.len() == 2, "{found:?}");
}

#[tokio::test]
async fn a_limit_or_an_outage_ends_the_walk_with_what_it_found() {
    let limit = Fault::Limited { status: 429, retry_after: Duration::from_secs(90) };
    for (fault, stops_at) in [
        (limit, "shader-slang/slang queued 1 -"),
        // What fails first is passed over, or nobody would ever get past it.
        (Fault::ErrorBefore(500), "shader-slang/slang-rhi queued 1 -"),
    ] {
        let (world, github) = silent(&[RHI, SLANG]).await;
        queue(&world, job(SLANG, &["GPU"], Some(7)));
        let queued = queue(&world, job(RHI, &["GPU"], Some(9)));
        let nothing = Cursor::default();
        world.with(|world, _| world.faults.rate("github.runs", 1.0, fault.clone()));
        for names in [[SLANG, RHI].as_slice(), &[SLANG]] {
            assert!(look(&github, names, &nothing, 50).await.is_err(), "nothing was read");
        }
        world.with(|world, _| world.faults.clear());
        world.with(|world, _| world.faults.rate("github.run_jobs", 1.0, fault));
        let found = look(&github, &[RHI, SLANG], &nothing, 50).await.unwrap();
        assert!(found.jobs.is_empty() && !found.failed.is_empty() && !found.round_over);
        assert_eq!(found.next.to_string(), stops_at);
        world.with(|world, _| world.faults.clear());
        let rest = look(&github, &[RHI, SLANG], &found.next, 50).await.unwrap();
        assert!(rest.round_over && rest.failed.is_empty());
        assert!(rest.jobs.iter().any(|job| job.job == queued));
    }
}
