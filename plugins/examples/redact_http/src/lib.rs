//! Has a service replace names and numbers in prompts by placeholders such as `[NAME_1]`, and puts
//! the originals back into replies and streams. If the service does not answer, the call is
//! refused: nothing leaves unredacted.
//!
//! The service gets `{"texts": [...]}` and answers `{"texts": [...], "originals": {"[NAME_1]":
//! "Bob"}}`.

use plugin_api::{
    AsyncCallback, CallView, Chunk, Flow, Hook, Host, HttpRequest, InitError, LlmCall, LlmReply,
    Rejection,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The callback.
#[derive(Debug)]
pub struct RedactHttp {
    host: Host,
    settings: Settings,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The URL of the service.
    url: String,
    /// How long it may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
}

fn timeout_ms() -> u64 {
    200
}

/// What the service answers.
#[derive(Debug, Deserialize, Serialize)]
struct Redacted {
    texts: Vec<String>,
    originals: BTreeMap<String, String>,
}

impl RedactHttp {
    async fn redacted(&self, texts: &[String]) -> Result<Redacted, String> {
        let http = self.host.http().ok_or("the gateway has no HTTP client")?;
        let body = serde_json::json!({ "texts": texts }).to_string();
        let request = HttpRequest::post(&self.settings.url)
            .header("content-type", "application/json")
            .body(body)
            .timeout(Duration::from_millis(self.settings.timeout_ms));
        let answer = http.send(request).await.map_err(|error| error.to_string())?;
        if !answer.is_success() {
            return Err(format!("expected a success, found status {}", answer.status));
        }
        let redacted: Redacted =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        if redacted.texts.len() != texts.len() {
            let (expected, found) = (texts.len(), redacted.texts.len());
            return Err(format!("expected {expected} texts, found {found}"));
        }
        Ok(redacted)
    }
}

/// The original text of each placeholder of the call.
fn originals(call: &CallView<'_>) -> BTreeMap<String, String> {
    serde_json::from_slice(call.local()).unwrap_or_default()
}

/// The text with the originals. `quote` prepares them for the place where they are put.
fn restored(
    text: &str,
    originals: &BTreeMap<String, String>,
    quote: impl Fn(&str) -> String,
) -> String {
    originals.iter().fold(text.to_owned(), |text, (placeholder, original)| {
        text.replace(placeholder, &quote(original))
    })
}

/// How many bytes at the end of `text` may be the beginning of a placeholder.
fn begun(text: &str, originals: &BTreeMap<String, String>) -> usize {
    let begins = |at: &usize| originals.keys().any(|known| known.starts_with(&text[*at..]));
    let mut places = text.char_indices().map(|(at, _)| at);
    places.find(begins).map_or(0, |at| text.len() - at)
}

impl AsyncCallback for RedactHttp {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        // The start reports a missing grant, not the first call.
        if let Some(http) = host.http() {
            http.permits(&settings.url).map_err(|error| InitError::new(format!("url: {error}")))?;
        }
        Ok(Self { host, settings })
    }

    async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let count = call.message_count();
        let texts: Vec<_> =
            (0..count).map(|at| call.message_text(at).unwrap_or_default().to_owned()).collect();
        let redacted = match self.redacted(&texts).await {
            Ok(redacted) => redacted,
            Err(error) => {
                self.host.log_with(plugin_api::Level::Error, "not redacted", &[("why", &error)]);
                return Err(Rejection::new(503, "the prompt could not be redacted").into());
            }
        };
        for (at, (before, after)) in texts.iter().zip(&redacted.texts).enumerate() {
            if before != after {
                call.set_message_text(at, after)?;
            }
        }
        if !redacted.originals.is_empty() {
            let note = serde_json::to_vec(&redacted.originals).unwrap_or_default();
            call.set_local(&note)?;
        }
        Ok(Flow::Continue)
    }

    async fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        let originals = originals(call);
        if originals.is_empty() || chunk.text().is_empty() {
            return Ok(Flow::Continue);
        }
        // A placeholder may be cut into two chunks: its beginning comes again with the next one.
        let text = chunk.text();
        let later = if chunk.is_last() { 0 } else { begun(text, &originals) };
        let (now, later) = text.split_at(text.len() - later);
        let (shown, held) = (restored(now, &originals, str::to_owned) + later, later.len());
        chunk.set_text(&shown)?;
        if held > 0 {
            chunk.hold_back(held)?;
        }
        Ok(Flow::Continue)
    }

    async fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let originals = originals(call);
        let Some(json) = reply.json().filter(|_| !originals.is_empty()) else {
            return Ok(Flow::Continue);
        };
        // The reply is JSON, so an original is put in as a part of a JSON string.
        let quoted = |text: &str| {
            let json = serde_json::Value::from(text).to_string();
            json[1..json.len() - 1].to_owned()
        };
        let json = restored(json, &originals, quoted);
        reply.set_json(&json)?;
        Ok(Flow::Continue)
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    RedactHttp {
        name: "redact_http",
        kind: async,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end],
        reads: ["messages", "chunk", "reply"],
        writes: ["messages", "chunk", "reply"],
        settings_schema: r#"{
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"description": "The URL of the service; its host needs a grant.", "type": "string"},
                "timeout_ms": {"description": "How long it may take.", "type": "integer", "minimum": 1, "default": 200}
            },
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"url": "http://127.0.0.1:9/redact"}"#,
    }
}

#[cfg(test)]
mod tests;
