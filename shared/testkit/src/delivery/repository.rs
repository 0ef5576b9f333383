//! The repository, organization and user objects of webhook payloads.

use serde_json::{Value, json};

/// Fields `…_url` of a repository that lead below its API address.
const REPOSITORY_URLS: [(&str, &str); 36] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// Switches of a repository, as they are unless somebody touches them.
const REPOSITORY_FLAGS: [(&str, bool); 11] = [
    ("has_issues", true),
    ("has_projects", true),
    ("has_downloads", true),
    ("has_wiki", true),
    ("has_pages", false),
    ("has_discussions", false),
    ("archived", false),
    ("disabled", false),
    ("is_template", false),
    ("allow_forking", true),
    ("web_commit_signoff_required", false),
];

/// Fields `…_url` of a user that lead below its API address.
const USER_URLS: [(&str, &str); 9] = [
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// Fields `…_url` of an organization that lead below its API address.
const ORGANIZATION_URLS: [(&str, &str); 6] = [
    ("repos_url", "/repos"),
    ("events_url", "/events"),
    ("hooks_url", "/hooks"),
    ("issues_url", "/issues"),
    ("members_url", "/members{/member}"),
    ("public_members_url", "/public_members{/member}"),
];

/// A repository, by its `owner/name`.
pub(crate) fn repository(full_name: &str, private: bool) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    let (api, html) =
        (format!("https://api.github.com/repos/{full_name}"), format!("https://github.com/{full_name}"));
    let mut repository = json!({
        "id": 93_882_897, "node_id": "MDEwOlJlcG9zaXRvcnk5Mzg4Mjg5Nw==", "name": name, "full_name": full_name,
        "private": private, "visibility": if private { "private" } else { "public" },
        "owner": user(owner, "Organization"), "html_url": html, "url": api,
        "description": "A repository that tests pretend to build", "fork": false,
        "created_at": "2017-06-09T17:51:21Z", "updated_at": "2026-01-01T09:10:11Z",
        "pushed_at": "2026-01-02T03:00:00Z",
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "clone_url": format!("{html}.git"), "svn_url": html, "homepage": null, "mirror_url": null,
        "size": 123_456, "stargazers_count": 10, "watchers_count": 10, "watchers": 10, "forks_count": 3, "forks": 3,
        "open_issues_count": 7, "open_issues": 7, "language": "C++", "default_branch": "main",
        "topics": [], "custom_properties": {},
        "license": {
            "key": "mit", "name": "MIT License", "spdx_id": "MIT", "url": "https://api.github.com/licenses/mit",
            "node_id": "MDc6TGljZW5zZTEz",
        },
    });
    for (field, value) in REPOSITORY_FLAGS {
        repository[field] = json!(value);
    }
    add_urls(&mut repository, &api, &REPOSITORY_URLS);
    repository
}

/// An organization, by its login.
pub(crate) fn organization(login: &str) -> Value {
    let api = format!("https://api.github.com/orgs/{login}");
    let mut organization = json!({
        "login": login, "id": 51_237_812, "node_id": "MDEyOk9yZ2FuaXphdGlvbjUxMjM3ODEy", "url": api,
        "avatar_url": "https://avatars.githubusercontent.com/u/51237812?v=4", "description": null,
    });
    add_urls(&mut organization, &api, &ORGANIZATION_URLS);
    organization
}

/// A user of type `User` or `Organization`, by its login.
pub(crate) fn user(login: &str, kind: &str) -> Value {
    let api = format!("https://api.github.com/users/{login}");
    let mut user = json!({
        "login": login, "id": 583_231, "node_id": "MDQ6VXNlcjU4MzIzMQ==", "gravatar_id": "", "url": api,
        "avatar_url": "https://avatars.githubusercontent.com/u/583231?v=4",
        "html_url": format!("https://github.com/{login}"), "type": kind, "user_view_type": "public",
        "site_admin": false,
    });
    add_urls(&mut user, &api, &USER_URLS);
    user
}

fn add_urls(object: &mut Value, base: &str, urls: &[(&str, &str)]) {
    for (field, path) in urls {
        object[*field] = json!(format!("{base}{path}"));
    }
}
