//! A GitHub that is broken, or somebody else: whatever it makes long ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Account, JobId, Repository, RunnerName};
use mayfly_core::labels::Labels;
use mayfly_core::policy::Scope;
use mayfly_service::config::GitHubLogin;
use mayfly_service::github::{GitHub, GitHubError, Hook};
use mayfly_service::secret::SecretSource;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::story::{Lines, client_with_hook, is_unavailable, pool, refusal, soon};

const URL: &str = "https://x.lambda-url.us-east-1.on.aws/webhook";

/// What is answered to every request.
struct Canned {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Canned {
    fn new(status: u16, body: impl ToString) -> Self {
        Self { status, headers: String::new(), body: body.to_string().into_bytes() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// The same page, and always one more.
    fn endless(self) -> Self {
        self.with("link", "<https://api.github.com/x?page=2&cursor=v1_2>; rel=\"next\"")
    }
}

/// A GitHub that says one thing only, a client for it, and how often it was asked.
struct Broken {
    github: GitHub,
    calls: Arc<AtomicU64>,
    _token: tempfile::NamedTempFile,
}

impl Broken {
    async fn saying(canned: Canned) -> Self {
        Lines::of_process();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, canned) = (Arc::new(AtomicU64::new(0)), Arc::new(canned));
        let counted = calls.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(answer(stream, canned.clone()));
            }
        });
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "a token").unwrap();
        let login = GitHubLogin::Token(SecretSource::File(token.path().to_owned()));
        let github = client_with_hook(&format!("http://{address}"), login, Some(URL));
        Self { github, calls, _token: token }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Nobody who hangs up in the middle of an answer is a trouble here.
async fn answer(mut stream: TcpStream, canned: Arc<Canned>) {
    let (mut head, mut part) = (Vec::new(), [0; 4_096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let Ok(read @ 1..) = stream.read(&mut part).await else { return };
        head.extend_from_slice(&part[..read]);
    }
    let Canned { status, headers, body } = &*canned;
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    if stream.write_all(head.as_bytes()).await.is_ok() {
        _ = stream.write_all(body).await;
    }
}

fn organization() -> Scope {
    Scope::Organization(Account::new("endless").unwrap())
}

fn repository() -> Repository {
    Repository::new("endless/loop").unwrap()
}

/// One line, and not a long one.
fn is_short(error: &GitHubError) -> bool {
    let text = error.to_string();
    text.chars().count() <= 800 && !text.contains('\n')
}

#[tokio::test]
async fn an_answer_of_more_than_four_mebibytes_is_not_read() {
    let of = |length: usize| {
        let list = json!({"total_count": 0, "runners": []}).to_string();
        let filling = " ".repeat(length - list.len());
        list + &filling
    };
    let largest = Broken::saying(Canned::new(200, of(4 << 20))).await;
    assert!(largest.github.runners(&organization(), soon()).await.unwrap().is_empty());
    let larger = Broken::saying(Canned::new(200, of((4 << 20) + 1))).await;
    let told = larger.github.runners(&organization(), soon()).await;
    assert!(told.unwrap_err().to_string().contains("more than 4194304 bytes"));
    assert_eq!(larger.calls(), 3, "a request is sent three times");
}

#[tokio::test]
async fn an_answer_of_a_hundred_and_one_headers_is_not_read() {
    for (headers, fits) in [(50, true), (200, false)] {
        let many = (0..headers)
            .fold(Canned::new(200, json!({"total_count": 0, "runners": []})), |canned, at| {
                canned.with(&format!("x-{at}"), "y")
            });
        let told = Broken::saying(many).await.github.runners(&organization(), soon()).await;
        assert_eq!(told.is_ok(), fits, "{told:?}");
    }
}

#[tokio::test]
async fn a_redirection_is_followed_three_times() {
    let circle = Broken::saying(Canned::new(302, "").with("location", "/again")).await;
    assert!(is_unavailable(&circle.github.runners(&organization(), soon()).await));
    assert_eq!(circle.calls(), 3 * 4, "each of three tries");
}

#[tokio::test]
async fn more_runners_than_can_be_listed_are_not_asked_for() {
    let told = json!({"total_count": 1_000_000_000_000_u64, "runners": []});
    let broken = Broken::saying(Canned::new(200, told)).await;
    let error = broken.github.runners(&organization(), soon()).await.unwrap_err();
    assert!(error.to_string().contains("more than can be listed"), "{error}");
    assert_eq!(broken.calls(), 1);
}

#[tokio::test]
async fn a_list_of_runners_that_never_adds_up_is_read_three_times() {
    let broken = Broken::saying(Canned::new(200, json!({"total_count": 3, "runners": []}))).await;
    assert!(is_unavailable(&broken.github.runners(&organization(), soon()).await));
    assert_eq!(broken.calls(), 3);
}

#[tokio::test]
async fn pages_without_end_are_read_up_to_a_bound_and_the_rest_is_told_of() {
    let hooks = json!([{"id": 1, "config": {"url": "https://example.com/x"}}]);
    let broken = Broken::saying(Canned::new(200, hooks).endless()).await;
    assert!(broken.github.hooks(&[organization()], soon()).await.unwrap().is_empty());
    assert_eq!(broken.calls(), 5);

    let broken = Broken::saying(Canned::new(200, json!([{"full_name": "endless/loop"}])).endless()).await;
    assert_eq!(broken.github.repositories(&organization(), soon()).await.unwrap(), [repository()]);
    assert_eq!(broken.calls(), 10);

    let jobs = json!({"jobs": [{"id": 7, "status": "queued", "labels": ["GPU"]}]});
    let broken = Broken::saying(Canned::new(200, jobs).endless()).await;
    assert_eq!(broken.github.run_jobs(&repository(), 1, soon()).await.unwrap().len(), 5);
    assert_eq!(broken.calls(), 5);

    let log = Lines::of_process().text();
    for said in [
        "an owner has more webhooks than are looked at",
        "there are more repositories than are looked at",
        "a run has more jobs than are looked at",
    ] {
        assert!(log.contains(said), "{said}");
    }
}

#[tokio::test]
async fn of_runner_groups_without_end_two_thousand_are_looked_at_and_a_few_named() {
    let groups: Vec<Value> =
        (0..100).map(|id| json!({"id": id, "name": format!("g{id}\n{}", "x".repeat(10_000))})).collect();
    let broken = Broken::saying(Canned::new(200, json!({"runner_groups": groups})).endless()).await;
    let mut pool = pool(organization());
    pool.runner_group = "gpu".to_owned();
    let error = broken.github.prepare(&pool, None, soon()).await.unwrap_err();
    assert_eq!(broken.calls(), 20);
    assert!(is_short(&error) && error.to_string().contains("first 2000"), "{error}");
    assert_eq!(refusal::<()>(Err(error)).0, 404);
}

#[tokio::test]
async fn whatever_github_says_is_repeated_in_one_short_line() {
    let message = json!({"message": "no\n".repeat(500_000)});
    for status in [401, 403, 404, 409, 422, 500] {
        let canned = Canned::new(status, &message)
            .with("x-accepted-github-permissions", &"p=write; ".repeat(1_000))
            .with("x-accepted-oauth-scopes", &"s ".repeat(1_000));
        let broken = Broken::saying(canned).await;
        let error = broken.github.job(&repository(), JobId(1), None, soon()).await.unwrap_err();
        assert!(is_short(&error), "{status}: {} characters", error.to_string().len());
    }
}

#[tokio::test]
async fn a_wait_of_a_year_is_one_of_an_hour() {
    let year = 365 * 24 * 3600;
    let reset = (Timestamp::now().as_second() + year).to_string();
    for canned in [
        Canned::new(403, "{}").with("retry-after", &year.to_string()),
        Canned::new(429, "{}").with("retry-after", &i64::MAX.to_string()),
        Canned::new(403, "{}").with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", &reset),
    ] {
        let broken = Broken::saying(canned).await;
        match broken.github.job(&repository(), JobId(1), None, soon()).await {
            Err(GitHubError::RateLimited { retry_after, .. }) => {
                assert_eq!(retry_after, Duration::from_secs(3600));
            }
            other => panic!("{other:?}"),
        }
        assert!(broken.github.limited_for().unwrap() <= Duration::from_secs(3600));
        assert_eq!(broken.github.allowance(), None);
    }
}

#[tokio::test]
async fn a_deliverys_id_that_no_table_could_hold_makes_the_list_unreadable() {
    let list = |guid: &str| {
        let delivered_at = Timestamp::now().to_string();
        let (status_code, event) = (502, "workflow_job");
        Canned::new(
            200,
            json!([{"id": 1, "guid": guid, "delivered_at": delivered_at, "status_code": status_code, "event": event}]),
        )
    };
    let hook = Hook::Organization { login: Account::new("endless").unwrap(), id: 1 };
    let ask = async |guid: &str| {
        let broken = Broken::saying(list(guid)).await;
        broken.github.deliveries(&hook, true, Timestamp::UNIX_EPOCH, 3, soon()).await
    };
    assert_eq!(ask("0b989ba4-242f-11e5-81e1-c7b6966d2516").await.unwrap().attempts.len(), 1);
    assert!(is_unavailable(&ask(&"g".repeat(1_000)).await));
}

#[tokio::test]
async fn deliveries_without_end_are_read_up_to_the_bound_that_was_asked_for() {
    let delivered_at = Timestamp::now().to_string();
    let page = json!([{"id": 1, "guid": "g", "delivered_at": delivered_at, "status_code": 502, "event": "workflow_job"}]);
    let broken = Broken::saying(Canned::new(200, page).endless()).await;
    let hook = Hook::Organization { login: Account::new("endless").unwrap(), id: 1 };
    let read = broken.github.deliveries(&hook, true, Timestamp::UNIX_EPOCH, 3, soon()).await.unwrap();
    assert_eq!((read.whole, broken.calls()), (false, 3));
}

#[tokio::test]
async fn a_job_of_a_hundred_thousand_labels_fits_no_pool_and_is_kept_short() {
    let labels: Vec<String> = (0..100_000).map(|number| format!("l{number}")).collect();
    let long = "x".repeat(1 << 20);
    for labels in [labels.as_slice(), std::slice::from_ref(&long)] {
        let job = json!({"id": 7, "status": "queued", "labels": labels, "name": long, "runner_name": long});
        let broken = Broken::saying(Canned::new(200, job)).await;
        let event = broken.github.job(&repository(), JobId(7), None, soon()).await.unwrap();
        assert!(!Labels::new(["GPU"]).cover(&event.labels) && !event.labels.is_empty());
        let kept: usize = event.labels.as_slice().iter().map(String::len).sum();
        assert!(kept < 30_000 && event.name.chars().count() <= 100, "{kept}");
    }
}

/// Time goes on as soon as everybody waits.
#[tokio::test(start_paused = true)]
async fn a_github_that_never_answers_is_given_ten_seconds_a_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "a token").unwrap();
    let github =
        client_with_hook(&url, GitHubLogin::Token(SecretSource::File(token.path().to_owned())), None);
    let began = Instant::now();
    let hour = began + Duration::from_secs(3600);
    assert!(is_unavailable(&github.runners(&organization(), hour).await));
    assert!((30..33).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// serde_json goes 128 levels down, and passes over what nobody asked for without going down at all.
#[tokio::test]
async fn what_is_nested_a_million_deep_is_passed_over_or_refused() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let unasked = format!("{{\"total_count\":0,\"runners\":[],\"more\":{deep}}}");
    let broken = Broken::saying(Canned::new(200, unasked)).await;
    assert!(broken.github.runners(&organization(), soon()).await.unwrap().is_empty());
    let asked = format!("{{\"total_count\":0,\"runners\":{deep}}}");
    assert!(is_unavailable(
        &Broken::saying(Canned::new(200, asked)).await.github.runners(&organization(), soon()).await
    ));
    let message = format!("{{\"message\":{deep}}}");
    let refused = Broken::saying(Canned::new(403, message)).await;
    let (_, why) = refusal(refused.github.runners(&organization(), soon()).await);
    assert!(why.contains("no message"), "{why}");
}

#[tokio::test]
async fn a_runners_name_is_kept_short() {
    let runner = json!({"id": 1, "name": "x".repeat(1_000_000), "status": "online", "busy": false});
    let broken = Broken::saying(Canned::new(200, json!({"total_count": 1, "runners": [runner]}))).await;
    let runners = broken.github.runners(&organization(), soon()).await.unwrap();
    let deployment = mayfly_core::ids::Deployment::new("prod").unwrap();
    assert!(runners[0].name.chars().count() <= 100);
    assert_eq!(RunnerName::parse(&deployment, &runners[0].name), None);
}
