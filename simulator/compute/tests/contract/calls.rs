//! The eight calls, each in one form for any client.

use google_cloud_compute_v1::model::scheduling::{InstanceTerminationAction, OnHostMaintenance};
use google_cloud_compute_v1::model::{Duration, Instance, Metadata, Scheduling, metadata};
use google_cloud_gax::error::Error;
use serde::Serialize;
use serde_json::Value;
use simulator_compute::Clients;

use Call::{Delete, Insert, Instance as GetInstance, List, Operation, Region, Template, Wait};

/// One of the calls that Mayfly makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Insert,
    Instance,
    Delete,
    List,
    Wait,
    Operation,
    Region,
    Template,
}

/// All of them.
pub const ALL: [Call; 8] = [Insert, GetInstance, Delete, List, Wait, Operation, Region, Template];

/// What a call is about.
#[derive(Debug, Clone)]
pub struct About {
    pub project: String,
    pub zone: String,
    pub name: String,
    /// The operation's name: in the served world, and in its copy.
    pub operation: [String; 2],
    pub region: String,
    pub template: String,
    pub request_id: Option<String>,
    pub filter: Option<String>,
    pub max_results: Option<u32>,
    pub page_token: Option<String>,
    /// For the parameters that Mayfly does not set.
    pub all_parameters: bool,
}

impl About {
    /// About a VM of this name.
    pub fn vm(name: &str) -> Self {
        let none = "operation-1-none".to_owned();
        Self {
            project: "slang-runners".to_owned(),
            zone: "us-east1-c".to_owned(),
            name: name.to_owned(),
            operation: [none.clone(), none],
            region: "us-east1".to_owned(),
            template: "linux-gpu-runner".to_owned(),
            request_id: None,
            filter: None,
            max_results: None,
            page_token: None,
            all_parameters: false,
        }
    }

    /// About what is not there, whatever it is.
    pub fn nothing() -> Self {
        let (zone, region) = ("us-east1-x".to_owned(), "mars-east1".to_owned());
        Self { zone, region, template: "no-such-template".to_owned(), ..Self::vm("no-such-vm") }
    }
}

impl Call {
    /// What the simulator calls it.
    pub fn endpoint(self) -> &'static str {
        match self {
            Insert => "gcp.insert",
            GetInstance => "gcp.instance",
            Delete => "gcp.delete",
            List => "gcp.aggregated_instances",
            Wait => "gcp.wait",
            Operation => "gcp.operation",
            Region => "gcp.region",
            Template => "gcp.template",
        }
    }

    /// Makes the call, with the operation's name of this side; the model that it answers, in JSON.
    pub async fn make(self, clients: &Clients, about: &About, side: usize) -> Result<Value, Error> {
        match self {
            Insert => insert(clients, about).await,
            GetInstance => {
                let call = clients.instances.get().set_project(&about.project).set_zone(&about.zone);
                json(call.set_instance(&about.name).send().await)
            }
            Delete => {
                let call = clients.instances.delete().set_project(&about.project).set_zone(&about.zone);
                let call = call.set_instance(&about.name).set_or_clear_request_id(about.request_id.clone());
                let gracelessly = about.all_parameters.then_some(false);
                json(call.set_or_clear_no_graceful_shutdown(gracelessly).send().await)
            }
            List => list(clients, about).await,
            Wait => {
                let call = clients.operations.wait().set_project(&about.project).set_zone(&about.zone);
                json(call.set_operation(&about.operation[side]).send().await)
            }
            Operation => {
                let call = clients.operations.get().set_project(&about.project).set_zone(&about.zone);
                json(call.set_operation(&about.operation[side]).send().await)
            }
            Region => {
                let call = clients.regions.get().set_project(&about.project);
                json(call.set_region(&about.region).send().await)
            }
            Template => {
                let call = clients.templates.get().set_project(&about.project);
                json(call.set_instance_template(&about.template).send().await)
            }
        }
    }
}

async fn insert(clients: &Clients, about: &About) -> Result<Value, Error> {
    let call = clients
        .instances
        .insert()
        .set_project(&about.project)
        .set_zone(&about.zone)
        .set_source_instance_template(format!("global/instanceTemplates/{}", about.template))
        .set_or_clear_request_id(about.request_id.clone())
        .set_body(instance(&about.name));
    json(call.send().await)
}

async fn list(clients: &Clients, about: &About) -> Result<Value, Error> {
    let call = clients
        .instances
        .aggregated_list()
        .set_project(&about.project)
        .set_or_clear_filter(about.filter.clone())
        .set_or_clear_max_results(about.max_results)
        .set_or_clear_page_token(about.page_token.clone())
        .set_or_clear_include_all_scopes(about.all_parameters.then_some(true))
        .set_or_clear_order_by(about.all_parameters.then_some("name"))
        .set_or_clear_service_project_number(about.all_parameters.then_some(-7));
    json(call.send().await)
}

/// What Mayfly overrides a template with.
fn instance(name: &str) -> Instance {
    let item = |key: &str, value: &str| metadata::Items::new().set_key(key).set_value(value);
    Instance::new()
        .set_name(name)
        .set_labels([("mayfly-deployment", "prod"), ("mayfly-pool", "gpu"), ("team", "graphics")])
        .set_metadata(Metadata::new().set_items([item("jit-config", "e30="), item("umlaut", "ä\n\"")]))
        .set_scheduling(
            Scheduling::new()
                .set_on_host_maintenance(OnHostMaintenance::Terminate)
                .set_max_run_duration(Duration::new().set_seconds(7200_i64))
                .set_instance_termination_action(InstanceTerminationAction::Delete)
                .set_automatic_restart(false),
        )
}

fn json<T: Serialize>(answered: Result<T, Error>) -> Result<Value, Error> {
    answered.map(|model| serde_json::to_value(model).unwrap())
}
