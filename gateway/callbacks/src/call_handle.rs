//! The live call as one hook of one callback sees it: the gateway's side of every accessor.

use super::{
    payload::{is_answer, within},
    reply_stream::{CallbackReply, ReplyStreamReader},
};
use callgate_call::{Call, EditsSnapshot, HookState};
use callgate_config::Grants;
use callgate_deployments::Deployments;
use callgate_plugin_host::Hook;
use callgate_providers::{CallKind, through_chat};
use callgate_secret::{Masking, credentials::is_credential};
use http::HeaderValue;
use plugin_api::{
    EditError, Endpoint, FACTS, Rejection, Reply, Route,
    abi::serve::{CallAccess, Edited, ReplySink},
    limits,
};
use std::{borrow::Cow, time::Instant};

/// The content that a hook returns with its verdict.
#[derive(Debug, Default)]
pub(super) enum HookResult {
    #[default]
    Nothing,
    Rejection(Rejection),
    Reply(CallbackReply),
    Fault(String),
}

/// A call lent to one hook.
#[derive(Debug)]
pub(super) struct CallHandle<'a> {
    call: &'a mut Call,
    deployments: &'a Deployments,
    /// The callback's position in the chain.
    place: usize,
    /// Whether this is `on_llm_start`; after it, the request cannot be changed.
    starting: bool,
    /// The operator's grants for the callback, and the mask for secrets it was given.
    grants: Option<(&'a Grants, &'a Masking)>,
    given: HookResult,
    undo: Undo,
}

/// The call before the hook's first edit of each kind: a hook that only reads copies nothing.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// Whether edits may have to be rolled back.
    wanted: bool,
    edits: Option<Box<EditsSnapshot>>,
    hook_state: Option<Box<HookState>>,
}

impl<'a> CallHandle<'a> {
    /// A call as the callback at `place` sees it. With `undo`, its edits can be rolled back.
    pub(super) fn new(
        call: &'a mut Call,
        deployments: &'a Deployments,
        place: usize,
        hook: Hook,
        undo: bool,
    ) -> Self {
        if hook == Hook::Start {
            call.forget_excuse();
        }
        Self {
            call,
            deployments,
            place,
            starting: hook == Hook::Start,
            grants: None,
            given: HookResult::Nothing,
            undo: Undo { wanted: undo, ..Undo::default() },
        }
    }

    /// Adds the operator's grants for the callback.
    pub(super) fn with_grants(mut self, grants: (&'a Grants, &'a Masking)) -> Self {
        self.grants = Some(grants);
        self
    }

    /// The value of a header as the callback may see it. Credentials are hidden unless the config
    /// grants them; a callback knows the client by `key_id`.
    fn shown<'v>(&self, name: &str, value: &'v HeaderValue) -> Option<&'v str> {
        let value = value.to_str().ok();
        if !is_credential(name, self.call.key_header.as_ref()) {
            return value;
        }
        let (_, masking) = self.grants.filter(|(grants, _)| grants.read_auth_header).unzip();
        let Some(masking) = masking else { return Some("***") };
        // The callback may read the secret, but others read the text that it passes on.
        masking.learn_header(name, value?);
        value
    }

    /// Masks, in a text for other callbacks, the secrets that this one was given.
    fn passed_on<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let given = |grants: &Grants| grants.read_auth_header || !grants.secrets.is_empty();
        match self.grants {
            Some((grants, masking)) if given(grants) => masking.mask(text),
            _ => Cow::Borrowed(text),
        }
    }

    /// A fact about the call that only the gateway knows. `view::call` names them for plugins.
    fn fact(&self, name: &str) -> Option<&str> {
        let planned = || self.call.planned(self.deployments);
        match name {
            "public_model" => Some(planned()?.public_name().unwrap_or(self.call.model())),
            "model_group" => planned()?.model_group(),
            "upstream_asked" => Some(if self.call.asked { "true" } else { "false" }),
            "deployment_id" => Some(&planned()?.deployment().id),
            "model_info" => planned()?.deployment().model_info_json(),
            "attempts" => Some(if self.call.asked { "1" } else { "0" }),
            _ => match name.strip_prefix("caller.") {
                Some(name) => self.call.caller.fact(name),
                None => self.response_fact(name),
            },
        }
    }

    /// A fact about the upstream's response, once it has arrived.
    fn response_fact(&self, name: &str) -> Option<&str> {
        let response = self.call.upstream_response.as_ref()?.get()?;
        match name {
            "upstream_status" => Some(response.status()),
            "upstream_headers" => Some(response.headers_json()),
            _ => response.header(name.strip_prefix("upstream_header.")?),
        }
    }

    /// Whether the hook tried to read a client's body that is unreadable.
    pub(super) fn found_unreadable(&self) -> bool {
        self.starting && self.call.is_unreadable()
    }

    pub(super) fn into_parts(self) -> (HookResult, Undo) {
        (self.given, self.undo)
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Call) -> Edited) -> Edited {
        if !self.starting {
            return Err(EditError::TooLate);
        }
        if self.undo.wanted && self.undo.edits.is_none() {
            self.undo.edits = Some(Box::new(self.call.snapshot()));
        }
        edit(self.call)
    }

    fn edit_state(&mut self, edit: impl FnOnce(&mut Call, usize) -> Edited) -> Edited {
        if self.undo.wanted && self.undo.hook_state.is_none() {
            self.undo.hook_state = Some(Box::new(self.call.hook_state(self.place)));
        }
        edit(self.call, self.place)
    }
}

impl Undo {
    /// The metadata and the callback's note before the hook's first edit of them.
    pub(super) fn hook_state(&self) -> Option<&HookState> {
        self.hook_state.as_deref()
    }

    /// Ends the hook and applies its result to the call.
    pub(super) fn apply(self, call: &mut Call) {
        if let Some(edits) = self.edits {
            call.restore(*edits);
        }
        if let Some(hook_state) = self.hook_state {
            call.restore_hook_state(*hook_state);
        }
    }
}

impl CallAccess for CallHandle<'_> {
    fn id(&self) -> &str {
        &self.call.id
    }

    fn endpoint(&self) -> Endpoint {
        self.call.kind.endpoint()
    }

    fn stream(&self) -> bool {
        self.call.stream
    }

    fn requested_model(&self) -> &str {
        &self.call.requested_model
    }

    fn model(&self) -> &str {
        self.call.model()
    }

    fn set_model(&mut self, model: &str) -> Edited {
        self.edit(|call| call.set_model(model))
    }

    fn provider(&self) -> Option<&str> {
        Some(&self.call.planned(self.deployments)?.deployment().label)
    }

    fn upstream_model(&self) -> Option<&str> {
        Some(self.call.planned(self.deployments)?.upstream_model())
    }

    fn api_base(&self) -> Option<&str> {
        Some(self.call.planned(self.deployments)?.api_base())
    }

    fn set_route(&mut self, route: Route<'_>) -> Edited {
        let (deployments, grants) = (self.deployments, self.grants.map(|(grants, _)| grants));
        self.edit(|call| call.set_route(route, deployments, grants))
    }

    fn set_upstream_header(&mut self, name: &str, value: &str) -> Edited {
        self.edit(|call| call.set_upstream_header(name, value))
    }

    fn set_reply_header(&mut self, name: &str, value: &str) -> Edited {
        self.edit(|call| call.set_reply_header(name, value))
    }

    fn remove_upstream_header(&mut self, name: &str) -> Edited {
        self.edit(|call| call.remove_upstream_header(name))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.shown(name, self.call.headers.get(name)?)
    }

    fn header_count(&self) -> usize {
        self.call.headers.len()
    }

    fn header_at(&self, index: usize) -> Option<(&str, &str)> {
        let (name, value) = self.call.headers.iter().nth(index)?;
        Some((name.as_str(), self.shown(name.as_str(), value)?))
    }

    fn param(&self, path: &str) -> Option<&str> {
        self.call.param(path)
    }

    fn set_param(&mut self, path: &str, json: &str) -> Edited {
        self.edit(|call| call.set_param(path, json))
    }

    fn remove_param(&mut self, path: &str) -> Edited {
        self.edit(|call| call.remove_param(path))
    }

    fn message_count(&self) -> usize {
        self.call.message_count()
    }

    fn message_role(&self, index: usize) -> Option<&str> {
        self.call.message_role(index)
    }

    fn message_text(&self, index: usize) -> Option<&str> {
        self.call.message_text(index)
    }

    fn message_json(&self, index: usize) -> Option<&str> {
        self.call.message_json(index)
    }

    fn set_message_text(&mut self, index: usize, text: &str) -> Edited {
        self.edit(|call| call.edit_messages(text.len(), |messages| messages.set_text(index, text)))
    }

    fn set_message_json(&mut self, index: usize, json: &str) -> Edited {
        self.edit(|call| call.edit_messages(json.len(), |messages| messages.set_json(index, json)))
    }

    fn insert_message(&mut self, index: usize, role: &str, text: &str) -> Edited {
        self.edit(|call| {
            call.edit_messages(role.len() + text.len(), |messages| {
                messages.insert(index, role, text)
            })
        })
    }

    fn remove_message(&mut self, index: usize) -> Edited {
        self.edit(|call| call.edit_messages(0, |messages| messages.remove(index)))
    }

    fn body(&self) -> &[u8] {
        self.call.body_text().as_bytes()
    }

    fn replace_body(&mut self, body: &[u8]) -> Edited {
        self.edit(|call| call.replace_body(body))
    }

    fn key_id(&self) -> &str {
        &self.call.caller.key_id
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        match key.strip_prefix(FACTS) {
            Some(fact) => self.fact(fact),
            None => self.call.metadata(key),
        }
    }

    fn set_metadata(&mut self, key: &str, value: &str) -> Edited {
        if key.starts_with(FACTS) {
            return Err(EditError::NotAllowed);
        }
        let value = self.passed_on(value);
        self.edit_state(|call, _| call.set_metadata(key, &value))
    }

    fn local(&self) -> &[u8] {
        self.call.note(self.place)
    }

    fn set_local(&mut self, note: &[u8]) -> Edited {
        self.edit_state(|call, place| call.set_note(place, note))
    }

    fn remaining_ms(&self) -> Option<u64> {
        let left = self.call.deadline?.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).ok()
    }

    fn cancelled(&self) -> bool {
        self.call.client_gone
    }

    fn reply_stream(&mut self) -> Option<Box<dyn ReplySink>> {
        // Only the stream of a chat, or of what a chat can answer, can be made of texts.
        if !self.starting || !takes_text(self.call.kind) {
            return None;
        }
        let (sink, reader) = ReplyStreamReader::open(self.call);
        self.given = HookResult::Reply(CallbackReply::Stream(reader));
        Some(sink)
    }

    fn reject(&mut self, rejection: Rejection) {
        self.given = HookResult::Rejection(bounded(rejection));
    }

    fn reply(&mut self, reply: Reply) {
        let (Reply::Text(text) | Reply::Json(text)) = &reply else { return };
        let kind = self.call.kind;
        self.given = if text.len() > limits::ANSWER {
            HookResult::Fault(format!("its reply has more than {} bytes", limits::ANSWER))
        } else if let Reply::Json(json) = &reply
            && !is_answer(kind, json)
        {
            HookResult::Fault(match kind {
                CallKind::Chat => {
                    "it replied with something other than a `chat.completion`".to_owned()
                }
                kind => {
                    format!("it replied with something other than an answer to `{}`", kind.path())
                }
            })
        } else if kind != CallKind::Chat && self.call.stream && matches!(reply, Reply::Json(_)) {
            HookResult::Fault(
                "it replied to a stream with JSON; only streams of chats can be made of that"
                    .to_owned(),
            )
        } else if matches!(reply, Reply::Text(_)) && !takes_text(kind) {
            let path = kind.path();
            HookResult::Fault(format!("it replied to `{path}` with a text; such calls need JSON"))
        } else {
            HookResult::Reply(CallbackReply::Whole(reply))
        };
    }

    fn fault(&mut self, message: &str) {
        self.given = HookResult::Fault(within(message, limits::MESSAGE).to_owned());
    }
}

/// Whether a text can answer calls of this kind.
fn takes_text(kind: CallKind) -> bool {
    kind == CallKind::Chat || through_chat::can_answer(kind)
}

/// Shortens a rejection's text to the limit.
fn bounded(mut rejection: Rejection) -> Rejection {
    let cut = |text: &mut String, bytes| text.truncate(text.floor_char_boundary(bytes));
    cut(&mut rejection.message, limits::MESSAGE);
    if let Some(code) = &mut rejection.code {
        cut(code, limits::MODEL);
    }
    let mut room = limits::HEADERS;
    rejection.headers.retain(|(name, value)| {
        let left = room.checked_sub(name.len() + value.len());
        room = left.unwrap_or_default();
        left.is_some()
    });
    rejection
}
