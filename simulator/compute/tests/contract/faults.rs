//! Every fault on every call.

use std::time::Duration;

use simulator::Fault;

use crate::both::{Both, settings};
use crate::calls::{ALL, About, Call};

/// Two worlds with a VM, and what there is to ask about it.
async fn with_vm() -> (Both, About) {
    let both = Both::start(settings()).await;
    let about = both.operation(Call::Insert, &About::vm("vm-1")).await;
    both.pass(Duration::from_secs(13));
    (both, about)
}

/// Makes every call while this goes wrong. Inserts are of new VMs, so that they would succeed.
async fn struck(both: &Both, about: &About, fault: &Fault, check: impl Fn(Call, crate::facts::Outcome)) {
    for call in ALL {
        both.change(|world, _| world.faults.once(call.endpoint(), fault.clone()));
        let mut about = about.clone();
        if call == Call::Insert {
            about.name = format!("fresh-{}", both.driven.calls.lock().unwrap().len());
        }
        check(call, both.same(call, &about).await);
        // What the call did, or did not do.
        both.same(Call::Instance, &about).await;
    }
}

#[tokio::test]
async fn every_status_is_told_the_same() {
    let (both, about) = with_vm().await;
    for status in [400, 401, 403, 404, 408, 409, 412, 429, 500, 502, 503, 504] {
        for fault in [Fault::ErrorBefore(status), Fault::ErrorAfter(status)] {
            let check =
                |call, told: crate::facts::Outcome| assert_eq!(told.status(), Some(status), "{call:?}");
            struck(&both, &about, &fault, check).await;
        }
    }
    both.finish();
}

#[tokio::test]
async fn retry_after_arrives() {
    let (both, about) = with_vm().await;
    for status in [403, 429, 503] {
        let fault = Fault::Limited { status, retry_after: Duration::from_secs(17) };
        struck(&both, &about, &fault, |call, told| {
            assert_eq!(told.status(), Some(status), "{call:?}");
            assert_eq!(told.facts().header("retry-after"), Some("17"), "{call:?}");
        })
        .await;
    }
    both.finish();
}

#[tokio::test]
async fn a_closed_connection_is_an_io_error() {
    let (both, about) = with_vm().await;
    for fault in [Fault::ClosedBefore, Fault::ClosedAfter] {
        struck(&both, &about, &fault, |call, told| {
            assert_eq!(told.facts().is, ["io", "transport"], "{call:?}");
            assert_eq!(told.status(), None, "{call:?}");
        })
        .await;
    }
    both.finish();
}

#[tokio::test]
async fn a_garbled_success_cannot_be_read() {
    let (both, about) = with_vm().await;
    struck(&both, &about, &Fault::Garbage, |call, told| {
        assert_eq!(told.facts().is, ["deserialization"], "{call:?}");
    })
    .await;
    both.finish();
}

#[tokio::test]
async fn a_garbled_refusal_keeps_its_status_and_its_bytes() {
    let both = Both::start(settings()).await;
    for call in ALL.into_iter().filter(|call| *call != Call::List) {
        both.change(|world, _| world.faults.once(call.endpoint(), Fault::Garbage));
        let told = both.same(call, &About::nothing()).await;
        assert_eq!(told.status(), Some(404), "{call:?}");
        assert!(told.facts().said.is_none(), "{call:?}");
        assert!(told.facts().payload.as_ref().unwrap().ends_with("<html>"), "{call:?}");
    }
    both.finish();
}

#[tokio::test]
async fn a_slow_answer_is_still_the_answer() {
    let (both, about) = with_vm().await;
    let fault = Fault::Slow(Duration::from_micros(10));
    struck(&both, &about, &fault, |_, told| {
        told.model();
    })
    .await;
    both.finish();
}
