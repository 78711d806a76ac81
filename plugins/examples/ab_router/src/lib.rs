//! Sends a share of the callers to another model, and says so in the response header `x-arm`, on
//! JSON replies, streams and errors. The same caller always gets the same arm.

use plugin_api::{
    CallView, Callback, Counter, Flow, Histogram, Hook, Host, InitError, Labeled, LlmCall,
    LlmFailure, LlmReply,
};
use serde::Deserialize;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The callback.
#[derive(Debug)]
pub struct AbRouter {
    settings: Settings,
    seconds: Option<Labeled<Histogram>>,
    failures: Option<Labeled<Counter>>,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model that clients ask for.
    model: String,
    /// The model of the other arm.
    to: String,
    /// The share of the callers that get it, in percent.
    percent: u64,
}

impl AbRouter {
    /// The arm of a caller. Clients can choose `user`, so it does not take part.
    fn arm(&self, call: &CallView<'_>) -> &'static str {
        let mut hasher = DefaultHasher::new();
        (call.key_id(), call.caller().user(), &self.settings.to).hash(&mut hasher);
        if hasher.finish() % 100 < self.settings.percent { "b" } else { "a" }
    }
}

impl Callback for AbRouter {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        if host.has_model(&settings.to) == Some(false) {
            let known = host.models().unwrap_or_default().join(", ");
            let text =
                format!("to: expected a model of the config ({known}), found `{}`", settings.to);
            return Err(InitError::new(text));
        }
        let metrics = host.metrics();
        let seconds = metrics.and_then(|metrics| {
            let help = "Seconds that the upstream took, by arm";
            metrics.histogram_with("upstream_seconds", help, &[], &["arm"]).ok()
        });
        let failures = metrics.and_then(|metrics| {
            metrics.counter_with("failures_total", "Failed calls, by arm", &["arm"]).ok()
        });
        Ok(Self { settings, seconds, failures })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        if call.model() != self.settings.model {
            return Ok(Flow::Continue);
        }
        let arm = self.arm(call);
        if arm == "b" {
            call.set_model(&self.settings.to)?;
        }
        call.set_local(arm.as_bytes())?;
        call.set_reply_header("x-arm", arm)?;
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let arm = std::str::from_utf8(call.local()).unwrap_or_default();
        if let Some(seconds) = self.seconds.as_ref().filter(|_| !arm.is_empty())
            && let (Ok(seconds), Some(took)) = (seconds.with(&[arm]), reply.upstream_duration())
        {
            seconds.record(took.as_secs_f64());
        }
        Ok(Flow::Continue)
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, _failure: &mut LlmFailure<'_>) -> Hook {
        let arm = std::str::from_utf8(call.local()).unwrap_or_default();
        if let Some(failures) = self.failures.as_ref().filter(|_| !arm.is_empty())
            && let Ok(failures) = failures.with(&[arm])
        {
            failures.add(1.0);
        }
        Ok(Flow::Continue)
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    AbRouter {
        name: "ab_router",
        kind: sync,
        hooks: [on_llm_start, on_llm_end, on_llm_error],
        reads: ["model"],
        writes: ["model", "reply"],
        settings_schema: r#"{
            "type": "object",
            "required": ["model", "to", "percent"],
            "properties": {
                "model": {"description": "The model that clients ask for.", "type": "string"},
                "to": {"description": "The model of the other arm.", "type": "string"},
                "percent": {"description": "The share of the callers.", "type": "integer", "minimum": 0, "maximum": 100}
            },
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"model": "old", "to": "new", "percent": 50}"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{MockHost, Outcome, TestCall, TestReply, Tester, conformance};
    use serde_json::{Value, json};

    fn settings(percent: u64) -> Value {
        json!({"model": "old", "to": "new", "percent": percent})
    }

    #[test]
    fn a_caller_keeps_its_arm_and_about_the_share_gets_the_other_model() {
        let tester = Tester::of::<AbRouter>(settings(30)).unwrap();
        let arm = |key: &str| {
            let mut call = TestCall::chat("old").key_id(key);
            assert_eq!(tester.start(&mut call), Outcome::Continue);
            let arm = call.reply_header("x-arm").unwrap().to_owned();
            assert_eq!(call.model(), if arm == "b" { "new" } else { "old" });
            arm
        };
        let keys: Vec<_> = (0..1000).map(|number| format!("key-{number}")).collect();
        let other = keys.iter().filter(|key| arm(key) == "b").count();
        assert!((200..400).contains(&other), "{other} of 1000");
        assert!(keys.iter().all(|key| arm(key) == arm(key)));
        let mut unconcerned = TestCall::chat("else");
        tester.start(&mut unconcerned);
        assert_eq!(unconcerned.reply_header("x-arm"), None);
        tester.end(&mut unconcerned, &mut TestReply::text("hi"));
    }

    #[test]
    fn a_misspelt_target_is_refused_at_the_start() {
        let host = MockHost::new();
        host.set_models(&["old", "new"]);
        assert!(Tester::on::<AbRouter>(&host, settings(1)).is_ok());
        let misspelt = json!({"model": "old", "to": "nwe", "percent": 1});
        let refused = Tester::on::<AbRouter>(&host, misspelt).err().unwrap().to_string();
        assert!(refused.contains("to: expected a model of the config (old, new)"), "{refused}");
    }

    #[test]
    fn it_stands_what_every_callback_must() {
        let hooks = conformance::check::<AbRouter>(&settings(50)).unwrap();
        assert_eq!(hooks.join(" "), "on_llm_start on_llm_end on_llm_error");
    }
}
