//! Hooks, and the deliveries that failed: found, asked for again, arriving.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Account, Repository};
use mayfly_core::policy::Scope;
use mayfly_core::sweep::Attempt;
use mayfly_service::config::GitHubLogin;
use mayfly_service::github::{GitHub, Hook};
use simulator::{Chance, Fault, HookOwner, JobSpec, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::story::{SOON, Story, client_with_hook, enterprise, organization, refusal, repository, soon};

const SLANG: &str = "shader-slang/slang";
const URL: &str = "https://x.lambda-url.us-east-1.on.aws/webhook";
const HOOK_ID: u64 = 460_000_001;

fn owners() -> [(HookOwner, Hook); 3] {
    let (login, name) = (Account::new("shader-slang").unwrap(), Repository::new(SLANG).unwrap());
    [
        (HookOwner::App, Hook::App),
        (HookOwner::Organization(login.to_string()), Hook::Organization { login, id: HOOK_ID }),
        (HookOwner::Repository(name.to_string()), Hook::Repository { name, id: HOOK_ID }),
    ]
}

impl Story {
    /// A world with that hook, pointing to `URL`.
    async fn with_hook(hook: HookOwner) -> Self {
        let story = Self::begin(Settings { hook, ..Settings::brisk() }).await;
        story.world.with(|world, _| world.webhook_url = URL.to_owned());
        story
    }

    fn client_as(&self, login: GitHubLogin, webhook_url: Option<&str>) -> GitHub {
        client_with_hook(&self.world.github_url(), login, webhook_url)
    }

    fn pat(&self) -> GitHubLogin {
        self.token(&self.world.pat())
    }

    /// Queues jobs whose events get lost on their way, and waits for that.
    async fn lose(&self, count: usize) {
        self.world.with(|world, now| {
            world.faults.deliveries.lost = Chance::next(u32::try_from(count).unwrap());
            for _ in 0..count {
                world.queue_job(now, JobSpec::new(SLANG, &["Nobodys"]));
            }
        });
        let all_lost = |world: &simulator::World| world.view().deliveries_pending == 0;
        self.world.until(SOON, all_lost).await.unwrap();
    }

    async fn failed(&self, hook: &Hook) -> Vec<Attempt> {
        self.github.deliveries(hook, true, an_hour_ago(), 10, soon()).await.unwrap().attempts
    }
}

fn an_hour_ago() -> Timestamp {
    Timestamp::now() - Duration::from_secs(3_600)
}

/// A webhook that takes everything; the GUIDs of what arrives.
async fn receiver(story: &Story) -> mpsc::UnboundedReceiver<String> {
    let (send, receive) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    story.world.set_webhook(&format!("http://{}/webhook", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let mut text = String::new();
                let is_whole = |text: &str| {
                    let length = header(text, "content-length").and_then(|value| value.parse::<usize>().ok());
                    text.split_once("\r\n\r\n").is_some_and(|(_, body)| Some(body.len()) >= length)
                };
                while !is_whole(&text) {
                    let mut part = [0; 4_096];
                    let read = socket.read(&mut part).await.unwrap();
                    assert!(read > 0, "it ends early");
                    text.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                send.send(header(&text, "x-github-delivery").unwrap()).unwrap();
                let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                socket.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    receive
}

fn header(text: &str, name: &str) -> Option<String> {
    let mut lines = text.split("\r\n").map_while(|line| (!line.is_empty()).then_some(line));
    lines.find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

#[tokio::test]
async fn failed_deliveries_are_found_asked_for_again_and_arrive() {
    for (owner, hook) in owners() {
        let story = Story::with_hook(owner).await;
        story.lose(2).await;
        let failed = story.failed(&hook).await;
        assert_eq!(failed.len(), 2, "{hook}");
        assert!(failed.iter().all(|attempt| attempt.failed) && failed[0].id > failed[1].id);
        let mut arrived = receiver(&story).await;
        story.github.redeliver(&hook, failed[1].id, soon()).await.unwrap();
        let guid = tokio::time::timeout(SOON, arrived.recv()).await.unwrap().unwrap();
        assert_eq!(guid, failed[1].guid, "{hook}");

        // GitHub writes the answer down a moment after it came; then the list by status has it.
        let again = loop {
            let listed = story.github.deliveries(&hook, false, an_hour_ago(), 1, soon()).await.unwrap();
            if let Some(first) = listed.attempts.first() {
                break first.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(again.guid == guid && again.id > failed[0].id && !again.failed, "{hook}");
        assert_eq!(story.failed(&hook).await, failed, "the other list is as it was");
        story.end();
    }
}

#[tokio::test]
async fn deliveries_are_read_to_a_moment_or_a_bound() {
    for (owner, hook) in owners() {
        let story = Story::with_hook(owner).await;
        story.lose(230).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        story.lose(120).await;
        let read = async |since, pages| {
            let before = story.calls(["deliveries"])[0];
            let read = story.github.deliveries(&hook, true, since, pages, soon()).await.unwrap();
            (read, story.calls(["deliveries"])[0] - before)
        };
        let (all, calls) = read(an_hour_ago(), 10).await;
        assert_eq!((all.attempts.len(), all.whole, calls), (350, true, 4), "{hook}");
        assert!(all.attempts.is_sorted_by(|one, other| one.id > other.id), "newest first, each once");

        let (some, calls) = read(an_hour_ago(), 2).await;
        assert_eq!((some.attempts.as_slice(), some.whole, calls), (&all.attempts[..200], false, 2), "{hook}");

        let since = all.attempts[..120].iter().map(|attempt| attempt.at).min().unwrap();
        let (late, calls) = read(since, 10).await;
        assert_eq!((late.attempts.as_slice(), late.whole, calls), (&all.attempts[..120], true, 3), "{hook}");
        story.end();
    }
}

#[tokio::test]
async fn the_hook_is_found_by_its_address() {
    for (owner, hook) in owners() {
        let story = Story::with_hook(owner).await;
        let nobodys = Scope::Organization(Account::new("somebody-else").unwrap());
        let scopes = [enterprise(), nobodys, repository(), organization(), organization()];
        let mut logins = vec![("app", story.app(None))];
        if hook != Hook::App {
            logins.push(("token", story.pat()));
        }
        let ours = std::slice::from_ref(&hook);
        for (who, login) in logins {
            let github = story.client_as(login, Some(URL));
            assert_eq!(github.hooks(&scopes, soon()).await.unwrap(), ours, "{hook} {who}");
            let calls = github.calls();
            assert_eq!(github.hooks(&scopes, soon()).await.unwrap(), ours, "{hook} {who}");
            assert_eq!(github.calls(), calls, "remembered");
        }
        let scopes = [organization(), repository()];
        let other = story.client_as(story.app(None), Some("https://example.com/webhook"));
        assert!(other.hooks(&scopes, soon()).await.unwrap().is_empty(), "it points elsewhere");
        story.end();
    }
}

#[tokio::test]
async fn without_an_address_it_is_the_apps_own_or_none() {
    let story = Story::with_hook(HookOwner::App).await;
    let app = story.client_as(story.app(None), None);
    assert_eq!(app.hooks(&[organization()], soon()).await.unwrap(), [Hook::App]);
    let token = story.client_as(story.pat(), None);
    assert!(token.hooks(&[organization()], soon()).await.unwrap().is_empty());
    assert_eq!((app.calls(), token.calls()), (0, 0));
    story.end();
}

#[tokio::test]
async fn hooks_that_may_not_be_read_are_refused_with_what_is_missing() {
    let hints =
        ["has the App a webhook", "organization permission `Webhooks", "repository permission `Webhooks"];
    for ((owner, hook), hint) in owners().into_iter().zip(hints) {
        let settings = Settings { hook: owner, hook_access: false, ..Settings::brisk() };
        let story = Story::begin(settings).await;
        let (status, why) = refusal(story.github.deliveries(&hook, true, an_hour_ago(), 1, soon()).await);
        assert!(status == 403 && why.contains(hint), "{hook}: {why}");
        let (status, why) = refusal(story.github.redeliver(&hook, 1, soon()).await);
        assert!(status == 403 && why.contains(hint), "{hook}: {why}");
        story.end();
    }
    let hook = HookOwner::Organization("shader-slang".to_owned());
    let story = Story::begin(Settings { hook, hook_access: false, ..Settings::brisk() }).await;
    for (scope, hint) in [(organization(), hints[1]), (repository(), hints[2])] {
        for login in [story.pat(), story.app(None)] {
            let github = story.client_as(login, Some(URL));
            let (status, why) = refusal(github.hooks(std::slice::from_ref(&scope), soon()).await);
            assert!(status == 403 && why.contains(hint), "{why}");
        }
    }
    story.end();
}

#[tokio::test]
async fn a_look_for_hooks_that_fails_is_made_again() {
    let story = Story::with_hook(HookOwner::Organization("shader-slang".to_owned())).await;
    let github = story.client_as(story.pat(), Some(URL));
    let limit = Fault::Limited { status: 429, retry_after: Duration::from_secs(90) };
    story.strike("github.hooks", limit);
    // Who is not asked may have the hook: this is not known, and not none.
    assert!(github.hooks(&[organization(), repository()], soon()).await.is_err());
    let found = github.hooks(&[organization()], soon()).await.unwrap();
    assert_eq!(found.iter().map(Hook::to_string).collect::<Vec<_>>(), ["orgs/shader-slang/hooks/460000001"]);

    // A hook that was made anew has another id.
    story.strike("github.deliveries", Fault::ErrorBefore(404));
    refusal(github.deliveries(&found[0], true, an_hour_ago(), 1, soon()).await);
    let before = story.calls(["hooks"])[0];
    assert_eq!(github.hooks(&[organization()], soon()).await.unwrap(), found);
    assert_eq!(story.calls(["hooks"])[0] - before, 1);
    story.end();
}
