//! One request to Proxmox VE: who asks, whom to trust, how long to wait, and what the answer means.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::ProxmoxSettings;
use super::error::{self, Error, Kind};
use super::tls;
use crate::config::Trust;
use crate::secret::{Secret, SecretError, Secrets};
use crate::tally::{Counts, Tally};

/// The largest answer that is read: `cluster/resources` has some 500 bytes for each VM.
const ANSWER_MOST: usize = 8 << 20;
/// The longest form that pveproxy takes (`$limit_max_post`), encoded, in bytes.
const FORM_MOST: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// pveproxy closes a connection that was idle for 5 seconds. One that is closed just as a request goes out leaves
/// nobody knowing what became of it, so ours are given up before.
const IDLE_MOST: Duration = Duration::from_secs(3);

/// A request.
pub(super) struct Call<'a> {
    pub method: Method,
    /// The path below `/api2/json`, unescaped.
    pub path: Vec<&'a str>,
    /// Sent as a form with POST and PUT, in the query with the others: pveproxy takes no body with them.
    pub parameters: Vec<(&'static str, &'a str)>,
}

/// The connection, made when it is first needed.
pub(super) struct Http {
    settings: ProxmoxSettings,
    secrets: Secrets,
    secret: Mutex<Option<Secret>>,
    client: OnceLock<reqwest::Client>,
    #[cfg(feature = "simulation")]
    pub outside: Option<std::sync::Arc<dyn crate::simulation::Http>>,
    calls: AtomicU64,
    answers: Tally,
}

/// What all answers are wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

impl Http {
    /// Nothing is built, fetched or read yet.
    pub fn new(settings: ProxmoxSettings) -> Self {
        Self {
            settings,
            secrets: Secrets::default(),
            secret: Mutex::new(None),
            client: OnceLock::new(),
            #[cfg(feature = "simulation")]
            outside: None,
            calls: AtomicU64::new(0),
            answers: Tally::default(),
        }
    }

    pub fn settings(&self) -> &ProxmoxSettings {
        &self.settings
    }

    /// How many requests were sent so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How they were answered.
    pub fn answers(&self) -> Counts {
        self.answers.counts()
    }

    /// Sends a request, and once again when the token's secret turns out to have been changed meanwhile, all of it
    /// within the limit.
    pub async fn send<T: DeserializeOwned>(&self, call: &Call<'_>, limit: Duration) -> Result<T, Error> {
        let started = Instant::now();
        let left = || limit.saturating_sub(started.elapsed());
        let secret = self.secret(None, left()).await?;
        let mut result = self.once(call, &secret, left()).await;
        if let Err(Error { kind: Kind::Unauthorized, .. }) = &result {
            let newer = self.secret(Some(&secret), left()).await?;
            if newer != secret {
                result = self.once(call, &newer, left()).await.map_err(|error| error.without(newer.expose()));
            }
        }
        let outcome = result.as_ref().map_or_else(|error| format!("{:?}", error.kind), |_| "ok".to_owned());
        let path = call.path.join("/");
        let took_ms = started.elapsed().as_millis();
        tracing::debug!(method = %call.method, path, outcome, took_ms, "called Proxmox");
        let told = |error: Error| error.without(secret.expose()).advised(&self.settings.provider);
        let answer = result.map_err(told)?;
        read(&answer)
    }

    /// The token's secret; fetched anew where `refused` is the one that is known.
    async fn secret(&self, refused: Option<&Secret>, limit: Duration) -> Result<Secret, Error> {
        let fetched = tokio::time::timeout(limit, async {
            let mut kept = self.secret.lock().await;
            match &*kept {
                Some(known) if refused != Some(known) => Ok(known.clone()),
                Some(_) | None => {
                    let fetched = self.secrets.fetch(&self.settings.token_secret).await?;
                    Ok::<_, SecretError>(kept.insert(fetched).clone())
                }
            }
        });
        let named = |why: String| {
            format!("no token secret (`providers.{}.token_secret`): {why}", self.settings.provider)
        };
        match fetched.await {
            Ok(Ok(secret)) => Ok(secret),
            // What is on this machine is not there until somebody puts it there.
            Ok(Err(why)) if self.settings.token_secret.is_local() => {
                Err(Error::new(Kind::Unauthorized, named(crate::secret::SecretError::to_string(&why))))
            }
            Ok(Err(why)) => {
                Err(Error::new(Kind::NotSent, named(crate::secret::SecretError::to_string(&why))))
            }
            Err(_) => Err(Error::new(Kind::NotSent, named("no time left".to_owned()))),
        }
    }

    /// One try; the body of a success.
    async fn once(&self, call: &Call<'_>, secret: &Secret, limit: Duration) -> Result<Vec<u8>, Error> {
        if limit.is_zero() {
            return Err(Error::no_time());
        }
        let client = self.client()?;
        let request = self.request(client, call, secret, limit)?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "simulation")]
        if let Some(outside) = &self.outside {
            return match crate::simulation::execute(outside.as_ref(), request).await {
                Ok(answer) => self.answered(answer).await,
                Err(unanswered) => Err(self.unreached(simulated(unanswered))),
            };
        }
        let started = Instant::now();
        match client.execute(request).await {
            Ok(answer) => self.answered(answer).await,
            Err(error) => {
                self.answers.answered(None);
                match tls::fault(&error) {
                    Some(fault) => Err(self.untrusted(&fault, limit.saturating_sub(started.elapsed())).await),
                    None => Err(self.unreached(unanswered(&error))),
                }
            }
        }
    }

    /// Where there is no connection at all, the address may be wrong.
    fn unreached(&self, mut error: Error) -> Error {
        if error.kind == Kind::NotSent {
            let ProxmoxSettings { provider, url, .. } = &self.settings;
            let advice = format!("is `providers.{provider}.url` ({url}) right, and to be reached from here?");
            error.why = format!("{}; {advice}", error.why);
        }
        error
    }

    fn request(
        &self,
        client: &reqwest::Client,
        call: &Call<'_>,
        secret: &Secret,
        limit: Duration,
    ) -> Result<reqwest::Request, Error> {
        let token = Zeroizing::new(format!("PVEAPIToken={}={}", self.settings.token_id, secret.expose()));
        let mut token = HeaderValue::from_str(&token).map_err(|_| {
            let provider = &self.settings.provider;
            let why = "has signs that no HTTP header can hold";
            let why = format!("`providers.{provider}.token_id` or `providers.{provider}.token_secret` {why}");
            Error::new(Kind::Unauthorized, why)
        })?;
        token.set_sensitive(true);
        let request = client
            .request(call.method.clone(), self.url(&call.path)?)
            .timeout(limit)
            .header(USER_AGENT, concat!("mayfly/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, token);
        let request = match (call.parameters.is_empty(), &call.method) {
            (true, _) => request,
            (false, &Method::POST | &Method::PUT) => request.form(&call.parameters),
            (false, _) => request.query(&call.parameters),
        };
        // The library's text could quote what was to be encoded.
        let request =
            request.build().map_err(|_| Error::new(Kind::Refused, "the request cannot be written"))?;
        let length = request.body().and_then(|body| body.as_bytes()).map_or(0, <[u8]>::len);
        if length > FORM_MOST {
            let why = format!("the request has {length} bytes; Proxmox takes {FORM_MOST}");
            return Err(Error::new(Kind::TooLong, why));
        }
        Ok(request)
    }

    fn url(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.settings.url.clone();
        let failed =
            |()| Error::new(Kind::Refused, format!("`providers.{}.url` has no path", self.settings.provider));
        url.path_segments_mut().map_err(failed)?.pop_if_empty().extend(["api2", "json"]).extend(path);
        Ok(url)
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        #[cfg(feature = "simulation")]
        if self.outside.is_some() {
            let writer = crate::simulation::writer();
            let writer = writer.map_err(|error| Error::new(Kind::NotSent, chain(&error)))?;
            return Ok(self.client.get_or_init(|| writer));
        }
        let tls = tls::config(&self.settings.trust).map_err(|why| {
            let why = format!("`providers.{}.ca_file`: {why}", self.settings.provider);
            Error::new(Kind::Certificate, why)
        })?;
        let built = build(tls)?;
        Ok(self.client.get_or_init(|| built))
    }

    async fn answered(&self, mut answer: Response) -> Result<Vec<u8>, Error> {
        let status = answer.status();
        self.answers.answered(Some(status.as_u16()));
        let phrase = answer.extensions().get::<hyper::ext::ReasonPhrase>();
        let phrase = phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
        let phrase = phrase.or(status.canonical_reason().map(str::to_owned)).unwrap_or_default();
        let after =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        let unread = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_MOST => {
                    let why = format!("the answer has more than {ANSWER_MOST} bytes");
                    break Some(Error::new(Kind::Lost { timed_out: false }, why));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(unanswered(&error)),
            }
        };
        match unread {
            // A refusal is one, even with half of its body.
            _ if !status.is_success() => {
                let error = error::of_answer(status.as_u16(), &phrase, &body);
                Err(Error { after: after.map(Duration::from_secs), ..error })
            }
            Some(error) => Err(error),
            None => Ok(body),
        }
    }

    /// What a person is told who has to decide whether this certificate is the right one.
    async fn untrusted(&self, fault: &tls::Fault<'_>, limit: Duration) -> Error {
        let ProxmoxSettings { provider, url, trust, .. } = &self.settings;
        let host = url.host_str().unwrap_or_default();
        let seen = match fault.untrusted {
            Some(untrusted) => Some(untrusted.fingerprint),
            None => self.fingerprint(limit).await,
        };
        let now = seen.map_or(String::new(), |seen| {
            format!(" (it is {seen} now; compare it with the node's own: System > Certificates)")
        });
        let what = match trust {
            Trust::System => format!(
                "set `providers.{provider}.ca_file` to a copy of the cluster's CA (/etc/pve/pve-root-ca.pem), or \
                 `providers.{provider}.fingerprint` to the certificate's SHA-256{now}"
            ),
            Trust::Authority(path) => format!(
                "is {} (`providers.{provider}.ca_file`) the cluster's CA (/etc/pve/pve-root-ca.pem), and {host} a name \
                 that the certificate is for? Or set `providers.{provider}.fingerprint` to its SHA-256 instead{now}",
                path.display()
            ),
            Trust::Fingerprint(_) => format!(
                "if it was renewed, set `providers.{provider}.fingerprint` to the certificate's SHA-256{now}"
            ),
        };
        Error::new(
            Kind::Certificate,
            format!("the certificate of {host} is not trusted ({}): {what}", fault.why),
        )
    }

    /// The server's, where the check that refused it does not tell.
    async fn fingerprint(&self, limit: Duration) -> Option<tls::Fingerprint> {
        let client = build(Some(tls::probe().ok()?)).ok()?;
        // The handshake fails: nothing is sent, and there is no token in it.
        let error = client.get(self.settings.url.clone()).timeout(limit).send().await.err()?;
        Some(tls::fault(&error)?.untrusted?.fingerprint)
    }
}

fn build(tls: Option<rustls::ClientConfig>) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_MOST)
        // Proxmox has none; one followed would turn a POST into a GET.
        .redirect(reqwest::redirect::Policy::none());
    let builder = match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder,
    };
    builder.build().map_err(|error| Error::new(Kind::NotSent, chain(&error)))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    // Only where: the library's text would quote what is there.
    let envelope: Result<Envelope<T>, _> = serde_path_to_error::deserialize(&mut reader);
    envelope.map(|envelope| envelope.data).map_err(|error| {
        let why = format!("the answer is not as expected at `{}`", error.path());
        Error::new(Kind::Lost { timed_out: false }, why)
    })
}

/// The error of a request without an answer, or with half of one.
fn unanswered(error: &reqwest::Error) -> Error {
    let kind = if error.is_connect() {
        Kind::NotSent
    } else if error.is_builder() {
        Kind::Refused
    } else {
        Kind::Lost { timed_out: error.is_timeout() }
    };
    Error::new(kind, chain(error))
}

#[cfg(feature = "simulation")]
fn simulated(unanswered: crate::simulation::Unanswered) -> Error {
    use crate::simulation::Unanswered;
    let kind = match unanswered {
        Unanswered::NotSent => Kind::NotSent,
        Unanswered::Lost => Kind::Lost { timed_out: false },
        Unanswered::TimedOut => Kind::Lost { timed_out: true },
    };
    Error::new(kind, format!("no answer: {unanswered:?}"))
}

/// An error with its sources; reqwest's own text says little. Its URL is left out.
fn chain(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() { "no answer in time" } else { "no answer" };
    match std::error::Error::source(error) {
        Some(source) => format!("{text}: {}", crate::errors::sources(source)),
        None => text.to_owned(),
    }
}
