//! Requests compared with what Ollama must get, one file for each topic.

use super::chat_request;
use crate::ParamRules;
use serde_json::{Map, Value};

mod hostile;
mod messages;
mod params;
mod refusals;

fn sent(model: &str, body: &str) -> Value {
    let sent = chat_request(body.as_bytes(), model, &Map::new(), &ParamRules::default())
        .unwrap_or_else(|error| panic!("{body}: {error}"));
    serde_json::from_slice(&sent).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
