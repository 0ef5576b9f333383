//! All that is outside of Mayfly, as the stage answers it.

use std::sync::{Arc, OnceLock};

use mayfly_service::simulation::{Compute, Outside};
use simulator::Api;
use simulator_compute::Clients;

use crate::ledger::Ledger;
use crate::line::Line;
use crate::stage::Stage;

/// The ways to this stage.
pub fn outside(stage: &Arc<Stage>, gcp_token: &str) -> Outside {
    let clients = Clients::over(Arc::new(Line::new(stage, Api::Gcp)), gcp_token);
    Outside {
        github: Arc::new(Line::new(stage, Api::GitHub)),
        proxmox: Arc::new(Line::new(stage, Api::Proxmox)),
        compute: Compute {
            instances: clients.instances,
            operations: clients.operations,
            regions: clients.regions,
            templates: clients.templates,
        },
        table: Arc::new(Ledger(stage.clone())),
        dynamodb: dynamodb(),
    }
}

/// A client that only writes requests; one for the process.
fn dynamodb() -> aws_sdk_dynamodb::Client {
    static CLIENT: OnceLock<aws_sdk_dynamodb::Client> = OnceLock::new();
    let make = || {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    };
    CLIENT.get_or_init(make).clone()
}
