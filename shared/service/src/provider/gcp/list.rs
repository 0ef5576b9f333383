//! Which VMs there are.

use std::collections::BTreeMap;
use std::time::Duration;

use google_cloud_compute_v1::model::{Instance, InstanceAggregatedList, InstancesScopedList, instance};
use jiff::Timestamp;
use mayfly_core::brief::brief;
use mayfly_core::ids::{Deployment, PoolName};
use mayfly_core::slot::VmPlace;
use mayfly_core::sweep::{Vm, VmState};
use tokio::time::Instant;

use super::insert::{DEPLOYMENT_LABEL, POOL_LABEL};
use super::{Gcp, is_past, out_of_time, provider_error};
use crate::provider::ProviderError;
use crate::provider::repeat::repeated;

/// For each try of each page.
const PAGE_LIMIT: Duration = Duration::from_secs(20);
/// 500 VMs a page: more than any deployment has.
const PAGES_MAX: usize = 200;
/// What is told of the parts that a list lacks, in characters.
const MISSING_LONGEST: usize = 400;
const DOING: &str = "listing VMs";
/// What Google says that such a list is.
const KIND: &str = "compute#instanceAggregatedList";

impl Gcp {
    /// This deployment's VMs in all zones. A list from which a zone is missing, because it could not be reached, is an
    /// error: what is not known must not look as if it were not there.
    pub async fn list(&self, deployment: &Deployment, deadline: Instant) -> Result<Vec<Vm>, ProviderError> {
        let filter = format!("labels.{DEPLOYMENT_LABEL}=\"{deployment}\"");
        let found = self.instances(&filter, deadline).await?;
        let vm = |(zone, instance): (String, Instance)| {
            Some(Vm {
                state: state(&instance),
                pool: pool_of(&instance, deployment)?,
                created_at: instance
                    .creation_timestamp
                    .as_deref()
                    .and_then(|text| text.parse::<Timestamp>().ok()),
                name: instance.name.unwrap_or_default(),
                place: VmPlace { provider: self.provider.clone(), at: zone },
            })
        };
        Ok(found.into_iter().filter_map(vm).collect())
    }

    /// The instances that pass a filter, each with its zone, by zone and in Google's order.
    pub(super) async fn instances(
        &self,
        filter: &str,
        deadline: Instant,
    ) -> Result<Vec<(String, Instance)>, ProviderError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            if is_past(deadline) {
                return Err(out_of_time(DOING));
            }
            let page = repeated(deadline, PAGE_LIMIT, |limit| {
                self.clients.instances_page(filter, token.as_deref(), limit)
            });
            let page = page.await.map_err(|error| provider_error(DOING, &error))?;
            if let Some(missing) = missing(&page) {
                let why = format!("the list is not whole: {missing}");
                return Err(ProviderError::Unavailable { doing: DOING, why });
            }
            token = page.next_page_token.clone().filter(|token| !token.is_empty());
            // A HashMap in the library; in an order of its own, it would make the order of everything random.
            let scopes: BTreeMap<String, InstancesScopedList> = page.items.into_iter().collect();
            for (scope, list) in scopes {
                let zone = scope.rsplit('/').next().unwrap_or_default();
                found.extend(list.instances.into_iter().map(|instance| (zone_of(&instance, zone), instance)));
            }
            if token.is_none() {
                return Ok(found);
            }
        }
        let why = format!("more than {PAGES_MAX} pages");
        Err(ProviderError::Unavailable { doing: DOING, why })
    }
}

/// The pool that a VM's marks name; `None` for a stranger's. Google's filter should leave nobody else's; that we never
/// touch one is not left to its spelling.
fn pool_of(instance: &Instance, deployment: &Deployment) -> Option<PoolName> {
    let label = |name| instance.labels.get(name);
    let ours = label(DEPLOYMENT_LABEL).is_some_and(|label| label == deployment.as_str());
    if !ours {
        return None;
    }
    label(POOL_LABEL).and_then(|pool| PoolName::new(pool).ok())
}

/// What a page lacks, if it does, in one short line.
fn missing(page: &InstanceAggregatedList) -> Option<String> {
    lack(page).map(|why| brief(&why, MISSING_LONGEST))
}

/// What a page lacks, if it does: that it is such a list at all, a VM's name, a scope's `warning` other than that nothing is in it,
/// the page's own, or `unreachables`. Google leaves out what is empty, so any object could be a list without VMs: one that does not
/// say its kind must at least have something that only a list has.
fn lack(page: &InstanceAggregatedList) -> Option<String> {
    let is_one = match page.kind.as_deref() {
        Some(kind) => kind == KIND,
        None => !page.items.is_empty() || page.id.is_some() || page.self_link.is_some(),
    };
    if !is_one {
        let kind = page.kind.as_deref().unwrap_or("nothing");
        return Some(format!("it says to be {kind}, not {KIND}"));
    }
    if !page.unreachables.is_empty() {
        return Some(format!("not reached: {}", page.unreachables.join(", ")));
    }
    if let Some(warning) = &page.warning {
        let code = warning.code.as_ref().and_then(|code| code.name());
        if let Some(why) = told(code, warning.message.as_deref()) {
            return Some(why);
        }
    }
    let of_scope = |(scope, list): (&String, &InstancesScopedList)| {
        if list.instances.iter().any(|instance| instance.name.as_deref().unwrap_or_default().is_empty()) {
            return Some(format!("{scope}: a VM has no name"));
        }
        let warning = list.warning.as_ref()?;
        let code = warning.code.as_ref().and_then(|code| code.name());
        told(code, warning.message.as_deref()).map(|why| format!("{scope}: {why}"))
    };
    page.items.iter().filter_map(of_scope).min()
}

/// What a warning says, unless that is only that there is nothing.
fn told(code: Option<&str>, message: Option<&str>) -> Option<String> {
    const EMPTY: &str = "NO_RESULTS_ON_PAGE";
    let (code_told, message) = (code.unwrap_or("warning"), message.unwrap_or("no message"));
    let told = || format!("{code_told}: {message}");
    (code != Some(EMPTY)).then(told)
}

/// `instance.zone` is a URL that ends with the zone's name; the scope `zones/…` says the same.
fn zone_of(instance: &Instance, scope: &str) -> String {
    let url = instance.zone.as_deref().unwrap_or_default();
    match url.rsplit('/').next() {
        Some(zone) if !zone.is_empty() => zone.to_owned(),
        Some(_) | None => scope.to_owned(),
    }
}

/// What `instance.status` means for us. One that is not known yet is taken for running: nothing is deleted on the account
/// of a word.
pub(super) fn state(instance: &Instance) -> VmState {
    match instance.status.as_ref().and_then(instance::Status::name) {
        Some("TERMINATED" | "STOPPED" | "SUSPENDED") => VmState::Stopped,
        Some("STOPPING" | "SUSPENDING" | "PENDING_STOP" | "DEPROVISIONING") => VmState::Going,
        Some(_) | None => VmState::Running,
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
