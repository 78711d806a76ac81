//! Token probabilities, which Ollama lists beside the message and OpenAI inside the choice.
//!
//! Both have the same members, but OpenAI always has `bytes` and `top_logprobs`. Called by
//! `chat_response`.

use super::json::{elements, kind, set};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The text before and after the elements of `content`.
pub(super) const OPEN: &[u8] = b"{\"content\":[";
pub(super) const CLOSE: &[u8] = b"],\"refusal\":null}";

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    token: &'a RawValue,
    #[serde(borrow)]
    logprob: &'a RawValue,
    #[serde(borrow)]
    bytes: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<&'a RawValue>,
}

/// Appends each token of Ollama's list, with a comma unless `out` is empty; `check` ends it with
/// an error.
pub(super) fn write(
    out: &mut Vec<u8>,
    tokens: &RawValue,
    check: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let list = elements(tokens);
    let list =
        list.ok_or_else(|| format!("`logprobs` must be an array, found {}", kind(tokens)))?;
    for source in list {
        let token = read(source)?;
        if !out.is_empty() {
            out.push(b',');
        }
        open(out, &token);
        out.extend_from_slice(b",\"top_logprobs\":[");
        let others = set(token.top_logprobs).and_then(elements).into_iter().flatten();
        for (at, other) in others.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            open(out, &read(other)?);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        check(out)?;
    }
    Ok(())
}

fn read(source: &str) -> Result<Token<'_>, String> {
    let token = serde_json::from_str::<Token<'_>>(source);
    token.map_err(|_| "`logprobs` must hold objects with `token` and `logprob`".to_owned())
}

fn open(out: &mut Vec<u8>, token: &Token<'_>) {
    let bytes = set(token.bytes).map_or("null", RawValue::get);
    for part in [
        "{\"token\":",
        token.token.get(),
        ",\"logprob\":",
        token.logprob.get(),
        ",\"bytes\":",
        bytes,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}
