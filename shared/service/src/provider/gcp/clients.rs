//! Google's clients, built when they are first needed, and one method for each call that is made.
//!
//! The library's own retries are off: what may be repeated, and when, is decided by the callers, which know what a
//! repeat means.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use google_cloud_auth::credentials::{Builder, Credentials, service_account};
use google_cloud_compute_v1::client::{InstanceTemplates, Instances, Projects, Regions, ZoneOperations};
use google_cloud_compute_v1::model::{
    Instance, InstanceAggregatedList, InstanceTemplate, Operation, Project, Region, TestPermissionsRequest,
};
use google_cloud_gax::retry_policy::NeverRetry;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::GcpSettings;
use super::classify::{CallError, Kind};
use crate::secret::Secret;
use crate::tally::{Counts, Tally};

/// The most results of one page (`maxResults` of all list calls).
const PAGE_SIZE: u32 = 500;

/// Where the credentials come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GcpCredentials {
    /// Application Default Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's own file, or the metadata server.
    #[default]
    Default,
    /// A service account's key: what its key file holds (JSON).
    ServiceAccount(Secret),
}

/// An insert, ready to be sent, and to be sent again. It carries the JIT config and so cannot be printed.
pub(super) struct Insert<'a> {
    /// The zone.
    pub zone: &'a str,
    /// `sourceInstanceTemplate`.
    pub template: &'a str,
    /// What overrides the template.
    pub body: &'a Instance,
    /// `requestId`.
    pub request_id: &'a str,
}

/// The clients of one project.
pub(super) struct Clients {
    settings: GcpSettings,
    credentials: OnceCell<Credentials>,
    instances: OnceCell<Instances>,
    operations: OnceCell<ZoneOperations>,
    regions: OnceCell<Regions>,
    templates: OnceCell<InstanceTemplates>,
    projects: OnceCell<Projects>,
    calls: Counted,
}

/// How many calls were made, and how they were answered.
#[derive(Debug, Default)]
struct Counted {
    made: AtomicU64,
    answers: Tally,
}

macro_rules! client {
    ($name:ident, $kind:ident) => {
        async fn $name(&self) -> Result<&$kind, CallError> {
            let build = || async {
                let mut builder = $kind::builder()
                    .with_credentials(self.credentials().await?.clone())
                    .with_retry_policy(NeverRetry);
                if let Some(endpoint) = &self.settings.endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                builder.build().await.map_err(|error| unusable(&error.to_string()))
            };
            self.$name.get_or_try_init(build).await
        }
    };
}

impl Clients {
    /// Nothing is built or read yet.
    pub fn new(settings: GcpSettings) -> Self {
        Self {
            settings,
            credentials: OnceCell::new(),
            instances: OnceCell::new(),
            operations: OnceCell::new(),
            regions: OnceCell::new(),
            templates: OnceCell::new(),
            projects: OnceCell::new(),
            calls: Counted::default(),
        }
    }

    /// With clients that a simulation answers.
    #[cfg(feature = "simulation")]
    pub fn in_process(settings: GcpSettings, compute: crate::simulation::Compute) -> Self {
        Self {
            instances: OnceCell::new_with(Some(compute.instances)),
            operations: OnceCell::new_with(Some(compute.operations)),
            regions: OnceCell::new_with(Some(compute.regions)),
            templates: OnceCell::new_with(Some(compute.templates)),
            ..Self::new(settings)
        }
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.calls.made.load(Ordering::Relaxed)
    }

    /// How calls were answered so far.
    pub fn answers(&self) -> Counts {
        self.calls.answers.counts()
    }

    /// The project all calls are for.
    pub fn project(&self) -> &str {
        &self.settings.project
    }

    client!(instances, Instances);
    client!(operations, ZoneOperations);
    client!(regions, Regions);
    client!(templates, InstanceTemplates);
    client!(projects, Projects);

    async fn credentials(&self) -> Result<&Credentials, CallError> {
        let build = || async {
            let built = match &self.settings.credentials {
                GcpCredentials::Default => Builder::default().build(),
                GcpCredentials::ServiceAccount(key) => {
                    // The parser's own message could quote the key.
                    let key = serde_json::from_str(key.expose());
                    let key = key.map_err(|_| unusable("the service account's key is not JSON"))?;
                    service_account::Builder::new(key).build()
                }
            };
            built.map_err(|error| unusable(&error.to_string()))
        };
        self.credentials.get_or_try_init(build).await
    }

    /// `instances.insert`.
    pub async fn insert(&self, insert: &Insert<'_>, limit: Duration) -> Result<Operation, CallError> {
        let call = self
            .instances()
            .await?
            .insert()
            .set_project(self.project())
            .set_zone(insert.zone)
            .set_source_instance_template(insert.template)
            .set_request_id(insert.request_id)
            .set_body(insert.body.clone());
        timed(&self.calls, "instances.insert", insert.zone, limit, call.send()).await
    }

    /// `instances.get`; `None` when there is no such instance.
    pub async fn instance(
        &self,
        zone: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Option<Instance>, CallError> {
        let call =
            self.instances().await?.get().set_project(self.project()).set_zone(zone).set_instance(name);
        let found = timed(&self.calls, "instances.get", zone, limit, call.send()).await;
        match found {
            Ok(instance) => Ok(Some(instance)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `instances.delete`.
    pub async fn delete(&self, zone: &str, name: &str, limit: Duration) -> Result<Operation, CallError> {
        let call =
            self.instances().await?.delete().set_project(self.project()).set_zone(zone).set_instance(name);
        timed(&self.calls, "instances.delete", zone, limit, call.send()).await
    }

    /// One page of `instances.aggregatedList`; `token` is the `nextPageToken` of the page before.
    pub async fn instances_page(
        &self,
        filter: &str,
        token: Option<&str>,
        limit: Duration,
    ) -> Result<InstanceAggregatedList, CallError> {
        let call = self
            .instances()
            .await?
            .aggregated_list()
            .set_project(self.project())
            .set_filter(filter)
            .set_max_results(PAGE_SIZE)
            .set_or_clear_page_token(token);
        timed(&self.calls, "instances.aggregatedList", "", limit, call.send()).await
    }

    /// `zoneOperations.wait`: answers when the operation is done, or after at most two minutes, done or not.
    pub async fn wait(&self, zone: &str, operation: &str, limit: Duration) -> Result<Operation, CallError> {
        let call = self
            .operations()
            .await?
            .wait()
            .set_project(self.project())
            .set_zone(zone)
            .set_operation(operation);
        timed(&self.calls, "zoneOperations.wait", zone, limit, call.send()).await
    }

    /// `zoneOperations.get`.
    pub async fn operation(
        &self,
        zone: &str,
        operation: &str,
        limit: Duration,
    ) -> Result<Operation, CallError> {
        let call = self
            .operations()
            .await?
            .get()
            .set_project(self.project())
            .set_zone(zone)
            .set_operation(operation);
        timed(&self.calls, "zoneOperations.get", zone, limit, call.send()).await
    }

    /// `regions.get`.
    pub async fn region(&self, region: &str, limit: Duration) -> Result<Region, CallError> {
        let call = self.regions().await?.get().set_project(self.project()).set_region(region);
        timed(&self.calls, "regions.get", region, limit, call.send()).await
    }

    /// `instanceTemplates.get`.
    pub async fn template(
        &self,
        project: &str,
        name: &str,
        limit: Duration,
    ) -> Result<InstanceTemplate, CallError> {
        let call = self.templates().await?.get().set_project(project).set_instance_template(name);
        timed(&self.calls, "instanceTemplates.get", name, limit, call.send()).await
    }

    /// `projects.get`.
    pub async fn project_seen(&self, limit: Duration) -> Result<Project, CallError> {
        let call = self.projects().await?.get().set_project(self.project());
        timed(&self.calls, "projects.get", self.project(), limit, call.send()).await
    }

    /// `instances.testIamPermissions`: which of these the caller has on an instance.
    pub async fn allowed(
        &self,
        zone: &str,
        name: &str,
        permissions: &[&str],
        limit: Duration,
    ) -> Result<Vec<String>, CallError> {
        let body = TestPermissionsRequest::new().set_permissions(permissions.iter().copied());
        let call = self
            .instances()
            .await?
            .test_iam_permissions()
            .set_project(self.project())
            .set_zone(zone)
            .set_resource(name)
            .set_body(body);
        timed(&self.calls, "instances.testIamPermissions", zone, limit, call.send())
            .await
            .map(|answer| answer.permissions)
    }
}

fn unusable(why: &str) -> CallError {
    CallError { kind: Kind::Unsendable, why: format!("no usable credentials: {why}") }
}

/// Sends one call. The limit covers the access token too, which the library's own time-out does not; and it is looked at
/// first, so that a process which was frozen for longer does not send what others have given up waiting for.
async fn timed<T>(
    count: &Counted,
    call: &'static str,
    what: &str,
    limit: Duration,
    sent: impl Future<Output = Result<T, google_cloud_gax::error::Error>>,
) -> Result<T, CallError> {
    if limit.is_zero() {
        return Err(CallError::no_time());
    }
    count.made.fetch_add(1, Ordering::Relaxed);
    let started = Instant::now();
    let result = tokio::select! {
        biased;
        () = tokio::time::sleep(limit) => Err(CallError::timed_out(limit)),
        result = sent => result.map_err(|error| CallError::read(&error)),
    };
    count.answers.answered(result.as_ref().map_or_else(CallError::status, |_| Some(200)));
    let outcome = match &result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.status().map_or("no answer".to_owned(), |status| status.to_string()),
    };
    tracing::debug!(call, what, outcome, took_ms = started.elapsed().as_millis(), "called Compute Engine");
    result
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[tokio::test]
    async fn what_was_frozen_for_longer_than_its_limit_is_not_sent() {
        let (count, is_sent) = (Counted::default(), AtomicBool::new(false));
        let sent = async {
            // The way to the first byte.
            tokio::time::sleep(Duration::from_millis(40)).await;
            is_sent.store(true, Ordering::Relaxed);
            Ok(())
        };
        let freeze = async {
            tokio::task::yield_now().await;
            // As Lambda does: nothing runs, and then all timers are due at once.
            std::thread::sleep(Duration::from_millis(120));
        };
        let (told, ()) = tokio::join!(timed(&count, "call", "it", Duration::from_millis(80), sent), freeze);
        assert_eq!(told.unwrap_err().kind, Kind::Lost { timed_out: true });
        assert!(!is_sent.load(Ordering::Relaxed));
    }
}
