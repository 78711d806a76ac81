//! Answers to calls of other kinds than chat: the least that a provider's documentation shows of
//! each, as JSON.

use super::journal::Received;
use serde_json::{Value, json};

/// The kind of call, by the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherCall {
    Embeddings,
    /// Ollama's own.
    Embed,
    Moderations,
    Rerank,
    Images,
}

impl OtherCall {
    const PATHS: [(&str, Self); 5] = [
        ("/embeddings", Self::Embeddings),
        ("/api/embed", Self::Embed),
        ("/moderations", Self::Moderations),
        ("/rerank", Self::Rerank),
        ("/images/generations", Self::Images),
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::PATHS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, call)| *call)
    }

    pub(super) fn reply(self, request: &Received) -> String {
        let body = request.json();
        let model = format!("{}-2024-07-18", request.model());
        let usage = json!({"prompt_tokens": 11, "total_tokens": 11});
        match self {
            Self::Embeddings => {
                let data: Vec<_> = (0..count(&body["input"])).map(|at| embedding(at, &body)).collect();
                json!({"object": "list", "data": data, "model": model, "usage": usage})
            }
            Self::Embed => {
                let vectors = vec![json!([0.5, -1.0]); count(&body["input"])];
                json!({"model": body["model"], "embeddings": vectors, "total_duration": 14_143_917,
                    "load_duration": 1_019_500, "prompt_eval_count": 11})
            }
            Self::Moderations => json!({"id": "modr-up1", "model": model, "results": [
                {"flagged": false, "categories": {"hate": false}, "category_scores": {"hate": 0.1}}]}),
            Self::Rerank => json!({"id": "rerank-up1", "results": [
                {"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}}),
            Self::Images => json!({"created": 1_767_225_600, "data": [{"url": "https://up/1.png"}]}),
        }
        .to_string()
    }
}

/// The number of inputs; a list of numbers is one text in tokens.
fn count(input: &Value) -> usize {
    input.as_array().filter(|list| !list.iter().all(Value::is_number)).map_or(1, Vec::len)
}

/// 0.5 and -1.0, as numbers or as their bytes.
fn embedding(index: usize, body: &Value) -> Value {
    let vector = match body["encoding_format"].as_str() {
        Some("base64") => json!("AAAAPwAAgL8="),
        _ => json!([0.5, -1.0]),
    };
    json!({"object": "embedding", "index": index, "embedding": vector})
}
