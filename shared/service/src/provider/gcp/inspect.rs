//! What there is to see of a project, for those who check a deployment: read only, and nothing of it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::classify::{CallError, Kind, NO_TOKEN};
use super::insert::{Template, TemplateRef};
use super::{Gcp, quota};
use crate::provider::LookError;
use crate::provider::repeat::repeated;

/// For each try of each call.
const LIMIT: Duration = Duration::from_secs(10);

/// An instance template, as far as quotas are concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateSeen {
    /// `machineType`, such as `n1-standard-4`.
    pub machine_type: String,
    /// `guestAccelerators`: type and count. Machine types that bring their own GPUs list none.
    pub accelerators: Vec<(String, f64)>,
    /// Whether it asks for Spot VMs by itself.
    pub spot: bool,
}

/// How much of a quota there is, and how much of that is in use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// `limit`
    pub limit: f64,
    /// `usage`
    pub usage: f64,
}

/// A region.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionSeen {
    /// The names of its zones that this project can use.
    pub zones: BTreeSet<String>,
    /// Its quotas by metric.
    pub quotas: BTreeMap<String, Amount>,
}

/// The metric of a region's quotas that counts for an accelerator type: `nvidia-tesla-t4` → `NVIDIA_T4_GPUS`. `None` where
/// that is not known.
pub fn quota_metric(gpu_type: &str, spot: bool) -> Option<String> {
    quota::metric(gpu_type, spot)
}

impl Gcp {
    /// A template, by its name or (partial) address (`instanceTemplates.get`).
    pub async fn template_seen(&self, given: &str, deadline: Instant) -> Result<TemplateSeen, LookError> {
        let template = TemplateRef::parse(given).ok_or_else(|| {
            LookError::Missing(format!("`{given}` is no instance template's name or address"))
        })?;
        let project = template.project.as_deref().unwrap_or(self.clients.project());
        let found =
            repeated(deadline, LIMIT, |limit| self.clients.template(project, &template.name, limit)).await;
        let properties = found.map_err(|error| look_error(&error))?.properties.unwrap_or_default();
        let machine = properties.machine_type.clone().unwrap_or_default();
        let template = Template::read(properties);
        Ok(TemplateSeen {
            machine_type: machine.rsplit('/').next().unwrap_or_default().to_owned(),
            spot: template.is_spot(),
            accelerators: template.accelerators,
        })
    }

    /// A region: its zones and quotas (`regions.get`).
    pub async fn region_seen(&self, region: &str, deadline: Instant) -> Result<RegionSeen, LookError> {
        let found = repeated(deadline, LIMIT, |limit| self.clients.region(region, limit)).await;
        let found = found.map_err(|error| look_error(&error))?;
        let name = |url: &String| url.rsplit('/').next().unwrap_or_default().to_owned();
        let zones = found.zones.iter().map(name).collect();
        Ok(RegionSeen { zones, quotas: amounts(quota::read(found)) })
    }

    /// The project's own quotas, over all regions (`projects.get`). Mayfly itself has no right to this call.
    pub async fn project_quotas(&self, deadline: Instant) -> Result<BTreeMap<String, Amount>, LookError> {
        let found = repeated(deadline, LIMIT, |limit| self.clients.project_seen(limit)).await;
        found.map(|project| amounts(quota::amounts(project.quotas))).map_err(|error| look_error(&error))
    }

    /// Which of these permissions the caller has on an instance that exists (`instances.testIamPermissions`).
    pub async fn permissions_on(
        &self,
        zone: &str,
        name: &str,
        permissions: &[&str],
        deadline: Instant,
    ) -> Result<BTreeSet<String>, LookError> {
        let told =
            repeated(deadline, LIMIT, |limit| self.clients.allowed(zone, name, permissions, limit)).await;
        told.map(|all| all.into_iter().collect()).map_err(|error| look_error(&error))
    }
}

fn amounts(quotas: quota::RegionQuotas) -> BTreeMap<String, Amount> {
    quotas.into_iter().map(|(metric, (limit, usage))| (metric, Amount { limit, usage })).collect()
}

fn look_error(error: &CallError) -> LookError {
    let why = error.why.clone();
    match &error.kind {
        Kind::Unsendable => LookError::Unauthorized(why),
        Kind::Answered(answer) => match answer.status {
            401 => LookError::Unauthorized(why),
            403 => LookError::Forbidden(why),
            404 => LookError::Missing(why),
            _ => LookError::Unknown(why),
        },
        // Without any credentials Google's library looks for a metadata server, and takes its absence for a passing trouble.
        Kind::NotSent if why.starts_with(NO_TOKEN) => LookError::Unauthorized(why),
        Kind::NotSent | Kind::Lost { .. } => LookError::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_credentials_is_told_so_and_not_that_nobody_answers() {
        let error = |why: &str| look_error(&CallError { kind: Kind::NotSent, why: why.to_owned() });
        assert!(matches!(error("no access token: no metadata server"), LookError::Unauthorized(_)));
        assert!(matches!(error("connection refused"), LookError::Unknown(_)));
    }
}
