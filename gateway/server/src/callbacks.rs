//! `GET /callbacks`: the chain as it runs, with its figures. `GET /active/callbacks`: only the
//! names, in LiteLLM's form.

use super::respond::json;
use crate::app::App;
use axum::{http::StatusCode, response::Response};
use callgate_callbacks::CallbackReport;
use serde::Serialize;

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
    serialized(&app.callbacks_report())
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
