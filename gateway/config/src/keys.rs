//! `callgate.keys`: the keys of clients, beside the master key. `server::auth` looks them up, and
//! callbacks see whose key a call has.

use super::{
    expiry::expiry_ms,
    key_value,
    problem::{Problem, Severity, SourceLocation},
    quote::quoted,
    reader::{Field, Reader},
    section::Section,
};
use callgate_secret::{KeyDigest, Secret};
use std::time::{SystemTime, UNIX_EPOCH};

/// The id of the master key, and of a caller without a key.
pub const MASTER_KEY: &str = "master_key";
pub const ANONYMOUS: &str = "anonymous";

/// The longest name.
const NAME: usize = 128;
/// A shorter key can be guessed.
const SHORT: usize = 16;

/// One entry of `callgate.keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// Its id in the log, in limits and for callbacks.
    pub name: String,
    pub digest: KeyDigest,
    /// The key itself, if the config has it.
    pub value: Option<Secret>,
    pub alias: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub tags: Vec<String>,
    /// Names and texts, in the order of the file.
    pub metadata: Vec<(String, String)>,
    /// The model names that it may call; `*` stands for any text. Empty for all.
    pub models: Vec<String>,
    /// When it expires, in ms since 1970.
    pub expires_ms: Option<u64>,
    pub scopes: KeyScopes,
    /// The entry itself.
    pub place: SourceLocation,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyScopes {
    /// Call models and list them.
    pub calls: bool,
    /// Read metrics and the reports about callbacks.
    pub metrics: bool,
    /// Reload the config, and read what `metrics` may.
    pub admin: bool,
}

impl KeyScopes {
    /// As the master key.
    pub const ALL: Self = Self { calls: true, metrics: true, admin: true };
    /// As a key without `scopes`.
    const CALLS: Self = Self { calls: true, metrics: false, admin: false };
}

/// Reads the list. `master_key` must not be listed again.
pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    master_key: Option<&Secret>,
) -> Vec<ClientKey> {
    if field.node.is_empty_list() {
        let text = "expected at least one key, found none; leave `keys` out for none";
        reader.error(field, text);
    }
    let mut keys: Vec<ClientKey> = Vec::new();
    for item in reader.list(field) {
        let Some(key) = entry(reader, &item) else { continue };
        report_duplicates(reader, &keys, &key, master_key);
        keys.push(key);
    }
    keys
}

fn entry(reader: &mut Reader<'_>, item: &Field<'_>) -> Option<ClientKey> {
    let mut section = reader.section(item)?;
    let name = match section.take("name") {
        Some(field) => name(reader, &field),
        None => {
            reader
                .error(item, "expected a `name`, found none; the log and limits name a key by it");
            None
        }
    };
    let value = value(reader, &mut section);
    let text = |reader: &mut Reader<'_>, section: &mut Section<'_>, key| {
        section.take(key).and_then(|field| reader.text(&field))
    };
    let [alias, user, team] = ["alias", "user", "team"].map(|key| text(reader, &mut section, key));
    let tags = section.take("tags").map(|field| reader.texts(&field)).unwrap_or_default();
    let metadata = section.take("metadata").map(|field| texts_by_name(reader, &field));
    let models = section.take("models").map(|field| filled_list(reader, &field, "all models"));
    let expires_ms = section.take("expires").and_then(|field| expiry(reader, &field));
    let scopes = section.take("scopes").map(|field| scopes(reader, &field));
    section.finish_own(reader);
    let (digest, value) = value?;
    Some(ClientKey {
        name: name?,
        digest,
        value,
        alias,
        user,
        team,
        tags,
        metadata: metadata.unwrap_or_default(),
        models: models.unwrap_or_default(),
        expires_ms,
        scopes: scopes.unwrap_or(KeyScopes::CALLS),
        place: reader.place(item),
    })
}

/// What is wrong with a key's name: a pattern or a log line could mistake it.
#[must_use]
pub fn key_name_problem(name: &str) -> Option<String> {
    let plain = !name.is_empty()
        && name.trim() == name
        && name.len() <= NAME
        && !name.contains(|it: char| it == '*' || it.is_control());
    if !plain {
        return Some(format!(
            "expected a name of 1 to {NAME} bytes without `*`, control characters and blanks \
             around it, found `{}`",
            quoted(name)
        ));
    }
    let own = [MASTER_KEY, ANONYMOUS].contains(&name);
    own.then(|| format!("expected another name: `{name}` is the gateway's own"))
}

fn name(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let name = reader.text(field)?;
    if let Some(problem) = key_name_problem(&name) {
        reader.error(field, problem);
        return None;
    }
    Some(name)
}

/// The digest, and the key if the config has it, from `key` or `sha256`.
fn value(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
) -> Option<(KeyDigest, Option<Secret>)> {
    match (section.take("key"), section.take("sha256")) {
        (Some(key), None) => {
            let key = key_of(reader, &key)?;
            Some((KeyDigest::of(key.expose().as_bytes()), Some(key)))
        }
        (None, Some(field)) => {
            let text = reader.any_text(&field)?;
            let digest = KeyDigest::from_hex(text.trim());
            if digest.is_none() {
                let text = "expected the 64 hex digits of a key's SHA-256, found something else";
                let problem = Problem::error(reader.place(&field), text);
                reader.problems.push(problem.remedy("`callgate key new` prints a key with them"));
            }
            Some((digest?, None))
        }
        (key, _) => {
            let found = if key.is_some() { "both" } else { "neither" };
            let text = format!("expected either `key` or `sha256`, found {found}");
            let problem = Problem::error(reader.place(&section.field), text);
            reader.problems.push(problem.remedy("`callgate key new` prints a key with both"));
            None
        }
    }
}

fn key_of(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Secret> {
    let key = key_value::read(reader, field, Severity::Error)?;
    if let Some(text) = key_value::unsendable(&key).or_else(|| key_value::documented(&key)) {
        let problem = Problem::error(reader.place(field), text).remedy(key_value::REMEDY);
        reader.problems.push(problem);
    } else if key.expose().len() < SHORT {
        let text = format!(
            "expected a key of {SHORT} characters at least, found a shorter one, which can be \
             guessed"
        );
        let problem = Problem::warning(reader.place(field), text).remedy(key_value::REMEDY);
        reader.problems.push(problem);
    }
    Some(key)
}

fn texts_by_name(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, String)> {
    let Some(section) = reader.section(field) else { return Vec::new() };
    let members = section.members().filter(|(_, field)| !field.node.is_null());
    members.filter_map(|(name, field)| Some((name.to_owned(), reader.any_text(&field)?))).collect()
}

fn filled_list(reader: &mut Reader<'_>, field: &Field<'_>, all: &str) -> Vec<String> {
    if field.node.is_empty_list() {
        let text = format!("expected at least one, found none; leave the key out for {all}");
        reader.error(field, text);
    }
    reader.texts(field)
}

fn expiry(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u64> {
    let text = reader.any_text(field)?;
    let Some(expires) = expiry_ms(text.trim()) else {
        let what = "a date such as `2027-01-31` or a time such as `2027-01-31T18:00:00Z`";
        reader.expected(field, what);
        return None;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if u128::from(expires) <= now.as_millis() {
        let problem = Problem::warning(reader.place(field), "this key has expired");
        reader.problems.push(problem.remedy("remove it, or give it a later `expires`"));
    }
    Some(expires)
}

fn scopes(reader: &mut Reader<'_>, field: &Field<'_>) -> KeyScopes {
    let mut scopes = KeyScopes { calls: false, ..KeyScopes::CALLS };
    if field.node.is_empty_list() {
        reader.error(field, "expected at least one scope, found none");
    }
    for item in reader.list(field) {
        match reader.text(&item).as_deref() {
            Some("calls") => scopes.calls = true,
            Some("metrics") => scopes.metrics = true,
            Some("admin") => scopes.admin = true,
            Some(_) => reader.expected(&item, "one of `calls`, `metrics`, `admin`"),
            None => {}
        }
    }
    scopes
}

fn report_duplicates(
    reader: &mut Reader<'_>,
    before: &[ClientKey],
    key: &ClientKey,
    master_key: Option<&Secret>,
) {
    if let Some(same) = before.iter().find(|it| it.name == key.name) {
        let text =
            format!("another key is called `{}`, on line {}", quoted(&key.name), same.place.line);
        let problem = Problem::error(key.place.clone(), text);
        reader.problems.push(problem.remedy("give each key a name of its own"));
    }
    let master = master_key.filter(|it| KeyDigest::of(it.expose().as_bytes()) == key.digest);
    let same = before.iter().find(|it| it.digest == key.digest);
    let owner = match (master, same) {
        (Some(_), _) => "the master key".to_owned(),
        (None, Some(same)) => format!("the key `{}`", quoted(&same.name)),
        (None, None) => return,
    };
    let text = format!("{owner} has the same value, so nobody can tell them apart");
    let problem = Problem::error(key.place.clone(), text);
    reader.problems.push(problem.remedy("give each key a value of its own"));
}
