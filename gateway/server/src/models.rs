//! `GET /v1/models` and `GET /v1/models/{model}`.

use super::{refusal_log, respond::json, route};
use crate::app::App;
use axum::{http::StatusCode, response::Response};
use callgate_call::KeyHolder;
use callgate_failure::Failure;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    /// The same constant as LiteLLM's.
    created: u64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Model<'a>>,
    object: &'static str,
}

fn model(id: &str) -> Model<'_> {
    Model { id, object: "model", created: 1_677_610_602, owned_by: "openai" }
}

/// The models that the holder of the key sees.
pub(super) async fn list(app: &App, holder: Option<&KeyHolder>) -> Result<Response, Failure> {
    if app.callbacks.chain().lists_models() {
        let names = listed_by_callbacks(app, holder).await?;
        return Ok(listing(names.iter().map(|name| &**name)));
    }
    Ok(listing(callable(app, holder).map(|name| &**name)))
}

/// One model, named by the path.
pub(super) async fn one(
    app: &App,
    holder: Option<&KeyHolder>,
    encoded: &str,
) -> Result<Response, Failure> {
    let id = route::decoded(encoded)?;
    let is_listed = if app.callbacks.chain().lists_models() {
        listed_by_callbacks(app, holder).await?.iter().any(|known| **known == *id)
    } else {
        callable(app, holder).any(|known| **known == *id)
    };
    if is_listed {
        return Ok(serialized(&model(&id)));
    }
    let id = refusal_log::shortened(&id);
    Err(Failure::model_not_found(&id))
}

fn listing<'a>(names: impl Iterator<Item = &'a str>) -> Response {
    serialized(&List { data: names.map(model).collect(), object: "list" })
}

/// The public model names that the holder of the key may call.
fn callable<'a>(app: &'a App, holder: Option<&KeyHolder>) -> impl Iterator<Item = &'a Arc<str>> {
    let names = app.deployments.models().iter();
    names.filter(move |name| holder.is_none_or(|it| it.may_call(name, &app.deployments)))
}

/// The names of the models that the holder of the key sees.
pub(super) async fn listed(
    app: &App,
    holder: Option<&KeyHolder>,
) -> Result<Vec<Arc<str>>, Failure> {
    if app.callbacks.chain().lists_models() {
        return listed_by_callbacks(app, holder).await;
    }
    Ok(callable(app, holder).cloned().collect())
}

async fn listed_by_callbacks(
    app: &App,
    holder: Option<&KeyHolder>,
) -> Result<Vec<Arc<str>>, Failure> {
    let anybody = Arc::default();
    let caller = holder.map_or(&anybody, |holder| &holder.caller);
    app.callbacks.chain().listed_models(callable(app, holder).cloned(), caller).await
}

fn serialized(value: &impl Serialize) -> Response {
    json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}
