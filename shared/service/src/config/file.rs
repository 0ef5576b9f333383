//! The configuration file as it is written: every key of the contract, and no other.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use mayfly_core::brief::brief;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::secret::{SecretSource, hides_what_is_given};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub deployment: String,
    pub store: Store,
    pub github: GitHub,
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    #[serde(default)]
    pub pools: Vec<Pool>,
    #[serde(default)]
    pub timing: Timing,
    pub page: Option<Page>,
    #[serde(default)]
    pub notifications: Notifications,
    #[serde(default)]
    pub metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    pub token: SecretSource,
    #[serde(default)]
    pub currency: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub table: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitHub {
    pub api_url: Option<String>,
    #[serde(deserialize_with = "places")]
    pub webhook_secrets: Vec<SecretSource>,
    #[serde(default, deserialize_with = "app")]
    pub app: Option<App>,
    pub token: Option<SecretSource>,
    pub webhook_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub client_id: String,
    pub private_key: SecretSource,
    pub installation_id: Option<NonZeroU64>,
}

/// A list of secrets' places. Not serde's own reader of lists: where there is no list, its message would show what is there,
/// which may be a secret.
fn places<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretSource>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<SecretSource>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of secrets' places, such as [{{ env = \"NAME\" }}]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut places = Vec::new();
            while let Some(place) = list.next_element()? {
                places.push(place);
            }
            Ok(places)
        }

        hides_what_is_given!();
    }
    deserializer.deserialize_any(List)
}

/// The App's table; what stands there instead may be its key.
fn app<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<App>, D::Error> {
    struct Table;
    impl<'de> Visitor<'de> for Table {
        type Value = App;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table with `client_id` and `private_key`")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<App, A::Error> {
            App::deserialize(MapAccessDeserializer::new(map))
        }

        hides_what_is_given!();
    }
    deserializer.deserialize_any(Table).map(Some)
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Provider {
    Gcp {
        project: String,
        endpoint: Option<String>,
    },
    Proxmox {
        url: String,
        token_id: String,
        token_secret: SecretSource,
        vmid_range: (u32, u32),
        #[serde(default)]
        nodes: Vec<String>,
        ca_file: Option<String>,
        fingerprint: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub name: String,
    pub labels: Vec<String>,
    pub organization: Option<String>,
    pub repository: Option<String>,
    pub enterprise: Option<String>,
    #[serde(default)]
    pub repositories: Vec<String>,
    pub visibility: Option<String>,
    pub allow_forks: Option<bool>,
    pub runner_group: Option<String>,
    pub platform: Option<String>,
    pub max_runners: i64,
    #[serde(default)]
    pub min_runners: i64,
    pub boot_timeout: Option<String>,
    pub idle_timeout: Option<String>,
    pub max_lifetime: Option<String>,
    #[serde(default)]
    pub placements: Vec<Placement>,
}

/// The keys of all kinds of placements; which of them belong together depends on the provider's kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placement {
    pub provider: String,
    pub instance_template: Option<String>,
    pub zones: Option<Vec<String>>,
    pub gpu_type: Option<String>,
    pub spot: Option<bool>,
    pub template: Option<u32>,
    pub full_clone: Option<bool>,
    pub storage: Option<String>,
    pub pool: Option<String>,
    pub price_per_hour: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Timing {
    pub orphan_grace: Option<String>,
    pub step_timeout: Option<String>,
    pub cooldown: Option<String>,
    pub redelivery_after: Option<String>,
    pub check_after: Option<String>,
    pub retention: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    pub waiting_after: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    pub cloudwatch: Option<bool>,
}

/// Reads the text; the error names the key and says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let document = toml::Deserializer::parse(text).map_err(|error| located(text, &error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let inner = located(text, error.inner());
        if key == "." { inner } else { format!("`{}`: {inner}", brief(&key, super::KEY_LONGEST)) }
    })
}

/// The longest of toml's own words, a list of all keys that a table may have, has some three hundred characters.
const MESSAGE_LONGEST: usize = 500;

/// The error in one line. The text around it is left out: it may be a secret in the wrong place.
fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end_matches('\n').replace('\n', ", ");
    // It may repeat what it found.
    let message = brief(&message, MESSAGE_LONGEST);
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("{message} (line {line})")
        }
        None => message,
    }
}
