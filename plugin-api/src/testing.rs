//! Tests a callback without a gateway. Enable the feature `testing` in a plugin's
//! `dev-dependencies`.
//!
//! A [`Tester`] makes an instance on a [`MockHost`] and runs its hooks on a [`TestCall`],
//! [`TestChunk`], [`TestReply`] or [`TestFailure`] that the test builds. Hooks and accessors go
//! through the same tables as in production. There is no config, no chain and no upstream.
//!
//! ```toml
//! [dev-dependencies]
//! callgate-plugin-api = { path = "../callgate/plugin-api", features = ["testing"] }
//! ```
//!
//! ```
//! use plugin_api::{Admission, Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
//! use plugin_api::testing::{Outcome, TestCall, Tester, conformance};
//! use serde_json::json;
//! use std::time::Duration;
//! /// Admits one call a minute for each key.
//! struct Patience(Host);
//!
//! impl Callback for Patience {
//!     type Settings = serde_json::Value;
//!     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
//!     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
//!         let Some(counters) = self.0.counters() else { return Ok(Flow::Continue) };
//!         match counters.admit(call.key_id(), 1, Duration::from_secs(60)) {
//!             Admission::Admitted(_) => Ok(Flow::Continue),
//!             Admission::Full(wait) => {
//!                 Err(Rejection::new(429, "one call per minute").retry_after(wait).into())
//!             }
//!         }
//!     }
//! }
//!
//! let tester = Tester::of::<Patience>(json!({}))?;
//! let call = || TestCall::chat("gemma3").key_id("ann");
//! assert_eq!(tester.start(&mut call()), Outcome::Continue);
//! assert!(matches!(tester.start(&mut call()), Outcome::Reject(_)));
//! tester.host().advance(Duration::from_secs(60));
//! assert_eq!(tester.start(&mut call()), Outcome::Continue);
//! // Runs every hook with small, huge and odd calls, and on 64 threads.
//! let implemented = conformance::check::<Patience>(&json!({})).unwrap();
//! assert_eq!(implemented, ["on_llm_start"]);
//! # Ok::<(), InitError>(())
//! ```

mod background;
mod call;
mod chunk;
pub mod conformance;
mod counters;
mod ending;
mod entry;
mod failure;
mod headers;
mod host;
mod llm;
mod memory;
mod metrics;
mod model_list;
mod outcome;
mod reply;
mod reply_stream;
mod request;
mod tester;
mod waiting;

pub use call::TestCall;
pub use chunk::TestChunk;
pub use failure::TestFailure;
pub use host::{LogLine, MockHost};
pub use model_list::TestModelList;
pub use outcome::Outcome;
pub use reply::TestReply;
pub use reply_stream::StreamedReply;
pub use request::TestRequest;
pub use tester::Tester;
