//! The accessors of a test's call, with the gateway's meaning, over plain JSON values.

use super::{Given, TestCall};
use crate::{
    EditError, Endpoint, FACTS, Rejection, Reply, Route,
    abi::serve::{CallAccess, Edited, ReplySink},
    limits,
    testing::{
        headers::{OWNED, find, is_header_value, set_header},
        reply_stream::MockStream,
    },
};

/// Headers that read as `***`.
const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"];

impl CallAccess for TestCall {
    fn id(&self) -> &str {
        &self.id
    }
    fn endpoint(&self) -> Endpoint {
        self.endpoint
    }
    fn stream(&self) -> bool {
        self.body.stream()
    }
    fn requested_model(&self) -> &str {
        &self.requested_model
    }
    fn model(&self) -> &str {
        self.body.model()
    }
    fn set_model(&mut self, model: &str) -> Edited {
        if model.is_empty() {
            return Err(EditError::NotAllowed);
        }
        if model.len() > limits::MODEL {
            return Err(EditError::TooLarge);
        }
        self.body.set_member("model", model.into());
        Ok(())
    }
    fn provider(&self) -> Option<&str> {
        let planned = || self.planned().map(|deployment| deployment.provider.as_str());
        self.route.provider.as_deref().or_else(planned)
    }
    fn upstream_model(&self) -> Option<&str> {
        let planned = || self.planned().map(|deployment| deployment.upstream_model.as_str());
        self.route.model.as_deref().or_else(planned)
    }
    fn api_base(&self) -> Option<&str> {
        self.route.api_base.as_deref()
    }
    fn set_route(&mut self, route: Route<'_>) -> Edited {
        let bad_provider = |label: &str| {
            label.is_empty() || self.refused_providers.iter().any(|refused| refused == label)
        };
        let bad_base = |base: &str| !base.starts_with("http://") && !base.starts_with("https://");
        let bad_key = |key: &str| key.is_empty() || !is_header_value(key);
        if route.provider.is_some_and(bad_provider)
            || route.model.is_some_and(str::is_empty)
            || route.api_base.is_some_and(bad_base)
            || route.api_key.is_some_and(bad_key)
        {
            return Err(EditError::NotAllowed);
        }
        let set = |part: &mut Option<String>, value: Option<&str>| {
            if let Some(value) = value {
                *part = Some(value.to_owned());
            }
        };
        set(&mut self.route.provider, route.provider);
        set(&mut self.route.model, route.model);
        set(&mut self.route.api_base, route.api_base);
        set(&mut self.route.api_key, route.api_key);
        Ok(())
    }
    fn set_upstream_header(&mut self, name: &str, value: &str) -> Edited {
        set_header(&mut self.upstream_headers, &OWNED, name, value)
    }
    fn set_reply_header(&mut self, name: &str, value: &str) -> Edited {
        set_header(&mut self.reply_headers, &OWNED, name, value)
    }
    fn remove_upstream_header(&mut self, name: &str) -> Edited {
        let before = self.upstream_headers.len();
        self.upstream_headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if self.upstream_headers.len() == before { Err(EditError::NotFound) } else { Ok(()) }
    }
    fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name).map(|value| shown(name, value))
    }
    fn header_count(&self) -> usize {
        self.headers.len()
    }
    fn header_at(&self, index: usize) -> Option<(&str, &str)> {
        self.headers.get(index).map(|(name, value)| (name.as_str(), shown(name, value)))
    }
    fn param(&self, path: &str) -> Option<&str> {
        self.body.param(path)
    }
    fn set_param(&mut self, path: &str, json: &str) -> Edited {
        self.body.set_param(path, json)
    }
    fn remove_param(&mut self, path: &str) -> Edited {
        self.body.remove_param(path)
    }
    fn message_count(&self) -> usize {
        self.body.message_count()
    }
    fn message_role(&self, index: usize) -> Option<&str> {
        self.body.message_role(index)
    }
    fn message_text(&self, index: usize) -> Option<&str> {
        self.body.message_text(index)
    }
    fn message_json(&self, index: usize) -> Option<&str> {
        self.body.message_json(index)
    }
    fn set_message_text(&mut self, index: usize, text: &str) -> Edited {
        self.body.set_message_text(index, text)
    }
    fn set_message_json(&mut self, index: usize, json: &str) -> Edited {
        self.body.set_message_json(index, json)
    }
    fn insert_message(&mut self, index: usize, role: &str, text: &str) -> Edited {
        self.body.insert_message(index, role, text)
    }
    fn remove_message(&mut self, index: usize) -> Edited {
        self.body.remove_message(index)
    }
    fn body(&self) -> &[u8] {
        self.body.text().as_bytes()
    }
    fn replace_body(&mut self, body: &[u8]) -> Edited {
        self.body.replace(body)
    }
    fn key_id(&self) -> &str {
        &self.key_id
    }
    fn metadata(&self, key: &str) -> Option<&str> {
        match key {
            "callgate.public_model" => Some(self.planned()?.public_model.as_deref()?),
            "callgate.model_group" => Some(&self.planned()?.model_name),
            "callgate.upstream_asked" => Some(if self.asked? { "true" } else { "false" }),
            _ if key.starts_with("callgate.upstream_header.") => {
                self.shared(&key.to_ascii_lowercase())
            }
            _ => self.shared(key),
        }
    }
    fn set_metadata(&mut self, key: &str, value: &str) -> Edited {
        if key.starts_with(FACTS) {
            return Err(EditError::NotAllowed);
        }
        let others = self.metadata.iter().filter(|(known, _)| *known != key);
        let size: usize = others.map(|(known, value)| known.len() + value.len()).sum();
        if size + key.len() + value.len() > limits::METADATA {
            return Err(EditError::TooLarge);
        }
        self.metadata.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
    fn local(&self) -> &[u8] {
        &self.local
    }
    fn set_local(&mut self, note: &[u8]) -> Edited {
        if note.len() > limits::LOCAL {
            return Err(EditError::TooLarge);
        }
        note.clone_into(&mut self.local);
        Ok(())
    }
    fn remaining_ms(&self) -> Option<u64> {
        self.remaining.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1))
    }
    fn cancelled(&self) -> bool {
        self.cancelled
    }
    fn reply_stream(&mut self) -> Option<Box<dyn ReplySink>> {
        let stream = MockStream::default();
        self.stream = Some(stream.clone());
        Some(Box::new(stream))
    }
    fn reject(&mut self, rejection: Rejection) {
        self.given = Some(Given::Reject(rejection));
    }
    fn reply(&mut self, reply: Reply) {
        self.given = Some(Given::Reply(reply));
    }
    fn fault(&mut self, message: &str) {
        self.given = Some(Given::Fault(message.to_owned()));
    }
}

fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name)) { "***" } else { value }
}
