//! The status page over HTTP: who may see it, and with which headers. Without `[page]` in the configuration there is none.
//!
//! The token comes in a header, or in the form that its absence is answered with, never in an address: addresses end up in logs and
//! histories. AWS keeps `WWW-Authenticate` from whoever calls a Function URL (it comes as `x-amzn-Remapped-WWW-Authenticate`), so a
//! browser asks for nothing there, and needs the form.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use mayfly_core::page::{STYLE, render};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::clock;
use crate::config::{PageConfig, Url};
use crate::inbound::{Answer, Request};
use crate::look::page_of;
use crate::mayfly::Mayfly;
use crate::secret::{Secret, SecretError, Secrets};

/// A shorter token could be guessed.
const TOKEN_SHORTEST: usize = 16;
/// A form with a token in it is no longer.
const FORM_MOST: usize = 4096;
/// The page is made within this time, or not at all.
const LONGEST: Duration = Duration::from_secs(15);

const FORM_STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:15vh auto;padding:0 1rem;\
                          color-scheme:light dark}label,input,button{display:block;font:inherit;width:100%;\
                          box-sizing:border-box;margin:.3rem 0;padding:.4rem}label{padding:0}:root{color-scheme:light dark}";

/// Who may see the page.
#[derive(Debug)]
pub struct Door {
    config: PageConfig,
    /// Fetched when the page is first asked for: no webhook waits for it.
    token: OnceCell<Secret>,
}

impl Door {
    /// The door that is configured; its token is not fetched yet.
    pub fn new(config: PageConfig) -> Self {
        Self { config, token: OnceCell::new() }
    }

    /// Fetches the token, unless that was done before.
    ///
    /// # Errors
    /// It is not there, or too short.
    pub async fn token(&self) -> Result<&Secret, SecretError> {
        let source = &self.config.token;
        let fetch = async {
            let token = Secrets::default().fetch(source).await?;
            if token.expose().len() < TOKEN_SHORTEST {
                let why = format!("is too short: a token has at least {TOKEN_SHORTEST} characters");
                return Err(SecretError { source_name: source.to_string(), why });
            }
            Ok(token)
        };
        self.token.get_or_try_init(|| fetch).await
    }
}

/// Whether both are the same, in a time that tells nothing of where they differ.
fn is_same(given: &str, token: &Secret) -> bool {
    let mac = |text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the status page's token").ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    let (Some(given), Some(token)) = (mac(given), mac(token.expose())) else { return false };
    token.verify(&given.finalize().into_bytes()).is_ok()
}

/// The token in an `Authorization` header: a bearer's, or Basic's password, whatever the user's name.
fn authorized(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// The token in the form's body.
fn posted(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok().filter(|body| body.len() <= FORM_MOST)?;
    let mut url = Url::parse("http://form/").ok()?;
    url.set_query(Some(body));
    url.query_pairs().find(|(name, _)| name == "token").map(|(_, token)| token.trim().to_owned())
}

/// What a browser is told of every answer of the page.
fn sealed(answer: Answer, style: &str, forms: &str) -> Answer {
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
         form-action {forms}"
    );
    answer
        .header("content-type", "text/html; charset=utf-8")
        .header("content-security-policy", &policy)
        .header("cache-control", "no-store")
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", "DENY")
        .header("referrer-policy", "no-referrer")
        .header("x-robots-tag", "noindex")
        .header("cross-origin-opener-policy", "same-origin")
}

/// Says that a token is wanted, and nothing else.
fn refused() -> Answer {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>Token</title><style>\
         {FORM_STYLE}</style></head><body><main><h1>Token</h1><form method=\"post\" action=\"./\"><label for=\"token\">Token \
         of this page</label><input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" \
         required><button>Show</button></form></main></body></html>\n"
    );
    let answer =
        Answer::text(401, body).header("www-authenticate", "Basic realm=\"Mayfly\", charset=\"UTF-8\"");
    sealed(answer, FORM_STYLE, "'self'")
}

impl Mayfly {
    /// Answers a request for the page: whoever has the token sees it, by `GET` with a header or by `POST` of the form.
    pub(crate) async fn show_page(&self, door: &Door, request: Request<'_>) -> Answer {
        let given = request.authorization.and_then(authorized);
        let given = match request.method {
            "GET" => given,
            "POST" => posted(request.body).or(given),
            _ => return Answer::error(405, "method not allowed"),
        };
        let Some(given) = given else { return refused() };
        let page = async {
            let token = match door.token().await {
                Ok(token) => token,
                Err(error) => {
                    tracing::error!(%error, "the page's token could not be fetched: the page is not shown");
                    return unavailable();
                }
            };
            if !is_same(&given, token) {
                return refused();
            }
            match page_of(&self.ledger, &self.policy, &door.config.currency, clock::now()).await {
                Ok(page) => sealed(Answer::text(200, render(&page)), STYLE, "'none'"),
                Err(error) => {
                    tracing::warn!(%error, "the page could not be made: the table does not answer");
                    unavailable()
                }
            }
        };
        // On the heap: no webhook is to carry it along.
        tokio::time::timeout(LONGEST, Box::pin(page)).await.unwrap_or_else(|_| unavailable())
    }
}

/// Nothing of the inside is told to whoever asks.
fn unavailable() -> Answer {
    Answer::error(503, "the page cannot be shown now; the log says why").header("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_a_bearer_or_from_basic_and_from_nothing_else() {
        assert_eq!(authorized("Bearer s3cret").as_deref(), Some("s3cret"));
        assert_eq!(authorized("bearer s3cret").as_deref(), Some("s3cret"));
        // `anybody:with:colons`
        assert_eq!(authorized("Basic YW55Ym9keTp3aXRoOmNvbG9ucw==").as_deref(), Some("with:colons"));
        for wrong in ["", "s3cret", "Bearer", "Basic", "Basic !", "Basic bm9jb2xvbg==", "Digest s3cret"] {
            assert_eq!(authorized(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_gives_its_token_and_no_large_body_is_read() {
        assert_eq!(posted(b"token=a+b%2Fc&x=y").as_deref(), Some("a b/c"));
        assert_eq!(posted(b"other=x"), None);
        assert_eq!(posted(&[0xff]), None);
        assert_eq!(posted(format!("token={}", "a".repeat(FORM_MOST)).as_bytes()), None);
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = Secret::new("a token of the page");
        assert!(is_same("a token of the page", &token));
        for wrong in ["", "a token of the pag", "a token of the page ", "A token of the page"] {
            assert!(!is_same(wrong, &token), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_token_that_could_be_guessed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "short").unwrap();
        let token = crate::secret::SecretSource::File(file);
        let door = Door::new(PageConfig { token, currency: String::new() });
        assert!(door.token().await.unwrap_err().to_string().contains("too short"));
    }
}
