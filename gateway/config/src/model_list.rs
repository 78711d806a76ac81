//! Reads `model_list` into typed entries. `deployments` checks whether each can work (provider,
//! base, key), and reports its problems at the locations kept here.

use super::{
    ProxyServer, Setting, Unset,
    json::{json, object},
    litellm_keys::{KeySection, Standing},
    problem::{Problem, Severity, SourceLocation},
    proxy,
    quote::quoted,
    reader::{Field, Reader},
    section::{Section, not_used},
    tls::{self, TlsSettings},
};
use callgate_providers::{ParamPath, gateway_members::is_own};
use callgate_secret::Secret;
use serde_json::{Map, Value};
use std::{fmt, time::Duration};

mod azure;
mod headers;
mod keys;

pub use azure::AzureParams;

/// One entry of `model_list`, before `deployments` infers its provider.
#[derive(Clone)]
pub struct ModelEntry {
    /// The entry itself.
    pub place: SourceLocation,
    /// The public name.
    pub model_name: String,
    /// `litellm_params.model` as written (expanded), and its location.
    pub model: (String, SourceLocation),
    /// `custom_llm_provider`, and its location.
    pub provider: Option<(String, SourceLocation)>,
    /// `api_base` or `base_url`, and its location (that of `litellm_params` if absent).
    pub api_base: (Setting<String>, SourceLocation),
    /// The key for the upstream.
    pub api_key: Setting<Secret>,
    /// What only Azure's providers read.
    pub azure: AzureParams,
    /// `OpenAI-Organization`.
    pub organization: Setting<String>,
    /// `proxy`: the proxy that leads to the upstream, or `Set(None)` for none; `Absent`: as the
    /// variables say.
    pub proxy: Setting<Option<ProxyServer>>,
    /// Its own TLS settings.
    pub tls: TlsSettings,
    /// Further request headers; names are as written, unique, and valid for HTTP.
    pub extra_headers: Vec<(String, Setting<Secret>)>,
    /// Request parameters for calls that do not set their own; includes `extra_body`.
    pub params: Map<String, Value>,
    /// The location of each of `params`.
    pub params_places: Vec<(String, SourceLocation)>,
    /// The unset variables in `params`.
    pub params_unset: Vec<Unset>,
    /// `timeout`, otherwise `request_timeout`.
    pub timeout: Option<Duration>,
    /// The timeout of streamed calls.
    pub stream_timeout: Option<Duration>,
    /// The time limit for the first content of streamed calls.
    pub first_content_timeout: Option<Duration>,
    /// `stream_usage`: whether streams ask for their usage (`true` by default).
    pub stream_usage: Option<bool>,
    /// The figures for how often this entry is chosen within its group.
    pub weights: Weights,
    /// Lower values are tried first (0 by default).
    pub order: i64,
    /// Overrides `litellm_settings.drop_params`.
    pub drop_params: Option<bool>,
    /// `additional_drop_params`: parameters that are never sent.
    pub additional_drop_params: Vec<String>,
    /// `additional_drop_params`: parts of parameters that are never sent.
    pub drop_paths: Vec<ParamPath>,
    /// Parameters that are sent even if the provider does not support them.
    pub allowed_openai_params: Vec<String>,
    /// `merge_reasoning_content_in_choices`
    pub merges_reasoning: bool,
    /// The model behind a deployment's name.
    pub base_model: Option<String>,
    /// The text to reply with instead of calling the upstream.
    pub mock_response: Option<String>,
    /// `model_info` (an object), passed on unchanged.
    pub model_info: Map<String, Value>,
}

/// Three weights; the first one that a group uses counts for all its members.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    /// `weight`
    pub weight: Option<f64>,
    /// `rpm`
    pub rpm: Option<f64>,
    /// `tpm`
    pub tpm: Option<f64>,
}

impl fmt::Debug for ModelEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelEntry")
            .field("model_name", &self.model_name)
            .field("model", &self.model.0)
            .field("api_key", &self.api_key)
            .field("params", &self.params.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Reads the entries. Incomplete ones are reported and left out.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<ModelEntry> {
    // An unset variable fails only the calls that need it.
    let unset = std::mem::replace(&mut reader.unset, Severity::Warning);
    let items = reader.list(field);
    let entries = items.iter().filter_map(|item| entry(reader, item)).collect();
    reader.unset = unset;
    entries
}

fn entry(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<ModelEntry> {
    let mut section = reader.section(field)?;
    let model_name = required_text(reader, &mut section, "model_name");
    let info = section.take("model_info");
    let params = section.take("litellm_params");
    if params.is_none() {
        reader.error(field, "expected `litellm_params` with a `model`, found none");
    }
    let params = params.and_then(|params| reader.section(&params));
    let entry = params.and_then(|params| litellm_params(reader, params));
    section.finish(reader, KeySection::Entry);
    let mut missing = Vec::new();
    let members = info.as_ref().and_then(Section::of);
    let model_info = info.map(|info| object(reader, &info, &mut missing)).unwrap_or_default();
    if let Some(members) = members {
        members.report_info(reader);
        check_mode(reader, &members, &model_info);
    }
    for missing in missing {
        reader.note_unset(&missing.field, &missing.variable, Severity::Warning);
    }
    let place = reader.place(field);
    Some(ModelEntry { place, model_name: model_name?, model_info, ..entry? })
}

/// The kinds of models that an endpoint serves, as `model_info.mode` has them.
const SERVED: [&str; 10] = [
    "audio_speech",
    "audio_transcription",
    "chat",
    "completion",
    "embedding",
    "image_edit",
    "image_generation",
    "moderation",
    "rerank",
    "responses",
];

/// Warns of a kind of model that no endpoint serves.
fn check_mode(reader: &mut Reader<'_>, members: &Section<'_>, info: &Map<String, Value>) {
    let Some(mode) = info.get("mode").and_then(Value::as_str) else { return };
    if !SERVED.contains(&mode) {
        let place = members.place_of_key(reader, "mode");
        let why = "no endpoint serves this kind of model";
        reader.restate(&place.path, Standing::Unsupported(why));
        let text = format!("{why}, `{}`: it can answer no call", quoted(mode));
        reader.problems.push(Problem::warning(place, text));
    }
}

fn required_text(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Option<String> {
    let Some(field) = section.take(key) else {
        reader.error(&section.field, format!("expected a `{key}`, found none"));
        return None;
    };
    // An unset variable is only a warning elsewhere, but without a name nothing can be served.
    let unset = std::mem::replace(&mut reader.unset, Severity::Error);
    let text = reader.text(&field);
    reader.unset = unset;
    if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        reader.error(&field, "expected a name, found blank text");
        return None;
    }
    text
}

/// Reads everything except the members of the entry itself.
fn litellm_params(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<ModelEntry> {
    let model_place = section.take("model").map(|field| reader.place(&field));
    let model = required_text(reader, &mut section, "model");
    let provider = section.take("custom_llm_provider");
    let provider =
        provider.and_then(|field| reader.text(&field).map(|text| (text, reader.place(&field))));
    let api_base = api_base(reader, &mut section);
    let mut setting = |reader: &mut Reader<'_>, key| {
        section.take(key).map(|field| reader.setting(&field)).unwrap_or_default()
    };
    let organization = setting(reader, "organization");
    let mock_response = match setting(reader, "mock_response") {
        Setting::Set(text) => Some(text),
        Setting::Absent | Setting::Unset(_) => None,
    };
    let api_key = section.take("api_key").map(|field| reader.secret(&field)).unwrap_or_default();
    let azure = azure::take(reader, &mut section);
    let base_model = section.take("base_model").map(|field| reader.setting(&field));
    let base_model = base_model.and_then(|model| model.set().cloned());
    let proxy = section.take("proxy").map(|field| proxy::of_entry(reader, &field));
    let tls = tls::read(reader, &mut section);
    let extra_headers = headers::take(reader, &mut section);
    let mut number =
        |reader: &mut Reader<'_>, key| section.take(key).and_then(|field| reader.number(&field));
    let weights = Weights {
        weight: number(reader, "weight"),
        rpm: number(reader, "rpm"),
        tpm: number(reader, "tpm"),
    };
    let mut duration =
        |reader: &mut Reader<'_>, key| section.take(key).and_then(|field| reader.duration(&field));
    let request_timeout = duration(reader, "request_timeout");
    let timeout = duration(reader, "timeout").or(request_timeout);
    let stream_timeout = duration(reader, "stream_timeout");
    let first_content_timeout = duration(reader, "first_content_timeout");
    let order = section.take("order").and_then(|field| reader.integer(&field)).unwrap_or_default();
    let mut switch =
        |reader: &mut Reader<'_>, key| section.take(key).and_then(|field| reader.boolean(&field));
    let stream_usage = switch(reader, "stream_usage");
    let drop_params = section.take("drop_params");
    let drop_params = drop_params.and_then(|field| reader.boolean_or_list(&field));
    let (additional_drop_params, drop_paths) = left_out(reader, &mut section);
    let allowed = section.take("allowed_openai_params");
    let allowed_openai_params = allowed.map(|field| reader.texts(&field)).unwrap_or_default();
    let merges = section.take("merge_reasoning_content_in_choices");
    let merges_reasoning = merges.and_then(|field| reader.boolean(&field)).unwrap_or_default();
    let Params { params, places: params_places, unset: params_unset } = params(reader, section);
    Some(ModelEntry {
        place: SourceLocation::whole_file(&reader.file),
        model_name: String::new(),
        model: (model?, model_place?),
        provider,
        api_base,
        api_key,
        azure,
        organization,
        proxy: proxy.unwrap_or_default(),
        tls,
        extra_headers,
        params,
        params_places,
        params_unset,
        timeout,
        stream_timeout,
        first_content_timeout,
        stream_usage,
        weights,
        order,
        drop_params,
        additional_drop_params,
        drop_paths,
        allowed_openai_params,
        merges_reasoning,
        base_model,
        mock_response,
        model_info: Map::new(),
    })
}

/// `base_url` overrides its synonym, as in LiteLLM.
fn api_base(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
) -> (Setting<String>, SourceLocation) {
    let (api_base, base_url) = (section.take("api_base"), section.take("base_url"));
    if api_base.is_some() && base_url.is_some() {
        let place = section.place_of_key(reader, "api_base");
        let text = "`base_url` is given as well and is used instead";
        reader.problems.push(Problem::warning(place, text).remedy("remove one of them"));
    }
    match base_url.or(api_base) {
        Some(field) => (reader.setting(&field), reader.place(&field)),
        None => (Setting::Absent, reader.place(&section.field)),
    }
}

/// `additional_drop_params`: names of parameters, and paths into them.
fn left_out(reader: &mut Reader<'_>, section: &mut Section<'_>) -> (Vec<String>, Vec<ParamPath>) {
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    let Some(field) = section.take("additional_drop_params") else { return (names, paths) };
    for item in reader.list(&field) {
        let Some(name) = reader.text(&item) else { continue };
        let is_path = name.contains(['.', '[', '*']);
        let path = is_path.then(|| ParamPath::parse(&name)).flatten();
        let param = path.as_ref().map_or(&*name, ParamPath::param);
        if keys::OF_CALLS.contains(&param) {
            let text = format!("expected a parameter, found `{param}`, which every call has");
            reader.error(&item, text);
        } else if let Some(path) = path {
            paths.push(path);
        } else if is_path {
            let found = reader.found(&item);
            let text = format!(
                "expected a parameter, or a path to a member such as `tools[*].function.strict`, \
                 found {found}"
            );
            reader.error(&item, text);
        } else {
            names.push(name);
        }
    }
    (names, paths)
}

#[derive(Default)]
struct Params {
    params: Map<String, Value>,
    places: Vec<(String, SourceLocation)>,
    unset: Vec<Unset>,
}

/// Every remaining key is a request parameter, as in LiteLLM; `extra_body` overrides them.
fn params(reader: &mut Reader<'_>, mut section: Section<'_>) -> Params {
    let (mut all, mut missing) = (Params::default(), Vec::new());
    let extra_body = section.take("extra_body");
    for (key, field) in section.rest() {
        let problem = section.judge(reader, key, KeySection::LitellmParams);
        match KeySection::LitellmParams.standing(key) {
            Some(Standing::Honoured) => {}
            Some(_) => {
                let is_clients = keys::OF_CLIENTS.contains(&key);
                let place = section.place_of_key(reader, key);
                let problem = problem.or_else(|| is_clients.then(|| of_clients(place, key)));
                reader.problems.extend(problem);
                continue;
            }
            None => {
                let near = keys::of_destination(key);
                reader.problems.extend(problem.map(|problem| unknown_param(problem, near)));
                if near.is_some() {
                    continue;
                }
            }
        }
        if !field.node.is_null() {
            all.places.push((key.to_owned(), section.place_of_key(reader, key)));
            all.params.insert(key.to_owned(), json(reader, &field, &mut missing));
        }
    }
    section.report_read(reader, KeySection::LitellmParams);
    if let Some(section) = extra_body.and_then(|field| reader.section(&field)) {
        for (key, value) in object(reader, &section.field, &mut missing) {
            let place = section.place_of_key(reader, &key);
            if is_own(&key) {
                let problem = section.judge(reader, &key, KeySection::LitellmParams);
                let meaning = "it is taken out of every body";
                reader.problems.push(problem.unwrap_or_else(|| not_used(place, &key, meaning)));
            } else if keys::OF_CLIENTS.contains(&key.as_str()) || key == "model" {
                reader.problems.push(of_clients(place, &key));
            } else {
                all.places.push((key.clone(), place));
                all.params.insert(key, value);
            }
        }
    }
    let unset = missing.iter();
    let unset = unset.map(|it| reader.note_unset(&it.field, &it.variable, Severity::Warning));
    all.unset = unset.collect();
    all
}

/// `near` is the server or credential that the key was most likely meant to set.
fn unknown_param(problem: Problem, near: Option<&str>) -> Problem {
    match near {
        Some(near) => Problem { severity: Severity::Error, ..problem }
            .remedy(format!("did you mean `{near}`?")),
        None => {
            let text = format!("{}; it is taken for a request parameter", problem.text);
            Problem { text, ..problem }
        }
    }
}

fn of_clients(place: SourceLocation, key: &str) -> Problem {
    let text = format!("`{key}` is not used: each call sets it");
    Problem::warning(place, text).remedy("remove it")
}
