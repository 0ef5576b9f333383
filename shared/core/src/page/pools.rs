//! The pools, and what is wrong with them.

use std::collections::BTreeMap;

use super::html::Html;
use super::words::{Count, Hours};
use super::{POOLS_MOST, Page};
use crate::age::{Age, clock};
use crate::overview::{Overview, PoolOverview};
use crate::slot::PhaseKind;

/// So many troubles are told.
const TROUBLES_MOST: usize = 40;

/// Something that is not as usual.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Where; none for the whole deployment.
    pub pool: Option<String>,
    /// What.
    pub what: String,
    /// It wants somebody's look; otherwise it is only said.
    pub is_bad: bool,
}

/// What is not as usual, the bad first.
pub(super) fn troubles(overview: &Overview) -> Vec<Trouble> {
    let sweep = &overview.last_sweep;
    let sweep = sweep.overdue.then(|| Trouble { pool: None, what: sweep.says.clone(), is_bad: true });
    let pools = overview.pools.iter().flat_map(|pool| of_pool(pool, overview));
    let mut troubles: Vec<Trouble> = sweep.into_iter().chain(pools).collect();
    troubles.sort_by_key(|trouble| !trouble.is_bad);
    troubles
}

fn of_pool(pool: &PoolOverview, overview: &Overview) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut say =
        |is_bad, what: String| found.push(Trouble { pool: Some(pool.pool.to_string()), what, is_bad });
    for why in &pool.unread {
        say(true, format!("{}: {why}", if pool.unknown { "not known" } else { "not read" }));
    }
    for it in &pool.failures {
        let ago = Age::between(it.at, overview.now);
        say(true, format!("{} failed {} in a row, last {ago} ago: {}", it.what, times(it.failures), it.why));
    }
    match (&pool.closed, pool.draining) {
        (_, Some(since)) => {
            say(false, format!("drained for {}: it takes no new jobs", Age::between(since, overview.now)));
        }
        (Some(why), None) => say(!pool.failures.is_empty(), format!("starts no VMs now: {why}")),
        (None, None) => {}
    }
    if !pool.cooling.is_empty() {
        let places: Vec<String> =
            pool.cooling.iter().map(|it| format!("{} until {}", it.place, clock(it.until))).collect();
        say(false, format!("was full, and is not asked for a while: {}", places.join(", ")));
    }
    found
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

pub(super) fn troubles_section(html: &mut Html, troubles: &[Trouble]) {
    if troubles.is_empty() {
        return;
    }
    html.raw("<section id=\"troubles\" aria-labelledby=\"h-troubles\"><h2 id=\"h-troubles\">Not as usual</h2><ul class=\"troubles\">");
    for Trouble { pool, what, is_bad } in troubles.iter().take(TROUBLES_MOST) {
        html.raw(if *is_bad {
            "<li class=\"bad\"><span class=\"chip\">Trouble</span> "
        } else {
            "<li class=\"note\"><span class=\"chip\">Note</span> "
        });
        if let Some(pool) = pool {
            html.raw("<b>").text(pool).raw("</b> ");
        }
        html.text(what).raw("</li>");
    }
    more(html, troubles.len(), TROUBLES_MOST, "<li>", "</li>");
    html.raw("</ul></section>\n");
}

/// Says how many are not shown.
pub(super) fn more(html: &mut Html, all: usize, shown: usize, before: &'static str, after: &'static str) {
    if all > shown {
        html.raw(before).raw("… and ").text(all - shown).raw(" more").raw(after);
    }
}

pub(super) fn section(html: &mut Html, page: &Page) {
    let pools = &page.overview.pools;
    html.raw(
        "<section aria-labelledby=\"h-pools\"><h2 id=\"h-pools\">Pools</h2>\
         <ul class=\"legend\"><li class=\"busy\">busy</li><li class=\"starting\">on its way</li><li class=\"idle\">idle</li>\
         <li class=\"going\">leaving</li></ul><table class=\"pools\">\
         <caption>How many of each pool’s runners are taken, how many jobs wait, and what its VMs cost this month</caption>\
         <thead><tr><th scope=\"col\">Pool</th><th scope=\"col\">Runners</th><th scope=\"col\" class=\"n\">Waiting</th>\
         <th scope=\"col\" class=\"n\">This month</th></tr></thead><tbody>",
    );
    for pool in pools.iter().take(POOLS_MOST) {
        row(html, page, pool);
    }
    more(html, pools.len(), POOLS_MOST, "<tr><td colspan=\"4\">", " pools</td></tr>");
    html.raw("</tbody></table>");
    let unpriced = pools.iter().any(|pool| page.past(pool).unpriced_ms > 0);
    if unpriced {
        html.raw(
            "<p class=\"hint\">Hours without an amount have no price: set <code>price_per_hour</code> at the pool’s \
             placements, and they are counted from then on.</p>",
        );
    }
    html.raw("</section>\n");
}

fn row(html: &mut Html, page: &Page, pool: &PoolOverview) {
    html.raw("<tr><th scope=\"row\">").text(&pool.pool);
    if pool.removed {
        html.raw(" <span class=\"sub\">configured no more</span>");
    } else if pool.draining.is_some() {
        html.raw(" <span class=\"sub\">drained</span>");
    } else if pool.min_runners > 0 {
        html.raw(" <span class=\"sub\">").text(pool.min_runners).raw(" kept warm</span>");
    }
    html.raw("</th>");
    if pool.unknown {
        html.raw("<td colspan=\"2\">not known: it could not be read</td>");
    } else {
        html.raw("<td>");
        utilisation(html, pool);
        html.raw("</td><td class=\"n\">").text(pool.waiting.len());
        if page.pasts.get(&pool.pool).is_some_and(|past| past.is_cut) {
            html.raw("<span class=\"sub\">at least</span>");
        }
        html.raw("</td>");
    }
    let used = page.past(pool);
    html.raw("<td class=\"n\">");
    if used.ms == 0 {
        html.raw("none");
    } else if used.unpriced_ms < used.ms {
        html.text(page.money(used)).raw(" <span class=\"sub\">").text(Hours(used.time())).raw("</span>");
    } else {
        html.text(Hours(used.time()));
    }
    html.raw("</td></tr>");
}

/// The groups of phases that a bar shows: their class, and what is said of them.
const GROUPS: [(&str, &[PhaseKind]); 4] = [
    ("<rect class=\"busy\" y=\"0\" height=\"10\" x=\"", &[PhaseKind::Busy]),
    (
        "<rect class=\"starting\" y=\"0\" height=\"10\" x=\"",
        &[PhaseKind::Reserved, PhaseKind::Creating, PhaseKind::Booting],
    ),
    ("<rect class=\"idle\" y=\"0\" height=\"10\" x=\"", &[PhaseKind::Idle]),
    ("<rect class=\"going\" y=\"0\" height=\"10\" x=\"", &[PhaseKind::Deleting]),
];

fn utilisation(html: &mut Html, pool: &PoolOverview) {
    let most = usize::from(pool.max_runners).max(pool.taken).max(1);
    html.raw("<span class=\"nowrap\"><b>")
        .text(pool.taken)
        .raw("</b> of ")
        .text(pool.max_runners)
        .raw("</span> <span class=\"sub\">");
    html.text(phases(&pool.phases, pool.unreadable)).raw("</span>");
    html.raw("<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\" focusable=\"false\">");
    let mut from = 0;
    for (rect, kinds) in GROUPS {
        let count: usize = kinds.iter().filter_map(|kind| pool.phases.get(kind)).sum();
        if count > 0 {
            html.raw(rect).text(from * 1000 / most).raw("\" width=\"").text(count * 1000 / most).raw("\"/>");
        }
        from += count;
    }
    html.raw("</svg>");
}

/// `6 busy, 2 booting`, in the order of the bar.
fn phases(phases: &BTreeMap<PhaseKind, usize>, unreadable: usize) -> String {
    let kinds = GROUPS.iter().flat_map(|(_, kinds)| kinds.iter());
    let known = kinds.filter_map(|kind| phases.get(kind).map(|count| format!("{count} {kind}")));
    let unreadable = (unreadable > 0).then(|| format!("{unreadable} unreadable"));
    known.chain(unreadable).collect::<Vec<_>>().join(", ")
}

/// `8 runners`
pub(super) fn runners(pool: &PoolOverview) -> Count {
    Count(pool.runners.len(), "runner")
}
