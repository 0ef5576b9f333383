//! Who sees the page, and what everybody else is told.

use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::tcp_proxy::Link;

use crate::common::WEBHOOK_SECRET;
use crate::stage::{GITHUB_TOKEN, Shown, Stage, TOKEN, ask, keep, name, placed, pool};

fn secrets() -> Canaries {
    let mut canaries = Canaries::new();
    for (name, value) in [("page", TOKEN), ("github", GITHUB_TOKEN), ("webhook", WEBHOOK_SECRET)] {
        canaries.add(name, value);
    }
    canaries
}

fn header<'a>(shown: &'a Shown, name: &str) -> &'a str {
    shown.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// What every answer of the page says to browsers.
fn sealed(shown: &Shown, forms: &str) {
    let policy = header(shown, "content-security-policy");
    let hash = policy.split_once("style-src 'sha256-").map(|(_, rest)| rest.split_once('\'').unwrap().0);
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action {forms}",
        hash.unwrap_or_default()
    );
    assert_eq!(policy, expected);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex"),
    ] {
        assert_eq!(header(shown, name), value, "{name}");
    }
    for foreign in ["<script", "http://", "https://", "javascript:", " style="] {
        assert!(!shown.text.contains(foreign), "{foreign}");
    }
    let handler = |rest: &&str| rest.trim_start_matches(char::is_alphabetic).starts_with('=');
    assert_eq!(shown.text.split(" on").skip(1).find(handler), None);
}

#[tokio::test]
async fn without_a_page_in_the_configuration_there_is_none() {
    let stage = Stage::begin_with("", &[pool("linux-gpu", 10, None)]).await;
    for request in [
        stage.serving.client.get(stage.address()),
        stage.serving.client.get(stage.address()).bearer_auth(TOKEN),
        stage.serving.client.post(stage.address()),
    ] {
        let shown = ask(request).await;
        assert_eq!((shown.status, shown.text.as_str()), (404, "{\"error\":\"not found\"}"));
    }
}

#[tokio::test]
async fn whoever_has_the_token_sees_the_page_and_nobody_else_is_told_anything() {
    let stage = Stage::begin(&[pool("linux-gpu", 10, None)]).await;
    stage.taken("linux-gpu", 0, Some(1), 100, &[(90, placed())]).await;
    let (client, address) = (&stage.serving.client, stage.address());
    stage.table.reset_usage();
    let wrong = [
        client.get(&address),
        client.get(&address).bearer_auth("wrong"),
        client.get(&address).bearer_auth(&TOKEN[1..]),
        client.get(&address).bearer_auth(""),
        client.get(&address).basic_auth(TOKEN, Some("wrong")),
        client.get(&address).basic_auth("anybody", None::<&str>),
        client.get(&address).header("authorization", TOKEN),
        client.get(format!("{address}?token={}", TOKEN.replace(' ', "+"))),
        client.post(&address),
        client.post(&address).body("token=wrong"),
    ];
    for request in wrong {
        let shown = ask(request).await;
        assert_eq!(
            (shown.status, header(&shown, "www-authenticate")),
            (401, "Basic realm=\"Mayfly\", charset=\"UTF-8\"")
        );
        sealed(&shown, "'self'");
        keep("token", &shown);
        for inside in ["linux-gpu", "prod", "mayfly"] {
            assert!(!shown.text.to_lowercase().contains(inside), "{inside} in {}", shown.text);
        }
    }
    assert_eq!(stage.table.usage().total(), 0, "nobody without the token costs a read");

    let form = format!("token={}", TOKEN.replace(' ', "+"));
    for request in [
        client.get(&address).bearer_auth(TOKEN),
        client.get(&address).basic_auth("anybody", Some(TOKEN)),
        client.post(&address).body(form),
    ] {
        let shown = ask(request).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        assert!(shown.text.contains("linux-gpu"));
        sealed(&shown, "'none'");
        secrets().assert_absent(&[("page", &shown.text)]);
    }
    for request in [client.put(&address), client.delete(&address).bearer_auth(TOKEN)] {
        assert_eq!(ask(request).await.status, 405);
    }
    secrets().assert_absent(&[("log", &stage.place.log())]);
}

#[tokio::test]
async fn a_table_that_is_away_is_an_error_that_tells_nothing() {
    let stage = Stage::begin(&[pool("linux-gpu", 10, None)]).await;
    stage.table.set_link(Link::Cut);
    let shown = ask(stage.serving.client.get(stage.address()).bearer_auth(TOKEN)).await;
    assert_eq!(
        (shown.status, shown.text.as_str()),
        (503, "{\"error\":\"the page cannot be shown now; the log says why\"}")
    );
    assert_eq!(header(&shown, "cache-control"), "no-store");
    assert!(stage.place.log().contains("the page could not be made"), "{}", stage.place.log());
}

#[tokio::test]
async fn what_a_provider_or_github_says_cannot_break_the_page() {
    let stage = Stage::begin(&[pool("linux-gpu", 10, None)]).await;
    let hostile = "<script>alert(1)</script>\" onmouseover=\"alert(2)' <img src=x onerror=alert(3)>";
    let pool = name("linux-gpu");
    stage.ledger.failed(&pool, mayfly_service::store::Stage::Create, hostile, stage.ago(1)).await.unwrap();
    stage.ledger.cool_down(&pool, &[format!("gcp/{hostile}")], stage.ahead(90)).await.unwrap();
    stage.over("linux-gpu", 5, "shader-slang/slang", 10, (1, 2, 3), hostile).await;
    let shown = stage.page().await;
    assert!(shown.text.matches("&lt;script&gt;").count() >= 3, "{}", shown.text);
    assert!(!shown.text.contains("<script") && !shown.text.contains("<img"), "{}", shown.text);
    // Each quote is a markup's own: nothing that was said leaves an attribute.
    assert!(!shown.text.contains("\" onmouseover"), "{}", shown.text);
}
