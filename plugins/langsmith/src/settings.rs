//! Reads the variables and settings once. An invalid variable draws a warning, and the default is
//! used.

use plugin_api::{Host, HostError, Level, SecretText};
use serde::Deserialize;
use std::{str::FromStr, time::Duration};

/// `callback_settings.langsmith`. Its values win over the variables.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    project: Option<String>,
    default_run_name: Option<String>,
    batch_size: Option<usize>,
    flush_interval_ms: Option<u64>,
    sampling_rate: Option<f64>,
}

/// The combined settings.
#[derive(Debug)]
pub(crate) struct Plan {
    /// `None` if nothing is traced.
    pub(crate) api_key: Option<SecretText>,
    pub(crate) tenant_id: Option<SecretText>,
    /// `…/api/v1/runs/batch`.
    pub(crate) url: String,
    pub(crate) project: String,
    pub(crate) run_name: String,
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) sampling_rate: f64,
}

const MAX_BATCH: usize = 1000;

impl Settings {
    pub(crate) fn plan(self, host: &Host) -> Plan {
        let variable = |name: &str| host.secrets()?.get(name).ok();
        let text = |name: &str| variable(name).map(|value| value.expose().trim().to_owned());
        let api_key = host.secrets().and_then(|secrets| {
            let untraced = |error: HostError| {
                let text = format!("{}: calls are not traced to LangSmith", error.message);
                host.log(Level::Warn, &text);
            };
            secrets.get("LANGSMITH_API_KEY").map_err(untraced).ok()
        });
        let base = text("LANGSMITH_BASE_URL");
        let batch_size =
            number(host, text, "LANGSMITH_BATCH_SIZE", |size| (1..=MAX_BATCH).contains(size));
        let sampling = number(host, text, "LANGSMITH_SAMPLING_RATE", |it| (0.0..=1.0).contains(it));
        Plan {
            api_key,
            tenant_id: variable("LANGSMITH_TENANT_ID"),
            url: url(base.as_deref().unwrap_or("https://api.smith.langchain.com")),
            project: self
                .project
                .or_else(|| text("LANGSMITH_PROJECT"))
                .unwrap_or("litellm-completion".to_owned()),
            run_name: self
                .default_run_name
                .or_else(|| text("LANGSMITH_DEFAULT_RUN_NAME"))
                .unwrap_or("LLMRun".to_owned()),
            batch_size: self.batch_size.or(batch_size).unwrap_or(512).clamp(1, MAX_BATCH),
            flush_interval: Duration::from_millis(self.flush_interval_ms.unwrap_or(5000).max(1)),
            sampling_rate: self.sampling_rate.or(sampling).unwrap_or(1.0),
        }
    }
}

fn number<N: FromStr>(
    host: &Host,
    text: impl Fn(&str) -> Option<String>,
    name: &str,
    fits: impl Fn(&N) -> bool,
) -> Option<N> {
    let text = text(name)?;
    let number = text.parse().ok().filter(fits);
    if number.is_none() {
        host.log(
            Level::Warn,
            &format!("`{name}` is not a number in its range; the default is used"),
        );
    }
    number
}

/// Returns the URL for batches. Adds `/api/v1` if it is missing.
fn url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    let version = if base.ends_with("/api/v1") { "" } else { "/api/v1" };
    format!("{base}{version}/runs/batch")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_path_is_added_once() {
        for base in ["http://h", "http://h/", "http://h/api/v1", "http://h/api/v1/"] {
            assert_eq!(super::url(base), "http://h/api/v1/runs/batch");
        }
        assert_eq!(super::url("http://h/eu"), "http://h/eu/api/v1/runs/batch");
    }
}
