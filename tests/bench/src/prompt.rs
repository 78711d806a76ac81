//! Request bodies like those chat clients send: many messages of prose and code, with escapes
//! and some non-ASCII text, grown to a wanted size. Pure; used to build a workload's request.

use serde_json::{Map, Value, json};

const PARAGRAPHS: [&str; 5] = [
    "The report says \"on time\" twice, yet the shipment left Łódź on Tuesday and was seen in \
     Zürich on Friday.\nPlease check which of the two dates the customer was told, and why.",
    "fn total(items: &[Item]) -> u64 {\n    items.iter().map(|item| item.price * item.count)\
     .sum()\n}\n\nWhy does this overflow for the \"bulk\" order but not for the others?",
    "Résumé of the meeting — three open points:\n\t1. the migration window\n\t2. who signs off\n\
     \t3. what happens to C:\\data\\old when it is over",
    "Summarise the following thread in two sentences and keep every figure exactly as written. \
     The first message mentions 14,200 units at 3.75 each; the last one corrects this to 14,020.",
    "日本語の例文もいくつか含まれています。They should be kept as they are, quotes \"like these\" \
     included, and nothing should be translated.\n",
];

/// Which end of the body the `model` member stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelPlace {
    /// Where the official SDKs write it.
    First,
    /// So that a proxy that stops at the first match has to read everything.
    Last,
}

/// A chat body of at least `bytes` bytes, and at most one message more; at least two messages.
#[must_use]
pub fn chat_body(model: &str, bytes: usize, stream: bool, place: ModelPlace) -> Vec<u8> {
    let mut messages = vec![
        json!({"role": "system", "content": "You are a careful assistant."}),
        json!({"role": "user", "content": "How many \"r\" are in strawberry?\nAnswer briefly."}),
    ];
    let mut size = 0;
    while size < bytes {
        let index = messages.len();
        let message = turn(index);
        size += message.to_string().len() + 1;
        messages.push(message);
    }
    let mut body = Map::new();
    if place == ModelPlace::First {
        body.insert("model".to_owned(), model.into());
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    body.insert("temperature".to_owned(), json!(0.7));
    if stream {
        body.insert("stream".to_owned(), true.into());
    }
    if place == ModelPlace::Last {
        body.insert("model".to_owned(), model.into());
    }
    Value::Object(body).to_string().into_bytes()
}

/// The n-th message of a long conversation, one to four paragraphs.
fn turn(index: usize) -> Value {
    let role = if index.is_multiple_of(2) { "assistant" } else { "user" };
    let paragraphs: Vec<_> =
        (0..=index % 4).map(|at| PARAGRAPHS[(index + at) % PARAGRAPHS.len()]).collect();
    json!({"role": role, "content": format!("({index}) {}", paragraphs.join("\n\n"))})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_order_and_texture_asked_for() {
        for bytes in [0, 50_000, 500_000] {
            let body = chat_body("m", bytes, false, ModelPlace::First);
            assert!((bytes..bytes + 2_000).contains(&body.len()), "{}", body.len());
            assert!(body.starts_with(br#"{"model":"m","messages":[{"role""#));
        }
        let last = String::from_utf8(chat_body("m", 50_000, true, ModelPlace::Last)).unwrap();
        assert!(last.ends_with(r#""stream":true,"model":"m"}"#));
        assert!(last.contains("\\n") && last.contains("\\\"") && !last.is_ascii());
    }
}
