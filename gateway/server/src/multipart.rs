//! Reads `multipart/form-data` (RFC 7578) as it arrives. Pure: bytes in, events out; `upload`
//! decides what they mean and where contents are kept.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// The most bytes before the first boundary, and the longest head of a part.
const LONGEST: usize = 8 * 1024;

/// RFC 2046 allows 70 characters.
const LONGEST_BOUNDARY: usize = 70;

/// Why a body is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MultipartError {
    #[error(
        "expected `Content-Type: multipart/form-data; boundary=…`, found `{0}`; send the file as \
         a form (`curl -F`)"
    )]
    OtherType(String),
    #[error("`Content-Type: multipart/form-data` needs a `boundary` of 1 to 70 characters")]
    NoBoundary,
    #[error(
        "the boundary of `Content-Type` does not occur in the body; let the client's library set \
         both"
    )]
    WrongBoundary,
    #[error("the form is malformed: {0}")]
    Malformed(&'static str),
    #[error("the form ends before its last boundary")]
    Cut,
}

/// What the next bytes of a form are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FormEvent {
    /// A part begins.
    Begin(PartHead),
    /// Some of its content.
    Data(Bytes),
    /// Its content is complete.
    End,
}

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// If there is one, the part is a file.
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    AfterDelimiter,
    Head,
    Content,
    Epilogue,
}

/// A form that arrives.
#[derive(Debug)]
pub(super) struct Multipart {
    /// A line end, and the boundary with its dashes.
    delimiter: Vec<u8>,
    unread: BytesMut,
    state: State,
}

impl Multipart {
    /// `content_type` is the request's.
    pub(super) fn of(content_type: &str) -> Result<Self, MultipartError> {
        let boundary = boundary(content_type)?;
        // As if a line had ended before the body.
        let unread = BytesMut::from(&b"\r\n"[..]);
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Self { delimiter, unread, state: State::Preamble })
    }

    /// The text that divides the parts.
    pub(super) fn boundary(&self) -> &str {
        std::str::from_utf8(&self.delimiter[4..]).unwrap_or_default()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Epilogue {
            self.unread.extend_from_slice(bytes);
        }
    }

    /// The next event; `None` if it needs more bytes.
    pub(super) fn next(&mut self) -> Result<Option<FormEvent>, MultipartError> {
        loop {
            match self.state {
                State::Preamble => match memmem::find(&self.unread, &self.delimiter) {
                    Some(at) => self.pass_delimiter(at),
                    None if self.unread.len() > LONGEST => {
                        return Err(MultipartError::WrongBoundary);
                    }
                    None => return Ok(None),
                },
                State::AfterDelimiter => match self.after_delimiter()? {
                    Some(next) => self.state = next,
                    None => return Ok(None),
                },
                State::Head => return self.head(),
                State::Content => return Ok(self.content()),
                State::Epilogue => {
                    self.unread.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Called at the end of the body.
    pub(super) fn finish(&self) -> Result<(), MultipartError> {
        match self.state {
            State::Epilogue => Ok(()),
            State::Preamble => Err(MultipartError::WrongBoundary),
            _ => Err(MultipartError::Cut),
        }
    }

    fn pass_delimiter(&mut self, at: usize) {
        let _ = self.unread.split_to(at + self.delimiter.len());
        self.state = State::AfterDelimiter;
    }

    fn after_delimiter(&mut self) -> Result<Option<State>, MultipartError> {
        let blanks = self.unread.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let Some(next) = self.unread.get(blanks..blanks + 2) else {
            let is_long = blanks > LONGEST;
            let malformed = MultipartError::Malformed("a boundary is followed by too many blanks");
            return if is_long { Err(malformed) } else { Ok(None) };
        };
        let state = match next {
            b"--" if blanks == 0 => State::Epilogue,
            b"\r\n" => State::Head,
            _ => {
                let what = "a boundary is followed by something other than the end of a line";
                return Err(MultipartError::Malformed(what));
            }
        };
        // The line end may begin the blank line that ends an empty head.
        let _ = self.unread.split_to(blanks + if state == State::Head { 0 } else { 2 });
        Ok(Some(state))
    }

    fn head(&mut self) -> Result<Option<FormEvent>, MultipartError> {
        let Some(end) = memmem::find(&self.unread, b"\r\n\r\n") else {
            let too_long = MultipartError::Malformed("the head of a part is longer than 8 KiB");
            return if self.unread.len() > LONGEST { Err(too_long) } else { Ok(None) };
        };
        let head = self.unread.split_to(end + 4);
        self.state = State::Content;
        let head = part_head(&head)?;
        Ok(Some(FormEvent::Begin(head)))
    }

    fn content(&mut self) -> Option<FormEvent> {
        match memmem::find(&self.unread, &self.delimiter) {
            Some(0) => {
                self.pass_delimiter(0);
                Some(FormEvent::End)
            }
            Some(at) => Some(FormEvent::Data(self.unread.split_to(at).freeze())),
            None => {
                let sure = self.unread.len().checked_sub(self.delimiter.len() - 1)?;
                (sure > 0).then(|| FormEvent::Data(self.unread.split_to(sure).freeze()))
            }
        }
    }
}

/// The boundary that a `Content-Type` names.
fn boundary(content_type: &str) -> Result<String, MultipartError> {
    let (kind, params) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        let found: String = content_type.chars().take(64).collect();
        return Err(MultipartError::OtherType(found));
    }
    let boundary = param(params, "boundary").ok_or(MultipartError::NoBoundary)?;
    let is_short = (1..=LONGEST_BOUNDARY).contains(&boundary.len());
    if is_short && boundary.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(boundary);
    }
    Err(MultipartError::NoBoundary)
}

/// A parameter of a header: a token, or a quoted text.
fn param(mut params: &str, wanted: &str) -> Option<String> {
    loop {
        params = params.trim_start_matches([' ', '\t', ';']);
        let (name, rest) = params.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                (value.trim().to_owned(), rest)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        params = rest;
    }
}

/// The text up to the closing quote, and what follows it. Only a quote is escaped: browsers send
/// the backslashes of a file's path as they are.
fn quoted_text(quoted: &str) -> Option<(String, &str)> {
    let mut at = 0;
    loop {
        at += quoted.get(at..)?.find('"')?;
        if !quoted[..at].ends_with('\\') {
            return Some((quoted[..at].replace("\\\"", "\""), &quoted[at + 1..]));
        }
        at += 1;
    }
}

fn part_head(head: &[u8]) -> Result<PartHead, MultipartError> {
    let head = std::str::from_utf8(head)
        .map_err(|_| MultipartError::Malformed("the head of a part is not UTF-8"))?;
    if head.replace("\r\n", "").contains(|it: char| it.is_ascii_control() && it != '\t') {
        return Err(MultipartError::Malformed("the head of a part has a control character"));
    }
    let header = |wanted: &str| {
        let headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let mut named = headers.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        named.next().map(|(_, value)| value.trim())
    };
    let nameless = MultipartError::Malformed("a part has no `Content-Disposition` with a `name`");
    let disposition = header("content-disposition").unwrap_or_default();
    let (kind, params) = disposition.split_once(';').unwrap_or((disposition, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(nameless);
    }
    let Some(name) = param(params, "name") else { return Err(nameless) };
    let file_name = param(params, "filename");
    Ok(PartHead { name, file_name, content_type: header("content-type").map(str::to_owned) })
}

#[cfg(test)]
mod tests;
