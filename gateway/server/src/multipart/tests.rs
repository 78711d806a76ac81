//! Forms at any cut, and what is no form.

use super::*;

/// The parts of a form: name, file name, content.
type Parts = Vec<(String, Option<String>, String)>;

fn read(content_type: &str, body: &[u8], size: usize) -> Result<Parts, MultipartError> {
    let mut form = Multipart::of(content_type)?;
    let mut parts = Parts::new();
    for bytes in body.chunks(size) {
        form.push(bytes);
        while let Some(event) = form.next()? {
            match event {
                FormEvent::Begin(head) => parts.push((head.name, head.file_name, String::new())),
                FormEvent::Data(data) => {
                    parts.last_mut().unwrap().2.push_str(std::str::from_utf8(&data).unwrap());
                }
                FormEvent::End => {}
            }
        }
    }
    form.finish().map(|()| parts)
}

fn at_any_cut(content_type: &str, body: &str) -> Result<Parts, MultipartError> {
    let whole = read(content_type, body.as_bytes(), body.len().max(1));
    for size in 1..body.len() {
        assert_eq!(read(content_type, body.as_bytes(), size), whole, "{body} by {size}");
    }
    whole
}

const TYPE: &str = "multipart/form-data; boundary=XX";

#[test]
fn fields_and_files_are_told_apart() {
    let body = "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n\
                --XX \r\ncontent-disposition: form-data; filename=\"a;\\\"b\\\".mp3\"; name=file\r\n\
                Content-Type: audio/mpeg\r\n\r\nbytes\r\n--X\r\n--XY\r\n\r\n--XX\r\n\
                Content-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--XX--\r\nepilogue";
    // A line that begins like the boundary and goes on is none.
    let parts = at_any_cut(TYPE, &body.replace("--XY", "-XX")).unwrap();
    let expected = [
        ("model", None, "whisper"),
        ("file", Some("a;\"b\".mp3"), "bytes\r\n--X\r\n-XX\r\n"),
        ("empty", None, ""),
    ];
    let expected = expected
        .map(|(name, file, text)| (name.to_owned(), file.map(str::to_owned), text.to_owned()));
    assert_eq!(parts, expected);
}

#[test]
fn the_boundary_may_be_quoted_and_come_late() {
    let body =
        "preamble\r\n--a b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n--a b--";
    for content_type in [
        "multipart/form-data; boundary=\"a b\"",
        "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"; x=y",
    ] {
        assert_eq!(at_any_cut(content_type, body).unwrap()[0].2, "v", "{content_type}");
    }
}

#[test]
fn what_is_no_form_is_an_error() {
    let field = "--XX\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n";
    for (content_type, body, expected) in [
        ("application/json", "{}", "found `application/json`"),
        ("", "", "found ``"),
        ("multipart/form-data", field, "needs a `boundary`"),
        ("multipart/form-data; boundary=", field, "needs a `boundary`"),
        ("multipart/form-data; boundary=YY", field, "does not occur"),
        (TYPE, "", "does not occur"),
        (TYPE, field, "before its last boundary"),
        (TYPE, "--XX\r\n\r\nv\r\n--XX--", "no `Content-Disposition`"),
        (TYPE, "--XX\r\nContent-Disposition: form-data\r\n\r\nv\r\n--XX--", "with a `name`"),
        (TYPE, "--XXX\r\n", "something other than the end of a line"),
    ] {
        let error = at_any_cut(content_type, body).unwrap_err().to_string();
        assert!(error.contains(expected), "{content_type}: {body}: {error}");
    }
    let long = "x".repeat(2 * LONGEST);
    for (body, expected) in
        [(long.clone(), "does not occur"), (format!("--XX\r\nx: {long}"), "longer than 8 KiB")]
    {
        let error = read(TYPE, body.as_bytes(), 1000).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_long_content_takes_no_memory_of_its_length() {
    let mut form = Multipart::of(TYPE).unwrap();
    form.push(b"--XX\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n");
    let block = vec![b'\r'; 64 * 1024];
    let mut length = 0;
    for _ in 0..100 {
        form.push(&block);
        while let Some(event) = form.next().unwrap() {
            if let FormEvent::Data(data) = event {
                length += data.len();
            }
        }
        assert!(form.unread.len() < 100);
    }
    assert!(length > 99 * block.len());
}
