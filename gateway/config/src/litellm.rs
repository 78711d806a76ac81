//! `litellm_settings`, without its callbacks.

use super::{
    litellm_keys::KeySection,
    reader::{Field, Reader},
    section::Section,
    tls::{self, TlsSettings},
    yaml::Kind,
};
use std::time::Duration;

/// `litellm_settings`, without the callbacks.
#[derive(Clone, Debug)]
pub struct LitellmSettings {
    /// The timeout of calls whose deployment sets none.
    pub request_timeout: Option<Duration>,
    /// Drops parameters that a provider does not support instead of refusing the call.
    pub drop_params: bool,
    /// The TLS settings for all upstreams.
    pub tls: TlsSettings,
    /// Whether `GET /metrics` needs the key (`true` by default).
    pub metrics_auth: bool,
}

impl Default for LitellmSettings {
    fn default() -> Self {
        let tls = TlsSettings::default();
        Self { request_timeout: None, drop_params: false, tls, metrics_auth: true }
    }
}

/// LiteLLM's lists of callbacks that only observe.
const OBSERVERS: [&str; 3] = ["success_callback", "failure_callback", "service_callback"];

/// Keys that are settings of a callback: key, callback, setting.
const OF_CALLBACKS: &[(&str, &str, &str)] = &[
    ("langsmith_batch_size", "langsmith", "batch_size"),
    ("langsmith_default_run_name", "langsmith", "default_run_name"),
    ("langsmith_project", "langsmith", "project"),
];

/// The section's values about callbacks, not yet read.
#[derive(Default)]
pub(super) struct Listed<'n> {
    pub(super) callbacks: Option<Field<'n>>,
    /// The items of the lists of callbacks that only observe.
    pub(super) observers: Vec<Field<'n>>,
    pub(super) settings: Vec<SettingOf<'n>>,
}

/// A callback's setting that LiteLLM keeps beside the list.
pub(super) struct SettingOf<'n> {
    pub(super) callback: &'static str,
    pub(super) name: &'static str,
    pub(super) field: Field<'n>,
}

/// Returns the settings and, not yet read, the values about callbacks.
pub(super) fn read<'n>(
    reader: &mut Reader<'_>,
    mut section: Section<'n>,
) -> (LitellmSettings, Listed<'n>) {
    let timeout = section.take("request_timeout");
    let drop_params = section.take("drop_params");
    let metrics_auth = section.take("require_auth_for_metrics_endpoint");
    let settings = LitellmSettings {
        request_timeout: timeout.and_then(|field| reader.duration(&field)),
        drop_params: drop_params
            .and_then(|field| reader.boolean_or_list(&field))
            .unwrap_or_default(),
        tls: tls::read(reader, &mut section),
        metrics_auth: metrics_auth.and_then(|field| reader.boolean(&field)).unwrap_or(true),
    };
    let callbacks = section.take("callbacks");
    let of_callback = |&(key, callback, name): &(&'static str, _, _)| {
        section.take(key).map(|field| SettingOf { callback, name, field })
    };
    let of_callbacks = OF_CALLBACKS.iter().filter_map(of_callback).collect();
    let observers = OBSERVERS.iter().filter_map(|key| section.take(key));
    let observers = observers.flat_map(|field| items(reader, &field)).collect();
    section.finish(reader, KeySection::LitellmSettings);
    (settings, Listed { callbacks, observers, settings: of_callbacks })
}

/// The items of a list, or the one item that stands in its place.
fn items<'n>(reader: &mut Reader<'_>, field: &Field<'n>) -> Vec<Field<'n>> {
    match &field.node.kind {
        Kind::Sequence(_) => reader.list(field),
        Kind::Scalar(_) | Kind::Mapping(_) => vec![field.clone()],
    }
}
