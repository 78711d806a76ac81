//! `recorder` and `recorder_async`: one line for each hook, with everything that it can see.

use crate::hook_data::HookData;
use plugin_api::{
    AsyncCallback, CallView, Callback, Chunk, Endpoint, FailureKind, Flow, Hook, Host, InitError,
    Level, LlmCall, LlmFailure, LlmReply,
};
use serde::Deserialize;

/// Writes its lines at once.
#[derive(Debug)]
pub struct Recorder(Scribe);

/// Writes its lines in a future that is ready at once.
#[derive(Debug)]
pub struct RecorderAsync(Scribe);

/// See the crate's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecorderSettings {
    label: Option<String>,
    headers: Vec<String>,
    params: Vec<String>,
    metadata: Vec<String>,
    body: bool,
    messages: bool,
    note: Option<String>,
}

#[derive(Debug)]
struct Scribe {
    host: Host,
    settings: RecorderSettings,
}

/// A log line being built.
struct Line(Vec<(String, String)>);

impl Line {
    #[expect(clippy::needless_pass_by_value, reason = "numbers, flags and texts alike")]
    fn add(&mut self, name: &str, value: impl ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn add_known(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

impl Scribe {
    fn write(&self, mut data: HookData<'_, '_, '_>) -> Hook {
        if let (HookData::Start(call), Some(note)) = (&mut data, &self.settings.note) {
            call.set_local(note.as_bytes())?;
        }
        let mut line = Line(Vec::new());
        line.add("label", self.settings.label.as_deref().unwrap_or("recorder"));
        line.add("hook", data.hook());
        self.add_call(&mut line, data.call());
        match &data {
            HookData::Start(_) | HookData::During(_) => {}
            HookData::Token(_, chunk) => {
                line.add("index", chunk.index());
                line.add("text", chunk.text());
            }
            HookData::End(_, reply) => add_reply(&mut line, reply),
            HookData::Error(_, failure) => add_failure(&mut line, failure),
        }
        let fields: Vec<_> =
            line.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.host.log_with(Level::Info, "hook", &fields);
        Ok(Flow::Continue)
    }

    fn add_call(&self, line: &mut Line, call: &CallView<'_>) {
        line.add("call", call.id());
        line.add("endpoint", endpoint_name(call.endpoint()));
        line.add("requested_model", call.requested_model());
        line.add("model", call.model());
        line.add_known("provider", call.provider());
        line.add_known("upstream_model", call.upstream_model());
        line.add("stream", call.stream());
        line.add("key", call.key_id());
        line.add("message_count", call.message_count());
        let note = String::from_utf8_lossy(call.local());
        line.add_known("note", (!note.is_empty()).then_some(note));
        for name in &self.settings.headers {
            line.add_known(&format!("header.{name}"), call.header(name));
            // The log must mask the credentials that the recorder sees.
            line.add_known(&format!("header_bytes.{name}"), call.header(name).map(str::len));
        }
        for path in &self.settings.params {
            line.add_known(&format!("param.{path}"), call.param(path));
        }
        for key in &self.settings.metadata {
            line.add_known(&format!("metadata.{key}"), call.metadata(key));
        }
        if self.settings.messages {
            for (index, (_, text)) in call.messages().enumerate() {
                line.add(&format!("message.{index}"), text);
            }
        }
        if self.settings.body {
            line.add("body", String::from_utf8_lossy(call.body()));
        }
    }
}

fn add_reply(line: &mut Line, reply: &LlmReply<'_>) {
    line.add("status", reply.status());
    line.add("text", reply.text());
    line.add("json", reply.json().is_some());
    line.add_known("finish_reason", reply.finish_reason());
    line.add_known("prompt_tokens", reply.prompt_tokens());
    line.add_known("completion_tokens", reply.completion_tokens());
    line.add_known("total_tokens", reply.total_tokens());
    line.add("from_callback", reply.from_callback());
    line.add_known("completion", reply.completion().filter(|_| reply.json().is_none()));
    line.add("first_token", reply.time_to_first_token().is_some());
    line.add("upstream", reply.upstream_duration().is_some());
    line.add("timed", !reply.duration().is_zero());
}

fn add_failure(line: &mut Line, failure: &LlmFailure<'_>) {
    let kind = failure.kind();
    line.add("kind", kind_name(kind));
    line.add("before_upstream", kind.before_upstream());
    line.add("status", failure.status());
    line.add("code", failure.code());
    line.add("message", failure.message());
    line.add("sent", failure.sent());
    line.add("text", failure.text());
    line.add_known("callback", failure.callback());
    line.add_known("prompt_tokens", failure.prompt_tokens());
    line.add_known("completion_tokens", failure.completion_tokens());
    line.add_known("total_tokens", failure.total_tokens());
    line.add("first_token", failure.time_to_first_token().is_some());
    line.add("upstream", failure.upstream_duration().is_some());
    line.add("timed", !failure.duration().is_zero());
}

fn endpoint_name(endpoint: Endpoint) -> String {
    match endpoint {
        Endpoint::CHAT => "chat".to_owned(),
        Endpoint::COMPLETIONS => "completions".to_owned(),
        Endpoint::EMBEDDINGS => "embeddings".to_owned(),
        Endpoint::RESPONSES => "responses".to_owned(),
        Endpoint::MESSAGES => "messages".to_owned(),
        Endpoint::MODERATIONS => "moderations".to_owned(),
        Endpoint::RERANK => "rerank".to_owned(),
        Endpoint::IMAGES => "images".to_owned(),
        Endpoint::TRANSCRIPTIONS => "transcriptions".to_owned(),
        Endpoint::TRANSLATIONS => "translations".to_owned(),
        Endpoint::SPEECH => "speech".to_owned(),
        Endpoint::IMAGE_EDITS => "image_edits".to_owned(),
        Endpoint::COUNT_TOKENS => "count_tokens".to_owned(),
        Endpoint(number) => number.to_string(),
    }
}

fn kind_name(kind: FailureKind) -> String {
    let name = match kind {
        FailureKind::REJECTED => "rejected",
        FailureKind::INVALID => "invalid",
        FailureKind::FAULT => "fault",
        FailureKind::UPSTREAM_STATUS => "upstream_status",
        FailureKind::UPSTREAM_UNREACHABLE => "upstream_unreachable",
        FailureKind::TIMEOUT => "timeout",
        FailureKind::BROKEN_STREAM => "broken_stream",
        FailureKind::CLIENT_GONE => "client_gone",
        FailureKind::INTERNAL => "internal",
        FailureKind::REPLY_REFUSED => "reply_refused",
        FailureKind(number) => return number.to_string(),
    };
    name.to_owned()
}

impl Callback for Recorder {
    type Settings = RecorderSettings;

    fn new(host: Host, settings: RecorderSettings) -> Result<Self, InitError> {
        Ok(Self(Scribe { host, settings }))
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        self.0.write(HookData::Start(call))
    }

    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        self.0.write(HookData::Token(call, chunk))
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        self.0.write(HookData::End(call, reply))
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        self.0.write(HookData::Error(call, failure))
    }
}

impl AsyncCallback for RecorderAsync {
    type Settings = RecorderSettings;

    fn new(host: Host, settings: RecorderSettings) -> Result<Self, InitError> {
        Ok(Self(Scribe { host, settings }))
    }

    async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        self.0.write(HookData::Start(call))
    }

    async fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        self.0.write(HookData::Token(call, chunk))
    }

    async fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        self.0.write(HookData::End(call, reply))
    }

    async fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        self.0.write(HookData::Error(call, failure))
    }
}
