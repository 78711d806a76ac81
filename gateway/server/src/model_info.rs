//! `GET /model/info` and `GET /health`: the entries of `model_list` as LiteLLM shows them, without
//! keys, bases and headers. No model is asked unless the client says so.

use super::{
    health_check::{self, HealthAnswer},
    models,
    respond::json,
    route::decoded,
};
use crate::app::App;
use axum::{http::StatusCode, response::Response};
use callgate_call::KeyHolder;
use callgate_deployments::Deployment;
use callgate_failure::Failure;
use callgate_providers::CallKind;
use serde_json::{Map, Value, json as object};
use std::sync::Arc;

/// The entries that the holder of the key may call, with `model_info`. `query` may name one by its
/// id, as in LiteLLM.
pub(super) async fn list(
    app: &App,
    holder: Option<&KeyHolder>,
    query: Option<&str>,
) -> Result<Response, Failure> {
    let wanted = named(query, "litellm_model_id=");
    let entries = entries(app, holder).await?;
    let entries = entries.iter().filter(|entry| wanted.is_none_or(|id| entry.id == id));
    let data: Vec<_> = entries.map(|entry| info(entry)).collect();
    Ok(answer(app, &object!({"data": data})))
}

/// The same entries, with those apart whose calls must fail. With `ask=true` in the query, the
/// others are asked; `model` names those of one name, as in LiteLLM.
pub(super) async fn health(
    app: &App,
    holder: Option<&KeyHolder>,
    query: Option<&str>,
) -> Result<Response, Failure> {
    let asks = named(query, "ask=") == Some("true");
    if asks && holder.is_some_and(|holder| !holder.scopes.admin) {
        return Err(Failure::missing_scope("admin"));
    }
    let model = named(query, "model=").map(decoded).transpose()?;
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    let mut entries = entries(app, holder).await?;
    entries.retain(|entry| model.as_deref().is_none_or(|model| *entry.model_name == *model));
    let shown = |entry: &Deployment| object!({"model": full_name(entry), "model_name": &*entry.model_name, "model_id": entry.id});
    let mut sort = |entry: &Deployment, asked: Option<HealthAnswer>| {
        let mut shown = shown(entry);
        match asked {
            Some(HealthAnswer::Failed(error)) => {
                shown["error"] = error.into();
                return unhealthy.push(shown);
            }
            Some(HealthAnswer::Unasked(reason)) => shown["not_asked"] = reason.into(),
            Some(HealthAnswer::Answered) | None => {}
        }
        healthy.push(shown);
    };
    let (broken, able): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| trouble(entry).is_some());
    let answers = if asks { health_check::ask_all(app, &able).await } else { Vec::new() };
    let mut answers = answers.into_iter();
    able.iter().for_each(|entry| sort(entry, answers.next()));
    broken.iter().for_each(|entry| sort(entry, trouble(entry).map(HealthAnswer::Failed)));
    let (count, bad) = (healthy.len(), unhealthy.len());
    Ok(answer(
        app,
        &object!({"healthy_endpoints": healthy, "unhealthy_endpoints": unhealthy,
            "healthy_count": count, "unhealthy_count": bad}),
    ))
}

/// The value of a parameter, still encoded; `name` ends with `=`.
fn named<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?.split('&').find_map(|param| param.strip_prefix(name))
}

async fn entries(app: &App, holder: Option<&KeyHolder>) -> Result<Vec<Arc<Deployment>>, Failure> {
    let names = models::listed(app, holder).await?;
    let all = app.deployments.all().iter();
    Ok(all.filter(|entry| names.contains(&entry.model_name)).cloned().collect())
}

fn info(entry: &Deployment) -> Value {
    let mut info: Map<String, Value> = entry.model_info.as_object().cloned().unwrap_or_default();
    info.insert("id".to_owned(), entry.id.as_str().into());
    info.insert("db_model".to_owned(), false.into());
    info.insert("litellm_provider".to_owned(), entry.provider.name.into());
    let kinds = CallKind::ALL.into_iter().filter(|kind| entry.serves(*kind));
    let paths: Vec<_> = kinds.map(|kind| format!("/v1{}", kind.path())).collect();
    info.entry("supported_endpoints").or_insert_with(|| paths.into());
    object!({"model_name": &*entry.model_name, "litellm_params": {"model": full_name(entry)},
        "model_info": info})
}

/// The model with the prefix of its provider.
fn full_name(entry: &Deployment) -> String {
    format!("{}/{}", entry.provider.name, entry.upstream_model)
}

/// Why every call of the entry fails.
fn trouble(entry: &Deployment) -> Option<String> {
    if entry.mock_response.is_some() {
        return None;
    }
    let unset = || Some(format!("`{}` is not set", entry.first_unset()?.variable));
    entry.unserved.as_deref().map(str::to_owned).or_else(unset)
}

/// `model_info` is the operator's text, which may repeat a secret.
fn answer(app: &App, body: &Value) -> Response {
    let body = body.to_string();
    json(StatusCode::OK, app.masking.mask(&body).into_owned())
}
