use jiff::Timestamp;

use super::*;
use crate::gate::{PoolState, Trouble};
use crate::ids::{JobId, Repository};
use crate::overview::{Failures, LastSweep, SeenPool, overview};
use crate::past::month;
use crate::policy::Pool;
use crate::price::Cost;
use crate::slot::Slot;
use crate::sweep::PoolLedger;
use crate::sweep::fixtures::{at, booting, busy, policy, pool as configured, slot, waiting};

const NOW: i64 = 1_000;
const HOSTILE: &str = "</style></td><script>alert(1)</script>\"'&<!--";

fn page(max: u16, slots: Vec<Slot>, jobs: u64, state: PoolState, over: Vec<OverJob>) -> Page {
    let max_runners = std::num::NonZeroU16::new(max).unwrap();
    let policy = policy(vec![Pool { max_runners, ..configured("linux", &["Linux"]) }]);
    let name = policy.pools[0].name.clone();
    let waiting = (1..=jobs).map(|job| waiting(job, 900)).collect();
    let ledger = PoolLedger { slots, waiting, state, ..PoolLedger::empty(name.clone()) };
    let seen = [SeenPool { pool: name.clone(), read: Ok((ledger, Vec::new())) }];
    let past = Past { over, ..Past::default() };
    Page {
        version: "0.0.0",
        overview: overview(&policy, &seen, None, at(NOW)),
        pasts: [(name, past)].into(),
        currency: "USD".into(),
    }
}

fn over(id: u64, conclusion: &str) -> OverJob {
    OverJob {
        job: JobId(id),
        repository: Repository::new("shader-slang/slang").unwrap(),
        runner: Some("test-linux-0000-a".into()),
        queued_at: at(0),
        made_at: Some(at(2)),
        started_at: Some(at(42)),
        ended_at: at(642 + i64::try_from(id).unwrap()),
        conclusion: conclusion.into(),
    }
}

fn taken(count: u16) -> Vec<Slot> {
    (0..count)
        .map(|index| slot(index, u64::from(index), if index % 3 == 0 { booting() } else { busy() }))
        .collect()
}

/// Each tag that is opened is closed, in order: what a browser would mend silently.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 4] = ["meta", "link", "input", "!doctype"];
    let style = html.find("<style>").unwrap()..html.find("</style>").unwrap();
    let markup = format!("{}{}", &html[..style.start + 7], &html[style.end..]);
    let mut open: Vec<&str> = Vec::new();
    for tag in markup.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "<{tag}>"),
            None if VOID.contains(&name) || tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn an_empty_deployment_is_a_calm_page() {
    let html = render(&page(10, vec![], 0, PoolState::default(), vec![]));
    assert_well_formed(&html);
    for said in [
        "Nothing is wrong",
        "<b>0</b> of 10",
        "No job waits",
        "No job has ended",
        "No runner is there",
        "no job yet",
    ] {
        assert!(html.contains(said), "{said}");
    }
    assert!(!html.contains("Not as usual"));
}

#[test]
fn a_busy_deployment_shows_what_it_does() {
    let mut page = page(4, taken(4), 2, PoolState::default(), vec![over(7, "success"), over(9, "failure")]);
    let past = page.pasts.values_mut().next().unwrap();
    past.gone = Used { vms: 3, ms: 7_200_000, unpriced_ms: 0, cost: Cost(1_500_000) };
    past.there = Used { vms: 4, ms: 3_600_000, unpriced_ms: 0, cost: Cost(250_000) };
    let html = render(&page);
    assert_well_formed(&html);
    for said in [
        "<b>4</b> of 4",
        "2 busy, 2 booting",
        "<td class=\"nowrap\">1 min 40 s</td><td class=\"why\">its pool is full: all 4 runners are taken</td>",
        "waited 2.0 s, booted 40.0 s, ran 10 min",
        "<b>42.0 s</b></dd><dd class=\"sub\">median of the last 2",
        "<b>1.75 USD</b></dd><dd class=\"sub\">3.0 h of VMs",
        "<details open>",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
    let at = |job: &str| html.find(&format!("<th scope=\"row\">{job} ")).unwrap();
    assert!(at("9") < at("7"), "the last first");
    assert!(!html.contains("price_per_hour"));
}

#[test]
fn hours_without_a_price_are_hours_and_say_how_to_get_amounts() {
    let mut page = page(4, vec![], 0, PoolState::default(), vec![]);
    let gone = Used { vms: 3, ms: 5_400_000, unpriced_ms: 5_400_000, cost: Cost(0) };
    page.pasts.values_mut().next().unwrap().gone = gone;
    let html = render(&page);
    assert!(
        html.contains("<b>1.5 h</b>") && html.contains("price_per_hour") && !html.contains("USD"),
        "{html}"
    );
}

#[test]
fn a_failing_deployment_says_what_fails_the_worst_first() {
    let trouble = |why: &str| Some(Trouble { failures: 9, at: at(NOW - 60), why: why.into() });
    let cooling = [("gcp/us-east1-c".to_owned(), at(NOW + 60))].into();
    let state = PoolState { cooling, creates: trouble("no template"), ..PoolState::default() };
    let mut page = page(4, vec![], 1, state, vec![over(1, "failure")]);
    page.overview.last_sweep =
        LastSweep { at_or_after: Some(at(0)), says: "none since".into(), overdue: true };
    page.overview.pools[0].unread = vec!["item x".into()];
    let html = render(&page);
    assert_well_formed(&html);
    for said in [
        "<a href=\"#troubles\">4 things want a look</a>",
        "none since",
        "not read: item x",
        "creates failed 9 times in a row, last 1 min ago: no template",
        "<span class=\"chip bad\">failure</span>",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
    assert!(html.find("no template") < html.find("gcp/us-east1-c until"), "notes come last");
    page.overview.pools[0].unknown = true;
    assert!(render(&page).contains("not known: it could not be read"));
}

#[test]
fn no_text_that_anybody_else_wrote_becomes_markup() {
    let hostile = || HOSTILE.to_owned();
    let mut page = page(4, taken(1), 1, PoolState::default(), vec![over(1, HOSTILE)]);
    page.currency = hostile();
    page.overview.last_sweep = LastSweep { at_or_after: None, says: hostile(), overdue: true };
    let pool = &mut page.overview.pools[0];
    pool.closed = Some(hostile());
    pool.unread = vec![hostile()];
    pool.failures = vec![Failures { what: "boots", failures: 1, at: at(0), why: hostile() }];
    pool.cooling = vec![crate::overview::Cooling { place: hostile(), until: at(NOW) }];
    pool.runners[0].place = Some(hostile());
    pool.waiting[0].why = hostile();
    let past = page.pasts.values_mut().next().unwrap();
    past.gone = Used { vms: 1, ms: 1, unpriced_ms: 0, cost: Cost(1) };
    let html = render(&page);
    assert_well_formed(&html);
    assert!(!html.contains("<script") && !html.contains("<!--"), "{html}");
    // Conclusion, currency (in the pool's row and the tile), sweep, closed, unread, failures, cooling, place, why.
    assert!(html.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;").count() >= 10, "{html}");
    // The style sheet is the one whose hash is told to browsers: a `</style>` of somebody else's would end it early.
    assert!(html.contains(&format!("<style>{STYLE}</style></head>")));
}

#[test]
fn the_largest_pool_makes_no_larger_page_than_a_thousand_runners() {
    let full = |runners: u16| {
        let over = (0..48).map(|id| over(id, "success")).collect();
        render(&page(runners, taken(runners), 20_000, PoolState::default(), over))
    };
    let (thousand, largest) = (full(1_000), full(9_999));
    assert!(
        largest.len() < thousand.len() + 200 && thousand.len() < 60_000,
        "{} {}",
        thousand.len(),
        largest.len()
    );
    for said in [
        "… and 975 more runners",
        "… and 19960 more waiting jobs",
        "… and 24 more that are remembered",
        "<details>",
    ] {
        assert!(thousand.contains(said), "{said}");
    }
    assert_well_formed(&largest);
}

#[test]
fn many_pools_make_no_larger_page_than_a_hundred() {
    let many = |count: u16| {
        let mut page = page(9_999, taken(30), 50, PoolState::default(), vec![]);
        page.overview.pools = vec![page.overview.pools[0].clone(); usize::from(count)];
        render(&page)
    };
    let (hundred, thousand) = (many(100), many(1_000));
    assert!(thousand.len() < hundred.len() + 300, "{} {}", hundred.len(), thousand.len());
    assert!(
        thousand.contains("… and 900 more pools")
            && thousand.contains("More pools have runners than are shown")
    );
}

#[test]
fn a_part_of_a_job_that_took_any_time_can_be_seen() {
    let short = OverJob { ended_at: at(400_000), ..over(1, "success") };
    let html = render(&page(4, vec![], 0, PoolState::default(), vec![short]));
    assert!(html.contains("<rect class=\"wait\" y=\"0\" height=\"10\" x=\"0\" width=\"6\"/>"), "{html}");
}

#[test]
fn the_month_is_the_one_of_the_page() {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut page = page(4, vec![], 0, PoolState::default(), vec![]);
    page.overview.now = now;
    assert!(render(&page).contains("<dt>November so far</dt>"));
    assert_eq!(month(now), "2026-11");
}

#[test]
fn a_hundred_troubles_make_no_larger_page_than_forty() {
    let with = |count: usize| {
        let mut page = page(4, vec![], 0, PoolState::default(), vec![]);
        page.overview.pools[0].unread = (0..count).map(|number| format!("item {number}")).collect();
        render(&page)
    };
    let html = with(100);
    assert_eq!(html.matches("not read: item").count(), 40);
    assert!(html.contains("… and 60 more"), "{html}");
    assert_well_formed(&html);
}
