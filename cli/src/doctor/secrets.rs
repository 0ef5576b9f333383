//! Whether the secrets are where the configuration says. What is in them is never shown.

use mayfly_service::config::{Config, GitHubLogin, ProviderConfig};
use mayfly_service::secret::{SecretSource, Secrets};
use tokio::time::Instant;

use super::finding::Findings;

/// Whether GitHub's can be had: without it nobody can log in there.
pub async fn examine(config: &Config, found: &mut Findings, deadline: Instant) -> bool {
    let secrets = Secrets::default();
    let mut has_login = true;
    for (key, source) in places(config) {
        let fetched = tokio::time::timeout_at(deadline, secrets.fetch(source)).await;
        let why = match fetched {
            Ok(Ok(_)) => {
                found.ok(format!("`{key}`"), source.to_string());
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("{source}: no answer in time"),
        };
        has_login &= !key.starts_with("github.app") && key != "github.token";
        if source.is_local() {
            let mend =
                "put it there, or name another place for it; the functions look for it in the same one";
            found.wrong(format!("`{key}`"), why, mend);
        } else {
            // Whoever looks may have no right to it, and the functions have.
            let mend = "see whether it is there, and whether the functions' role may read it";
            found.warning(format!("`{key}`"), why, mend);
        }
    }
    has_login
}

/// Every secret of the configuration, by its key.
fn places(config: &Config) -> Vec<(String, &SecretSource)> {
    let login = match &config.github.login {
        GitHubLogin::App { private_key, .. } => ("github.app.private_key".to_owned(), private_key),
        GitHubLogin::Token(token) => ("github.token".to_owned(), token),
    };
    let hooks = config.github.webhook_secrets.iter().enumerate();
    let hooks = hooks.map(|(at, source)| (format!("github.webhook_secrets[{at}]"), source));
    let providers = config.providers.iter().filter_map(|(name, provider)| match provider {
        ProviderConfig::Proxmox { token_secret, .. } => {
            Some((format!("providers.{name}.token_secret"), token_secret))
        }
        ProviderConfig::Gcp { .. } => None,
    });
    std::iter::once(login).chain(hooks).chain(providers).collect()
}
