//! The items of an answer, and the response around them. Texts are escaped JSON without quotes.

use super::{ChatUsage, Echo};
use crate::json_text::push_string;
use bytes::Bytes;

/// The values that every event of a response and the whole of it repeat.
#[derive(Debug, Clone)]
pub(super) struct ResponseHead {
    /// Both as JSON.
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: u64,
    pub(super) echoed: Bytes,
}

impl ResponseHead {
    /// `id` and `model` are the upstream's, as JSON.
    pub(super) fn new(id: Option<&str>, model: Option<&str>, echo: &Echo, echoed: &Bytes) -> Self {
        let made = |text: &str| {
            let mut json = Vec::new();
            push_string(&mut json, text);
            String::from_utf8_lossy(&json).into_owned()
        };
        let (id, model) = (id.map(str::to_owned), model.map(str::to_owned));
        Self {
            id: id.unwrap_or_else(|| made(&echo.id)),
            model: model.unwrap_or_else(|| made(&echo.model)),
            created: echo.created,
            echoed: echoed.clone(),
        }
    }

    /// Appends the response.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        status: ResponseStatus,
        output: &[u8],
        usage: Option<&ChatUsage>,
    ) {
        let (id, created, model) = (&self.id, self.created, &self.model);
        let (status, reason) = status.words();
        let details = reason.map_or("null".to_owned(), |it| format!("{{\"reason\":\"{it}\"}}"));
        let head = format!(
            "{{\"id\":{id},\"object\":\"response\",\"created_at\":{created},\
             \"status\":\"{status}\",\"error\":null,\"incomplete_details\":{details},\
             \"model\":{model},\"output\":["
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(output);
        out.push(b']');
        out.extend_from_slice(&self.echoed);
        out.extend_from_slice(b",\"usage\":");
        match usage {
            Some(usage) => write_usage(out, usage),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseStatus {
    InProgress,
    Completed,
    CutByLimit,
    CutByFilter,
}

impl ResponseStatus {
    /// That of a `finish_reason`.
    pub(super) fn of(finish_reason: Option<&str>) -> Self {
        match finish_reason {
            Some("length") => Self::CutByLimit,
            Some("content_filter") => Self::CutByFilter,
            _ => Self::Completed,
        }
    }

    /// The status, and why it is incomplete.
    pub(super) fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::InProgress => ("in_progress", None),
            Self::Completed => ("completed", None),
            Self::CutByLimit => ("incomplete", Some("max_output_tokens")),
            Self::CutByFilter => ("incomplete", Some("content_filter")),
        }
    }
}

fn write_usage(out: &mut Vec<u8>, usage: &ChatUsage) {
    let input = usage.prompt_tokens.unwrap_or(0);
    let output = usage.completion_tokens.unwrap_or(0);
    let text = format!(
        "{{\"input_tokens\":{input},\"input_tokens_details\":{{\"cached_tokens\":{}}},\
         \"output_tokens\":{output},\"output_tokens_details\":{{\"reasoning_tokens\":{}}},\
         \"total_tokens\":{}}}",
        usage.cached(),
        usage.reasoning(),
        input.saturating_add(output)
    );
    out.extend_from_slice(text.as_bytes());
}

/// An item of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputItem {
    pub(super) kind: ItemKind,
    /// As JSON; the gateway's own, because a chat has none.
    pub(super) id: String,
    /// What was said so far, or the arguments of a call.
    pub(super) text: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemKind {
    Thoughts,
    Text,
    Refusal,
    /// Its number in the chat, its id and its name, both as JSON.
    Call {
        number: u64,
        call_id: String,
        name: String,
    },
}

impl OutputItem {
    /// An item without content; `at` is its place in the output.
    pub(super) fn new(kind: ItemKind, echo: &Echo, at: usize) -> Self {
        let prefix = match kind {
            ItemKind::Thoughts => "rs",
            ItemKind::Text | ItemKind::Refusal => "msg",
            ItemKind::Call { .. } => "fc",
        };
        let mut id = Vec::new();
        push_string(&mut id, &format!("{prefix}_{}_{at}", echo.id));
        Self { kind, id: String::from_utf8_lossy(&id).into_owned(), text: Vec::new() }
    }

    /// Appends the item; without its content and in progress if it only begins.
    pub(super) fn write(&self, out: &mut Vec<u8>, status: ResponseStatus) {
        let (status, _) = status.words();
        let begins = status == "in_progress";
        let head = format!("{{\"id\":{}", self.id);
        out.extend_from_slice(head.as_bytes());
        match &self.kind {
            ItemKind::Thoughts => {
                out.extend_from_slice(b",\"type\":\"reasoning\",\"summary\":[");
                if !begins {
                    self.write_part(out);
                }
                out.extend_from_slice(b"]}");
            }
            ItemKind::Text | ItemKind::Refusal => {
                let head = format!(
                    ",\"type\":\"message\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":["
                );
                out.extend_from_slice(head.as_bytes());
                if !begins {
                    self.write_part(out);
                }
                out.extend_from_slice(b"]}");
            }
            ItemKind::Call { call_id, name, .. } => {
                let head = format!(
                    ",\"type\":\"function_call\",\"status\":\"{status}\",\"call_id\":{call_id},\
                     \"name\":{name},\"arguments\":\""
                );
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(&self.text);
                out.extend_from_slice(b"\"}");
            }
        }
    }

    /// Appends its part with the text so far.
    pub(super) fn write_part(&self, out: &mut Vec<u8>) {
        let (head, end): (&[u8], &[u8]) = match self.kind {
            ItemKind::Thoughts => (b"{\"type\":\"summary_text\",\"text\":\"", b"\"}"),
            ItemKind::Refusal => (b"{\"type\":\"refusal\",\"refusal\":\"", b"\"}"),
            ItemKind::Text | ItemKind::Call { .. } => (
                b"{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"",
                b"\"}",
            ),
        };
        out.extend_from_slice(head);
        out.extend_from_slice(&self.text);
        out.extend_from_slice(end);
    }
}
