//! Callbacks for the tests of the gateway. They do what their settings say, right or wrong, and
//! write what they see to the host's log. One file, `libfaulty.so`, exports seven:
//!
//! | callback | kind | what it is |
//! |---|---|---|
//! | `faulty`, `faulty_async` | sync, async | runs the settings' actions in each hook |
//! | `faulty_beside` | async | the same, also in `on_llm_during` |
//! | `judge` | sync | the same, and its manifest asks for whole replies of streams |
//! | `recorder`, `recorder_async` | sync, async | writes one log line per hook and changes nothing |
//! | `liar` | sync | lists `on_llm_end` and does not implement it |
//!
//! # Settings of `faulty`, `faulty_async` and `faulty_beside`
//!
//! ```yaml
//! callbacks:
//!   - name: faulty
//!     path: libfaulty.so
//!     settings:
//!       label: first             # field `label` of every line it logs; default `faulty`
//!       only_model: broken       # other calls (by the name as edited so far) pass untouched
//!       at_chunk: 2              # on_llm_new_token acts on this chunk only
//!       unmade: [2]              # the second instance cannot be made, counted by label
//!       only_served: true        # does nothing in the probe
//!       record: true             # each hook first writes `label`, `hook` and `call`
//!       every: 100               # each hook acts at every 100th run per instance
//!       times: 1                 # each hook acts this often per instance, then never again
//!       new: [{log: hello}, {panic: boom}]
//!       on_llm_start: [{set_model: gemma3}, {set_param: [temperature, "0"]}]
//!       on_llm_during: [never]
//!       on_llm_new_token: [chunk_drop]
//!       on_llm_end: [{reply_header: [x-seen, "yes"]}]
//!       on_llm_error: [{failure_message: sorry}]
//!       shutdown: [{sleep_ms: 10}]
//!       drop: [{panic: boom}]
//! ```
//!
//! Each list's actions run in order until one ends the hook. They are documented at
//! [`Action`](settings::Action); one that does not fit its hook is a fault that says so. An edit
//! the gateway refuses is logged as `edit refused` with fields `label`, `hook`, `action`, `error`,
//! and the next action runs. An instance logs `created`, `shut down` and `dropped`, with `label`.
//!
//! # Settings of `recorder` and `recorder_async`
//!
//! ```yaml
//!     settings:
//!       label: second            # default `recorder`
//!       headers: [x-team]        # these as fields `header.x-team`
//!       params: [temperature]    # these as fields `param.temperature`
//!       metadata: [k]            # these as fields `metadata.k`
//!       body: true               # the body as field `body`
//!       messages: true           # the texts as fields `message.0`, `message.1`, …
//!       note: abc                # kept as the call's local note at the start
//! ```
//!
//! Every hook logs `hook` at level info. Fields of every line: `label`, `hook`, `call` (its id),
//! `endpoint`, `requested_model`, `model`, `provider`, `upstream_model`, `stream`, `key`, `note`,
//! `message_count`, and what the settings ask for; what is absent is left out. Then by hook:
//!
//! | hook | fields |
//! |---|---|
//! | `on_llm_new_token` | `index`, `text` |
//! | `on_llm_end` | `status`, `text`, `json` (`true`/`false`), `finish_reason`, `prompt_tokens`, `completion_tokens`, `total_tokens`, `from_callback`, `first_token`, `upstream`, `timed` (`true`/`false`) |
//! | `on_llm_error` | `kind`, `before_upstream`, `status`, `code`, `message`, `sent`, `text`, `callback`, the three `…_tokens`, `first_token`, `upstream`, `timed` |
//!
//! `kind` is the constant's name in lower case (`upstream_status`), or its number.
//!
//! `faulty` holds the callbacks, `act` what an action does (`segfault` the worst), `hook_data` what
//! it does it to.

mod act;
mod faulty;
mod hook_data;
mod liar;
mod recorder;
mod segfault;
pub mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod waiting;

pub use faulty::{Faulty, FaultyAsync, FaultyBeside};
pub use liar::Liar;
pub use recorder::{Recorder, RecorderAsync};

plugin_api::export_callbacks! {
    Faulty {
        name: "faulty",
        kind: sync,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "chunk"],
        writes: ["model", "route", "messages", "params", "headers", "metadata", "reply", "chunk", "error"],
        settings_schema: r#"{"type": "object"}"#,
    }
    Faulty {
        name: "judge",
        kind: sync,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: [],
        writes: ["streamed_reply"],
        settings_schema: r#"{"type": "object"}"#,
    }
    FaultyAsync {
        name: "faulty_async",
        kind: async,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "chunk"],
        writes: ["model", "route", "messages", "params", "headers", "metadata", "reply", "chunk", "error"],
        settings_schema: r#"{"type": "object"}"#,
    }
    FaultyBeside {
        name: "faulty_beside",
        kind: async,
        hooks: [on_llm_start, on_llm_during, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "chunk"],
        writes: ["model", "route", "messages", "params", "headers", "metadata", "reply", "chunk", "error"],
        settings_schema: r#"{"type": "object"}"#,
    }
    Recorder {
        name: "recorder",
        kind: sync,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "route", "messages", "params", "headers", "metadata", "reply", "chunk", "error", "completion", "upstream_response"],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    RecorderAsync {
        name: "recorder_async",
        kind: async,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "route", "messages", "params", "headers", "metadata", "reply", "chunk", "error"],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    Liar {
        name: "liar",
        kind: sync,
        hooks: [on_llm_start, on_llm_end],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
}
