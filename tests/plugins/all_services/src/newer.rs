//! Steps of the services that 1.1 added.

use plugin_api::{Entry, Host, HostError, HostErrorKind};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// One step; see [`Step`](crate::Step).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Newer {
    /// Adds 1 to a number with a time: `detail` is its value.
    AddFor { name: String, live_ms: u64 },
    /// Removes a number: `detail` is its value.
    Remove(String),
    /// Lists numbers by prefix: `detail` is `a=1 b=2`.
    Numbers(String),
    /// Sets a value that may make room for others.
    KvSetEvicting { key: String, value: String },
    /// Lists keys by prefix: `detail` is `a b`.
    KvKeys(String),
    /// Sets 300 values of 100 KB that make room for each other: `detail` is the first that is left.
    FloodEvicting,
    /// Adds 1 to a counter with labels.
    CountWith { name: String, labels: BTreeMap<String, String> },
    /// Makes 1000 series of one metric.
    FloodSeries,
    /// Asks whether a request to this URL may be sent.
    Permits(String),
    /// Asks for the entry: `detail` is its name, instance and position.
    Entry,
    /// Asks for the models: `detail` lists them.
    Models,
    /// Asks for a model: `detail` is `true`, `false` or `unknown`.
    HasModel(String),
    /// Appends `x` to a file in the state folder: `detail` is its length.
    AppendState,
    /// Asks for a secret: `detail` is `true` or `false`.
    HasSecret(String),
}

const OLD: &str = "the gateway is too old";

fn present<T>(service: Option<T>) -> Result<T, HostError> {
    service.ok_or_else(|| HostError::new(HostErrorKind::NOT_SUPPORTED, OLD))
}

impl Newer {
    /// Runs the step and returns its name and its result.
    pub(crate) fn outcome(&self, host: Host) -> (&'static str, Result<String, HostError>) {
        match self {
            Self::AddFor { name, live_ms } => {
                let live = Duration::from_millis(*live_ms);
                let value = host.counters().and_then(|it| it.add_for(name, 1, live));
                ("add_for", present(value).map(|value| value.to_string()))
            }
            Self::Remove(name) => {
                let value = host.counters().and_then(|it| it.remove(name));
                ("remove", present(value).map(|value| value.to_string()))
            }
            Self::Numbers(prefix) => {
                let found = host.counters().and_then(|it| it.list(prefix, "", 100));
                let shown = |(name, value): (String, i64)| format!("{name}={value}");
                let shown = |found: Vec<_>| found.into_iter().map(shown).collect::<Vec<_>>();
                ("numbers", present(found).map(|found| shown(found).join(" ")))
            }
            Self::KvSetEvicting { key, value } => {
                let kv = present(host.kv());
                let set = kv.and_then(|kv| kv.set_evicting(key, value.as_bytes(), None));
                ("kv_set_evicting", set.map(|()| String::new()))
            }
            Self::KvKeys(prefix) => {
                let found = host.kv().and_then(|kv| kv.keys(prefix, "", 1000));
                ("kv_keys", present(found).map(|found| found.join(" ")))
            }
            Self::FloodEvicting => ("flood_evicting", flood_kv(host)),
            Self::CountWith { name, labels } => ("count_with", count_with(host, name, labels)),
            Self::FloodSeries => ("flood_series", flood_series(host)),
            Self::Permits(url) => {
                let permitted = present(host.http()).and_then(|http| http.permits(url));
                ("permits", permitted.map(|()| String::new()))
            }
            Self::Entry => {
                let shown = |entry: Entry| {
                    format!("{} {} {:?}", entry.name, entry.instance, entry.position)
                };
                ("entry", present(host.entry()).map(shown))
            }
            Self::Models => ("models", present(host.models()).map(|models| models.join(" "))),
            Self::HasModel(name) => {
                let has = host.has_model(name);
                ("has_model", Ok(has.map_or("unknown".to_owned(), |has| has.to_string())))
            }
            Self::AppendState => ("append_state", append_state(host)),
            Self::HasSecret(name) => {
                let has = present(host.secrets()).map(|secrets| secrets.has(name));
                ("has_secret", has.map(|has| has.to_string()))
            }
        }
    }
}

fn append_state(host: Host) -> Result<String, HostError> {
    let file = present(host.state_dir())?.join("state");
    let failed =
        |error: std::io::Error| HostError::new(HostErrorKind::UNREACHABLE, error.to_string());
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    text.push('x');
    std::fs::write(&file, &text).map_err(failed)?;
    Ok(text.len().to_string())
}

fn flood_kv(host: Host) -> Result<String, HostError> {
    let kv = present(host.kv())?;
    for index in 0..300 {
        kv.set_evicting(&format!("e{index:03}"), &[0; 100_000], None)?;
    }
    let left = present(kv.keys("e", "", 1))?;
    Ok(left.into_iter().next().unwrap_or_default())
}

fn count_with(
    host: Host,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Result<String, HostError> {
    let names: Vec<_> = labels.keys().map(String::as_str).collect();
    let values: Vec<_> = labels.values().map(String::as_str).collect();
    present(host.metrics())?.counter_with(name, "Counted.", &names)?.with(&values)?.add(1.0);
    Ok(String::new())
}

fn flood_series(host: Host) -> Result<String, HostError> {
    let family = present(host.metrics())?.gauge_with("series", "Flooded.", &["index"])?;
    for index in 0..1000 {
        family.with(&[&index.to_string()])?.set(1.0);
    }
    Ok(String::new())
}
