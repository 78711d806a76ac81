//! The input of a dry run: the requests with their headers and the upstream's replies, and the
//! rules for the callbacks' own requests.

use super::{
    chunked::chunked,
    http_rules::{self, Rule},
};
use crate::cli::Test;
use callgate_callbacks::AssumedReply;
use callgate_config::read_text;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// The parsed input files.
pub(super) struct Input {
    pub(super) headers: HeaderMap,
    pub(super) requests: Vec<Request>,
    pub(super) http: Option<HttpFile>,
}

/// One request, and the upstream's reply to it.
pub(super) struct Request {
    pub(super) file: String,
    pub(super) body: Vec<u8>,
    pub(super) answered: AssumedReply,
}

/// The rules of `--http`.
pub(super) struct HttpFile {
    pub(super) file: String,
    pub(super) rules: Arc<[Rule]>,
}

pub(super) fn read(options: &Test) -> Result<Input, String> {
    let replies = replies(options)?;
    let requests = options.request.iter().enumerate().map(|(index, path)| {
        let reply = replies.get(index).or(replies.last());
        request(path, options.stream, reply.cloned().unwrap_or(AssumedReply::Nothing))
    });
    let http = options.http.as_deref().map(|path| {
        let json = parsed("--http", path, &bytes("--http", path)?)?;
        let file = path.display().to_string();
        let rules = http_rules::parse(json);
        let rules = rules.map_err(|error| format!("`--http`: `{file}`: {error}"))?;
        Ok::<_, String>(HttpFile { file, rules })
    });
    Ok(Input {
        headers: headers(&options.header)?,
        requests: requests.collect::<Result<_, _>>()?,
        http: http.transpose()?,
    })
}

fn replies(options: &Test) -> Result<Vec<AssumedReply>, String> {
    let (replies, requests) = (options.reply.len(), options.request.len());
    if replies > 1 && replies != requests {
        return Err(format!(
            "`--reply`: expected one for all requests or one for each of the {requests}, found {replies}"
        ));
    }
    options.reply.iter().map(|path| answer(path)).collect()
}

fn request(path: &Path, stream: bool, answered: AssumedReply) -> Result<Request, String> {
    let mut body = bytes("--request", path)?;
    if stream {
        let mut request: Value = parsed("--request", path, &body)?;
        let members = request.as_object_mut();
        members
            .ok_or_else(|| "`--request`: expected a JSON object, found another value".to_owned())?
            .insert("stream".to_owned(), true.into());
        body = request.to_string().into_bytes();
    }
    let streams =
        stream || serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["stream"] == true);
    let answered = match answered {
        AssumedReply::Json(completion) if streams => AssumedReply::Chunks(chunked(&completion)),
        AssumedReply::Chunks(_) if !streams => {
            return Err("`--reply`: expected one object, found chunks; add `--stream`".to_owned());
        }
        answered => answered,
    };
    Ok(Request { file: path.display().to_string(), body, answered })
}

/// Reads the file of `--expect`: one value for each request.
pub(super) fn expected(path: &Path, requests: usize) -> Result<Vec<Value>, String> {
    let json = parsed("--expect", path, &bytes("--expect", path)?)?;
    match json {
        json if requests == 1 => Ok(vec![json]),
        Value::Array(list) if list.len() == requests => Ok(list),
        _ => {
            Err(format!("`--expect`: expected a list with a value for each of {requests} requests"))
        }
    }
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
