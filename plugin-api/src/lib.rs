//! Write native callbacks for the Callgate LLM gateway.
//!
//! A *callback* is an object whose *hooks* the gateway runs around every call: before the call is
//! sent (`on_llm_start`), for each streamed chunk (`on_llm_new_token`), when the answer is complete
//! (`on_llm_end`) and when the call failed (`on_llm_error`). A *plugin* is the shared object
//! (`.so`) that exports callbacks. The operator lists callbacks under `callbacks` in the config;
//! hooks run in the order of that list.
//!
//! **A native plugin is as privileged as the gateway itself**: it can read every key and every
//! prompt, and a segmentation fault in it ends the process. The gateway can contain panics, refused
//! edits, and async hooks that wait too long (not ones that block their thread).
//!
//! # A whole plugin
//!
//! `callgate plugin new NAME` writes a crate that builds, with tests and a CI workflow. By hand:
//!
//! `Cargo.toml`:
//!
//! ```toml
//! [lib]
//! name = "short_prompts"             # becomes libshort_prompts.so
//! crate-type = ["cdylib", "rlib"]    # rlib, so that `cargo test` works
//!
//! [dependencies]
//! callgate-plugin-api = { path = "../callgate/plugin-api" } # or `git`; it is not published yet
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! `src/lib.rs`:
//!
//! ```
//! use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
//!
//! /// Sends short prompts to the small local model and refuses overlong ones.
//! struct ShortPrompts(Settings);
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     short: usize,
//!     longest: usize,
//! }
//!
//! impl Callback for ShortPrompts {
//!     type Settings = Settings;
//!
//!     fn new(_host: Host, settings: Settings) -> Result<Self, InitError> {
//!         if settings.short > settings.longest {
//!             return Err(InitError::new("`short` is above `longest`"));
//!         }
//!         Ok(Self(settings))
//!     }
//!
//!     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
//!         let length = call.prompt_len();
//!         if length > self.0.longest {
//!             return Err(Rejection::new(413, "the prompt is too long").into());
//!         }
//!         if length <= self.0.short {
//!             call.set_model("gemma3")?;
//!         }
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! plugin_api::export_callbacks! {
//!     ShortPrompts {
//!         name: "short_prompts",
//!         kind: sync,
//!         hooks: [on_llm_start],
//!         reads: ["messages"],
//!         writes: ["model"],
//!         settings_schema: r#"{
//!             "type": "object",
//!             "required": ["short", "longest"],
//!             "properties": {
//!                 "short":   {"type": "integer", "minimum": 0},
//!                 "longest": {"type": "integer", "minimum": 0}
//!             },
//!             "additionalProperties": false
//!         }"#,
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Run `cargo build --release`, copy `libshort_prompts.so` into `plugins/` beside the config, and
//! list it:
//!
//! ```yaml
//! litellm_settings:
//!   callbacks:
//!     - name: short_prompts
//!       settings: {short: 200, longest: 100000}
//! ```
//!
//! # Versions
//!
//! The version of this crate is the version of the contract. A plugin loads in every later gateway
//! of the same major version, whatever compiler built either side. A plugin built against a newer
//! minor than the gateway's loads too, if the gateway meets the manifest's `min_api`; services that
//! the gateway lacks are `None`.
//!
//! # The probe
//!
//! Before the gateway loads a new file, it tries the file in a child process, which may crash
//! without harm. The child makes an instance of the callback and runs each hook once on a sample
//! call. Side effects of `new` happen there too: see [`is_probe`].
//!
//! # Further reading
//!
//! `docs/plugin-guide.md` in the gateway's repository is a tutorial with examples. In this crate,
//! [`Callback`] documents the rules (threads, lifetimes, panics, order), [`LlmCall`] the accessors
//! and edits, [`Host`] the services, and [`testing`] the test kit. `ABI.md` states the promise
//! about versions. `include/callgate_plugin.h` declares the contract in C for other languages; it
//! is not stable yet.

#![warn(missing_docs)]

mod auth;
mod callback;
mod export;
mod hook_result;
mod host;
mod kind;
mod pattern;
mod probe;
mod view;

#[doc(hidden)]
#[allow(missing_docs, clippy::allow_attributes)]
pub mod abi;
pub mod limits;
pub mod manifest;
#[cfg(feature = "testing")]
pub mod testing;

pub use auth::{Auth, AuthCaller, AuthResult, AuthScope};
pub use callback::{AsyncCallback, Callback};
pub use hook_result::{Flow, Hook, HookError, InitError, Rejection, Reply, ReplyStream};
pub use host::{
    Admission, Clock, Counter, Counters, Entry, Gauge, Histogram, Host, HostError, HostErrorKind,
    Http, HttpRequest, HttpResponse, Kv, Labeled, Llm, LlmRequest, LlmResponse, MetricKind,
    Metrics, SecretText, Secrets, Task, Timer,
};
pub use kind::{Endpoint, FailureKind, Level};
pub use pattern::{Pattern, in_lower_case};
pub use probe::{PROBE_VARIABLE, is_probe};
pub use view::{
    AuthRequest, CallView, CallerView, Chunk, EditError, FACTS, LlmCall, LlmFailure, LlmReply,
    ModelList, ReplyWriter, Route, ShapeError,
};

/// Items that the export macro's expansion names. Not for direct use.
#[doc(hidden)]
pub mod __export {
    pub use crate::abi::{
        ApiVersion, CallbackVtRef, CreateArgs, PluginRoot, PluginRootRef, RawCallback, View,
        shim::{create_async, create_listed as create_sync, hook, record_panics, vt, vt_async},
    };
    pub use abi_stable::{
        library::{
            __call_root_module_loader as call_root, CheckTypeLayout, LibHeader, RootModuleResult,
        },
        prefix_type::PrefixTypeTrait,
        std_types::{RErr, RNone, ROption, RResult, RSome, RStr, RString},
    };

    /// The words of `reads` and `writes`.
    const PARTS: [&str; 12] = [
        "model",
        "route",
        "messages",
        "params",
        "headers",
        "metadata",
        "reply",
        "streamed_reply",
        "completion",
        "chunk",
        "error",
        "upstream_response",
    ];

    /// Fails to compile if one of the words of `reads` and `writes` is unknown.
    pub const fn assert_parts(words: &[&str]) {
        let mut word = 0;
        while word < words.len() {
            let mut part = 0;
            while !are_equal(words[word].as_bytes(), PARTS[part].as_bytes()) {
                part += 1;
                assert!(
                    part < PARTS.len(),
                    "expected in `reads` and `writes` some of model, route, messages, params, \
                     headers, metadata, reply, streamed_reply, completion, chunk, error and \
                     upstream_response"
                );
            }
            word += 1;
        }
    }

    /// Fails to compile if an authenticator lacks its inputs, or would load in a gateway that never
    /// runs it.
    pub const fn assert_auth(hooks: &[&str], inputs: &[&str], min_api: &str) {
        let mut hook = 0;
        while hook < hooks.len() && !are_equal(hooks[hook].as_bytes(), b"on_auth") {
            hook += 1;
        }
        let authenticates = hook < hooks.len();
        assert!(
            authenticates != inputs.is_empty(),
            "expected `auth_headers: [\"authorization\", …],` after `hooks` with the hook `on_auth`, \
             and without that hook no `auth_headers`"
        );
        assert!(
            !(authenticates && are_equal(min_api.as_bytes(), b"1.0")),
            "expected `min_api: \"1.1\",` before a callback with the hook `on_auth`, because an \
             older gateway would let everybody in"
        );
        let mut input = 0;
        while input < inputs.len() {
            assert!(
                is_auth_input(inputs[input].as_bytes()),
                "expected in `auth_headers` names of headers in lower case, `:method`, `:path` and \
                 `:client_address`"
            );
            input += 1;
        }
    }

    const fn is_auth_input(name: &[u8]) -> bool {
        if are_equal(name, b":method") || are_equal(name, b":path") {
            return true;
        }
        if name.is_empty() || are_equal(name, b":client_address") {
            return !name.is_empty();
        }
        let mut index = 0;
        while index < name.len() {
            if !matches!(name[index], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
                return false;
            }
            index += 1;
        }
        true
    }

    const fn are_equal(one: &[u8], other: &[u8]) -> bool {
        let mut index = 0;
        while index < one.len() && index < other.len() && one[index] == other[index] {
            index += 1;
        }
        index == one.len() && index == other.len()
    }

    /// Returns the manifest as the bytes of its section. `LEN` is at most the manifest's length.
    #[must_use]
    pub const fn manifest_bytes<const LEN: usize>(manifest: &str) -> [u8; LEN] {
        let (source, mut bytes, mut index) = (manifest.as_bytes(), [0; LEN], 0);
        while index < LEN {
            bytes[index] = source[index];
            index += 1;
        }
        bytes
    }
}
