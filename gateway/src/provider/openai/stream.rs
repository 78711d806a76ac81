//! A stream of the client's own dialect: every frame passes as it came, but for the model's name.
//! What is JSON in place of a stream goes to `whole`.

use super::{
    super::{Usage, said::read_error},
    usage, whole,
};
use crate::{
    json::{Member, Scanner, json_text},
    provider::{ChunkSink, Echo, StreamFailure, StreamTranslator},
    stream::{Lines, MAX_LINE, TooLong, data},
};
use bytes::Bytes;
use std::sync::LazyLock;

static FINISH_REASON: LazyLock<memchr::memmem::Finder<'static>> =
    LazyLock::new(|| memchr::memmem::Finder::new(b"\"finish_reason\""));

/// See the module.
#[derive(Debug)]
pub(super) struct Passing {
    kind: Kind,
    lines: Lines,
    frames: Frames,
}

/// What comes, by its first byte.
#[derive(Debug)]
enum Kind {
    Unknown,
    Events,
    /// So far.
    Json(Vec<u8>),
}

#[derive(Debug)]
struct Frames {
    /// There was an event.
    any: bool,
    /// The requested name as JSON.
    model: Bytes,
    include_usage: bool,
    /// An event whose JSON goes on in the next `data` line.
    open: Vec<u8>,
    usage: Option<Usage>,
    finished: bool,
    done: bool,
}

impl Passing {
    pub(super) fn new(echo: &Echo, include_usage: bool) -> Self {
        let frames = Frames {
            any: false,
            model: json_text(&echo.model),
            include_usage,
            open: Vec::new(),
            usage: None,
            finished: false,
            done: false,
        };
        Self { kind: Kind::Unknown, lines: Lines::default(), frames }
    }

    fn whole(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        let whole = whole::read(json, &self.frames.model, self.frames.include_usage)?;
        whole.chunks.iter().for_each(|chunk| out.chunk(&[chunk.as_bytes()]));
        self.frames.usage = whole.usage;
        self.frames.finished = true;
        Ok(())
    }
}

impl StreamTranslator for Passing {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        if let Kind::Unknown = self.kind {
            match bytes.trim_ascii_start().first() {
                None => return Ok(()),
                Some(b'{') => self.kind = Kind::Json(Vec::new()),
                Some(_) => self.kind = Kind::Events,
            }
        }
        if let Kind::Json(json) = &mut self.kind {
            if json.len() + bytes.len() > MAX_LINE {
                return Err(TooLong.into());
            }
            json.extend_from_slice(bytes);
            return Ok(());
        }
        self.lines.push(bytes, |line| self.frames.line(line, out))
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        match std::mem::replace(&mut self.kind, Kind::Events) {
            Kind::Unknown => return Err(StreamFailure::NoStream("an empty body")),
            Kind::Json(json) => return self.whole(&json, out),
            Kind::Events => {}
        }
        let rest = self.lines.take_rest();
        self.frames.line(&rest, out)?;
        if !self.frames.any {
            let what = "a body that is neither events nor JSON";
            return Err(StreamFailure::NoStream(what));
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.frames.done
    }

    /// Some servers close after the last chunk without `[DONE]`; without a finish reason, though,
    /// the answer was cut off.
    fn complete_at_close(&self) -> bool {
        self.frames.done || self.frames.finished
    }

    fn usage(&self) -> Option<Usage> {
        self.frames.usage
    }
}

impl Frames {
    fn line(&mut self, line: &[u8], out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        if line.is_empty() && !self.open.is_empty() {
            return Err(malformed("an event that is not JSON"));
        }
        let Some(payload) = data(line).filter(|_| !self.done) else { return Ok(()) };
        if !self.open.is_empty() {
            let mut event = std::mem::take(&mut self.open);
            event.push(b'\n');
            event.extend_from_slice(payload);
            return self.event(&event, out);
        }
        self.event(payload, out)
    }

    fn event(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        self.any = true;
        if json.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let Ok(members) = Scanner::scan(json) else {
            self.open = json.to_vec();
            return Ok(());
        };
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed("an event that is no JSON object"));
        }
        let find = |name: &[u8]| members.iter().find(|member| json[member.name.clone()] == *name);
        let value = |member: &Member| &json[member.value.clone()];
        if find(b"error").is_some_and(|member| value(member) != b"null") {
            return Err(match read_error(json) {
                Some(error) => StreamFailure::Upstream(error),
                None => malformed("an error without a message"),
            });
        }
        if let Some(counted) = find(b"usage").and_then(|member| usage(value(member))) {
            self.usage = Some(counted);
            let only_usage = find(b"choices").is_some_and(|choices| value(choices) == b"[]");
            if only_usage && !self.include_usage {
                return Ok(());
            }
        }
        self.finished = self.finished || has_finish_reason(json);
        match find(b"model") {
            Some(model) => {
                let (before, after) = (&json[..model.value.start], &json[model.value.end..]);
                out.chunk(&[before, &self.model, after]);
            }
            None => out.chunk(&[json]),
        }
        Ok(())
    }
}

fn malformed(what: &str) -> StreamFailure {
    StreamFailure::Malformed(what.to_owned())
}

impl From<TooLong> for StreamFailure {
    fn from(error: TooLong) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Whether a choice says why it stopped. Inside of a string the quotes would be escaped, so the
/// name as searched for is a name.
fn has_finish_reason(json: &[u8]) -> bool {
    FINISH_REASON.find_iter(json).any(|at| {
        let rest = json[at + FINISH_REASON.needle().len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl ChunkSink for Collected {
        fn chunk(&mut self, json: &[&[u8]]) {
            self.0.push(String::from_utf8(json.concat()).expect("utf-8"));
        }
    }

    fn run(
        input: &str,
        include_usage: bool,
        size: usize,
    ) -> (Vec<String>, Passing, Option<StreamFailure>) {
        let echo = Echo { id: "i".to_owned(), created: 1, model: "asked\"".to_owned() };
        let mut passing = Passing::new(&echo, include_usage);
        let mut out = Collected::default();
        let mut failure = None;
        for chunk in input.as_bytes().chunks(size) {
            if let Err(error) = passing.push(chunk, &mut out) {
                failure = Some(error);
                break;
            }
        }
        (out.0, passing, failure)
    }

    const STREAM: &str = concat!(
        ": hello\r\n\r\n",
        "data: {\"id\":\"1\",\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"a \\\"finish_reason\\\":\\\"\"},\"finish_reason\":null}]}\r\n\r\n",
        "data:{\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}], \"model\" : \"up\"}\n\n",
        "data: {\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n",
        "data: [DONE]\n\ndata: {\"late\":1}\n\n",
    );

    #[test]
    fn frames_pass_with_the_requested_name() {
        for size in [1, 3, 50, 10_000] {
            let (chunks, passing, failure) = run(STREAM, false, size);
            assert_eq!(failure, None);
            assert_eq!(chunks.len(), 2, "{chunks:?}");
            assert_eq!(
                chunks[1],
                r#"{"choices":[{"delta":{},"finish_reason" : "stop"}], "model" : "asked\""}"#
            );
            assert!(passing.complete());
            assert_eq!(passing.usage().map(|usage| usage.total_tokens), Some(7));
        }
        assert_eq!(run(STREAM, true, 64).0.len(), 3);
    }

    #[test]
    fn a_close_completes_only_after_a_finish_reason() {
        let open =
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
        assert!(!run(open, false, 99).1.complete_at_close());
        let closed = "data: {\"choices\":[{\"finish_reason\":\"length\"}]}\n\n";
        assert!(run(closed, false, 99).1.complete_at_close());
    }

    #[test]
    fn errors_and_garbage_end_the_stream() {
        let (_, _, failure) =
            run("data: {\"error\":{\"message\":\"m\",\"code\":\"c\"}}\n\n", false, 9);
        let Some(StreamFailure::Upstream(error)) = failure else { panic!("{failure:?}") };
        assert_eq!((&*error.message, error.code.as_deref()), ("m", Some("c")));
        for garbage in ["data: {\"a\":\n\n", "data: <html>\n\n", "data: 7\n\n"] {
            let (_, _, failure) = run(garbage, false, 99);
            assert!(matches!(failure, Some(StreamFailure::Malformed(_))), "{garbage}: {failure:?}");
        }
    }

    #[test]
    fn an_event_may_span_data_lines() {
        let (chunks, _, failure) = run("data: {\"a\":\ndata: 1}\n\n", false, 99);
        assert_eq!((failure, chunks), (None, vec!["{\"a\":\n1}".to_owned()]));
    }
}
