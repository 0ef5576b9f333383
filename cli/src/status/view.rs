//! An overview as lines of text.

use jiff::Timestamp;
use mayfly_core::age::{Age, clock};
use mayfly_core::overview::{Overview, PoolOverview, RunnerOverview, WaitingOverview};
use mayfly_core::slot::PhaseKind;

use crate::styled::{Line, Style, span};

/// So many runners, and so many waiting jobs, of a pool are named.
const NAMED_MOST: usize = 40;

/// The overview, for people.
pub fn render(overview: &Overview) -> Vec<Line> {
    let now = overview.now;
    let read_at = now.strftime("%Y-%m-%d %H:%M:%S UTC");
    let sweep = &overview.last_sweep;
    let style = if sweep.overdue { Style::Odd } else { Style::Plain };
    let mut lines = vec![
        vec![
            span(format!("deployment {}", overview.deployment), Style::Strong),
            span(format!(", {read_at}"), Style::Dim),
        ],
        vec![span(format!("sweeps: {}", sweep.says), style)],
    ];
    for pool in &overview.pools {
        lines.push(vec![]);
        lines.extend(pool_lines(pool, now));
    }
    lines
}

fn pool_lines(pool: &PoolOverview, now: Timestamp) -> Vec<Line> {
    let heading = span(format!("pool {}", pool.pool), Style::Strong);
    if pool.unknown {
        let why = pool.unread.join("; ");
        return vec![vec![heading, span(format!("  not known: {why}"), Style::Bad)]];
    }
    let mut lines = vec![vec![heading, span(format!("  {}", standing(pool)), Style::Plain)]];
    lines.extend(notes(pool, now).into_iter().map(|note| vec![span(format!("  {note}"), Style::Odd)]));
    lines.extend(pool.runners.iter().take(NAMED_MOST).map(|runner| runner_line(runner, now)));
    lines.extend(more(pool.runners.len(), "runners"));
    lines.extend(pool.waiting.iter().take(NAMED_MOST).map(|job| waiting_line(job, now)));
    lines.extend(more(pool.waiting.len(), "waiting jobs"));
    lines
}

/// `3 of 10 runners: 2 busy, 1 booting; 2 jobs wait`
fn standing(pool: &PoolOverview) -> String {
    let phases = pool.phases.iter().rev().map(|(phase, count)| format!("{count} {phase}"));
    let unreadable = (pool.unreadable > 0).then(|| format!("{} unreadable", pool.unreadable));
    let phases: Vec<String> = phases.chain(unreadable).collect();
    let of = if pool.removed { String::new() } else { format!(" of {}", pool.max_runners) };
    let phases = if phases.is_empty() { String::new() } else { format!(": {}", phases.join(", ")) };
    let waiting = match pool.waiting.len() {
        0 => "no job waits".to_owned(),
        1 => "1 job waits".to_owned(),
        jobs => format!("{jobs} jobs wait"),
    };
    let runners = if pool.removed && pool.taken == 1 { "runner" } else { "runners" };
    format!("{}{of} {runners}{phases}; {waiting}", pool.taken)
}

/// What is not as usual.
fn notes(pool: &PoolOverview, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(pool.closed.as_ref().map(|why| format!("starts no VMs: {why}")));
    notes.extend(pool.draining.map(|since| format!("drained for {}", Age::between(since, now))));
    let cooling: Vec<String> =
        pool.cooling.iter().map(|it| format!("{} until {}", it.place, clock(it.until))).collect();
    if !cooling.is_empty() {
        notes.push(format!("cooling down: {}", cooling.join(", ")));
    }
    notes.extend(pool.failures.iter().map(|it| {
        let (count, ago) = (it.failures, Age::between(it.at, now));
        format!("{} failed {count} times in a row, last {ago} ago: {}", it.what, it.why)
    }));
    notes.extend(pool.unread.iter().map(|why| format!("not read: {why}")));
    notes
}

fn runner_line(runner: &RunnerOverview, now: Timestamp) -> Line {
    let style = match runner.phase {
        PhaseKind::Busy => Style::Good,
        PhaseKind::Reserved | PhaseKind::Creating | PhaseKind::Booting => Style::Active,
        PhaseKind::Idle => Style::Plain,
        PhaseKind::Deleting => Style::Dim,
    };
    let job = match (runner.job, runner.phase) {
        (Some(job), _) => format!("job {job}"),
        (None, PhaseKind::Busy) => "a job not known yet".to_owned(),
        (None, PhaseKind::Deleting) => "no job".to_owned(),
        (None, _) => "spare".to_owned(),
    };
    let place = runner.place.as_ref().map(|place| format!("  {place}")).unwrap_or_default();
    let age = Age::between(runner.since, now).to_string();
    vec![
        span(format!("  {:9}", runner.phase.as_str()), style),
        span(format!("{age:>12}  {}  {job}{place}", runner.runner), Style::Plain),
    ]
}

fn waiting_line(waiting: &WaitingOverview, now: Timestamp) -> Line {
    let age = Age::between(waiting.since, now).to_string();
    vec![
        span("  waits    ", Style::Odd),
        span(
            format!("{age:>12}  job {} of {}: {}", waiting.job, waiting.repository, waiting.why),
            Style::Plain,
        ),
    ]
}

fn more(count: usize, what: &str) -> Option<Line> {
    let more = count.checked_sub(NAMED_MOST).filter(|more| *more > 0)?;
    Some(vec![span(format!("  … and {more} more {what} (--json names all)"), Style::Dim)])
}
