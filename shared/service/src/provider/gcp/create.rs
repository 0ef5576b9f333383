//! Making a VM: the first zone that takes it.

use std::collections::BTreeSet;
use std::time::Duration;

use google_cloud_compute_v1::model::{Instance, Operation};
use mayfly_core::ids::Zone;
use mayfly_core::metrics::Reason;
use mayfly_core::policy::GcpPlacement;
use mayfly_core::slot::VmPlace;
use mayfly_core::sweep::VmState;
use tokio::time::Instant;
use tracing::field::display;

use super::Gcp;
use super::classify::{CallError, Kind, Verdict, of_insert, of_operation, without};
use super::clients::Insert;
use super::delete::is_done;
use super::insert::{self, Template, TemplateRef};
use super::list::state;
use super::quota::{self, Demand, Reservation};
use crate::provider::repeat::{backoff, repeated, until};
use crate::provider::{CreateError, Created, PassedOver, VmOrder};

/// For each try of an insert.
const INSERT_LIMIT: Duration = Duration::from_secs(10);
/// For each look at an instance or operation.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// `zoneOperations.wait` answers within two minutes.
const WAIT_LIMIT: Duration = Duration::from_secs(130);
/// Tries of one insert in one zone.
const TRIES_MAX: u32 = 3;
/// Waits for one operation: the server may answer one "after zero seconds".
const WAITS_MAX: u32 = 3;

/// One create.
struct Attempt<'a> {
    order: &'a VmOrder<'a>,
    template: String,
    body: Instance,
    /// Tells this create's requests from another's of the same name.
    id: u64,
}

/// The zones to try, and what is known of the others.
struct Zones<'a> {
    order: Vec<Zone>,
    first: Option<Reservation<'a>>,
    demand: Option<Demand>,
    passed_over: Vec<PassedOver>,
}

/// How a zone took an insert.
enum Inserted {
    Accepted(Box<Operation>),
    /// It was made by an earlier request whose reply was lost.
    Found,
    Not(Passed),
}

/// Why a zone was passed over.
struct Passed {
    why: String,
    reason: Reason,
    /// No other zone will do either.
    everywhere: bool,
}

impl Gcp {
    /// Makes a VM in the first zone that takes it, in the order of [`mayfly_core::zones::order`].
    ///
    /// `cooling` are zones that were full a while ago: they are left out. `placed` records where the VM is, and says whether
    /// that was done: as soon as an insert was accepted, beside the wait for its operation. Where that failed, or another
    /// placement was tried before, it is recorded before the next insert, and there is none without: a VM that is not where
    /// its slot says would be taken for gone. The VM's name is in no two zones by our doing: the next zone is asked only
    /// when this one has said no.
    pub async fn create<Recorded: Future<Output = bool> + Send>(
        &self,
        placement: &GcpPlacement,
        order: &VmOrder<'_>,
        cooling: &BTreeSet<String>,
        placed: impl Fn(VmPlace) -> Recorded,
    ) -> Result<Created, CreateError> {
        let reference = TemplateRef::parse(&placement.instance_template).ok_or_else(|| {
            CreateError::Refused(format!(
                "`{}` is no global instance template: give its name",
                placement.instance_template
            ))
        })?;
        let template = self.template(&reference, order.deadline).await;
        let template = template.map_err(|error| self.no_template(&reference, &error))?;
        let attempt = Attempt {
            order,
            template: reference.url(),
            body: insert::body(&template, placement, order),
            id: crate::random::bits(),
        };
        let zones = self.zones(placement, &template, cooling, order).await;
        let result = self.try_zones(&attempt, zones, &placed).await;
        if let Err(CreateError::Refused(_)) = &result {
            // Perhaps the template was replaced; the next create reads it again.
            self.forget_template(&reference);
        }
        result
    }

    async fn zones(
        &self,
        placement: &GcpPlacement,
        template: &Template,
        cooling: &BTreeSet<String>,
        order: &VmOrder<'_>,
    ) -> Zones<'_> {
        let (cooling, usable): (Vec<Zone>, Vec<Zone>) =
            placement.zones.iter().cloned().partition(|zone| cooling.contains(zone.as_str()));
        let mut passed_over: Vec<PassedOver> = cooling
            .iter()
            .map(|zone| PassedOver {
                place: zone.to_string(),
                why: "cooling down".to_owned(),
                full: false,
                reason: Reason::Cooling,
            })
            .collect();
        let spot = placement.spot || template.is_spot();
        let demand = placement.gpu_type.as_deref().and_then(|gpu_type| {
            let metric = quota::metric(gpu_type, spot)?;
            Some(Demand { metric, gpus: template.accelerators(gpu_type) })
        });
        let Some(demand) = demand else {
            return Zones { order: usable, first: None, demand: None, passed_over };
        };
        let cooling = cooling.iter().map(Zone::to_string).collect();
        let readings = self.readings(placement, &cooling, &demand.metric, order.deadline).await;
        let (zones, first) = self.ledger.choose(&usable, &readings, &demand);
        for zone in usable.iter().filter(|zone| !zones.contains(zone)) {
            let Some(reading) = readings.get(zone.region()) else { continue };
            let why = format!(
                "{} in {}: {} of {} used, {} needed",
                demand.metric,
                zone.region(),
                // Plus zero: a usage of none has been seen as -0.
                reading.usage + 0.0,
                reading.limit,
                demand.gpus
            );
            let (pool, job, runner) = (order.pool.as_str(), order.job.map(display), order.name.as_str());
            tracing::info!(pool, job, runner, zone = zone.as_str(), why, "zone passed over: no free quota");
            // Not marked full: the next look at the quota tells, sooner than any cool-down ends.
            let reason = Reason::Quota;
            passed_over.push(PassedOver { place: zone.to_string(), why, full: false, reason });
        }
        Zones { order: zones, first, demand: Some(demand), passed_over }
    }

    async fn try_zones<Recorded: Future<Output = bool> + Send>(
        &self,
        attempt: &Attempt<'_>,
        zones: Zones<'_>,
        placed: &impl Fn(VmPlace) -> Recorded,
    ) -> Result<Created, CreateError> {
        let Zones { order, mut first, demand, mut passed_over } = zones;
        let mut unfit = 0;
        let mut elsewhere = false;
        let mut nowhere: Option<String> = None;
        for zone in &order {
            let place = zone.to_string();
            if let Some(why) = &nowhere {
                let (why, reason) = (why.clone(), Reason::Quota);
                passed_over.push(PassedOver { place, why, full: true, reason });
                continue;
            }
            let reservation = first.take().or_else(|| Some(self.ledger.reserve(zone, demand.as_ref()?)));
            let Some(passed) = self.try_zone(attempt, zone, reservation, (placed, &mut elsewhere)).await?
            else {
                let place = VmPlace { provider: self.provider.clone(), at: place };
                return Ok(Created { place, passed_over });
            };
            let Passed { why, reason, everywhere } = passed;
            let full = reason != Reason::Unfit;
            let VmOrder { name, pool, job, .. } = attempt.order;
            tracing::info!(%pool, job = job.map(display), runner = %name, zone = place, why, full, "zone passed over");
            unfit += usize::from(!full);
            nowhere = everywhere.then(|| why.clone());
            passed_over.push(PassedOver { place, why, full, reason });
        }
        if unfit > 0 && unfit == passed_over.len() {
            let lines: Vec<&str> = passed_over.iter().map(|passed| passed.why.as_str()).collect();
            return Err(CreateError::Refused(format!(
                "no zone has what the template asks for: {}",
                lines.join("; ")
            )));
        }
        Err(CreateError::Full(passed_over))
    }

    /// `None` when the zone took the VM, or may still do so.
    async fn try_zone<Recorded: Future<Output = bool> + Send>(
        &self,
        attempt: &Attempt<'_>,
        zone: &Zone,
        mut reservation: Option<Reservation<'_>>,
        (placed, elsewhere): (&impl Fn(VmPlace) -> Recorded, &mut bool),
    ) -> Result<Option<Passed>, CreateError> {
        let place = VmPlace { provider: self.provider.clone(), at: zone.to_string() };
        let is_recorded = *elsewhere;
        if is_recorded && !placed(place.clone()).await {
            let why = "its slot could not be told that it is to be here, so it was not asked for".to_owned();
            return Err(CreateError::Ambiguous { place: zone.to_string(), why });
        }
        let inserted = self.insert(attempt, zone.as_str()).await?;
        let operation = match inserted {
            Inserted::Not(passed) => return Ok(Some(passed)),
            Inserted::Accepted(operation) => Some(operation),
            Inserted::Found => None,
        };
        if let Some(reservation) = &mut reservation {
            reservation.accepted();
        }
        *elsewhere = true;
        let record = async {
            // Where it fails, the slot has no place yet, and a sweep looks for the VM by its name.
            if !is_recorded {
                placed(place).await;
            }
        };
        let Some(operation) = operation else {
            record.await;
            return Ok(None);
        };
        let outcome = self.outcome(zone.as_str(), *operation, attempt.order.deadline);
        let ((), verdict) = tokio::join!(record, outcome);
        let Some(verdict) = verdict else { return Ok(None) };
        if verdict == Verdict::Exists {
            // Of two requests for the same VM the other one won.
            return Ok(None);
        }
        if let Some(reservation) = reservation {
            reservation.failed();
        }
        match verdict {
            Verdict::Full { why, everywhere, quota } => {
                Ok(Some(Passed::full(attempt.clean(&why), everywhere, quota)))
            }
            Verdict::NotHere(why) => Ok(Some(Passed::unfit(attempt.clean(&why)))),
            Verdict::Refused(why) => Err(CreateError::Refused(attempt.clean(&why))),
            Verdict::Later { why, .. } | Verdict::Uncertain { why, .. } => {
                Err(CreateError::Unavailable(attempt.clean(&why)))
            }
            Verdict::Exists => Ok(None),
        }
    }

    /// Sends the insert until it is known what became of it. Each repeat has the same `requestId`, and comes only after
    /// a look that did not find the VM.
    async fn insert(&self, attempt: &Attempt<'_>, zone: &str) -> Result<Inserted, CreateError> {
        let deadline = attempt.order.deadline;
        let request_id = insert::request_id(attempt.order.name.as_str(), zone, attempt.id);
        let insert =
            Insert { zone, template: &attempt.template, body: &attempt.body, request_id: &request_id };
        let mut tries = 0;
        let mut uncertain = 0;
        let mut at_work: Option<String> = None;
        loop {
            tries += 1;
            let error = match self.clients.insert(&insert, until(deadline, INSERT_LIMIT)).await {
                Ok(operation) => return Ok(Inserted::Accepted(Box::new(operation))),
                Err(error) => error,
            };
            let (why, asked) = match of_insert(&error, zone) {
                Verdict::Full { why, everywhere, quota } => {
                    return Ok(Inserted::Not(Passed::full(attempt.clean(&why), everywhere, quota)));
                }
                Verdict::NotHere(why) => return Ok(Inserted::Not(Passed::unfit(attempt.clean(&why)))),
                Verdict::Refused(why) => return Err(self.refused(&error, &attempt.clean(&why))),
                Verdict::Later { why, retry_after } => (attempt.clean(&why), retry_after),
                Verdict::Exists => {
                    if self.look(attempt, zone, "an instance of that name exists").await? {
                        return Ok(Inserted::Found);
                    }
                    ("an instance of that name was there and is gone".to_owned(), None)
                }
                Verdict::Uncertain { why, timed_out } => {
                    let why = attempt.clean(&why);
                    if self.look(attempt, zone, &why).await? {
                        return Ok(Inserted::Found);
                    }
                    uncertain += 1;
                    at_work = timed_out.then(|| why.clone()).or(at_work);
                    (why, None)
                }
            };
            let pause = backoff(tries, asked, deadline).filter(|_| tries < TRIES_MAX && uncertain < 2);
            let Some(pause) = pause else {
                return Err(match at_work {
                    Some(why) => CreateError::Ambiguous { place: zone.to_owned(), why },
                    None => CreateError::Unavailable(why),
                });
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the VM is there. `why` is why nobody knows, for the case that this look does not tell either.
    async fn look(&self, attempt: &Attempt<'_>, zone: &str, why: &str) -> Result<bool, CreateError> {
        let name = attempt.order.name.as_str();
        let found =
            repeated(attempt.order.deadline, LOOK_LIMIT, |limit| self.clients.instance(zone, name, limit));
        match found.await {
            Ok(None) => Ok(false),
            Ok(Some(instance)) => match state(&instance) {
                VmState::Running => Ok(true),
                // Somebody deletes it. Until it is gone it takes the slot: no other may be made elsewhere, and no job may
                // get the slot.
                VmState::Stopped | VmState::Going => Err(CreateError::Ambiguous {
                    place: zone.to_owned(),
                    why: "a VM of that name is on its way out".to_owned(),
                }),
            },
            Err(error) => Err(CreateError::Ambiguous {
                place: zone.to_owned(),
                why: format!("{why}; and it could not be looked for: {}", error.why),
            }),
        }
    }

    /// How an accepted insert ended; `None` when it made the VM, or when that is not known in time: then the VM is taken
    /// to be there until a sweep finds otherwise.
    async fn outcome(&self, zone: &str, operation: Operation, deadline: Instant) -> Option<Verdict> {
        let mut operation = operation;
        for wait in 1..=WAITS_MAX {
            if is_done(&operation) {
                return of_operation(&operation, zone);
            }
            let name = operation.name.clone()?;
            let started = Instant::now();
            operation = match self.clients.wait(zone, &name, until(deadline, WAIT_LIMIT)).await {
                Ok(operation) => operation,
                // A failed wait says nothing about the operation: one look, and no more.
                Err(_) => self.clients.operation(zone, &name, until(deadline, LOOK_LIMIT)).await.ok()?,
            };
            let cut_short = started.elapsed() < WAIT_LIMIT / 2;
            if !is_done(&operation) {
                let pause = backoff(wait, None, deadline).filter(|_| cut_short)?;
                tokio::time::sleep(pause).await;
            }
        }
        is_done(&operation).then(|| of_operation(&operation, zone))?
    }

    fn no_template(&self, template: &TemplateRef, error: &CallError) -> CreateError {
        let why = &error.why;
        match &error.kind {
            Kind::Answered(answer) if answer.status == 404 => CreateError::Refused(format!(
                "there is no instance template `{}` in project `{}`: {why}",
                template.name,
                template.project.as_deref().unwrap_or(self.clients.project()),
            )),
            Kind::Answered(_) if !error.passes() => {
                self.refused(error, &format!("instance template `{}`: {why}", template.name))
            }
            Kind::Unsendable => CreateError::Refused(why.clone()),
            Kind::Answered(_) | Kind::NotSent | Kind::Lost { .. } => {
                CreateError::Unavailable(format!("instance template `{}`: {why}", template.name))
            }
        }
    }

    /// Says what is to be mended, as far as the status tells.
    fn refused(&self, error: &CallError, why: &str) -> CreateError {
        let project = self.clients.project();
        CreateError::Refused(match error.status() {
            Some(401) => format!("{why} (the credentials are not, or no longer, valid)"),
            Some(403) => format!(
                "{why} (the service account needs the role Compute Instance Admin (v1), `roles/compute.instanceAdmin.v1`, in \
                 project `{project}`)"
            ),
            Some(_) | None => why.to_owned(),
        })
    }
}

impl Attempt<'_> {
    /// A text of Google's without the JIT config, which it may quote.
    fn clean(&self, text: &str) -> String {
        without(text, self.order.jit_config.expose())
    }
}

impl Passed {
    fn full(why: String, everywhere: bool, quota: bool) -> Self {
        let reason = if quota { Reason::Quota } else { Reason::Capacity };
        Self { why, reason, everywhere }
    }

    fn unfit(why: String) -> Self {
        Self { why, reason: Reason::Unfit, everywhere: false }
    }
}
