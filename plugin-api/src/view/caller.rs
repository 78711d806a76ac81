//! Who calls: what the gateway's config says about the client's key.

use super::{CallView, ModelList};

/// The holder of the client's key, as the config describes the key in `callgate.keys`. Every text
/// is the operator's own. All are `None` for the master key, for a gateway without keys, and if the
/// gateway is older than 1.1.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
///
/// /// Lets only the blue team call.
/// struct BlueOnly;
///
/// impl Callback for BlueOnly {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         if call.caller().team() == Some("blue") {
///             return Ok(Flow::Continue);
///         }
///         Err(Rejection::new(403, "this model is for the blue team").into())
///     }
/// }
///
/// let tester = Tester::of::<BlueOnly>(serde_json::json!({}))?;
/// let call = || TestCall::chat("gemma3");
/// let mut blue = call().caller(&serde_json::json!({"team": "blue"}));
/// assert_eq!(tester.start(&mut blue), Outcome::Continue);
/// assert!(matches!(tester.start(&mut call()), Outcome::Reject(_)));
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct CallerView<'c>(Source<'c>);

/// Where the facts about the caller are read.
#[derive(Clone, Copy)]
enum Source<'c> {
    Call(&'c CallView<'c>),
    List(&'c ModelList<'c>),
}

impl<'c> CallerView<'c> {
    /// Returns the id of the key, as [`CallView::key_id`] does.
    #[must_use]
    pub fn key_id(&self) -> &'c str {
        match self.0 {
            Source::Call(call) => call.key_id(),
            Source::List(list) => list.caller_fact("key_id").unwrap_or_default(),
        }
    }

    /// Returns the key's `alias`: a name for people.
    #[must_use]
    pub fn alias(&self) -> Option<&'c str> {
        self.fact("alias")
    }

    /// Returns the `user` that the key belongs to.
    #[must_use]
    pub fn user(&self) -> Option<&'c str> {
        self.fact("user")
    }

    /// Returns the `team` that the key belongs to.
    #[must_use]
    pub fn team(&self) -> Option<&'c str> {
        self.fact("team")
    }

    /// Returns the key's `tags` as a JSON list of strings. `None` if it has none.
    #[must_use]
    pub fn tags(&self) -> Option<&'c str> {
        self.fact("tags")
    }

    /// Returns a text of the key's `metadata`.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&'c str> {
        self.fact(&["metadata.", name].concat())
    }

    /// Returns the key's whole `metadata` as a JSON object. `None` if it has none.
    #[must_use]
    pub fn all_metadata(&self) -> Option<&'c str> {
        self.fact("metadata")
    }

    fn fact(&self, name: &str) -> Option<&'c str> {
        match self.0 {
            Source::Call(call) => call.metadata(&["callgate.caller.", name].concat()),
            Source::List(list) => list.caller_fact(name),
        }
    }
}

impl CallView<'_> {
    /// Returns who calls, as far as the config describes the client's key.
    #[must_use]
    pub fn caller(&self) -> CallerView<'_> {
        CallerView(Source::Call(self))
    }
}

impl ModelList<'_> {
    /// Returns who asks for the list.
    #[must_use]
    pub fn caller(&self) -> CallerView<'_> {
        CallerView(Source::List(self))
    }
}

/// Shows the name of the key only.
impl std::fmt::Debug for CallerView<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CallerView").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}
