//! Recognises pictures, sound and files, which pass unsearched. Their form is checked, because a
//! text could stand in their place.

use crate::open_value::OpenValue;

/// The members that hold media, and the path to the data in them.
const HOLDERS: [&str; 6] = ["image_url", "video_url", "input_audio", "audio", "file", "image"];
const DATA: [&str; 5] = ["url", "data", "file_data", "image_url", "video_url"];

/// Returns whether media data may stand here. `open` is the part and the values that are open in
/// it.
pub(crate) fn is_place(open: &[&OpenValue<'_>]) -> bool {
    match open {
        [part] => HOLDERS.contains(&&*part.name) && DATA.contains(&&*part.name),
        [part, holder] => HOLDERS.contains(&&*part.name) && DATA.contains(&&*holder.name),
        _ => false,
    }
}

/// Returns whether a JSON string is an address, a data URI, or base64 data.
pub(crate) fn is_data(json: &str) -> bool {
    if json.starts_with("https://") || json.starts_with("http://") {
        return json.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    }
    let data = match json.strip_prefix("data:").map(|rest| rest.split_once(";base64,")) {
        None => json,
        Some(Some((media_type, data))) if media_type.bytes().all(is_of_media_type) => data,
        Some(_) => return false,
    };
    data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

fn is_of_media_type(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'-' | b'.' | b';' | b'=' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_data_is_data() {
        for json in ["", "AA+/==", "data:image/png;base64,AA==", "https://x.example/a.png?b=c"] {
            assert!(is_data(json), "{json}");
        }
        for json in [
            "4111 1111 1111 1111",
            "data:text/plain,secret",
            "data:a secret;base64,AA==",
            "data:image/png;base64,a secret",
            "https://x.example/a secret",
            r"https://x.example/\u0020secret",
            "a@b.co",
        ] {
            assert!(!is_data(json), "{json}");
        }
    }
}
