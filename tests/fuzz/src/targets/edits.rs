//! Callbacks' edits compared with a tree: the visible text is the sent text.
//!
//! The input is the body, then a line for each edit: `set path json`, `remove path`, `text 0
//! words`, `json 0 {…}`, `insert 0 role words`, `drop 0`.

use super::pieces::same_at_any_cut;
use callgate_call::fuzzing::{Edit, Edited, edit};
use callgate_json::fuzzing::scan;
use serde_json::{Map, Value, json};

pub(super) const TOKENS: &[&[u8]] = &[
    b"\nset temperature 1",
    b"\nset a.b.c {\"x\":[]}",
    b"\nset tools.0.type \"f\"",
    b"\nremove a.b",
    b"\nremove tools.0",
    b"\ntext 0 words",
    b"\ntext 1 \"\\",
    b"\njson 0 {\"role\":\"user\"}",
    b"\ninsert 0 system be brief",
    b"\ndrop 0",
    b"\"role\":\"user\"",
    b"\"content\":\"hi\"",
    b"\"content\":[{\"type\":\"text\",\"text\":\"a\"}]",
    b"\"text\":null",
    b"\"Content\":\"x\"",
    b"{}",
    b"[]",
    b"null",
    b",",
    b"\"a\":{\"b\":1}",
    b"\\u0061",
    b"\"\\u0072ole\"",
    b" ",
    b"1e999",
    b"\"role\":null",
    b"{\"role\":\"user\",\"content\":\"hi\"}",
    b"\"text\"",
];

/// Members that callbacks cannot set by path.
const FIXED: [&str; 3] = ["model", "messages", "stream"];

pub(super) fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let body = lines.next().unwrap_or_default();
    let edits: Vec<Edit<'_>> =
        lines.filter_map(|line| read(std::str::from_utf8(line).ok()?)).collect();
    let Some(edited) = same_at_any_cut(body, |pieces| edit(pieces, &edits)) else { return };
    assert_eq!(edited.body.as_bytes(), edited.sent, "callbacks see another body");
    let Ok(model) = serde_json::from_slice::<Value>(body) else { return };
    let sent: Value = match serde_json::from_slice(&edited.sent) {
        Ok(sent) => sent,
        // Beyond the range of the tree; the scanner confirms that it is JSON.
        Err(error)
            if ["out of range", "recursion limit"]
                .iter()
                .any(|it| error.to_string().contains(it)) =>
        {
            assert!(scan(&[&edited.sent]).is_ok(), "no JSON: {}", edited.body);
            return;
        }
        Err(error) => panic!("{error}: {}", edited.body),
    };
    seen_is_sent(&edited, &sent);
    let Some(model) = applied(model, &edits, &edited.made) else { return };
    assert_eq!(sent, model, "sent: {}", edited.body);
}

fn seen_is_sent(edited: &Edited, sent: &Value) {
    let none = Vec::new();
    let messages = sent.get("messages").and_then(Value::as_array).unwrap_or(&none);
    assert_eq!(edited.seen.len(), messages.len(), "messages seen");
    for ([role, text, json], message) in edited.seen.iter().zip(messages) {
        assert_eq!(serde_json::from_str::<Value>(json).ok().as_ref(), Some(message));
        assert_eq!(role, message["role"].as_str().unwrap_or_default(), "role of {json}");
        assert_eq!(*text, text_of(&message["content"]), "text of {json}");
    }
}

fn text_of(content: &Value) -> String {
    let part = |part: &Value| part.as_str().or(part["text"].as_str()).map(str::to_owned);
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(part).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn read(line: &str) -> Option<Edit<'_>> {
    let (word, rest) = line.split_once(' ')?;
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match word {
        "set" => Edit::Set(first, second),
        "remove" => Edit::Remove(rest),
        "text" => Edit::SetText(first.parse().ok()?, second),
        "json" => Edit::SetJson(first.parse().ok()?, second),
        "insert" => {
            let (role, text) = second.split_once(' ').unwrap_or((second, ""));
            Edit::Insert(first.parse().ok()?, role, text)
        }
        "drop" => Edit::Drop(first.parse().ok()?),
        _ => return None,
    })
}

/// The body after the successful edits; `None` if a number is beyond the range of the tree. Panics
/// if an edit succeeds only here or only there.
fn applied(mut body: Value, edits: &[Edit<'_>], made: &[bool]) -> Option<Value> {
    for (edit, made) in edits.iter().zip(made) {
        if let Edit::Set(_, json) | Edit::SetJson(_, json) = edit
            && *made
        {
            serde_json::from_str::<Value>(json).ok()?;
        }
        let mut after = body.clone();
        let here = apply(&mut after, *edit);
        // A message given as JSON may be refused because of its content.
        let stricter = matches!(edit, Edit::SetJson(..)) && !made;
        assert!(here.is_some() == *made || stricter, "{edit:?} made: {made}, in {body}");
        if *made {
            body = after;
        }
    }
    Some(body)
}

/// The most levels of a body.
const DEEPEST: usize = 128;

/// The levels of lists and objects in a value.
fn levels(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

fn apply(body: &mut Value, edit: Edit<'_>) -> Option<()> {
    let messages = |body: &mut Value| match body.get_mut("messages") {
        Some(Value::Array(_)) => Some(()),
        // Other values are replaced by a list, if there is something to put into it.
        _ => None,
    };
    let fixed = |path: &str| FIXED.contains(&path.split('.').next().unwrap_or_default());
    match edit {
        Edit::Set(path, json) if !path.is_empty() && !fixed(path) => {
            let (path, json) = (path.split('.').collect::<Vec<_>>(), serde_json::from_str(json));
            let json = json.ok()?;
            (path.len() + levels(&json) <= DEEPEST).then_some(())?;
            set(body, &path, json)
        }
        Edit::Remove(path) if !path.is_empty() && !fixed(path) => {
            remove(body, &path.split('.').collect::<Vec<_>>())
        }
        Edit::Set(..) | Edit::Remove(_) => None,
        Edit::SetText(index, text) => {
            let message = body.get_mut("messages")?.as_array_mut()?.get_mut(index)?;
            set_text(message.as_object_mut()?, text);
            Some(())
        }
        Edit::SetJson(index, json) => {
            let message = body.get_mut("messages")?.as_array_mut()?.get_mut(index)?;
            *message = serde_json::from_str(json).ok()?;
            Some(())
        }
        Edit::Insert(index, role, text) => {
            if messages(body).is_none() && index == 0 {
                body["messages"] = json!([]);
            }
            let messages = body.get_mut("messages")?.as_array_mut()?;
            (index <= messages.len()).then(|| {
                messages.insert(index, json!({"role": role, "content": text}));
            })
        }
        Edit::Drop(index) => {
            let messages = body.get_mut("messages")?.as_array_mut()?;
            (index < messages.len()).then(|| drop(messages.remove(index)))
        }
    }
}

fn set_text(message: &mut Map<String, Value>, text: &str) {
    let Some(Value::Array(parts)) = message.get_mut("content") else {
        message.insert("content".to_owned(), text.into());
        return;
    };
    let has_text = |part: &Value| part.is_string() || part["text"].is_string();
    let Some(first) = parts.iter().position(has_text) else {
        parts.insert(0, json!({"type": "text", "text": text}));
        return;
    };
    if parts[first].is_string() {
        parts[first] = text.into();
    } else {
        parts[first]["text"] = text.into();
    }
    let mut index = 0;
    parts.retain(|part| {
        index += 1;
        index <= first + 1 || !has_text(part)
    });
}

fn set(value: &mut Value, path: &[&str], new: Value) -> Option<()> {
    let Some((step, rest)) = path.split_first() else {
        *value = new;
        return Some(());
    };
    if value.is_null() {
        *value = json!({});
    }
    match value {
        Value::Object(members) => {
            set(members.entry((*step).to_owned()).or_insert(Value::Null), rest, new)
        }
        Value::Array(elements) => set(elements.get_mut(step.parse::<usize>().ok()?)?, rest, new),
        _ => None,
    }
}

fn remove(value: &mut Value, path: &[&str]) -> Option<()> {
    let (step, rest) = path.split_first()?;
    match value {
        Value::Object(members) if rest.is_empty() => members.shift_remove(*step).map(drop),
        Value::Object(members) => remove(members.get_mut(*step)?, rest),
        Value::Array(elements) => {
            let index = step.parse::<usize>().ok()?;
            if rest.is_empty() {
                return (index < elements.len()).then(|| drop(elements.remove(index)));
            }
            remove(elements.get_mut(index)?, rest)
        }
        _ => None,
    }
}
