//! One request to GitHub: headers, deadline, retries, and the answer typed by what the caller does next.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use mayfly_core::pace::Allowance;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, LINK, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::allowance::Allowances;
use super::refusal::with_accepted;
use super::said::{limit, message};
use super::{GitHubError, Permission, link};
use crate::secret::Secret;
use crate::tally::Tally;

/// One try's limit; GitHub itself gives up on a request after ten seconds.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A request is sent at most so often, unless it says otherwise.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);
/// A `retry-after` up to this is waited for; a longer one is the sweep's.
const RETRY_AFTER_WAITED: Duration = Duration::from_secs(5);
/// The largest answer that is read: a page of a hundred runners has some 60 KB.
const ANSWER_MOST: usize = 4 << 20;
/// A renamed organization or repository takes one, and may have been renamed again.
const REDIRECTS_MOST: usize = 3;

/// A request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) doing: &'static str,
    /// What must be allowed for it.
    pub(super) needs: Permission,
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    body: Option<&'a Value>,
    tries: u32,
}

/// What GitHub said, where it said something that the caller decides on.
#[derive(Debug)]
pub(super) enum Status {
    /// 2xx
    Ok(Answer),
    /// 404, 409 or 422
    Said(Said),
}

/// An answer that is no success, and not always a failure.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    /// GitHub's `message`
    pub(super) message: String,
}

/// There is no such thing, or it must not be seen.
pub(crate) const NOT_FOUND: u16 = 404;
/// There is such a thing already.
pub(super) const CONFLICT: u16 = 409;
/// It may not be done, or cannot be.
pub(super) const UNPROCESSABLE: u16 = 422;

/// A good answer: its body, and its headers.
pub(super) struct Answer {
    body: Vec<u8>,
    headers: HeaderMap,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may hold a token or a JIT config.
        write!(f, "[{} bytes]", self.body.len())
    }
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &'static str) -> Result<T, GitHubError> {
        // serde's message could show what was received; its place says enough.
        serde_json::from_slice(&self.body).map_err(|error| GitHubError::Unavailable {
            doing,
            why: format!("the answer cannot be read (line {}, column {})", error.line(), error.column()),
        })
    }

    /// The address of the list's next page. It is for reading what it asks for: requests go to the configured GitHub only.
    pub(super) fn next(&self) -> Option<Url> {
        link::next(self.header(LINK.as_str())?)
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl<'a> Call<'a> {
    fn new(doing: &'static str, method: Method, path: &'a str) -> Self {
        Self { doing, needs: Permission::Runners, method, path, query: Vec::new(), body: None, tries: TRIES }
    }

    pub(super) fn get(doing: &'static str, path: &'a str) -> Self {
        Self::new(doing, Method::GET, path)
    }

    pub(super) fn post(doing: &'static str, path: &'a str, body: &'a Value) -> Self {
        Self { body: Some(body), ..Self::new(doing, Method::POST, path) }
    }

    pub(super) fn patch(doing: &'static str, path: &'a str, body: &'a Value) -> Self {
        Self { body: Some(body), ..Self::new(doing, Method::PATCH, path) }
    }

    /// A POST that takes no body.
    pub(super) fn post_nothing(doing: &'static str, path: &'a str) -> Self {
        Self::new(doing, Method::POST, path)
    }

    pub(super) fn delete(doing: &'static str, path: &'a str) -> Self {
        Self::new(doing, Method::DELETE, path)
    }

    /// Most calls are about runners; this one wants another permission.
    pub(super) fn needs(mut self, permission: Permission) -> Self {
        self.needs = permission;
        self
    }

    /// It must not be repeated where its answer was lost: it may have taken effect.
    pub(super) fn once(mut self) -> Self {
        self.tries = 1;
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

/// The connection, made when it is first needed.
#[derive(Debug)]
pub(super) struct Http {
    api_url: String,
    client: OnceLock<reqwest::Client>,
    #[cfg(feature = "simulation")]
    pub(super) outside: Option<std::sync::Arc<dyn crate::simulation::Http>>,
    /// Until when GitHub asked to be left alone.
    limited: Mutex<Option<Instant>>,
    allowances: Allowances,
    pub(super) answers: Tally,
}

/// Does work that may have to wait for others' calls, which have deadlines of their own.
pub(super) async fn within<T>(
    deadline: Instant,
    doing: &'static str,
    work: impl Future<Output = Result<T, GitHubError>>,
) -> Result<T, GitHubError> {
    let late = |_| GitHubError::Unavailable { doing, why: "no answer in time".to_owned() };
    tokio::time::timeout_at(deadline, work).await.map_err(late)?
}

/// Why one try brought nothing, and when the next may be made.
struct Failed {
    error: GitHubError,
    again_after: Option<Duration>,
}

impl Http {
    pub(super) fn new(api_url: String) -> Self {
        Self {
            api_url,
            client: OnceLock::new(),
            #[cfg(feature = "simulation")]
            outside: None,
            limited: Mutex::default(),
            allowances: Allowances::default(),
            answers: Tally::default(),
        }
    }

    /// For how long GitHub asks to be left alone.
    pub(super) fn limited_for(&self) -> Option<Duration> {
        let until = (*self.limited.lock().ok()?)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// What is left of the hourly limit, as far as answers told; the tightest where there are several.
    pub(super) fn allowance(&self) -> Option<Allowance> {
        self.allowances.tightest()
    }

    /// Sends a request, again where that can help and the deadline allows it; `bearer` says who asks, anew for each try.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        bearer: &(dyn Fn() -> Result<Secret, GitHubError> + Sync),
        deadline: Instant,
        count: &(dyn Fn() + Sync),
    ) -> Result<Status, GitHubError> {
        let mut pause = PAUSE;
        for left in (0..call.tries).rev() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Err(GitHubError::Unavailable {
                    doing: call.doing,
                    why: "no time is left".to_owned(),
                });
            }
            let bearer = bearer()?;
            count();
            let failed = match self.try_once(call, Some(&bearer), remaining.min(TRY_TIMEOUT)).await {
                Ok(status) => return Ok(status),
                Err(failed) => failed,
            };
            if let GitHubError::RateLimited { retry_after, .. } = &failed.error
                && let Ok(mut limited) = self.limited.lock()
            {
                *limited = Instant::now().checked_add(*retry_after);
            }
            let Some(after) = failed.again_after else { return Err(failed.error) };
            let wait = after.max(crate::random::jitter(pause));
            if left == 0 || wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(failed.error);
            }
            tracing::debug!(error = %failed.error, wait_ms = wait.as_millis(), "asking GitHub again");
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Err(GitHubError::Unavailable { doing: call.doing, why: "tried in vain".to_owned() })
    }

    /// Sends a request that nobody need sign, once.
    pub(super) async fn send_once(&self, call: &Call<'_>, deadline: Instant) -> Result<Status, GitHubError> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        self.try_once(call, None, remaining.min(TRY_TIMEOUT)).await.map_err(|failed| failed.error)
    }

    async fn try_once(
        &self,
        call: &Call<'_>,
        bearer: Option<&Secret>,
        timeout: Duration,
    ) -> Result<Status, Failed> {
        let passing = |why: String| Failed {
            error: GitHubError::Unavailable { doing: call.doing, why },
            again_after: Some(Duration::ZERO),
        };
        let client = self.client().map_err(|why| Failed {
            error: GitHubError::Unavailable { doing: call.doing, why },
            again_after: None,
        })?;
        let mut request = client
            .request(call.method.clone(), format!("{}{}", self.api_url, call.path))
            .timeout(timeout)
            .header(ACCEPT, "application/vnd.github+json")
            .header(USER_AGENT, concat!("mayfly/", env!("CARGO_PKG_VERSION")))
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {}", bearer.expose()));
        }
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let request = request.build().map_err(|error| passing(chain(&error)))?;
        let sent = self.execute(client, request).await;
        self.answers.answered(sent.as_ref().ok().map(|answer| answer.status().as_u16()));
        let mut answer = sent.map_err(passing)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        self.allowances.learn(&headers);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| passing(chain(&error)))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MOST {
                return Err(passing(format!("the answer has more than {ANSWER_MOST} bytes")));
            }
        }
        typed(call.doing, status, headers, body)
    }

    async fn execute(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, String> {
        #[cfg(feature = "simulation")]
        if let Some(outside) = &self.outside {
            let answer = crate::simulation::execute(outside.as_ref(), request).await;
            return answer.map_err(|unanswered| format!("no answer: {unanswered:?}"));
        }
        client.execute(request).await.map_err(|error| chain(&error))
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        #[cfg(feature = "simulation")]
        if self.outside.is_some() {
            let writer = crate::simulation::writer().map_err(|error| chain(&error))?;
            return Ok(self.client.get_or_init(|| writer));
        }
        let built = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MOST))
            .build()
            .map_err(|error| chain(&error))?;
        Ok(self.client.get_or_init(|| built))
    }
}

/// Types an answer by its status. Pure.
fn typed(
    doing: &'static str,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Status, Failed> {
    let message = || message(&body);
    match status.as_u16() {
        200..=299 if is_whole(&body) => Ok(Status::Ok(Answer { body, headers })),
        // As good as lost: it may have taken effect, and what it says is not known.
        200..=299 => Err(Failed {
            error: GitHubError::Unavailable { doing, why: format!("answered {status} with what is no JSON") },
            again_after: Some(Duration::ZERO),
        }),
        NOT_FOUND => {
            let message = with_accepted(message(), &headers);
            Ok(Status::Said(Said { status: NOT_FOUND, message }))
        }
        status @ (CONFLICT | UNPROCESSABLE) => Ok(Status::Said(Said { status, message: message() })),
        403 | 429 if let Some(retry_after) = limit(status, &headers, &message()) => Err(Failed {
            error: GitHubError::RateLimited { doing, retry_after },
            again_after: (retry_after <= RETRY_AFTER_WAITED).then_some(retry_after),
        }),
        400..=499 => Err(Failed {
            error: GitHubError::Refused {
                doing,
                status: status.as_u16(),
                why: if status == StatusCode::FORBIDDEN {
                    with_accepted(message(), &headers)
                } else {
                    message()
                },
            },
            again_after: None,
        }),
        code => Err(Failed {
            error: GitHubError::Unavailable { doing, why: format!("answered {code}: {}", message()) },
            again_after: Some(Duration::ZERO),
        }),
    }
}

/// Whether a body is JSON to its end, or there is none (204).
fn is_whole(body: &[u8]) -> bool {
    body.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// An error with its sources; reqwest's own text says little. Its URL is left out.
fn chain(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() { "no answer in time" } else { "no answer" };
    match std::error::Error::source(error) {
        Some(source) => format!("{text}: {}", crate::errors::sources(source)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Result<Status, Failed> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        typed("testing", StatusCode::from_u16(status).unwrap(), headers, body.as_bytes().to_vec())
    }

    fn failed(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failed {
        match answer(status, headers, body) {
            Err(failed) => failed,
            Ok(status) => panic!("{status:?}"),
        }
    }

    #[test]
    fn a_rate_limit_is_told_from_a_refusal() {
        let limited = |headers: &[(&'static str, &str)], body: &str| match failed(403, headers, body).error {
            GitHubError::RateLimited { retry_after, .. } => Some(retry_after.as_secs()),
            GitHubError::Refused { .. } | GitHubError::Unavailable { .. } => None,
        };
        assert_eq!(limited(&[("retry-after", "17")], ""), Some(17));
        assert_eq!(limited(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], ""), Some(0));
        assert_eq!(limited(&[], r#"{"message":"You have exceeded a secondary rate limit"}"#), Some(60));
        assert_eq!(
            limited(&[("x-ratelimit-remaining", "4999")], r#"{"message":"Resource not accessible"}"#),
            None
        );
    }

    #[test]
    fn only_what_passes_is_asked_for_again() {
        assert!(failed(200, &[], "<html>").again_after.is_some());
        assert!(failed(500, &[], "").again_after.is_some());
        assert!(failed(503, &[], "<html>").again_after.is_some());
        assert!(failed(429, &[("retry-after", "2")], "").again_after.is_some());
        assert!(failed(429, &[("retry-after", "3600")], "").again_after.is_none());
        assert!(failed(401, &[], r#"{"message":"Bad credentials"}"#).again_after.is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let cut = failed(201, &[], r#"{"token":"ghs_secret"#);
        assert!(cut.again_after.is_some() && !cut.error.to_string().contains("ghs_"), "{}", cut.error);
        let Ok(Status::Ok(body)) = answer(201, &[], r#"{"token":"ghs_secret"}"#) else { panic!("not taken") };
        let error = body.read::<Vec<u8>>("testing").unwrap_err().to_string();
        assert!(!error.contains("ghs_") && !format!("{body:?}").contains("ghs_"), "{error}");
    }
}
