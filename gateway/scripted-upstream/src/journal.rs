//! The journal of a scripted upstream: each request as it arrived, and counts of the outcomes. Its
//! owner reads it; only its connections write it.

use bytes::Bytes;
use serde_json::Value;

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// Every completely read request, oldest first.
    pub requests: Vec<Received>,
    /// Connections accepted.
    pub connections: usize,
    /// Connections open now.
    pub open_connections: usize,
    /// Answers written to their end, faults included.
    pub answered: usize,
    /// Clients that left before their answer had been written to its end.
    pub hang_ups: usize,
}

/// One request, as it was on the wire.
#[derive(Debug, Clone)]
pub struct Received {
    /// The index of the connection that carried it, from 0.
    pub connection: usize,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names and values in the order and spelling sent.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunked framing removed.
    pub body: Bytes,
}

impl Received {
    /// The first header called `name`, in any spelling.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The `model` of a JSON body or a form, empty when it has none.
    #[must_use]
    pub fn model(&self) -> String {
        if let Some(model) = self.json()["model"].as_str() {
            return model.to_owned();
        }
        let form = String::from_utf8_lossy(&self.body);
        let field = form.split_once("name=\"model\"\r\n\r\n").map(|(_, rest)| rest);
        field.and_then(|rest| rest.split("\r\n").next()).unwrap_or_default().to_owned()
    }
}
