//! `mayfly github-app`: this test is the browser, and the person in front of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::Duration;

use mayfly_testkit::wirecheck_new;
use simulator::{HookOwner, JobSpec, JobState, ServeOptions, Settings, Simulator, World};

use common::{LABELS, Place, SOON};

const KEY: &str = "mayfly-app.pem";
const SECRET: &str = "mayfly-webhook-secret";

/// `mayfly github-app create` that waits for the browser.
struct Creating {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    client: reqwest::Client,
}

/// The form that takes the browser to GitHub.
struct Form {
    action: String,
    state: String,
    manifest: String,
}

impl Creating {
    fn begin(place: &Place, simulator: &Simulator, more: &[&str]) -> Self {
        let url = simulator.github_url();
        let errors = fs::File::create(place.path("errors")).unwrap();
        let mut child = place
            .mayfly(
                &[&["github-app", "create", "--organization", "shader-slang", "--api-url", &url], more]
                    .concat(),
            )
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line
            .strip_prefix("open ")
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or_else(|| panic!("{line}"));
        Self {
            child,
            out,
            url: url.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// An address beside the page's.
    fn beside(&self, rest: &str) -> String {
        let base = self.url.rsplit_once('/').unwrap().0;
        format!("{base}/{rest}")
    }

    async fn get(&self, url: &str) -> (u16, String) {
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn form(&self) -> Form {
        let (status, page) = self.get(&self.url).await;
        assert_eq!(status, 200, "{page}");
        let value = |name: &str| {
            let value = page.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value
                .unwrap_or_else(|| panic!("{name} is not in {page}"))
                .replace("&quot;", "\"")
                .replace("&amp;", "&")
        };
        let (action, state) =
            value("action").split_once("?state=").map(|(a, s)| (a.to_owned(), s.to_owned())).unwrap();
        Form { action, state, manifest: value("value") }
    }

    /// How it ended, and what it told after its first line.
    fn end(mut self) -> (ExitStatus, String) {
        let mut told = String::new();
        self.out.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap(), told)
    }
}

async fn world(place: &Place, hook: HookOwner) -> Simulator {
    let options = ServeOptions { wire_log: Some(place.path("wire.jsonl")), ..ServeOptions::default() };
    Simulator::start(Settings { hook, ..Settings::brisk() }, options).await.unwrap()
}

fn mode(place: &Place, name: &str) -> u32 {
    fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_and_one_click_make_an_app_that_serves_a_job() {
    let place = Place::alone();
    let simulator = world(&place, HookOwner::App).await;
    let creating = Creating::begin(&place, &simulator, &[]);
    let form = creating.form().await;
    assert_eq!(form.action, "https://github.com/organizations/shader-slang/settings/apps/new");
    let back = simulator.with(|world, now| world.create_app(now, &form.manifest, &form.state)).unwrap();
    let (status, page) = creating.get(&back).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("The App is made"), "{page}");
    let (ended, told) = creating.end();
    assert!(ended.success(), "{}", fs::read_to_string(place.path("errors")).unwrap());

    let order = ["mayfly github-app webhook", "https://github.com/apps/mayfly/installations/new"]
        .map(|next| told.find(next));
    assert!(order[0].is_some() && order[0] < order[1], "it is pointed before it is installed:\n{told}");
    let secret = simulator.with(|world, _| world.access.webhook_secret.clone());
    assert_eq!(fs::read_to_string(place.path(KEY)).unwrap(), simulator.app_private_key_pem());
    assert_eq!(fs::read_to_string(place.path(SECRET)).unwrap(), secret);
    assert_eq!((mode(&place, KEY), mode(&place, SECRET)), (0o600, 0o600));
    for (what, text) in [("the terminal", &told), ("the page", &page)] {
        assert!(!text.contains(&secret) && !text.contains("PRIVATE KEY"), "{what} shows a secret:\n{text}");
    }

    // What it printed, put into the configuration, is all that Mayfly needs of GitHub.
    let line =
        |key: &str| told.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{told}"));
    place.replace("token = { env = \"GITHUB_TOKEN\" }", line("app = "));
    place.replace("webhook_secrets = [{ env = \"WEBHOOK_SECRET\" }]", line("webhook_secrets = "));
    place.replace("api_url = \"http://127.0.0.1:1\"", line("api_url = "));
    place.replace("http://127.0.0.1:1", &simulator.gcp_url());
    let google = place.path("google.json");
    fs::write(&google, simulator.service_account_json()).unwrap();
    let place = place.env("GOOGLE_APPLICATION_CREDENTIALS", &google.display().to_string());
    let serving = place.serve();
    let webhook = format!("{}/webhook", serving.url);

    let pointed = place.run(&["github-app", "webhook", &webhook]);
    let told = String::from_utf8_lossy(&pointed.stdout).into_owned();
    assert_eq!(
        told,
        format!("the App's webhook goes to {webhook}; before, it went to https://example.com/webhook\n")
    );
    simulator.with(|world, now| {
        world.queue_job(now, JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(200)))
    });
    let served = |world: &World| {
        let over = world.jobs().iter().all(|job| matches!(job.state, JobState::Ended { ran: Some(_), .. }));
        over && world.deliveries_pending() == 0
    };
    assert!(simulator.until(SOON, served).await.is_ok(), "{}", place.log());
    // By its delivery, and not because a sweep came upon it.
    let arrived = simulator.with(|world, _| world.deliveries().iter().all(|each| each.status == Some(202)));
    assert!(arrived, "{}", place.log());
    assert_eq!(serving.stop().await.code(), Some(0));
    wirecheck_new(&place.path("wire.jsonl"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_another_question_is_not_taken() {
    let place = Place::alone();
    let simulator = world(&place, HookOwner::App).await;
    let creating = Creating::begin(&place, &simulator, &[]);
    let form = creating.form().await;
    let made =
        |state: &str| simulator.with(|world, now| world.create_app(now, &form.manifest, state)).unwrap();
    for (wrong, why) in [
        (made("0123456789abcdef0123456789abcdef"), "not the answer"),
        (creating.beside(&format!("made?state={}", form.state)), "no code"),
        (creating.beside("made"), "no code"),
    ] {
        let (status, page) = creating.get(&wrong).await;
        assert_eq!((status, page.contains(why)), (400, true), "{wrong}: {page}");
    }
    assert_eq!(creating.get(&creating.beside("")).await.0, 404, "nobody guesses the page");
    let rebound = creating.client.get(&creating.url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    assert!(!rebound.text().await.unwrap().contains(&form.state));
    assert_eq!(simulator.with(|world, _| world.calls_of("github.manifest_conversion")), 0);
    // The right one still is.
    assert_eq!(creating.get(&made(&form.state)).await.0, 200);
    assert!(creating.end().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_github_does_not_know_leaves_nothing_behind() {
    let place = Place::alone();
    let simulator = world(&place, HookOwner::App).await;
    let creating = Creating::begin(&place, &simulator, &[]);
    let state = creating.form().await.state;
    let (status, page) = creating.get(&creating.beside(&format!("made?code=0123&state={state}"))).await;
    assert_eq!((status, page.contains("Not Found")), (502, true), "{page}");
    let (ended, told) = creating.end();
    let errors = fs::read_to_string(place.path("errors")).unwrap();
    assert_eq!((ended.code(), told.as_str()), (Some(1), ""));
    assert!(errors.contains("Not Found") && errors.contains("begin again"), "{errors}");
    assert!(!place.path(KEY).exists() && !place.path(SECRET).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_there_already_are_left_alone() {
    let place = Place::alone();
    fs::write(place.path(SECRET), "mine").unwrap();
    let refused = place.run(&["github-app", "create", "--organization", "shader-slang"]);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors.contains(SECRET) && errors.contains("is there already"), "{errors}");
    assert_eq!(fs::read_to_string(place.path(SECRET)).unwrap(), "mine");
    assert!(!place.path(KEY).exists());
    let wrong = [
        ["--organization", "a/b"],
        ["--listen", "0.0.0.0:0"],
        ["--pools", "planet"],
        ["--api-url", "http://ghe.corp"],
    ];
    for wrong in &wrong {
        let refused = place.run(&[&["github-app", "create"], &wrong[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_a_webhook_keeps_no_secret_for_one() {
    let place = Place::alone();
    let simulator = world(&place, HookOwner::App).await;
    let creating = Creating::begin(&place, &simulator, &["--no-webhook", "--directory", "."]);
    let form = creating.form().await;
    let back = simulator.with(|world, now| world.create_app(now, &form.manifest, &form.state)).unwrap();
    assert_eq!(creating.get(&back).await.0, 200);
    let (ended, told) = creating.end();
    assert!(ended.success() && told.contains("--poll"), "{told}");
    assert!(place.path(KEY).exists() && !place.path(SECRET).exists());
}
