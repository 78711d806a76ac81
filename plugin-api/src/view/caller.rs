//! Who calls: what the gateway's config says about the client's key.

use super::CallView;

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
pub struct CallerView<'c>(&'c CallView<'c>);

impl<'c> CallerView<'c> {
    /// Returns the id of the key, as [`CallView::key_id`] does.
    #[must_use]
    pub fn key_id(&self) -> &'c str {
        self.0.key_id()
    }

    /// Returns the key's `alias`: a name for people.
    #[must_use]
    pub fn alias(&self) -> Option<&'c str> {
        self.0.metadata("callgate.caller.alias")
    }

    /// Returns the `user` that the key belongs to.
    #[must_use]
    pub fn user(&self) -> Option<&'c str> {
        self.0.metadata("callgate.caller.user")
    }

    /// Returns the `team` that the key belongs to.
    #[must_use]
    pub fn team(&self) -> Option<&'c str> {
        self.0.metadata("callgate.caller.team")
    }

    /// Returns the key's `tags` as a JSON list of strings. `None` if it has none.
    #[must_use]
    pub fn tags(&self) -> Option<&'c str> {
        self.0.metadata("callgate.caller.tags")
    }

    /// Returns a text of the key's `metadata`.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&'c str> {
        self.0.metadata(&["callgate.caller.metadata.", name].concat())
    }

    /// Returns the key's whole `metadata` as a JSON object. `None` if it has none.
    #[must_use]
    pub fn all_metadata(&self) -> Option<&'c str> {
        self.0.metadata("callgate.caller.metadata")
    }
}

impl CallView<'_> {
    /// Returns who calls, as far as the config describes the client's key.
    #[must_use]
    pub fn caller(&self) -> CallerView<'_> {
        CallerView(self)
    }
}

/// Shows the name of the key only.
impl std::fmt::Debug for CallerView<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CallerView").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}
