//! Secrets: a type that shows nothing, and where they come from.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use tokio::sync::OnceCell;
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

const FORM: &str = "a secret's place: { env = \"NAME\" }, { file = \"path\" }, { ssm = \"/parameter/name\" } or \
                    { secretsmanager = \"arn-or-name\" }; a secret itself is never written here";

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORM)
            }

            // Not serde's own message: it would print the text, which may be the secret.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(E::custom(format!("a text is given, expected {FORM}")))
            }

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
}
