//! `GET /v1/models` and `GET /v1/models/{model}`.

use super::{refusal_log, respond::json, route};
use crate::app::App;
use axum::{http::StatusCode, response::Response};
use callgate_call::KeyHolder;
use callgate_failure::Failure;
use serde::Serialize;

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

/// The public model names that the holder of the key may call.
pub(super) fn list(app: &App, holder: Option<&KeyHolder>) -> Response {
    let data = callable(app, holder).map(model).collect();
    serialized(&List { data, object: "list" })
}

/// One model, named by the path.
pub(super) fn one(
    app: &App,
    holder: Option<&KeyHolder>,
    encoded: &str,
) -> Result<Response, Failure> {
    let id = route::decoded(encoded)?;
    if callable(app, holder).any(|known| *known == *id) {
        return Ok(serialized(&model(&id)));
    }
    let id = refusal_log::shortened(&id);
    Err(Failure::model_not_found(&id))
}

fn callable<'a>(app: &'a App, holder: Option<&KeyHolder>) -> impl Iterator<Item = &'a str> {
    let names = app.deployments.models().iter().map(|name| &**name);
    names.filter(move |name| holder.is_none_or(|it| it.may_call(name, &app.deployments)))
}

fn serialized(value: &impl Serialize) -> Response {
    json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}
