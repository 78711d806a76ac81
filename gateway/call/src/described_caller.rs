//! The bounds of a caller that a callback describes: what goes to every log line, limit and
//! callback is short and can be shown.

use callgate_config::key_name_problem;
use plugin_api::{AuthCaller, limits};
use thiserror::Error;

/// The longest alias, user, team, tag, and name of a metadata text.
const SHORT: usize = 256;

/// The most tags, texts of metadata, and patterns of models.
const MANY: usize = 256;

/// Why a caller that a callback describes cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CallerProblem {
    #[error("`key_id`: {0}")]
    KeyId(String),
    #[error("`{what}`: expected up to {most} bytes without control characters, found {found}")]
    Text { what: &'static str, most: usize, found: String },
    #[error("`{what}`: expected up to {MANY}, found {found}")]
    Many { what: &'static str, found: usize },
    #[error("expected up to {most} bytes in all, found {0}", most = limits::AUTH_CALLER)]
    Size(usize),
}

/// Sees that all texts are within their bounds.
pub(crate) fn check(caller: &AuthCaller) -> Result<(), CallerProblem> {
    if let Some(problem) = key_name_problem(&caller.key_id) {
        return Err(CallerProblem::KeyId(problem));
    }
    let models = caller.models.as_deref().unwrap_or_default();
    let names = caller.metadata.keys();
    let short = [("alias", &caller.alias), ("user", &caller.user), ("team", &caller.team)]
        .into_iter()
        .filter_map(|(what, text)| Some((what, text.as_ref()?)))
        .chain(caller.tags.iter().map(|tag| ("tags", tag)))
        .chain(names.map(|name| ("metadata", name)));
    let mut size = caller.key_id.len();
    for (what, text) in short {
        plain(what, text, SHORT)?;
        size += text.len();
    }
    for pattern in models {
        plain("models", pattern, limits::MODEL)?;
        size += pattern.len();
    }
    for text in caller.metadata.values() {
        plain("metadata", text, limits::AUTH_CALLER)?;
        size += text.len();
    }
    let counts = [
        ("tags", caller.tags.len()),
        ("metadata", caller.metadata.len()),
        ("models", models.len()),
    ];
    if let Some((what, found)) = counts.into_iter().find(|(_, found)| *found > MANY) {
        return Err(CallerProblem::Many { what, found });
    }
    if size > limits::AUTH_CALLER { Err(CallerProblem::Size(size)) } else { Ok(()) }
}

fn plain(what: &'static str, text: &str, most: usize) -> Result<(), CallerProblem> {
    let found = if text.len() > most {
        format!("{} bytes", text.len())
    } else if text.contains(char::is_control) {
        "a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(CallerProblem::Text { what, most, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_short_and_can_be_shown() {
        let ann = || AuthCaller::new("ann");
        let many = |of: fn(AuthCaller, String) -> AuthCaller| {
            (0..=MANY).fold(ann(), |caller, index| of(caller, index.to_string()))
        };
        let long = "x".repeat(SHORT + 1);
        for (caller, said) in [
            (ann().user("é").team("").tag("t").metadata("m", "n").model("gpt-*"), None),
            (AuthCaller::new(""), Some("`key_id`: expected a name")),
            (AuthCaller::new("a\nb"), Some("`key_id`: expected a name")),
            (AuthCaller::new("x".repeat(129)), Some("`key_id`: expected a name")),
            (AuthCaller::new("master_key"), Some("`key_id`: expected another name")),
            (AuthCaller::new("anonymous"), Some("`key_id`: expected another name")),
            (ann().user(&long), Some("`user`: expected up to 256 bytes")),
            (ann().alias("a\u{1b}[0m"), Some("found a control character")),
            (ann().tag(&long), Some("`tags`: expected")),
            (ann().metadata(&long, ""), Some("`metadata`: expected")),
            (ann().metadata("m", "\0"), Some("`metadata`: expected")),
            (ann().model("x".repeat(1025)), Some("`models`: expected up to 1024")),
            (many(AuthCaller::tag), Some("`tags`: expected up to 256, found 257")),
            (many(AuthCaller::model), Some("`models`: expected up to 256, found 257")),
            (
                ann().metadata("a", "x".repeat(40_000)).metadata("b", "x".repeat(30_000)),
                Some("expected up to 65536 bytes in all, found 70005"),
            ),
        ] {
            match (check(&caller), said) {
                (Ok(()), None) => {}
                (Err(problem), Some(said)) => {
                    assert!(problem.to_string().contains(said), "{problem}");
                }
                (found, said) => panic!("{found:?}, expected {said:?}"),
            }
        }
    }
}
