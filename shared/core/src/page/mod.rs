//! The status page: data in, one HTML document out. It has no script, loads nothing, and is as large as its limits allow,
//! however large the deployment is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::age::Age;
use crate::ids::PoolName;
use crate::overview::{Overview, PoolOverview};
use crate::past::{OverJob, Used};
use crate::slot::PhaseKind;

mod html;
mod jobs;
mod pools;
mod words;

use html::Html;
use pools::Trouble;
use words::{Count, Hours, Money};

/// The style sheet as it stands in the page; its hash is what a content security policy admits.
pub const STYLE: &str = include_str!("style.css");

/// So many pools are shown.
const POOLS_MOST: usize = 100;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Page {
    /// The program's version.
    pub version: &'static str,
    /// How the deployment stands.
    pub overview: Overview,
    /// What is over, and what it cost.
    pub pasts: BTreeMap<PoolName, Past>,
    /// The prices' currency; empty where the user names none.
    pub currency: String,
}

/// What is over in a pool, and what it cost.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The last jobs that are over, in any order.
    pub over: Vec<OverJob>,
    /// What the VMs ran and cost that went this month.
    pub gone: Used,
    /// What those ran and cost until now that are still there.
    pub there: Used,
    /// The pool has more than was read: its queue goes on.
    pub is_cut: bool,
}

impl Past {
    /// What VMs ran and cost this month.
    fn used(&self) -> Used {
        self.gone + self.there
    }
}

impl Page {
    fn past(&self, pool: &PoolOverview) -> Used {
        self.pasts.get(&pool.pool).map(Past::used).unwrap_or_default()
    }

    /// The jobs that are over, the last first, each with its pool.
    fn over(&self) -> Vec<(&PoolName, &OverJob)> {
        let mut over: Vec<_> =
            self.pasts.iter().flat_map(|(pool, past)| past.over.iter().map(move |job| (pool, job))).collect();
        over.sort_by_key(|(_, job)| std::cmp::Reverse((job.ended_at, job.job)));
        over
    }

    fn money(&self, used: Used) -> Money<'_> {
        Money { cost: used.cost, currency: &self.currency }
    }
}

/// The document.
pub fn render(page: &Page) -> String {
    let troubles = pools::troubles(&page.overview);
    let mut html = Html::default();
    html.raw(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <link rel=\"icon\" href=\"data:,\"><title>",
    );
    html.text(&page.overview.deployment)
        .raw(" – Mayfly</title><style>")
        .raw(STYLE)
        .raw("</style></head>\n<body>");
    header(&mut html, page, &troubles);
    html.raw("<main>");
    tiles(&mut html, page);
    pools::troubles_section(&mut html, &troubles);
    pools::section(&mut html, page);
    jobs::waiting_section(&mut html, page);
    jobs::over_section(&mut html, page);
    jobs::runners_section(&mut html, &page.overview);
    html.raw("</main>\n<footer><p>Mayfly ").text(page.version).raw(
        ". Read from the table alone, when you asked for it. Moments are UTC. \
         <code>mayfly status</code> shows the same in a terminal, <code>mayfly explain</code> a job’s story.</p></footer></body></html>\n",
    );
    html.done()
}

fn header(html: &mut Html, page: &Page, troubles: &[Trouble]) {
    let now = page.overview.now;
    html.raw("<header><h1><span class=\"brand\">Mayfly</span> ").text(&page.overview.deployment).raw("</h1>");
    let (bad, notes) = (troubles.iter().filter(|it| it.is_bad).count(), troubles.len());
    match (bad, notes) {
        (0, 0) => html.raw("<p class=\"state good\">Nothing is wrong</p>"),
        (0, _) => html
            .raw("<p class=\"state note\"><a href=\"#troubles\">")
            .text(Count(notes, "note"))
            .raw("</a></p>"),
        _ => html
            .raw("<p class=\"state bad\"><a href=\"#troubles\">")
            .text(Count(bad, "thing"))
            .raw(if bad == 1 { " wants a look</a></p>" } else { " want a look</a></p>" }),
    };
    html.raw("<p class=\"when\"><time datetime=\"")
        .text(now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .raw("\">")
        .text(now.strftime("%Y-%m-%d %H:%M:%S"))
        .raw("</time> UTC <a class=\"reload\" href=\"./\">Reload</a></p></header>\n");
}

/// The whole at a glance.
fn tiles(html: &mut Html, page: &Page) {
    let pools = &page.overview.pools;
    let (taken, most): (usize, usize) = pools
        .iter()
        .fold((0, 0), |(taken, most), pool| (taken + pool.taken, most + usize::from(pool.max_runners)));
    let busy: usize = pools.iter().filter_map(|pool| pool.phases.get(&PhaseKind::Busy)).sum();
    html.raw("<dl class=\"tiles\"><div><dt>Runners</dt><dd><b>").text(taken).raw("</b> of ").text(most);
    html.raw("</dd><dd class=\"sub\">").text(busy).raw(" busy</dd></div>");

    let waiting: usize = pools.iter().map(|pool| pool.waiting.len()).sum();
    let oldest = pools.iter().filter_map(|pool| pool.waiting.first()).map(|job| job.since).min();
    let is_cut = page.pasts.values().any(|past| past.is_cut);
    html.raw("<div><dt>Jobs that wait</dt><dd><b>").text(waiting).raw(if is_cut {
        "</b> at least"
    } else {
        "</b>"
    });
    html.raw("</dd><dd class=\"sub\">");
    match oldest {
        Some(since) => html.text(Age::between(since, page.overview.now)).raw(" the longest"),
        None => html.raw("none"),
    };
    html.raw("</dd></div>");

    html.raw("<div><dt>From queued to started</dt><dd><b>");
    let starts = starts(page);
    match starts.get(starts.len() / 2) {
        Some(median) => html
            .text(Age(*median))
            .raw("</b></dd><dd class=\"sub\">median of the last ")
            .text(starts.len())
            .raw("</dd></div>"),
        None => html.raw("–</b></dd><dd class=\"sub\">no job yet</dd></div>"),
    };

    let used: Used = pools.iter().map(|pool| page.past(pool)).sum();
    let month = page.overview.now.strftime("%B");
    html.raw("<div><dt>").text(month).raw(" so far</dt><dd><b>");
    if used.ms > 0 && used.unpriced_ms == used.ms {
        html.text(Hours(used.time()))
            .raw("</b></dd><dd class=\"sub\">of VMs; no price set</dd></div></dl>\n");
    } else {
        html.text(page.money(used)).raw("</b></dd><dd class=\"sub\">").text(Hours(used.time()));
        html.raw(" of VMs</dd></div></dl>\n");
    }
}

/// How long the last jobs took from queued to started, in order.
fn starts(page: &Page) -> Vec<Duration> {
    let over = page.pasts.values().flat_map(|past| &past.over);
    let parts = over.map(OverJob::parts).filter(|parts| parts.run.is_some());
    let mut starts: Vec<Duration> = parts.map(|parts| parts.wait + parts.boot).collect();
    starts.sort();
    starts
}

#[cfg(test)]
mod tests;
