//! Masks the secrets of a plugin's settings in what the plugin says.

use callgate_secret::keys_in;
use serde_json::Value;

/// Masks possible secrets in a plugin's message: parsers often repeat the text they could not read
/// (``invalid type: string "…"``), and a setting's name may mark its value as secret.
pub fn masked(message: &str, settings: &Value) -> String {
    let (mut texts, mut secrets) = (Vec::new(), Vec::new());
    collect_texts(settings, false, &mut texts, &mut secrets);
    let repeated =
        |message: String, text: &&str| message.replace(&format!("string {text:?}"), "text");
    let message = texts.iter().fold(message.to_owned(), repeated);
    // The longest first, because one secret may contain another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(message, |message, secret| message.replace(secret, "***"))
}

/// All texts of the settings, and those under a name that suggests secrets.
fn collect_texts<'v>(
    value: &'v Value,
    is_secret: bool,
    texts: &mut Vec<&'v str>,
    secrets: &mut Vec<&'v str>,
) {
    const WORDS: [&str; 6] = ["key", "token", "secret", "password", "credential", "authorization"];
    match value {
        Value::String(text) => {
            texts.push(text);
            // Shorter texts would also match inside ordinary words.
            if is_secret && text.len() >= 4 {
                secrets.push(text);
            }
            // A key in the wrong place is a secret, too.
            secrets.extend(keys_in(text));
        }
        Value::Array(items) => {
            items.iter().for_each(|item| collect_texts(item, is_secret, texts, secrets));
        }
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            let name = name.to_lowercase();
            let is_secret = is_secret || WORDS.iter().any(|word| name.contains(word));
            collect_texts(value, is_secret, texts, secrets);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::masked;
    use serde_json::json;

    #[test]
    fn messages_do_not_repeat_secrets() {
        let settings = json!({
            "provider": "groq",
            "api_key": "sk-private",
            "auth_tokens": ["sk-private-2", {"id": "tok-3"}],
            "token_count": 12,
        });
        let odd = json!({"provider": "for sk-live-4f9c2a"});
        let said = masked("settings: no provider `for sk-live-4f9c2a`", &odd);
        assert_eq!(said, "settings: no provider `for ***`");
        for (message, expected) in [
            (
                "settings: invalid type: string \"groq\", expected u64",
                "settings: invalid type: text, expected u64",
            ),
            (
                "no provider groq for sk-private-2, sk-private, tok-3, 12",
                "no provider groq for ***, ***, ***, 12",
            ),
        ] {
            assert_eq!(masked(message, &settings), expected);
        }
    }
}
