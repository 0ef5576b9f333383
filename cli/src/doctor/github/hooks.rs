//! The webhook: whether there is one, whether it points here and tells of jobs, and whether what it sent got through.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mayfly_core::policy::Scope;
use mayfly_service::config::{Config, Url};
use mayfly_service::github::{GitHub, GitHubError, HookSeen, OwnApp, Try};
use tokio::time::Instant;

use crate::doctor::finding::Findings;

/// Older deliveries say little of how it stands now.
const RECENT: SignedDuration = SignedDuration::from_hours(24);
const EVENT: &str = "workflow_job";

/// Looks at the webhook that brings the events.
pub async fn examine(
    config: &Config,
    github: &GitHub,
    app: Option<&OwnApp>,
    scopes: &BTreeSet<Scope>,
    found: &mut Findings,
    deadline: Instant,
) {
    let hooks = match (&config.github.webhook_url, app) {
        (Some(url), app) => pointing_here(github, app, scopes, url, found, deadline).await,
        (None, Some(app)) => own(github, app, found, deadline).await.into_iter().collect(),
        (None, None) => {
            let why =
                "which one brings the events is not configured: failed deliveries are not asked for again";
            let mend = "set `github.webhook_url` to the address that the organization's or repository's webhook goes to";
            found.warning("webhook", why, mend);
            Vec::new()
        }
    };
    for hook in &hooks {
        judge(hook, found);
        match github.tries(&hook.hook, deadline).await {
            Ok(tries) => judge_tries(&tries, Timestamp::now(), found),
            Err(error) => found.skipped("deliveries", error.to_string()),
        }
    }
}

/// The App's own webhook.
async fn own(github: &GitHub, app: &OwnApp, found: &mut Findings, deadline: Instant) -> Option<HookSeen> {
    match github.own_hook(app, deadline).await {
        Ok(hook) if hook.url.is_some() => Some(hook),
        Ok(_) => {
            let mend = "`mayfly github-app webhook URL` points it somewhere; where an organization's or repository's webhook \
                        brings the events, set `github.webhook_url`; with `serve --poll` none is needed (`mayfly doctor --poll`)";
            found.wrong("webhook", format!("the App {} has none: nobody is told of jobs", app.name), mend);
            None
        }
        Err(error) => {
            found.wrong("webhook", error.to_string(), "see the App's settings, Webhook");
            None
        }
    }
}

/// All webhooks that go to the configured address, among the App's and the owners'.
async fn pointing_here(
    github: &GitHub,
    app: Option<&OwnApp>,
    scopes: &BTreeSet<Scope>,
    url: &Url,
    found: &mut Findings,
    deadline: Instant,
) -> Vec<HookSeen> {
    let mut seen = Vec::new();
    let mut hidden: Option<GitHubError> = None;
    if let Some(app) = app {
        match github.own_hook(app, deadline).await {
            Ok(hook) => seen.push(hook),
            Err(error) => hidden = Some(error),
        }
    }
    for scope in scopes {
        match github.hooks_seen(scope, deadline).await {
            Ok(hooks) => seen.extend(hooks),
            Err(error) => hidden = Some(error),
        }
    }
    let goes_here = |hook: &HookSeen| {
        hook.url.as_deref().and_then(|text| Url::parse(text).ok()).is_some_and(|own| own == *url)
    };
    let (here, elsewhere): (Vec<HookSeen>, Vec<HookSeen>) = seen.into_iter().partition(goes_here);
    match (here.is_empty(), hidden) {
        (false, _) => {}
        (true, Some(error)) => {
            found.skipped("webhook", format!("none was seen, and not all may be: {error}"))
        }
        (true, None) => {
            let others: BTreeSet<String> = elsewhere.into_iter().filter_map(|hook| hook.url).collect();
            let others: Vec<String> = others.into_iter().collect();
            let there = if others.is_empty() {
                "there is none at all".to_owned()
            } else {
                format!("there are some that go to {}", others.join(", "))
            };
            let mend = format!(
                "`mayfly github-app webhook {url}` points the App's there; or make one for {EVENT} events in the owner's \
                 settings, Webhooks; or correct `github.webhook_url`"
            );
            found.wrong("webhook", format!("none goes to {url}; {there}"), mend);
        }
    }
    here
}

/// What is right and wrong with a webhook that is there.
fn judge(hook: &HookSeen, found: &mut Findings) {
    let what = format!("webhook {}", hook.hook);
    let url = hook.url.as_deref().unwrap_or_default();
    found.ok(&what, format!("goes to {url}"));
    if !Url::parse(url).is_ok_and(|url| url.path().ends_with("/webhook")) {
        let mend = "let the address end with /webhook, unless a proxy before Mayfly takes care of that";
        found.warning(&what, "its address does not end with /webhook, where Mayfly takes events", mend);
    }
    if !hook.active {
        found.wrong(&what, "is switched off", "tick Active in its settings");
    }
    if hook.events.iter().any(|event| event == EVENT || event == "*") {
        found.ok(format!("{what}: its events"), EVENT);
    } else {
        let why = format!("{EVENT} is not among them: {}", hook.events.join(", "));
        let mend = "subscribe to Workflow jobs: in an App's settings under Permissions & events, in a webhook's under events";
        found.wrong(format!("{what}: its events"), why, mend);
    }
    if hook.content_type.as_deref() == Some("form") {
        let mend =
            "set its content type to application/json (`mayfly github-app webhook URL` does, for an App's)";
        found.wrong(format!("{what}: content type"), "is form, which Mayfly does not read", mend);
    }
}

/// How the last deliveries went. One that failed is asked for again by the sweep; when the newest failed, it still stands so.
fn judge_tries(tries: &[Try], now: Timestamp, found: &mut Findings) {
    let recent: Vec<&Try> = tries
        .iter()
        .filter(|each| each.event == EVENT && now.duration_since(each.delivered_at) < RECENT)
        .collect();
    let Some(newest) = recent.iter().max_by_key(|each| each.delivered_at) else {
        found.ok("deliveries", "there were none of the last day");
        return;
    };
    let mut failed: BTreeMap<i64, usize> = BTreeMap::new();
    for each in recent.iter().filter(|each| has_failed(each)) {
        *failed.entry(each.status_code).or_default() += 1;
    }
    if failed.is_empty() {
        found.ok("deliveries", format!("the last {} of a day got through", recent.len()));
        return;
    }
    let total: usize = failed.values().sum();
    let codes: Vec<String> = failed.iter().map(|(code, number)| format!("{number} with {code}")).collect();
    let why = format!("{total} of the last {} of a day failed: {}", recent.len(), codes.join(", "));
    let code = if has_failed(newest) {
        newest.status_code
    } else {
        failed.keys().next_back().copied().unwrap_or_default()
    };
    if has_failed(newest) {
        found.wrong("deliveries", format!("{why}; the newest among them: {}", newest.status), mend_of(code));
    } else {
        found.warning("deliveries", format!("{why}; the newest got through"), mend_of(code));
    }
}

fn has_failed(each: &Try) -> bool {
    !(200..300).contains(&each.status_code)
}

/// What a delivery's answer says is to be mended.
fn mend_of(code: i64) -> &'static str {
    match code {
        401 => {
            "the webhook's secret at GitHub must be one of `github.webhook_secrets`: set the same in both places"
        }
        403 => "a Function URL must let anybody call it (auth type NONE): the signature is checked by Mayfly",
        404 | 405 => "the webhook's address must end with /webhook",
        413 => "something before Mayfly takes no such large bodies: they have up to 1 MiB",
        503 => {
            "the function could not write to the table: see \"table\" here, its role's rights, and its log"
        }
        0 | 502 | 504 => {
            "is Mayfly running at the webhook's address, and to be reached by GitHub? See its log"
        }
        _ => "see the function's log at that time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn how_deliveries_go_is_judged_by_the_newest_of_the_last_day() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let each = |hours: i64, event: &str, status_code| Try {
            delivered_at: now - SignedDuration::from_hours(hours),
            status_code,
            status: "told".to_owned(),
            event: event.to_owned(),
        };
        let judged = |tries: &[Try]| {
            let mut found = Findings::of("github");
            judge_tries(tries, now, &mut found);
            let finding = found.done().remove(0);
            (finding.level, finding.mend)
        };
        assert_eq!(judged(&[]).0, Level::Ok);
        assert_eq!(judged(&[each(25, EVENT, 502), each(1, "ping", 502)]).0, Level::Ok);
        assert_eq!(judged(&[each(1, EVENT, 202), each(2, EVENT, 200)]).0, Level::Ok);
        assert_eq!(judged(&[each(1, EVENT, 202), each(2, EVENT, 502)]).0, Level::Warning);
        let (level, mend) = judged(&[each(1, EVENT, 401), each(2, EVENT, 202)]);
        assert_eq!(level, Level::Wrong);
        assert!(mend.contains("webhook_secrets"), "{mend}");
    }
}
