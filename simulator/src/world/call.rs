//! The way of every API call: routed, counted, struck by a fault or not, checked, and carried out.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::faults::{ENDPOINTS, Fault};
use super::history::HappeningKind;
use super::request::{Api, Body, Reply, Request, Response};
use super::shape::{Misfit, Parameter, Shape, check_query};
use super::violations::ViolationKind;
use super::{World, gcp, github, proxmox};

/// A published call that a request was recognized as.
#[derive(Debug)]
pub(crate) struct Route {
    /// The endpoint's name: for counters and faults.
    pub name: &'static str,
    query: &'static [Parameter],
    body: BodyShape,
    call: Call,
}

#[derive(Debug)]
enum BodyShape {
    None,
    Json(&'static Shape),
    /// `application/x-www-form-urlencoded`, checked by the call itself.
    Form,
    /// Query and form together, against one list of parameters.
    Fields(proxmox::shapes::Fields),
}

#[derive(Debug)]
enum Call {
    GitHub(github::routes::Call),
    Gcp(gcp::routes::Call),
    Proxmox(proxmox::routes::Call),
}

impl Route {
    pub fn github(
        name: &'static str,
        query: &'static [Parameter],
        body: Option<&'static Shape>,
        call: github::routes::Call,
    ) -> Self {
        Self { name, query, body: body.map_or(BodyShape::None, BodyShape::Json), call: Call::GitHub(call) }
    }

    pub fn gcp(
        name: &'static str,
        query: &'static [Parameter],
        body: Option<&'static Shape>,
        call: gcp::routes::Call,
    ) -> Self {
        Self { name, query, body: body.map_or(BodyShape::None, BodyShape::Json), call: Call::Gcp(call) }
    }

    pub fn gcp_form(name: &'static str, call: gcp::routes::Call) -> Self {
        Self { name, query: &[], body: BodyShape::Form, call: Call::Gcp(call) }
    }

    pub fn proxmox(name: &'static str, fields: proxmox::shapes::Fields, call: proxmox::routes::Call) -> Self {
        Self { name, query: &[], body: BodyShape::Fields(fields), call: Call::Proxmox(call) }
    }

    fn check(&self, request: &Request) -> Result<(), Misfit> {
        if let BodyShape::Fields(fields) = &self.body {
            return fields.check(request).map_err(|wrong| wrong.text());
        }
        let common: &[Parameter] = match self.call {
            Call::GitHub(_) | Call::Proxmox(_) => &[],
            Call::Gcp(_) => gcp::routes::SYSTEM_PARAMETERS,
        };
        check_query(&[self.query, common], &request.query)?;
        match self.body {
            BodyShape::Form | BodyShape::Fields(_) => Ok(()),
            BodyShape::None if request.body.is_empty() || request.body == b"{}" => Ok(()),
            BodyShape::None => Err("this call takes no body".to_owned()),
            BodyShape::Json(shape) if request.body.is_empty() => shape.check(&json!({}), "body"),
            BodyShape::Json(shape) => {
                let body: Value =
                    serde_json::from_slice(&request.body).map_err(|_| "the body is no JSON".to_owned())?;
                shape.check(&body, "body")
            }
        }
    }
}

impl World {
    /// An API call. Everything due by `now` happens first.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Reply {
        self.advance(now);
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let route = match request.api {
            Api::GitHub => github::routes::route(request.method, &segments),
            Api::Gcp => gcp::routes::route(request.method, &segments),
            Api::Proxmox => proxmox::routes::route(request.method, &segments),
        };
        let reply = match route {
            Some(route) => self.take(now, route, request),
            None => self.unknown_call(now, request).into(),
        };
        match (request.api, reply) {
            (Api::GitHub, Reply::Answer { response, delay }) => {
                let response = self.scopes_header(request, response);
                Reply::Answer { response: self.github_headers(response), delay }
            }
            (Api::GitHub | Api::Gcp | Api::Proxmox, reply) => reply,
        }
    }

    fn unknown_call(&mut self, now: Timestamp, request: &Request) -> Response {
        let what = format!("{} {} {}", request.api.name(), request.method.name(), request.path);
        self.violate(now, ViolationKind::UnknownCall, what);
        match request.api {
            Api::GitHub | Api::Gcp => self.refuse(request.api, 404, "Not Found"),
            Api::Proxmox => {
                let path = request.path.trim_start_matches("/api2/json");
                self.refuse(
                    request.api,
                    501,
                    &format!("Method '{} {path}' not implemented", request.method.name()),
                )
            }
        }
    }

    fn take(&mut self, now: Timestamp, route: Route, request: &Request) -> Reply {
        debug_assert!(ENDPOINTS.contains(&route.name), "{} is not listed", route.name);
        *self.calls.entry(route.name).or_default() += 1;
        if request.api == Api::GitHub && !self.spend_rate(now) {
            return github::error(403, "API rate limit exceeded").into();
        }
        let Some(fault) = self.faults.strike(route.name, &mut self.rng) else {
            return self.serve(now, route, request);
        };
        self.note(now, HappeningKind::FaultStruck, format!("{}: {fault:?}", route.name));
        match fault {
            Fault::ErrorBefore(status) => self.refuse(request.api, status, "simulated failure").into(),
            Fault::Limited { status, retry_after } => {
                let refusal = self.refuse(request.api, status, "You have exceeded a secondary rate limit");
                refusal.header("retry-after", retry_after.as_secs().max(1)).into()
            }
            Fault::ClosedBefore => Reply::Closed,
            Fault::HangsBefore => Reply::Hangs,
            Fault::ErrorAfter(status) => {
                self.serve(now, route, request);
                self.refuse(request.api, status, "simulated failure").into()
            }
            Fault::ClosedAfter => {
                self.serve(now, route, request);
                Reply::Closed
            }
            Fault::HangsAfter => {
                self.serve(now, route, request);
                Reply::Hangs
            }
            Fault::Garbage => garbled(self.serve(now, route, request)),
            Fault::Slow(delay) => delayed(self.serve(now, route, request), delay),
        }
    }

    /// Check a call and carry it out.
    fn serve(&mut self, now: Timestamp, route: Route, request: &Request) -> Reply {
        let allowed = match &route.call {
            Call::GitHub(call) => self.allow_github(call, request),
            Call::Gcp(call) => self.allow_gcp(call, request),
            Call::Proxmox(call) => self.allow_proxmox(call, request),
        };
        if let Err(refusal) = allowed {
            return refusal.into();
        }
        if let Err(misfit) = route.check(request) {
            self.violate(now, ViolationKind::MalformedCall, format!("{}: {misfit}", route.name));
            if let BodyShape::Fields(fields) = &route.body
                && let Err(wrong) = fields.check(request)
            {
                return wrong.refusal().into();
            }
            let status = match request.api {
                Api::GitHub => 422,
                Api::Gcp | Api::Proxmox => 400,
            };
            return self.refuse(request.api, status, &misfit).into();
        }
        match route.call {
            Call::GitHub(call) => self.perform_github(now, call, request).into(),
            Call::Gcp(call) => self.perform_gcp(now, call, request),
            Call::Proxmox(call) => self.perform_proxmox(now, call, request).into(),
        }
    }

    /// An error in the form of the API's vendor.
    fn refuse(&self, api: Api, status: u16, message: &str) -> Response {
        match api {
            Api::GitHub => github::error(status, message),
            Api::Gcp => gcp::error(status, gcp::reason_of(status), message),
            Api::Proxmox => proxmox::error(status, message),
        }
    }
}

/// The same answer, its body cut off in the middle.
fn garbled(reply: Reply) -> Reply {
    let Reply::Answer { mut response, delay } = reply else { return reply };
    let mut bytes = match response.body {
        Body::Json(value) => value.to_string().into_bytes(),
        Body::Empty | Body::Garbage(_) => Vec::new(),
    };
    bytes.truncate(bytes.len() / 2);
    bytes.extend_from_slice(b"<html>");
    response.body = Body::Garbage(bytes);
    Reply::Answer { response, delay }
}

fn delayed(reply: Reply, by: Duration) -> Reply {
    match reply {
        Reply::Answer { response, delay } => Reply::Answer { response, delay: delay + by },
        Reply::Blocked { .. } | Reply::Closed | Reply::Hangs => reply,
    }
}
