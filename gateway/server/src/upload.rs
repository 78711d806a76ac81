//! The form of a call with files: read whole before its callbacks run, so that they and the checks
//! see all of its fields, and sent on with the fields as they then are. Contents of files are kept
//! by `spool`, and never in memory as a whole.

use super::{
    RequestBody,
    connection_timer::ConnectionTimer,
    decode::Pieces,
    inflight::{InFlight, Share},
    multipart::{FormEvent, Multipart, MultipartError, PartHead},
    spool::Spool,
};
use bytes::Bytes;
use callgate_config::Limits;
use callgate_failure::Failure;
use callgate_json::{Body, joined, text, walk};
use callgate_providers::Outgoing;
use callgate_upstream::RequestPieces;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use std::{collections::VecDeque, io, ops::Range, pin::pin, sync::Arc, time::Instant};

/// The most bytes of all fields that are no files.
const FIELDS: usize = 1024 * 1024;

/// The most parts of a form.
const PARTS: usize = 1000;

/// The files of a form.
#[derive(Debug)]
pub(super) struct Upload {
    spool: Spool,
    files: Vec<FilePart>,
    boundary: String,
}

#[derive(Debug)]
struct FilePart {
    head: PartHead,
    content: Range<u64>,
}

/// The form so far.
struct Arriving {
    form: Multipart,
    fields: Map<String, Value>,
    field_bytes: usize,
    parts: usize,
    /// The part that arrives, with the content of a field.
    open: Option<(PartHead, Vec<u8>)>,
    upload: Upload,
}

/// Reads a form. Returns its fields as a JSON object, in which each file is described, with the
/// files, and the form's share of the bytes in flight.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut RequestBody,
    (limits, in_flight): (&Limits, &InFlight),
    (timer, accepted): (&ConnectionTimer, Instant),
) -> Result<(Body, Upload, usize), Failure> {
    let max = limits.max_body_bytes;
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    let content_type = content_type.and_then(Result::ok).unwrap_or_default();
    let form = Multipart::of(content_type).map_err(|error| malformed(&error))?;
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > max) {
        return Err(Failure::body_too_large(max));
    }
    let mut share = in_flight.share();
    share.announce(announced.unwrap_or_default())?;
    let boundary = form.boundary().to_owned();
    let upload = Upload { spool: Spool::default(), files: Vec::new(), boundary };
    let mut arriving =
        Arriving { form, fields: Map::new(), field_bytes: 0, parts: 0, open: None, upload };
    let mut pieces = Pieces::of(headers, body, max)?;
    let end = accepted.checked_add(limits.body_timeout);
    let read = {
        let reading = collect(&mut pieces, &mut arriving, max, &mut share);
        timer.until(end, pin!(reading)).await
    };
    match read {
        Some(length) => {
            let kept = share.keep(length?);
            let (body, upload) = arriving.finish()?;
            Ok((body, upload, kept))
        }
        None if timer.is_cut() => Err(Failure::shutting_down()),
        None => Err(Failure::body_too_slow(limits.body_timeout)),
    }
}

async fn collect(
    pieces: &mut Pieces<'_>,
    arriving: &mut Arriving,
    max: usize,
    share: &mut Share<'_>,
) -> Result<usize, Failure> {
    let mut length = 0;
    while let Some(data) = pieces.next().await {
        let data = data?;
        length += data.len();
        if length > max {
            return Err(Failure::body_too_large(max));
        }
        share.reach(length, max)?;
        arriving.form.push(&data);
        while let Some(event) = arriving.form.next().map_err(|error| malformed(&error))? {
            arriving.take(event).await?;
        }
    }
    arriving.form.finish().map_err(|error| malformed(&error))?;
    Ok(length)
}

fn malformed(error: &MultipartError) -> Failure {
    Failure::unfit_body(error)
}

impl Arriving {
    async fn take(&mut self, event: FormEvent) -> Result<(), Failure> {
        match event {
            FormEvent::Begin(head) => {
                self.parts += 1;
                if self.parts > PARTS {
                    return Err(Failure::unfit_body(&"a form may have at most 1000 parts"));
                }
                if head.file_name.is_some() {
                    let start = self.upload.spool.len();
                    let content = start..start;
                    self.upload.files.push(FilePart { head: head.clone(), content });
                }
                self.open = Some((head, Vec::new()));
            }
            FormEvent::Data(data) => self.add(data).await?,
            FormEvent::End => {
                if let Some((head, text)) = self.open.take() {
                    self.end(head, text)?;
                }
            }
        }
        Ok(())
    }

    async fn add(&mut self, data: Bytes) -> Result<(), Failure> {
        let Some((head, text)) = &mut self.open else { return Ok(()) };
        if head.file_name.is_some() {
            // A slice of a large read would keep all of it.
            return self.upload.spool.push(Bytes::copy_from_slice(&data)).await;
        }
        self.field_bytes += data.len() + head.name.len();
        if self.field_bytes > FIELDS {
            return Err(Failure::unfit_body(
                &"the fields of a form may have at most 1 MiB together",
            ));
        }
        text.extend_from_slice(&data);
        Ok(())
    }

    fn end(&mut self, head: PartHead, text: Vec<u8>) -> Result<(), Failure> {
        let value = if let Some(file_name) = &head.file_name {
            let end = self.upload.spool.len();
            let Some(file) = self.upload.files.last_mut() else { return Ok(()) };
            file.content.end = end;
            let bytes = end - file.content.start;
            json!({"filename": file_name, "content_type": head.content_type, "bytes": bytes})
        } else {
            let text = String::from_utf8(text).map_err(|_| {
                Failure::unfit_body(&format!("the field `{}` is not UTF-8", head.name))
            })?;
            Value::String(text)
        };
        match self.fields.get_mut(&head.name) {
            None => drop(self.fields.insert(head.name, value)),
            Some(_) if head.name == "model" => return Err(Failure::two_models()),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
        Ok(())
    }

    fn finish(self) -> Result<(Body, Upload), Failure> {
        if self.upload.files.is_empty() {
            return Err(Failure::form_without_file());
        }
        if self.fields.get("stream").is_some_and(|stream| stream == "true") {
            return Err(Failure::form_with_stream());
        }
        let json = Bytes::from(Value::Object(self.fields).to_string());
        let body = Body::parse(json).map_err(|error| Failure::unfit_body(&error))?;
        Ok((body, self.upload))
    }
}

/// A form on its way to the upstream.
#[derive(Debug)]
pub(super) struct OutgoingForm {
    upload: Arc<Upload>,
    pieces: VecDeque<FormPiece>,
    length: u64,
}

#[derive(Debug)]
enum FormPiece {
    Bytes(Bytes),
    File(Range<u64>),
}

impl OutgoingForm {
    /// `outgoing` has the fields as they are sent.
    pub(super) fn of(outgoing: &Outgoing, upload: Arc<Upload>) -> Result<Self, Failure> {
        let fields = joined(outgoing.body.clone());
        Self::new(text(&fields), upload)
    }

    /// `fields` is a JSON object.
    fn new(fields: &str, upload: Arc<Upload>) -> Result<Self, Failure> {
        let is_file = |name: &str| upload.files.iter().any(|file| file.head.name == name);
        let mut form = Vec::new();
        for member in walk::members(fields).into_iter().flatten() {
            let name = walk::name_of(fields, &member);
            if !is_file(&name) {
                for value in values(&fields[member.value]) {
                    add_field(&mut form, &upload.boundary, &name, &value)?;
                }
            }
        }
        let mut pieces = VecDeque::from([FormPiece::Bytes(form.into())]);
        for file in &upload.files {
            pieces.push_back(FormPiece::Bytes(file_head(&upload.boundary, &file.head)));
            pieces.push_back(FormPiece::File(file.content.clone()));
            pieces.push_back(FormPiece::Bytes(Bytes::from_static(b"\r\n")));
        }
        let last = format!("--{}--\r\n", upload.boundary);
        pieces.push_back(FormPiece::Bytes(last.into()));
        let length = pieces.iter().map(FormPiece::len).sum();
        Ok(Self { upload, pieces, length })
    }

    /// The length of the whole form.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl FormPiece {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(range) => range.end - range.start,
        }
    }
}

impl RequestPieces for OutgoingForm {
    async fn next_piece(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.pieces.front_mut()? {
                FormPiece::File(range) if !range.is_empty() => {
                    let read = self.upload.spool.read(range.clone()).await;
                    if let Ok(bytes) = &read {
                        range.start += bytes.len() as u64;
                    }
                    return Some(read);
                }
                FormPiece::Bytes(bytes) if !bytes.is_empty() => {
                    return Some(Ok(std::mem::take(bytes)));
                }
                _ => drop(self.pieces.pop_front()),
            }
        }
    }
}

/// The values of a field: each element of a list is one.
fn values(json: &str) -> Vec<String> {
    let one = |json: &str| {
        if json.starts_with('"') { walk::decoded(json).into_owned() } else { json.to_owned() }
    };
    match walk::elements(json) {
        Some(elements) => elements.map(|element| one(&json[element.value])).collect(),
        None => vec![one(json)],
    }
}

fn add_field(out: &mut Vec<u8>, boundary: &str, name: &str, value: &str) -> Result<(), Failure> {
    if value.contains(boundary) || name.contains(['"', '\r', '\n']) {
        let text =
            format!("the field `{name}` cannot be sent in this form: choose another boundary");
        return Err(Failure::unfit_body(&text));
    }
    let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn file_head(boundary: &str, head: &PartHead) -> Bytes {
    let quoted = |text: &str| text.replace('"', "\\\"");
    let (name, file_name) = (quoted(&head.name), head.file_name.as_deref().map(quoted));
    let file_name = file_name.unwrap_or_default();
    let mut text = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n"
    );
    if let Some(content_type) = &head.content_type {
        text.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    text.push_str("\r\n");
    text.into()
}
