//! Whole lists: of runners, and of repositories.

use std::collections::BTreeSet;
use std::time::Duration;

use mayfly_core::ids::Repository;
use simulator::{Fault, RunnerId, Scope, Settings};
use tokio::time::Instant;

use super::story::{SOON, Story, enterprise, is_unavailable, organization, refusal, repository, soon};

impl Story {
    fn register_by_hand(&self, count: usize) -> Vec<RunnerId> {
        let scope = || Scope::Organization("shader-slang".to_owned());
        self.world.with(|world, now| {
            let one = |number| world.register_runner(now, scope(), &format!("runner-{number}"), &["GPU"]);
            (0..count).map(one).collect()
        })
    }

    async fn listed(&self) -> BTreeSet<u64> {
        let runners = self.github.runners(&organization(), soon()).await.unwrap();
        let ids: BTreeSet<u64> = runners.iter().map(|runner| runner.id.0).collect();
        assert_eq!(ids.len(), runners.len(), "each once");
        ids
    }
}

#[tokio::test]
async fn all_runners_are_listed_page_by_page() {
    for (count, calls) in [(0, 1), (1, 1), (100, 1), (101, 3), (250, 4)] {
        let story = Story::begin(Settings::brisk()).await;
        let all = story.register_by_hand(count);
        assert_eq!(story.listed().await, all.iter().map(|id| id.0).collect(), "{count}");
        assert_eq!(story.calls(["runners"]), [calls], "{count}");
        story.end();
    }
}

#[tokio::test]
async fn a_runner_is_seen_as_github_shows_it() {
    let story = Story::begin(Settings::brisk()).await;
    let busy = story.register(0).await.unwrap();
    story.make_busy(0, &busy).await;
    story.register_by_hand(1);
    let mut runners = story.github.runners(&organization(), soon()).await.unwrap();
    runners.sort_by_key(|runner| !runner.busy);
    let seen: Vec<(&str, bool, bool)> =
        runners.iter().map(|runner| (runner.name.as_str(), runner.online, runner.busy)).collect();
    assert_eq!(seen, [(story.name(0).as_str(), true, true), ("runner-0", false, false)]);
    assert!(story.github.runners(&repository(), soon()).await.unwrap().is_empty(), "another scope");
    assert_eq!(story.calls(["runner"]), [0], "none is asked for by itself");
    story.end();
}

#[tokio::test]
async fn nobody_is_missed_in_a_list_that_shifts_while_it_is_read() {
    let story = Story::begin(Settings::brisk()).await;
    let mut all = story.register_by_hand(250);
    story.always("github.runners", Fault::Slow(Duration::from_millis(30)));
    // After each page, before the next is asked for, some that are in front of it go.
    let shifting = async {
        for call in 1..=3 {
            let is_asked = |world: &simulator::World| world.calls_of("github.runners") >= call;
            story.world.until(SOON, is_asked).await.unwrap();
            for gone in all.drain(..7) {
                story.world.with(|world, now| world.drop_runner(now, gone));
            }
        }
    };
    let (listed, ()) = tokio::join!(story.listed(), shifting);
    assert!(all.iter().all(|id| listed.contains(&id.0)), "somebody was missed");
    assert_eq!(story.calls(["runners"]), [4]);
    story.end();
}

#[tokio::test]
async fn a_list_that_cannot_be_read_whole_is_unknown() {
    let story = Story::begin(Settings::brisk()).await;
    story.register_by_hand(10_001);
    assert!(is_unavailable(&story.github.runners(&organization(), soon()).await), "more than is listed");
    assert_eq!(story.calls(["runners"]), [1]);

    let story = Story::begin(Settings::brisk()).await;
    story.register_by_hand(250);
    story.strike("github.runners", Fault::Slow(Duration::ZERO));
    for _ in 0..3 {
        story.strike("github.runners", Fault::ErrorBefore(502));
    }
    assert!(is_unavailable(&story.github.runners(&organization(), soon()).await), "the second page failed");
    let late = Instant::now() + Duration::from_millis(300);
    story.always("github.runners", Fault::HangsBefore);
    assert!(is_unavailable(&story.github.runners(&organization(), late).await));
    story.end();
}

fn world_of(names: &[&str]) -> Settings {
    let repositories = names.iter().map(|name| simulator::Repository::public(name)).collect();
    Settings { repositories, ..Settings::brisk() }
}

fn named(repositories: &[Repository]) -> Vec<&str> {
    repositories.iter().map(Repository::as_str).collect()
}

#[tokio::test]
async fn an_organizations_live_repositories_are_listed_and_remembered() {
    let mut settings = world_of(&["shader-slang/slang", "other/x", "shader-slang/old", "shader-slang/a"]);
    settings.repositories[2].archived = true;
    let app = Story::begin(settings.clone()).await;
    let pat = Story::as_nobody(settings).await;
    let token = pat.world.pat();
    let pat = pat.with_login(|story| story.token(&token));
    for (story, calls) in [(app, [1, 0]), (pat, [0, 1])] {
        for _ in 0..2 {
            let listed = story.github.repositories(&organization(), soon()).await.unwrap();
            assert_eq!(named(&listed), ["shader-slang/a", "shader-slang/slang"]);
        }
        assert_eq!(story.calls(["installation_repositories", "org_repositories"]), calls);
        let itself = story.github.repositories(&repository(), soon()).await.unwrap();
        assert_eq!(named(&itself), ["shader-slang/slang"]);
        assert!(story.github.repositories(&enterprise(), soon()).await.unwrap().is_empty());
        assert_eq!(story.calls(["installation_repositories", "org_repositories"]), calls);
        story.end();
    }
}

#[tokio::test]
async fn repositories_are_listed_page_by_page() {
    let names: Vec<String> = (0..130).map(|number| format!("shader-slang/r{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let story = Story::begin(world_of(&names)).await;
    assert_eq!(story.github.repositories(&organization(), soon()).await.unwrap().len(), 130);
    assert_eq!(story.calls(["installation_repositories"]), [2]);
    story.end();
}

#[tokio::test]
async fn a_failed_list_of_repositories_is_not_remembered() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("github.installation_repositories", Fault::ErrorBefore(403));
    let (status, why) = refusal(story.github.repositories(&organization(), soon()).await);
    assert!(status == 403 && why.contains("Metadata: read"), "{why}");
    assert_eq!(story.github.repositories(&organization(), soon()).await.unwrap().len(), 1);
    story.end();
}
