//! A recorded call, read from its file.

use crate::record::{FORMAT, VERSION, text_of};
use bytes::Bytes;
use callgate_call::{Accepted, Call, Caller};
use callgate_json::Body;
use callgate_plugin_host::Hook;
use callgate_providers::CallKind;
use http::{HeaderMap, HeaderName, HeaderValue};
use plugin_api::Endpoint;
use serde_json::Value;
use std::{sync::Arc, time::Instant};

/// A file that cannot be replayed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Not JSON, or not the JSON of a record.
    #[error("expected a record of a call, found something else")]
    Foreign,
    /// Written by a later gateway.
    #[error("expected format version {VERSION}, found {0}; use a later callgate")]
    Version(u64),
    /// Its parts are damaged.
    #[error("the record is damaged: `{0}` is not usable")]
    Damaged(&'static str),
}

/// One call as it was recorded.
#[derive(Debug)]
pub struct RecordedCall(Value);

/// One recorded hook.
#[derive(Debug)]
pub(super) struct RecordedHook<'a> {
    pub(super) hook: Hook,
    pub(super) unix_ms: u64,
    pub(super) input: &'a Value,
    pub(super) outcome: &'a Value,
}

impl RecordedHook<'_> {
    /// Whether the call went on after the hook.
    pub(super) fn passed(&self) -> bool {
        self.outcome["verdict"]["kind"] == "continue"
    }
}

impl RecordedCall {
    /// Reads a record.
    ///
    /// # Errors
    /// If the text is not a record, or of a later version.
    pub fn read(text: &[u8]) -> Result<Self, RecordError> {
        let json: Value = serde_json::from_slice(text).map_err(|_| RecordError::Foreign)?;
        if json["format"] != FORMAT {
            return Err(RecordError::Foreign);
        }
        let version = json["version"].as_u64().ok_or(RecordError::Damaged("version"))?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let hooks = json["hooks"].as_array().ok_or(RecordError::Damaged("hooks"))?;
        let usable = |hook: &Value| {
            hook_of(hook).is_some() && hook["input"].is_object() && hook["outcome"].is_object()
        };
        if hooks.is_empty() || !hooks.iter().all(usable) {
            return Err(RecordError::Damaged("hooks"));
        }
        Ok(Self(json))
    }

    /// The id of the call.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0["call"]["id"].as_str().unwrap_or_default()
    }

    /// The name that the plugin exports the callback by.
    #[must_use]
    pub fn callback(&self) -> &str {
        self.0["callback"]["name"].as_str().unwrap_or_default()
    }

    /// The name of the config's entry.
    #[must_use]
    pub fn entry(&self) -> &str {
        self.0["callback"]["entry"].as_str().unwrap_or_default()
    }

    /// The model names of the call with their target: at the callback's first hook and after its
    /// start hook.
    pub fn targets(&self) -> Vec<(&str, &Value)> {
        let hooks = self.0["hooks"].as_array().into_iter().flatten();
        let calls = hooks.map(|hook| &hook["call_after"]).chain([&self.0["call"]]);
        let named = calls.filter_map(|call| Some((call["model"].as_str()?, &call["target"])));
        named.filter(|(_, target)| target.is_object()).collect()
    }

    /// The URLs of its callback's requests.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.exchanges().filter_map(|exchange| exchange["url"].as_str())
    }

    pub(super) fn exchanges(&self) -> impl Iterator<Item = &Value> {
        let hooks = self.0["hooks"].as_array().into_iter().flatten();
        hooks.flat_map(|hook| hook["http"].as_array().into_iter().flatten())
    }

    pub(super) fn hooks(&self) -> impl Iterator<Item = RecordedHook<'_>> {
        let hooks = self.0["hooks"].as_array().into_iter().flatten();
        hooks.filter_map(|hook| {
            Some(RecordedHook {
                hook: hook_of(hook)?,
                unix_ms: hook["unix_ms"].as_u64().unwrap_or_default(),
                input: &hook["input"],
                outcome: &hook["outcome"],
            })
        })
    }

    /// The call as it was at the first hook.
    pub(super) fn call(&self) -> Result<Call, RecordError> {
        let call = &self.0["call"];
        let text = |name: &'static str| call[name].as_str().ok_or(RecordError::Damaged(name));
        let body = Bytes::from(text_of(&call["body"]));
        let body = Body::parse(body).map_err(|_| RecordError::Damaged("body"))?;
        let fact = |name: &str| call["caller"][name].as_str().map(str::to_owned);
        let endpoint = call["endpoint"].as_u64().and_then(|number| u32::try_from(number).ok());
        let kind = endpoint.and_then(|number| CallKind::of(Endpoint(number)));
        let mut made = Call::new(Accepted {
            id: text("id")?.into(),
            kind: kind.ok_or(RecordError::Damaged("endpoint"))?,
            requested_model: text("requested_model")?.into(),
            path: text("path")?.to_owned().into(),
            stream: call["stream"] == true,
            headers: header_pairs(&call["headers"]).collect::<HeaderMap>(),
            key_header: None,
            caller: Arc::new(Caller::with_facts(text("key_id")?, fact)),
            accepted: Instant::now(),
            body,
        });
        if call["model"] != call["requested_model"] {
            made.set_model(text("model")?).map_err(|_| RecordError::Damaged("model"))?;
        }
        made.upstream_headers = header_pairs(&call["upstream_headers"]).collect();
        made.reply_headers = header_pairs(&call["reply_headers"]).collect();
        Ok(made)
    }
}

fn hook_of(hook: &Value) -> Option<Hook> {
    let name = hook["hook"].as_str()?;
    Hook::ALL.into_iter().find(|hook| hook.name() == name)
}

/// The usable ones of a list of names with values.
pub(super) fn header_pairs(list: &Value) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let pairs = list.as_array().into_iter().flatten();
    pairs.filter_map(|pair| {
        let name: HeaderName = pair[0].as_str()?.parse().ok()?;
        Some((name, HeaderValue::from_str(pair[1].as_str()?).ok()?))
    })
}
