//! An error in the frames of a stream: some servers answer a stream request with an error status
//! and put the details into an event, or into a line of NDJSON.

use super::{ErrorText, object::read_error};

/// The first error in the events or lines of `body`; `None` if it has no frames.
pub(super) fn read(body: &[u8]) -> Option<ErrorText> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // Only lines that begin like this are frames.
    let mut framed = text.starts_with('{');
    let (mut event, mut words) = (String::new(), None);
    for line in text.split(['\n', '\r']).chain([""]) {
        if let Some(data) = line.strip_prefix("data:") {
            framed = true;
            event.push('\n');
            event.push_str(data);
            continue;
        }
        let alone = line.strip_prefix("error:").unwrap_or(line);
        let ended = line.is_empty().then(|| std::mem::take(&mut event));
        let json = ended.as_deref().unwrap_or(alone);
        if framed || alone.len() < line.len() {
            let said = read_object(json);
            if said.is_some() {
                return said;
            }
        }
        words = words.or_else(|| ended.map(|it| it.trim().to_owned()).filter(|it| is_plain(it)));
    }
    let message = words?;
    Some(ErrorText { message, ..ErrorText::default() })
}

fn read_object(json: &str) -> Option<ErrorText> {
    let json = json.trim();
    if json.starts_with(['{', '[']) { read_error(json.as_bytes()) } else { None }
}

fn is_plain(words: &str) -> bool {
    !words.is_empty() && words != "[DONE]" && !words.starts_with(['{', '['])
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_first_error_of_any_frame_is_read() {
        for (body, expected) in [
            ("data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n", Some("no")),
            ("event: error\r\ndata: {\"detail\":\"no\"}\r\n\r\n", Some("no")),
            ("\u{feff}: hi\rdata:{\"message\":\"no\"}", Some("no")),
            ("data: {\"error\":\ndata: \"no\"}\n\n", Some("no")),
            ("event: error\ndata: plain words\n\n", Some("plain words")),
            ("error: {\"message\":\"no\"}\n", Some("no")),
            ("{\"status\":\"loading\"}\n{\"error\":\"no\"}\n", Some("no")),
            ("data: {\"id\":1}\n\n{\"error\":\"no\"}", Some("no")),
            ("data: [{\"error\":\"no\"}]\n\n", Some("no")),
            ("data: [DONE]\n\n", None),
            ("<html>\n{\"error\":\"script\"}\n</html>", None),
            ("plain", None),
            ("", None),
        ] {
            let said = read(body.as_bytes()).map(|said| said.message);
            assert_eq!(said.as_deref(), expected, "{body}");
        }
    }
}
