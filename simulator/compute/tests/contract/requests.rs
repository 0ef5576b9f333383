//! What goes over the wire: the world is asked the same.

use simulator::ServeOptions;

use serde_json::{Map, Value, json};

use crate::both::{Both, settings};
use crate::calls::{ALL, About, Call};
use crate::facts::masked;

/// A request as the traffic log writes it.
fn logged(request: &simulator::Request) -> Value {
    let query: Map<String, Value> =
        request.query.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    json!({ "api": "gcp", "method": request.method.name(), "path": request.path, "query": query,
        "request": body })
}

#[tokio::test]
async fn the_world_is_asked_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("wire.jsonl");
    let options = ServeOptions { speed: 0.001, wire_log: Some(log.clone()), ..ServeOptions::default() };
    let both = Both::served(settings(), options).await;
    let id = "6f1b6f0a-3c54-8f0e-9d5b-0c6b5f6b7a10";
    let about = About {
        request_id: Some(id.to_owned()),
        filter: Some("labels.a=\"b c\" AND name!=ä&+%41".to_owned()),
        max_results: Some(7),
        page_token: Some("dGhl-_bGFzdA".to_owned()),
        ..About::vm("vm-1")
    };
    let inserted = both.operation(Call::Insert, &about).await;
    both.pass(std::time::Duration::from_secs(13));
    for all_parameters in [false, true] {
        let about = About { all_parameters, ..inserted.clone() };
        for call in ALL {
            both.same(call, &about).await;
        }
    }
    both.same(Call::Instance, &About::vm("a b?ä")).await;
    let written = std::fs::read_to_string(&log).unwrap();
    let official: Vec<Value> = written
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().retain(|name, _| name != "status" && name != "response");
            masked(line)
        })
        .collect();
    let stubbed: Vec<Value> =
        both.driven.calls.lock().unwrap().iter().map(|request| masked(logged(request))).collect();
    assert_eq!(official.len(), 1 + 2 * ALL.len() + 1);
    assert_eq!(stubbed, official);
    both.finish();
}
