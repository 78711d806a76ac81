//! The manifest in a plugin's `.callgate.manifest` section. It can be read without running the
//! plugin. The section holds JSON objects one after another: a header (`api`, `min_api`,
//! `min_gateway`, `package`, `version`), then one object per callback (`name`, `kind`, `hooks`,
//! optionally `auth_headers`, `reads`, `writes`, `needs_secrets`, `needs_http_hosts`,
//! `settings_schema`, and optionally `sample_settings`). Lists are words separated by spaces.

use crate::abi::ApiVersion;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::fmt;

/// The name of the section.
pub const SECTION: &str = ".callgate.manifest";

/// The manifest of a plugin file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The header: package and versions.
    pub header: Header,
    /// The callbacks in the file. There is at least one.
    pub callbacks: Vec<Exported>,
}

/// The header of a manifest, which applies to the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// The version of the contract that the plugin was compiled against.
    #[serde(deserialize_with = "version")]
    pub api: ApiVersion,
    /// The oldest version of the contract that a host must have to run it.
    #[serde(deserialize_with = "version")]
    pub min_api: ApiVersion,
    /// The first version of Callgate that has `min_api`. Plugins built before 1.1 do not say.
    #[serde(default, deserialize_with = "release")]
    pub min_gateway: Option<String>,
    /// The Cargo package.
    pub package: String,
    /// The package's version.
    pub version: String,
}

/// A callback that the file exports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Exported {
    /// Its name in the config's list.
    pub name: String,
    /// `sync` or `async`.
    pub kind: String,
    /// The hooks it implements.
    #[serde(deserialize_with = "words")]
    pub hooks: Vec<String>,
    /// The parts of the call that it reads.
    #[serde(deserialize_with = "words")]
    pub reads: Vec<String>,
    /// The parts of the call that it changes.
    #[serde(deserialize_with = "words")]
    pub writes: Vec<String>,
    /// The inputs of `on_auth`: names of headers in lower case, `:method`, `:path` and
    /// `:client_address`.
    #[serde(default, deserialize_with = "words")]
    pub auth_headers: Vec<String>,
    /// The environment variables that it asks for.
    #[serde(default, deserialize_with = "words")]
    pub needs_secrets: Vec<String>,
    /// The hosts that it asks for, each as `VARIABLE=URL`: the host of the URL in the variable, or
    /// of the default URL.
    #[serde(default, deserialize_with = "words")]
    pub needs_http_hosts: Vec<String>,
    /// A JSON Schema for its settings.
    pub settings_schema: Value,
    /// Valid settings, for tools that get none.
    #[serde(default)]
    pub sample_settings: Option<Value>,
}

/// The reason why a section is not a valid manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError(String);

impl fmt::Display for ManifestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the plugin's manifest cannot be read: {}", self.0)
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Parses the bytes of a section.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a manifest, or if it lists no callback.
    pub fn parse(section: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(section)
            .map_err(|error| ManifestError(error.to_string()))?
            .trim_end_matches('\0');
        let mut values = serde_json::Deserializer::from_str(text);
        let bad = |error: serde_json::Error| ManifestError(error.to_string());
        let header = Header::deserialize(&mut values).map_err(bad)?;
        let callbacks =
            values.into_iter::<Exported>().collect::<Result<Vec<_>, _>>().map_err(bad)?;
        if callbacks.is_empty() {
            return Err(ManifestError("it lists no callback".to_owned()));
        }
        Ok(Self { header, callbacks })
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApiVersion, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.split_once('.')
        .and_then(|(major, minor)| {
            Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
        })
        .ok_or_else(|| de::Error::custom(format!("expected a version like `1.0`, found `{text}`")))
}

/// A version of Callgate. Anything else is ignored, because the text is shown to operators.
fn release<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let legal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    Ok((1..=20).contains(&text.len()).then_some(text).filter(|text| text.bytes().all(legal)))
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"api":"1.0","min_api":"1.0","package":"p","version":"0.1.0"}"#;

    #[test]
    fn reads_header_and_callbacks() {
        let section = format!(
            "{HEADER}\n{}",
            r#"{"name":"a","kind":"sync","hooks":"on_llm_start on_llm_end ","reads":"","writes":"model ","settings_schema":{"type":"object"}}"#
        );
        let manifest = Manifest::parse(section.as_bytes()).expect("a manifest");
        assert_eq!(manifest.callbacks[0].hooks, ["on_llm_start", "on_llm_end"]);
        assert_eq!(manifest.callbacks[0].writes, ["model"]);
        assert_eq!(manifest.header.api, ApiVersion { major: 1, minor: 0 });
        assert_eq!(manifest.header.min_gateway, None);
    }

    #[test]
    fn a_release_is_digits_and_dots_or_nothing() {
        for (said, expected) in
            [("0.2.0", Some("0.2.0")), ("", None), ("0.2\u{1b}", None), ("0.2.0; rm", None)]
        {
            let mut header: Value = serde_json::from_str(HEADER).expect("json");
            header["min_gateway"] = said.into();
            let header: Header = serde_json::from_value(header).expect("a header");
            assert_eq!(header.min_gateway.as_deref(), expected);
        }
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        for section in ["", "{}", "null", HEADER, "{\"api\":\"x\"}", "\u{1}\u{2}"] {
            assert!(Manifest::parse(section.as_bytes()).is_err(), "{section:?}");
        }
        assert!(Manifest::parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn the_manifest_states_the_package_version() {
        let package = env!("CARGO_PKG_VERSION");
        assert!(package.starts_with(concat!(crate::__api_version!(), ".")), "{package}");
        assert_eq!(ApiVersion::CURRENT.to_string(), crate::__api_version!());
    }
}
