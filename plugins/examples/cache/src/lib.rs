//! Answers a request that was answered before from memory, as JSON and as a stream.
//!
//! A key of the gateway sees only its own answers. The response header `x-cache` says `hit` or
//! `miss`, on streams too.

use plugin_api::{
    CallView, Callback, Flow, Histogram, Hook, Host, InitError, LlmCall, LlmReply, Reply,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// The callback.
#[derive(Debug)]
pub struct Cache {
    host: Host,
    settings: Settings,
    /// The sizes of the stored answers.
    sizes: Option<Histogram>,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long an answer is kept, in seconds.
    #[serde(default = "seconds")]
    seconds: u64,
}

fn seconds() -> u64 {
    300
}

/// The members of a request that change how it is answered, not what the answer is.
const TRANSPORT: [&str; 4] = ["stream", "stream_options", "user", "metadata"];

/// The name under which the answer is stored. Members are sorted, so that their order does not
/// matter.
fn key(call: &CallView<'_>) -> Option<String> {
    let mut request: Value = serde_json::from_slice(call.body()).ok()?;
    request.as_object_mut()?.retain(|name, _| !TRANSPORT.contains(&name.as_str()));
    request.sort_all_objects();
    // Two hashes with different beginnings, so that no request gets the answer of another by
    // chance.
    let text = request.to_string();
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, call.key_id(), &text).hash(&mut hasher);
        hasher.finish()
    };
    Some(format!("{:016x}{:016x}", half(0), half(1)))
}

impl Callback for Cache {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let sizes = host.metrics().and_then(|metrics| {
            metrics.histogram("answer_bytes", "Bytes of each stored answer", &[]).ok()
        });
        Ok(Self { host, settings, sizes })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let (Some(kv), Some(key)) = (self.host.kv(), key(call)) else { return Ok(Flow::Continue) };
        if let Some(Ok(json)) = kv.get(&key).map(String::from_utf8) {
            call.set_reply_header("x-cache", "hit")?;
            return Ok(Flow::Reply(Reply::Json(json)));
        }
        call.set_reply_header("x-cache", "miss")?;
        // Later callbacks may change the request, so the end hook could not find the key again.
        call.set_local(key.as_bytes())?;
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let key = std::str::from_utf8(call.local()).unwrap_or_default();
        // An answer that was cut off is not kept.
        let is_whole = matches!(reply.finish_reason(), Some("stop" | "tool_calls"));
        let Some(json) = reply.completion().filter(|_| is_whole && !key.is_empty()) else {
            return Ok(Flow::Continue);
        };
        if let Some(kv) = self.host.kv() {
            let live = Duration::from_secs(self.settings.seconds);
            // A full store makes room; an answer above 1 MiB is not kept.
            if kv.set_evicting(key, json.as_bytes(), Some(live)).is_ok()
                && let Some(sizes) = &self.sizes
            {
                sizes.record(json.len() as f64);
            }
        }
        Ok(Flow::Continue)
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    Cache {
        name: "cache",
        kind: sync,
        hooks: [on_llm_start, on_llm_end],
        // `completion`: the gateway puts streams together for the end hook.
        reads: ["model", "messages", "params", "completion"],
        writes: ["reply"],
        settings_schema: r#"{
            "type": "object",
            "properties": {
                "seconds": {
                    "description": "How long an answer is kept.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 604800,
                    "default": 300
                }
            },
            "additionalProperties": false
        }"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Outcome, TestCall, TestReply, Tester, conformance};
    use serde_json::json;

    fn call() -> TestCall {
        TestCall::chat("gpt").message("user", "hello")
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_key_until_it_expires() {
        let tester = Tester::of::<Cache>(json!({"seconds": 60})).unwrap();
        let mut first = call();
        assert_eq!(tester.start(&mut first), Outcome::Continue);
        assert_eq!(first.reply_header("x-cache"), Some("miss"));
        // A later callback changes the request.
        first.change_model("other");
        tester.end(&mut first, &mut TestReply::text("hi"));
        let mut again = call().stream();
        let Outcome::Reply(Reply::Json(json)) = tester.start(&mut again) else { panic!("a miss") };
        assert!(json.contains("\"hi\""), "{json}");
        assert_eq!(again.reply_header("x-cache"), Some("hit"));
        for mut other in [call().key_id("ann"), call().param("max_tokens", 5)] {
            assert_eq!(tester.start(&mut other), Outcome::Continue);
        }
        tester.host().advance(Duration::from_secs(60));
        assert_eq!(tester.start(&mut call()), Outcome::Continue);
    }

    #[test]
    fn a_stream_is_kept_and_what_was_cut_off_is_not() {
        let tester = Tester::of::<Cache>(json!({})).unwrap();
        for (mut reply, kept) in [
            (TestReply::streamed("hi").finish_reason("length").completion(json!({})), false),
            (TestReply::streamed("hi").completion(json!({})), true),
        ] {
            let mut first = call().stream();
            assert_eq!(tester.start(&mut first), Outcome::Continue);
            tester.end(&mut first, &mut reply);
            assert_eq!(matches!(tester.start(&mut call()), Outcome::Reply(_)), kept);
        }
    }

    #[test]
    fn it_stands_what_every_callback_must() {
        let hooks = conformance::check::<Cache>(&json!({})).unwrap();
        assert_eq!(hooks.join(" "), "on_llm_start on_llm_end");
    }
}
