//! Who makes the test's call.

use super::TestCall;
use serde_json::Value;

impl TestCall {
    /// Describes the client's key as an entry of `callgate.keys` would: an object with any of
    /// `alias`, `user`, `team`, `tags` and `metadata`. [`key_id`](Self::key_id) sets its name.
    ///
    /// ```
    /// use plugin_api::testing::TestCall;
    /// use serde_json::json;
    ///
    /// let call = TestCall::chat("gemma3")
    ///     .key_id("ann")
    ///     .caller(&json!({"team": "blue", "tags": ["ci"], "metadata": {"site": "Ulm"}}));
    /// assert_eq!(call.shared("callgate.caller.metadata.site"), Some("Ulm"));
    /// ```
    #[must_use]
    pub fn caller(mut self, described: &Value) -> Self {
        for (name, value) in facts(described) {
            self.metadata.insert(format!("callgate.caller.{name}"), value);
        }
        self
    }
}

/// The facts of a described caller, by the names of `CallerView`.
pub(in crate::testing) fn facts(described: &Value) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for (name, value) in described.as_object().into_iter().flatten() {
        for (inner, text) in value.as_object().into_iter().flatten() {
            facts.push((format!("{name}.{inner}"), text_of(text)));
        }
        facts.push((name.clone(), text_of(value)));
    }
    facts
}

/// A string itself, and the JSON of anything else.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
