//! The kinds of calls: the API that the client of a call uses. One row each: what callbacks and the
//! config call it, its path at OpenAI, what a request needs, and what an answer has.
//!
//! Only chats are translated between dialects; `other_calls` passes the others to providers that
//! speak them.

use plugin_api::Endpoint;

/// The API that the client of a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    Chat,
    Embeddings,
    Moderations,
    Rerank,
    Images,
    Completions,
    Responses,
    Messages,
    Transcriptions,
    Translations,
    Speech,
    ImageEdits,
    CountTokens,
}

/// What is known of a kind.
#[derive(Debug)]
struct KindRow {
    endpoint: Endpoint,
    /// In the config.
    name: &'static str,
    /// `model_info.mode` of a model for such calls.
    mode: &'static str,
    /// Below `/v1`.
    path: &'static str,
    /// The members without which a request asks for nothing.
    required: &'static [&'static str],
    /// The members of which every answer has one.
    answers: &'static [&'static str],
}

static ROWS: [KindRow; 13] = [
    KindRow {
        endpoint: Endpoint::CHAT,
        name: "chat",
        mode: "chat",
        path: "/chat/completions",
        required: &["messages"],
        answers: &["choices"],
    },
    KindRow {
        endpoint: Endpoint::EMBEDDINGS,
        name: "embeddings",
        mode: "embedding",
        path: "/embeddings",
        required: &["input"],
        answers: &["data"],
    },
    KindRow {
        endpoint: Endpoint::MODERATIONS,
        name: "moderations",
        mode: "moderation",
        path: "/moderations",
        required: &["input"],
        answers: &["results"],
    },
    KindRow {
        endpoint: Endpoint::RERANK,
        name: "rerank",
        mode: "rerank",
        path: "/rerank",
        required: &["query", "documents"],
        // Voyage's is `data`.
        answers: &["results", "data"],
    },
    KindRow {
        endpoint: Endpoint::IMAGES,
        name: "images",
        mode: "image_generation",
        path: "/images/generations",
        required: &["prompt"],
        answers: &["data"],
    },
    KindRow {
        endpoint: Endpoint::COMPLETIONS,
        name: "completions",
        mode: "completion",
        path: "/completions",
        required: &["prompt"],
        answers: &["choices"],
    },
    KindRow {
        endpoint: Endpoint::RESPONSES,
        name: "responses",
        mode: "responses",
        path: "/responses",
        // A stored prompt or an earlier response may take the place of `input`.
        required: &[],
        answers: &["output"],
    },
    KindRow {
        endpoint: Endpoint::MESSAGES,
        name: "messages",
        mode: "anthropic_messages",
        path: "/messages",
        required: &["messages"],
        answers: &["content"],
    },
    KindRow {
        endpoint: Endpoint::TRANSCRIPTIONS,
        name: "transcriptions",
        mode: "audio_transcription",
        path: "/audio/transcriptions",
        required: &["file"],
        answers: &["text"],
    },
    KindRow {
        endpoint: Endpoint::TRANSLATIONS,
        name: "translations",
        mode: "audio_transcription",
        path: "/audio/translations",
        required: &["file"],
        answers: &["text"],
    },
    KindRow {
        endpoint: Endpoint::SPEECH,
        name: "speech",
        mode: "audio_speech",
        path: "/audio/speech",
        required: &["input"],
        answers: &["audio"],
    },
    KindRow {
        endpoint: Endpoint::IMAGE_EDITS,
        name: "image_edits",
        mode: "image_edit",
        path: "/images/edits",
        required: &["prompt"],
        answers: &["data"],
    },
    KindRow {
        endpoint: Endpoint::COUNT_TOKENS,
        name: "count_tokens",
        mode: "anthropic_messages",
        path: "/messages/count_tokens",
        required: &["messages"],
        answers: &["input_tokens"],
    },
];

impl CallKind {
    /// Every kind; chat first, because most calls are chats.
    pub const ALL: [Self; 13] = [
        Self::Chat,
        Self::Embeddings,
        Self::Moderations,
        Self::Rerank,
        Self::Images,
        Self::Completions,
        Self::Responses,
        Self::Messages,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::ImageEdits,
        Self::CountTokens,
    ];

    fn row(self) -> &'static KindRow {
        &ROWS[self as usize]
    }

    /// As callbacks see it.
    #[must_use]
    pub fn endpoint(self) -> Endpoint {
        self.row().endpoint
    }

    /// The kind that callbacks know by this number.
    #[must_use]
    pub fn of(endpoint: Endpoint) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.endpoint() == endpoint)
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The `model_info.mode` of a model for such calls.
    #[must_use]
    pub fn mode(self) -> &'static str {
        self.row().mode
    }

    /// Its path below `/v1`, in requests to the gateway and to upstreams of OpenAI's dialect.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.row().path
    }

    /// Whether such calls may ask for a stream of events.
    #[must_use]
    pub fn streams(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Responses | Self::Messages)
    }

    /// Whether its requests are forms with files.
    #[must_use]
    pub fn uploads(self) -> bool {
        matches!(self, Self::Transcriptions | Self::Translations | Self::ImageEdits)
    }

    /// Whether its answers may be other than JSON: sound, or plain text.
    #[must_use]
    pub fn is_raw(self) -> bool {
        matches!(self, Self::Transcriptions | Self::Translations | Self::Speech)
    }

    /// Whether its answers are completions: with `choices`, and streams that end in `[DONE]`.
    #[must_use]
    pub fn is_completion(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// The members without which a request asks for nothing.
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        self.row().required
    }

    /// The members of which every answer has one.
    #[must_use]
    pub fn answers(self) -> &'static [&'static str] {
        self.row().answers
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallKinds(u32);

impl CallKinds {
    /// All of them: the server itself knows what it can do.
    pub const ANY: Self = Self(u32::MAX);

    #[must_use]
    pub const fn of(kinds: &[CallKind]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < kinds.len() {
            set |= 1 << kinds[at] as u32;
            at += 1;
        }
        Self(set)
    }

    /// Whether only the server itself knows what it can do.
    #[must_use]
    pub fn is_any(self) -> bool {
        self == Self::ANY
    }

    #[must_use]
    pub const fn has(self, kind: CallKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_row() {
        assert_eq!(ROWS.len(), CallKind::ALL.len());
        for (index, kind) in CallKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
            assert_eq!(CallKind::of(kind.endpoint()), Some(kind));
            for other in CallKind::ALL.into_iter().skip(index + 1) {
                assert!(kind.name() != other.name() && kind.path() != other.path(), "{kind:?}");
                assert!(!CallKinds::of(&[kind]).has(other), "{kind:?}");
            }
        }
        assert_eq!(CallKind::of(Endpoint(4711)), None);
    }
}
