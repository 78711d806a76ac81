//! Has a moderation service judge each prompt while the upstream already answers, and, if the
//! settings say so, each reply. The client gets nothing of an answer before the verdict on its
//! prompt. A stream is judged as a whole: with `replies: true` and without `streams: buffered` in
//! the entry, its verdict comes too late and is only logged.
//!
//! The service speaks the protocol of OpenAI's moderations: it gets `{"input": "..."}` and answers
//! `{"results": [{"flagged": true, "categories": {"violence": true}}]}`. Its URL is in the variable
//! `MODERATION_URL`, its key in `MODERATION_API_KEY`.

use plugin_api::{
    AsyncCallback, CallView, Counter, Flow, Hook, Host, HttpRequest, InitError, Labeled, Level,
    LlmReply, Rejection, SecretText, Secrets,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The service, if `MODERATION_URL` is not set. `needs` of the export names it too.
const URL: &str = "https://api.openai.com/v1/moderations";

/// The callback.
#[derive(Debug)]
pub struct Moderation {
    host: Host,
    settings: Settings,
    url: String,
    key: Option<SecretText>,
    verdicts: Option<Labeled<Counter>>,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What becomes of a call on which the service gives no verdict.
    #[serde(default)]
    without_verdict: WithoutVerdict,
    /// Whether replies are judged too.
    #[serde(default)]
    replies: bool,
    /// How long the service may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum WithoutVerdict {
    #[default]
    Refuse,
    Pass,
}

fn timeout_ms() -> u64 {
    1000
}

/// What the service answers.
#[derive(Debug, Deserialize)]
struct Moderated {
    results: Vec<Judged>,
}

#[derive(Debug, Deserialize)]
struct Judged {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, bool>,
}

/// A variable of the gateway's environment; `None` if it is not set.
fn variable(secrets: Option<Secrets>, name: &str) -> Option<SecretText> {
    secrets?.get(name).ok()
}

impl Moderation {
    /// The categories for which the service flags a text; `None` if it lets the text pass.
    async fn flagged(&self, text: String) -> Result<Option<String>, String> {
        let http = self.host.http().ok_or("the gateway has no HTTP client")?;
        let mut request = HttpRequest::post(&self.url)
            .header("content-type", "application/json")
            .body(json!({ "input": text }).to_string())
            .timeout(Duration::from_millis(self.settings.timeout_ms));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {}", key.expose()));
        }
        let answer = http.send(request).await.map_err(|error| error.to_string())?;
        if !answer.is_success() {
            return Err(format!("expected a success, found status {}", answer.status));
        }
        let Moderated { results } =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        if results.is_empty() {
            return Err("expected a result, found none".to_owned());
        }
        let flagged: Vec<_> = results.into_iter().filter(|judged| judged.flagged).collect();
        let categories = flagged.iter().flat_map(|judged| &judged.categories);
        let categories: Vec<_> = categories.filter(|it| *it.1).map(|it| it.0.as_str()).collect();
        Ok((!flagged.is_empty()).then(|| categories.join(", ")))
    }

    /// Has the service judge a text; `part` is what the text is of the call, and `call` its id.
    async fn judge(&self, part: &str, call: String, text: String) -> Hook {
        let (verdict, hook) = match self.flagged(text).await {
            Ok(None) => ("passed", Ok(Flow::Continue)),
            Ok(Some(categories)) => ("flagged", Err(refusal(part, &categories).into())),
            Err(why) => {
                let fields = [("part", part), ("call", &call), ("why", &why)];
                self.host.log_with(Level::Error, "no verdict", &fields);
                let text = format!("the {part} could not be moderated; try again later");
                let unjudged =
                    Rejection::new(503, text).code("moderation_unavailable").retry_after(RETRY);
                let passes = self.settings.without_verdict == WithoutVerdict::Pass;
                ("none", if passes { Ok(Flow::Continue) } else { Err(unjudged.into()) })
            }
        };
        let counter = self.verdicts.as_ref().and_then(|it| it.with(&[part, verdict]).ok());
        counter.inspect(|counter| counter.add(1.0));
        hook
    }
}

/// The text of every choice: `LlmReply::text` has only the first, and a client can ask for more.
fn all_texts(completion: &str) -> String {
    let completion: Value = serde_json::from_str(completion).unwrap_or_default();
    let choices = completion["choices"].as_array().into_iter().flatten();
    let texts = choices.filter_map(|choice| choice["message"]["content"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// When a client may try again, if the service gave no verdict.
const RETRY: Duration = Duration::from_secs(5);

fn refusal(part: &str, categories: &str) -> Rejection {
    let because = if categories.is_empty() { "" } else { ": " };
    let text = format!("moderation refuses this {part}{because}{categories}");
    Rejection::new(400, text).code("moderation_refused")
}

impl AsyncCallback for Moderation {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let url = variable(host.secrets(), "MODERATION_URL");
        let url = url.map_or_else(|| URL.to_owned(), |url| url.expose().to_owned());
        if let Some(http) = host.http() {
            http.permits(&url)
                .map_err(|error| InitError::new(format!("MODERATION_URL: {error}")))?;
        }
        let key = variable(host.secrets(), "MODERATION_API_KEY");
        let verdicts = host.metrics().and_then(|metrics| {
            let labels = ["part", "verdict"];
            metrics.counter_with("verdicts_total", "Verdicts of the service", &labels).ok()
        });
        Ok(Self { host, settings, url, key, verdicts })
    }

    async fn on_llm_during(&self, call: &mut CallView<'_>) -> Hook {
        let texts: Vec<_> = call.messages().map(|(_, text)| text).collect();
        self.judge("prompt", call.id().to_owned(), texts.join("\n")).await
    }

    async fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let text = reply.completion().filter(|_| self.settings.replies).map(all_texts);
        match text.filter(|text| !text.is_empty()) {
            Some(text) => self.judge("reply", call.id().to_owned(), text).await,
            None => Ok(Flow::Continue),
        }
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    Moderation {
        name: "moderation",
        kind: async,
        hooks: [on_llm_during, on_llm_end],
        reads: ["messages", "reply", "completion"],
        writes: ["reply"],
        needs: {
            secrets: ["MODERATION_API_KEY"],
            http_hosts: ["MODERATION_URL=https://api.openai.com/v1/moderations"],
        },
        settings_schema: r#"{
            "type": "object",
            "properties": {
                "without_verdict": {"description": "What becomes of a call that the service does not judge.", "type": "string", "enum": ["refuse", "pass"], "default": "refuse"},
                "replies": {"description": "Whether replies are judged too; streams need `streams: buffered`.", "type": "boolean", "default": false},
                "timeout_ms": {"description": "How long the service may take.", "type": "integer", "minimum": 1, "default": 1000}
            },
            "additionalProperties": false
        }"#,
    }
}

#[cfg(test)]
mod tests;
