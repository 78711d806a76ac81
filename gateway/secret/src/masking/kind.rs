//! Tells secrets from other text by their form and by the name of their field.

use std::ops::Range;

/// How certainly a text is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// It looks like a key, so no other text contains it by chance.
    Key,
    /// It could be a word.
    Word,
}

/// Shorter texts occur in ordinary words.
pub(super) const SHORTEST: usize = 8;

/// Placeholders that people use where a key is required but not checked, without case, punctuation
/// and a leading `sk`.
const PLACEHOLDERS: [&str; 40] = [
    "anything",
    "apikey",
    "changeme",
    "dummy",
    "dummyapikey",
    "dummykey",
    "dummytoken",
    "empty",
    "example",
    "examplekey",
    "fake",
    "fakeapikey",
    "fakekey",
    "insertyourkeyhere",
    "lmstudio",
    "localhost",
    "mykey",
    "noapikey",
    "noapikeyrequired",
    "nokey",
    "nokeyneeded",
    "nokeyrequired",
    "none",
    "notarealkey",
    "notneeded",
    "notrequired",
    "notset",
    "notused",
    "null",
    "ollama",
    "password",
    "placeholder",
    "secret",
    "testkey",
    "token",
    "undefined",
    "unused",
    "yourapikey",
    "yourapikeyhere",
    "yourkeyhere",
];

impl Strength {
    /// `None` for texts that must not be masked.
    pub(super) fn of(secret: &str) -> Option<Self> {
        if secret.len() < SHORTEST || is_placeholder(secret) {
            return None;
        }
        let digits = secret.bytes().filter(u8::is_ascii_digit).count();
        let letters = secret.bytes().filter(u8::is_ascii_alphabetic).count();
        // `prompt-caching` and `20240731` could occur anywhere, `sk-9f3c1e` could not.
        let mixed = digits > 0 && letters > 0;
        let odd = secret.bytes().any(|byte| byte.is_ascii_punctuation() && byte != b'-');
        let is_key = mixed || (odd && letters + digits > 0) || secret.len() >= 20;
        Some(if is_key { Self::Key } else { Self::Word })
    }
}

fn is_placeholder(secret: &str) -> bool {
    let plain: String =
        secret.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let bare = plain.strip_prefix("sk").unwrap_or(&plain);
    // `xxxxxxxx`, `********`, `sk-00000000`.
    let uniform = bare.bytes().zip(bare.bytes().skip(1)).all(|(one, next)| one == next);
    let counted = matches!(bare, "1234" | "12345678" | "123456789" | "1234567890");
    uniform || counted || PLACEHOLDERS.contains(&&*plain) || PLACEHOLDERS.contains(&bare)
}

/// Whether no word character comes before or after it.
pub(super) fn is_whole_word(text: &str, place: &Range<usize>) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let before = text[..place.start].chars().next_back();
    let after = text[place.end..].chars().next();
    !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
}

/// Words in names of secret fields.
const WORDS: [&str; 22] = [
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "keys",
    "license",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "pwd",
    "secret",
    "secrets",
    "session",
    "signature",
    "token",
];

/// Whether the field with this name is secret: `api_key`, `X-Auth-Token`, `clientSecret`, but not
/// `max_tokens`.
pub fn names_a_secret(name: &str) -> bool {
    let mut word = String::new();
    let (mut after_lower, mut found) = (false, false);
    for c in name.chars().chain(['-']) {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && after_lower) {
            found |= WORDS.contains(&&*word);
            word.clear();
        }
        after_lower = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
    }
    // Names without separators: `accesstoken`, `XAPIKey`.
    let ends = ["apikey", "accesskey", "secretkey", "token", "secret", "password", "authorization"];
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    found || ends.iter().any(|end| plain.ends_with(end))
}

/// Whether a text looks like the name of a variable: `MY_API_KEY`.
pub(super) fn names_a_variable(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
    begins && text.contains('_') && text.bytes().all(is_name)
}

/// Prefixes of well-known kinds of keys, which are secret in any field.
const PREFIXES: [&str; 13] = [
    "sk-",
    "sk_",
    "pk-",
    "pk_",
    "gsk_",
    "xai-",
    "hf_",
    "ghp_",
    "github_pat_",
    "AKIA",
    "AIza",
    "eyJ",
    "xoxb-",
];

/// The secret parts of a header's value.
pub(crate) fn tokens_in_header<'v>(name: &str, value: &'v str) -> Vec<&'v str> {
    const SCHEMES: [&str; 7] = ["bearer", "basic", "token", "apikey", "api-key", "digest", "key"];
    let value = value.trim();
    let is_scheme = |text: &str| SCHEMES.iter().any(|it| it.eq_ignore_ascii_case(text));
    let credentials = value.split_once(' ').filter(|(scheme, _)| is_scheme(scheme));
    if credentials.is_none() && !names_a_secret(name) {
        return if is_key(value) { vec![value] } else { Vec::new() };
    }
    let mut tokens = vec![value];
    tokens.extend(credentials.map(|(_, rest)| rest.trim()));
    // `Token token="…"`, `session=…; path=…`.
    for part in value.split([' ', ',', ';', '"']).filter(|part| part.len() < value.len()) {
        tokens.push(part);
    }
    let values: Vec<_> = tokens.iter().filter_map(|part| Some(part.split_once('=')?.1)).collect();
    tokens.extend(values);
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// The segments in the path of a base URL that are clearly keys.
pub(crate) fn tokens_in_path(url: &str) -> impl Iterator<Item = &str> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    path.split(['/', '?', '&', '=', '#', '@', ':']).skip(1).filter(|segment| is_key(segment))
}

/// The ranges of words that are clearly keys, even as the name of a plugin's file, in a text whose
/// author may have put a key in the wrong place.
pub(super) fn keys_within(text: &str) -> Vec<Range<usize>> {
    let goes_on = |c: char| c.is_alphanumeric() || "_-+=~".contains(c);
    let (mut places, mut from) = (Vec::new(), 0);
    for word in text.split(|c| !goes_on(c)) {
        let end = from + word.len();
        if is_key(word) || word.strip_prefix("lib").is_some_and(is_key) {
            places.push(from..end);
        }
        from = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    places
}

fn is_key(text: &str) -> bool {
    is_random(text)
        || (text.len() >= SHORTEST && PREFIXES.iter().any(|prefix| text.starts_with(prefix)))
}

/// Whether it is long and has a run of mixed letters and digits, unlike any word, date, version or
/// host.
fn is_random(text: &str) -> bool {
    if text.len() < 16 || text.contains(char::is_whitespace) {
        return false;
    }
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        let bytes = run.bytes().zip(run.bytes().skip(1));
        let changes = bytes.filter(|(one, next)| one.is_ascii_digit() != next.is_ascii_digit());
        run.len() >= 12 && changes.count() >= 3
    })
}
