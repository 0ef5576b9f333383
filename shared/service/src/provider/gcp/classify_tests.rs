use google_cloud_gax::error::rpc::Status;
use serde_json::{Value, json};

use super::*;

/// As the client library makes an error of an answer.
fn answered(status: u16, body: &Value) -> CallError {
    let bytes = body.to_string().into_bytes().into();
    let error = match Status::try_from(&bytes) {
        Ok(said) => {
            Error::service_with_http_metadata(said, Some(status), Some(reqwest::header::HeaderMap::new()))
        }
        Err(_) => Error::http(status, reqwest::header::HeaderMap::new(), bytes),
    };
    CallError::read(&error)
}

fn refusal(status: u16, reason: &str, message: &str) -> CallError {
    let item = json!({ "message": message, "domain": "global", "reason": reason });
    answered(status, &json!({ "error": { "code": status, "message": message, "errors": [item] } }))
}

const ZONE: &str = "us-east1-c";

fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Full { quota: true, everywhere: false, .. } => "over quota",
        Verdict::Full { quota: false, everywhere: false, .. } => "full",
        Verdict::Full { everywhere: true, .. } => "full everywhere",
        Verdict::NotHere(_) => "not here",
        Verdict::Exists => "exists",
        Verdict::Refused(_) => "refused",
        Verdict::Later { .. } => "later",
        Verdict::Uncertain { .. } => "uncertain",
    }
}

#[test]
fn what_a_refused_insert_means() {
    for (status, reason, message, expected) in [
        (
            403,
            "quotaExceeded",
            "Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 4.0 in region us-east1.",
            "over quota",
        ),
        (403, "quotaExceeded", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "full everywhere"),
        (
            503,
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "The zone 'projects/p/zones/us-east1-c' does not have enough resources available to fulfill the request.",
            "full",
        ),
        (
            403,
            "rateLimitExceeded",
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'.",
            "later",
        ),
        (429, "rateLimitExceeded", "Too many.", "later"),
        (
            409,
            "alreadyExists",
            "The resource 'projects/p/zones/us-east1-c/instances/a' already exists",
            "exists",
        ),
        (
            404,
            "notFound",
            "The resource 'projects/p/zones/us-east1-c/acceleratorTypes/nvidia-tesla-p4' was not found",
            "not here",
        ),
        (
            400,
            "invalid",
            "Invalid value for field 'resource.machineType': 'n1-standard-4'. Machine type with name 'n1-standard-4' \
             does not exist in zone 'us-east1-c'.",
            "not here",
        ),
        (400, "invalid", "Invalid value for field 'zone': 'us-east1-c'. Unknown zone.", "not here"),
        (404, "notFound", "The resource 'projects/p/global/instanceTemplates/t' was not found", "refused"),
        (
            403,
            "forbidden",
            "Required 'compute.instances.create' permission for 'projects/p/zones/us-east1-c/instances/a'",
            "refused",
        ),
        (401, "authError", "Request had invalid authentication credentials.", "refused"),
        (400, "invalid", "Invalid value for field 'resource.name': 'A'.", "refused"),
        (500, "backendError", "Internal error", "uncertain"),
        (503, "backendError", "Service unavailable", "uncertain"),
    ] {
        let verdict = of_insert(&refusal(status, reason, message), ZONE);
        assert_eq!(kind(&verdict), expected, "{status} {reason} {message}");
    }
}

#[test]
fn reasons_are_read_from_details_and_from_bodies_that_the_library_cannot_read() {
    let details = json!({ "error": { "code": 403, "message": "Too fast.", "status": "PERMISSION_DENIED", "details": [{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com", "metadata": { "service": "compute.googleapis.com" },
    }] } });
    assert!(answered(403, &details).has_reason("ratelimitexceeded"));

    // `code` as text: not the shape that the library reads.
    let odd =
        json!({ "error": { "code": "x", "message": "No.", "errors": [{ "reason": "quotaExceeded" }] } });
    let error = answered(403, &odd);
    assert!(error.has_reason("quotaexceeded"), "{error:?}");
    assert_eq!(error.why, "HTTP 403: No.");

    let error =
        CallError::read(&Error::http(502, reqwest::header::HeaderMap::new(), "<html>\n Bad  Gateway".into()));
    assert_eq!(error.why, "HTTP 502: <html> Bad Gateway");
    assert_eq!(kind(&of_insert(&error, ZONE)), "uncertain");
}

#[test]
fn how_far_a_call_got() {
    let lost = |timed_out| Kind::Lost { timed_out };
    assert_eq!(CallError::read(&Error::connect("refused")).kind, Kind::NotSent);
    assert_eq!(CallError::read(&Error::io("reset")).kind, lost(false));
    assert_eq!(CallError::read(&Error::timeout("slow")).kind, lost(true));
    assert_eq!(CallError::read(&Error::deser("not JSON")).kind, lost(false));
    let transient = |transient| Error::authentication(CredentialsError::from_msg(transient, "no token"));
    assert_eq!(CallError::read(&transient(true)).kind, Kind::NotSent);
    assert_eq!(CallError::read(&transient(false)).kind, Kind::Unsendable);
}

#[test]
fn retry_after_is_heeded() {
    let headers =
        reqwest::header::HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, "7".parse().unwrap())]);
    let error = CallError::read(&Error::http(429, headers, "{}".into()));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.passes());
}

fn operation(body: Value) -> Operation {
    serde_json::from_value(body).unwrap()
}

#[test]
fn what_the_end_of_an_operation_means() {
    let failed = |code: &str, status: Option<u16>, message: &str| {
        let mut body =
            json!({ "status": "DONE", "error": { "errors": [{ "code": code, "message": message }] } });
        if let Some(status) = status {
            body["httpErrorStatusCode"] = json!(status);
        }
        of_operation(&operation(body), ZONE)
    };
    for (code, status, message, expected) in [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", Some(503), "The zone does not have enough resources.", "full"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", None, "resource type: gpu", "full"),
        (
            "QUOTA_EXCEEDED",
            Some(403),
            "Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 1.0 in region us-east1.",
            "over quota",
        ),
        (
            "QUOTA_EXCEEDED",
            None,
            "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 1.0 globally.",
            "full everywhere",
        ),
        ("RESOURCE_ALREADY_EXISTS", Some(409), "exists", "exists"),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", Some(403), "too fast", "later"),
        ("INTERNAL_ERROR", Some(500), "code: 1234", "later"),
        ("SOMETHING_NEW", None, "who knows", "later"),
        (
            "CONDITION_NOT_MET",
            Some(412),
            "constraint constraints/compute.vmExternalIpAccess violated",
            "refused",
        ),
    ] {
        let verdict = failed(code, status, message).unwrap();
        assert_eq!(kind(&verdict), expected, "{code}");
    }
    assert_eq!(of_operation(&operation(json!({ "status": "DONE" })), ZONE), None);
    let bare =
        operation(json!({ "status": "DONE", "httpErrorStatusCode": 503, "httpErrorMessage": "UNAVAILABLE" }));
    assert_eq!(kind(&of_operation(&bare, ZONE).unwrap()), "later");
}

#[test]
fn a_jit_config_that_google_quotes_is_cut_out() {
    let secret = "eyJydW5uZXIiOiJhYmNkZWYifQ==";
    let whole = format!("Invalid value for field 'metadata.items[0].value': '{secret}'.");
    let cut = "Invalid value: 'eyJydW5uZXIiOi...'";
    for text in [whole.as_str(), cut] {
        let clean = without(text, secret);
        assert!(!clean.contains("eyJydW5u") && clean.ends_with("[redacted]"), "{clean}");
    }
    assert_eq!(without("nothing here", secret), "nothing here");
    assert_eq!(without("nothing here", ""), "nothing here");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let error = refusal(400, "invalid", &"ä".repeat(2000));
    assert_eq!(error.why.chars().count(), MESSAGE_LENGTH_MAX + "HTTP 400: ".len());
}
