//! A served world with the official clients on real HTTP, and a copy of it with the clients on a wire.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use google_cloud_auth::credentials::service_account;
use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_compute_v1::client::{InstanceTemplates, Instances, Regions, ZoneOperations};
use google_cloud_gax::retry_policy::NeverRetry;
use http::{Extensions, HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;
use simulator::{Reply, Request, Response, ServeOptions, Settings, Simulator, Timing, World};
use simulator_compute::{Clients, NoAnswer, Sent, Wire};

use crate::calls::{ALL, About, Call};
use crate::facts::{Outcome, mask};

/// Realistic times without chance in them.
pub fn settings() -> Settings {
    Settings { timing: Timing { jitter: 0.0, ..Timing::realistic() }, ..Settings::default() }
}

/// A wire into a world, where nobody waits: time jumps to when the answer comes.
pub struct Driven {
    world: Mutex<(World, Timestamp)>,
    /// The calls that it took.
    pub calls: Mutex<Vec<Request>>,
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driven")
    }
}

impl Driven {
    fn answer(&self, request: &Request) -> Result<Response, NoAnswer> {
        let mut lock = self.world.lock().unwrap();
        let (world, now) = &mut *lock;
        let mut reply = world.handle(*now, request);
        loop {
            match reply {
                Reply::Answer { response, delay } => {
                    *now += delay;
                    return Ok(response);
                }
                Reply::Blocked { until, ticket } => {
                    *now = until;
                    reply = world.resume(until, ticket);
                }
                Reply::Closed => return Err(NoAnswer::Closed),
                Reply::Hangs => panic!("nobody here waits for ever"),
            }
        }
    }
}

impl Wire for Driven {
    fn send(&self, request: Request) -> Sent {
        let answer = self.answer(&request);
        self.calls.lock().unwrap().push(request);
        Box::pin(async { answer })
    }
}

/// Both sides of the contract.
pub struct Both {
    served: Simulator,
    official: Clients,
    pub driven: Arc<Driven>,
    stubbed: Clients,
}

impl Both {
    /// Two equal worlds in which hardly any time passes by itself.
    pub async fn start(settings: Settings) -> Self {
        Self::served(settings, ServeOptions { speed: 0.001, ..ServeOptions::default() }).await
    }

    /// Two equal worlds, one of them served so.
    pub async fn served(settings: Settings, options: ServeOptions) -> Self {
        let served = Simulator::start(settings, options).await.unwrap();
        let (world, now) = served.with(|world, now| (world.clone(), now));
        let token = world.access.gcp_token.clone();
        let key = serde_json::from_str(&served.service_account_json()).unwrap();
        let credentials = service_account::Builder::new(key).build().unwrap();
        let official = official(&served.gcp_url(), credentials).await;
        let driven = Arc::new(Driven { world: Mutex::new((world, now)), calls: Mutex::default() });
        let stubbed = Clients::over(driven.clone(), &token);
        Self { served, official, driven, stubbed }
    }

    /// Both sides call with this access token from now on.
    pub async fn with_token(mut self, token: &str) -> Self {
        self.official = official(&self.served.gcp_url(), Token(token.to_owned()).into()).await;
        self.stubbed = Clients::over(self.driven.clone(), token);
        self
    }

    /// Changes both worlds.
    pub fn change(&self, mut change: impl FnMut(&mut World, Timestamp)) {
        self.served.with(&mut change);
        let (world, now) = &mut *self.driven.world.lock().unwrap();
        change(world, *now);
    }

    /// What is due within this time happens now, in both worlds.
    pub fn pass(&self, duration: Duration) {
        self.change(|world, now| world.advance(now + duration));
    }

    /// Makes a call on both sides, and demands that both are told the same.
    pub async fn same(&self, call: Call, about: &About) -> Outcome {
        self.told(call, about).await.0
    }

    /// The same for a call that starts an operation: what both are told, about that operation.
    pub async fn operation(&self, call: Call, about: &About) -> About {
        let (outcome, operation) = self.told(call, about).await;
        assert_eq!(outcome.model()["kind"], "compute#operation");
        About { operation, ..about.clone() }
    }

    async fn told(&self, call: Call, about: &About) -> (Outcome, [String; 2]) {
        let official = call.make(&self.official, about, 0).await;
        let stubbed = call.make(&self.stubbed, about, 1).await;
        let (wanted, got) = (Outcome::of(&official), Outcome::of(&stubbed));
        assert_eq!(got, wanted, "{call:?} {about:?}: the stub (left), the transport (right)");
        let name = |model: Result<Value, _>| match model {
            Ok(model) => model["name"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::new(),
        };
        (got, [name(official), name(stubbed)])
    }

    /// Demands that both worlds have seen the same, and have become the same.
    pub fn finish(self) {
        let seen = |world: &World| {
            let calls: Vec<u64> = ALL.iter().map(|call| world.calls_of(call.endpoint())).collect();
            let vms = world.vms().into_iter().map(|vm| (vm.id, vm.zone, vm.name, vm.status, vm.labels));
            let violations = world.violations().iter().map(|each| mask(&format!("{:?}", each.kind)));
            (calls, vms.collect::<Vec<_>>(), violations.collect::<Vec<_>>())
        };
        let served = self.served.with(|world, _| seen(world));
        let (world, _) = &*self.driven.world.lock().unwrap();
        assert_eq!(seen(world), served);
    }
}

/// The official clients as Mayfly builds them.
pub async fn official(url: &str, credentials: Credentials) -> Clients {
    macro_rules! client {
        ($kind:ident) => {{
            let builder = $kind::builder().with_endpoint(url).with_credentials(credentials.clone());
            builder.with_retry_policy(NeverRetry).build().await.unwrap()
        }};
    }
    Clients {
        instances: client!(Instances),
        operations: client!(ZoneOperations),
        regions: client!(Regions),
        templates: client!(InstanceTemplates),
    }
}

/// Credentials that are one access token.
#[derive(Debug)]
pub struct Token(pub String);

impl CredentialsProvider for Token {
    async fn headers(
        &self,
        _extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let value = HeaderValue::try_from(format!("Bearer {}", self.0)).unwrap();
        let data = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
