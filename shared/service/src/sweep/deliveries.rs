//! Failed deliveries: those of each hook, and asking for them again.

use std::collections::{BTreeMap, BTreeSet};

use mayfly_core::policy::Scope;
use mayfly_core::sweep::{Failures, deliveries_since};
use tokio::time::Instant;

use super::Source;
use super::execute::{LOST, StepError};
use crate::clock;
use crate::github::{Deliveries, GitHubError, Hook};
use crate::mayfly::Mayfly;
use crate::store::Memory;

/// Failed deliveries are read up to so many pages of a hundred,
const FAILED_PAGES_MOST: usize = 20;
/// and good ones, to see which of them came through after all.
const SUCCEEDED_PAGES_MOST: usize = 10;
/// Hooks, each with lists of its own.
const HOOKS_MOST: usize = 20;

impl Mayfly {
    /// The failed deliveries of each hook, and whether there is a hook whose deliveries may be read.
    pub(super) async fn observe_deliveries(
        &self,
        memory: Option<&Memory>,
        deadline: Instant,
    ) -> (BTreeMap<String, Failures>, bool, Vec<Source>) {
        // Without the memory it is not known how often each was asked for.
        let Some(memory) = memory else { return (BTreeMap::new(), true, Vec::new()) };
        let scopes: BTreeSet<Scope> = self.policy.pools.iter().map(|pool| pool.scope.clone()).collect();
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        let hooks = match self.hooks(&scopes, deadline).await {
            Ok(hooks) => hooks,
            Err(error) => {
                return (BTreeMap::new(), false, vec![Source::failed("deliveries".to_owned(), &error)]);
            }
        };
        let mut found = BTreeMap::new();
        let mut failed = Vec::new();
        let (looked_at, others) = looked_at(&hooks);
        failed.extend(others);
        for hook in looked_at {
            match self.failures(hook, memory, deadline).await {
                Ok(failures) => _ = found.insert(hook.to_string(), failures),
                Err(error) => failed.push(Source::failed(format!("deliveries {hook}"), error.as_ref())),
            }
        }
        let hooked = !found.is_empty();
        (found, hooked, failed)
    }

    /// The hooks that bring the events: those of the pools' own scopes, else those of their repositories.
    pub(super) async fn hooks(&self, scopes: &[Scope], deadline: Instant) -> Result<Vec<Hook>, GitHubError> {
        let of_scopes = self.github.hooks(scopes, deadline).await;
        if matches!(&of_scopes, Ok(hooks) if !hooks.is_empty()) || !self.github.has_webhook_url() {
            return of_scopes;
        }
        let rests =
            |sought: Option<Instant>| sought.is_some_and(|at| at.elapsed() < self.policy.timing.check_after);
        if self.hooks_sought.lock().is_ok_and(|sought| rests(*sought)) {
            return of_scopes;
        }
        let repositories = self.repositories(deadline).await?;
        if repositories.len() > HOOKS_MOST {
            tracing::info!(
                most = HOOKS_MOST,
                all = repositories.len(),
                "our webhook is sought in the first repositories only"
            );
        }
        let repositories: Vec<Scope> =
            repositories.into_iter().take(HOOKS_MOST).map(Scope::Repository).collect();
        match self.github.hooks(&repositories, deadline).await {
            Ok(hooks) if !hooks.is_empty() => Ok(hooks),
            Ok(_) | Err(_) => {
                if let Ok(mut sought) = self.hooks_sought.lock() {
                    *sought = Some(Instant::now());
                }
                of_scopes
            }
        }
    }

    async fn failures(
        &self,
        hook: &Hook,
        memory: &Memory,
        deadline: Instant,
    ) -> Result<Failures, Box<dyn std::error::Error + Send + Sync>> {
        let settled = memory.settled.get(&hook.to_string()).copied();
        let since = deliveries_since(clock::now(), settled);
        let failed = self.github.deliveries(hook, true, since, FAILED_PAGES_MOST, deadline).await?;
        let Some(oldest) = failed.attempts.iter().map(|attempt| attempt.at).min() else {
            return Ok(Failures { whole: failed.whole, ..Failures::default() });
        };
        let guids: BTreeSet<String> = failed.attempts.iter().map(|attempt| attempt.guid.clone()).collect();
        let (succeeded, asked) = tokio::join!(
            self.github.deliveries(hook, false, oldest, SUCCEEDED_PAGES_MOST, deadline),
            self.ledger.redeliveries(&guids),
        );
        let Deliveries { attempts, whole } = succeeded?;
        let oldest = attempts.iter().map(|attempt| attempt.at).min();
        Ok(Failures {
            failed: failed.attempts,
            whole: failed.whole,
            succeeded_since: oldest.filter(|_| !whole),
            succeeded: attempts.into_iter().map(|attempt| attempt.guid).collect(),
            asked: asked?,
        })
    }

    /// Asks GitHub to deliver an event again; counted beforehand, so that it is never asked for without end.
    pub(super) async fn redeliver(
        &self,
        hook: &str,
        guid: &str,
        attempt: u64,
        times: u32,
        deadline: Instant,
    ) -> Result<String, StepError> {
        let scopes: Vec<Scope> = self.policy.pools.iter().map(|pool| pool.scope.clone()).collect();
        let hooks = self.hooks(&scopes, deadline).await?;
        let Some(hook) = hooks.iter().find(|known| known.to_string() == hook) else {
            return Ok("its hook is gone".to_owned());
        };
        if self.github.limited_for().is_some() {
            return Ok("not asked for: GitHub asks to be left alone".to_owned());
        }
        if !self.ledger.redelivery(guid, times, clock::now()).await? {
            return Ok(LOST.to_owned());
        }
        self.github.redeliver(hook, attempt, deadline).await?;
        Ok("asked for again".to_owned())
    }
}

/// The hooks whose deliveries a sweep looks at, and a word on the others.
fn looked_at(hooks: &[Hook]) -> (&[Hook], Option<Source>) {
    let Some((first, _)) = hooks.split_at_checked(HOOKS_MOST).filter(|(_, others)| !others.is_empty()) else {
        return (hooks, None);
    };
    let why = format!("there are {} webhooks, and the first {HOOKS_MOST} are looked at", hooks.len());
    (first, Some(Source { source: "deliveries of the other webhooks".to_owned(), why }))
}

#[cfg(test)]
mod tests {
    use mayfly_core::ids::Account;

    use super::*;

    #[test]
    fn twenty_webhooks_are_looked_at_and_the_others_told_of() {
        let hook = |id| Hook::Organization { login: Account::new("shader-slang").unwrap(), id };
        let twenty: Vec<Hook> = (0..20).map(hook).collect();
        assert!(looked_at(&[]).1.is_none() && looked_at(&twenty).1.is_none());
        assert_eq!(looked_at(&twenty).0, twenty);
        let many: Vec<Hook> = (0..1_000).map(hook).collect();
        let (first, others) = looked_at(&many);
        assert_eq!(first, twenty);
        assert!(others.is_some_and(|source| source.why.contains("1000 webhooks")));
    }
}
