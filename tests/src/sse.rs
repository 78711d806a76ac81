//! Server-sent events, read strictly: one `data: …` line and a blank line, ended by LF or CRLF.
//! Anything else is kept unchanged, so that a test can object to it.

use serde_json::Value;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `data:` with JSON.
    Json(Value),
    /// `data: [DONE]`.
    Done,
    /// Anything else between two blank lines.
    Other(String),
}

impl Event {
    /// Takes the first complete event off the front of `buffer`.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let ends = [&b"\n\n"[..], b"\r\n\r\n"].map(|blank| {
            let at = buffer.windows(blank.len()).position(|window| window == blank);
            at.map(|at| (at, at + blank.len()))
        });
        let (end, next) = ends.into_iter().flatten().min()?;
        let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..next);
        Some(Self::read(text))
    }

    /// The events of a whole body; an incomplete one at the end is an [`Event::Other`].
    #[must_use]
    pub fn all(body: &[u8]) -> Vec<Self> {
        let mut rest = body.to_vec();
        let mut events: Vec<Self> = std::iter::from_fn(|| Self::take(&mut rest)).collect();
        if !rest.is_empty() {
            events.push(Self::Other(String::from_utf8_lossy(&rest).into_owned()));
        }
        events
    }

    /// The JSON; `Null` if there is none.
    #[must_use]
    pub fn json(&self) -> &Value {
        match self {
            Self::Json(value) => value,
            Self::Done | Self::Other(_) => &Value::Null,
        }
    }

    fn read(text: String) -> Self {
        match text.strip_prefix("data: ") {
            Some("[DONE]") => Self::Done,
            Some(json) => serde_json::from_str(json).map_or(Self::Other(text), Self::Json),
            None => Self::Other(text),
        }
    }
}

/// The text of all deltas of the first choice.
#[must_use]
pub fn text(events: &[Event]) -> String {
    let deltas = events.iter().map(|event| &event.json()["choices"][0]["delta"]["content"]);
    deltas.filter_map(Value::as_str).collect()
}

/// The error object of the stream's last event, if the stream ended in an error frame.
#[must_use]
pub fn error(events: &[Event]) -> Option<&Value> {
    events.last().and_then(|event| event.json().get("error"))
}

#[cfg(test)]
mod tests {
    use super::Event;
    use serde_json::json;

    #[test]
    fn events_are_separated_and_nothing_is_lost() {
        let body = b"data: {\"a\":1}\n\ndata: [DONE]\r\n\r\n: ping\n\ndata: {\"b\"";
        let expected = [
            Event::Json(json!({"a": 1})),
            Event::Done,
            Event::Other(": ping".to_owned()),
            Event::Other("data: {\"b\"".to_owned()),
        ];
        assert_eq!(Event::all(body), expected);
    }
}
