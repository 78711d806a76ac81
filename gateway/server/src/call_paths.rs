//! The paths of calls. Those of `NAMED` take the model from the body; the others name it, in the
//! form of Azure's.

use callgate_providers::CallKind::{
    self, Chat, Completions, CountTokens, Embeddings, ImageEdits, Images, Messages, Moderations,
    Rerank, Responses, Speech, Transcriptions, Translations,
};

/// The paths that name no model; chats first, because most calls are chats.
pub(super) const NAMED: [(&str, CallKind); 28] = [
    ("/v1/chat/completions", Chat),
    ("/chat/completions", Chat),
    ("/cursor/chat/completions", Chat),
    ("/v1/embeddings", Embeddings),
    ("/embeddings", Embeddings),
    ("/v1/moderations", Moderations),
    ("/moderations", Moderations),
    ("/v1/rerank", Rerank),
    ("/rerank", Rerank),
    ("/v2/rerank", Rerank),
    ("/v1/images/generations", Images),
    ("/images/generations", Images),
    ("/v1/completions", Completions),
    ("/completions", Completions),
    ("/v1/responses", Responses),
    ("/responses", Responses),
    ("/v1/messages", Messages),
    ("/messages", Messages),
    ("/v1/audio/transcriptions", Transcriptions),
    ("/audio/transcriptions", Transcriptions),
    ("/v1/audio/translations", Translations),
    ("/audio/translations", Translations),
    ("/v1/audio/speech", Speech),
    ("/audio/speech", Speech),
    ("/v1/images/edits", ImageEdits),
    ("/images/edits", ImageEdits),
    ("/v1/messages/count_tokens", CountTokens),
    ("/messages/count_tokens", CountTokens),
];

/// What comes before the name of a model.
const BEFORE_MODEL: [&str; 2] = ["/engines/", "/openai/deployments/"];

/// The kinds of calls whose paths may name the model; that of chats ends like that of completions.
const WITH_MODEL: [CallKind; 8] =
    [Chat, Embeddings, Images, Completions, Transcriptions, Translations, Speech, ImageEdits];

/// The path in its constant form, and the kind of its calls, if it names no model.
pub(super) fn named(path: &str) -> Option<(&'static str, CallKind)> {
    NAMED.iter().find(|(named, _)| *named == path).copied()
}

/// The kind of a call, and the model that its path names, still encoded.
pub(super) fn with_model(path: &str) -> Option<(CallKind, &str)> {
    let rest = BEFORE_MODEL.iter().find_map(|before| path.strip_prefix(before))?;
    let found =
        WITH_MODEL.into_iter().find_map(|kind| Some((kind, rest.strip_suffix(kind.path())?)));
    found.filter(|(_, model)| !model.is_empty())
}
