//! What `on_auth` says: who sent a request. `view::auth_request` is the request.

use crate::{HookError, Rejection};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The result of `on_auth`.
pub type AuthResult = Result<Auth, HookError>;

/// What `on_auth` found out about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// The caller is known. No other authenticator is asked.
    Caller(AuthCaller),
    /// The request is refused. The gateway gives the same refusal to the same inputs for this time,
    /// at most [`AUTH_CACHE`](crate::limits::AUTH_CACHE), without asking again.
    /// [`HookError::Reject`] is a refusal that is not kept.
    Refuse(Rejection, Duration),
    /// The request is not for this authenticator. The next one decides, and after the last one the
    /// keys of the config. This is not kept.
    Pass,
    /// Returned by the default bodies.
    #[doc(hidden)]
    NotImplemented,
}

/// A caller, as an authenticator describes it. The facts reach the log, limits and other callbacks
/// like those of a key in `callgate.keys`: see [`CallerView`](crate::CallerView).
///
/// ```
/// use plugin_api::{AuthCaller, AuthScope};
/// use std::time::Duration;
///
/// let caller = AuthCaller::new("ann@blue")
///     .user("ann")
///     .team("blue")
///     .tag("trial")
///     .metadata("plan", "small")
///     .model("gpt-4o-*")
///     .scope(AuthScope::Calls)
///     .keep_for(Duration::from_secs(60));
/// assert_eq!(caller.key_id, "ann@blue");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthCaller {
    /// The id in the log, in limits and for callbacks: 1 to 128 bytes, never a key itself.
    pub key_id: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Further texts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Patterns of the models that the caller may call; `*` stands for any text. `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What the caller may do. `None` for calls alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<AuthScope>>,
    /// How long the gateway knows the caller without asking again, in milliseconds.
    #[serde(rename = "keep_for_ms")]
    pub keep_for_ms: u64,
}

/// What a caller may do, as in `callgate.keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthScope {
    /// Call models and list them.
    Calls,
    /// Read metrics and the reports about callbacks.
    Metrics,
    /// Reload the config, and what `Metrics` may.
    Admin,
}

impl AuthCaller {
    /// Describes a caller of whom only the id is known. It may call all models, and is asked for
    /// again with the next request.
    pub fn new(key_id: impl Into<String>) -> Self {
        Self { key_id: key_id.into(), ..Self::default() }
    }

    /// Sets the name for people.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the team.
    #[must_use]
    pub fn team(mut self, team: impl Into<String>) -> Self {
        self.team = Some(team.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Sets a text of the metadata.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), text.into());
        self
    }

    /// Adds a pattern of models that the caller may call. After the first, all others are refused.
    #[must_use]
    pub fn model(mut self, pattern: impl Into<String>) -> Self {
        self.models.get_or_insert_default().push(pattern.into());
        self
    }

    /// Adds a scope. Without any the caller has [`AuthScope::Calls`] alone.
    #[must_use]
    pub fn scope(mut self, scope: AuthScope) -> Self {
        self.scopes.get_or_insert_default().push(scope);
        self
    }

    /// Sets how long the gateway knows the caller by the same inputs without asking again, at most
    /// [`AUTH_CACHE`](crate::limits::AUTH_CACHE). A caller that was locked out keeps access for up
    /// to this time.
    #[must_use]
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for_ms = millis(time);
        self
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
