//! One entry of `model_list`, as calls need it.

use bytes::Bytes;
use callgate_config::{Setting, Unset};
use callgate_providers::{
    CallKind, ChatAddress, KeyHeader, ModelFamily, ParamRules, Provider, through_chat,
};
use callgate_secret::Secret;
use callgate_upstream::{Connector, TokenSource};
use http::HeaderMap;
use serde_json::{Map, Value};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// LiteLLM's default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6000);

/// One configured way to serve a model name. Its `Debug` shows no secret and no free-form value.
#[derive(Clone)]
pub struct Deployment {
    /// `model_info.id`, otherwise a SHA-256 in hex that stays the same across restarts and key
    /// rotation.
    pub id: String,
    /// The public name; for a provider's stand-in (see `Deployments::for_provider`) its label.
    pub model_name: Arc<str>,
    /// The provider, with its dialect.
    pub provider: &'static Provider,
    /// The label in limits, logs and metrics: `groq`, `openai`, `ollama`, `openai_compatible`, …
    pub label: Arc<str>,
    /// Why no call of it can succeed: its provider is unknown or not supported.
    pub unserved: Option<Arc<str>>,
    /// The model's name at the upstream. Contains `*` if the model name is a wildcard that passes
    /// on its match; then use `Chosen::upstream_model`. Empty for a provider's stand-in.
    pub upstream_model: Arc<str>,
    /// `http(s)://host…`, without a trailing slash. `Absent` only if it is `unserved`.
    pub api_base: Setting<String>,
    /// `Absent` if the upstream needs none.
    pub api_key: Setting<Secret>,
    /// Where the token comes from that is sent in place of a key.
    pub token_source: Option<Arc<TokenSource>>,
    /// The header for `api_key`.
    pub key_header: KeyHeader,
    /// The version of the API in URLs, if it differs from the dialect's own.
    pub api_version: Setting<String>,
    /// How connections to its upstream are made.
    pub connector: Arc<Connector>,
    /// The same for the issuer of its tokens: another server, so its TLS settings are the general
    /// ones.
    pub token_connector: Arc<Connector>,
    /// The unset variable in its `proxy` or its TLS settings.
    pub connector_unset: Option<Unset>,
    /// `OpenAI-Organization`.
    pub organization: Setting<String>,
    /// Further request headers; names and values are valid for HTTP.
    pub extra_headers: Vec<(String, Setting<Secret>)>,
    /// Request parameters for calls that do not set their own.
    pub params: Map<String, Value>,
    /// The unset variables in `params`.
    pub params_unset: Vec<Unset>,
    /// The limit for a whole JSON reply. Never zero.
    pub timeout: Duration,
    /// The limit between the events of a stream.
    pub stream_timeout: Duration,
    /// The limit for the first content of a stream, in place of `stream_timeout`.
    pub first_content_timeout: Option<Duration>,
    /// Whether streams ask the upstream for their usage.
    pub stream_usage: bool,
    /// The share among deployments of the same `order`; 0 is chosen only if all are 0.
    pub weight: f64,
    /// Only deployments with the lowest order of a group are chosen.
    pub order: i64,
    /// What happens to parameters that are not to be sent, or that the provider refuses.
    pub rules: ParamRules,
    /// The family of `upstream_model`.
    pub family: ModelFamily,
    /// Puts reasoning into the text of answers.
    pub merges_reasoning: bool,
    /// The text to reply with instead of calling the upstream.
    pub mock_response: Option<String>,
    /// `model_info` (an object), as written.
    pub model_info: Value,
    /// [`Deployment::model_info`] as text, made when a callback first asks for it.
    pub model_info_text: OnceLock<Option<String>>,
    /// The headers for every response and every request of this deployment; built on first use.
    pub answer_headers: OnceLock<HeaderMap>,
    /// The headers for a JSON reply, with empty places for the values known only at its end.
    pub json_headers: OnceLock<HeaderMap>,
    pub request_lines: OnceLock<Bytes>,
    /// The URL of every call, and the upstream's model name as JSON; built on first use.
    pub chat_url: OnceLock<Arc<str>>,
    pub model_json: OnceLock<Bytes>,
    /// The log's fields about it, in each form of line; built on first use.
    pub log_fields: OnceLock<[Box<[u8]>; 2]>,
}

impl Deployment {
    /// Whether it answers calls of this kind.
    #[must_use]
    pub fn serves(&self, kind: CallKind) -> bool {
        self.sent_as(kind).is_some()
    }

    /// The kind of request that its upstream gets for a call of this kind: the same if its provider
    /// serves it, or if the operator says in `model_info.mode` that the model does; else a chat, if
    /// that can answer the call. Of a server of which nothing is known, only chats and completions
    /// are certain. A fixed answer is a chat's.
    #[must_use]
    pub fn sent_as(&self, kind: CallKind) -> Option<CallKind> {
        let kinds = self.provider.kinds;
        // Most calls are chats.
        if kind == CallKind::Chat && kinds.has(kind) {
            return Some(kind);
        }
        let is_named = self.model_info.get("mode").is_some_and(|mode| *mode == *kind.mode());
        let is_mocked = self.mock_response.is_some();
        let is_own = is_named || kinds.has(kind);
        let is_certain = is_named || !kinds.is_any() || kind == CallKind::Completions;
        let can_chat = kinds.has(CallKind::Chat) || is_mocked;
        match kind {
            CallKind::Chat => (is_own || is_mocked).then_some(kind),
            _ if is_own && is_certain && !is_mocked => Some(kind),
            _ if through_chat::can_answer(kind) && can_chat => Some(CallKind::Chat),
            _ => (is_own && !is_mocked).then_some(kind),
        }
    }

    /// The `model_info` as a JSON object; `None` if there is nothing in it.
    #[must_use]
    pub fn model_info_json(&self) -> Option<&str> {
        let text = || {
            let members = self.model_info.as_object().filter(|members| !members.is_empty())?;
            serde_json::to_string(members).ok()
        };
        self.model_info_text.get_or_init(text).as_deref()
    }

    /// The family of a call's model, which may differ from the deployment's.
    #[must_use]
    pub fn family_of(&self, model: &Arc<str>) -> ModelFamily {
        match Arc::ptr_eq(model, &self.upstream_model) {
            true => self.family,
            false => (self.provider.families)(model),
        }
    }

    /// The address of its calls, for another base or model if the call has one.
    #[must_use]
    pub fn chat_address<'a>(&'a self, base: &'a str, model: &'a str) -> ChatAddress<'a> {
        ChatAddress { base, model, api_version: self.api_version.set().map(String::as_str) }
    }

    /// The first variable that this deployment requires and that is not set. A call must then fail
    /// and name it, unless a callback has replaced its value.
    #[must_use]
    pub fn first_unset(&self) -> Option<&Unset> {
        self.api_base
            .unset()
            .or_else(|| self.api_key.unset())
            .or_else(|| self.first_unset_beside_route())
    }

    /// As [`Deployment::first_unset`], without base and key, which a callback may replace.
    #[must_use]
    pub fn first_unset_beside_route(&self) -> Option<&Unset> {
        self.organization
            .unset()
            .or_else(|| self.api_version.unset())
            .or_else(|| self.extra_headers.iter().find_map(|(_, value)| value.unset()))
            .or_else(|| self.params_unset.first())
            .or(self.connector_unset.as_ref())
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("id", &self.id)
            .field("model_name", &self.model_name)
            .field("label", &self.label)
            .field("upstream_model", &self.upstream_model)
            .field("api_base", &self.api_base)
            .field("api_key", &self.api_key)
            .field("params", &self.params.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
