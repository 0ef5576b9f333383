//! What a create needs to know: the template and the quotas, kept for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mayfly_core::policy::GcpPlacement;
use tokio::time::Instant;

use super::Gcp;
use super::classify::CallError;
use super::insert::{Template, TemplateRef};
use super::quota::{self, Reading, RegionQuotas};
use crate::provider::repeat::{repeated, until};

/// A template is read again after this: a change of it, which keeps its name, is seen that late.
const TEMPLATE_FRESH: Duration = Duration::from_secs(5 * 60);
/// A region's quotas are read again after this.
const QUOTA_FRESH: Duration = Duration::from_secs(10);
/// A failure that a repeat would not mend is not asked for again within this.
const FAILURE_FRESH: Duration = Duration::from_secs(10);
/// For each try of each call.
const LIMIT: Duration = Duration::from_secs(5);

/// The quotas of some regions; a region is missing where they could not be read.
type Regions = BTreeMap<String, (Instant, Arc<RegionQuotas>)>;

impl Gcp {
    /// Fetches what a create in this placement needs, unless it is there already: the template and the quotas of its
    /// regions, all at the same time. A failure is kept for [`Gcp::create`](Self::create) to report or to mend.
    ///
    /// To be called beside the request for the JIT config, so that the create leaves without a further round trip.
    pub async fn prepare(&self, placement: &GcpPlacement) {
        let deadline = Instant::now() + LIMIT;
        let regions = regions_of(placement, &BTreeSet::new());
        tokio::join!(
            async {
                if let Some(template) = TemplateRef::parse(&placement.instance_template) {
                    let _kept = self.template(&template, deadline).await;
                }
            },
            async {
                let _kept = self.quotas(&regions, deadline).await;
            },
        );
    }

    /// The template, kept or read.
    pub(super) async fn template(
        &self,
        template: &TemplateRef,
        deadline: Instant,
    ) -> Result<Arc<Template>, CallError> {
        let project = template.project.as_deref().unwrap_or(self.clients.project());
        let ask = async || {
            let found =
                repeated(deadline, LIMIT, |limit| self.clients.template(project, &template.name, limit));
            Ok(Arc::new(Template::read(found.await?.properties.unwrap_or_default())))
        };
        let good = |kept: &super::cache::Kept<Arc<Template>>| match &kept.answer {
            Ok(_) => kept.is_within(TEMPLATE_FRESH),
            Err(error) => !error.passes() && kept.is_within(FAILURE_FRESH),
        };
        let key = template.url();
        let kept = self.templates.get(&key, good, ask);
        // The wait for others who ask for the same is bounded too.
        match tokio::time::timeout(until(deadline, Duration::MAX), kept).await {
            Ok(kept) => kept.answer,
            Err(_) => Err(CallError::timed_out(LIMIT)),
        }
    }

    /// The template has changed under us or is gone.
    pub(super) fn forget_template(&self, template: &TemplateRef) {
        self.templates.forget(&template.url());
    }

    /// The quotas of `regions`, kept or read, all at the same time.
    fn quotas<'a>(
        &'a self,
        regions: &'a [String],
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Regions> + Send + 'a>> {
        Box::pin(async move {
            let Some((region, others)) = regions.split_first() else { return Regions::new() };
            let ask = async || {
                let found = self.clients.region(region, until(deadline, LIMIT)).await;
                found.map(|found| Arc::new(quota::read(found)))
            };
            let kept = self.regions.get(region, |kept| kept.is_within(QUOTA_FRESH), ask);
            let kept = tokio::time::timeout(until(deadline, LIMIT), kept);
            let (kept, mut found) = tokio::join!(kept, self.quotas(others, deadline));
            match kept.map(|kept| (kept.asked_at, kept.answer)) {
                Ok((asked_at, Ok(quotas))) => {
                    found.insert(region.clone(), (asked_at, quotas));
                }
                Ok((_, Err(error))) => {
                    tracing::warn!(region, why = error.why, "quota not known: zones keep their order");
                }
                Err(_) => {
                    tracing::warn!(region, why = "no answer", "quota not known: zones keep their order")
                }
            }
            found
        })
    }

    /// What is known of one metric in the regions of the placement's zones, without those cooling down.
    pub(super) async fn readings(
        &self,
        placement: &GcpPlacement,
        cooling: &BTreeSet<String>,
        metric: &str,
        deadline: Instant,
    ) -> BTreeMap<String, Reading> {
        let found = self.quotas(&regions_of(placement, cooling), deadline).await;
        let reading = |(region, (asked_at, quotas)): (String, (Instant, Arc<RegionQuotas>))| {
            let (limit, usage) = *quotas.get(metric)?;
            Some((region, Reading { asked_at, limit, usage }))
        };
        found.into_iter().filter_map(reading).collect()
    }
}

/// The regions whose quota decides, each once; none when the placement's accelerator has no quota that we know.
fn regions_of(placement: &GcpPlacement, cooling: &BTreeSet<String>) -> Vec<String> {
    let counted =
        placement.gpu_type.as_deref().is_some_and(|kind| quota::metric(kind, placement.spot).is_some());
    let zones = placement.zones.iter().filter(|zone| counted && !cooling.contains(zone.as_str()));
    let regions: BTreeSet<String> = zones.map(|zone| zone.region().to_owned()).collect();
    regions.into_iter().collect()
}
