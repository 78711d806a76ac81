//! Recognises chunks that differ from an earlier one only in their text, as most chunks of a stream
//! do. The scan of the earlier chunk then holds for them, too.

use std::ops::Range;

/// Longer texts are scanned: there, many bytes at a time cost less than a check of each byte.
const LONGEST_TEXT: usize = 256;

/// A chunk without its text.
#[derive(Debug)]
pub(super) struct TextPattern {
    before: Vec<u8>,
    after: Vec<u8>,
    model: Option<ModelAt>,
}

/// The position of the model name in every chunk of the pattern.
#[derive(Debug)]
enum ModelAt {
    Before(Range<usize>),
    /// Its distances from the end of the chunk.
    After {
        start: usize,
        end: usize,
    },
}

impl TextPattern {
    /// Builds the pattern of a scanned chunk; `text` is a range inside a string of it, and `model`
    /// is the range of the model name.
    pub(super) fn of(json: &[u8], text: Range<usize>, model: Option<Range<usize>>) -> Option<Self> {
        let (before, after) = (json.get(..text.start)?, json.get(text.end..)?);
        let place = |model: Range<usize>| match model.start < text.start {
            true => ModelAt::Before(model),
            false => {
                ModelAt::After { start: json.len() - model.start, end: json.len() - model.end }
            }
        };
        Some(Self { before: before.to_vec(), after: after.to_vec(), model: model.map(place) })
    }

    /// Whether `json` differs from the pattern only in its text, which is valid.
    pub(super) fn is_like(&self, json: &[u8]) -> bool {
        self.text(json).is_some()
    }

    /// The text between its quotes, if `json` differs from the pattern only in that.
    pub(super) fn text<'j>(&self, json: &'j [u8]) -> Option<&'j [u8]> {
        let text = json.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        (text.len() <= LONGEST_TEXT && is_inside_of_string(text)).then_some(text)
    }

    /// The position of the model name in a chunk that matches.
    pub(super) fn model(&self, json: &[u8]) -> Option<Range<usize>> {
        Some(match self.model.as_ref()? {
            ModelAt::Before(place) => place.clone(),
            ModelAt::After { start, end } => json.len() - start..json.len() - end,
        })
    }
}

/// Whether a byte stands for itself in a JSON string, whatever its neighbours are.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\');
        byte += 1;
    }
    plain
};

/// Whether the bytes can be the inside of a JSON string. Also `false` for escaped code units, which
/// may be halves of pairs.
fn is_inside_of_string(text: &[u8]) -> bool {
    // Without a branch for each byte: most texts are a few plain letters.
    if text.iter().fold(true, |plain, byte| plain & PLAIN[usize::from(*byte)]) {
        return true;
    }
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' | 0..=0x1f => return false,
            b'\\' => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                _ => return false,
            },
            _ => 1,
        };
    }
    str::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(json: &str, text: &str, model: &str) -> TextPattern {
        let place = |part: &str| {
            let start = json.find(part).unwrap();
            start..start + part.len()
        };
        TextPattern::of(json.as_bytes(), place(text), Some(place(model))).unwrap()
    }

    #[test]
    fn chunks_differ_in_their_text_alone() {
        let before = pattern(r#"{"model":"m","content":"TEXT","n":1}"#, "TEXT", "\"m\"");
        let after = pattern(r#"{"content":"TEXT","n":1,"model":"m"}"#, "TEXT", "\"m\"");
        for (text, like) in [
            ("", true),
            ("a", true),
            ("é😀", true),
            (r#"\n\"\\"#, true),
            ("a\"", false),
            (r#"a","b":"c"#, false),
            ("a\n", false),
            (r"\u00e9", false),
            (r"\ud83d", false),
            (r"\x", false),
            (r"a\", false),
        ] {
            for (pattern, json) in [
                (&before, format!(r#"{{"model":"m","content":"{text}","n":1}}"#)),
                (&after, format!(r#"{{"content":"{text}","n":1,"model":"m"}}"#)),
            ] {
                assert_eq!(pattern.is_like(json.as_bytes()), like, "{json}");
                if like {
                    assert_eq!(&json[pattern.model(json.as_bytes()).unwrap()], "\"m\"");
                }
            }
        }
        let long = format!(r#"{{"model":"m","content":"{}","n":1}}"#, "a".repeat(257));
        assert!(!before.is_like(long.as_bytes()));
        for json in [
            &b"{\"model\":\"m\",\"content\":\"\xff\",\"n\":1}"[..],
            br#"{"model":"m","content":"a","n":2}"#,
            br#"{"model":"n","content":"a","n":1}"#,
            // Shorter than both parts together.
            br#"{"model":"m","content":","n":1}"#,
        ] {
            assert!(!before.is_like(json), "{}", String::from_utf8_lossy(json));
        }
    }
}
