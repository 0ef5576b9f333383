//! Jobs that wait, jobs that are over, and the runners.

use std::time::Duration;

use super::Page;
use super::html::Html;
use super::pools::{more, runners};
use crate::age::Age;
use crate::ids::PoolName;
use crate::overview::{Overview, PoolOverview, RunnerOverview, WaitingOverview};
use crate::past::{OverJob, Parts};
use crate::slot::PhaseKind;

/// So many waiting jobs are shown, the oldest of all pools,
const WAITING_MOST: usize = 40;
/// so many that are over, the last of all pools,
const OVER_MOST: usize = 24;
/// so many runners of a pool,
const RUNNERS_MOST: usize = 25;
/// and so many in all.
const RUNNERS_IN_ALL: usize = 200;
/// Where no more runners are there, all are in sight at once.
const RUNNERS_OPEN: usize = 12;

pub(super) fn waiting_section(html: &mut Html, page: &Page) {
    let overview = &page.overview;
    let mut waiting: Vec<(&PoolName, &WaitingOverview)> =
        overview.pools.iter().flat_map(|pool| pool.waiting.iter().map(|job| (&pool.pool, job))).collect();
    waiting.sort_by_key(|(_, job)| (job.since, job.job));
    html.raw("<section aria-labelledby=\"h-waiting\"><h2 id=\"h-waiting\">Jobs that wait</h2>");
    if waiting.is_empty() {
        html.raw("<p class=\"none\">No job waits for a runner.</p></section>\n");
        return;
    }
    html.raw(
        "<table class=\"waits\"><caption>The oldest waiting jobs, and what each waits for</caption><thead><tr><th scope=\"col\">Job</th>\
         <th scope=\"col\">For</th><th scope=\"col\">Why</th></tr></thead><tbody>",
    );
    for (pool, job) in waiting.iter().take(WAITING_MOST) {
        html.raw("<tr><th scope=\"row\">");
        name(html, job.job.0, &job.repository, pool);
        html.raw("</th><td class=\"nowrap\">").text(Age::between(job.since, overview.now));
        html.raw("</td><td class=\"why\">").text(&job.why).raw("</td></tr>");
    }
    more(html, waiting.len(), WAITING_MOST, "<tr><td colspan=\"3\">", " waiting jobs</td></tr>");
    html.raw("</tbody></table></section>\n");
}

fn name(html: &mut Html, job: u64, repository: &crate::ids::Repository, pool: &PoolName) {
    html.text(job)
        .raw(" <span class=\"sub\">")
        .text(repository)
        .raw(" <span class=\"pool\">")
        .text(pool)
        .raw("</span></span>");
}

pub(super) fn over_section(html: &mut Html, page: &Page) {
    let over = page.over();
    html.raw("<section aria-labelledby=\"h-over\"><h2 id=\"h-over\">Recent jobs</h2>");
    if over.is_empty() {
        html.raw("<p class=\"none\">No job has ended yet since this page was switched on.</p></section>\n");
        return;
    }
    let shown = over.get(..OVER_MOST).unwrap_or(&over);
    let longest = shown.iter().map(|(_, job)| whole(&job.parts())).max().unwrap_or_default();
    html.raw(
        "<ul class=\"legend\"><li class=\"wait\">waited</li><li class=\"boot\">booted</li><li class=\"run\">ran</li></ul>\
         <table class=\"over\"><caption>The last jobs that ended, and how long each waited, booted and ran</caption><thead><tr>\
         <th scope=\"col\">Job</th><th scope=\"col\">How long <span class=\"sub\">(a whole bar is ",
    );
    html.text(Age(longest)).raw(")</span></th><th scope=\"col\">Result</th></tr></thead><tbody>");
    for (pool, job) in shown {
        html.raw("<tr><th scope=\"row\">");
        name(html, job.job.0, &job.repository, pool);
        html.raw("</th><td>");
        bar(html, &job.parts(), longest);
        html.raw("</td><td>");
        result(html, job);
        html.raw("<span class=\"sub nowrap\">")
            .text(Age::between(job.ended_at, page.overview.now))
            .raw(" ago</span></td></tr>");
    }
    more(html, over.len(), OVER_MOST, "<tr><td colspan=\"3\">", " that are remembered</td></tr>");
    html.raw("</tbody></table></section>\n");
}

fn whole(parts: &Parts) -> Duration {
    parts.wait + parts.boot + parts.run.unwrap_or_default()
}

/// The parts one after the other, and in words.
fn bar(html: &mut Html, parts: &Parts, longest: Duration) {
    let pieces = [
        ("<rect class=\"wait\" y=\"0\" height=\"10\" x=\"", parts.wait),
        ("<rect class=\"boot\" y=\"0\" height=\"10\" x=\"", parts.boot),
        ("<rect class=\"run\" y=\"0\" height=\"10\" x=\"", parts.run.unwrap_or_default()),
    ];
    html.raw("<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\" focusable=\"false\">");
    let mut from = Duration::ZERO;
    let scaled = |long: Duration| long.as_millis() * 1000 / longest.as_millis().max(1);
    for (rect, long) in pieces {
        if !long.is_zero() {
            // What took any time can be seen.
            html.raw(rect)
                .text(scaled(from).min(994))
                .raw("\" width=\"")
                .text(scaled(long).max(6))
                .raw("\"/>");
        }
        from += long;
    }
    html.raw("</svg><span class=\"parts\">waited ").text(Age(parts.wait));
    match parts.run {
        Some(run) => {
            if !parts.boot.is_zero() {
                html.raw(", booted ").text(Age(parts.boot));
            }
            html.raw(", ran ").text(Age(run))
        }
        None => html.raw(", and no runner took it"),
    };
    html.raw("</span>");
}

fn result(html: &mut Html, job: &OverJob) {
    html.raw(match job.conclusion.as_str() {
        "success" => "<span class=\"chip good\">",
        "failure" | "timed_out" | "startup_failure" => "<span class=\"chip bad\">",
        _ => "<span class=\"chip\">",
    });
    html.text(&job.conclusion).raw("</span> ");
}

pub(super) fn runners_section(html: &mut Html, overview: &Overview) {
    let all: usize = overview.pools.iter().map(|pool| pool.runners.len()).sum();
    html.raw("<section aria-labelledby=\"h-runners\"><h2 id=\"h-runners\">Runners</h2>");
    if all == 0 {
        html.raw("<p class=\"none\">No runner is there, and none is on its way.</p></section>\n");
        return;
    }
    let mut left = RUNNERS_IN_ALL;
    for pool in overview.pools.iter().filter(|pool| !pool.runners.is_empty()) {
        let most = RUNNERS_MOST.min(left);
        left -= most.min(pool.runners.len());
        if most > 0 {
            runners_of(html, pool, overview, most, all <= RUNNERS_OPEN);
        }
    }
    let shown: usize = overview.pools.iter().map(|pool| pool.runners.len().min(RUNNERS_MOST)).sum();
    if shown > RUNNERS_IN_ALL {
        html.raw("<p class=\"none\">More pools have runners than are shown here: ")
            .text(all)
            .raw(" runners in all.</p>");
    }
    html.raw("</section>\n");
}

fn runners_of(html: &mut Html, pool: &PoolOverview, overview: &Overview, most: usize, is_open: bool) {
    html.raw(if is_open { "<details open><summary>" } else { "<details><summary>" });
    html.text(&pool.pool)
        .raw(" <span class=\"sub\">")
        .text(runners(pool))
        .raw("</span></summary><table class=\"runs\"><caption>Runners of ");
    html.text(&pool.pool).raw(
        ", those first that are in their phase for longest</caption><thead><tr><th scope=\"col\">Runner</th>\
         <th scope=\"col\">Phase</th><th scope=\"col\">Job</th></tr></thead><tbody>",
    );
    for runner in pool.runners.iter().take(most) {
        runner_row(html, runner, overview);
    }
    more(html, pool.runners.len(), most, "<tr><td colspan=\"3\">", " runners</td></tr>");
    html.raw("</tbody></table></details>");
}

fn runner_row(html: &mut Html, runner: &RunnerOverview, overview: &Overview) {
    html.raw("<tr><th scope=\"row\">").text(&runner.runner);
    if let Some(place) = &runner.place {
        html.raw(" <span class=\"sub\">").text(place).raw("</span>");
    }
    html.raw("</th><td>").raw(match runner.phase {
        PhaseKind::Busy => "<span class=\"chip busy\">",
        PhaseKind::Reserved | PhaseKind::Creating | PhaseKind::Booting => "<span class=\"chip starting\">",
        PhaseKind::Idle => "<span class=\"chip idle\">",
        PhaseKind::Deleting => "<span class=\"chip going\">",
    });
    html.text(runner.phase).raw("</span> <span class=\"sub nowrap\">for ");
    html.text(Age::between(runner.since, overview.now)).raw("</span></td><td>");
    match (runner.job, runner.phase) {
        (Some(job), _) => html.text(job.0),
        (None, PhaseKind::Busy) => html.raw("not known yet"),
        (None, PhaseKind::Deleting) => html.raw("none"),
        (None, _) => html.raw("spare"),
    };
    html.raw("</td></tr>");
}
