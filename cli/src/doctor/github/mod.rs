//! GitHub: whether it answers, who we are there and what we may do, where events come from, and whose jobs the runners take.

mod groups;
mod hooks;
mod rights;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use mayfly_core::policy::Scope;
use mayfly_service::config::Config;
use mayfly_service::github::{GitHub, GitHubError, OwnApp};
use tokio::time::Instant;

use super::finding::{Finding, Findings};

/// GitHub refuses an App whose clock is off by more: its JWTs are dated back a minute, and good for nine.
const SKEW_MOST: SignedDuration = SignedDuration::from_secs(60);
/// From here on somebody should look after the clock. GitHub's header has whole seconds, and its answer takes a moment.
const SKEW_WARNED: SignedDuration = SignedDuration::from_secs(10);

/// Looks at all that a deployment needs of GitHub. With `poll` no webhook is looked for.
pub async fn examine(
    config: &Config,
    github: &GitHub,
    has_login: bool,
    poll: bool,
    deadline: Instant,
) -> Vec<Finding> {
    let mut found = Findings::of("github");
    let rest = "who we are there, webhooks, runner groups";
    if !reached(config, github, &mut found, deadline).await {
        found.skipped(rest, "GitHub cannot be reached");
        return found.done();
    }
    if !has_login {
        found.skipped(rest, "there are no credentials to ask with");
        return found.done();
    }
    let app = match own_app(github, &mut found, deadline).await {
        Ok(app) => app,
        Err(()) => {
            found.skipped("permissions, webhooks, runner groups", "the login is not taken");
            return found.done();
        }
    };
    let scopes: BTreeSet<Scope> = config.policy.pools.iter().map(|pool| pool.scope.clone()).collect();
    let mut usable = BTreeSet::new();
    for scope in &scopes {
        if rights::examine(config, github, app.as_ref(), scope, &mut found, deadline).await {
            usable.insert(scope.clone());
        }
    }
    if poll {
        found.skipped("webhook", "with --poll none is needed");
    } else {
        hooks::examine(config, github, app.as_ref(), &scopes, &mut found, deadline).await;
    }
    for pool in &config.policy.pools {
        if usable.contains(&pool.scope) {
            groups::examine(github, pool, &mut found, deadline).await;
        } else {
            let why = format!("{} cannot be looked at", pool.scope);
            found.skipped(format!("pool {}: its runner group", pool.name), why);
        }
    }
    found.done()
}

/// Whether GitHub answers, and by which clock.
async fn reached(config: &Config, github: &GitHub, found: &mut Findings, deadline: Instant) -> bool {
    let api = &config.github.api_url;
    let before = Timestamp::now();
    match github.clock(deadline).await {
        Ok(theirs) => {
            found.ok("it answers", api);
            match theirs {
                Some(theirs) => judge_clock(before, Timestamp::now(), theirs, found),
                None => found.skipped("clock", "the answer has no date"),
            }
            true
        }
        // It answers, only not that.
        Err(GitHubError::RateLimited { .. }) => {
            found.ok("it answers", api);
            found.skipped("clock", "GitHub asks to be left alone for a while");
            true
        }
        Err(error) => {
            let mend = "is `github.api_url` right (of a GitHub Enterprise Server: https://HOST/api/v3), and to be reached \
                        from here (HTTPS_PROXY)?";
            found.wrong("it answers", error.to_string(), mend);
            false
        }
    }
}

/// How far this machine's clock and GitHub's are apart, the answer having been given some time between two moments.
fn judge_clock(before: Timestamp, after: Timestamp, theirs: Timestamp, found: &mut Findings) {
    // The header's second has begun, and may be nearly over.
    let (earliest, latest) = (theirs, theirs.saturating_add(SignedDuration::from_secs(1)).unwrap_or(theirs));
    let ahead = before.duration_since(latest).max(SignedDuration::ZERO);
    let behind = earliest.duration_since(after).max(SignedDuration::ZERO);
    let (off, side) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let why = format!("this machine's is {} s {side} GitHub's", off.as_secs());
    let mend = "set the clock by NTP (`timedatectl set-ntp true`)";
    if off > SKEW_MOST {
        found.wrong("clock", format!("{why}: logins as an App are refused"), mend);
    } else if off > SKEW_WARNED {
        found.warning("clock", why, mend);
    } else {
        found.ok("clock", "this machine's and GitHub's agree");
    }
}

/// The App that we are, or none for a token, whose kind shows when it is used. `Err` where the login is not taken.
async fn own_app(github: &GitHub, found: &mut Findings, deadline: Instant) -> Result<Option<OwnApp>, ()> {
    if !github.is_app() {
        return Ok(None);
    }
    match github.own_app(deadline).await {
        Ok(app) => {
            found.ok("login", format!("as the App {}", app.name));
            Ok(Some(app))
        }
        Err(error) => {
            let mend = "take `github.app.client_id` and a private key from one and the same App's settings, and mind the \
                        clock above";
            found.wrong("login", error.to_string(), mend);
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_clock_is_judged_by_what_github_bears() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        for (before, after, level) in [
            (0, 0, Level::Ok),
            // A slow answer says little.
            (-30, 30, Level::Ok),
            (11, 11, Level::Ok),
            (12, 12, Level::Warning),
            (-11, -11, Level::Warning),
            (61, 61, Level::Warning),
            (62, 62, Level::Wrong),
            (-61, -61, Level::Wrong),
        ] {
            let mut found = Findings::of("github");
            judge_clock(at(before), at(after), at(0), &mut found);
            let finding = found.done().remove(0);
            assert_eq!(finding.level, level, "{before} {after}: {}", finding.why);
        }
    }
}
