//! Answers to requests other than chats: model lists, version, 404. Never scripted.

use super::Answer;
use crate::journal::Received;
use serde_json::json;

impl Answer {
    pub(crate) fn probe(request: &Received) -> Self {
        let path = request.path.split('?').next().unwrap_or_default();
        let body = match (request.method.as_str(), path) {
            ("GET", path) if path.ends_with("/api/tags") => json!({"models": [{
                "name": "gemma3:4b", "model": "gemma3:4b",
                "modified_at": "2026-01-01T00:00:00.000000Z", "size": 3_338_801_804_u64,
                "digest": "a2af6cc3eb7fa8be8504abaf9b04e88f17a119ec3f04a3addf55f92841195f5a",
                "details": {"format": "gguf", "family": "gemma3", "parameter_size": "4.3B",
                            "quantization_level": "Q4_K_M"}}]}),
            ("GET", path) if path.ends_with("/api/version") => json!({"version": "0.14.0"}),
            ("GET", path) if path.ends_with("/models") => json!({"object": "list", "data": [
                {"id": "scripted", "object": "model", "created": 1_767_225_600, "owned_by": "demo"}]}),
            _ => return Self::error(404, "invalid_request_error", "unknown_url", "unknown path"),
        };
        Self::fixed(200, "application/json", body.to_string())
    }
}
