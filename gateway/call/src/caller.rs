//! Whose key a call has, as callbacks and the log see it. The key itself is not here.

use crate::{CallerProblem, described_caller::check};
use callgate_config::ClientKey;
use plugin_api::AuthCaller;
use serde_json::{Map, Value};

/// The facts about a key's holder. Built once for each key; calls share it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key.
    pub key_id: String,
    alias: Option<String>,
    user: Option<String>,
    team: Option<String>,
    tags: Vec<String>,
    metadata: Vec<(String, String)>,
    /// `None` if there are no tags.
    tags_json: Option<String>,
    /// `None` if there is no metadata.
    metadata_json: Option<String>,
}

impl Caller {
    /// A caller of whom only the key's name is known.
    #[must_use]
    pub fn with_key_id(key_id: &str) -> Self {
        Self { key_id: key_id.to_owned(), ..Self::default() }
    }

    /// The holder of a key of the config.
    #[must_use]
    pub fn of(key: &ClientKey) -> Self {
        Self {
            key_id: key.name.clone(),
            alias: key.alias.clone(),
            user: key.user.clone(),
            team: key.team.clone(),
            tags: key.tags.clone(),
            metadata: key.metadata.clone(),
            ..Self::default()
        }
        .with_json()
    }

    /// The caller that a callback describes.
    ///
    /// # Errors
    /// If a text is too long, or cannot be shown.
    pub fn described(caller: AuthCaller) -> Result<Self, CallerProblem> {
        check(&caller)?;
        let AuthCaller { key_id, alias, user, team, tags, metadata, .. } = caller;
        let metadata = metadata.into_iter().collect();
        let facts = Self { key_id, alias, user, team, tags, metadata, ..Self::default() };
        Ok(facts.with_json())
    }

    fn with_json(mut self) -> Self {
        let members = self.metadata.iter().cloned().map(|(name, text)| (name, text.into()));
        let metadata = Value::Object(members.collect::<Map<_, _>>()).to_string();
        self.metadata_json = (!self.metadata.is_empty()).then_some(metadata);
        let tags = Value::from(self.tags.clone()).to_string();
        self.tags_json = (!self.tags.is_empty()).then_some(tags);
        self
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub fn team(&self) -> Option<&str> {
        self.team.as_deref()
    }

    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// A caller of whom these facts were noted, by their names as in [`Caller::fact`].
    #[must_use]
    pub fn with_facts(key_id: &str, fact: impl Fn(&str) -> Option<String>) -> Self {
        let metadata_json = fact("metadata");
        let members: Option<Map<String, Value>> =
            metadata_json.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
        Self {
            key_id: key_id.to_owned(),
            alias: fact("alias"),
            user: fact("user"),
            team: fact("team"),
            tags: fact("tags")
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
            metadata: members.into_iter().flatten().filter_map(text).collect(),
            tags_json: fact("tags"),
            metadata_json,
        }
    }

    /// A fact by its name, without `callgate.caller.`; `plugin_api`'s `CallerView` names them.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        match name {
            "alias" => self.alias.as_deref(),
            "user" => self.user.as_deref(),
            "team" => self.team.as_deref(),
            "tags" => self.tags_json.as_deref(),
            "metadata" => self.metadata_json.as_deref(),
            _ => {
                let name = name.strip_prefix("metadata.")?;
                self.metadata.iter().find(|(known, _)| known == name).map(|(_, text)| &**text)
            }
        }
    }
}
