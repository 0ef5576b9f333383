//! The library's stubs: what its transport does with a call, with a [`Wire`] in the socket's place.

use std::fmt;
use std::sync::Arc;

use google_cloud_compute_v1::model::{
    Instance, InstanceAggregatedList, InstanceTemplate, Operation, Region, instance_templates, instances,
    regions, zone_operations,
};
use google_cloud_compute_v1::stub::{InstanceTemplates, Instances, Regions, ZoneOperations};
use google_cloud_gax::error::Error;
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::Response as Answer;
use serde::de::DeserializeOwned;
use serde_json::json;
use simulator::Method::{Delete, Get, Post};

use crate::call::Call;
use crate::{Wire, answer};

/// All clients' calls, put on one wire.
///
/// Options are not looked at: retries are off, as with the policy `NeverRetry`, and so are the library's time-outs.
pub(crate) struct Stub {
    wire: Arc<dyn Wire>,
    authorization: String,
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").field("wire", &self.wire).finish_non_exhaustive()
    }
}

impl Stub {
    pub fn new(wire: Arc<dyn Wire>, token: &str) -> Self {
        Self { wire, authorization: format!("Bearer {token}") }
    }

    async fn send<T: DeserializeOwned + Default>(&self, call: Call) -> Result<Answer<T>, Error> {
        let request = call.finish(&self.authorization)?;
        answer::read(self.wire.send(request).await)
    }
}

impl Instances for Stub {
    async fn insert(
        &self,
        req: instances::InsertRequest,
        _options: RequestOptions,
    ) -> Result<Answer<Operation>, Error> {
        let call = Call::new(Post, &req.project)
            .at("zones", "zone", &req.zone)
            .then("instances")
            .query("requestId", req.request_id)
            .query("sourceInstanceTemplate", req.source_instance_template)
            .query("sourceMachineImage", req.source_machine_image)
            .body(&req.body.unwrap_or_default())?;
        self.send(call).await
    }

    async fn get(
        &self,
        req: instances::GetRequest,
        _options: RequestOptions,
    ) -> Result<Answer<Instance>, Error> {
        let call = Call::new(Get, &req.project).at("zones", "zone", &req.zone).at(
            "instances",
            "instance",
            &req.instance,
        );
        self.send(call).await
    }

    async fn delete(
        &self,
        req: instances::DeleteRequest,
        _options: RequestOptions,
    ) -> Result<Answer<Operation>, Error> {
        let call = Call::new(Delete, &req.project)
            .at("zones", "zone", &req.zone)
            .at("instances", "instance", &req.instance)
            .query("noGracefulShutdown", req.no_graceful_shutdown.map(|value| value.to_string()))
            .query("requestId", req.request_id);
        self.send(call).await
    }

    async fn aggregated_list(
        &self,
        req: instances::AggregatedListRequest,
        _options: RequestOptions,
    ) -> Result<Answer<InstanceAggregatedList>, Error> {
        let call = Call::new(Get, &req.project)
            .then("aggregated/instances")
            .query("filter", req.filter)
            .query("includeAllScopes", req.include_all_scopes.map(|value| value.to_string()))
            .query("maxResults", req.max_results.map(|value| value.to_string()))
            .query("orderBy", req.order_by)
            .query("pageToken", req.page_token)
            .query("serviceProjectNumber", req.service_project_number.map(|value| value.to_string()));
        self.send(call).await
    }
}

impl ZoneOperations for Stub {
    async fn get(
        &self,
        req: zone_operations::GetRequest,
        _options: RequestOptions,
    ) -> Result<Answer<Operation>, Error> {
        let call = Call::new(Get, &req.project).at("zones", "zone", &req.zone).at(
            "operations",
            "operation",
            &req.operation,
        );
        self.send(call).await
    }

    async fn wait(
        &self,
        req: zone_operations::WaitRequest,
        _options: RequestOptions,
    ) -> Result<Answer<Operation>, Error> {
        let call = Call::new(Post, &req.project)
            .at("zones", "zone", &req.zone)
            .at("operations", "operation", &req.operation)
            .then("wait")
            // A POST that has no body sends an empty object.
            .body(&json!({}))?;
        self.send(call).await
    }
}

impl Regions for Stub {
    async fn get(&self, req: regions::GetRequest, _options: RequestOptions) -> Result<Answer<Region>, Error> {
        let call = Call::new(Get, &req.project).at("regions", "region", &req.region);
        self.send(call).await
    }
}

impl InstanceTemplates for Stub {
    async fn get(
        &self,
        req: instance_templates::GetRequest,
        _options: RequestOptions,
    ) -> Result<Answer<InstanceTemplate>, Error> {
        let call = Call::new(Get, &req.project).at(
            "global/instanceTemplates",
            "instance_template",
            &req.instance_template,
        );
        self.send(call).await
    }
}
