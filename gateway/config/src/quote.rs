//! Quotes the operator's text in a message: without keys, shortened, and on one line. Every message
//! that quotes a value, a key or a name of a config, of settings or of the command line uses it.
//!
//! `Config::hidden` masks the values of environment variables in later messages about the config.

use callgate_secret::without_keys;
use callgate_telemetry::{cut, one_line};

/// The most characters that are quoted.
const MOST: usize = 200;

/// At most 200 characters of an operator's text. A key in the wrong place becomes `***`.
pub fn quoted(text: &str) -> String {
    one_line(&cut(&without_keys(text), MOST)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_is_quoted_has_no_keys_no_end_and_no_second_line() {
        for (text, shown) in [
            ("sometimes", "sometimes"),
            ("sk-live-4f9c2a", "***"),
            ("Bearer sk-live-4f9c2a", "Bearer ***"),
            ("libsk-live-4f9c2a.so", "***.so"),
            ("src.callbacks.sk-live-4f9c2a", "src.callbacks.***"),
            ("https://h/v1/9f3c1e77aa02bd4e", "https://h/v1/***"),
            ("llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
            (
                "ollama_chat/qwen2.5-coder:32b-instruct-q4_K_M",
                "ollama_chat/qwen2.5-coder:32b-instruct-q4_K_M",
            ),
            ("a\n\u{1b}[2Jb", "a\\n\\u{1b}[2Jb"),
        ] {
            assert_eq!(quoted(text), shown, "{text}");
        }
        assert_eq!(quoted(&"x".repeat(201)), format!("{}…(+1 bytes)", "x".repeat(200)));
        // Nothing may be cut before a key is recognised, so the whole text is masked first.
        let long = format!("{} sk-live-4f9c2a", "x".repeat(190));
        assert!(!quoted(&long).contains("sk-"));
    }
}
