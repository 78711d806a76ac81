//! Builds runs for LangSmith in LiteLLM's form. JSON of the call is copied byte for byte.

use crate::{
    captured_call::{CapturedCall, Tokens},
    ids::{Ids, RequestedIds},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, time::Duration};

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Returns `{"post": […]}` for these calls.
pub(crate) fn batch(notes: &[CapturedCall], project: &str, run_name: &str) -> Vec<u8> {
    let mut body = b"{\"post\":[".to_vec();
    for (index, note) in notes.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let kept = body.len();
        if write(note, project, run_name, &mut body).is_err() {
            // Only invalid JSON can fail, and the gateway has validated it.
            body.truncate(kept - usize::from(index > 0));
        }
    }
    body.extend_from_slice(b"]}");
    body
}

fn write(
    note: &CapturedCall,
    project: &str,
    run_name: &str,
    body: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut request: Members<'_> = serde_json::from_slice(&note.body).unwrap_or_default();
    if let Ok(metadata) = serde_json::from_slice(&note.metadata) {
        request.insert("metadata".to_owned(), metadata);
    }
    let request = request;
    let asked: Members<'_> = object(request.get("metadata").copied());
    let reply = reply(note);
    let response: Members<'_> = serde_json::from_str(&reply).unwrap_or_default();
    let text = |name: &str| text_of(asked.get(name).copied());
    let (run_id, parent, trace) = (text("run_id"), text("parent_run_id"), text("trace_id"));
    let order = text("dotted_order");
    let ended = Duration::from_millis(note.ended_ms);
    let started = ended.saturating_sub(note.duration);
    let ids = Ids::new(
        note.id,
        RequestedIds {
            run_id: run_id.as_deref(),
            parent_run_id: parent.as_deref(),
            trace_id: trace.as_deref(),
            dotted_order: order.as_deref(),
        },
        started,
    );
    let metadata = metadata(note, &request, &response);
    let tags = tags(&asked);
    let (name, session) = (text("run_name"), text("project_name"));
    let run = Run {
        name: name.as_deref().unwrap_or(run_name),
        run_type: "llm",
        inputs: inputs(note, &request, &response, &metadata, &tags, &ids),
        outputs: Outputs { response: &response, usage_metadata: note.tokens.into() },
        session_name: session.as_deref().unwrap_or(project),
        start_time: started.as_secs_f64(),
        end_time: ended.as_secs_f64(),
        tags: &tags,
        extra: &metadata,
        error: note.failure.as_ref().map(|failed| failed.message.as_str()),
        id: &ids.id,
        trace_id: &ids.trace_id,
        parent_run_id: ids.parent_run_id.as_deref(),
        dotted_order: &ids.dotted_order,
        session_id: text("session_id").filter(|id| uuid::Uuid::try_parse(id).is_ok()),
    };
    serde_json::to_writer(body, &run)
}

fn object(value: Option<&RawValue>) -> Members<'_> {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn text_of(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str::<String>(value?.get()).ok().filter(|text| !text.is_empty())
}

fn tags(asked: &Members<'_>) -> Vec<String> {
    let given = asked.get("tags").and_then(|tags| serde_json::from_str(tags.get()).ok());
    given.unwrap_or_default()
}

/// Returns the reply as JSON. A streamed reply becomes one completion.
fn reply(note: &CapturedCall) -> String {
    if !note.reply.is_empty() {
        return note.reply.clone();
    }
    if note.failure.is_some() && note.text.is_empty() {
        return "{}".to_owned();
    }
    let Tokens { prompt, completion, total } = note.tokens;
    serde_json::json!({
        "id": format!("chatcmpl-{}", note.call_id),
        "object": "chat.completion",
        "created": note.ended_ms / 1000,
        "model": note.requested_model,
        "choices": [{
            "index": 0,
            "finish_reason": note.finish_reason,
            "message": {"role": "assistant", "content": note.text},
        }],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total},
    })
    .to_string()
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    run_type: &'a str,
    inputs: Inputs<'a>,
    outputs: Outputs<'a>,
    session_name: &'a str,
    start_time: f64,
    end_time: f64,
    tags: &'a [String],
    extra: &'a Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    id: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<&'a str>,
    dotted_order: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
}

#[derive(Serialize)]
struct Outputs<'a> {
    #[serde(flatten)]
    response: &'a Members<'a>,
    usage_metadata: UsageMetadata,
}

#[derive(Serialize)]
struct UsageMetadata {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

impl From<Tokens> for UsageMetadata {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.prompt,
            output_tokens: tokens.completion,
            total_tokens: tokens.total,
        }
    }
}

/// LiteLLM's fields, without those of features that the gateway lacks.
#[derive(Serialize)]
struct Metadata<'a> {
    user_api_key_hash: &'a str,
    user_api_key_request_route: &'a str,
    user_api_key_end_user_id: Option<&'a RawValue>,
    requester_metadata: Option<&'a RawValue>,
    usage_object: Option<&'a RawValue>,
}

fn metadata<'a>(
    note: &'a CapturedCall,
    request: &Members<'a>,
    response: &Members<'a>,
) -> Metadata<'a> {
    Metadata {
        user_api_key_hash: &note.key_id,
        user_api_key_request_route: "/v1/chat/completions",
        user_api_key_end_user_id: request.get("user").copied(),
        requester_metadata: request.get("metadata").copied(),
        usage_object: response.get("usage").copied(),
    }
}

/// LiteLLM's standard logging payload, as far as the gateway knows it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
struct Inputs<'a> {
    id: Option<&'a RawValue>,
    litellm_call_id: &'a str,
    trace_id: &'a str,
    call_type: &'a str,
    stream: bool,
    status: &'a str,
    custom_llm_provider: &'a str,
    #[serde(rename = "startTime")]
    start_time: f64,
    #[serde(rename = "endTime")]
    end_time: f64,
    #[serde(rename = "completionStartTime")]
    completion_start_time: f64,
    response_time: f64,
    model: String,
    metadata: &'a Metadata<'a>,
    total_tokens: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    request_tags: &'a [String],
    end_user: Option<&'a RawValue>,
    api_base: &'a str,
    model_group: &'a str,
    messages: Option<&'a RawValue>,
    response: &'a Members<'a>,
    model_parameters: BTreeMap<&'a str, &'a RawValue>,
    error_str: Option<&'a str>,
    error_information: ErrorInformation<'a>,
}

#[derive(Serialize, Default)]
struct ErrorInformation<'a> {
    error_code: String,
    error_class: &'a str,
    llm_provider: &'a str,
    error_message: &'a str,
}

fn inputs<'a>(
    note: &'a CapturedCall,
    request: &'a Members<'a>,
    response: &'a Members<'a>,
    metadata: &'a Metadata<'a>,
    tags: &'a [String],
    ids: &'a Ids,
) -> Inputs<'a> {
    let end = Duration::from_millis(note.ended_ms);
    let start = end.saturating_sub(note.duration);
    let first = note.first_token.map_or(end, |first| start.saturating_add(first));
    let others = |name: &str| !matches!(name, "model" | "messages" | "metadata" | "user");
    let model_parameters = request.iter().filter(|(name, _)| others(name));
    let failed = note.failure.as_ref();
    Inputs {
        id: response.get("id").copied(),
        litellm_call_id: &note.call_id,
        trace_id: &ids.trace_id,
        call_type: "acompletion",
        stream: note.stream,
        status: if failed.is_some() { "failure" } else { "success" },
        custom_llm_provider: &note.provider,
        start_time: start.as_secs_f64(),
        end_time: end.as_secs_f64(),
        completion_start_time: first.as_secs_f64(),
        response_time: note.duration.as_secs_f64(),
        model: format!("{}/{}", note.provider, note.upstream_model),
        metadata,
        total_tokens: note.tokens.total,
        prompt_tokens: note.tokens.prompt,
        completion_tokens: note.tokens.completion,
        request_tags: tags,
        end_user: request.get("user").copied(),
        api_base: &note.api_base,
        model_group: &note.requested_model,
        messages: request.get("messages").copied(),
        response,
        model_parameters: model_parameters.map(|(name, value)| (name.as_str(), *value)).collect(),
        error_str: failed.map(|failed| failed.message.as_str()),
        error_information: failed.map_or_else(ErrorInformation::default, |failed| {
            let code = &failed.code;
            ErrorInformation {
                error_code: if code.is_empty() { failed.status.to_string() } else { code.clone() },
                error_class: failed.class,
                llm_provider: &note.provider,
                error_message: &failed.message,
            }
        }),
    }
}
