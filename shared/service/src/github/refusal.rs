//! What a refusal means, and what to do about it.

use mayfly_core::brief::brief;
use mayfly_core::policy::Scope;
use reqwest::header::HeaderMap;

use super::GitHubError;
use super::http::{NOT_FOUND, Said};

/// The credentials are not taken.
pub(crate) const UNAUTHORIZED: u16 = 401;
/// They are, but do not allow this.
pub(crate) const FORBIDDEN: u16 = 403;

/// What a call must be allowed to do, as the documentation of an App's permissions has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// To register, list and delete runners.
    Runners,
    /// To read workflow runs and jobs.
    Actions,
    /// To read webhooks, and have failed deliveries sent again.
    Webhooks,
    /// To see repositories.
    Metadata,
    /// To write check runs.
    Checks,
}

/// The error of an answer that is no success.
pub(super) fn refused(doing: &'static str, scope: &Scope, permission: Permission, said: Said) -> GitHubError {
    let Said { status, message } = said;
    // What it finds wrong with a request has nothing to do with permissions.
    let why = if status == NOT_FOUND { told(scope, permission, &message) } else { message };
    GitHubError::Refused { doing, status, why }
}

/// A refusal, with what to do about it.
pub(super) fn hinted(scope: &Scope, permission: Permission, error: GitHubError) -> GitHubError {
    match error {
        GitHubError::Refused { doing, status: status @ FORBIDDEN, why } => {
            GitHubError::Refused { doing, status, why: told(scope, permission, &why) }
        }
        GitHubError::Refused { doing, status: status @ UNAUTHORIZED, why } => {
            let why = format!("{why}; has the token expired, or been revoked?");
            GitHubError::Refused { doing, status, why }
        }
        GitHubError::Refused { .. } | GitHubError::RateLimited { .. } | GitHubError::Unavailable { .. } => {
            error
        }
    }
}

/// GitHub answers 404 for what exists but must not be seen: say so.
fn told(scope: &Scope, permission: Permission, why: &str) -> String {
    let what = match scope {
        Scope::Organization(_) => "organization",
        Scope::Repository(_) => "repository",
        Scope::Enterprise(_) => "enterprise",
    };
    let permission = match (permission, scope) {
        (Permission::Runners, Scope::Organization(_)) => {
            "the organization permission `Self-hosted runners: write`"
        }
        (Permission::Runners, Scope::Repository(_)) => "the repository permission `Administration: write`",
        (Permission::Runners, Scope::Enterprise(_)) => {
            "the enterprise permission `Enterprise self-hosted runners: write`"
        }
        (Permission::Webhooks, Scope::Organization(_)) => "the organization permission `Webhooks: write`",
        (Permission::Webhooks, Scope::Repository(_) | Scope::Enterprise(_)) => {
            "the repository permission `Webhooks: write`"
        }
        (Permission::Actions, _) => "the repository permission `Actions: read`",
        (Permission::Checks, _) => "the repository permission `Checks: write`",
        (Permission::Metadata, _) => "the repository permission `Metadata: read`",
    };
    format!(
        "{why}; does the {what} exist, is the App installed there, and does it (or the token) have {permission}?"
    )
}

/// A refusal of the App itself, with what to do about it; `forbidden` is for 403.
pub(super) fn not_the_app(error: GitHubError, forbidden: &str) -> GitHubError {
    let hint = |status| match status {
        UNAUTHORIZED => {
            Some("does github.app.private_key belong to github.app.client_id, and is the clock right?")
        }
        FORBIDDEN => Some(forbidden),
        _ => None,
    };
    match error {
        GitHubError::Refused { doing, status, why } => {
            let why = hint(status).map_or(why.clone(), |hint| format!("{why}; {hint}"));
            GitHubError::Refused { doing, status, why }
        }
        GitHubError::RateLimited { .. } | GitHubError::Unavailable { .. } => error,
    }
}

/// A refusal's message with what GitHub says would do: an App's and a fine-grained token's permissions
/// (`x-accepted-github-permissions`), or a classic token's scopes (`x-accepted-oauth-scopes`).
pub(super) fn with_accepted(message: String, headers: &HeaderMap) -> String {
    /// What is repeated of a header of GitHub's, in characters.
    const LENGTH_MOST: usize = 200;
    let told = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then(|| brief(text, LENGTH_MOST))
    };
    match (told("x-accepted-github-permissions"), told("x-accepted-oauth-scopes")) {
        (Some(permissions), _) => format!("{message} (it takes the permission {permissions})"),
        (None, Some(scopes)) => format!("{message} (it takes the scope {scopes})"),
        (None, None) => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_what_github_would_take() {
        let why = |headers: &[(&'static str, &str)]| {
            let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            with_accepted("No".to_owned(), &pairs.collect())
        };
        let permissions = ("x-accepted-github-permissions", "organization_self_hosted_runners=write");
        let scopes = ("x-accepted-oauth-scopes", "admin:org");
        assert_eq!(
            why(&[permissions, scopes]),
            "No (it takes the permission organization_self_hosted_runners=write)"
        );
        assert_eq!(why(&[scopes]), "No (it takes the scope admin:org)");
        assert_eq!(why(&[("x-accepted-oauth-scopes", "")]), "No");
    }
}
