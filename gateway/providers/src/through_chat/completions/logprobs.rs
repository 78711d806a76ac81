//! The probabilities of the tokens: a chat has an object for each token, a completion a list for
//! each property.

use serde::{Deserialize, Serialize, ser::SerializeMap as _};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Those of a chat's choice, or of a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct ChatLogprobs<'a> {
    #[serde(borrow)]
    content: Option<Vec<ChatToken<'a>>>,
}

#[derive(Debug, Deserialize)]
struct ChatToken<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    logprob: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_logprobs: Vec<Alternative<'a>>,
}

#[derive(Debug, Deserialize)]
struct Alternative<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    logprob: Option<&'a RawValue>,
}

/// Those of a completion's choice.
#[derive(Debug, Serialize)]
pub(super) struct Logprobs<'a> {
    tokens: Vec<&'a str>,
    token_logprobs: Vec<Option<&'a RawValue>>,
    top_logprobs: Vec<Alternatives<'a>>,
    /// Where each token begins in the text, in characters.
    text_offset: Vec<usize>,
}

/// By token; the order of the upstream stays.
#[derive(Debug)]
struct Alternatives<'a>(&'a [Alternative<'a>]);

impl Serialize for Alternatives<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for alternative in self.0 {
            map.serialize_entry(&alternative.token, &alternative.logprob)?;
        }
        map.end()
    }
}

impl ChatLogprobs<'_> {
    /// The same as a completion has them. The text of this choice so far has `said` characters,
    /// which grow by those of the tokens.
    pub(super) fn of_completion(&self, said: &mut usize) -> Option<Logprobs<'_>> {
        let content = self.content.as_deref()?;
        let offset = |token: &ChatToken<'_>| {
            let start = *said;
            *said += token.token.chars().count();
            start
        };
        Some(Logprobs {
            text_offset: content.iter().map(offset).collect(),
            tokens: content.iter().map(|it| &*it.token).collect(),
            token_logprobs: content.iter().map(|it| it.logprob).collect(),
            top_logprobs: content.iter().map(|it| Alternatives(&it.top_logprobs)).collect(),
        })
    }
}
