//! What Google refuses, and what never gets there.

use std::sync::Arc;

use simulator::Request;
use simulator_compute::{Clients, NoAnswer, Sent, Wire};

use crate::both::{Both, Token, official, settings};
use crate::calls::{ALL, About, Call};
use crate::facts::Outcome;

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let both = Both::start(settings()).await;
    for call in ALL.into_iter().filter(|call| *call != Call::List) {
        assert_eq!(both.same(call, &About::nothing()).await.status(), Some(404), "{call:?}");
    }
    let elsewhere = About { project: "another-project".to_owned(), ..About::vm("vm-1") };
    for call in ALL {
        assert_eq!(both.same(call, &elsewhere).await.status(), Some(404), "{call:?}");
    }
    both.finish();
}

#[tokio::test]
async fn a_second_vm_of_a_name_is_refused() {
    let both = Both::start(settings()).await;
    both.operation(Call::Insert, &About::vm("vm-1")).await;
    let told = both.same(Call::Insert, &About::vm("vm-1")).await;
    assert_eq!(told.status(), Some(409));
    assert!(told.facts().said.as_ref().unwrap().contains("alreadyExists"));
    both.finish();
}

#[tokio::test]
async fn a_used_up_quota_is_refused_with_its_reason() {
    let mut settings = settings();
    settings.set_quota("us-east1", "NVIDIA_T4_GPUS", 0.0);
    let both = Both::start(settings).await;
    let told = both.same(Call::Insert, &About::vm("vm-1")).await;
    assert_eq!(told.status(), Some(403));
    assert!(told.facts().said.as_ref().unwrap().contains("quotaExceeded"));
    both.finish();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let both = Both::start(settings()).await;
    let vm = || About::vm("vm-1");
    both.operation(Call::Insert, &vm()).await;
    let senseless = [
        (Call::Insert, About::vm("Not_A_Name")),
        (Call::Insert, About { request_id: Some("no-uuid".to_owned()), ..About::vm("vm-2") }),
        (Call::Delete, About { request_id: Some("no-uuid".to_owned()), ..vm() }),
        (Call::List, About { filter: Some("(((".to_owned()), ..vm() }),
        (Call::List, About { max_results: Some(501), ..vm() }),
        (Call::List, About { page_token: Some("%%%".to_owned()), ..vm() }),
    ];
    for (call, about) in senseless {
        assert_eq!(both.same(call, &about).await.status(), Some(400), "{call:?} {about:?}");
    }
    both.finish();
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let both = Both::start(settings()).await.with_token("ya29.not-this-one").await;
    for call in ALL {
        let told = both.same(call, &About::vm("vm-1")).await;
        assert_eq!(told.status(), Some(401), "{call:?}");
        assert!(!told.facts().is.contains(&"authentication"));
    }
    both.finish();
}

#[tokio::test]
async fn names_that_fit_in_no_path_are_not_sent() {
    let both = Both::start(settings()).await;
    for bad in ["", "a/b", "/"] {
        let bad = || bad.to_owned();
        let about = About {
            project: bad(),
            zone: bad(),
            operation: [bad(), bad()],
            region: bad(),
            template: bad(),
            ..About::vm(&bad())
        };
        for call in ALL {
            assert_eq!(both.same(call, &about).await.facts().is, ["binding"], "{call:?} {about:?}");
        }
    }
    assert!(both.driven.calls.lock().unwrap().is_empty());
    both.finish();
}

#[tokio::test]
async fn odd_names_arrive_as_they_are() {
    let both = Both::start(settings()).await;
    let odd = "a b?c#d\"e<f>g`h{i}jäk%41l&m=n+o;p|q^r[s]";
    let about =
        About { operation: [odd.to_owned(), odd.to_owned()], region: odd.to_owned(), ..About::vm(odd) };
    for call in [Call::Instance, Call::Delete, Call::Wait, Call::Operation, Call::Region] {
        let told = both.same(call, &about).await;
        assert_eq!(told.status(), Some(404), "{call:?}");
        assert!(told.facts().text.as_ref().unwrap().contains("a b?c#d"), "{told:?}");
    }
    both.finish();
}

/// A wire that nobody holds the other end of.
#[derive(Debug)]
struct Cut;

impl Wire for Cut {
    fn send(&self, _request: Request) -> Sent {
        Box::pin(async { Err(NoAnswer::NeverSent) })
    }
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_a_failed_connection() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let official = official(&url, Token("a-token".to_owned()).into()).await;
    let stubbed = Clients::over(Arc::new(Cut), "a-token");
    for call in ALL {
        let wanted = Outcome::of(&call.make(&official, &About::vm("vm-1"), 0).await);
        let got = Outcome::of(&call.make(&stubbed, &About::vm("vm-1"), 1).await);
        assert_eq!(got, wanted, "{call:?}");
        assert_eq!(got.facts().is, ["connect", "transient and before RPC"]);
    }
}

#[test]
fn nothing_printed_shows_the_token() {
    let clients = Clients::over(Arc::new(Cut), "a-secret-token");
    let printed = format!("{clients:?}");
    assert!(printed.contains("Cut"));
    assert!(!printed.contains("a-secret-token"));
}
