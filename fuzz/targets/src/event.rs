//! Requests at the webhook's door, and all that follows them.

use mayfly_service::inbound::{BODY_MOST, Request};
use serde_json::Value;
use simulator::ViolationKind;

use crate::request::{Step, Text, sign, steps};
use crate::scene::{Act, Playing, Scene, look_at_page};

/// No input has more requests than that.
const STEPS_MOST: usize = 6;
/// An answer goes into GitHub's list of deliveries, for people.
const ANSWER_MOST: usize = 1024;

/// Plays an input: see `crate::request`.
///
/// - Nothing panics, and every request is answered with a status of the contract's.
/// - What is not signed rightly is 401, and the table is not asked; what is over 1 MiB is 413.
/// - The status page is shown to whoever has its token, and nobody else's request for it costs one to the table.
/// - What is signed and understood is recorded: the table being well, nothing is 503.
/// - An answer is one line, and bounded. So is what is logged, and it holds no secret.
/// - Whatever is asked for, no pool gets more VMs than it may have, no stranger's VM is touched, every VM carries its marks and
///   its end, and every call is one that its vendor has published (I2, I3, I6).
pub fn event(data: &[u8]) {
    Scene::busy(|scene| {
        let playing = Playing::begin(scene);
        let secret = scene.world.access.webhook_secret.clone();
        for step in steps(data, &secret, STEPS_MOST) {
            match step {
                Step::Sweep => playing.play(&[Act::Sweep]),
                Step::Wait(seconds) => playing.play(&[Act::Wait(seconds)]),
                Step::Request(request) => ask(&playing, &request, &secret),
            }
        }
        let inner = playing.stage.lock();
        // A signed event is believed: one that says that a job is over ends its VM.
        let broken =
            inner.world.violations().iter().find(|violation| violation.kind != ViolationKind::BusyVmDeleted);
        assert!(broken.is_none(), "{broken:?}");
    });
}

fn ask(playing: &Playing<'_>, text: &Text, secret: &str) {
    let before = playing.stage.lock().table_requests;
    let request = Request {
        method: &text.method,
        path: &text.path,
        signature: text.signature.as_deref(),
        event: text.event.as_deref(),
        delivery: text.delivery.as_deref(),
        authorization: text.authorization.as_deref(),
        body: &text.body,
    };
    let (answer, has_work, asked) = playing.receive(request, before);
    let is_door = text.path == "/webhook" && text.method == "POST";
    let is_page = matches!(text.path.as_str(), "/" | "");
    let fine: &[u16] = match (text.path.as_str(), text.method.as_str()) {
        ("/webhook", "POST") if text.body.len() > BODY_MOST => &[413],
        ("/webhook", "POST") if !is_signed(text, secret) => &[401],
        ("/webhook", "POST") => &[200, 202, 400],
        ("/healthz", "GET") => &[200],
        ("/webhook" | "/healthz", _) => &[405],
        ("/" | "", "GET" | "POST") => &[200, 401],
        ("/" | "", _) => &[405],
        _ => &[404],
    };
    assert!(fine.contains(&answer.status), "{} instead of {fine:?}: {}", answer.status, answer.body);
    assert!(answer.status == 202 || !has_work, "work follows {}", answer.status);
    // Neither a stranger's request nor one that is not understood costs a request to the table.
    let may_ask = (is_door && matches!(answer.status, 200 | 202)) || (is_page && answer.status == 200);
    assert!(may_ask || asked == 0, "the table was asked {asked} times before {}", answer.status);
    if is_page && answer.status != 405 {
        return look_at_page(&answer.body);
    }
    let told: Value = serde_json::from_str(&answer.body).expect("an answer is JSON");
    assert!(answer.body.len() <= ANSWER_MOST, "an answer of {} bytes: {told:.200}", answer.body.len());
    for text in ["error", "reason"].map(|name| told[name].as_str().unwrap_or_default()) {
        assert!(!text.contains(['\n', '\r']), "an answer of more than one line: {text:?}");
    }
}

fn is_signed(text: &Text, secret: &str) -> bool {
    let right = sign(secret, &text.body);
    let given = text.signature.as_deref().and_then(|given| given.strip_prefix("sha256="));
    given.is_some_and(|given| {
        right.strip_prefix("sha256=").is_some_and(|right| given.eq_ignore_ascii_case(right))
    })
}
