//! Secrets: a type that shows nothing, and where they come from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// A secret text. It prints as `[redacted]`, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret comes from. White space at its end is not part of it: editors and shells put a line end there, which
/// no HTTP header could hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A parameter of AWS Systems Manager, decrypted.
    Ssm(String),
    /// A secret of AWS Secrets Manager, by name or ARN.
    SecretsManager(String),
}

/// Why a secret could not be had. Says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {why}")]
pub struct SecretError {
    /// Where it was looked for.
    pub source_name: String,
    /// Why it is not there.
    pub why: String,
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Ssm(name) => write!(f, "SSM parameter {name}"),
            Self::SecretsManager(name) => write!(f, "Secrets Manager secret {name}"),
        }
    }
}

impl SecretSource {
    /// Whether it is on this machine, so that it can be read, and be found missing, at start.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Env(_) | Self::File(_) => true,
            Self::Ssm(_) | Self::SecretsManager(_) => false,
        }
    }

    /// Whether another secret can be there while this process lives.
    pub(crate) fn can_change(&self) -> bool {
        match self {
            Self::Env(_) => false,
            Self::File(_) | Self::Ssm(_) | Self::SecretsManager(_) => true,
        }
    }

    fn failed(&self, why: impl fmt::Display) -> SecretError {
        SecretError { source_name: self.to_string(), why: why.to_string() }
    }
}

/// Fetches secrets; the AWS clients are made when a source first needs one.
#[derive(Debug, Default)]
pub struct Secrets {
    aws: OnceCell<aws_config::SdkConfig>,
}

impl Secrets {
    /// Fetches one.
    pub async fn fetch(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        let text = match source {
            #[cfg(feature = "simulation")]
            SecretSource::Env(name) if let Some(text) = crate::simulation::secret(name) => text,
            SecretSource::Env(name) => {
                std::env::var(name).map_err(|_| source.failed("is not set, or is no text"))?
            }
            SecretSource::File(path) => {
                std::fs::read_to_string(path).map_err(|error| source.failed(error))?
            }
            // On the heap: an SDK's futures are large, seldom needed, and would count in every call that may need a secret.
            SecretSource::Ssm(name) => Box::pin(self.ssm(name)).await.map_err(|why| source.failed(why))?,
            SecretSource::SecretsManager(name) => {
                Box::pin(self.secrets_manager(name)).await.map_err(|why| source.failed(why))?
            }
        };
        let text = Zeroizing::new(text);
        let text = text.trim_end();
        if text.is_empty() { Err(source.failed("is empty")) } else { Ok(Secret::new(text)) }
    }

    async fn aws(&self) -> &aws_config::SdkConfig {
        self.aws.get_or_init(crate::store::aws_config).await
    }

    async fn ssm(&self, name: &str) -> Result<String, String> {
        let client = aws_sdk_ssm::Client::new(self.aws().await);
        let answer = client.get_parameter().name(name).with_decryption(true).send().await;
        let answer = answer.map_err(|error| crate::errors::sources(&error))?;
        answer.parameter.and_then(|parameter| parameter.value).ok_or_else(|| "has no value".to_owned())
    }

    async fn secrets_manager(&self, name: &str) -> Result<String, String> {
        let client = aws_sdk_secretsmanager::Client::new(self.aws().await);
        let answer = client.get_secret_value().secret_id(name).send().await;
        let answer = answer.map_err(|error| crate::errors::sources(&error))?;
        answer.secret_string.ok_or_else(|| "has no text (SecretString)".to_owned())
    }
}

/// A secret that is read when it is first needed, and again when it is refused: it may have been replaced meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    secrets: Secrets,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    secret: Option<Secret>,
    again: Again,
}

/// When something was last read again because it was refused: not each refusal may cost a call.
#[derive(Debug, Default)]
pub(crate) struct Again(Option<Instant>);

/// What is refused is read again no more often.
const READ_AGAIN: Duration = Duration::from_secs(30);

impl Again {
    /// Whether it may be read again now; if so, it counts as read.
    pub(crate) fn may(&mut self) -> bool {
        let may = self.0.is_none_or(|at| at.elapsed() >= READ_AGAIN);
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}

impl Kept {
    /// The secret from that place, always the same one.
    pub(crate) async fn get(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        let mut known = self.known.lock().await;
        match &known.secret {
            Some(secret) => Ok(secret.clone()),
            None => Ok(known.secret.insert(self.secrets.fetch(source).await?).clone()),
        }
    }

    /// Whether there is another one by now than the one that was refused.
    pub(crate) async fn renew(&self, source: &SecretSource, refused: &Secret) -> Result<bool, SecretError> {
        let mut known = self.known.lock().await;
        // Somebody else who met the same refusal may have read it before.
        if known.secret.as_ref() != Some(refused) {
            return Ok(true);
        }
        if !source.can_change() || !known.again.may() {
            return Ok(false);
        }
        let secret = self.secrets.fetch(source).await?;
        let another = secret != *refused;
        known.secret = Some(secret);
        Ok(another)
    }
}

const FORM: &str = "a secret's place: { env = \"NAME\" }, { file = \"path\" }, { ssm = \"/parameter/name\" } or \
                    { secretsmanager = \"arn-or-name\" }; a secret itself is never written here";

/// For a [`Visitor`]: says of a text, a number or the like only that it is one. Not serde's own message: it would print what
/// is given, which may be the secret.
macro_rules! hides_what_is_given {
    () => {
        hides_what_is_given! {
            visit_str: &str, "a text";
            visit_bool: bool, "a boolean";
            visit_i64: i64, "a number";
            visit_u64: u64, "a number";
            visit_i128: i128, "a number";
            visit_u128: u128, "a number";
            visit_f64: f64, "a number";
        }
    };
    ($($visit:ident: $given:ty, $called:literal;)+) => {
        $(fn $visit<E: serde::de::Error>(self, _: $given) -> Result<Self::Value, E> {
            Err(E::custom(format_args!("{} is given, expected {}", $called, &self as &dyn serde::de::Expected)))
        })+
    };
}
pub(crate) use hides_what_is_given;

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORM)
            }

            hides_what_is_given!();

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
                let Some((kind, place)) = map.next_entry::<String, String>()? else {
                    return Err(de::Error::custom(format!("nothing is given, expected {FORM}")));
                };
                let source = match kind.as_str() {
                    "env" => SecretSource::Env(place),
                    "file" => SecretSource::File(place.into()),
                    "ssm" => SecretSource::Ssm(place),
                    "secretsmanager" => SecretSource::SecretsManager(place),
                    other => {
                        return Err(de::Error::custom(format!("`{other}` is no place, expected {FORM}")));
                    }
                };
                match map.next_key::<String>()? {
                    None => Ok(source),
                    Some(second) => {
                        Err(de::Error::custom(format!("`{second}` is one too many, expected {FORM}")))
                    }
                }
            }
        }
        deserializer.deserialize_any(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[redacted] [redacted] Some([redacted])"
        );
    }

    #[tokio::test]
    async fn a_missing_secret_says_where_it_was_looked_for() {
        let missing = SecretSource::Env("MAYFLY_TEST_NOT_SET".into());
        let error = Secrets::default().fetch(&missing).await.unwrap_err();
        assert!(error.to_string().starts_with("environment variable MAYFLY_TEST_NOT_SET: is not set"));
    }

    #[tokio::test]
    async fn a_file_is_read_without_its_last_line_end() {
        let file = std::env::temp_dir().join(format!("mayfly-secret-{}", std::process::id()));
        std::fs::write(&file, "line one\nline two\n").unwrap();
        let secret = Secrets::default().fetch(&SecretSource::File(file.clone())).await.unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(secret.expose(), "line one\nline two");
    }

    #[tokio::test]
    async fn a_secret_that_was_replaced_is_read_again_once_in_a_while() {
        let file = std::env::temp_dir().join(format!("mayfly-kept-{}", std::process::id()));
        let put = |text: &str| std::fs::write(&file, text).unwrap();
        let (kept, source) = (Kept::default(), SecretSource::File(file.clone()));
        put("first");
        let first = kept.get(&source).await.unwrap();
        put("second");
        assert_eq!(kept.get(&source).await.unwrap(), first, "nobody refused it");
        assert!(kept.renew(&source, &first).await.unwrap());
        let second = kept.get(&source).await.unwrap();
        assert_eq!(second.expose(), "second");
        assert!(kept.renew(&source, &first).await.unwrap(), "who was late uses what is there");
        put("third");
        assert!(!kept.renew(&source, &second).await.unwrap(), "not so soon after the last time");
        std::fs::remove_file(file).unwrap();
    }
}
