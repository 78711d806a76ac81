//! What each action does. Only an async callback can wait, so waiting is elsewhere.

use crate::{
    hook_data::HookData,
    segfault::segfault,
    settings::{Action, Refusal, RouteParts},
    stream,
};
use plugin_api::{
    Chunk, EditError, Flow, HookError, Host, Level, LlmCall, Rejection, Reply, Route,
};
use std::{
    env, hint,
    panic::panic_any,
    path::Path,
    process::{abort, exit},
    thread,
    time::Duration,
};

/// How a callback logs: its host, its label, and its hook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice<'a> {
    pub(crate) host: Host,
    pub(crate) label: &'a str,
}

impl Voice<'_> {
    pub(crate) fn say(self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let mut all = vec![("label", self.label)];
        all.extend_from_slice(fields);
        self.host.log_with(level, message, &all);
    }
}

/// Runs an action that needs no call. `Ok(false)` if it is not one of these.
#[expect(clippy::panic, clippy::print_stdout, reason = "the settings ask for it")]
pub(crate) fn anywhere(voice: Voice<'_>, place: &str, action: &Action) -> Result<bool, String> {
    match action {
        Action::Panic(text) => panic_any(text.clone()),
        Action::PanicWithNumber(number) => panic_any(*number),
        Action::Abort => abort(),
        Action::Exit(status) => exit(*status),
        Action::Segfault => segfault(),
        Action::OverflowStack => println!("{}", deep(1)),
        Action::Hang => loop {
            thread::park();
        },
        Action::Spin => loop {
            hint::spin_loop();
        },
        Action::Print(text) => println!("{text}"),
        Action::RequireVariable(name) => {
            env::var(name).map_err(|_| format!("`{name}` is not set"))?;
        }
        Action::OwnRuntime => own_runtime()?,
        Action::NakedSpawn => drop(tokio::spawn(async {})),
        Action::Internal(text) => return Err(text.clone()),
        Action::Log(text) => voice.say(Level::Info, text, &[("hook", place)]),
        Action::Warn(text) => voice.say(Level::Warn, text, &[("hook", place)]),
        Action::SleepMs(ms) => thread::sleep(Duration::from_millis(*ms)),
        // Otherwise no gateway would start with it.
        Action::AwaitFile(_) if plugin_api::is_probe() => {}
        Action::AwaitFile(path) => {
            while !Path::new(path).exists() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Action::Block if plugin_api::is_probe() => {}
        Action::Block => {
            voice.say(Level::Info, "blocked", &[("hook", place)]);
            loop {
                thread::park();
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Overflows the stack: each call needs the result of the next.
fn deep(level: u64) -> u64 {
    let page = hint::black_box([level; 128]);
    if level == 0 { 0 } else { deep(level + 1) + page[3] }
}

fn own_runtime() -> Result<(), String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let task = runtime.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await });
    runtime.block_on(task).map_err(|error| error.to_string())
}

/// Runs an action in a hook. `Ok(None)` means to go on with the next.
pub(crate) fn in_hook(
    voice: Voice<'_>,
    data: &mut HookData<'_, '_, '_>,
    action: &Action,
) -> Result<Option<Flow>, HookError> {
    if anywhere(voice, data.hook(), action).map_err(HookError::Internal)? {
        return Ok(None);
    }
    match action {
        Action::Reject(refusal) => return Err(rejection(refusal).into()),
        Action::AnswerText(text) => return Ok(Some(Flow::Reply(Reply::Text(text.clone())))),
        Action::AnswerJson(json) => return Ok(Some(Flow::Reply(Reply::Json(json.clone())))),
        Action::AnswerBig(bytes) => {
            return Ok(Some(Flow::Reply(Reply::Text("x".repeat(*bytes)))));
        }
        Action::AnswerStream(plan) | Action::OpenStream(plan)
            if let HookData::Start(call) = data =>
        {
            let flow = stream::answer(voice, call, plan)?;
            return Ok(matches!(action, Action::AnswerStream(_)).then_some(flow));
        }
        _ => {}
    }
    match edit(data, action) {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            let (name, error) = (name(action), error.to_string());
            let fields =
                [("hook", data.hook()), ("action", name.as_str()), ("error", error.as_str())];
            voice.say(Level::Warn, "edit refused", &fields);
        }
        None => {
            let (name, hook) = (name(action), data.hook());
            return Err(HookError::Internal(format!("`{name}` does not work in `{hook}`")));
        }
    }
    Ok(None)
}

/// `None` if this hook has nothing of the kind to edit.
fn edit(data: &mut HookData<'_, '_, '_>, action: &Action) -> Option<Result<(), EditError>> {
    match action {
        Action::SetMetadata(key, value) => Some(data.call_mut().set_metadata(key, value)),
        Action::SetMetadataBig(bytes) => {
            Some(data.call_mut().set_metadata("big", &"x".repeat(*bytes)))
        }
        Action::SetLocal(note) => Some(data.call_mut().set_local(note.as_bytes())),
        _ => match data {
            HookData::Start(call) => edit_start(call, action),
            HookData::During(_) => None,
            HookData::Token(_, chunk) => edit_chunk(chunk, action),
            HookData::End(_, reply) => match action {
                Action::ReplyJson(json) => Some(reply.set_json(json)),
                Action::ReplyHeader(name, value) => Some(reply.set_header(name, value)),
                _ => None,
            },
            HookData::Error(_, failure) => match action {
                Action::FailureStatus(status) => Some(failure.set_status(*status)),
                Action::FailureMessage(text) => Some(failure.set_message(text)),
                Action::FailureType(text) => Some(failure.set_type(text)),
                Action::FailureCode(text) => Some(failure.set_code(text)),
                Action::FailureHeader(name, value) => Some(failure.set_header(name, value)),
                _ => None,
            },
        },
    }
}

fn edit_chunk(chunk: &mut Chunk<'_>, action: &Action) -> Option<Result<(), EditError>> {
    Some(match action {
        Action::ChunkText(text) => chunk.set_text(text),
        Action::ChunkUpper => {
            let upper = chunk.text().to_uppercase();
            chunk.set_text(&upper)
        }
        Action::ChunkJson(json) => chunk.set_json(json),
        Action::ChunkDrop => chunk.drop_chunk(),
        Action::EmitText(text) => chunk.emit_text(text),
        Action::EmitJson(json) => chunk.emit_json(json),
        Action::EmitBig(bytes) => chunk.emit_text(&"x".repeat(*bytes)),
        Action::HoldBack(_) if chunk.is_last() => Ok(()),
        Action::HoldBack(bytes) | Action::HoldBackAlways(bytes) => chunk.hold_back(*bytes),
        _ => return None,
    })
}

fn edit_start(call: &mut LlmCall<'_>, action: &Action) -> Option<Result<(), EditError>> {
    Some(match action {
        Action::SetModel(model) => call.set_model(model),
        Action::SetRoute(parts) => call.set_route(route(parts)),
        Action::SetUpstreamHeader(name, value) => call.set_upstream_header(name, value),
        Action::SetReplyHeader(name, value) => call.set_reply_header(name, value),
        Action::RemoveUpstreamHeader(name) => call.remove_upstream_header(name),
        Action::SetParam(path, json) => call.set_param(path, json),
        Action::SetParamBig(path, bytes) => {
            call.set_param(path, &format!("\"{}\"", "x".repeat(*bytes)))
        }
        Action::RemoveParam(path) => call.remove_param(path),
        Action::SetMessageText(index, text) => call.set_message_text(*index, text),
        Action::SetMessageJson(index, json) => call.set_message_json(*index, json),
        Action::InsertMessage(index, role, text) => call.insert_message(*index, role, text),
        Action::AppendMessage(role, text) => call.append_message(role, text),
        Action::RemoveMessage(index) => call.remove_message(*index),
        Action::ReplaceBody(json) => call.replace_body(json.as_bytes()),
        _ => return None,
    })
}

fn route(parts: &RouteParts) -> Route<'_> {
    Route {
        provider: parts.provider.as_deref(),
        model: parts.model.as_deref(),
        api_base: parts.api_base.as_deref(),
        api_key: parts.api_key.as_deref(),
    }
}

fn rejection(refusal: &Refusal) -> Rejection {
    Rejection {
        status: refusal.status,
        code: refusal.code.clone(),
        message: refusal.message.clone(),
        retry_after: refusal.retry_after_ms.map(Duration::from_millis),
        headers: refusal.headers.clone(),
    }
}

/// The action's name as in the settings: `SetModel("x")` is `set_model`.
fn name(action: &Action) -> String {
    let variant = format!("{action:?}");
    let mut name = String::new();
    for letter in variant.chars().take_while(char::is_ascii_alphabetic) {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
