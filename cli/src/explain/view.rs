//! A story as lines of text.

use std::time::Duration;

use mayfly_core::age::Age;
use mayfly_core::explain::{Explanation, Line as Told, RunnerExplanation};

use crate::styled::{Line, Style, span};

/// A job's story, for people.
pub fn job(story: &Explanation) -> Vec<Line> {
    let Explanation { job, repository, pool, state, .. } = story;
    let heading = format!("job {job} of {repository}");
    let mut lines =
        vec![vec![span(heading, Style::Strong), span(format!(", pool {pool}: {state}"), Style::Plain)]];
    lines.extend(told(&story.story, "queued"));
    lines.extend(part("now", &story.now));
    if !story.durations.is_empty() {
        lines.push(heading_of("how long"));
        lines.extend(story.durations.iter().map(|took| {
            let ms = Duration::from_millis(took.ms.unsigned_abs());
            vec![span(format!("  {:>12}  {}", Age(ms).to_string(), took.what), Style::Plain)]
        }));
    }
    lines.extend(part("GitHub says", std::slice::from_ref(&story.github)));
    lines.extend(part("not known", &story.unknown));
    lines
}

/// The story of a runner that no job has, for people.
pub fn runner(story: &RunnerExplanation) -> Vec<Line> {
    let mut lines = vec![vec![span(format!("runner {}", story.runner), Style::Strong)]];
    lines.extend(told(&story.story, "taken"));
    lines.extend(part("now", &story.now));
    lines
}

fn told(story: &[Told], from: &str) -> Vec<Line> {
    let Some(first) = story.first() else { return Vec::new() };
    let mut lines = vec![heading_of(&format!("what happened, UTC, and how long after it was {from}"))];
    let mut day = first.at.strftime("%Y-%m-%d").to_string();
    lines.push(vec![span(format!("  {day}"), Style::Dim)]);
    for line in story {
        let its_day = line.at.strftime("%Y-%m-%d").to_string();
        if its_day != day {
            lines.push(vec![span(format!("  {its_day}"), Style::Dim)]);
            day = its_day;
        }
        let time = line.at.strftime("%H:%M:%S.%3f");
        let sign = if line.after_ms < 0 { "-" } else { "+" };
        let after = format!("{sign}{}", Age(Duration::from_millis(line.after_ms.unsigned_abs())));
        lines.push(vec![
            span(format!("  {time}  {after:>12}  "), Style::Dim),
            span(line.what.as_str(), Style::Plain),
        ]);
    }
    lines
}

fn part(heading: &str, texts: &[String]) -> Vec<Line> {
    if texts.is_empty() {
        return Vec::new();
    }
    let texts = texts.iter().map(|text| vec![span(format!("  {text}"), Style::Plain)]);
    std::iter::once(heading_of(heading)).chain(texts).collect()
}

fn heading_of(text: &str) -> Line {
    vec![span(text, Style::Active)]
}
