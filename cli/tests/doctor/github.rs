//! What is wrong at GitHub: the way there, the login, permissions, runner groups.

use simulator::{GroupVisibility, RunnerGroup};

use super::stage::{self, right};

#[tokio::test(flavor = "multi_thread")]
async fn github_cannot_be_reached() {
    let stage = right().await;
    let url = stage.simulator.github_url();
    let stage = stage.but(&url, "http://127.0.0.1:1");
    let found = stage.look();
    found.wrong("github", "it answers", "no answer", "github.api_url");
    found.says("skipped", "github", "webhooks", "GitHub cannot be reached", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_of_another_app() {
    let stage = right().await;
    let id = stage.simulator.app_client_id();
    let stage = stage.but(&id, "Iv23liSomebodyElses");
    stage.look().wrong("github", "login", "refused with 401", "from one and the same App's settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_installed() {
    let stage = stage::with(|settings| settings.rights.installed = false).await;
    stage.look().wrong("github", "orgs/shader-slang: installation", "404", "install the App");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_suspended() {
    let stage = stage::with(|settings| settings.rights.suspended = true).await;
    stage.look().wrong("github", "orgs/shader-slang: installation", "is suspended since", "unsuspend");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_not_register_runners() {
    let permission = "organization_self_hosted_runners";
    for level in [None, Some("read")] {
        let stage = stage::with(|settings| {
            let permissions = &mut settings.rights.app_permissions;
            permissions.remove(permission);
            permissions.extend(level.map(|level| (permission.to_owned(), level.to_owned())));
        })
        .await;
        let why = format!("is {}, and must be write: no runner can be registered", level.unwrap_or("none"));
        let mend = "Self-hosted runners: read and write (organization)";
        stage.look().wrong("github", &format!("permission {permission}"), &why, mend);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_not_read_actions() {
    let stage = stage::with(|settings| {
        settings.rights.app_permissions.remove("actions");
    })
    .await;
    stage.look().wrong(
        "github",
        "permission actions",
        "is none, and must be read",
        "Actions: read (repository)",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_not_write_check_runs_is_only_told_of_where_they_are_wanted() {
    let stage = stage::with(|settings| {
        settings.rights.app_permissions.remove("checks");
    })
    .await;
    let found = stage.look();
    assert!(!found.findings.iter().any(|each| each["what"].as_str().unwrap_or_default().contains("checks")));
    let stage = stage.but("[providers.gcp]", "[notifications]\nwaiting_after = \"10m\"\n[providers.gcp]");
    let found = stage.look();
    let why = "is none, and must be write: no commit says that its job waits";
    found.says("warning", "github", "permission checks", why, "Checks: read and write (repository)");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_not_administer_the_repository_of_a_pool() {
    let stage = stage::with(|settings| {
        settings.rights.app_permissions.insert("administration".to_owned(), "read".to_owned());
    })
    .await
    .but("organization = \"shader-slang\"", "repository = \"shader-slang/slang\"");
    let what = "repos/shader-slang/slang: permission administration";
    stage.look().wrong("github", what, "is read, and must be write", "Administration: read and write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken() {
    let mut stage = right().await.by_token();
    stage.place.environment.retain(|(name, _)| name != "GITHUB_TOKEN");
    stage.place.environment.push(("GITHUB_TOKEN".to_owned(), "ghp_expired".to_owned()));
    stage.look().wrong("github", "orgs/shader-slang: runners", "refused with 401", "make a new token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_scope_for_runners() {
    let stage = stage::with(|settings| {
        settings.rights.token_scopes.remove("admin:org");
    })
    .await
    .by_token();
    let why = "it takes the scope admin:org";
    stage.look().wrong("github", "orgs/shader-slang: runners", why, "give the token the scope admin:org");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_group_that_does_not_exist() {
    let stage = right().await.but("runner_group = \"default\"", "runner_group = \"gpu\"");
    let why = "there is none of that name; there are Default";
    stage.look().wrong("github", "pool linux-gpu: runner group gpu", why, "make the group");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_group_of_a_repository() {
    let stage = right()
        .await
        .but("runner_group = \"default\"", "runner_group = \"gpu\"")
        .but("organization = \"shader-slang\"", "repository = \"shader-slang/slang\"");
    let why = "`pools[0].runner_group` = \"gpu\": a repository has only the group `default`";
    stage.look().wrong("configuration", "it loads", why, "correct what the message names");
}

fn group(visibility: GroupVisibility, allows_public_repositories: bool) -> RunnerGroup {
    RunnerGroup { id: 1, name: "Default".to_owned(), visibility, allows_public_repositories }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_group_that_does_not_admit_the_repository() {
    for visibility in
        [GroupVisibility::Selected(vec!["another".to_owned()]), GroupVisibility::Selected(Vec::new())]
    {
        let stage = stage::with(|settings| {
            settings.repositories.push(simulator::Repository::public("shader-slang/another"));
            settings.runner_groups = vec![group(visibility, true)];
        })
        .await;
        let why = "shader-slang/slang is not among the group's repositories";
        stage.look().wrong(
            "github",
            "whom its runner group admits",
            why,
            "add it in the settings of runner group",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_group_that_admits_no_public_repository() {
    for group in [group(GroupVisibility::All, false), group(GroupVisibility::Private, true)] {
        let stage = stage::with(|settings| {
            settings.repositories = vec![simulator::Repository::public("shader-slang/slang")];
            settings.runner_groups = vec![group];
        })
        .await;
        let why = "shader-slang/slang is public";
        stage.look().wrong("github", "whom its runner group admits", why, "allow public repositories");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_group_without_any_repository_of_the_pool() {
    let stage = stage::with(|settings| {
        settings.repositories.push(simulator::Repository::public("shader-slang/another"));
        settings.runner_groups = vec![group(GroupVisibility::Selected(vec!["another".to_owned()]), true)];
    })
    .await
    .but("repositories = [\"slang\", \"slang-*\"]", "repositories = [\"slang-*\"]");
    let why = "none of the group's repositories is one of the pool's";
    stage.look().wrong("github", "whom its runner group admits", why, "add them in the settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_does_not_exist() {
    let stage = right().await.but("\"slang\",", "\"slagn\",");
    let what = "pool linux-gpu: repository shader-slang/slagn";
    stage.look().wrong("github", what, "there is none of that name", "correct the pool's `repositories`");
}
