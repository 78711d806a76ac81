//! `GET /callbacks`: the chain as it runs, with its figures. `GET /active/callbacks`: only the
//! names, in LiteLLM's form.

use super::respond::json;
use crate::app::App;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use callgate_callbacks::CallbackReport;
use serde::Serialize;

/// The number of the config that serves.
const CONFIG_GENERATION: HeaderName = HeaderName::from_static("x-callgate-config-generation");

/// `applied` or `refused`: how the last attempt to load a config ended.
const LAST_RELOAD: HeaderName = HeaderName::from_static("x-callgate-last-reload");

/// The response, with LiteLLM's names for the moments when it runs callbacks.
#[derive(Serialize)]
struct Active<'a> {
    /// The text "None", as LiteLLM sends it.
    alerting: &'static str,
    #[serde(rename = "litellm.callbacks")]
    callbacks: &'a [&'a str],
    #[serde(rename = "litellm.input_callback")]
    input: Vec<&'a str>,
    #[serde(rename = "litellm.failure_callback")]
    failure: Vec<&'a str>,
    #[serde(rename = "litellm.success_callback")]
    success: Vec<&'a str>,
    all_litellm_callbacks: &'a [&'a str],
    num_callbacks: usize,
    num_alerting: usize,
}

/// Every entry of the config's list, in order; entries that were not loaded have a reason.
pub(super) fn list(app: &App) -> Response {
    let mut response = serialized(&app.callbacks_report());
    let last = app.reloads.last();
    let result = if last.applied { "applied" } else { "refused" };
    let headers = response.headers_mut();
    headers.insert(CONFIG_GENERATION, HeaderValue::from(last.generation));
    headers.insert(LAST_RELOAD, HeaderValue::from_static(result));
    response
}

/// The names of the callbacks that run.
pub(super) fn active(app: &App) -> Response {
    let report = app.callbacks_report();
    let running: Vec<_> = report.iter().filter(|callback| callback.is_running()).collect();
    let names: Vec<_> = running.iter().map(|callback| callback.name.as_str()).collect();
    let with = |hook: &str| {
        let has = |callback: &&&CallbackReport| callback.has(hook);
        running.iter().filter(has).map(|callback| callback.name.as_str()).collect()
    };
    serialized(&Active {
        alerting: "None",
        callbacks: &names,
        input: with("on_llm_start"),
        failure: with("on_llm_error"),
        success: with("on_llm_end"),
        all_litellm_callbacks: &names,
        num_callbacks: names.len(),
        num_alerting: 0,
    })
}

fn serialized(value: &impl Serialize) -> Response {
    json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}
