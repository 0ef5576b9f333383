//! Which pool serves a job.

use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{Account, Deployment, JobId, PoolName, Repository};
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Policy, Pool, RepositoryPattern, Scope, Timing};
use mayfly_core::route::route;

/// No input has more pools than that.
const POOLS_MOST: usize = 24;

/// Reads an input as pools, a line each, the last line being a job:
///
/// ```text
/// organization shader-slang slang,slang-* self-hosted,Linux,GPU
/// repository shader-slang/slang - self-hosted,Windows
/// shader-slang/slang self-hosted,linux
/// ```
///
/// - Nothing panics.
/// - A job goes to the pool with the fewest labels among those that have all of its labels, letter case aside, and may serve its
///   repository; to the first of several such. So says a model of a few lines, written apart.
/// - The order of labels, their letter case, and labels that are there twice change nothing.
pub fn labels(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
    let Some((job, pools)) = lines.split_last() else { return };
    let Some((repository, wanted)) = job.split_once(' ') else { return };
    let Ok(repository) = Repository::new(repository) else { return };
    let specs: Vec<Spec<'_>> = pools.iter().take(POOLS_MOST).filter_map(|line| spec(line)).collect();
    let policy = Policy {
        deployment: Deployment::new("test").expect("a deployment's name"),
        pools: specs.iter().zip(0..).map(|(spec, number)| spec.pool(number)).collect(),
        timing: Timing::default(),
        waiting_after: None,
    };
    let wanted: Vec<&str> = wanted.split(',').filter(|label| !label.is_empty()).collect();
    let chosen = chosen(&policy, &repository, &wanted);

    // Told in another way.
    let other: Vec<String> = wanted.iter().rev().map(|label| other_case(label)).collect();
    let twice: Vec<&str> = other
        .iter()
        .map(String::as_str)
        .chain(wanted.iter().copied())
        .chain(wanted.iter().copied())
        .collect();
    assert_eq!(chosen, self::chosen(&policy, &repository, &twice), "labels told in another way");

    let is_plain = |labels: &[&str]| labels.iter().all(|label| label.is_ascii());
    if is_plain(&wanted) && specs.iter().all(|spec| is_plain(&spec.labels)) {
        assert_eq!(chosen, model(&specs, &repository, &wanted), "what the model says");
    }
}

struct Spec<'a> {
    scope: Scope,
    patterns: Vec<&'a str>,
    labels: Vec<&'a str>,
}

fn spec(line: &str) -> Option<Spec<'_>> {
    let mut words = line.splitn(4, ' ');
    let (kind, owner, patterns, labels) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let scope = match kind {
        "organization" => Scope::Organization(Account::new(owner).ok()?),
        "repository" => Scope::Repository(Repository::new(owner).ok()?),
        "enterprise" => Scope::Enterprise(Account::new(owner).ok()?),
        _ => return None,
    };
    let patterns = patterns.split(',').filter(|pattern| RepositoryPattern::new(pattern).is_some());
    let labels: Vec<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
    Some(Spec { scope, patterns: patterns.collect(), labels })
}

impl Spec<'_> {
    fn pool(&self, number: usize) -> Pool {
        let name = PoolName::new(format!("p{number}")).expect("a pool's name");
        let mut pool = Pool::removed(name, self.scope.clone());
        pool.labels = Labels::new(self.labels.iter().copied());
        pool.repositories =
            self.patterns.iter().filter_map(|pattern| RepositoryPattern::new(pattern)).collect();
        pool
    }
}

fn chosen(policy: &Policy, repository: &Repository, wanted: &[&str]) -> Option<usize> {
    let event = JobEvent {
        change: Change::Queued,
        job: JobId(1),
        name: String::new(),
        repository: repository.clone(),
        visibility: None,
        run: None,
        labels: Labels::new(wanted.iter().copied()),
        created_at: None,
        started_at: None,
        installation: None,
        enterprise: None,
    };
    match route(policy, &event) {
        Ok(pool) => pool.name.as_str().strip_prefix('p').and_then(|number| number.parse().ok()),
        Err(why) => {
            assert!(!why.to_string().is_empty());
            None
        }
    }
}

/// ASCII letters the other way round.
fn other_case(label: &str) -> String {
    let turn = |sign: char| {
        if sign.is_ascii_lowercase() { sign.to_ascii_uppercase() } else { sign.to_ascii_lowercase() }
    };
    label.chars().map(turn).collect()
}

fn model(specs: &[Spec<'_>], repository: &Repository, wanted: &[&str]) -> Option<usize> {
    let has = |all: &[&str], label: &str| all.iter().any(|each| each.eq_ignore_ascii_case(label));
    let size = |spec: &Spec<'_>| {
        let labels = &spec.labels;
        (0..labels.len()).filter(|at| !has(&labels[..*at], labels[*at])).count()
    };
    let serves = |spec: &Spec<'_>| {
        let reaches = match &spec.scope {
            Scope::Organization(login) => login.as_str().eq_ignore_ascii_case(repository.owner()),
            Scope::Repository(one) => one.as_str().eq_ignore_ascii_case(repository.as_str()),
            Scope::Enterprise(_) => true,
        };
        let means = |pattern: &&str| {
            let text = if pattern.contains('/') { repository.as_str() } else { repository.name() };
            is_match(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
        };
        reaches && (spec.patterns.is_empty() || spec.patterns.iter().any(means))
    };
    if wanted.is_empty() {
        return None;
    }
    let fitting = specs
        .iter()
        .enumerate()
        .filter(|(_, spec)| wanted.iter().all(|label| has(&spec.labels, label)) && serves(spec));
    fitting.min_by_key(|(at, spec)| (size(spec), *at)).map(|(at, _)| at)
}

/// Whether `*` and other signs match a text: by all of its beginnings, one sign of the pattern after the other.
fn is_match(pattern: &str, text: &str) -> bool {
    let text = text.as_bytes();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for sign in pattern.bytes() {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = if sign == b'*' {
                reached[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && reached[at - 1] && text[at - 1] == sign
            };
        }
        reached = next;
    }
    reached[text.len()]
}
