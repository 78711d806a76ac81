//! Has another model of the config grade a share of the answers from 1 to 5, in the background. No
//! client waits for it. The grades are in the histogram `grade`, by model.

use plugin_api::{
    CallView, Callback, Flow, Histogram, Hook, Host, InitError, Labeled, Level, Llm, LlmCall,
    LlmReply, LlmRequest,
};
use serde::Deserialize;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The callback.
#[derive(Debug)]
pub struct Judge {
    host: Host,
    llm: Llm,
    settings: Settings,
    seen: AtomicU64,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model that grades; the entry needs a grant for it.
    model: String,
    /// One of so many answers is graded.
    #[serde(default = "every")]
    every: u64,
}

fn every() -> u64 {
    10
}

/// The longest text that is sent to the judge, in bytes.
const LONGEST: usize = 20_000;

const GRADES: [f64; 4] = [1.0, 2.0, 3.0, 4.0];

/// The beginning of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

impl Judge {
    fn grades(&self) -> Option<Labeled<Histogram>> {
        let help = "Grades of answers, by model.";
        self.host.metrics()?.histogram_with("grade", help, &GRADES, &["model"]).ok()
    }
}

/// The first digit from 1 to 5.
fn grade(text: &str) -> Option<f64> {
    let digit = text.chars().find_map(|letter| letter.to_digit(10))?;
    (1..=5).contains(&digit).then(|| digit.into())
}

impl Callback for Judge {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let llm = host.llm().ok_or_else(|| InitError::new("it needs a gateway with ABI 1.1"))?;
        // A missing grant is reported at the start, not by the first answer.
        llm.permits(&settings.model).map_err(|error| InitError::new(format!("model: {error}")))?;
        Ok(Self { host, llm, settings, seen: AtomicU64::new(0) })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        // The end hook sees the prompt with the edits of later callbacks.
        let last = call.message_count().saturating_sub(1);
        let prompt = cut(call.message_text(last).unwrap_or_default()).to_owned();
        call.set_local(prompt.as_bytes())?;
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let is_chosen = self.seen.fetch_add(1, Relaxed).is_multiple_of(self.settings.every);
        if !is_chosen || reply.text().is_empty() {
            return Ok(Flow::Continue);
        }
        let prompt = String::from_utf8_lossy(call.local());
        let question = format!("Question: {prompt}\n\nAnswer: {}", cut(reply.text()));
        let request = LlmRequest::new(&self.settings.model)
            .message(
                "system",
                "Grade the answer from 1 (wrong) to 5 (right). Reply with the number.",
            )
            .message("user", &question)
            .param("max_tokens", 4)
            .timeout(Duration::from_secs(30));
        let (host, llm) = (self.host, self.llm);
        let (grades, model) = (self.grades(), call.model().to_owned());
        let Some(task) = host.task() else { return Ok(Flow::Continue) };
        let spawned = task.spawn(async move {
            let answer = match llm.chat(request).await {
                Ok(answer) => answer,
                Err(error) => return host.log(Level::Warn, &format!("not graded: {error}")),
            };
            let grade = answer.text().filter(|_| answer.is_success()).and_then(|it| grade(&it));
            match (grade, grades.and_then(|grades| grades.with(&[&model]).ok())) {
                (Some(grade), Some(grades)) => grades.record(grade),
                _ => host.log_with(
                    Level::Warn,
                    "not graded: the judge gave no number from 1 to 5",
                    &[("status", &answer.status().to_string())],
                ),
            }
        });
        if let Err(full) = spawned {
            self.host.log(Level::Warn, &format!("not graded: {full}"));
        }
        Ok(Flow::Continue)
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    Judge {
        name: "judge",
        kind: sync,
        hooks: [on_llm_start, on_llm_end],
        reads: ["model", "messages", "reply"],
        writes: [],
        settings_schema: r#"{
            "type": "object",
            "required": ["model"],
            "properties": {
                "model": {"description": "The model that grades; it needs a grant.", "type": "string"},
                "every": {"description": "One of so many answers is graded.", "type": "integer", "minimum": 1, "default": 10}
            },
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"model": "judge", "every": 1}"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::{
        LlmResponse,
        testing::{MockHost, Outcome, TestCall, TestReply, Tester, conformance},
    };
    use serde_json::json;

    #[test]
    fn every_second_answer_is_graded_in_the_background() {
        let host = MockHost::new();
        host.answer_llm(|_| Ok(LlmResponse::completion("I say: 4")));
        let tester = Tester::on::<Judge>(&host, json!({"model": "big", "every": 2})).unwrap();
        for _ in 0..4 {
            let mut call = TestCall::chat("small").message("user", "2 + 2?");
            assert_eq!(tester.start(&mut call), Outcome::Continue);
            tester.end(&mut call, &mut TestReply::text("four"));
        }
        assert!(host.llm_requests().is_empty(), "the client would wait");
        assert_eq!(host.run_tasks(), 0);
        let asked = host.llm_requests();
        assert_eq!((asked.len(), &asked[0]["model"]), (2, &json!("big")));
        assert_eq!(asked[0]["messages"][1]["content"], "Question: 2 + 2?\n\nAnswer: four");
    }

    #[test]
    fn a_missing_grant_is_told_at_the_start() {
        let host = MockHost::new();
        host.deny_model("big");
        let refused = Tester::on::<Judge>(&host, json!({"model": "big"})).err().unwrap();
        assert!(refused.to_string().starts_with("model: "), "{refused}");
    }

    #[test]
    fn only_a_grade_counts() {
        for (text, expected) in
            [("4", Some(4.0)), ("grade: 5!", Some(5.0)), ("9", None), ("", None)]
        {
            assert_eq!(grade(text), expected, "{text}");
        }
    }

    #[test]
    fn it_stands_what_every_callback_must() {
        let hooks = conformance::check::<Judge>(&json!({"model": "big", "every": 1})).unwrap();
        assert_eq!(hooks.join(" "), "on_llm_start on_llm_end");
    }
}
