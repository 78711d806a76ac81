//! The input of a dry run: request, headers, and the upstream's reply.

use crate::cli::Test;
use callgate_callbacks::AssumedReply;
use callgate_config::read_text;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::path::Path;

/// The parsed input files.
pub(super) struct Input {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) answered: AssumedReply,
}

pub(super) fn read(options: &Test) -> Result<Input, String> {
    let mut body = bytes("--request", &options.request)?;
    if options.stream {
        let mut request: Value = parsed("--request", &options.request, &body)?;
        let members = request.as_object_mut();
        members
            .ok_or_else(|| "`--request`: expected a JSON object, found another value".to_owned())?
            .insert("stream".to_owned(), true.into());
        body = request.to_string().into_bytes();
    }
    let answered = options.reply.as_deref().map_or(Ok(AssumedReply::Nothing), answer)?;
    let streams = options.stream
        || serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["stream"] == true);
    match (&answered, streams) {
        (AssumedReply::Json(_), true) => {
            Err("`--reply`: expected a list of chunks for a stream, found one object".to_owned())
        }
        (AssumedReply::Chunks(_), false) => {
            Err("`--reply`: expected one object, found chunks; add `--stream`".to_owned())
        }
        _ => Ok(Input { headers: headers(&options.header)?, body, answered }),
    }
}

/// Reads a JSON file for `--expect`.
pub(super) fn json(path: &Path) -> Result<Value, String> {
    parsed("--expect", path, &bytes("--expect", path)?)
}

/// Reads one object, a list of chunks, or a stream in wire format.
fn answer(path: &Path) -> Result<AssumedReply, String> {
    let bytes = bytes("--reply", path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim_start().starts_with("data:") {
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        let chunks = data.filter(|data| *data != "[DONE]");
        let chunks = chunks.map(|data| parsed("--reply", path, data.as_bytes()));
        return chunks.collect::<Result<_, _>>().map(AssumedReply::Chunks);
    }
    match parsed("--reply", path, &bytes)? {
        Value::Array(chunks) => Ok(AssumedReply::Chunks(chunks)),
        reply @ Value::Object(_) => Ok(AssumedReply::Json(reply)),
        _ => Err("`--reply`: expected a JSON object or a list, found another value".to_owned()),
    }
}

fn headers(given: &[String]) -> Result<HeaderMap, String> {
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        let name: HeaderName = name.trim().parse().ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    };
    let expected = || "`--header`: expected `name: value`".to_owned();
    given.iter().map(|line| header(line).ok_or_else(expected)).collect()
}

fn bytes(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())
    } else {
        read_text(path).map_err(|error| error.to_string())
    };
    read.map(String::into_bytes)
        .map_err(|error| format!("`{option}`: `{}` cannot be read: {error}", path.display()))
}

fn parsed(option: &str, path: &Path, bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes)
        .map_err(|error| format!("`{option}`: `{}` is not JSON: {error}", path.display()))
}
